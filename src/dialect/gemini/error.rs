//! Google's error answers, and errors where an answer belongs.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{UpstreamError, UpstreamRefusal};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    #[serde(borrow, default)]
    retry_delay: Option<Cow<'a, str>>,
}

/// Reads an error answer (§3.6): Google's words for 4xx, nothing of them otherwise; the code in any case. Where the body
/// says when to come back, that is kept too.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> UpstreamRefusal {
    let text = String::from_utf8_lossy(body);
    let refusal = match error_member(&text) {
        Some(raw) => read_value(raw),
        None => UpstreamRefusal { message: text.trim().to_owned(), ..UpstreamRefusal::default() },
    };
    // The code is a word of our own.
    let code = refusal.code.clone();
    UpstreamRefusal { code, ..refusal.answered(status) }
}

/// An error where an answer belongs (§3.7): the embedded status decides what the caller gets.
pub(super) fn in_band(raw: &str) -> UpstreamError {
    let refusal = read_value(raw);
    let code = refusal.code.clone();
    UpstreamError::Refused(Box::new(UpstreamRefusal { code, ..refusal.embedded() }))
}

/// The `error` of a body. Without `alt=sse` Google wraps it in an array.
pub(super) fn error_member(text: &str) -> Option<&str> {
    let text = text.trim();
    let inside = match text.starts_with('[') {
        true => serde_json::from_str::<Vec<&RawValue>>(text).ok()?.first()?.get(),
        false => text,
    };
    if !inside.starts_with('{') {
        return None;
    }
    serde_json::from_str::<Envelope<'_>>(inside).ok()?.error.map(RawValue::get)
}

fn read_value(raw: &str) -> UpstreamRefusal {
    let Ok(members) = serde_json::from_str::<Members<'_>>(raw) else {
        let message = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
        return UpstreamRefusal { message, ..UpstreamRefusal::default() };
    };
    let number = members.code.and_then(|code| code.get().trim_matches('"').parse::<u16>().ok());
    UpstreamRefusal {
        status: number.filter(|status| (400..=599).contains(status)),
        message: members.message.as_deref().unwrap_or(raw).to_owned(),
        code: members.status.as_deref().and_then(code).map(str::to_owned),
        retry_after: members.details.and_then(|details| retry_after(details.get())),
        ..UpstreamRefusal::default()
    }
}

/// The code of a gRPC status (§3.6).
fn code(status: &str) -> Option<&'static str> {
    Some(match status {
        "RESOURCE_EXHAUSTED" => "rate_limit_exceeded",
        "PERMISSION_DENIED" => "permission_denied",
        "UNAUTHENTICATED" => "invalid_api_key",
        "NOT_FOUND" => "model_not_found",
        "UNAVAILABLE" => "overloaded",
        "DEADLINE_EXCEEDED" => "timeout",
        _ => return None,
    })
}

/// The delay of `google.rpc.RetryInfo`, such as `48s` or `1.5s`, in whole seconds rounded up.
fn retry_after(details: &str) -> Option<Duration> {
    let details = serde_json::from_str::<Vec<Detail<'_>>>(details).ok()?;
    let delay = details.into_iter().find_map(|detail| detail.retry_delay)?;
    let (seconds, rest) = delay.strip_suffix('s').map(|bare| bare.split_once('.').unwrap_or((bare, "")))?;
    let seconds = u64::from(seconds.parse::<u32>().ok()?);
    let has_more = rest.bytes().any(|byte| byte != b'0');
    Some(Duration::from_secs(seconds + u64::from(has_more)).min(UpstreamRefusal::LONGEST_WAIT))
}
