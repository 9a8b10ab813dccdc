//! A provider's stream, read event by event.
//!
//! Citations come before the words that they belong to, or after them; they are handed on when their block ends, with
//! the place of the words. Blocks of Anthropic's own tools are left out, and so their arguments are not counted as calls.

use smallvec::SmallVec;

use super::super::chat::{Citation, Event, Events, Part, StreamFault};
use super::super::json::Text;
use super::super::json::shape::Json;
use super::super::whole::Whole;
use super::usage::Counts;
use super::wire::{Block, Delta, MessageReply, StreamEvent};
use super::{answer, citation, content, refusal};

/// Reads the stream of one answer.
#[derive(Debug, Default)]
pub struct StreamReader {
    counts: Counts,
    /// Tool calls so far.
    calls: u32,
    /// Characters of text so far.
    characters: u64,
    is_finished: bool,
    /// Blocks that have begun and not ended: one, as a rule.
    open: SmallVec<[OpenBlock; 1]>,
}

#[derive(Debug)]
struct OpenBlock {
    index: u64,
    kind: BlockKind,
}

#[derive(Debug)]
enum BlockKind {
    /// Words: the place where they begin, and where they come from.
    Text { from: u64, citations: Vec<Citation<'static>> },
    /// A tool call: the input that its first event brought, to be used where no piece of it follows.
    Call { call: u32, input: Option<Box<str>>, has_pieces: bool },
}

impl StreamReader {
    /// Reads one event; `event` is its name and `data` its data.
    ///
    /// # Errors
    /// The event cannot be read, or it says that the provider gave up.
    pub fn read<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Result<Events<'d>, StreamFault> {
        let read: StreamEvent<'d> = serde_json::from_str(data).map_err(|_| StreamFault::Malformed)?;
        let kind = read.kind.as_ref().map(Text::decode);
        let named = || event.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        let mut events = Events::new();
        match kind.as_deref().unwrap_or_else(named) {
            "content_block_delta" => {
                if let (Some(Whole(index)), Some(delta)) = (read.index, read.delta) {
                    self.add(index, delta, &mut events);
                }
            }
            "content_block_start" => {
                if let (Some(Whole(index)), Some(block)) = (read.index, read.block) {
                    self.begin_block(index, block, &mut events)?;
                }
            }
            "content_block_stop" => {
                if let Some(Whole(index)) = read.index
                    && let Some(place) = self.open.iter().position(|open| open.index == index)
                {
                    let block = self.open.remove(place);
                    self.end_block(block, &mut events);
                }
            }
            "message_start" => self.begin(read.message.ok_or(StreamFault::Malformed)?, &mut events)?,
            "message_delta" => {
                if let Some(delta) = read.delta.filter(|delta| delta.stop_reason.is_some()) {
                    self.finish(delta.stop_reason, delta.stop_sequence, &mut events);
                }
                self.count(read.usage, &mut events);
            }
            "message_stop" => {
                self.finish(None, None, &mut events);
                events.push(Event::End);
            }
            "error" => {
                let error = read.error.unwrap_or(Json(data));
                return Err(StreamFault::Failed(refusal::in_band(error)));
            }
            _ => {}
        }
        Ok(events)
    }

