//! Recorded refusals of real providers: which are about a conversation's length, and which are a filter's.
//!
//! The recordings lie beside the project; where they do not, this test says so and passes.

use std::io::Write as _;
use std::path::PathBuf;

use aisix::dialect::{Dialect, codec};
use aisix::error::{GatewayError, RefusalClass, UpstreamError};
use serde_json::Value;

/// The recorded refusals that another target may see differently, as a person reads them.
const KNOWN: [(&str, RefusalClass); 5] = [
    ("anthropic-messages-error400-8a855c3", RefusalClass::ContextLength),
    ("bedrock-converse-error400-4b65940", RefusalClass::ContextLength),
    ("deepseek-openai-chat-error400-a8bd25e", RefusalClass::ContextLength),
    ("openrouter-openai-chat-error400-7955d31", RefusalClass::ContextLength),
    ("openrouter-openai-chat-error403-e47c6c5", RefusalClass::ContentPolicy),
];

fn read(file: &str) -> Option<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings");
    let text = std::fs::read_to_string(folder.join(file)).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}")))
}

fn dialect_of(row: &Value) -> Dialect {
    match row["api"].as_str().expect("an API") {
        "openai-responses" => Dialect::OpenAiResponses,
        "anthropic-messages" | "anthropic-vertex" => Dialect::Anthropic,
        "gemini" => Dialect::Gemini,
        "cohere-chat" => Dialect::Cohere,
        // Also those that the gateway does not speak with: their errors are a bare message, as others' are.
        _ => Dialect::OpenAiChat,
    }
}

#[test]
fn every_recorded_refusal_is_sorted_as_a_person_reads_it() {
    let Some(index) = read("index.json") else {
        let message = "\n*** SKIPPED: there are no recordings ***\n\n";
        std::io::stderr().write_all(message.as_bytes()).expect("standard error is open");
        return;
    };
    let rows = index.as_array().expect("a list").iter();
    let refused =
        rows.filter(|row| row["status"].as_u64().is_some_and(|status| (400..500).contains(&status)));
    let mut seen = Vec::new();
    for row in refused {
        let id = row["id"].as_str().expect("an id");
        let file = read(row["file"].as_str().expect("a file")).expect("a recording");
        let body = file["response"]["body"].to_string();
        let status = row["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
        let error = codec::refusal(dialect_of(row), status, None, body.as_bytes());
        let UpstreamError::Refused(refusal) = &error else { panic!("{id}: {error:?}") };
        if refusal.class() != RefusalClass::Other {
            seen.push((id.to_owned(), refusal.class()));
        }
        let told = GatewayError::from(error.tidied(None)).to_string();
        assert!(!told.contains("Team:"), "{id} is told whose account it is: {told}");
    }
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(seen, KNOWN.map(|(id, class)| (id.to_owned(), class)));
}
