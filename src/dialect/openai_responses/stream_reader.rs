//! A provider's stream, event by event.
//!
//! Pieces come as deltas; the events that repeat a whole item are read only for what no delta gave: the encrypted content
//! of reasoning, and everything where a provider sends no deltas.

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::dialect::chat::{Event, Events, Finish, Part, StreamFault};
use crate::dialect::json::Text;

use super::read_reply::{self, Response};
use super::shapes::{Annotation, Content, Item};
use super::{failure, read_input};

/// An event, as far as it is understood.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    output_index: Option<u64>,
    summary_index: Option<u64>,
    content_index: Option<u64>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

impl<'a> Frame<'a> {
    fn delta(&self) -> Option<Text<'a>> {
        self.delta.and_then(|raw| Text::from_json(raw.get())).filter(|text| !text.is_empty())
    }

    fn index(&self) -> u64 {
        self.output_index.unwrap_or(0)
    }
}

/// A call whose item was announced.
#[derive(Debug)]
struct Call {
    /// The item's place in the output.
    index: u64,
    has_arguments: bool,
}

/// Reads a stream.
#[derive(Debug, Default)]
pub struct StreamReader {
    calls: SmallVec<[Call; 4]>,
    /// The item whose words came last.
    said: Option<u64>,
    /// The item whose sources came last.
    cited: Option<u64>,
    /// The item whose thoughts came last.
    thought: Option<u64>,
    /// The part of thoughts that came last, unless something else came since: its item and its place there.
    paragraph: Option<(u64, u64)>,
    has_refusal: bool,
}

