//! A whole answer, read; its usage, sources and finish reasons, which streams share.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::Usage;
use crate::dialect::chat::{Answer, Arguments, Citation, Finish, Part, Reply, Thought, ToolCall, Words};
use crate::dialect::json::Text;
use crate::dialect::json::shape::TextOr;
use crate::error::{UpstreamError, UpstreamRefusal};

#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<TextOr<'a, Piece<'a>>>,
    #[serde(borrow, default)]
    tool_plan: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    citations: Option<Vec<Cited<'a>>>,
}

/// A piece of content: words or thoughts.
#[derive(Debug, Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) thinking: Option<Text<'a>>,
}

/// A tool call, or a piece of one.
#[derive(Debug, Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) function: Option<Function<'a>>,
}

/// The function of a call.
#[derive(Debug, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<Text<'a>>,
}

/// A statement and its sources.
#[derive(Debug, Deserialize)]
pub(super) struct Cited<'a> {
    #[serde(default)]
    start: Option<u64>,
    #[serde(default)]
    end: Option<u64>,
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    sources: Option<Vec<Source<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    document: Option<&'a RawValue>,
}

/// The usual members of a document; callers choose them.
#[derive(Debug, Default, Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    title: Option<Text<'a>>,
    #[serde(borrow, default)]
    url: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
}

impl<'a> Cited<'a> {
    /// One citation for each source; statements elsewhere than in the answer's text have none.
    pub(super) fn citations(self) -> Vec<Citation<'a>> {
        if self.kind.is_some_and(|kind| kind != *"TEXT_CONTENT") {
            return Vec::new();
        }
        let place = self.start.zip(self.end).filter(|(start, end)| start < end);
        let citation = |source: Source<'a>| {
            let document =
                source.document.and_then(|raw| serde_json::from_str::<Document<'a>>(raw.get()).ok());
            let Document { title, url, text: quote } = document.unwrap_or_default();
            Citation { url, title, quote, place }
        };
        self.sources.unwrap_or_default().into_iter().map(citation).collect()
    }
}

/// Reads a whole answer.
///
/// # Errors
/// It is no answer, or says that it failed.
pub fn read_reply(body: &str) -> Result<Reply<'_>, UpstreamError> {
    let undecodable = |reason| UpstreamError::Undecodable { reason: Cow::Borrowed(reason) };
    let body: Body<'_> = serde_json::from_str(body).map_err(|_| undecodable("it is not a chat response"))?;
    let message = body.message.ok_or_else(|| undecodable("it has no message"))?;
    let has_calls = message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
    let finish = finish(body.finish_reason.as_ref(), has_calls)?;
    let answers = vec![Answer { parts: parts(message), finish, logprobs: None }];
    let usage = body.usage.and_then(|raw| usage(raw.get()));
    Ok(Reply { id: body.id.filter(|id| !id.is_empty()), answers, usage, ..Reply::default() })
}

fn parts(message: Message<'_>) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let thought = |text| Part::Thought(Box::new(Thought { text, ..Thought::default() }));
    let words = |text| Part::Text(Words { text, ..Words::default() });
    let is_something = |text: &Text<'_>| !text.is_empty();
    match message.content {
        Some(TextOr::Text(text)) => parts.extend(Some(text).filter(is_something).map(words)),
        Some(TextOr::List(pieces)) => {
            for piece in pieces {
                parts.extend(piece.thinking.filter(is_something).map(thought));
                parts.extend(piece.text.filter(is_something).map(words));
            }
        }
        None => {}
    }
    parts.extend(message.tool_plan.filter(is_something).map(thought));
    let mut citations =
        message.citations.unwrap_or_default().into_iter().flat_map(Cited::citations).peekable();
    if citations.peek().is_some() {
        let first = parts.iter_mut().find_map(|part| match part {
            Part::Text(words) => Some(words),
            _ => None,
        });
        if let Some(words) = first {
            words.citations = citations.collect();
        }
    }
    for call in message.tool_calls.unwrap_or_default() {
        let (Some(id), Some(Function { name: Some(name), arguments })) = (call.id, call.function) else {
            continue;
        };
        let arguments = Arguments::Text(arguments.unwrap_or_default());
        parts.push(Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: None })));
    }
    parts
}

/// Why it stopped.
///
/// # Errors
/// It failed.
pub(super) fn finish(word: Option<&Text<'_>>, has_calls: bool) -> Result<Finish<'static>, UpstreamError> {
    let word = word.map(Text::decode);
    Ok(match word.as_deref() {
        Some("STOP_SEQUENCE") => Finish::StopSequence(None),
        Some("MAX_TOKENS" | "ERROR_LIMIT") => Finish::Length,
        Some("TOOL_CALL") => Finish::ToolCalls,
        Some("ERROR_TOXIC") => Finish::ContentFilter,
        Some("ERROR" | "TIMEOUT") => return Err(failed()),
        _ if has_calls => Finish::ToolCalls,
        _ => Finish::Stop,
    })
}

/// A failure of which the provider says nothing.
fn failed() -> UpstreamError {
    UpstreamError::Refused(Box::new(UpstreamRefusal::hidden(None)))
}

/// Reads a `usage` object: what is billed, else what was counted.
///
/// The count holds the provider's own instructions, often more than the prompt itself, and nobody pays for them. What was
/// cached is a part of that count, so that it says nothing of what is billed.
pub(super) fn usage(raw: &str) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Members {
        #[serde(default)]
        billed_units: Option<Tokens>,
        #[serde(default)]
        tokens: Option<Tokens>,
        #[serde(default)]
        cached_tokens: Option<f64>,
    }
    #[derive(Default, Clone, Copy, Deserialize)]
    struct Tokens {
        #[serde(default)]
        input_tokens: Option<f64>,
        #[serde(default)]
        output_tokens: Option<f64>,
        #[serde(default)]
        reasoning_tokens: Option<f64>,
    }
    // The provider's documents call these numbers doubles.
    let whole = |number: Option<f64>| number.map_or(0, |number| number.max(0.0) as u64);
    let members: Members = serde_json::from_str(raw).ok()?;
    let counted = members.tokens.unwrap_or_default();
    let (tokens, cached) = match members.billed_units.filter(|billed| billed.input_tokens.is_some()) {
        Some(billed) => (billed, 0),
        None => (counted, whole(members.cached_tokens)),
    };
    let (prompt, completion) = (whole(tokens.input_tokens), whole(tokens.output_tokens));
    let usage = Usage {
        prompt,
        completion,
        cached: cached.min(prompt),
        reasoning: whole(counted.reasoning_tokens).min(completion),
        total: prompt.saturating_add(completion),
        ..Usage::default()
    };
    (usage.total > 0).then_some(usage)
}
