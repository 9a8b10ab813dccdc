//! OpenAI's chat dialect, as providers answer it: whole replies, stream chunks, usage and errors.
//!
//! Wire facts: OpenAI API reference, "Create chat completion" and "The chat completion chunk object", checked against
//! recorded answers of the providers that speak it. Members that are not read here survive byte for byte.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Usage;
use super::codec::{Reply, words};
use super::raw::{RawObject, range_in};
use super::sse::Frame;
use crate::error::UpstreamError;

mod failure;
mod finish;
pub mod neutral;
mod sketch;
mod skim;

pub(in crate::dialect) use failure::in_band;
pub use failure::{read_error, refusal};
use sketch::Sketcher;

/// The member that asks for usage in a stream, as `(name, raw JSON)`.
pub const INCLUDE_USAGE: (&str, &str) = ("stream_options", r#"{"include_usage":true}"#);

/// Reads a whole reply and names the model as the caller did.
///
/// `model` is raw JSON. The body stays as the provider wrote it otherwise.
///
/// # Errors
/// The body is not a JSON object, or it is an error under a status of success.
pub fn read_reply(body: Bytes, model: &str) -> Result<Reply, UpstreamError> {
    let finish_reason = finish::of_reply(&body);
    if let Some(found) = skim::skim(&body) {
        let usage = found.usage.and_then(|usage| read_usage(std::str::from_utf8(body.get(usage)?).ok()?));
        let own = found.model.clone().and_then(|own| std::str::from_utf8(body.get(own)?).ok()).map(bare);
        let body = match found.model {
            Some(own) if body.get(own.clone()) != Some(model.as_bytes()) => {
                [&body[..own.start], model.as_bytes(), &body[own.end..]].concat().into()
            }
            _ => body,
        };
        return Ok(reply(body, usage, own, finish_reason));
    }
    let object = RawObject::parse(body)
        .map_err(|_| UpstreamError::Undecodable { reason: Cow::Borrowed("it is not a JSON object") })?;
    if let Some(raw) = object.member("error").filter(|raw| *raw != "null")
        && object.member("choices").is_none()
    {
        return Err(in_band(raw));
    }
    let usage = object.member("usage").and_then(read_usage);
    let own = object.member("model").map(bare);
    let named_already = object.member("model").is_none_or(|own| own == model);
    let body = if named_already { object.bytes().clone() } else { object.with(&[("model", model)]) };
    Ok(reply(body, usage, own, finish_reason))
}

fn reply(
    body: Bytes,
    usage: Option<Usage>,
    model: Option<Box<str>>,
    finish_reason: Option<&'static str>,
) -> Reply {
    let is_counted = usage.is_some_and(|usage| usage.prompt > 0 && usage.completion > 0);
    let words = (!is_counted).then(|| words(&body));
    Reply { body, usage, model, finish_reason, words }
}

/// A name without its quotes.
fn bare(raw: &str) -> Box<str> {
    raw.trim_matches('"').into()
}

/// What one frame of a stream is, to the relay.
#[derive(Debug)]
pub enum Chunk {
    /// Part of the answer.
    Content {
        /// How the frame reaches the caller.
        pass: Pass,
        /// What the provider counted so far.
        usage: Option<Usage>,
        /// The reason to finish that it carried.
        finish: Option<&'static str>,
        /// Bytes of text in its deltas.
        text_bytes: u64,
    },
    /// Only usage: for callers who asked for it.
    Usage {
        /// How the frame reaches the caller.
        pass: Pass,
        /// What the provider counted.
        usage: Usage,
    },
    /// A comment, or an event without data.
    Comment,
    /// `[DONE]`.
    Done,
    /// Part of the answer, and the provider's last word.
    Last {
        /// How the frame reaches the caller.
        pass: Pass,
        /// What the provider counted.
        usage: Option<Usage>,
        /// The reason to finish that it carried.
        finish: Option<&'static str>,
        /// Bytes of text in it.
        text_bytes: u64,
    },
    /// To be judged before it goes out.
    Decoded(Box<super::stream::Decoded>),
    /// Something that this caller's dialect does not have.
    Skipped,
    /// The provider gave up.
    Failed(UpstreamError),
    /// Not JSON: to be skipped and counted.
    Malformed,
}

/// How a frame reaches the caller: as it is, but for the name of the model.
#[derive(Debug, PartialEq, Eq)]
pub enum Pass {
    /// Every byte as it came.
    AsItIs,
    /// The caller's name for the model in place of these bytes of the frame.
    Renamed(Range<usize>),
    /// Written anew, because its data spans several lines.
    Rewritten(Vec<u8>),
}

#[derive(Deserialize)]
struct ChunkMembers<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
}

/// Bytes of a delta that are not text: `{"content":""}`.
const DELTA_FRAME_BYTES: u64 = 14;

/// Reads the frames of one stream.
#[derive(Debug)]
pub struct FrameReader {
    /// The caller's name for the model, as raw JSON.
    model: Arc<str>,
    sketcher: Sketcher,
}

impl FrameReader {
    /// Begins a stream; `model` is the caller's name for the model, as raw JSON.
    #[must_use]
    pub fn new(model: Arc<str>) -> Self {
        Self { model, sketcher: Sketcher::default() }
    }

