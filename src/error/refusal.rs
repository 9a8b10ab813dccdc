//! What a provider said when it refused, and how much of that a caller may read.
//!
//! Its words about a request are the caller's own business; about a failure of its own it may speak of accounts and
//! machines (§3.6).

use std::time::Duration;

use derive_more::Display;

/// What a provider said when it refused.
#[derive(Debug, Clone, Default, Display)]
#[display("{message}")]
pub struct UpstreamRefusal {
    /// The provider's status; `None` where an error inside a stream names none.
    pub status: Option<u16>,
    /// What the caller may read: the provider's words for 4xx, nothing of them otherwise.
    pub message: String,
    /// The member at fault, in the provider's words.
    pub param: Option<String>,
    /// The provider's code.
    pub code: Option<String>,
    /// Anthropic's code in the details of an error, by which its clients find a way out.
    pub error_code: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// Whether it came inside a stream of which the caller has a part already.
    pub in_band: bool,
}

impl UpstreamRefusal {
    /// What the caller gets for the provider's status: 4xx as it is, everything else 502.
    #[must_use]
    pub fn caller_status(&self) -> u16 {
        self.status.filter(|status| (400..=499).contains(status)).unwrap_or(502)
    }

    /// What is left of a refusal that nobody may read.
    #[must_use]
    pub fn hidden(status: Option<u16>) -> Self {
        let message = status.map_or_else(
            || "the provider reported an error in its answer".to_owned(),
            |status| format!("upstream returned {status}"),
        );
        Self { status, message, ..Self::default() }
    }

    /// As the answer with this status: its words, param and codes for 4xx, nothing of the provider's otherwise.
    #[must_use]
    pub fn answered(self, status: u16) -> Self {
        let mut refusal = Self { status: Some(status), ..self }.embedded();
        if refusal.message.is_empty() {
            refusal.message = Self::hidden(Some(status)).message;
        }
        refusal
    }

    /// As an error where an answer belongs (§3.7): the status in it decides what the caller gets.
    #[must_use]
    pub fn embedded(self) -> Self {
        match self.status {
            Some(400..=499) => self,
            status => Self { retry_after: self.retry_after, ..Self::hidden(status) },
        }
    }
}
