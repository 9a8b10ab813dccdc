//! What a limit is, whom it binds and how a refusal reads.

use std::sync::Arc;
use std::time::Duration;

use derive_more::{Display, Error, From};

/// The limits of one scope; an absent dimension is unlimited, zero allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second, as a steady rate with a burst of one second's worth.
    pub rps: Option<u64>,
    /// Requests in a minute of the clock.
    pub rpm: Option<u64>,
    /// Requests in an hour of the clock.
    pub rph: Option<u64>,
    /// Requests in a UTC day.
    pub rpd: Option<u64>,
    /// Tokens in a minute of the clock.
    pub tpm: Option<u64>,
    /// Tokens in a UTC day.
    pub tpd: Option<u64>,
    /// Requests in flight at the same time.
    pub concurrency: Option<u32>,
}

impl RateLimit {
    /// Returns whether no dimension is limited.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// Which part of the configuration a limit comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Display)]
#[non_exhaustive]
pub enum Layer {
    /// The caller's key.
    #[display("api_key")]
    ApiKey,
    /// The requested model.
    #[display("model")]
    Model,
    /// A policy.
    #[display("policy")]
    Policy(Arc<PolicyLabel>),
}

/// Which policy: its id for metrics, its name for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyLabel {
    /// The id.
    pub id: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

/// One bucket that a request falls under, with the limits that hold for it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The bucket: a key's id, `model:<id>`, or `policy:…`. Scopes with the same id share their counts.
    pub id: Arc<str>,
    /// Where the limits come from.
    pub layer: Layer,
    /// The limits.
    pub limit: RateLimit,
}

/// The dimension that refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display)]
pub enum Dimension {
    /// Requests a second.
    #[display("requests per second")]
    Rps,
    /// Requests a minute.
    #[display("requests per minute")]
    Rpm,
    /// Requests an hour.
    #[display("requests per hour")]
    Rph,
    /// Requests a day.
    #[display("requests per day")]
    Rpd,
    /// Tokens a minute.
    #[display("tokens per minute")]
    Tpm,
    /// Tokens a day.
    #[display("tokens per day")]
    Tpd,
    /// Requests in flight.
    #[display("concurrent requests")]
    Concurrency,
}

/// A request was refused; nothing was taken from any scope.
#[derive(Debug, Clone, PartialEq, Eq, Display, Error)]
#[display("{}", Self::describe(*dimension, *limit))]
pub struct LimitExceeded {
    /// The layer of the scope that refused.
    pub layer: Layer,
    /// The bucket that refused.
    pub scope: Arc<str>,
    /// The dimension that refused.
    pub dimension: Dimension,
    /// The configured limit.
    pub limit: u64,
    /// What is used and held.
    pub used: u64,
    /// Whole seconds to wait, at least one; `None` when waiting for a clock does not help.
    pub retry_after: Option<Duration>,
}

impl LimitExceeded {
    fn describe(dimension: Dimension, limit: u64) -> String {
        match dimension {
            Dimension::Concurrency => format!("concurrency limit exceeded ({limit} {dimension})"),
            Dimension::Tpm | Dimension::Tpd => format!("token limit exceeded ({limit} {dimension})"),
            Dimension::Rps | Dimension::Rpm | Dimension::Rph | Dimension::Rpd => {
                format!("request limit exceeded ({limit} {dimension})")
            }
        }
    }
}

/// Why a request is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, Display, Error, From)]
pub enum AcquireRefused {
    /// A limit is used up.
    Exceeded(LimitExceeded),
    /// Limits cannot be counted, and the configuration would rather refuse than not count.
    #[display("limits cannot be counted at the moment")]
    #[from(ignore)]
    Uncounted,
    /// The money that was to be set aside is not; nobody but the one who asked for it needs to know.
    #[display("no money is set aside for this request")]
    #[from(ignore)]
    NoHold,
}

impl Dimension {
    /// Returns the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rps => "rps",
            Self::Rpm => "rpm",
            Self::Rph => "rph",
            Self::Rpd => "rpd",
            Self::Tpm => "tpm",
            Self::Tpd => "tpd",
            Self::Concurrency => "concurrency",
        }
    }
}

/// What is used of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Of what.
    pub dimension: Dimension,
    /// The most that is allowed.
    pub limit: u64,
    /// What is used; `None` for a steady rate, which is not counted.
    pub used: Option<u64>,
    /// Tokens held for requests in progress.
    pub held: u64,
    /// Whole seconds until it begins at zero again; `None` for what no clock resets.
    pub resets_in: Option<Duration>,
}

/// Where a scope stands in the current minute, for response headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The limits of the scope.
    pub limit: RateLimit,
    /// Requests admitted in this minute; counted only when `rpm` is limited.
    pub used_requests_minute: u64,
    /// Tokens settled in this minute, without holds; counted only when `tpm` is limited.
    pub used_tokens_minute: u64,
    /// Permits held.
    pub concurrent: u32,
    /// Whole seconds to the next minute of the clock, from 1 to 60.
    pub minute_resets_in: Duration,
}
