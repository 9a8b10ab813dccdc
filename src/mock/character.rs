//! What the name of a mock model makes it do.
//!
//! Behaviour by name needs no header and no configuration, so it can be reached through any gateway and any client.

use std::time::Duration;

use super::Fault;

/// The longest text that a model answers with on request.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// The pause between the events of `slow`.
const SLOW_GAP: Duration = Duration::from_millis(50);

/// The names that mean something, each with what it does; any other name behaves like `demo`.
pub const CHARACTERS: &[(&str, &str)] = &[
    ("demo", "answers at once"),
    ("slow", "streams with 50 ms between events"),
    ("echo", "answers with the request that it received"),
    ("words-<n>", "answers with n words"),
    ("fat-<bytes>", "answers with a text of that many bytes"),
    ("bench", "a fixed answer at the least cost, for load tests"),
    ("flaky", "answers 500"),
    ("fail-<status>", "answers that status"),
    ("<fault>", "shows the fault of that name"),
];

/// What a model does beyond answering.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Character {
    /// Talks about the last message.
    Demo,
    /// As `Demo`, with pauses.
    Slow,
    /// Repeats the request.
    Echo,
    /// Says so many words.
    Words(usize),
    /// Says so many bytes.
    Fat(usize),
    /// As `Demo`, with a fault.
    Faulty(Fault),
}

impl Character {
    /// Reads the name of a model.
    pub fn of(model: &str) -> Self {
        let number = |prefix: &str| model.strip_prefix(prefix).and_then(|rest| rest.parse::<usize>().ok());
        match model {
            "slow" => return Self::Slow,
            "echo" => return Self::Echo,
            "flaky" => return Self::Faulty(Fault::Status(500)),
            _ => {}
        }
        if let Some(words) = number("words-") {
            return Self::Words(words.min(MAX_TEXT_BYTES / 8));
        }
        if let Some(bytes) = number("fat-") {
            return Self::Fat(bytes.min(MAX_TEXT_BYTES));
        }
        let fault = model.strip_prefix("fail-").unwrap_or(model);
        fault.parse().map_or(Self::Demo, Self::Faulty)
    }

    /// The fault that comes with the name.
    pub fn fault(self) -> Option<Fault> {
        match self {
            Self::Faulty(fault) => Some(fault),
            Self::Demo | Self::Slow | Self::Echo | Self::Words(_) | Self::Fat(_) => None,
        }
    }

    /// The pause before each event when `usual` is what the server is set to.
    pub fn gap(self, usual: Duration) -> Duration {
        match self {
            Self::Slow => usual.max(SLOW_GAP),
            Self::Demo | Self::Echo | Self::Words(_) | Self::Fat(_) | Self::Faulty(_) => usual,
        }
    }
}
