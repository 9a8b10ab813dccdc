//! Translation as properties: what two dialects can both say survives the way through both.
//!
//! Each codec's own tests compare with JSON that is written down. These have no expectations of a wire format at all:
//! they make up conversations, answers and streams, send them through the codecs and compare what is meant. The rest of
//! the module is about hostile input: its work grows with its size and no faster, and a stream that breaks off anywhere
//! never looks finished.

mod can;
mod cuts;
mod growth;
mod make;
mod meaning;
mod replies;
mod requests;
mod streams;
mod swell;

use aisix::dialect::chat::Stamp;
use aisix::dialect::codec::Target;
use aisix::dialect::openai_chat::neutral::Manners;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

/// What the gateway says of itself.
fn stamp() -> Stamp {
    Stamp { model: "\"mine\"".into(), id: "abc".into(), created: 7, wants_usage: true, ..Stamp::default() }
}

/// A provider whose name for the model tells no writer anything.
fn target() -> Target<'static> {
    Target { model: "own", manners: Manners::default() }
}

/// Tries a property on made-up values; a failure is told in its own words, without the value's innards.
fn holds<S: Strategy>(
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(strategy, property).map_err(|error| match error {
        TestError::Fail(reason, _) => reason.to_string(),
        TestError::Abort(reason) => format!("given up: {reason}"),
    })
}
