//! The frames of a provider's stream, as the caller gets them: as they are, with the model renamed, or translated.
//!
//! One reader for all pairs of dialects. It tells what every frame means for the exchange (usage, finish, failure) and
//! what of it goes to the caller; what closes a stream is written by it too.

use std::borrow::Cow;
use std::ops::Range;

use bytes::BytesMut;

pub use super::openai_chat::{Chunk, Pass};

use super::chat::{Event, Events, Stamp, StreamFault};
use super::codec::{Reader, Writer};
use super::openai_chat::FrameReader;
use super::sse::Frame;
use super::{Dialect, Usage};
use crate::operation::Task;

/// OpenAI's last word.
const DONE: &[u8] = b"data: [DONE]\n\n";
/// Anthropic's last word.
const MESSAGE_STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// See the module.
#[derive(Debug)]
pub struct Frames {
    dialect: Dialect,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// OpenAI's chat chunks on both sides: looked at without being decoded, where possible.
    Patched(FrameReader),
    /// Another dialect on both sides: decoded to know what it means, and handed on as it is.
    Native { reader: Reader, stamp: Stamp, last_word: &'static [u8], frames: u64 },
    /// Another dialect for the caller.
    Translated { reader: Reader, writer: Box<Writer> },
    /// Decoded for somebody who judges before anything goes out; `own` tells how a frame would go out as it is.
    Decoded { reader: Reader, own: Option<Box<Frames>> },
}

/// A frame that is to be judged before it goes out.
#[derive(Debug)]
pub struct Decoded {
    /// What it says.
    pub events: Vec<Event<'static>>,
    /// How the frame would go out; nothing where its events are to be written instead.
    pub pass: Option<Pass>,
    /// Where the words of each event stand in the frame; nothing where they do not stand there as they are.
    pub places: Vec<Option<Range<usize>>>,
    /// Only usage: for callers who asked for it.
    pub is_usage_only: bool,
    /// What the provider counted so far.
    pub usage: Option<Usage>,
    /// The reason to finish that it carried.
    pub finish: Option<&'static str>,
    /// Bytes of text in it.
    pub text_bytes: u64,
    /// Whether it is the provider's last word.
    pub is_last: bool,
}

impl Frames {
    /// The frames of a provider's dialect for a caller of the same or of another.
    #[must_use]
    pub fn new(task: Task, provider: Dialect, caller: Dialect, stamp: Stamp) -> Self {
        let kind = match (task, provider) {
            (_, Dialect::OpenAiChat) if provider == caller => Kind::Patched(FrameReader::new(stamp.model)),
            // Text completions are chunks with `text` where chats have a delta.
            (Task::Complete, _) => Kind::Patched(FrameReader::new(stamp.model)),
            _ if provider == caller => {
                let last_word = if provider == Dialect::Anthropic { MESSAGE_STOP } else { b"" };
                Kind::Native { reader: Reader::of(provider), stamp, last_word, frames: 0 }
            }
            _ => {
                Kind::Translated { reader: Reader::of(provider), writer: Box::new(Writer::of(caller, stamp)) }
            }
        };
        // Text completions are read like chats.
        let dialect = if task == Task::Complete { Dialect::OpenAiChat } else { provider };
        Self { dialect, kind }
    }

    /// The same for a caller who wants a JSON array instead of events: Gemini's, without `alt=sse`.
    #[must_use]
    pub fn as_array(provider: Dialect, stamp: Stamp) -> Self {
        let writer = Box::new(Writer::array(stamp));
        Self { dialect: provider, kind: Kind::Translated { reader: Reader::of(provider), writer } }
    }

    /// Frames for somebody who judges before anything goes out. Where `may_mask` and the stream is a conversation, or where
    /// the dialects differ, what goes out has to be written anew; otherwise the frames stay.
    #[must_use]
    pub fn decoded(task: Task, provider: Dialect, caller: Dialect, stamp: Stamp, may_mask: bool) -> Self {
        let is_written = task == Task::Converse && (may_mask || provider != caller);
        let own = (!is_written).then(|| Box::new(Self::new(task, provider, caller, stamp)));
        let reader = if task == Task::Complete { Reader::Completions } else { Reader::of(provider) };
        let dialect = if task == Task::Complete { Dialect::OpenAiChat } else { provider };
        Self { dialect, kind: Kind::Decoded { reader, own } }
    }

