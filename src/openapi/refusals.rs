//! Where in the course of a request each failure can happen, and how a document tells of it.

use serde_json::{Value, json};

use super::{Access, header, header_if, with_headers};
use crate::envelope::{Envelope, REQUEST_ID};
use crate::error::Kind;

/// A part of a request's course in which it can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before anything is known of it.
    Intake,
    /// Finding out who calls.
    Caller,
    /// Finding out who administers.
    Administrator,
    /// Reading its body.
    Body,
    /// Serving it by a provider.
    Pipeline,
    /// Finding one resource.
    Resource,
    /// Writing to the registry.
    Write,
}

impl Stage {
    /// What everybody goes through who may ask.
    pub(super) fn of(access: Access) -> &'static [Self] {
        match access {
            Access::Public => &[Self::Intake],
            Access::Caller => &[Self::Intake, Self::Caller],
            Access::Administrator => &[Self::Intake, Self::Administrator],
        }
    }
}

/// The stages that a failure can happen in; none where it never reaches the head of an answer.
pub(super) fn stages_of(kind: Kind) -> &'static [Stage] {
    match kind {
        Kind::InvalidRequest | Kind::RequestTimeout => &[Stage::Intake, Stage::Body],
        Kind::HeadTooLarge | Kind::WrongMethod => &[Stage::Intake],
        Kind::TooLarge => &[Stage::Body],
        Kind::InvalidApiKey | Kind::ApiKeyExpired | Kind::ApiKeyDisabled => &[Stage::Caller],
        Kind::AuthThrottled => &[Stage::Caller, Stage::Administrator],
        Kind::AdminUnauthorized => &[Stage::Administrator],
        Kind::PermissionDenied
        | Kind::IpRestricted
        | Kind::ModelNotFound
        | Kind::RateLimitExceeded
        | Kind::BudgetExceeded
        | Kind::Unpriced
        | Kind::Unkept
        | Kind::ContentFilter
        | Kind::UpstreamError
        | Kind::UpstreamInBandError
        | Kind::Timeout
        | Kind::TransportError
        | Kind::UpstreamDecodeError
        | Kind::StreamAborted
        | Kind::NotImplemented
        | Kind::ProviderUnavailable
        | Kind::AllCandidatesUnavailable => &[Stage::Pipeline],
        Kind::Internal => &[Stage::Caller, Stage::Pipeline],
        Kind::ResourceNotFound => &[Stage::Resource],
        Kind::AdminInvalid | Kind::ResourceConflict | Kind::UnsupportedMediaType => &[Stage::Write],
        Kind::StoreFailed => &[Stage::Resource, Stage::Write],
        // A document has no paths but those that are there.
        Kind::UnknownPath => &[],
    }
}

/// The answer of one status in one envelope, for whatever operations share it.
pub(super) fn answer(envelope: Envelope, kinds: &[Kind], schema: &Value) -> Value {
    let lines = kinds.iter().map(|kind| {
        let (_, r#type, code) = kind.row();
        let name = code.map_or_else(String::new, |code| format!(", code `{code}`"));
        match envelope {
            Envelope::OpenAi | Envelope::Responses => format!("* `{}`{name}: {}", r#type, kind.sentence()),
            Envelope::Anthropic | Envelope::Google | Envelope::Admin => format!("* {}", kind.sentence()),
        }
    });
    let answer = json!({
        "description": lines.collect::<Vec<_>>().join("\n"),
        "content": { "application/json": { "schema": schema } },
    });
    let whole = json!({ "type": "integer", "minimum": 1 });
    match kinds.first().map_or(0, |kind| kind.row().0) {
        405 => with_headers(
            answer,
            [("Allow", header("The methods of this path.", &json!({ "type": "string" })))],
        ),
        429 | 503 => with_headers(
            answer,
            [("Retry-After", header_if("Seconds until another try can succeed.", &whole))],
        ),
        _ => answer,
    }
}

/// The header that names a request, on every answer of the proxy.
pub(super) fn request_id() -> (String, Value) {
    let schema = json!({ "type": "string", "minLength": 1 });
    (REQUEST_ID.to_string(), header("Names the request, in logs and records too.", &schema))
}
