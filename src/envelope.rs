//! The error bodies, and the frames that carry an error inside a stream. Only this file writes them.
//!
//! Shapes: `headers-and-error-codes` of the specification and §3.1–§3.3, §3.8 of the behaviour reference.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use bytes::Bytes;
use derive_more::Display;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::error::{BudgetError, GatewayError, RequestError, UpstreamError};

/// `x-aisix-request-id`: on every response of the proxy.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-aisix-request-id");
/// `x-aisix-call-id`: on every chat-completions response, same value.
pub const CALL_ID: HeaderName = HeaderName::from_static("x-aisix-call-id");
/// `application/json`, ready made.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The shape of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// `{"error": {"message", "type", "param"?, "code"?, …}}`
    OpenAi,
    /// The same; inside a stream `{"type": "error", "code", "message", …}`.
    Responses,
    /// `{"type": "error", "error": {"type", "message"}}`
    Anthropic,
    /// `{"error": {"code", "message", "status"}}`
    Google,
    /// `{"error_msg": "…"}`
    Admin,
}

impl Envelope {
    /// The body for an error of this envelope.
    #[must_use]
    pub fn body(self, error: &GatewayError) -> Bytes {
        let text = error.to_string();
        let body = match self {
            Self::OpenAi | Self::Responses => to_json(&OpenAiBody { error: OpenAiError::new(error, &text) }),
            Self::Google => to_json(&GoogleBody { error: GoogleError::new(error, &text) }),
            Self::Anthropic => to_json(&AnthropicBody {
                r#type: "error",
                error: AnthropicError {
                    r#type: anthropic_type(error.status()),
                    message: &text,
                    details: AnthropicDetails::of(error),
                },
            }),
            Self::Admin => to_json(&AdminBody { error_msg: &text }),
        };
        Bytes::from(body)
    }

    /// The schema of a body.
    pub fn schema(self, generator: &mut SchemaGenerator) -> Schema {
        match self {
            Self::OpenAi | Self::Responses => generator.subschema_for::<OpenAiBody<'_>>(),
            Self::Google => generator.subschema_for::<GoogleBody<'_>>(),
            Self::Anthropic => generator.subschema_for::<AnthropicBody<'_>>(),
            Self::Admin => generator.subschema_for::<AdminBody<'_>>(),
        }
    }

    /// The SSE frame for an error after the 200 has gone out (§3.8). Nothing follows it. `sequence` is its number, in dialects
    /// that count their events.
    #[must_use]
    pub fn stream_frame(self, error: &GatewayError, sequence: u64) -> Bytes {
        let text = error.to_string();
        let r#type = error.kind().openai_type();
        let data = match self {
            Self::OpenAi | Self::Admin => to_json(&OpenAiBody { error: OpenAiError::bare(r#type, &text) }),
            Self::Responses => to_json(&ResponsesEvent {
                r#type: "error",
                code: r#type,
                message: &text,
                param: None,
                sequence_number: sequence,
            }),
            Self::Google => to_json(&GoogleBody { error: GoogleError::new(error, &text) }),
            Self::Anthropic => to_json(&AnthropicBody {
                r#type: "error",
                error: AnthropicError { r#type, message: &text, details: AnthropicDetails::of(error) },
            }),
        };
        let mut frame = Vec::with_capacity(data.len() + 24);
        // Google's streams have no names of events.
        if self != Self::Google {
            frame.extend_from_slice(b"event: error\n");
        }
        frame.extend_from_slice(b"data: ");
        frame.extend_from_slice(&data);
        frame.extend_from_slice(b"\n\n");
        Bytes::from(frame)
    }
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    // These shapes hold only strings and integers, which always serialise.
    serde_json::to_vec(body).unwrap_or_default()
}

/// An error, as the SDKs of OpenAI read it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OpenAiFailure")]
struct OpenAiBody<'a> {
    /// What went wrong.
    error: OpenAiError<'a>,
}

/// What went wrong. A refusal by a budget also says which, and how it stands.
#[derive(Serialize, Default, JsonSchema)]
#[schemars(rename = "OpenAiError")]
struct OpenAiError<'a> {
    /// For people: never compare it.
    message: &'a str,
    /// For programs.
    r#type: &'a str,
    /// The member of the request that is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    /// The case within the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(flatten)]
    budget: Option<BudgetFields<'a>>,
}

/// How the budget stands that refused.
#[derive(Serialize, JsonSchema)]
struct BudgetFields<'a> {
    /// Whose spending the budget limits.
    scope: &'static str,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope_ref: Option<&'a str>,
    /// The limit, in US dollars.
    limit_usd: String,
    /// What is spent, in US dollars.
    spent_usd: String,
    /// The period of the budget.
    period: &'static str,
    /// When the period ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    period_resets_at: Option<&'a str>,
    /// When to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

impl<'a> OpenAiError<'a> {
    fn bare(r#type: &'a str, message: &'a str) -> Self {
        Self { message, r#type, ..Self::default() }
    }

    fn new(error: &'a GatewayError, message: &'a str) -> Self {
        Self {
            message,
            r#type: error.kind().openai_type(),
            param: error.param(),
            code: error.code(),
            budget: budget_fields(error),
        }
    }
}

fn budget_fields(error: &GatewayError) -> Option<BudgetFields<'_>> {
    let GatewayError::Budget(BudgetError::Exceeded(refusal)) = error else { return None };
    Some(BudgetFields {
        scope: refusal.budget.scope.as_str(),
        scope_ref: refusal.budget.scope_ref.as_deref(),
        limit_usd: refusal.budget.limit.to_usd_exact(),
        spent_usd: refusal.spent.to_usd_exact(),
        period: refusal.budget.period.as_str(),
        period_resets_at: refusal.resets_at_rfc3339.as_deref(),
        retry_after_seconds: error.retry_after_secs(),
    })
}

/// An error, as the SDKs of Anthropic read it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AnthropicFailure")]
struct AnthropicBody<'a> {
    /// Always `error`.
    r#type: &'static str,
    /// What went wrong.
    error: AnthropicError<'a>,
}

/// What went wrong.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AnthropicError")]
struct AnthropicError<'a> {
    /// For programs.
    r#type: &'a str,
    /// For people: never compare it.
    message: &'a str,
    /// Where a client has a way out that it finds by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<AnthropicDetails<'a>>,
}

