//! What is told of one exchange when it closes: a plain value between the pipeline, which knows what happened, and the
//! telemetry, which knows who wants to hear of it.
//!
//! Only the closing of an exchange makes one. It borrows what the exchange has; nothing in it is a prompt, an answer or
//! a credential.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use aisix_actors::rate_limiter::{Dimension, Layer};
use aisix_actors::types::MicroUsd;

use crate::config::snapshot::{ApiKey, Model, Resolved};
use crate::dialect::Usage;
use crate::endpoints::{Answer, Endpoint};
use crate::error::{GatewayError, Kind};
use crate::guardrails::audit::Audit;

/// One exchange, closed.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The row of the table.
    pub endpoint: &'static Endpoint,
    /// The id that every record of this exchange carries.
    pub request_id: &'a str,
    /// Who called.
    pub caller: Option<&'a ApiKey>,
    /// The model that the caller named.
    pub model: Option<&'a Resolved>,
    /// Whether the caller asked for a stream.
    pub is_stream: bool,
    /// What the caller saw, or 499 where it left.
    pub status: u16,
    /// Why it was not answered well.
    pub failure: Option<&'a Failure>,
    /// Every try at a provider, in order; the last one decided.
    pub attempts: &'a [Attempt],
    /// What the answer cost in tokens at the target of the last attempt.
    pub usage: Option<&'a Usage>,
    /// What it cost there in money.
    pub cost: MicroUsd,
    /// How long the recording is that was sent; zero where none was.
    pub audio: Duration,
    /// Events of the provider's stream that could not be read and were left out.
    pub malformed_events: u32,
    /// How the cache took part.
    pub cache: Option<&'a CacheUse>,
    /// What guardrails did.
    pub guard: Option<&'a Audit>,
    /// What admission decided; `None` where it was not asked.
    pub admission: Option<Admission>,
    /// What became of a body that was refused for its size.
    pub drained: Option<Drained>,
    /// How the caller's limits stood at the end.
    pub remaining: Remaining,
    /// Who the caller says that it is.
    pub client: &'a Client,
    /// When what happened.
    pub times: Times,
}

/// When what happened.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The exchange was opened.
    pub opened: Instant,
    /// How long it took until the head of a stream was handed over.
    pub responded: Option<Duration>,
    /// How long it was open.
    pub took: Duration,
}

impl Times {
    /// When it was closed.
    #[must_use]
    pub fn closed(&self) -> Instant {
        self.opened + self.took
    }
}

/// One try at one target.
#[derive(Debug)]
pub struct Attempt {
    /// The target.
    pub target: Arc<Model>,
    /// Which try it is.
    pub kind: AttemptKind,
    /// Whether an earlier target has failed.
    pub is_fallback: bool,
    /// When it began.
    pub started: Instant,
    /// How long it took; `None` while its answer is under way.
    pub took: Option<Duration>,
    /// Whether the provider was asked at all.
    pub is_sent: bool,
    /// When the first event of a stream came.
    pub first_event: Option<Instant>,
    /// Why it failed, and the status that stands for it.
    pub failure: Option<Failure>,
    /// What the provider calls the request.
    pub provider_request_id: Option<HeaderValue>,
    /// What the provider calls the model that answered.
    pub provider_model: Option<Box<str>>,
    /// Why the provider stopped.
    pub finish_reason: Option<&'static str>,
    /// What it delivered of an answer that another target took up, and what that cost.
    pub delivered: Option<(Usage, MicroUsd)>,
}

impl Attempt {
    /// A try that begins now.
    #[must_use]
    pub fn begin(target: &Arc<Model>, kind: AttemptKind, is_fallback: bool) -> Self {
        Self {
            target: Arc::clone(target),
            kind,
            is_fallback,
            started: Instant::now(),
            took: None,
            is_sent: false,
            first_event: None,
            failure: None,
            provider_request_id: None,
            provider_model: None,
            finish_reason: None,
            delivered: None,
        }
    }

    /// It has failed.
    pub fn fail(&mut self, error: &GatewayError) {
        self.took = Some(self.started.elapsed());
        self.failure = Some(Failure::of(error));
    }
}

/// Which try an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptKind {
    /// The first at the first target.
    Initial,
    /// A later one at the same target.
    Retry,
    /// At a later target.
    Fallback,
}

