//! A streamed answer for a caller of the dialect.
//!
//! The last event repeats the whole answer, so every item is kept once it is done, as the JSON that it was written as.
//! Calls stay open until the answer ends, because providers may interleave their arguments; everything else closes where
//! the kind of piece changes.

use std::collections::HashSet;

use bytes::BytesMut;

use crate::dialect::Usage;
use crate::dialect::chat::{Citation, Event, Finish, Signature, Stamp};
use crate::dialect::json::Text;

use super::output::{self, Ending};
use super::reasoning;

mod items;

use items::{Call, Message, Pen, Reasoning};

/// Most sources kept until there are words for them.
const MAX_SOURCES: usize = 256;

/// Writes a stream.
#[derive(Debug)]
pub struct StreamWriter {
    stamp: Stamp,
    /// The answer's id; `None` before it began.
    id: Option<Text<'static>>,
    pen: Pen,
    /// Every item of the answer so far, in its place; empty while it is open.
    done: Vec<BytesMut>,
    reasoning: Option<Reasoning>,
    message: Option<Box<Message>>,
    /// Sources that came before the words they belong to, or when these were closed already.
    sources: Vec<Citation<'static>>,
    /// Calls that are open.
    calls: Vec<Call>,
    /// The ids of the calls so far.
    call_ids: HashSet<Box<str>>,
    /// The ids of reasoning so far.
    reasoning_ids: HashSet<Box<str>>,
    /// Log probabilities of the words that are being said, raw.
    logprobs: BytesMut,
    has_words: bool,
    has_refusal: bool,
    finish: Finish<'static>,
    usage: Usage,
}

