//! OpenAI's endpoints that are no conversations, and those like them: handed on as they are, and read for what was counted.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use super::chat::{Event, Events, Finish, StreamFault};
use super::codec::Reply;
use super::raw::RawObject;
use super::{Usage, openai_chat};
use crate::error::UpstreamError;

/// An answer that is no conversation: handed on as it is, read for what was counted.
///
/// # Errors
/// It is no JSON object, or a failure under a status of success.
pub fn read_reply(body: Bytes) -> Result<Reply, UpstreamError> {
    let object = RawObject::parse(body)
        .map_err(|_| UpstreamError::Undecodable { reason: Cow::Borrowed("it is not a JSON object") })?;
    if let Some(raw) = object.member("error").filter(|raw| *raw != "null")
        && object.members().count() == 1
    {
        return Err(openai_chat::in_band(raw));
    }
    let usage = object.member("usage").or_else(|| object.member("meta")).and_then(read_usage);
    let is_counted = usage.is_some_and(|usage| usage.completion > 0) || object.member("choices").is_none();
    let words = match is_counted {
        true => None,
        false => std::str::from_utf8(object.bytes()).ok().and_then(super::completions::words),
    };
    let model = object.member("model").map(|raw| raw.trim_matches('"').into());
    Ok(Reply { body: object.bytes().clone(), usage, model, finish_reason: None, words })
}

/// Usage as the endpoints count it that are no conversations: OpenAI's two spellings, Jina's and Cohere's.
pub(super) fn read_usage(raw: &str) -> Option<Usage> {
    #[derive(Deserialize, Default)]
    struct Billed {
        input_tokens: Option<f64>,
        output_tokens: Option<f64>,
    }
    #[derive(Deserialize, Default)]
    struct Members {
        prompt_tokens: Option<u64>,
        completion_tokens: Option<u64>,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        total_tokens: Option<u64>,
        billed_units: Option<Billed>,
    }
    let members: Members = serde_json::from_str(raw).ok()?;
    let billed = members.billed_units.unwrap_or_default();
    let whole = |number: Option<f64>| number.map(|number| number.max(0.0) as u64);
    let completion = members.completion_tokens.or(members.output_tokens).or(whole(billed.output_tokens));
    let completion = completion.unwrap_or(0);
    let prompt = members.prompt_tokens.or(members.input_tokens).or(whole(billed.input_tokens));
    let prompt = prompt.or(members.total_tokens.map(|total| total.saturating_sub(completion))).unwrap_or(0);
    let total = members.total_tokens.unwrap_or(0).max(prompt.saturating_add(completion));
    (total > 0).then_some(Usage { prompt, completion, total, ..Usage::default() })
}

/// OpenAI API reference: `image_generation.completed`, `transcript.text.done`, each with usage.
///
/// # Errors
/// It is no JSON, or a failure.
pub fn read_event<'d>(event: Option<&[u8]>, data: &'d str) -> Result<Events<'d>, StreamFault> {
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow, default)]
        r#type: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        text: Option<super::json::shape::Json<'a>>,
        #[serde(borrow, default)]
        usage: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        error: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        delta: Option<super::json::shape::Json<'a>>,
    }
    let members: Members<'d> = serde_json::from_str(data).map_err(|_| StreamFault::Malformed)?;
    if let Some(error) = members.error {
        return Err(StreamFault::Failed(openai_chat::in_band(error.get())));
    }
    if event == Some(b"error") || members.r#type.as_deref() == Some("error") {
        return Err(StreamFault::Failed(openai_chat::in_band(data)));
    }
    let mut events = Events::new();
    if let Some(text) = members.delta.and_then(|delta| super::json::Text::from_json(delta.0)) {
        events.push(Event::Text { answer: 0, text });
    }
    // All of a transcript again, where it is complete: other words than those before, to whoever judges.
    if let Some(text) = members.text.and_then(|text| super::json::Text::from_json(text.0)) {
        events.push(Event::Refusal { answer: 0, text });
    }
    if let Some(usage) = members.usage.and_then(|raw| read_usage(raw.get())) {
        events.push(Event::Usage(usage));
    }
    if members.r#type.is_some_and(|kind| kind.ends_with(".done") || kind.ends_with(".completed")) {
        events.push(Event::Finish { answer: 0, reason: Finish::Stop });
    }
    if events.is_empty() {
        // Part of an answer all the same: a picture that is not finished.
        events.push(Event::Start { id: None, model: None });
    }
    Ok(events)
}