    /// An answer begins. One that goes on after a tool of the caller's can have all its content here.
    fn begin<'d>(&mut self, message: Json<'d>, events: &mut Events<'d>) -> Result<(), StreamFault> {
        *self = Self::default();
        let message: MessageReply<'d> =
            serde_json::from_str(message.0).map_err(|_| StreamFault::Malformed)?;
        events.push(Event::Start { id: message.id, model: message.model });
        let parts = answer::read_parts(message.content.unwrap_or_default());
        for part in parts.map_err(|_| StreamFault::Malformed)? {
            self.begin_part(None, part, events);
        }
        self.count(message.usage, events);
        if message.stop_reason.is_some() {
            self.finish(message.stop_reason, message.stop_sequence, events);
        }
        Ok(())
    }

    fn begin_block<'d>(
        &mut self,
        index: u64,
        block: Json<'d>,
        events: &mut Events<'d>,
    ) -> Result<(), StreamFault> {
        let mut block: Block<'d> = serde_json::from_str(block.0).map_err(|_| StreamFault::Malformed)?;
        let kind = block.kind.take().ok_or(StreamFault::Malformed)?;
        let Some(part) = content::answer_part(&kind.decode(), &mut block) else { return Ok(()) };
        self.begin_part(Some(index), part.map_err(|_| StreamFault::Malformed)?, events);
        Ok(())
    }

    /// Hands on what a block brings at its beginning. One without an index is complete.
    fn begin_part<'d>(&mut self, index: Option<u64>, part: Part<'d>, events: &mut Events<'d>) {
        let kind = match part {
            Part::Text(words) => {
                let from = self.characters;
                self.say(words.text, events);
                let citations = words.citations.into_iter().map(into_owned).collect();
                BlockKind::Text { from, citations }
            }
            Part::Thought(thought) => {
                if !thought.text.is_empty() {
                    events.push(Event::Thought { answer: 0, text: thought.text });
                }
                if let Some(signature) = thought.signature {
                    events.push(Event::Signature { answer: 0, signature, is_redacted: thought.is_redacted });
                }
                return;
            }
            Part::ToolCall(call) => {
                let input = call.arguments.as_object();
                let input = Some(input).filter(|input| input.len() > 2).map(Box::from);
                let number = self.calls;
                self.calls = self.calls.saturating_add(1);
                events.push(Event::ToolCall { answer: 0, call: number, id: call.id, name: call.name });
                BlockKind::Call { call: number, input, has_pieces: false }
            }
            Part::Media(_) | Part::ToolResult(_) | Part::Refusal(_) => return,
        };
        match index {
            Some(index) => self.open.push(OpenBlock { index, kind }),
            None => self.end_block(OpenBlock { index: 0, kind }, events),
        }
    }

    fn add<'d>(&mut self, index: u64, delta: Delta<'d>, events: &mut Events<'d>) {
        if let Some(text) = delta.text {
            self.say(text, events);
        } else if let Some(fragment) = delta.partial_json.filter(|fragment| !fragment.is_empty()) {
            if let Some(BlockKind::Call { call, has_pieces, .. }) = self.kind_of(index) {
                *has_pieces = true;
                events.push(Event::Arguments { answer: 0, call: *call, fragment });
            }
        } else if let Some(text) = delta.thinking.filter(|text| !text.is_empty()) {
            events.push(Event::Thought { answer: 0, text });
        } else if let Some(signature) = delta.signature.and_then(content::signature) {
            events.push(Event::Signature { answer: 0, signature, is_redacted: false });
        } else if let Some(found) = delta.citation.and_then(citation::read)
            && let Some(BlockKind::Text { citations, .. }) = self.kind_of(index)
        {
            citations.push(into_owned(found));
        }
    }

    fn kind_of(&mut self, index: u64) -> Option<&mut BlockKind> {
        self.open.iter_mut().find(|open| open.index == index).map(|open| &mut open.kind)
    }

    fn say<'d>(&mut self, text: Text<'d>, events: &mut Events<'d>) {
        if !text.is_empty() {
            self.characters = self.characters.saturating_add(text.decode().chars().count() as u64);
            events.push(Event::Text { answer: 0, text });
        }
    }

    /// Hands on what had to wait for the end of a block. A call without arguments has the empty object.
    fn end_block(&mut self, block: OpenBlock, events: &mut Events<'_>) {
        match block.kind {
            BlockKind::Text { from, citations } => {
                let place = Some((from, self.characters)).filter(|(from, to)| from < to);
                events.extend(citations.into_iter().map(|citation| Event::Citation {
                    answer: 0,
                    citation: Box::new(Citation { place, ..citation }),
                }));
            }
            BlockKind::Call { has_pieces: true, .. } => {}
            BlockKind::Call { call, input, .. } => {
                let fragment = Text::owned(input.as_deref().unwrap_or("{}"));
                events.push(Event::Arguments { answer: 0, call, fragment });
            }
        }
    }

    fn count(&mut self, raw: Option<Json<'_>>, events: &mut Events<'_>) {
        if raw.is_some() {
            self.counts.take(raw);
            events.extend(self.counts.usage().map(Event::Usage));
        }
    }

    /// The answer is complete; the first reason counts.
    fn finish<'d>(&mut self, reason: Option<Text<'d>>, sequence: Option<Text<'d>>, events: &mut Events<'d>) {
        for block in std::mem::take(&mut self.open) {
            self.end_block(block, events);
        }
        if !std::mem::replace(&mut self.is_finished, true) {
            let reason = answer::read_finish(reason, sequence, self.calls > 0);
            events.push(Event::Finish { answer: 0, reason });
        }
    }
}

pub(super) fn into_owned(citation: Citation<'_>) -> Citation<'static> {
    Citation {
        url: citation.url.map(Text::into_owned),
        title: citation.title.map(Text::into_owned),
        quote: citation.quote.map(Text::into_owned),
        place: citation.place,
    }
}