impl StreamWriter {
    /// The number of the event that would come next.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.pen.next_sequence()
    }

    /// Nothing is written before the first event.
    #[must_use]
    pub fn new(stamp: Stamp) -> Self {
        Self {
            stamp,
            id: None,
            pen: Pen::default(),
            done: Vec::new(),
            reasoning: None,
            message: None,
            sources: Vec::new(),
            calls: Vec::new(),
            call_ids: HashSet::new(),
            reasoning_ids: HashSet::new(),
            logprobs: BytesMut::new(),
            has_words: false,
            has_refusal: false,
            finish: Finish::Stop,
            usage: Usage::default(),
        }
    }

    /// Appends what an event of the provider is here. The dialect has one answer, so only the first is written.
    pub fn write(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { id, .. } => self.start(id.as_ref(), out),
            Event::Text { answer: 0, text } => self.write_words(text, false, out),
            Event::Refusal { answer: 0, text } => self.write_words(text, true, out),
            Event::Citation { answer: 0, citation } => {
                // Only pages can be named as sources.
                match self.message.as_mut().filter(|_| citation.url.is_some()) {
                    Some(message) => message.cite(citation, &mut self.pen, out),
                    None if self.sources.len() < MAX_SOURCES && citation.url.is_some() => {
                        self.sources.push(Citation::clone(citation).into_owned());
                    }
                    None => {}
                }
            }
            Event::Thought { answer: 0, text } => self.write_thoughts(text, out),
            Event::Signature { answer: 0, signature, is_redacted } => {
                self.write_signature(signature, *is_redacted, out);
            }
            Event::ToolCall { answer: 0, call, id, name } => self.write_call(*call, id, name, out),
            Event::Arguments { answer: 0, call, fragment } if !fragment.is_empty() => {
                if let Some(open) = self.calls.iter_mut().find(|open| open.call == *call) {
                    open.extend(fragment, &mut self.pen, out);
                }
            }
            Event::Logprobs { answer: 0, json } => {
                output::append(&mut self.logprobs, output::logprobs_of(json).as_bytes());
            }
            Event::Finish { answer: 0, reason } => {
                self.finish = reason.clone().into_owned();
                self.start(None, out);
                self.name_sources(out);
                self.close_items(self.ending().status, out);
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Text { .. }
            | Event::Refusal { .. }
            | Event::Citation { .. }
            | Event::Thought { .. }
            | Event::Signature { .. }
            | Event::ToolCall { .. }
            | Event::Arguments { .. }
            | Event::Logprobs { .. }
            | Event::Finish { .. }
            | Event::End => {}
        }
    }

    /// Appends the end: what is still open, and the whole answer.
    pub fn close(&mut self, out: &mut BytesMut) {
        self.start(None, out);
        self.name_sources(out);
        let ending = self.ending();
        self.close_items(ending.status, out);
        let name = match ending.reason {
            Some(_) => "response.incomplete",
            None => "response.completed",
        };
        self.write_response(name, ending, out);
    }

    fn ending(&self) -> Ending {
        Ending::of(&self.finish, self.has_refusal)
    }

    fn start(&mut self, id: Option<&Text<'_>>, out: &mut BytesMut) {
        if self.id.is_none() {
            self.id = Some(output::response_id(id, &self.stamp));
            self.write_response("response.created", Ending::OPEN, out);
            self.write_response("response.in_progress", Ending::OPEN, out);
        }
    }

    fn write_response(&mut self, name: &str, ending: Ending, out: &mut BytesMut) {
        let usage = (ending != Ending::OPEN).then_some(&self.usage);
        let (id, done, stamp) = (self.id.clone().unwrap_or_default(), &self.done, &self.stamp);
        self.pen.frame(out, name, |w| {
            output::response(w.name("response"), &id, stamp, ending, usage, |w| {
                done.iter().for_each(|item| output::raw_items(w, output::as_str(item)));
            });
        });
    }

    /// A place in the output for an item that begins.
    fn begin(&mut self, out: &mut BytesMut) -> usize {
        self.start(None, out);
        self.done.push(BytesMut::new());
        self.done.len() - 1
    }

    fn keep(&mut self, index: usize, item: BytesMut) {
        if let Some(place) = self.done.get_mut(index) {
            *place = item;
        }
    }

    fn write_words(&mut self, text: &Text<'_>, is_refusal: bool, out: &mut BytesMut) {
        if !text.is_empty() {
            self.write_piece(text, is_refusal, out);
        }
    }

    fn write_piece(&mut self, text: &Text<'_>, is_refusal: bool, out: &mut BytesMut) {
        self.has_words |= !is_refusal;
        self.has_refusal |= is_refusal;
        self.close_reasoning(None, output::COMPLETED, out);
        if self.message.is_none() {
            let index = self.begin(out);
            let id = output::item_id("msg", &self.stamp, index);
            self.message = Some(Box::new(Message::open(index, id, &mut self.pen, out)));
        }
        if let Some(message) = &mut self.message {
            message.say(text, is_refusal, &mut self.logprobs, &mut self.pen, out);
            let sources = if is_refusal { Vec::new() } else { std::mem::take(&mut self.sources) };
            sources.iter().for_each(|source| message.cite(source, &mut self.pen, out));
        }
    }

    /// Names the sources that still wait for words, behind all words: a message that is done cannot be added to.
    fn name_sources(&mut self, out: &mut BytesMut) {
        if self.has_words && !self.sources.is_empty() {
            self.close_message(output::COMPLETED, out);
            self.write_piece(&Text::default(), false, out);
        }
    }

    fn write_thoughts(&mut self, text: &Text<'_>, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.close_message(output::COMPLETED, out);
        if self.reasoning.is_none() {
            let index = self.begin(out);
            let id = output::reasoning_id(None, &mut self.reasoning_ids, &self.stamp, index);
            self.reasoning = Some(Reasoning::open(index, id, &mut self.pen, out));
        }
        if let Some(reasoning) = &mut self.reasoning {
            reasoning.extend(text, &mut self.pen, out);
        }
    }

    fn write_signature(&mut self, signature: &Signature<'_>, is_redacted: bool, out: &mut BytesMut) {
        self.close_message(output::COMPLETED, out);
        if self.reasoning.is_none() {
            let index = self.begin(out);
            let own = reasoning::split(signature).and_then(|(id, _)| id);
            let id = output::reasoning_id(own, &mut self.reasoning_ids, &self.stamp, index);
            self.reasoning = Some(Reasoning::open(index, id, &mut self.pen, out));
        }
        self.close_reasoning(Some((signature, is_redacted)), output::COMPLETED, out);
    }

    fn write_call(&mut self, call: u32, id: &Text<'_>, name: &Text<'_>, out: &mut BytesMut) {
        if self.calls.iter().any(|open| open.call == call) {
            return;
        }
        self.close_reasoning(None, output::COMPLETED, out);
        self.close_message(output::COMPLETED, out);
        let index = self.begin(out);
        let item = output::item_id("fc", &self.stamp, index);
        let call_id = output::call_id(id, &mut self.call_ids, &self.stamp).into_owned();
        let name = name.clone().into_owned();
        self.calls.push(Call::open(call, index, (item, call_id), name, &mut self.pen, out));
    }

    fn close_items(&mut self, status: &'static str, out: &mut BytesMut) {
        self.close_reasoning(None, status, out);
        self.close_message(status, out);
        for call in std::mem::take(&mut self.calls) {
            let (index, item) = call.close(status, &mut self.pen, out);
            self.keep(index, item);
        }
    }

    fn close_reasoning(&mut self, own: Option<(&Signature<'_>, bool)>, status: &str, out: &mut BytesMut) {
        if let Some(reasoning) = self.reasoning.take() {
            let (index, item) = reasoning.close(own, status, &mut self.pen, out);
            self.keep(index, item);
        }
    }

    fn close_message(&mut self, status: &str, out: &mut BytesMut) {
        if let Some(message) = self.message.take() {
            let (index, item) = message.close(status, &mut self.logprobs, &mut self.pen, out);
            self.keep(index, item);
        }
    }
}
