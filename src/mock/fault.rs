//! The ways in which the mock fails, and when.
//!
//! Each is a failure seen at real providers that a gateway has to come out of in a known way. A fault is a name, so
//! that a model, a header and a command line can all ask for it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use super::draft::Events;
use super::error::{self, Failure};
use super::{MockBody, MockFrame, Then, fingerprint};

/// The number of content events before a stream breaks, where the name does not say it.
const EVENTS_BEFORE_BREAK: usize = 5;
/// The wait before a late answer, where the name does not say it.
const LATE: Duration = Duration::from_secs(20);

/// The names of all faults, each with what it does.
pub const FAULTS: &[(&str, &str)] = &[
    ("<status>", "answers that HTTP status, 400 to 599; 429 with Retry-After: 1"),
    ("reset", "closes the connection before the head"),
    ("stall", "never answers"),
    ("late[-<ms>]", "sends the head at once and the first byte after 20 s"),
    ("cut[-<n>]", "breaks the connection after n content events (5)"),
    ("hang[-<n>]", "falls silent after n content events (5)"),
    ("garbage", "one malformed event in the middle of a stream"),
    ("no-done", "ends a stream without its last word, such as [DONE]"),
    ("no-finish", "ends a stream before the finish reason"),
    ("context-length", "400: the prompt is too long"),
    ("prompt-filter", "400: the prompt is against the content policy"),
    ("content-filter", "stops in the middle with finish reason content_filter"),
    ("no-prefill", "400 when the last message is the assistant's"),
];

/// One way to fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// An error answer with this status.
    Status(u16),
    /// The connection closes before the head.
    Reset,
    /// No answer at all.
    Stall,
    /// The first byte of the body is late by this much.
    Late(Duration),
    /// The connection breaks after so many content events.
    Cut(usize),
    /// Silence after so many content events.
    Hang(usize),
    /// One malformed event.
    Garbage,
    /// No last word: no `[DONE]`, no `message_stop`.
    NoDone,
    /// The stream ends, properly for HTTP, before the finish reason.
    NoFinish,
    /// The prompt is too long.
    ContextLength,
    /// The prompt is refused by a filter.
    PromptFilter,
    /// The answer is stopped by a filter.
    ContentFilter,
    /// A begun answer is refused.
    NoPrefill,
}

/// A name that is no fault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownFault(String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = FAULTS.iter().map(|(name, _)| *name).collect();
        write!(f, "there is no fault \"{}\"; known: {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownFault(name.to_owned());
        if let Ok(status) = name.parse::<u16>() {
            return if (400..600).contains(&status) { Ok(Self::Status(status)) } else { Err(unknown()) };
        }
        let (stem, number) = match name.rsplit_once('-') {
            Some((stem, digits)) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
                (stem, Some(digits.parse::<usize>().map_err(|_| unknown())?))
            }
            _ => (name, None),
        };
        match (stem, number) {
            ("late", number) => Ok(Self::Late(number.map_or(LATE, |ms| Duration::from_millis(ms as u64)))),
            ("cut", number) => Ok(Self::Cut(number.unwrap_or(EVENTS_BEFORE_BREAK))),
            ("hang", number) => Ok(Self::Hang(number.unwrap_or(EVENTS_BEFORE_BREAK))),
            ("reset", None) => Ok(Self::Reset),
            ("stall", None) => Ok(Self::Stall),
            ("garbage", None) => Ok(Self::Garbage),
            ("no-done", None) => Ok(Self::NoDone),
            ("no-finish", None) => Ok(Self::NoFinish),
            ("context-length", None) => Ok(Self::ContextLength),
            ("prompt-filter", None) => Ok(Self::PromptFilter),
            ("content-filter", None) => Ok(Self::ContentFilter),
            ("no-prefill", None) => Ok(Self::NoPrefill),
            _ => Err(unknown()),
        }
    }
}

impl Fault {
    /// The failure, when the fault leaves no answer. `has_prefill` tells whether the caller has begun the answer.
    pub(super) fn instead(self, prompt_tokens: u64, has_prefill: bool) -> Option<Failure> {
        match self {
            Self::Status(status) => Some(error::with_status(status).into()),
            Self::Reset => Some(Failure::Reset),
            Self::Stall => Some(Failure::Stall),
            Self::ContextLength => Some(error::context_length(prompt_tokens).into()),
            Self::PromptFilter => Some(error::prompt_filter().into()),
            Self::NoPrefill => has_prefill.then(|| error::no_prefill().into()),
            Self::Late(_)
            | Self::Cut(_)
            | Self::Hang(_)
            | Self::Garbage
            | Self::NoDone
            | Self::NoFinish
            | Self::ContentFilter => None,
        }
    }

    /// Spoils a stream.
    pub(super) fn spoil_stream(self, events: &mut Events) {
        let Events { frames, content, has_last_word } = events;
        let breaks_at = |after: usize| (content.start + after).min(content.end).saturating_sub(1);
        match self {
            Self::Late(delay) => frames.iter_mut().take(1).for_each(|frame| frame.delay = delay),
            Self::Cut(after) => frames[breaks_at(after)].then = Then::Cut,
            Self::Hang(after) => frames[breaks_at(after)].then = Then::Hang,
            Self::Garbage => {
                let broken = MockFrame::new("data: {\"id\":\"chatcmpl-mock\",\"object\":\"chat.comple\n\n");
                frames.insert((content.start + content.end) / 2, broken);
            }
            Self::NoDone if *has_last_word => drop(frames.pop()),
            Self::NoFinish => frames.truncate(content.end),
            Self::NoDone
            | Self::Status(_)
            | Self::Reset
            | Self::Stall
            | Self::ContextLength
            | Self::PromptFilter
            | Self::ContentFilter
            | Self::NoPrefill => {}
        }
    }

    /// Spoils an answer that is not a stream.
    pub(super) fn spoil_body(self, body: Bytes) -> MockBody {
        let half = body.slice(..body.len() / 2);
        let piece = |bytes, delay, then| MockBody::Stream(vec![MockFrame { delay, bytes, then }]);
        match self {
            Self::Late(delay) => piece(body, delay, Then::Continue),
            Self::Cut(_) => piece(half, Duration::ZERO, Then::Cut),
            Self::Hang(_) => piece(half, Duration::ZERO, Then::Hang),
            Self::Garbage => MockBody::Full(half),
            Self::Status(_)
            | Self::Reset
            | Self::Stall
            | Self::NoDone
            | Self::NoFinish
            | Self::ContextLength
            | Self::PromptFilter
            | Self::ContentFilter
            | Self::NoPrefill => MockBody::Full(body),
        }
    }
}

/// Which requests meet a fault, by their number: repeatable for one seed.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// What goes wrong.
    pub fault: Fault,
    /// The share of requests that fail, 0 to 1.
    pub rate: f64,
    /// Chooses which ones.
    pub seed: u64,
    /// Only the first so many requests may fail.
    pub first: Option<u64>,
    /// So many requests may fail, then as many may not, and so on.
    pub flap: Option<u64>,
}

impl FaultPlan {
    /// The fault for the request of this number, counted from 0.
    pub fn at(&self, number: u64) -> Option<Fault> {
        let over = self.first.is_some_and(|first| number >= first);
        let well = self.flap.is_some_and(|flap| (number / flap.max(1)) % 2 == 1);
        // The upper 53 bits make a uniform number in 0..1.
        let drawn = (fingerprint(self.seed, &number.to_le_bytes()) >> 11) as f64 / (1_u64 << 53) as f64;
        (!over && !well && drawn < self.rate).then_some(self.fault)
    }
}