impl StreamReader {
    /// Reads one event.
    ///
    /// # Errors
    /// The event is not readable, or the provider gave up.
    pub fn read<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Result<Events<'d>, StreamFault> {
        if data.trim() == "[DONE]" {
            return Ok(Events::new());
        }
        let frame: Frame<'d> = serde_json::from_str(data).map_err(|_| StreamFault::Malformed)?;
        let kind = frame.kind.as_ref().map(Text::decode);
        let kind = kind.as_deref().or(event.and_then(|event| std::str::from_utf8(event).ok()));
        let mut events = Events::new();
        match kind.unwrap_or_default() {
            "response.output_text.delta" => self.read_words(&frame, false, &mut events),
            "response.refusal.delta" => self.read_words(&frame, true, &mut events),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.read_thoughts(&frame, &mut events);
            }
            "response.function_call_arguments.delta" => {
                self.read_arguments(&frame, frame.delta(), &mut events)
            }
            "response.function_call_arguments.done" => self.finish_arguments(&frame, &mut events),
            "response.output_text.annotation.added" => self.read_annotation(&frame, &mut events),
            "response.output_item.added" => self.begin_item(&frame, &mut events)?,
            "response.output_item.done" => self.finish_item(&frame, &mut events)?,
            "response.created" => {
                let response = read_response(&frame)?;
                events.push(Event::Start { id: response.id, model: response.model });
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                self.finish(&frame, &mut events)?
            }
            "response.failed" => {
                let error = read_response(&frame)?.error.map_or("{}", RawValue::get);
                return Err(failure::in_stream(error));
            }
            "error" => return Err(failure::in_stream(data)),
            // An error without a type, as other APIs of the same hosts have it.
            "" if failure::is_error(data) => return Err(failure::in_stream(data)),
            _ => {}
        }
        Ok(events)
    }

    fn read_words<'d>(&mut self, frame: &Frame<'d>, is_refusal: bool, events: &mut Events<'d>) {
        let Some(text) = frame.delta() else { return };
        (self.said, self.paragraph) = (Some(frame.index()), None);
        self.has_refusal |= is_refusal;
        events.push(match is_refusal {
            true => Event::Refusal { answer: 0, text },
            false => Event::Text { answer: 0, text },
        });
    }

    fn read_thoughts<'d>(&mut self, frame: &Frame<'d>, events: &mut Events<'d>) {
        let Some(text) = frame.delta() else { return };
        let place = (frame.index(), frame.summary_index.or(frame.content_index).unwrap_or(0));
        if self.paragraph.is_some_and(|last| last != place) {
            events.push(Event::Thought { answer: 0, text: Text::from_escaped("\\n\\n") });
        }
        (self.thought, self.paragraph) = (Some(frame.index()), Some(place));
        events.push(Event::Thought { answer: 0, text });
    }

    fn read_arguments<'d>(&mut self, frame: &Frame<'d>, fragment: Option<Text<'d>>, events: &mut Events<'d>) {
        let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) else { return };
        let index = frame.index();
        if let Some((place, call)) = self.calls.iter_mut().enumerate().find(|(_, call)| call.index == index) {
            call.has_arguments = true;
            events.push(Event::Arguments { answer: 0, call: place as u32, fragment });
        }
    }

    /// All arguments of a call at once, where none came yet.
    fn finish_arguments<'d>(&mut self, frame: &Frame<'d>, events: &mut Events<'d>) {
        let index = frame.index();
        if self.calls.iter().any(|call| call.index == index && !call.has_arguments) {
            let arguments = frame.arguments.and_then(|raw| Text::from_json(raw.get()));
            self.read_arguments(frame, arguments, events);
        }
    }

    fn read_annotation<'d>(&mut self, frame: &Frame<'d>, events: &mut Events<'d>) {
        let annotation =
            frame.annotation.and_then(|raw| serde_json::from_str::<Annotation<'d>>(raw.get()).ok());
        if let Some(citation) = annotation.and_then(read_input::citation) {
            self.cited = Some(frame.index());
            events.push(Event::Citation { answer: 0, citation: Box::new(citation) });
        }
    }

    fn begin_item<'d>(&mut self, frame: &Frame<'d>, events: &mut Events<'d>) -> Result<(), StreamFault> {
        let item = read_item(frame)?;
        if item.kind() == "function_call" {
            self.begin_call(frame, item, events)?;
        }
        Ok(())
    }

    /// Announces a call, once; what its item has of arguments already comes again in deltas.
    fn begin_call<'d>(
        &mut self,
        frame: &Frame<'d>,
        item: Item<'d>,
        events: &mut Events<'d>,
    ) -> Result<(), StreamFault> {
        let index = frame.index();
        if self.calls.iter().any(|call| call.index == index) {
            return Ok(());
        }
        let call = read_reply::read_call(item).ok_or(StreamFault::Malformed)?;
        events.push(Event::ToolCall {
            answer: 0,
            call: self.calls.len() as u32,
            id: call.id,
            name: call.name,
        });
        self.calls.push(Call { index, has_arguments: false });
        self.paragraph = None;
        Ok(())
    }

    fn finish_item<'d>(&mut self, frame: &Frame<'d>, events: &mut Events<'d>) -> Result<(), StreamFault> {
        let item = read_item(frame)?;
        match &*item.kind() {
            "function_call" => {
                let arguments = item.arguments.and_then(|raw| Text::from_json(raw.0));
                self.begin_call(frame, item, events)?;
                let index = frame.index();
                if self.calls.iter().any(|call| call.index == index && !call.has_arguments) {
                    self.read_arguments(frame, arguments, events);
                }
            }
            "reasoning" => self.finish_reasoning(frame, item, events),
            "message" => self.finish_message(frame, &item, events),
            _ => {}
        }
        Ok(())
    }

    fn finish_reasoning<'d>(&mut self, frame: &Frame<'d>, item: Item<'d>, events: &mut Events<'d>) {
        let Some(Part::Thought(thought)) = read_input::read_thought(item) else { return };
        if self.thought != Some(frame.index()) && !thought.text.is_empty() {
            self.thought = Some(frame.index());
            self.paragraph = Some((frame.index(), 0));
            events.push(Event::Thought { answer: 0, text: thought.text });
        }
        if let Some(signature) = thought.signature {
            self.paragraph = None;
            events.push(Event::Signature { answer: 0, signature, is_redacted: thought.is_redacted });
        }
    }

    /// Words and sources that no delta gave.
    fn finish_message<'d>(&mut self, frame: &Frame<'d>, item: &Item<'d>, events: &mut Events<'d>) {
        let index = Some(frame.index());
        let (is_said, is_cited) = (self.said == index, self.cited == index);
        let Some(Content::Pieces(pieces)) = item.content.and_then(|raw| Content::read(raw.0)) else { return };
        for piece in pieces {
            match read_reply::read_piece(piece, &mut String::new()) {
                Some(Part::Text(words)) => {
                    if !is_said && !words.text.is_empty() {
                        events.push(Event::Text { answer: 0, text: words.text });
                    }
                    let citations = words.citations.into_iter().filter(|_| !is_cited);
                    events.extend(
                        citations.map(|citation| Event::Citation { answer: 0, citation: Box::new(citation) }),
                    );
                }
                Some(Part::Refusal(text)) if !is_said => {
                    self.has_refusal = true;
                    events.push(Event::Refusal { answer: 0, text });
                }
                _ => {}
            }
        }
        (self.said, self.paragraph) = (index, None);
    }

    fn finish<'d>(&mut self, frame: &Frame<'d>, events: &mut Events<'d>) -> Result<(), StreamFault> {
        let response = read_response(frame)?;
        let reason = match response.cut() {
            Some(cut) => cut,
            None if !self.calls.is_empty() => Finish::ToolCalls,
            None if self.has_refusal => Finish::Refusal,
            None => Finish::Stop,
        };
        events.push(Event::Finish { answer: 0, reason });
        events.extend(response.read_usage().map(Event::Usage));
        events.push(Event::End);
        Ok(())
    }
}

fn read_item<'d>(frame: &Frame<'d>) -> Result<Item<'d>, StreamFault> {
    let raw = frame.item.ok_or(StreamFault::Malformed)?;
    serde_json::from_str(raw.get()).map_err(|_| StreamFault::Malformed)
}

fn read_response<'d>(frame: &Frame<'d>) -> Result<Response<'d>, StreamFault> {
    let raw = frame.response.ok_or(StreamFault::Malformed)?;
    serde_json::from_str(raw.get()).map_err(|_| StreamFault::Malformed)
}
