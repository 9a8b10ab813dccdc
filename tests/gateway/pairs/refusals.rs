//! Each recorded error answer, in the envelope of each caller (§3.6).

use std::time::Duration;

use aisix::dialect::{Dialect, codec};
use aisix::envelope::Envelope;
use aisix::error::GatewayError;
use serde_json::Value;

use super::asked::text_of;
use super::assert_none;
use super::corpus::{Recording, recordings};

/// The provider's kind of error, and the code for it.
const ANTHROPIC: [(&str, &str); 6] = [
    ("authentication_error", "invalid_api_key"),
    ("permission_error", "permission_denied"),
    ("not_found_error", "model_not_found"),
    ("request_too_large", "request_too_large"),
    ("rate_limit_error", "rate_limit_exceeded"),
    ("overloaded_error", "overloaded"),
];
/// The same for Google's statuses.
const GOOGLE: [(&str, &str); 6] = [
    ("RESOURCE_EXHAUSTED", "rate_limit_exceeded"),
    ("PERMISSION_DENIED", "permission_denied"),
    ("UNAUTHENTICATED", "invalid_api_key"),
    ("NOT_FOUND", "model_not_found"),
    ("UNAVAILABLE", "overloaded"),
    ("DEADLINE_EXCEEDED", "timeout"),
];
/// The type in Anthropic's envelope, by status (§3.3).
const ANTHROPIC_TYPES: [(u16, &str); 9] = [
    (400, "invalid_request_error"),
    (422, "invalid_request_error"),
    (401, "authentication_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (408, "timeout_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (503, "overloaded_error"),
];

/// The recorded errors.
pub fn errors(all: &[Recording]) -> impl Iterator<Item = &Recording> {
    all.iter().filter(|recording| recording.status >= 400)
}

/// The envelope of a caller's dialect.
pub fn envelope(caller: Dialect) -> Envelope {
    match caller {
        Dialect::OpenAiResponses => Envelope::Responses,
        Dialect::Anthropic => Envelope::Anthropic,
        Dialect::Gemini => Envelope::Google,
        _ => Envelope::OpenAi,
    }
}

/// A recorded error as a caller gets it: its status and body.
pub fn refused(recording: &Recording, status: u16, caller: Dialect) -> (u16, Value) {
    let retry_after = recording.retry_after.map(Duration::from_secs);
    let error = codec::refusal(recording.dialect, status, retry_after, recording.body.as_bytes());
    let error = GatewayError::from(error.tidied(None));
    let body = envelope(caller).body(&error);
    (error.status(), serde_json::from_slice(&body).expect("JSON"))
}

#[test]
fn every_recorded_error_is_told_to_every_caller_in_its_envelope() {
    let (all, mut problems, mut count) = (recordings(), Vec::new(), 0);
    for recording in errors(&all) {
        for caller in Dialect::CALLERS {
            count += 1;
            let place = format!("{} to {caller:?}", recording.id);
            let mut check = |what: &str, wanted: &Value, found: &Value| {
                if wanted != found {
                    problems.push(format!("{place}: {what}: wanted {wanted}, found {found}"));
                }
            };
            let said = Said::of(recording);
            let (status, body) = refused(recording, recording.status, caller);
            check("status", &recording.status.into(), &status.into());
            check("body", &said.body(recording.status, caller), &body);
            // The same answer as a failure of the provider's own: nothing of its words.
            let (status, body) = refused(recording, 503, caller);
            let canned = Said { message: "upstream returned 503".into(), ..Said::default() };
            check("status of 503", &502.into(), &status.into());
            check("body of 503", &canned.body(502, caller), &body);
        }
    }
    assert_none(&problems, count);
}

/// What a provider said, in the words of the specification.
#[derive(Default)]
struct Said {
    message: Value,
    param: Option<Value>,
    code: Option<Value>,
}

impl Said {
    fn of(recording: &Recording) -> Self {
        let body: Value = serde_json::from_str(&recording.body).expect("recorded errors are JSON");
        let body = if body.is_array() { &body[0] } else { &body };
        let error = if body["error"].is_null() { body } else { &body["error"] };
        let message = error["message"].as_str().or(error.as_str()).unwrap_or_default();
        let table = |table: &[(&str, &str)], kind: &Value| {
            table.iter().find(|(name, _)| *name == text_of(kind)).map(|(_, code)| (*code).into())
        };
        let code = match recording.dialect {
            Dialect::Anthropic => table(&ANTHROPIC, &error["type"]),
            Dialect::Gemini => table(&GOOGLE, &error["status"]),
            // xAI's code stands beside an error that is only words.
            Dialect::OpenAiResponses if error.is_string() => Some(body["code"].clone()),
            _ => Some(error["code"].clone()).filter(Value::is_string),
        };
        Self { message: message.into(), param: Some(error["param"].clone()).filter(Value::is_string), code }
    }

    fn body(&self, status: u16, caller: Dialect) -> Value {
        let mut body = Value::Null;
        let error = &mut body["error"];
        error["message"] = self.message.clone();
        match caller {
            Dialect::Anthropic => {
                let kind = ANTHROPIC_TYPES.iter().find(|(known, _)| *known == status);
                error["type"] = kind.map_or("api_error", |(_, kind)| kind).into();
                body["type"] = "error".into();
            }
            Dialect::Gemini => {
                error["code"] = status.into();
                error["status"] = google_status(status).into();
            }
            _ => {
                error["type"] = "upstream_error".into();
                for (name, value) in [("param", &self.param), ("code", &self.code)] {
                    if let Some(value) = value {
                        error[name] = value.clone();
                    }
                }
            }
        }
        body
    }
}

/// Google's canonical codes for HTTP statuses.
fn google_status(status: u16) -> &'static str {
    match status {
        400 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        _ => "UNAVAILABLE",
    }
}
