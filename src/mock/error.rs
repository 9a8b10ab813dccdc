//! Error answers of the mock, in the provider's words.
//!
//! These are an upstream's errors, what a gateway has to understand; they never pass for the gateway's own.

use serde::Serialize;

use super::{MockReply, UnknownFault};

const INVALID_REQUEST: &str = "invalid_request_error";

#[derive(Serialize)]
struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

fn reply(status: u16, detail: Detail<'_>) -> MockReply {
    let body = serde_json::to_vec(&Body { error: detail }).unwrap_or_default();
    MockReply::full(status, body)
}

/// A 400 about one member of the request.
pub(super) fn invalid(param: &str, code: &str, message: &str) -> MockReply {
    reply(400, Detail { message, r#type: INVALID_REQUEST, param: Some(param), code: Some(code) })
}

/// A 400 about a body that is not a JSON object.
pub(super) fn unreadable() -> MockReply {
    let message = "We could not parse the JSON body of your request. The API expects a JSON object.";
    reply(400, Detail { message, r#type: INVALID_REQUEST, param: None, code: None })
}

/// The 404 for an operation that the mock does not have.
pub(super) fn unknown_path(path: &str) -> MockReply {
    let message = format!("Invalid URL (POST {path})");
    reply(404, Detail { message: &message, r#type: INVALID_REQUEST, param: None, code: None })
}

/// The 400 for the name of a fault that does not exist.
pub fn unknown_fault(unknown: &UnknownFault) -> MockReply {
    invalid("x-mock-fault", "unknown_fault", &unknown.to_string())
}

/// The error that goes with a status; 429 asks to wait one second.
pub(super) fn with_status(status: u16) -> MockReply {
    let (r#type, code, message) = match status {
        401 => (INVALID_REQUEST, Some("invalid_api_key"), "Incorrect API key provided: mock."),
        403 => (INVALID_REQUEST, None, "You are not allowed to sample from this model"),
        404 => (
            INVALID_REQUEST,
            Some("model_not_found"),
            "The model does not exist or you do not have access to it.",
        ),
        429 => (
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached for requests. Please try again in 1s.",
        ),
        503 => ("server_error", None, "The engine is currently overloaded, please try again later"),
        400..=499 => (INVALID_REQUEST, None, "The mock refuses this request, as it was asked to."),
        _ => {
            ("server_error", None, "The server had an error while processing your request. Sorry about that!")
        }
    };
    let mut answer = reply(status, Detail { message, r#type, param: None, code });
    if status == 429 {
        answer.headers.push(("retry-after", "1".into()));
    }
    answer
}

/// The 400 for a prompt longer than the model's context.
pub(super) fn context_length(prompt_tokens: u64) -> MockReply {
    let message = format!(
        "This model's maximum context length is 16 tokens. However, your messages resulted in {prompt_tokens} tokens. \
         Please reduce the length of the messages."
    );
    invalid("messages", "context_length_exceeded", &message)
}

/// The 400 for a prompt that a content policy refuses.
pub(super) fn prompt_filter() -> MockReply {
    invalid(
        "prompt",
        "content_filter",
        "The response was filtered due to the prompt triggering a content policy.",
    )
}

/// The 400 of a model that does not continue an answer that was begun for it.
pub(super) fn no_prefill() -> MockReply {
    let message = "This model does not support assistant message prefill. \
                   The conversation must end with a user message.";
    invalid("messages", "invalid_value", message)
}
