//! A provider's streamed answer: every event is a `GenerateContentResponse` with what is new.
//!
//! There is no last word: the chunk with `finishReason` ends an answer. Vertex can send a call's arguments in pieces, but
//! only to callers that ask for it; then a call is told when it is whole.

use smallvec::SmallVec;

use crate::dialect::chat::{Event, Events, Finish, StreamFault};
use crate::dialect::json::Text;

use super::error;
use super::grounding::{self, Spoken};
use super::members::{FunctionCall, Part, object};
use super::partial::Partial;
use super::reply::{Candidate, Ids, Response};
use super::signature;
use super::usage::{self, Counts};

/// Most answers of one request: Gemini gives eight.
const MAX_ANSWERS: u64 = 128;

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct StreamReader {
    has_started: bool,
    ids: Ids,
    answers: SmallVec<[Progress; 1]>,
}

/// How far an answer is.
#[derive(Debug, Default)]
struct Progress {
    calls: u32,
    /// What was said so far: citations count in it.
    spoken: Spoken,
    has_finished: bool,
    /// A call whose arguments come in pieces.
    partial: Option<Partial>,
}

impl StreamReader {
    /// Reads one event.
    ///
    /// # Errors
    /// It is not readable, or an error of the provider.
    pub fn read<'d>(&mut self, _event: Option<&[u8]>, data: &'d str) -> Result<Events<'d>, StreamFault> {
        let response = serde_json::from_str::<Response<'d>>(data).map_err(|_| {
            let own = error::error_member(data);
            own.map_or(StreamFault::Malformed, |raw| StreamFault::Failed(error::in_band(raw)))
        })?;
        if let Some(raw) = response.error {
            return Err(StreamFault::Failed(error::in_band(raw.0)));
        }
        let mut events = Events::new();
        if !self.has_started {
            self.has_started = true;
            self.ids = Ids::new(response.id.as_ref(), data);
            events.push(Event::Start { id: response.id, model: response.model });
        }
        let has_candidates = response.candidates.as_ref().is_some_and(|candidates| !candidates.is_empty());
        for candidate in response.candidates.unwrap_or_default() {
            self.candidate(candidate, &mut events)?;
        }
        let is_blocked = response.feedback.is_some_and(|feedback| feedback.block_reason.is_some());
        if is_blocked && !has_candidates {
            let progress = self.progress(0);
            if !progress.has_finished {
                progress.has_finished = true;
                events.push(Event::Finish { answer: 0, reason: Finish::ContentFilter });
            }
        }
        events.extend(response.counts.as_ref().and_then(Counts::usage).map(Event::Usage));
        Ok(events)
    }

    fn progress(&mut self, answer: usize) -> &mut Progress {
        if self.answers.len() <= answer {
            self.answers.resize_with(answer + 1, Progress::default);
        }
        &mut self.answers[answer]
    }

    fn candidate<'d>(
        &mut self,
        candidate: Candidate<'d>,
        events: &mut Events<'d>,
    ) -> Result<(), StreamFault> {
        let index = candidate.index.map_or(0, |whole| whole.0);
        if index >= MAX_ANSWERS {
            return Err(StreamFault::Malformed);
        }
        let answer = index as u32;
        let mut ids = std::mem::take(&mut self.ids);
        let progress = self.progress(index as usize);
        let parts = candidate.content.and_then(|content| content.parts).map(|parts| parts.0);
        for part in parts.unwrap_or_default() {
            progress.part(answer, part, &mut ids, events);
        }
        let citations = grounding::read(candidate.grounding, candidate.citations, &progress.spoken);
        for citation in citations {
            events.push(Event::Citation { answer, citation: Box::new(citation) });
        }
        let word = candidate.finish.as_ref().map_or("", Text::escaped);
        if !matches!(word, "" | "FINISH_REASON_UNSPECIFIED") && !progress.has_finished {
            progress.close_partial(answer, &mut ids, events);
            progress.has_finished = true;
            let reason = usage::finish(word, progress.calls > 0);
            events.push(Event::Finish { answer, reason });
        }
        self.ids = ids;
        Ok(())
    }
}

impl Progress {
    fn part<'d>(&mut self, answer: u32, part: Part<'d>, ids: &mut Ids, events: &mut Events<'d>) {
        // Tools that run at Google say nothing that a caller could use, and their signatures belong to nothing else.
        if part.text.is_none() && part.call.is_none() {
            return;
        }
        let text = part.text.filter(|text| !text.is_empty());
        let signature = part.signature.filter(|text| !text.is_empty()).map(|text| {
            let (signature, is_redacted) = signature::read(text);
            Event::Signature { answer, signature, is_redacted }
        });
        if part.thought == Some(true) {
            events.extend(text.map(|text| Event::Thought { answer, text }));
            events.extend(signature);
            return;
        }
        events.extend(signature);
        if let Some(call) = part.call {
            self.call(answer, call, ids, events);
        } else if let Some(text) = text {
            self.spoken.text.push_str(&text.decode());
            events.push(Event::Text { answer, text });
        }
    }

    fn call<'d>(&mut self, answer: u32, call: FunctionCall<'d>, ids: &mut Ids, events: &mut Events<'d>) {
        let name = call.name.filter(|name| !name.is_empty());
        let continues = call.will_continue == Some(true);
        if let Some(name) = name {
            self.close_partial(answer, ids, events);
            if continues || call.partial.is_some() {
                let id = call.id.map(Text::into_owned);
                self.partial = Some(Partial::new(id, name.into_owned()));
            } else {
                let id = ids.of(call.id);
                let arguments = call.args.and_then(object).unwrap_or("{}");
                self.tell(answer, id, name, Text::plain(arguments), events);
                return;
            }
        }
        if let (Some(partial), Some(pieces)) = (&mut self.partial, call.partial) {
            partial.add(pieces.0);
        }
        if !continues {
            self.close_partial(answer, ids, events);
        }
    }

    fn close_partial(&mut self, answer: u32, ids: &mut Ids, events: &mut Events<'_>) {
        if let Some(partial) = self.partial.take() {
            let (id, name, arguments) = partial.into_call();
            self.tell(answer, ids.of(id), name, arguments, events);
        }
    }

    fn tell<'d>(
        &mut self,
        answer: u32,
        id: Text<'d>,
        name: Text<'d>,
        fragment: Text<'d>,
        events: &mut Events<'d>,
    ) {
        let call = self.calls;
        self.calls += 1;
        events.push(Event::ToolCall { answer, call, id, name });
        events.push(Event::Arguments { answer, call, fragment });
    }
}
