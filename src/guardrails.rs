//! Guardrails: what may be asked and answered, judged by rules of the operator. Pure: no `await`, no clock, no socket.
//!
//! A request is governed by a [`Chain`], chosen from the snapshot by who asks for which model. A [`screening::Screening`]
//! runs the chain over texts, one member after the other: each is allowed, blocked, or masked. Whoever runs it asks the
//! judges that are elsewhere. Where the texts of a body are, is for [`slots`]; [`hold`] does the same for a stream.

use std::sync::Arc;
use std::time::Duration;

use aisix_actors::provider_pool::TlsProfileId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::snapshot::DefaultHeaders;

pub mod audit;
pub mod chain;
pub mod hold;
pub mod keyword;
pub mod opaque;
pub mod passage;
pub mod pii;
pub mod screening;
pub mod slots;
pub mod webhook;

pub use chain::{Attachment, Chain, Guardrails, Scope};

/// Where in an exchange a guardrail judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// What the caller sends.
    Input,
    /// What the provider answers.
    Output,
}

impl Hook {
    /// The name in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// Which texts a guardrail judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookPoint {
    /// What callers send.
    Input,
    /// What providers answer.
    Output,
    /// Both.
    #[default]
    Both,
}

impl HookPoint {
    /// Whether it takes part in a hook.
    #[must_use]
    pub fn covers(self, hook: Hook) -> bool {
        match self {
            Self::Input => hook == Hook::Input,
            Self::Output => hook == Hook::Output,
            Self::Both => true,
        }
    }
}

/// Whether what a guardrail finds has consequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// It blocks and masks.
    #[default]
    Block,
    /// It only records what it would do.
    Monitor,
}

/// What becomes of a stream whose held text outgrows its buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBufferExceeded {
    /// It goes on without being judged.
    FailOpen,
    /// It is blocked.
    #[default]
    FailClosed,
}

/// How much of a stream is judged at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamMode {
    /// A window of text; what has passed goes out while the rest arrives.
    Window,
    /// All of it, before anything goes out.
    #[default]
    BufferFull,
}

/// How a guardrail holds a stream back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRules {
    /// How much is judged at a time.
    pub mode: StreamMode,
    /// Most bytes of text that are held.
    pub max_buffer_bytes: usize,
    /// What becomes of more.
    pub on_buffer_exceeded: OnBufferExceeded,
    /// Characters of new text that begin a look.
    pub window: usize,
    /// Characters that stay held, so that what spans two windows is seen whole.
    pub overlap: usize,
}

/// One guardrail, ready to judge.
#[derive(Debug)]
pub struct Guardrail {
    /// The id.
    pub id: Arc<str>,
    /// The name, which refusals give away.
    pub name: Arc<str>,
    /// Which texts it judges.
    pub hook_point: HookPoint,
    /// Whether input goes on when its judge fails.
    pub fail_open: bool,
    /// Whether output goes on when its judge fails.
    pub output_fail_open: bool,
    /// Whether a failure blocks, whatever else is said.
    pub mandatory: bool,
    /// Whether it has consequences.
    pub enforcement: Enforcement,
    /// How it holds streams back.
    pub stream: StreamRules,
    /// Older ones come first; without it, last.
    pub created_at: Option<Duration>,
    /// A digest of all that its configuration says: other rules have another one.
    pub digest: [u8; 32],
    /// What decides.
    pub judge: Judge,
}

impl Guardrail {
    /// The kind in records and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.judge {
            Judge::Keyword(_) => "keyword",
            Judge::Pii(_) => "pii",
            Judge::Webhook(_) => "webhook",
        }
    }

    /// Whether it only records.
    #[must_use]
    pub fn is_monitor(&self) -> bool {
        self.enforcement == Enforcement::Monitor
    }

    /// Whether an exchange goes on when the judge fails.
    #[must_use]
    pub fn tolerates_failure(&self, hook: Hook) -> bool {
        let is_open = match hook {
            Hook::Input => self.fail_open,
            Hook::Output => self.output_fail_open,
        };
        self.is_monitor() || (is_open && !self.mandatory)
    }
}

/// What decides about texts.
#[derive(Debug)]
pub enum Judge {
    /// Words and patterns that are not to occur.
    Keyword(keyword::Keywords),
    /// Personal data and credentials.
    Pii(pii::Pii),
    /// Somebody else, over HTTP.
    Webhook(Arc<Webhook>),
}

/// A judge over HTTP.
#[derive(Debug)]
pub struct Webhook {
    /// Where it is asked.
    pub url: Arc<str>,
    /// What every request to it carries.
    pub headers: DefaultHeaders,
    /// Longest wait; zero times out at once.
    pub timeout: Duration,
    /// Most bytes of text that it is sent.
    pub max_text_bytes: usize,
    /// Whom to trust.
    pub tls: TlsProfileId,
}

/// Why a judge that is elsewhere gave no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No answer in time, or no connection.
    Timeout,
    /// It answered 5xx.
    ServerError,
    /// It answered 429.
    Throttled,
    /// It answered otherwise, or what cannot be used; or there is more text than it may be sent.
    Config,
    /// The stream outgrew its buffer before it could be judged.
    BufferExceeded,
}

impl Failure {
    /// The name in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "webhook_timeout",
            Self::ServerError => "webhook_5xx",
            Self::Throttled => "webhook_throttled",
            Self::Config => "webhook_config_error",
            Self::BufferExceeded => "buffer_exceeded",
        }
    }
}

/// The guardrail that refused, and where.
#[derive(Debug, Clone, derive_more::Display)]
#[display("{} blocked by content policy (guardrail '{guardrail}')", subject(*hook))]
pub struct Blocked {
    /// What it refused.
    pub hook: Hook,
    /// Its name.
    pub guardrail: Arc<str>,
}

impl std::error::Error for Blocked {}

fn subject(hook: Hook) -> &'static str {
    match hook {
        Hook::Input => "request",
        Hook::Output => "response",
    }
}
