//! What there is to choose from, and what a choice comes to.

use std::sync::Arc;
use std::time::Duration;

use derive_more::{Display, Error};
use smallvec::SmallVec;

/// How the targets of a group are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// As declared.
    #[default]
    Failover,
    /// In turn, each by its weight (smooth weighted round robin), then on from there.
    RoundRobin,
    /// First one at random by weight, then on from there.
    Weighted,
    /// By a key of the request: the same key meets the same target while it is there.
    ConsistentHash,
    /// The cheapest first.
    LeastCost,
    /// The fastest first, by a moving mean.
    LeastLatency,
    /// The one with the fewest attempts under way by its weight first.
    LeastBusy,
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
            AttemptFailure::InBand(Some(status)) => self.trigger_statuses.contains(&status),
            AttemptFailure::Transport | AttemptFailure::Decode | AttemptFailure::InBand(None) => {
                self.trigger_on_transport
            }
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
    /// How long a failed background check counts; for ever when absent.
    pub check_stale_after: Option<Duration>,
}

/// A target's place in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The target.
    pub target: Arc<Target>,
    /// Its name, which decides where it stands on the ring of [`Strategy::ConsistentHash`].
    pub name: Arc<str>,
    /// Its share among the others; at least 1.
    pub weight: u32,
    /// Higher ones are tried first.
    pub priority: i32,
    /// What requests may ask for it by.
    pub tags: Vec<Box<str>>,
    /// What its tokens cost, in any unit that all members share; unknown ones come last.
    pub cost: Option<u64>,
}

impl Member {
    /// A member of weight 1 and priority 0, without tags or a cost.
    pub fn new(target: Arc<Target>, name: Arc<str>) -> Self {
        Self { target, name, weight: 1, priority: 0, tags: Vec::new(), cost: None }
    }
}

/// The targets of one model; a direct model is a group of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The model's id.
    pub id: Arc<str>,
    /// How the targets are ordered.
    pub strategy: Strategy,
    /// The targets as declared.
    pub members: Vec<Member>,
    /// How many targets after the first may be tried; all of them when absent.
    pub max_fallbacks: Option<u32>,
    /// What to do when every target is unhealthy.
    pub when_all_unavailable: WhenAllUnavailable,
}

/// Which members of a group a request may go to, by their places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Eligible {
    /// All of them.
    #[default]
    All,
    /// Those whose bit is set; bit `n % 64` of word `n / 64` is member `n`.
    Some(SmallVec<[u64; 2]>),
}

/// What a request adds to the choice among a group's targets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteContext {
    /// Where it may go.
    pub eligible: Eligible,
    /// What [`Strategy::ConsistentHash`] goes by; see [`hash_key`].
    pub key: u64,
}

impl Eligible {
    /// Those members for which `keep` holds, of those that were eligible.
    #[must_use]
    pub fn only(self, count: usize, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut words: SmallVec<[u64; 2]> = SmallVec::from_elem(0, count.div_ceil(64));
        for index in (0..count).filter(|index| self.has(*index)) {
            words[index / 64] |= u64::from(keep(index)) << (index % 64);
        }
        Self::Some(words)
    }

    /// Whether a member may be asked.
    pub fn has(&self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(words) => words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1),
        }
    }

    /// Whether there is no member that may be asked.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Some(words) if words.iter().all(|word| *word == 0))
    }
}

impl Group {
    /// A group; its members are in the order of declaration.
    pub fn new(id: Arc<str>, strategy: Strategy, members: Vec<Member>) -> Self {
        Self { id, strategy, members, max_fallbacks: None, when_all_unavailable: WhenAllUnavailable::Fail }
    }

    /// Returns how many targets may be tried.
    pub(super) fn reach(&self) -> usize {
        let later = self.max_fallbacks.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        later.saturating_add(1)
    }
}

/// The key of a request on the ring of [`Strategy::ConsistentHash`], the same in every process and version.
pub fn hash_key(text: &str) -> u64 {
    // 64-bit FNV-1a, finalised with splitmix64.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut mixed = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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
    /// An error inside an answer that had begun, and its status where it names one.
    InBand(Option<u16>),
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
    /// Why it is not healthy.
    pub reason: Option<Reason>,
    /// Until when it cools, in Unix time.
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
