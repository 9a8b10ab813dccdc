//! The bodies of errors in each dialect.
//!
//! Shapes, types and words: recorded error answers of each provider.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Refusal;
use crate::dialect::Dialect;

/// OpenAI's code for a prompt that is too long; the others say it in words.
pub(super) const CONTEXT_LENGTH: &str = "context_length_exceeded";
/// OpenAI's code for a prompt that its filter refuses; the others say it in words.
pub(super) const CONTENT_FILTER: &str = "content_filter";

/// The body for a refusal.
pub(super) fn body(refusal: &Refusal, dialect: Dialect) -> Value {
    let status = refusal.status;
    let message = words(refusal, dialect);
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses | Dialect::OpenAi | Dialect::Voyage => {
            let (param, code) = (param(refusal, dialect), refusal.code);
            json!({"error": {"message": message, "type": refusal.r#type, "param": param, "code": code}})
        }
        Dialect::Anthropic => {
            let error = json!({"type": anthropic_type(status), "message": message});
            json!({"type": "error", "error": error, "request_id": "req_mock"})
        }
        Dialect::Gemini => {
            let mut error = json!({"code": status, "message": message, "status": google_status(status)});
            if let Some(wait) = &refusal.wait {
                let kind = "type.googleapis.com/google.rpc.RetryInfo";
                error["details"] = json!([{"@type": kind, "retryDelay": format!("{}s", wait.seconds)}]);
            }
            json!({ "error": error })
        }
        Dialect::Cohere => json!({"id": "mock", "message": message}),
    }
}

/// The member that a refusal is about, as its dialect calls it.
fn param(refusal: &Refusal, dialect: Dialect) -> Option<&'static str> {
    match (refusal.param, dialect) {
        (Some("messages"), Dialect::OpenAiResponses) => Some("input"),
        (param, _) => param,
    }
}

/// The body of an error under status 200, in place of an answer.
pub(in crate::mock) fn in_band_body(dialect: Dialect) -> Bytes {
    let status = if dialect == Dialect::Anthropic { 529 } else { 503 };
    body(&super::with_status(status), dialect).to_string().into()
}

/// The event of an error in the middle of a stream, after so many other events.
///
/// Sources: Anthropic's "Error events" of streams, OpenAI's `error` event of streamed responses, Cohere's `message-end`
/// with `error`; OpenAI's chat and Gemini put the body of an error answer into an event.
pub(in crate::mock) fn in_band_event(dialect: Dialect, before: usize) -> Bytes {
    let message = super::with_status(503).message;
    let (name, data) = match dialect {
        Dialect::Anthropic => ("event: error\n", in_band_body(dialect)),
        Dialect::OpenAiResponses => {
            let error = json!({"type": "error", "code": "server_error", "message": message, "param": null,
                "sequence_number": before});
            ("event: error\n", error.to_string().into())
        }
        Dialect::Cohere => {
            let delta = json!({"error": message, "finish_reason": "ERROR"});
            let end = json!({"type": "message-end", "delta": delta});
            ("event: message-end\n", end.to_string().into())
        }
        Dialect::OpenAiChat | Dialect::OpenAi | Dialect::Voyage | Dialect::Gemini => {
            ("", in_band_body(dialect))
        }
    };
    [name.as_bytes(), b"data: ", &data, b"\n\n"].concat().into()
}

/// The message, where a dialect has words of its own that programs look for.
fn words(refusal: &Refusal, dialect: Dialect) -> String {
    let is_too_long = refusal.code == Some(CONTEXT_LENGTH);
    match dialect {
        Dialect::OpenAiResponses if is_too_long => {
            "Your input exceeds the context window of this model. Please adjust your input and try again."
                .to_owned()
        }
        Dialect::Anthropic if refusal.code == Some(CONTENT_FILTER) => {
            "Output blocked by content filtering policy".to_owned()
        }
        Dialect::Anthropic if is_too_long => "prompt is too long: 17 tokens > 16 maximum".to_owned(),
        Dialect::Gemini if is_too_long => {
            "The input token count (17) exceeds the maximum number of tokens allowed (16).".to_owned()
        }
        Dialect::Cohere if is_too_long => {
            "too many tokens: size limit exceeded by 1 tokens. Try using shorter or fewer inputs.".to_owned()
        }
        Dialect::Anthropic if refusal.status == 529 => "Overloaded".to_owned(),
        _ => refusal.message.to_string(),
    }
}

/// Anthropic API reference, "Errors".
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// `google.rpc.Code`, by the HTTP status that it maps to.
fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        400..=498 => "INVALID_ARGUMENT",
        501 => "UNIMPLEMENTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}
