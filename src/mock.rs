//! The mock provider: an answer to any request in the dialect of the request, without a network, a key or a clock.
//!
//! It stands behind the shipped configuration, the tests and the load tests. An answer follows from the request and
//! the [`Hints`] alone, so the same question always gets the same answer; those hints hold the one thing that changes, a
//! [`Tally`] of the requests so far. The name of the model chooses the
//! behaviour (see [`Character`]); a [`Fault`] makes any model fail. Everything is pure but [`server`], which speaks
//! HTTP.
//!
//! There is one mind, that of `speech`, and it thinks in OpenAI's chat dialect; `converse` puts its words into the
//! others.

mod bench;
mod character;
mod chat;
mod cohere;
mod complete;
mod converse;
mod draft;
mod embeddings;
mod endpoints;
mod error;
mod fault;
mod images;
mod moderations;
mod plain;
pub(crate) mod player;
mod request;
mod rerank;
mod schema;
pub mod server;
mod silence;
mod speak;
mod speech;
mod tally;
mod transcribe;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::character::{CHARACTERS, Character};
pub use self::fault::{FAULTS, Fault, FaultPlan, NUMBERS, Place, RetryAfter, UnknownFault};
pub use self::tally::Tally;

use crate::dialect::Dialect;

/// The media type of an unstreamed answer.
pub(crate) const JSON: &str = "application/json";
/// The media type of a streamed answer.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// What an answer depends on besides the request.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Feeds the ids of the answer; callers that want fresh ids count it up.
    pub seed: u64,
    /// The time of the answer in Unix seconds.
    pub created: u64,
    /// The pause before each event of a stream but the first.
    pub chunk_gap: Duration,
    /// A fault to show, whatever the model's name asks for.
    pub fault: Option<Fault>,
    /// The requests so far, of which some faults depend on the number.
    pub tally: Arc<Tally>,
}

/// An answer of the mock provider.
#[derive(Clone, Debug)]
pub struct MockReply {
    /// The HTTP status.
    pub status: u16,
    /// The response headers.
    pub headers: Vec<(&'static str, String)>,
    /// What follows the head, or instead of it.
    pub body: MockBody,
}

/// The body of an answer, or the way in which there is none.
#[derive(Clone, Debug)]
pub enum MockBody {
    /// The whole body at once.
    Full(Bytes),
    /// Pieces in time.
    Stream(Vec<MockFrame>),
    /// Nothing is ever sent, not even the head.
    Stall,
    /// The connection closes before the head.
    Reset,
}

/// One piece of a streamed body.
#[derive(Clone, Debug)]
pub struct MockFrame {
    /// The pause before this piece.
    pub delay: Duration,
    /// The piece: one SSE event, or a part of a JSON body.
    pub bytes: Bytes,
    /// What happens after it.
    pub then: Then,
}

/// What follows a [`MockFrame`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The next piece, or the proper end of the body after the last.
    Continue,
    /// The connection breaks; later pieces are not sent.
    Cut,
    /// Silence without an end; later pieces are not sent.
    Hang,
}

/// A request to the mock provider.
#[derive(Clone, Copy, Debug)]
pub struct MockRequest<'a> {
    /// `POST`, as a rule.
    pub method: &'a str,
    /// The path, with or without its query. Only its end counts, so that any base path works.
    pub target: &'a str,
    /// What the body says that it is; only forms need it.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl MockRequest<'_> {
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// Answers one request.
pub fn answer(request: &MockRequest<'_>, hints: &Hints) -> MockReply {
    endpoints::answer(request, hints)
}

/// The 400 for the name of a fault that does not exist.
pub(crate) fn unknown_fault(unknown: &UnknownFault) -> MockReply {
    error::Failure::from(error::unknown_fault(unknown)).reply(Dialect::OpenAi)
}

impl Hints {
    /// Counts a request for a model, and tells what is to go wrong with its answer.
    fn meet(&self, model: &str) -> Option<Fault> {
        self.tally.count(model, self.fault)
    }
}

impl MockReply {
    fn full(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type", JSON.into())], body: MockBody::Full(body.into()) }
    }

    fn without_head(body: MockBody) -> Self {
        Self { status: 0, headers: Vec::new(), body }
    }
}

impl MockFrame {
    fn new(bytes: impl Into<Bytes>) -> Self {
        Self { delay: Duration::ZERO, bytes: bytes.into(), then: Then::Continue }
    }
}

/// Spreads `seed` and `bytes` over 64 bits (FNV-1a with a final mix), for ids that repeat from run to run.
fn fingerprint(seed: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash =
        bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 29)
}

/// The last place at or before `at` where `text` may be cut.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests;
