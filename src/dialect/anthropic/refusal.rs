//! Errors: what an answer with an error status says, and errors where an answer belongs.

use super::super::json::shape::Json;
use super::wire::{ErrorBlock, ErrorBody, ErrorDetails};
use crate::error::{UpstreamError, UpstreamRefusal};

/// Reads an error answer: words and code for 4xx, nothing of the provider's otherwise.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> UpstreamRefusal {
    let text = String::from_utf8_lossy(body);
    let refusal = match error_value(text.trim()) {
        Some(error) => words(error).1,
        None => UpstreamRefusal { message: text.trim().to_owned(), ..UpstreamRefusal::default() },
    };
    refusal.answered(status)
}

/// The part of an error body that speaks: `error`, or the object itself where its words lie bare; Google wraps either in
/// an array.
fn error_value(text: &str) -> Option<Json<'_>> {
    if text.starts_with('[') {
        let items: Vec<Json<'_>> = serde_json::from_str(text).ok()?;
        return items.first().filter(|item| !item.0.starts_with('[')).and_then(|item| error_value(item.0));
    }
    let body: ErrorBody<'_> = serde_json::from_str(text).ok()?;
    body.error.or(body.message.is_some().then_some(Json(text)))
}

/// An error where an answer belongs: its type tells the status. `error` is the member of that name.
pub(super) fn in_band(error: Json<'_>) -> UpstreamError {
    let (kind, refusal) = words(error);
    let refusal = UpstreamRefusal { status: kind.as_deref().and_then(status), ..refusal };
    UpstreamError::Refused(Box::new(refusal.embedded()))
}

/// Type and words of an `error` value: an object, or only a text.
fn words(error: Json<'_>) -> (Option<String>, UpstreamRefusal) {
    let bare = |message| (None, UpstreamRefusal { message, ..UpstreamRefusal::default() });
    if let Ok(text) = serde_json::from_str::<String>(error.0) {
        return bare(text);
    }
    let Ok(block) = serde_json::from_str::<ErrorBlock<'_>>(error.0) else {
        return bare(error.0.to_owned());
    };
    let kind = block.kind.map(|kind| kind.decode().into_owned());
    let refusal = UpstreamRefusal {
        message: block.message.map_or_else(|| error.0.to_owned(), |message| message.decode().into_owned()),
        code: kind.as_deref().and_then(code).map(str::to_owned),
        error_code: block.details.and_then(error_code),
        ..UpstreamRefusal::default()
    };
    (kind, refusal)
}

/// The code in the details of an error, whatever else they are.
fn error_code(details: Json<'_>) -> Option<String> {
    let details: ErrorDetails<'_> = serde_json::from_str(details.0).ok()?;
    details.code.map(|code| code.decode().into_owned())
}

/// The code that callers get for a type of error.
fn code(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "authentication_error" => "invalid_api_key",
        "permission_error" => "permission_denied",
        "not_found_error" => "model_not_found",
        "request_too_large" => "request_too_large",
        "rate_limit_error" => "rate_limit_exceeded",
        "overloaded_error" => "overloaded",
        _ => return None,
    })
}

/// The status that belongs to a type of error (Anthropic's API reference, "Errors").
fn status(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}
