//! The one table from a failure to its status, types and code.

use std::time::Duration;

use super::{AccessError, AdminError, BudgetError, Fault, GatewayError, RequestError, UpstreamError};

macro_rules! kinds {
    ($(#[doc = $doc:literal] $kind:ident: $status:literal, $type:literal, $code:expr;)*) => {
        /// Every failure by name: one row each of status, types and code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $doc] $kind,)*
        }

        impl Kind {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Status, OpenAI type, and the code where it is fixed.
            #[must_use]
            pub const fn row(self) -> (u16, &'static str, Option<&'static str>) {
                match self { $(Self::$kind => ($status, $type, $code),)* }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$kind => $doc.trim_ascii(),)* }
            }
        }
    };
}

kinds! {
    /// The request cannot be used.
    InvalidRequest: 400, "invalid_request_error", None;
    /// The body is too large.
    TooLarge: 413, "invalid_request_error", None;
    /// The body is too slow.
    RequestTimeout: 408, "invalid_request_error", Some("request_timeout");
    /// The headers are too large.
    HeadTooLarge: 431, "invalid_request_error", Some("headers_too_large");
    /// No such path.
    UnknownPath: 404, "invalid_request_error", Some("unknown_url");
    /// No such method on that path.
    WrongMethod: 405, "invalid_request_error", Some("method_not_allowed");
    /// No credential, or an unknown one.
    InvalidApiKey: 401, "invalid_api_key", None;
    /// The key has expired.
    ApiKeyExpired: 401, "invalid_api_key", Some("api_key_expired");
    /// The key is switched off.
    ApiKeyDisabled: 401, "invalid_api_key", Some("api_key_disabled");
    /// Too many failures to authenticate.
    AuthThrottled: 429, "rate_limit_exceeded", Some("auth_throttled");
    /// The key may not use the model.
    PermissionDenied: 403, "permission_denied", None;
    /// The model may not be called from there.
    IpRestricted: 403, "permission_denied", Some("ip_restricted");
    /// No such model.
    ModelNotFound: 404, "model_not_found", None;
    /// A rate limit.
    RateLimitExceeded: 429, "rate_limit_exceeded", None;
    /// A budget.
    BudgetExceeded: 429, "billing_error", Some("budget_exceeded");
    /// A model without a price under a hard budget.
    Unpriced: 429, "billing_error", Some("model_unpriced");
    /// Charges cannot be recorded under a hard budget.
    Unkept: 429, "billing_error", Some("budget_unavailable");
    /// A guardrail.
    ContentFilter: 422, "content_filter", None;
    /// The provider refused.
    UpstreamError: 502, "upstream_error", None;
    /// The provider refused inside its stream.
    UpstreamInBandError: 502, "upstream_in_band_error", None;
    /// The provider took too long.
    Timeout: 504, "timeout", None;
    /// No connection to the provider.
    TransportError: 502, "transport_error", None;
    /// The provider's answer cannot be read.
    UpstreamDecodeError: 502, "upstream_decode_error", None;
    /// The provider's stream broke off.
    StreamAborted: 502, "stream_aborted", None;
    /// The provider has no such operation.
    NotImplemented: 501, "not_implemented", None;
    /// The provider key cannot serve.
    ProviderUnavailable: 503, "provider_unavailable", None;
    /// Every candidate is out.
    AllCandidatesUnavailable: 503, "all_candidates_unavailable", None;
    /// A bug of the gateway.
    Internal: 500, "api_error", Some("internal_error");
    /// An administrator's payload.
    AdminInvalid: 400, "invalid_request_error", None;
    /// An administrator's credential.
    AdminUnauthorized: 401, "invalid_api_key", None;
    /// No such resource.
    ResourceNotFound: 404, "resource_not_found", None;
    /// A resource in the way.
    ResourceConflict: 409, "resource_conflict", None;
    /// A payload that is no JSON.
    UnsupportedMediaType: 415, "invalid_request_error", None;
    /// The store.
    StoreFailed: 500, "store_error", None;
}

impl Kind {
    /// The OpenAI `error.type`, also the label in metrics and records.
    #[must_use]
    pub const fn openai_type(self) -> &'static str {
        self.row().1
    }
}

/// When to come back, where nothing better is known of an unavailable group (decision 3), in seconds.
const UNAVAILABLE_RETRY_SECS: u64 = 30;

/// When to come back while charges cannot be recorded: as often as the journal tries again.
const UNKEPT_RETRY_SECS: u64 = 1;

