//! The matrix of pairs: every dialect of callers with every dialect of providers, over every recording that fits.
//!
//! Pure: no sockets, no gateway, only the codecs. What a request or an answer means is read from its JSON by probes of
//! our own, before and after the translation, so that a codec never vouches for itself. What a dialect cannot say stands
//! in a table with its reason and must be reported as dropped. The recordings lie beside the project; where they do not,
//! these tests say so and pass.

use aisix::dialect::Dialect;

mod asked;
mod corpus;
mod gathered;
mod keepsakes;
mod limits;
mod refusals;
mod replies;
mod report;
mod requests;
mod streams;
mod told;

/// The dialects of providers that converse.
const PROVIDERS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Cohere];

/// The word for a dialect in files and tables.
fn name_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "openai-chat",
        Dialect::OpenAiResponses => "openai-responses",
        Dialect::Anthropic => "anthropic",
        Dialect::Gemini => "gemini",
        Dialect::Cohere => "cohere",
        Dialect::OpenAi | Dialect::Voyage => panic!("no conversation"),
    }
}

/// Shown where a list of problems is longer.
const MOST_PROBLEMS: usize = 60;

/// Fails with all problems at once.
fn assert_none(problems: &[String], of: usize) {
    let shown: Vec<_> = problems.iter().take(MOST_PROBLEMS).map(String::as_str).collect();
    assert!(problems.is_empty(), "{} problems among {of} cases:\n{}", problems.len(), shown.join("\n"));
}
