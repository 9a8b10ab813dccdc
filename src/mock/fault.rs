//! The ways in which the mock fails, and when.
//!
//! Each is a failure seen at real providers that a gateway has to come out of in a known way. A fault is a name, so
//! that a model, a header and a command line can all ask for it ([`names`]).

mod names;
mod plan;
mod spoil;

use std::time::{Duration, UNIX_EPOCH};

pub use self::names::{FAULTS, NUMBERS, UnknownFault};
pub use self::plan::FaultPlan;

use super::error::{self, Failure};

/// What a flapping provider answers in its bad times.
const FLAP_STATUS: u16 = 503;

/// One way to fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// An error answer with this status.
    Status(u16),
    /// The same for the first request alone.
    StatusOnce(u16),
    /// A 429 that says when to come back.
    Limited(RetryAfter),
    /// The same for the first request alone.
    LimitedOnce(RetryAfter),
    /// So many requests are answered, then as many get 503, and so on.
    Flap(u64),
    /// Nothing goes wrong.
    Well,
    /// The connection closes before the head.
    Reset,
    /// No answer at all.
    Stall,
    /// The first byte of the body is late by this much.
    Late(Duration),
    /// The first token is late by this much, after what opens the stream.
    LateToken(Duration),
    /// The connection breaks.
    Cut(Place),
    /// Silence for ever.
    Hang(Place),
    /// Silence for this long; then the answer goes on.
    Pause(Place, Duration),
    /// An error in the stream, after a head that promised an answer.
    InBand(Place),
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

/// Where in an answer a fault shows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Place {
    /// The number of tokens (events with content) before it; all of them where the answer has fewer.
    pub after: usize,
    /// The answer has so many words, whatever was asked; without it, it is the usual one.
    pub of: Option<usize>,
}

/// How a 429 says when to come back.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RetryAfter {
    /// In so many seconds.
    Seconds(u32),
    /// The same as the HTTP date of that moment.
    Date(u32),
}

impl RetryAfter {
    /// The seconds until then.
    pub(super) fn seconds(self) -> u32 {
        match self {
            Self::Seconds(seconds) | Self::Date(seconds) => seconds,
        }
    }

    /// The header's value at `now`, in Unix seconds.
    pub(super) fn header(self, now: u64) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date(seconds) => {
                httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now + u64::from(seconds)))
            }
        }
    }
}

/// What a fault looks at in a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) prompt_tokens: u64,
    /// Whether the caller has begun the answer.
    pub(super) has_prefill: bool,
    /// The time in Unix seconds.
    pub(super) now: u64,
}

impl Fault {
    /// What goes wrong with the request of this number, counted from 0.
    pub fn at(self, number: u64) -> Option<Self> {
        match self {
            Self::StatusOnce(status) => (number == 0).then_some(Self::Status(status)),
            Self::LimitedOnce(wait) => (number == 0).then_some(Self::Limited(wait)),
            Self::Flap(times) => ((number / times.max(1)) % 2 == 1).then_some(Self::Status(FLAP_STATUS)),
            Self::Well => None,
            always => Some(always),
        }
    }

    /// Whether the number of a request matters.
    pub(super) fn is_counted(self) -> bool {
        matches!(self, Self::StatusOnce(_) | Self::LimitedOnce(_) | Self::Flap(_))
    }

    /// The number of words that the answer must have for the fault to show.
    pub(super) fn words(self) -> Option<usize> {
        if let Self::Cut(place) | Self::Hang(place) | Self::Pause(place, _) | Self::InBand(place) = self {
            place.of
        } else {
            None
        }
    }

    /// The failure, when the fault leaves no answer.
    pub(super) fn instead(self, asked: &Asked) -> Option<Failure> {
        match self {
            Self::Status(429) => Some(error::limited(RetryAfter::Seconds(1), asked.now).into()),
            Self::Status(status) => Some(error::with_status(status).into()),
            Self::Limited(wait) => Some(error::limited(wait, asked.now).into()),
            Self::Reset => Some(Failure::Reset),
            Self::Stall => Some(Failure::Stall),
            Self::ContextLength => Some(error::context_length(asked.prompt_tokens).into()),
            Self::PromptFilter => Some(error::prompt_filter().into()),
            Self::NoPrefill => asked.has_prefill.then(|| error::no_prefill().into()),
            // Which requests these are about, `at` has said.
            Self::StatusOnce(_) | Self::LimitedOnce(_) | Self::Flap(_) | Self::Well => None,
            Self::Late(_)
            | Self::LateToken(_)
            | Self::Cut(_)
            | Self::Hang(_)
            | Self::Pause(..)
            | Self::InBand(_)
            | Self::Garbage
            | Self::NoDone
            | Self::NoFinish
            | Self::ContentFilter => None,
        }
    }
}
