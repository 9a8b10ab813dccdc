//! Errors of providers, as bodies of their own and where an answer belongs.
//!
//! Also read so: vendors whose error bodies are a bare `message` or `detail`.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{UpstreamError, UpstreamRefusal};

#[derive(Deserialize)]
struct ErrorMembers<'a> {
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    param: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    /// Groq's name for the status of an error inside a stream.
    #[serde(default)]
    status_code: Option<u16>,
    /// Where OpenRouter quotes the provider behind it.
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

/// What the provider behind a provider said.
fn read_behind(metadata: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Metadata {
        raw: String,
    }
    Some(serde_json::from_str::<Metadata>(metadata.get()).ok()?.raw)
}

/// Message, param, code and embedded status of an `error` value: an object, or only a text.
fn read_error_value(raw: &str) -> UpstreamRefusal {
    if let Ok(text) = serde_json::from_str::<String>(raw) {
        return UpstreamRefusal { message: text, ..UpstreamRefusal::default() };
    }
    let Ok(members) = serde_json::from_str::<ErrorMembers<'_>>(raw) else {
        return UpstreamRefusal { message: raw.to_owned(), ..UpstreamRefusal::default() };
    };
    let code = members.code.map(RawValue::get);
    let as_text = code.and_then(|raw| serde_json::from_str::<String>(raw).ok());
    let number = as_text.as_deref().or(code).and_then(|text| text.parse().ok()).or(members.status_code);
    UpstreamRefusal {
        status: number.filter(|status| (400..=599).contains(status)),
        message: members.message.as_deref().unwrap_or(raw).to_owned(),
        param: members.param.map(Cow::into_owned),
        code: as_text,
        behind: members.metadata.and_then(read_behind),
        ..UpstreamRefusal::default()
    }
}

/// An error where an answer belongs (§3.7): the embedded status decides what the caller gets.
pub(in crate::dialect) fn in_band(raw: &str) -> UpstreamError {
    // A code that is a status has been read as one.
    let mut refusal = read_error_value(raw);
    refusal.code = refusal.code.filter(|code| code.parse::<u16>().is_err());
    UpstreamError::Refused(Box::new(refusal.embedded()))
}

/// Reads an error answer, with the time after which to come back.
#[must_use]
pub fn read_error(status: u16, retry_after: Option<Duration>, body: &[u8]) -> UpstreamError {
    UpstreamError::Refused(Box::new(UpstreamRefusal { retry_after, ..refusal(status, body) }))
}

/// Reads an error answer (§3.6): words, param and code for 4xx, nothing of the provider's otherwise.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> UpstreamRefusal {
    let text = String::from_utf8_lossy(body);
    let refusal = match error_member(&text) {
        Some(raw) => read_error_value(raw),
        None => UpstreamRefusal { message: text.trim().to_owned(), ..UpstreamRefusal::default() },
    };
    refusal.answered(status)
}

/// The part of an error body that speaks: `error`, or the object itself where its words lie bare; Google's
/// OpenAI-compatible endpoint wraps either in an array.
fn error_member(text: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
        #[serde(borrow, default)]
        message: Option<&'a RawValue>,
        #[serde(borrow, default)]
        detail: Option<&'a RawValue>,
    }
    let text = text.trim();
    if text.starts_with('[') {
        let items = serde_json::from_str::<Vec<&RawValue>>(text).ok()?;
        return items.first().and_then(|item| error_member(item.get()));
    }
    let body: Body<'_> = serde_json::from_str(text).ok()?;
    match (body.error, body.message, body.detail) {
        (Some(error), _, _) => Some(error.get()),
        (None, Some(_), _) => Some(text),
        (None, None, Some(detail)) => Some(detail.get()),
        (None, None, None) => None,
    }
}
