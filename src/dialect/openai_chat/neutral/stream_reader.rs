//! A provider's stream, read chunk by chunk.
//!
//! Providers of this dialect differ in what they repeat: roles, names and ids of tool calls, whole messages beside deltas,
//! finish reasons, lists of sources. Each is passed on once.

use std::borrow::Cow;

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::super::failure::in_band;
use super::details;
use super::message::citations;
use super::reply::{Body, Call, Called, Choice, Piece, Said, finish, made_id};
use crate::dialect::chat::{Arguments, Event, Events, Finish, Origin, Part, StreamFault};
use crate::dialect::json::Text;
use crate::dialect::json::shape::TextOr;

/// Most tool calls of one answer: beyond it a stream is broken.
const MAX_CALLS: usize = 1024;
/// Most answers of one stream; OpenAI gives up to 128.
const MAX_ANSWERS: usize = 128;
/// Most pieces of arguments kept for a call that has no name yet.
const MAX_EARLY: usize = 64;

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct StreamReader {
    has_started: bool,
    id: Box<str>,
    answers: SmallVec<[Answer; 1]>,
    /// Sources beside the answer that were passed on: most providers repeat all of them in every chunk.
    sources: usize,
}

/// What is known of one answer.
#[derive(Debug, Default)]
struct Answer {
    number: u32,
    calls: Vec<OpenCall>,
    /// Calls that were passed on.
    told: u32,
    refuses: bool,
    has_finished: bool,
    /// Whether thoughts came as bare text: their details then say them again, at once or at their end.
    thinks_bare: bool,
}

/// A tool call in the making.
#[derive(Debug, Default)]
struct OpenCall {
    /// The provider's number for it.
    index: Option<u64>,
    id: Text<'static>,
    /// Its number here, once it was passed on.
    call: Option<u32>,
    /// Arguments that came before the name.
    early: Vec<Text<'static>>,
}

impl StreamReader {
    /// Reads one event: `event` is its name, `data` its data.
    ///
    /// # Errors
    /// It is not readable, or the provider gave up.
    pub fn read<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Result<Events<'d>, StreamFault> {
        let mut events = Events::new();
        if data.trim() == "[DONE]" {
            self.end(&mut events);
            return Ok(events);
        }
        let body: Body<'d> = match serde_json::from_str(data) {
            Ok(body) => body,
            Err(_) if event == Some(b"error") => return Err(StreamFault::Failed(in_band(data))),
            Err(_) => return Err(StreamFault::Malformed),
        };
        if let Some(error) = body.error {
            return Err(StreamFault::Failed(in_band(error.get())));
        }
        if event == Some(b"error") {
            return Err(StreamFault::Failed(in_band(data)));
        }
        let usage = body.usage();
        let sources = body.citations();
        let choices = body.choices.unwrap_or_default();
        if !self.has_started && (!choices.is_empty() || body.id.as_ref().is_some_and(|id| !id.is_empty())) {
            self.has_started = true;
            let id = body.id.filter(|id| !id.is_empty());
            self.id = id.as_ref().map(|id| id.decode().into()).unwrap_or_default();
            events.push(Event::Start { id, model: body.model.filter(|model| !model.is_empty()) });
        }
        for choice in choices {
            self.choice(choice, &mut events);
        }
        let fresh = sources.into_iter().skip(self.sources);
        let cited = fresh.map(|citation| Event::Citation { answer: 0, citation: Box::new(citation) });
        let before = events.len();
        events.extend(cited);
        self.sources += events.len() - before;
        events.extend(usage.map(Event::Usage));
        Ok(events)
    }

    /// The provider's last word; answers without a reason to finish have one now.
    fn end(&mut self, events: &mut Events<'_>) {
        for answer in &mut self.answers {
            if !answer.has_finished {
                answer.has_finished = true;
                let reason = finish("", answer.told > 0, answer.refuses);
                events.push(Event::Finish { answer: answer.number, reason });
            }
        }
        events.push(Event::End);
    }

    fn choice<'d>(&mut self, mut choice: Choice<'d>, events: &mut Events<'d>) {
        let number = choice.index.unwrap_or(0);
        let place = match self.answers.iter().position(|answer| answer.number == number) {
            Some(place) => place,
            None if self.answers.len() >= MAX_ANSWERS => return,
            None => {
                self.answers.push(Answer { number, ..Answer::default() });
                self.answers.len() - 1
            }
        };
        let Some(answer) = self.answers.get_mut(place) else { return };
        if let Some(said) = choice.take_delta() {
            answer.say(said, &self.id, events);
        }
        if let Some(json) = choice.logprobs() {
            events.push(Event::Logprobs { answer: number, json: json.into() });
        }
        let reason = choice.finish_reason.map_or("", RawValue::get);
        if !matches!(reason, "" | "\"\"" | "null") && !answer.has_finished {
            answer.has_finished = true;
            let reason: Finish<'_> = finish(reason, answer.told > 0, answer.refuses);
            events.push(Event::Finish { answer: number, reason });
        }
    }
}