    /// Reads one frame.
    #[must_use]
    pub fn read(&mut self, frame: &Frame<'_>) -> Chunk {
        let Some(data) = frame.data() else { return Chunk::Comment };
        if let Cow::Borrowed(data) = data
            && let Some(found) = self.sketcher.look(data)
        {
            let pass = match found.model {
                Some(own) if data.get(own.clone()) != Some(self.model.as_bytes()) => {
                    let start = offset_in(frame.bytes, data);
                    Pass::Renamed(start + own.start..start + own.end)
                }
                _ => Pass::AsItIs,
            };
            let text_bytes = found.delta_bytes.saturating_sub(DELTA_FRAME_BYTES);
            return Chunk::Content { pass, usage: None, finish: None, text_bytes };
        }
        if data.trim_ascii() == b"[DONE]" {
            return Chunk::Done;
        }
        match std::str::from_utf8(&data) {
            Ok(text) => {
                let start = matches!(data, Cow::Borrowed(_)).then(|| offset_in(frame.bytes, &data));
                decode(frame, start, text, &self.model)
            }
            Err(_) => Chunk::Malformed,
        }
    }
}

/// Reads a frame that has something to tell. `start` is where its data begins, where it is one piece.
fn decode(frame: &Frame<'_>, start: Option<usize>, text: &str, model: &str) -> Chunk {
    let Ok(members) = serde_json::from_str::<ChunkMembers<'_>>(text) else {
        // Other types than the dialect has are the caller's to read, as long as it is JSON.
        return match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Chunk::Content { pass: Pass::AsItIs, usage: None, finish: None, text_bytes: 0 },
            Err(_) => Chunk::Malformed,
        };
    };
    if let Some(error) = members.error {
        return Chunk::Failed(in_band(error.get()));
    }
    if frame.event() == Some(b"error") {
        return Chunk::Failed(in_band(text));
    }
    let usage = members.usage.and_then(|raw| read_usage(raw.get()));
    let pass = match members.model {
        Some(own) if own.get() != model => rename(start, text, &range_in(text, own.get()), model),
        _ => Pass::AsItIs,
    };
    match (members.choices, usage) {
        (Some(choices), Some(usage)) if choices.is_empty() => Chunk::Usage { pass, usage },
        (choices, usage) => {
            let choices = choices.unwrap_or_default();
            let text_bytes = |choice: &Choice<'_>| {
                choice.delta.map_or(0, |delta| (delta.get().len() as u64).saturating_sub(DELTA_FRAME_BYTES))
            };
            Chunk::Content {
                pass,
                usage,
                finish: choices
                    .iter()
                    .find_map(|choice| choice.finish_reason)
                    .map(|raw| finish::reason(raw.get())),
                text_bytes: choices.iter().map(text_bytes).sum(),
            }
        }
    }
}

/// Whether a chunk has words, a call or a picture in it: the role and empty texts only open an answer.
#[must_use]
pub fn says_something(data: &[u8]) -> bool {
    let Ok(chunk) = serde_json::from_slice::<Value>(data) else { return false };
    let is_something = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    let says = |choice: &Value| {
        let delta = choice["delta"].as_object().into_iter().flatten();
        let mut said = delta.filter(|(name, _)| *name != "role").map(|(_, value)| value);
        is_something(&choice["text"]) || said.any(is_something)
    };
    chunk["choices"].as_array().is_some_and(|choices| choices.iter().any(says))
}

fn rename(start: Option<usize>, text: &str, own: &Range<usize>, model: &str) -> Pass {
    if let Some(start) = start {
        return Pass::Renamed(start + own.start..start + own.end);
    }
    let text = format!("{}{model}{}", &text[..own.start], &text[own.end..]).replace('\n', " ");
    Pass::Rewritten(format!("data: {text}\n\n").into_bytes())
}

/// Where a piece that was borrowed from `whole` begins in it.
fn offset_in(whole: &[u8], piece: &[u8]) -> usize {
    (piece.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

#[derive(Deserialize, Default)]
struct UsageMembers {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

/// Reads a `usage` object; `None` where it is null, of another shape, or all zero.
fn read_usage(raw: &str) -> Option<Usage> {
    let members: UsageMembers = serde_json::from_str::<Option<UsageMembers>>(raw).ok()??;
    let prompt = members.prompt_tokens.unwrap_or(0);
    let reasoning =
        members.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0);
    let mut completion = members.completion_tokens.unwrap_or(0);
    let sum = prompt.saturating_add(completion);
    // xAI counts reasoning beside the completion, and says so only by the total.
    if members.total_tokens == Some(sum.saturating_add(reasoning)) {
        completion = completion.saturating_add(reasoning);
    }
    let details = members.prompt_tokens_details.unwrap_or_default();
    let usage = Usage {
        prompt,
        completion,
        cached: details.cached_tokens.or(members.prompt_cache_hit_tokens).unwrap_or(0).min(prompt),
        cache_write: details.cache_write_tokens.unwrap_or(0).min(prompt),
        cache_write_hour: 0,
        reasoning,
        total: members.total_tokens.unwrap_or(sum),
        is_estimated: false,
    };
    (usage.total > 0).then_some(usage)
}

#[cfg(test)]
#[path = "openai_chat/tests.rs"]
mod tests;