    /// Whether what goes out has to be written from the events.
    #[must_use]
    pub fn is_written_anew(&self) -> bool {
        matches!(self.kind, Kind::Decoded { own: None, .. })
    }

    /// The provider's dialect.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether a frame with so many bytes of text says something, and does not only open an answer.
    #[must_use]
    pub fn says_something(&self, frame: &Frame<'_>, text_bytes: u64) -> bool {
        match &self.kind {
            // Their bytes are a guess, made without a look at the members.
            Kind::Patched(_) => frame.data().is_some_and(|data| super::openai_chat::says_something(&data)),
            Kind::Native { .. } | Kind::Translated { .. } | Kind::Decoded { .. } => text_bytes > 0,
        }
    }

    /// Reads one frame.
    #[must_use]
    pub fn read(&mut self, frame: &Frame<'_>) -> Chunk {
        let (reader, frames) = match &mut self.kind {
            Kind::Patched(frames) => return frames.read(frame),
            Kind::Native { reader, frames, .. } => (reader, Some(frames)),
            Kind::Translated { reader, .. } => (reader, None),
            Kind::Decoded { reader, own } => return decode(reader, own.as_deref_mut(), frame),
        };
        let Some(data) = frame.data() else { return Chunk::Comment };
        let Ok(text) = std::str::from_utf8(&data) else { return Chunk::Malformed };
        if let Some(frames) = frames {
            *frames += 1;
        }
        if text.trim_ascii() == "[DONE]" {
            return self.last(Meaning::default());
        }
        if text.trim_ascii().is_empty() {
            // An event of another dialect, even an empty one, would be read as the caller's own.
            let is_translated = matches!(self.kind, Kind::Translated { .. });
            return if is_translated { Chunk::Skipped } else { Chunk::Comment };
        }
        match reader.read(frame.event(), text) {
            Ok(events) => {
                let start = matches!(data, Cow::Borrowed(_)).then(|| offset_in(frame.bytes, &data));
                self.hand_on(&events, text, start)
            }
            Err(StreamFault::Malformed) => Chunk::Malformed,
            Err(StreamFault::Failed(error)) => Chunk::Failed(error),
        }
    }

    fn hand_on(&mut self, events: &Events<'_>, text: &str, start: Option<usize>) -> Chunk {
        let meaning = Meaning::of(events);
        let pass = match &mut self.kind {
            Kind::Translated { writer, .. } => {
                if events.is_empty() {
                    return Chunk::Skipped;
                }
                let mut out = BytesMut::new();
                for event in events {
                    writer.write(event, &mut out);
                }
                Pass::Rewritten(out.into())
            }
            Kind::Native { stamp, .. } if !events.is_empty() => renamed(events, text, start, &stamp.model),
            // A ping, or what only this dialect has.
            Kind::Native { .. } | Kind::Patched(_) | Kind::Decoded { .. } => return Chunk::Comment,
        };
        match meaning.is_last {
            true => self.last(Meaning { pass, ..meaning }),
            false => {
                let Meaning { usage, finish, text_bytes, .. } = meaning;
                Chunk::Content { pass, usage, finish, text_bytes }
            }
        }
    }

    fn last(&self, meaning: Meaning) -> Chunk {
        let Meaning { pass, usage, finish, text_bytes, .. } = meaning;
        // The last word of one dialect means nothing in another.
        let pass = match (&self.kind, pass) {
            (Kind::Translated { .. }, Pass::AsItIs) => Pass::Rewritten(Vec::new()),
            (_, pass) => pass,
        };
        Chunk::Last { pass, usage, finish, text_bytes }
    }

    /// The number of the event that would come next, in dialects that count them.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        match &self.kind {
            Kind::Native { frames, .. } => *frames,
            Kind::Translated { writer, .. } => writer.next_sequence(),
            Kind::Decoded { own: Some(own), .. } => own.next_sequence(),
            Kind::Decoded { own: None, .. } | Kind::Patched(_) => 0,
        }
    }

    /// Writes what closes the stream for the caller; `has_last_word` tells whether the provider said its own.
    pub fn close(&mut self, has_last_word: bool, out: &mut BytesMut) {
        match &mut self.kind {
            Kind::Patched(_) if !has_last_word => out.extend_from_slice(DONE),
            Kind::Native { last_word, .. } if !has_last_word => out.extend_from_slice(last_word),
            Kind::Patched(_) | Kind::Native { .. } => {}
            Kind::Translated { writer, .. } => writer.close(out),
            Kind::Decoded { own: Some(own), .. } => own.close(has_last_word, out),
            // Whoever writes the events closes them.
            Kind::Decoded { own: None, .. } => {}
        }
    }
}