impl GatewayError {
    /// The row of the table.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Request(error) => match error {
                RequestError::Invalid { .. } | RequestError::Malformed | RequestError::ThreadUnknown => {
                    Kind::InvalidRequest
                }
                RequestError::TooLarge { .. } => Kind::TooLarge,
                RequestError::Late { .. } | RequestError::HeadLate => Kind::RequestTimeout,
                RequestError::HeadTooLarge => Kind::HeadTooLarge,
                RequestError::UnknownPath { .. } => Kind::UnknownPath,
                RequestError::WrongMethod { .. } => Kind::WrongMethod,
            },
            Self::Access(error) => match error {
                AccessError::MissingKey | AccessError::UnknownKey => Kind::InvalidApiKey,
                AccessError::ExpiredKey => Kind::ApiKeyExpired,
                AccessError::DisabledKey => Kind::ApiKeyDisabled,
                AccessError::Throttled { .. } => Kind::AuthThrottled,
                AccessError::UnknownModel(_) | AccessError::UnknownProvider(_) => Kind::ModelNotFound,
                AccessError::ModelNotAllowed(_) | AccessError::ProviderNotAllowed(_) => {
                    Kind::PermissionDenied
                }
                AccessError::AddressNotAllowed(_) => Kind::IpRestricted,
            },
            Self::Limit(_) | Self::Uncounted => Kind::RateLimitExceeded,
            Self::Budget(BudgetError::Exceeded(_)) => Kind::BudgetExceeded,
            Self::Budget(BudgetError::Unpriced { .. }) => Kind::Unpriced,
            Self::Budget(BudgetError::Unkept) => Kind::Unkept,
            Self::Policy(_) => Kind::ContentFilter,
            Self::Upstream(error) => error.kind(),
            Self::Fault(fault) => match fault {
                Fault::NotImplemented { .. } => Kind::NotImplemented,
                Fault::ProviderUnavailable(_) | Fault::ProviderBusy(_) => Kind::ProviderUnavailable,
                Fault::AllUnavailable { .. } => Kind::AllCandidatesUnavailable,
                Fault::Panic => Kind::Internal,
            },
            Self::Admin(error) => match error {
                AdminError::Unauthorized => Kind::AdminUnauthorized,
                AdminError::NotFound | AdminError::NobodyCalled(_) => Kind::ResourceNotFound,
                AdminError::Invalid(_) => Kind::AdminInvalid,
                AdminError::NotJson => Kind::UnsupportedMediaType,
                AdminError::Conflict(_) => Kind::ResourceConflict,
                AdminError::Store(_) => Kind::StoreFailed,
            },
        }
    }

    /// The HTTP status: the provider's own for its 4xx, the table's otherwise.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Upstream(UpstreamError::Refused(refusal)) => refusal.caller_status(),
            _ => self.kind().row().0,
        }
    }

    /// `Retry-After` in whole seconds, where the gateway has a hint.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::Access(AccessError::Throttled { retry_after }) => Some(whole_secs(*retry_after)),
            Self::Limit(refusal) => refusal.0.retry_after.map(whole_secs),
            Self::Budget(BudgetError::Exceeded(refusal)) => refusal.retry_after.map(whole_secs),
            Self::Budget(BudgetError::Unkept) => Some(UNKEPT_RETRY_SECS),
            Self::Upstream(UpstreamError::Refused(refusal)) if refusal.status == Some(429) => {
                refusal.retry_after.map(whole_secs)
            }
            Self::Uncounted | Self::Fault(Fault::ProviderBusy(_)) => Some(1),
            Self::Fault(Fault::AllUnavailable { retry_after, .. }) => {
                Some(retry_after.map_or(UNAVAILABLE_RETRY_SECS, whole_secs))
            }
            _ => None,
        }
    }

    /// The `error.code` of the OpenAI envelope.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Upstream(UpstreamError::Refused(refusal)) => refusal.code.as_deref(),
            _ => self.kind().row().2,
        }
    }

    /// The `error.param` of the OpenAI envelope.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Request(RequestError::Invalid { param, .. }) => *param,
            Self::Upstream(UpstreamError::Refused(refusal)) => refusal.param.as_deref(),
            _ => None,
        }
    }
}

impl UpstreamError {
    /// The row of the table.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(refusal) if refusal.in_band => Kind::UpstreamInBandError,
            Self::Refused(_) => Kind::UpstreamError,
            Self::Unreachable { .. } => Kind::TransportError,
            Self::Late { .. } => Kind::Timeout,
            Self::Undecodable { .. } => Kind::UpstreamDecodeError,
            Self::BrokeOff => Kind::StreamAborted,
        }
    }
}

impl UpstreamError {
    /// The same failure, come after the caller was given a part of the stream (§3.7).
    #[must_use]
    pub fn in_band(mut self) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.in_band = true;
        }
        self
    }
}

fn whole_secs(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1)
}