impl Answer {
    fn say<'d>(&mut self, mut said: Said<'d>, reply: &str, events: &mut Events<'d>) {
        self.think(&mut said, events);
        match said.content.take() {
            Some(TextOr::Text(text)) => self.text(text, events),
            Some(TextOr::List(pieces)) => {
                for part in pieces.into_iter().filter_map(Piece::into_part) {
                    self.part(part, events);
                }
            }
            None => {}
        }
        if let Some(text) = said.refusal.take() {
            self.part(Part::Refusal(text), events);
        }
        let answer = self.number;
        for citation in said.annotations.map(|raw| citations(raw.get())).unwrap_or_default() {
            events.push(Event::Citation { answer, citation: Box::new(citation) });
        }
        for call in said.tool_calls.take().unwrap_or_default() {
            self.call(call, reply, events);
        }
        if let Some(function) = said.function_call.take() {
            self.legacy(&function, reply, events);
        }
    }

    fn think<'d>(&mut self, said: &mut Said<'d>, events: &mut Events<'d>) {
        let answer = self.number;
        let details = said.details();
        let bare = said.bare_thoughts();
        self.thinks_bare |= bare.is_some();
        events.extend(bare.map(|text| Event::Thought { answer, text }));
        for detail in &details {
            if let Some(text) = detail.words().filter(|_| !self.thinks_bare) {
                events.push(Event::Thought { answer, text: text.clone() });
            }
            if let Some((signature, is_redacted)) = detail.signature() {
                events.push(Event::Signature { answer, signature, is_redacted });
            }
        }
        if let Some(signature) = said.extra_content.and_then(|raw| details::extra_signature(raw.get())) {
            events.push(Event::Signature { answer, signature, is_redacted: false });
        }
    }

    fn text<'d>(&self, text: Text<'d>, events: &mut Events<'d>) {
        if !text.is_empty() {
            events.push(Event::Text { answer: self.number, text });
        }
    }

    fn part<'d>(&mut self, part: Part<'d>, events: &mut Events<'d>) {
        let answer = self.number;
        match part {
            Part::Text(words) => self.text(words.text, events),
            Part::Thought(thought) if !thought.text.is_empty() => {
                events.push(Event::Thought { answer, text: thought.text });
            }
            Part::Refusal(text) if !text.is_empty() => {
                self.refuses = true;
                events.push(Event::Refusal { answer, text });
            }
            _ => {}
        }
    }

    /// A piece of a call: the beginning of one, or more of its arguments.
    fn call<'d>(&mut self, call: Call<'d>, reply: &str, events: &mut Events<'d>) {
        let id = call.id.clone().filter(|id| !id.is_empty());
        let signature = call.signature();
        let Some(function) = call.function else { return };
        let Some(place) = self.place(call.index, id.as_ref(), &function, reply) else { return };
        if let Some(signature) = signature.filter(|signature| signature.origin == Origin::Google) {
            events.push(Event::Signature { answer: self.number, signature, is_redacted: false });
        }
        self.grow(place, &function, events);
    }

    /// A call in the old form: there is only one.
    fn legacy<'d>(&mut self, function: &Called<'d>, reply: &str, events: &mut Events<'d>) {
        if self.calls.is_empty() && !function.is_named() {
            return;
        }
        let Some(place) = self.place(Some(0), None, function, reply) else { return };
        self.grow(place, function, events);
    }

    /// Which call a piece belongs to: the one with its index or id, else the last; or a new one.
    fn place(
        &mut self,
        index: Option<u64>,
        id: Option<&Text<'_>>,
        function: &Called<'_>,
        reply: &str,
    ) -> Option<usize> {
        let known = match (index, id) {
            (Some(index), id) => {
                // Some providers number every call 0, and only its id tells it apart.
                let found = self.calls.iter().rposition(|call| call.index == Some(index));
                found.filter(|place| {
                    let is_same = |id: &Text<'_>| {
                        self.calls.get(*place).is_some_and(|call| call.id.decode() == id.decode())
                    };
                    !function.is_named() || id.is_none_or(is_same)
                })
            }
            (None, Some(id)) => self.calls.iter().rposition(|call| call.id.decode() == id.decode()),
            (None, None) if function.is_named() => None,
            (None, None) => self.calls.len().checked_sub(1),
        };
        if known.is_some() || self.calls.len() >= MAX_CALLS {
            return known;
        }
        let id = match id {
            Some(id) => id.clone().into_owned(),
            None => made_id(reply, self.number as usize, self.calls.len()),
        };
        self.calls.push(OpenCall { index, id, call: None, early: Vec::new() });
        Some(self.calls.len() - 1)
    }

    /// Passes on what a piece brings; a call is told of when its name is known.
    fn grow<'d>(&mut self, place: usize, function: &Called<'d>, events: &mut Events<'d>) {
        let answer = self.number;
        let Some(open) = self.calls.get_mut(place) else { return };
        let fragment = match function.arguments() {
            Arguments::Text(text) => text,
            Arguments::Object(Cow::Borrowed("null")) => Text::default(),
            Arguments::Object(json) => Text::owned(&json),
        };
        let call = match (open.call, &function.name) {
            (Some(call), _) => call,
            (None, Some(name)) if !name.is_empty() => {
                let call = self.told;
                self.told += 1;
                open.call = Some(call);
                events.push(Event::ToolCall { answer, call, id: open.id.clone(), name: name.clone() });
                let early = open.early.drain(..);
                events.extend(early.map(|fragment| Event::Arguments { answer, call, fragment }));
                call
            }
            (None, _) => {
                if open.early.len() < MAX_EARLY {
                    open.early.push(fragment.into_owned());
                }
                return;
            }
        };
        if !fragment.is_empty() {
            events.push(Event::Arguments { answer, call, fragment });
        }
    }
}
