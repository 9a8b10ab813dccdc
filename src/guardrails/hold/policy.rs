//! How a stream is held back when several guardrails have a say: the strictest wins (§10.6).

use std::sync::Arc;

use crate::guardrails::{Chain, Guardrail, Hook, OnBufferExceeded, StreamMode};

/// What is held of a stream, from the most lenient to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing: it is only watched, and looked at when it is over.
    EndOfStream,
    /// A window of it.
    Window,
    /// All of it.
    BufferFull,
}

/// How one stream is held back.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What is held.
    pub mode: Mode,
    /// Characters of new text that begin a look.
    pub window: usize,
    /// Characters that stay held, or are looked at again.
    pub overlap: usize,
    /// Most bytes of text that are held.
    pub max_buffer_bytes: usize,
    /// Whether a stream with more goes on.
    pub is_open: bool,
    /// The guardrail that says so.
    pub(super) decisive: Arc<Guardrail>,
}

impl Policy {
    /// The strictest of what those say that judge answers; nothing where there are none.
    #[must_use]
    pub fn of(chain: &Chain) -> Option<Self> {
        chain.at(Hook::Output).map(Self::of_one).reduce(Self::stricter)
    }

    fn of_one(guardrail: &Arc<Guardrail>) -> Self {
        let rules = guardrail.stream;
        let mode = match rules.mode {
            _ if guardrail.is_monitor() => Mode::EndOfStream,
            StreamMode::Window => Mode::Window,
            StreamMode::BufferFull => Mode::BufferFull,
        };
        Self {
            mode,
            window: rules.window,
            overlap: rules.overlap,
            max_buffer_bytes: rules.max_buffer_bytes,
            is_open: rules.on_buffer_exceeded == OnBufferExceeded::FailOpen,
            decisive: guardrail.clone(),
        }
    }

    fn stricter(self, other: Self) -> Self {
        // Those that hold nothing have no say in how much is held.
        match (self.mode, other.mode) {
            (Mode::EndOfStream, mode) if mode != Mode::EndOfStream => return other,
            (mode, Mode::EndOfStream) if mode != Mode::EndOfStream => return self,
            _ => {}
        }
        let is_other = (other.is_open, other.max_buffer_bytes) < (self.is_open, self.max_buffer_bytes);
        Self {
            mode: self.mode.max(other.mode),
            window: self.window.min(other.window),
            overlap: self.overlap.max(other.overlap),
            max_buffer_bytes: self.max_buffer_bytes.min(other.max_buffer_bytes),
            is_open: self.is_open && other.is_open,
            decisive: if is_other { other.decisive } else { self.decisive },
        }
    }
}