impl AttemptKind {
    /// The name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
        }
    }
}

/// Why something failed, in words that are fit for a log.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The status that the caller saw, or would have seen.
    pub status: u16,
    /// The row of the table of errors.
    pub kind: Kind,
    /// Words for the log: none of a provider's.
    pub words: String,
    /// The rate limit that refused.
    pub limit: Option<(Layer, Dimension)>,
}

impl Failure {
    /// What records say of an error.
    #[must_use]
    pub fn of(error: &GatewayError) -> Self {
        let limit = match error {
            GatewayError::Limit(refusal) => Some((refusal.0.layer.clone(), refusal.0.dimension)),
            _ => None,
        };
        Self { status: error.status(), kind: error.kind(), words: error.for_log(), limit }
    }

    /// The name of its kind in records and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        self.kind.openai_type()
    }
}

/// How the cache took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// Answered from the cache.
    Hit,
    /// Looked up, not there.
    Miss,
    /// The caller asked for a fresh answer.
    Bypass,
}

impl CacheStatus {
    /// The value of `x-aisix-cache`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// What the cache did for a request that a policy covers.
#[derive(Debug, Clone)]
pub struct CacheUse {
    /// How it took part.
    pub status: CacheStatus,
    /// The name of the policy.
    pub policy: Arc<str>,
    /// Input tokens that a hit did not cost.
    pub saved_input: u64,
    /// Output tokens that a hit did not cost.
    pub saved_output: u64,
}

impl CacheUse {
    /// What the cache did under a policy, without a hit.
    #[must_use]
    pub fn of(status: CacheStatus, policy: &Arc<str>) -> Self {
        Self { status, policy: Arc::clone(policy), saved_input: 0, saved_output: 0 }
    }
}

/// What admission decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The key is good.
    Allowed,
    /// There is no usable credential.
    Missing,
    /// Nobody declared the key.
    Unknown,
    /// The key is switched off.
    Disabled,
    /// The key is past its last instant.
    Expired,
}

/// What became of the body of a request that was refused for its declared size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All of it was read and thrown away.
    Completed,
    /// It was too large even for that.
    CapReached,
    /// It did not come in time.
    Timeout,
    /// The connection broke.
    ClientReadError,
}

/// What is left of the caller's limits in this minute; `None` where there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
}

/// Who the caller says that it is.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// Its `User-Agent`, as it came.
    pub user_agent: Option<HeaderValue>,
    /// Its `traceparent`, as it came, where it sent exactly one.
    pub traceparent: Option<HeaderValue>,
}

/// The status that stands for a caller who left.
pub const LEFT: u16 = 499;

/// How long the first event of a stream took.
#[derive(Debug, Clone, Copy)]
pub struct FirstEvent {
    /// From the start of the attempt.
    pub upstream: Duration,
    /// From the start of the exchange.
    pub downstream: Duration,
}

impl Record<'_> {
    /// Whether the caller left before it was answered.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.status == LEFT && self.failure.is_none()
    }

    /// The name of what went wrong.
    #[must_use]
    pub fn error_class(&self) -> Option<&'static str> {
        let left = self.has_left().then_some("client_disconnected");
        self.failure.map(Failure::class).or(left)
    }

    /// How long it took until the response was handed over, for streams its head.
    #[must_use]
    pub fn handed_over(&self) -> Duration {
        self.times.responded.unwrap_or(self.times.took)
    }

    /// How long the first event took, where there was one.
    #[must_use]
    pub fn first_event(&self) -> Option<FirstEvent> {
        let attempt = self.attempts.last()?;
        let at = attempt.first_event?;
        // Where a target went on with what another had begun, the caller has had the first word before.
        let first = self
            .attempts
            .iter()
            .find_map(|attempt| attempt.first_event.filter(|_| attempt.delivered.is_some()));
        Some(FirstEvent {
            upstream: at.saturating_duration_since(attempt.started),
            downstream: first.unwrap_or(at).saturating_duration_since(self.times.opened),
        })
    }

    /// Whether the answer came from a target after the first.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.attempts.last().is_some_and(|attempt| attempt.is_fallback)
    }

    /// Whether usage is told of it: a caller with a good key asked for a provider.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        let asks = matches!(self.endpoint.answer, Answer::Provider | Answer::Tunnel);
        asks && self.admission == Some(Admission::Allowed)
    }
}