/// Reads a frame for somebody who judges.
fn decode(reader: &mut Reader, own: Option<&mut Frames>, frame: &Frame<'_>) -> Chunk {
    let Some(data) = frame.data() else { return Chunk::Skipped };
    let Ok(text) = std::str::from_utf8(&data) else { return Chunk::Malformed };
    let (mut pass, mut is_usage_only) = (None, false);
    if let Some(own) = own {
        pass = Some(match own.read(frame) {
            Chunk::Content { pass, .. } | Chunk::Last { pass, .. } => pass,
            Chunk::Usage { pass, .. } => {
                is_usage_only = true;
                pass
            }
            Chunk::Comment | Chunk::Done | Chunk::Skipped | Chunk::Decoded(_) => Pass::AsItIs,
            chunk @ (Chunk::Failed(_) | Chunk::Malformed) => return chunk,
        });
    }
    let events = match text.trim_ascii() {
        "" => return Chunk::Skipped,
        "[DONE]" => Events::from_iter([Event::End]),
        _ => match reader.read(frame.event(), text) {
            Ok(events) => events,
            Err(StreamFault::Malformed) => return Chunk::Malformed,
            Err(StreamFault::Failed(error)) => return Chunk::Failed(error),
        },
    };
    let start = matches!(data, Cow::Borrowed(_)).then(|| offset_in(frame.bytes, &data));
    let place = |event: &Event<'_>| {
        let words = event.words()?.escaped();
        let at = offset_in(text.as_bytes(), words.as_bytes());
        let is_there = at.checked_add(words.len()).is_some_and(|end| end <= text.len());
        let start = start.filter(|_| is_there)?;
        Some(start + at..start + at + words.len())
    };
    let places = events.iter().map(place).collect();
    let Meaning { usage, finish, text_bytes, is_last, .. } = Meaning::of(&events);
    let events = events.into_iter().map(Event::into_owned).collect();
    Chunk::Decoded(Box::new(Decoded {
        events,
        pass,
        places,
        is_usage_only,
        usage,
        finish,
        text_bytes,
        is_last,
    }))
}

/// What the events of one frame mean for the exchange.
struct Meaning {
    pass: Pass,
    usage: Option<Usage>,
    finish: Option<&'static str>,
    text_bytes: u64,
    is_last: bool,
}

impl Default for Meaning {
    fn default() -> Self {
        Self { pass: Pass::AsItIs, usage: None, finish: None, text_bytes: 0, is_last: false }
    }
}

impl Meaning {
    fn of(events: &Events<'_>) -> Self {
        let mut meaning = Self::default();
        for event in events {
            meaning.text_bytes += event.words().map_or(0, |words| words.escaped().len() as u64);
            match event {
                Event::Usage(usage) => meaning.usage = Some(*usage),
                Event::Finish { reason, .. } => meaning.finish = Some(reason.label()),
                Event::End => meaning.is_last = true,
                _ => {}
            }
        }
        meaning
    }
}

/// Anthropic names the model where a message begins; the others' names stay what they are (§11.9).
fn renamed(events: &Events<'_>, text: &str, start: Option<usize>, model: &str) -> Pass {
    let own = events.iter().find_map(|event| match event {
        Event::Start { model: Some(own), .. } => Some(own.escaped()),
        _ => None,
    });
    let (Some(own), Some(start)) = (own, start) else { return Pass::AsItIs };
    let at = offset_in(text.as_bytes(), own.as_bytes());
    let is_quoted =
        at > 0 && text.get(at - 1..at + own.len() + 1).is_some_and(|quoted| quoted.starts_with('"'));
    if !is_quoted || !text.starts_with("{\"type\":\"message_start\"") || format!("\"{own}\"") == model {
        return Pass::AsItIs;
    }
    Pass::Renamed(start + at - 1..start + at + own.len() + 1)
}

/// Where a piece that was borrowed from `whole` begins in it.
fn offset_in(whole: &[u8], piece: &[u8]) -> usize {
    (piece.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}
