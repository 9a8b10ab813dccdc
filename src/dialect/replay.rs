//! Replay: a kept answer as a stream, and a finished stream as the answer that is kept.
//!
//! Both ways stay in the caller's own dialect and copy what they do not know as it is written, so that nothing of an
//! answer is lost on the way through the cache. Pieces that cannot be put together for certain make no answer at all:
//! the next caller asks the provider.

use bytes::{Bytes, BytesMut};

use super::raw::RawObject;
use super::sse::Reader;
use super::{Dialect, Usage};
use crate::operation::Task;

mod anthropic;
mod chat;
mod completions;
mod ending;
mod gemini;
mod members;
mod responses;

pub use ending::is_proper;

/// How a caller wants a kept answer.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Seconds since 1970.
    pub created: u64,
    /// Whether the caller asked for the usage chunk, in dialects that ask.
    pub wants_usage: bool,
    /// Whether the stream is a JSON array instead of events.
    pub is_array: bool,
}

/// A kept answer as the frames of a stream; `None` where it cannot be said in pieces.
#[must_use]
pub fn play(task: Task, dialect: Dialect, body: &[u8], manner: &Manner) -> Option<Bytes> {
    let body = std::str::from_utf8(body).ok()?;
    // An event is a line; in JSON a line feed is only ever space.
    let line = if body.contains(['\n', '\r']) { body.replace(['\n', '\r'], " ").into() } else { body.into() };
    let line: std::borrow::Cow<'_, str> = line;
    let mut out = BytesMut::with_capacity(line.len() + line.len() / 2 + 512);
    match (task, dialect) {
        (Task::Complete, _) => completions::play(&line, manner, &mut out)?,
        (Task::Converse, Dialect::OpenAiChat) => chat::play(&line, manner, &mut out)?,
        (Task::Converse, Dialect::OpenAiResponses) => responses::play(&line, &mut out)?,
        (Task::Converse, Dialect::Anthropic) => anthropic::play(&line, &mut out)?,
        (Task::Converse, Dialect::Gemini) => gemini::play(&line, manner.is_array, &mut out),
        _ => return None,
    }
    Some(out.freeze())
}

/// The answer that the frames of a finished stream add up to, as a caller without a stream would have got it; `None`
/// where that is not certain. `counted` is what the provider counted, for callers who were not told.
#[must_use]
pub fn gather(
    task: Task,
    dialect: Dialect,
    is_array: bool,
    stream: Bytes,
    counted: Option<&Usage>,
) -> Option<Bytes> {
    let chunks = if is_array { members::array(&stream)? } else { events(stream)? };
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let mut out = BytesMut::new();
    match (task, dialect) {
        (Task::Complete, _) => completions::gather(&chunks, counted, &mut out)?,
        (Task::Converse, Dialect::OpenAiChat) => chat::gather(&chunks, counted, &mut out)?,
        (Task::Converse, Dialect::OpenAiResponses) => responses::gather(&chunks, &mut out)?,
        (Task::Converse, Dialect::Anthropic) => anthropic::gather(&chunks, &mut out)?,
        (Task::Converse, Dialect::Gemini) => gemini::gather(&chunks, &mut out)?,
        _ => return None,
    }
    let body = out.freeze();
    RawObject::parse(body.clone()).ok().map(|_| body)
}

/// The data of every event; OpenAI's last word is none.
fn events(stream: Bytes) -> Option<Vec<String>> {
    let mut reader = Reader::default();
    reader.push(stream);
    let mut events = Vec::new();
    while let Some(frame) = reader.next_frame().ok()? {
        let Some(data) = frame.data() else { continue };
        let data = String::from_utf8(data.into_owned()).ok()?;
        if !matches!(data.trim_ascii(), "" | "[DONE]") {
            events.push(data);
        }
    }
    // A frame that is cut off is no end.
    reader.finish().is_none().then_some(events)
}
