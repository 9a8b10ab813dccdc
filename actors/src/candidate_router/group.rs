//! What there is to choose from, and what a choice comes to.

use std::sync::Arc;
use std::time::Duration;

use derive_more::{Display, Error};

/// How the targets of a group are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// As declared.
    #[default]
    Failover,
}

/// What to do when every target is unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenAllUnavailable {
    /// Refuse.
    #[default]
    Fail,
    /// Try them all the same, in order.
    TryAnyway,
}

/// When and for how long a target is not preferred after a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CooldownRule {
    /// Whether failures cool the target at all.
    pub enabled: bool,
    /// How long, when the upstream does not say; zero for not at all.
    pub default: Duration,
    /// The longest that the upstream may ask for.
    pub max: Duration,
    /// Whether the upstream may say how long.
    pub honor_retry_after: bool,
    /// The statuses that cool.
    pub trigger_statuses: Vec<u16>,
    /// Whether a timeout cools.
    pub trigger_on_timeout: bool,
    /// Whether a broken connection or an unreadable answer cools.
    pub trigger_on_transport: bool,
}

impl Default for CooldownRule {
    fn default() -> Self {
        Self {
            enabled: true,
            default: Duration::from_secs(30),
            max: Duration::from_secs(600),
            honor_retry_after: true,
            trigger_statuses: vec![401, 408, 429, 500, 502, 503, 504],
            trigger_on_timeout: true,
            trigger_on_transport: true,
        }
    }
}

impl CooldownRule {
    /// Returns how long a failure cools the target, if it does.
    pub(super) fn ttl(&self, failure: AttemptFailure, retry_after: Option<Duration>) -> Option<Duration> {
        let is_triggered = match failure {
            AttemptFailure::Status(status) => self.trigger_statuses.contains(&status),
            AttemptFailure::Timeout => self.trigger_on_timeout,
            AttemptFailure::Transport | AttemptFailure::Decode => self.trigger_on_transport,
        };
        if !self.enabled || self.default.is_zero() || !is_triggered {
            return None;
        }
        let asked = retry_after.filter(|_| self.honor_retry_after);
        Some(asked.map_or(self.default, |asked| asked.min(self.max))).filter(|ttl| !ttl.is_zero())
    }
}

/// A direct model that can be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The model's id; targets with the same id share their state.
    pub id: Arc<str>,
    /// When it cools.
    pub cooldown: CooldownRule,
}

/// The targets of one model; a direct model is a group of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The model's id.
    pub id: Arc<str>,
    /// How the targets are ordered.
    pub strategy: Strategy,
    /// The targets as declared.
    pub targets: Vec<Arc<Target>>,
    /// How many targets after the first may be tried; all of them when absent.
    pub max_fallbacks: Option<u32>,
    /// What to do when every target is unhealthy.
    pub when_all_unavailable: WhenAllUnavailable,
}

impl Group {
    /// Returns how many targets may be tried.
    pub(super) fn reach(&self) -> usize {
        let later = self.max_fallbacks.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        later.saturating_add(1)
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The upstream answered.
    Succeeded {
        /// Time to the answer, or to the first chunk of a stream.
        latency: Duration,
    },
    /// It did not.
    Failed {
        /// How.
        failure: AttemptFailure,
        /// What the upstream said of when to come back.
        retry_after: Option<Duration>,
    },
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptFailure {
    /// An HTTP status that is no success.
    Status(u16),
    /// No answer in time.
    Timeout,
    /// No connection, or a broken one.
    Transport,
    /// An answer that could not be read.
    Decode,
}

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
    /// A background check failed.
    BackgroundCheckFailed,
}

impl Reason {
    /// All reasons, in the order of their codes.
    const ALL: [Self; 9] = [
        Self::UpstreamAuthFailure,
        Self::UpstreamRequestTimeout,
        Self::UpstreamRateLimited,
        Self::UpstreamServerError,
        Self::UpstreamStatusFailure,
        Self::RequestTimeout,
        Self::TransportError,
        Self::UpstreamDecodeError,
        Self::BackgroundCheckFailed,
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
            Self::BackgroundCheckFailed => "background_check_failed",
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
        }
    }
}

/// Whether a target is preferred, a second choice, or none.
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

/// Where a target stands, for status pages and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// Its condition.
    pub condition: Condition,
    /// Why it is not healthy.
    pub reason: Option<Reason>,
    /// Until when it cools, in Unix time.
    pub cooldown_until: Option<Duration>,
    /// The status that its last failed background check saw.
    pub last_check_status: Option<u16>,
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
