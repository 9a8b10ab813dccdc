//! What an attempt came to, and which failures cool a target.

use std::time::Duration;

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

impl AttemptFailure {
    /// Whether it is of a kind that another try might mend.
    pub(super) fn is_retryable(self) -> bool {
        match self {
            Self::Status(status) | Self::InBand(Some(status)) => {
                status == 429 || !(400..=499).contains(&status)
            }
            Self::Timeout | Self::Transport | Self::Decode | Self::InBand(None) => true,
        }
    }
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
        // To be asked again at once is no wait: it would take the target's cooldown away.
        let asked = retry_after.filter(|asked| self.honor_retry_after && !asked.is_zero());
        Some(asked.map_or(self.default, |asked| asked.min(self.max))).filter(|ttl| !ttl.is_zero())
    }
}
