//! A stream, read event by event: each says its kind in `type`, which the event's name repeats.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reply::{Call, Cited, Piece, finish, usage};
use crate::dialect::chat::{Event, Events, StreamFault};
use crate::dialect::json::Text;
use crate::dialect::openai_chat::in_band;

/// Most tool calls of one answer: beyond it a stream is broken.
const MAX_CALLS: usize = 1024;

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct StreamReader {
    has_started: bool,
    has_finished: bool,
    /// The provider's numbers of the calls so far; the place is the number here.
    calls: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// What a delta's message holds, each kind of event one member.
#[derive(Debug, Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    content: Piece<'a>,
}

#[derive(Debug, Deserialize)]
struct Plan<'a> {
    #[serde(borrow)]
    tool_plan: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct Calls<'a> {
    #[serde(borrow)]
    tool_calls: Call<'a>,
}

#[derive(Debug, Deserialize)]
struct Sources<'a> {
    #[serde(borrow)]
    citations: Cited<'a>,
}

impl StreamReader {
    /// Reads one event: `event` is its name, `data` its data.
    ///
    /// # Errors
    /// It is not readable, or the provider gave up.
    pub fn read<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Result<Events<'d>, StreamFault> {
        let mut events = Events::new();
        if data.trim() == "[DONE]" {
            events.push(Event::End);
            return Ok(events);
        }
        let body: Body<'d> = match serde_json::from_str(data) {
            Ok(body) => body,
            Err(_) if event == Some(b"error") => return Err(StreamFault::Failed(in_band(data))),
            Err(_) => return Err(StreamFault::Malformed),
        };
        let Body { kind, id, index, delta, message, error } = body;
        if let Some(error) = error.or(delta.as_ref().and_then(|delta| delta.error)) {
            return Err(StreamFault::Failed(in_band(error.get())));
        }
        // An error is only words.
        if event == Some(b"error") || (kind.is_none() && message.is_some()) {
            return Err(StreamFault::Failed(in_band(data)));
        }
        let kind = kind.map(|kind| kind.decode().into_owned()).unwrap_or_default();
        if kind == "message-start" && !self.has_started {
            self.has_started = true;
            events.push(Event::Start { id: id.filter(|id| !id.is_empty()), model: None });
        }
        let Some(delta) = delta else { return Ok(events) };
        if kind == "message-end" {
            self.end(&delta, &mut events)?;
        } else if let Some(message) = delta.message {
            self.piece(&kind, index.unwrap_or(0), message.get(), &mut events)?;
        }
        Ok(events)
    }

    fn end(&mut self, delta: &Delta<'_>, events: &mut Events<'_>) -> Result<(), StreamFault> {
        let reason =
            finish(delta.finish_reason.as_ref(), !self.calls.is_empty()).map_err(StreamFault::Failed)?;
        if !self.has_finished {
            self.has_finished = true;
            events.push(Event::Finish { answer: 0, reason });
        }
        events.extend(delta.usage.and_then(|raw| usage(raw.get())).map(Event::Usage));
        Ok(())
    }

    fn piece<'d>(
        &mut self,
        kind: &str,
        index: u64,
        message: &'d str,
        events: &mut Events<'d>,
    ) -> Result<(), StreamFault> {
        let answer = 0;
        let is_something = |text: &Text<'_>| !text.is_empty();
        match kind {
            "content-start" | "content-delta" => {
                let Piece { text, thinking } = part::<Content<'d>>(message)?.content;
                let thought = thinking.filter(is_something);
                events.extend(thought.map(|text| Event::Thought { answer, text }));
                events.extend(text.filter(is_something).map(|text| Event::Text { answer, text }));
            }
            "tool-plan-delta" => {
                let text = Some(part::<Plan<'d>>(message)?.tool_plan).filter(is_something);
                events.extend(text.map(|text| Event::Thought { answer, text }));
            }
            "tool-call-start" => self.open(index, part::<Calls<'d>>(message)?.tool_calls, events),
            "tool-call-delta" => self.grow(index, part::<Calls<'d>>(message)?.tool_calls, events),
            "citation-start" => {
                let citations = part::<Sources<'d>>(message)?.citations.citations();
                events.extend(
                    citations
                        .into_iter()
                        .map(|citation| Event::Citation { answer, citation: Box::new(citation) }),
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn open<'d>(&mut self, index: u64, call: Call<'d>, events: &mut Events<'d>) {
        let Some(function) = call.function else { return };
        let (Some(id), Some(name)) = (call.id, function.name) else { return };
        if self.calls.contains(&index) || self.calls.len() >= MAX_CALLS {
            return;
        }
        let number = self.calls.len() as u32;
        self.calls.push(index);
        events.push(Event::ToolCall { answer: 0, call: number, id, name });
        let fragment = function.arguments.filter(|text| !text.is_empty());
        events.extend(fragment.map(|fragment| Event::Arguments { answer: 0, call: number, fragment }));
    }

    fn grow<'d>(&mut self, index: u64, call: Call<'d>, events: &mut Events<'d>) {
        let Some(number) = self.calls.iter().position(|known| *known == index) else { return };
        let fragment = call.function.and_then(|function| function.arguments).filter(|text| !text.is_empty());
        let call = number as u32;
        events.extend(fragment.map(|fragment| Event::Arguments { answer: 0, call, fragment }));
    }
}

fn part<'d, T: Deserialize<'d>>(message: &'d str) -> Result<T, StreamFault> {
    serde_json::from_str(message).map_err(|_| StreamFault::Malformed)
}
