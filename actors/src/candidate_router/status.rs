//! Where a target stands, and why.

use std::time::Duration;

use derive_more::{Display, Error};

use super::outcome::AttemptFailure;

/// Why a target is cooling or unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The upstream answered 401.
    UpstreamAuthFailure,
    /// The upstream answered 408.
    UpstreamRequestTimeout,
    /// The upstream answered 429.
    UpstreamRateLimited,
    /// The upstream answered 5xx.
    UpstreamServerError,
    /// The upstream answered another status that cools.
    UpstreamStatusFailure,
    /// No answer in time.
    RequestTimeout,
    /// No connection, or a broken one.
    TransportError,
    /// An answer that could not be read.
    UpstreamDecodeError,
    /// An error inside an answer that had begun.
    UpstreamInBandError,
    /// A background check failed.
    BackgroundCheckFailed,
    /// A background check failed in a way that is not to count.
    IgnoredTransientError,
}

impl Reason {
    /// All reasons, in the order of their codes.
    const ALL: [Self; 11] = [
        Self::UpstreamAuthFailure,
        Self::UpstreamRequestTimeout,
        Self::UpstreamRateLimited,
        Self::UpstreamServerError,
        Self::UpstreamStatusFailure,
        Self::RequestTimeout,
        Self::TransportError,
        Self::UpstreamDecodeError,
        Self::UpstreamInBandError,
        Self::BackgroundCheckFailed,
        Self::IgnoredTransientError,
    ];

    /// Returns the token in the status documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpstreamAuthFailure => "upstream_auth_failure",
            Self::UpstreamRequestTimeout => "upstream_request_timeout",
            Self::UpstreamRateLimited => "upstream_rate_limited",
            Self::UpstreamServerError => "upstream_server_error",
            Self::UpstreamStatusFailure => "upstream_status_failure",
            Self::RequestTimeout => "request_timeout",
            Self::TransportError => "transport_error",
            Self::UpstreamDecodeError => "upstream_decode_error",
            Self::UpstreamInBandError => "upstream_in_band_error",
            Self::BackgroundCheckFailed => "background_check_failed",
            Self::IgnoredTransientError => "ignored_transient_error",
        }
    }

    /// Returns the reason of that code.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

impl From<AttemptFailure> for Reason {
    fn from(failure: AttemptFailure) -> Self {
        match failure {
            AttemptFailure::Status(401) => Self::UpstreamAuthFailure,
            AttemptFailure::Status(408) => Self::UpstreamRequestTimeout,
            AttemptFailure::Status(429) => Self::UpstreamRateLimited,
            AttemptFailure::Status(500..=599) => Self::UpstreamServerError,
            AttemptFailure::Status(_) => Self::UpstreamStatusFailure,
            AttemptFailure::Timeout => Self::RequestTimeout,
            AttemptFailure::Transport => Self::TransportError,
            AttemptFailure::Decode => Self::UpstreamDecodeError,
            AttemptFailure::InBand(_) => Self::UpstreamInBandError,
        }
    }
}

/// Whether a target is preferred, a second choice, or none: what a plan made at this moment takes it for.
///
/// So one whose cooldown has run out is healthy again for an operator too, and cools (without an end that is known) while
/// an attempt finds out whether it is: a target that nobody asks for would otherwise look ill for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Preferred.
    Healthy,
    /// Failed a short while ago.
    Cooling,
    /// Failed its background check.
    Unhealthy,
}

impl Condition {
    /// Returns the token in the status documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Cooling => "cooldown",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What a background check of a target came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It answered.
    Passed,
    /// It did not, in a way that is not to count: this status, 408 for no answer in time.
    Ignored(u16),
    /// It did not: this status, 408 for no answer in time; `None` when there was none.
    Failed(Option<u16>),
}

/// Where a target stands, for status pages and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// Its condition.
    pub condition: Condition,
    /// Why it is not healthy, or that its last background check failed in a way that is not to count.
    pub reason: Option<Reason>,
    /// Until when it cools, in Unix time; `None` also while an attempt finds out whether it is well again.
    pub cooldown_until: Option<Duration>,
    /// The status that its last failed background check saw.
    pub last_check_status: Option<u16>,
    /// When it was last checked in the background, in Unix time.
    pub last_checked_at: Option<Duration>,
    /// Failures since the last success that another try might have mended.
    pub consecutive_failures: u32,
    /// How often it began to cool, or cools for longer.
    pub cooled: u64,
    /// Attempts under way.
    pub in_flight: u32,
    /// Moving mean of the latency of successes.
    pub latency: Option<Duration>,
}

/// No target can be tried.
#[derive(Debug, Clone, PartialEq, Eq, Display, Error)]
#[display("every candidate of the model is unavailable")]
pub struct AllUnavailable {
    /// When the first may be tried again; `None` when nothing is known.
    pub retry_after: Option<Duration>,
}
