//! Failures of the mock, in its provider's words.
//!
//! These are an upstream's errors, what a gateway has to understand; they never pass for the gateway's own. What went
//! wrong is decided first, and put into the words and the shape of a dialect afterwards ([`shape`]).

mod shape;

pub(super) use self::shape::{in_band_body, in_band_event};

use std::borrow::Cow;

use super::{MockBody, MockReply, RetryAfter, UnknownFault};
use crate::dialect::Dialect;

const INVALID_REQUEST: &str = "invalid_request_error";

/// Why there is no answer.
pub(super) enum Failure {
    /// An error answer.
    Refused(Refusal),
    /// Nothing is ever sent.
    Stall,
    /// The connection closes.
    Reset,
}

/// An error answer before it has a shape; its words and names are OpenAI's.
pub(super) struct Refusal {
    status: u16,
    message: Cow<'static, str>,
    r#type: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
    wait: Option<Wait>,
}

/// When to come back.
struct Wait {
    seconds: u32,
    /// As the header says it.
    header: String,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Failure {
    /// The answer, or the absence of one, in a dialect.
    pub(super) fn reply(self, dialect: Dialect) -> MockReply {
        match self {
            Self::Refused(refusal) => refusal.reply(dialect),
            Self::Stall => MockReply::without_head(MockBody::Stall),
            Self::Reset => MockReply::without_head(MockBody::Reset),
        }
    }
}

impl Refusal {
    /// The answer in a dialect.
    fn reply(self, dialect: Dialect) -> MockReply {
        let mut answer = MockReply::full(self.status, shape::body(&self, dialect).to_string());
        if let Some(wait) = self.wait {
            answer.headers.push(("retry-after", wait.header));
        }
        answer
    }
}

fn invalid_request(message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal {
        status: 400,
        message: message.into(),
        r#type: INVALID_REQUEST,
        param: None,
        code: None,
        wait: None,
    }
}

/// A 400 about one member of the request.
pub(super) fn invalid(
    param: &'static str,
    code: &'static str,
    message: impl Into<Cow<'static, str>>,
) -> Refusal {
    Refusal { param: Some(param), code: Some(code), ..invalid_request(message) }
}

/// A 400 about a member that is not there.
pub(super) fn missing(param: &'static str) -> Refusal {
    invalid(param, "missing_required_parameter", format!("Missing required parameter: '{param}'."))
}

/// A 400 about a body that is not a JSON object.
pub(super) fn unreadable() -> Refusal {
    invalid_request("We could not parse the JSON body of your request. The API expects a JSON object.")
}

/// A 400 about a body that is not what its dialect has.
pub(super) fn unfitting(message: String) -> Refusal {
    invalid_request(message)
}

/// The 404 for an operation that the mock does not have.
pub(super) fn unknown_path(method: &str, path: &str) -> Refusal {
    Refusal { status: 404, ..invalid_request(format!("Invalid URL ({method} {path})")) }
}

/// The 400 for the name of a fault that does not exist.
pub(super) fn unknown_fault(unknown: &UnknownFault) -> Refusal {
    invalid("x-mock-fault", "unknown_fault", unknown.to_string())
}

/// The error that goes with a status.
pub(super) fn with_status(status: u16) -> Refusal {
    let (r#type, code, message) = match status {
        401 => (INVALID_REQUEST, Some("invalid_api_key"), "Incorrect API key provided: mock."),
        403 => (INVALID_REQUEST, None, "You are not allowed to sample from this model"),
        404 => (
            INVALID_REQUEST,
            Some("model_not_found"),
            "The model does not exist or you do not have access to it.",
        ),
        503 => ("server_error", None, "The engine is currently overloaded, please try again later"),
        400..=499 => (INVALID_REQUEST, None, "The mock refuses this request, as it was asked to."),
        _ => {
            ("server_error", None, "The server had an error while processing your request. Sorry about that!")
        }
    };
    Refusal { status, message: message.into(), r#type, param: None, code, wait: None }
}

/// The 429 that asks to come back at a time; `now` is in Unix seconds.
pub(super) fn limited(retry_after: RetryAfter, now: u64) -> Refusal {
    let seconds = retry_after.seconds();
    Refusal {
        status: 429,
        message: format!("Rate limit reached for requests. Please try again in {seconds}s.").into(),
        r#type: "requests",
        param: None,
        code: Some("rate_limit_exceeded"),
        wait: Some(Wait { seconds, header: retry_after.header(now) }),
    }
}

/// The 400 for a prompt longer than the model's context.
pub(super) fn context_length(prompt_tokens: u64) -> Refusal {
    let message = format!(
        "This model's maximum context length is 16 tokens. However, your messages resulted in {prompt_tokens} tokens. \
         Please reduce the length of the messages."
    );
    invalid("messages", shape::CONTEXT_LENGTH, message)
}

/// The 400 for a prompt that a content policy refuses.
pub(super) fn prompt_filter() -> Refusal {
    invalid(
        "prompt",
        shape::CONTENT_FILTER,
        "The response was filtered due to the prompt triggering a content policy.",
    )
}

/// The 400 of a model that does not continue an answer that was begun for it.
pub(super) fn no_prefill() -> Refusal {
    let message = "This model does not support assistant message prefill. \
                   The conversation must end with a user message.";
    invalid("messages", "invalid_value", message)
}