/// What a client of Anthropic's decides by.
#[derive(Serialize, JsonSchema)]
struct AnthropicDetails<'a> {
    /// The case.
    error_code: &'a str,
}

impl<'a> AnthropicDetails<'a> {
    /// A lost thread is begun anew by the official client, with all of the conversation: a provider's as the gateway's.
    fn of(error: &'a GatewayError) -> Option<Self> {
        let error_code = match error {
            GatewayError::Request(RequestError::ThreadUnknown) => "thread_not_found",
            GatewayError::Upstream(UpstreamError::Refused(refusal)) => refusal.error_code.as_deref()?,
            _ => return None,
        };
        Some(Self { error_code })
    }
}

/// An error inside a stream of OpenAI's Responses.
#[derive(Serialize)]
struct ResponsesEvent<'a> {
    r#type: &'static str,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    sequence_number: u64,
}

/// An error, as the SDKs of Google read it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GoogleFailure")]
struct GoogleBody<'a> {
    /// What went wrong.
    error: GoogleError<'a>,
}

/// What went wrong.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GoogleError")]
struct GoogleError<'a> {
    /// The HTTP status.
    code: u16,
    /// For people: never compare it.
    message: &'a str,
    /// For programs: a name of gRPC's.
    status: &'static str,
}

impl<'a> GoogleError<'a> {
    fn new(error: &GatewayError, message: &'a str) -> Self {
        let code = error.status();
        Self { code, message, status: google_status(code) }
    }
}

/// The gRPC status of an HTTP status: Google API design guide, "Errors", and recorded answers.
#[must_use]
pub fn google_status(status: u16) -> &'static str {
    match status {
        400 | 405 | 413 | 415 | 422 | 431 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        400..=499 => "FAILED_PRECONDITION",
        _ => "INTERNAL",
    }
}

/// An error of the Admin API.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminFailure")]
struct AdminBody<'a> {
    /// What went wrong, and where in the request: for people.
    error_msg: &'a str,
}

/// The nested Anthropic type for a status, as the official SDKs map them.
#[must_use]
pub fn anthropic_type(status: u16) -> &'static str {
    match status {
        400 | 422 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        _ => "api_error",
    }
}

/// A failure on its way out: the error, and the envelope of the route that it happened on.
///
/// `ResponseError` never sees the request, so what it needs of it travels here.
#[derive(Debug, Display)]
#[display("{error}")]
pub struct Failure {
    /// What went wrong.
    pub error: GatewayError,
    /// The envelope of the route.
    pub envelope: Envelope,
    /// The request id, where one was resolved.
    pub request_id: Option<HeaderValue>,
    /// Whether the answer also carries `x-aisix-call-id`.
    pub is_call: bool,
}

impl Failure {
    /// A failure outside of any exchange.
    pub fn new(error: impl Into<GatewayError>, envelope: Envelope) -> Self {
        Self { error: error.into(), envelope, request_id: None, is_call: false }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::with_body(self.status_code(), self.envelope.body(&self.error));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(seconds) = self.error.retry_after_secs() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let GatewayError::Request(RequestError::WrongMethod { allowed, .. }) = &self.error
            && let Ok(allowed) = HeaderValue::from_str(allowed)
        {
            headers.insert(ALLOW, allowed);
        }
        if let Some(id) = &self.request_id {
            headers.insert(REQUEST_ID, id.clone());
            if self.is_call {
                headers.insert(CALL_ID, id.clone());
            }
        }
        response.map_into_boxed_body()
    }
}
