//! A streamed answer for a caller: SSE, or the JSON array that Gemini sends without `alt=sse`.
//!
//! A call is written when it is whole, because Gemini's callers read arguments as an object. The last chunk has the reason
//! to finish, the sources and the usage.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::dialect::Usage;
use crate::dialect::chat::{
    Arguments, Citation, Event, Finish, Origin, Part, Signature, Stamp, ToolCall, Words,
};
use crate::dialect::json::{Text, Writer};

use super::grounding::Grounded;
use super::pieces::{Piece, What};
use super::response::{write_candidate, write_rest};
use super::signature;

/// Writes the chunks of one stream.
#[derive(Debug)]
pub struct StreamWriter {
    stamp: Stamp,
    /// The provider's id, as it stands between quotes.
    id: Option<Box<str>>,
    is_array: bool,
    has_written: bool,
    has_closed: bool,
    answers: Vec<Progress>,
    usage: Option<Usage>,
}

/// How far an answer is.
#[derive(Debug)]
struct Progress {
    answer: u32,
    /// Calls that are not written yet.
    calls: Vec<OpenCall>,
    /// A signature that waits for the piece it belongs to, as it stands between quotes.
    pending: Option<String>,
    /// What was said, for the places of citations.
    text: String,
    citations: Vec<Citation<'static>>,
    finish: Option<Finish<'static>>,
}

#[derive(Debug)]
struct OpenCall {
    call: u32,
    id: Text<'static>,
    name: Text<'static>,
    /// As a JSON string holds them.
    arguments: String,
    signature: Option<String>,
}

/// A piece that owns what it says.
type Owned = (Option<Part<'static>>, Option<String>);

impl Progress {
    fn new(answer: u32) -> Self {
        let (text, calls, citations) = (String::new(), Vec::new(), Vec::new());
        Self { answer, calls, pending: None, text, citations, finish: None }
    }

    /// The calls so far, as parts.
    fn take_calls(&mut self) -> Vec<Owned> {
        let part = |call: OpenCall| {
            let arguments = Arguments::Text(Text::owned_escaped(&call.arguments));
            // A line feed between tokens would end the event.
            let arguments = Arguments::Object(Cow::Owned(arguments.as_object().replace(['\n', '\r'], " ")));
            let call = (ToolCall { id: call.id, name: call.name, arguments, cache: None }, call.signature);
            (Some(Part::ToolCall(Box::new(call.0))), call.1)
        };
        self.calls.drain(..).map(part).collect()
    }
}

impl StreamWriter {
    /// Begins a stream of events.
    #[must_use]
    pub fn new(stamp: Stamp) -> Self {
        let (answers, usage) = (Vec::new(), None);
        Self { stamp, id: None, is_array: false, has_written: false, has_closed: false, answers, usage }
    }

    /// Writes a JSON array instead of events: for callers that do not ask with `alt=sse`.
    #[must_use]
    pub fn as_array(self) -> Self {
        Self { is_array: true, ..self }
    }

    /// Appends what a piece of the answer makes visible.
    pub fn write(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        if self.has_closed {
            return;
        }
        match event {
            Event::Start { id, .. } => {
                let id = id.as_ref().filter(|id| !id.is_empty());
                self.id = id.map(|id| id.escaped().into());
            }
            Event::Text { answer, text } | Event::Refusal { answer, text } => self.text(*answer, text, out),
            Event::Thought { answer, text } => self.thought(*answer, text, None, out),
            Event::Signature { answer, signature, is_redacted } => {
                self.signature(*answer, signature, *is_redacted, out);
            }
            Event::ToolCall { answer, call, id, name } => {
                let progress = self.progress(*answer);
                let signature = progress.pending.take();
                let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
                let call = OpenCall { call: *call, id, name, arguments: String::new(), signature };
                progress.calls.push(call);
            }
            Event::Arguments { answer, call, fragment } => {
                let calls = &mut self.progress(*answer).calls;
                if let Some(own) = calls.iter_mut().rev().find(|own| own.call == *call) {
                    own.arguments.push_str(fragment.escaped());
                }
            }
            Event::Citation { answer, citation } => {
                self.progress(*answer).citations.push(Citation::clone(citation).into_owned());
            }
            Event::Finish { answer, reason } => {
                let finish = &mut self.progress(*answer).finish;
                finish.get_or_insert_with(|| reason.clone().into_owned());
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            // Gemini's form of log probabilities is another, and the end is written when the stream is closed.
            Event::Logprobs { .. } | Event::End => {}
        }
    }

    /// Appends the last chunk.
    pub fn close(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.has_closed, true) {
            return;
        }
        if self.answers.is_empty() {
            self.answers.push(Progress::new(0));
        }
        let mut answers = std::mem::take(&mut self.answers);
        answers.sort_by_key(|progress| progress.answer);
        self.chunk(out, true, |w| {
            for progress in &mut answers {
                last_candidate(progress, w);
            }
        });
        if self.is_array {
            out.extend_from_slice(b"]");
        }
    }

    fn progress(&mut self, answer: u32) -> &mut Progress {
        let found = self.answers.iter().position(|progress| progress.answer == answer);
        let at = found.unwrap_or_else(|| {
            self.answers.push(Progress::new(answer));
            self.answers.len() - 1
        });
        &mut self.answers[at]
    }

    fn text(&mut self, answer: u32, text: &Text<'_>, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.flush_calls(answer, out);
        let progress = self.progress(answer);
        progress.text.push_str(&text.decode());
        let signature = progress.pending.take().map(Cow::Owned);
        let part = Part::Text(Words { text: text.borrow(), ..Words::default() });
        self.pieces(answer, &[Piece { what: What::Part(&part), signature }], out);
    }

    fn thought(&mut self, answer: u32, text: &Text<'_>, signature: Option<Cow<'_, str>>, out: &mut BytesMut) {
        self.flush_calls(answer, out);
        self.pieces(answer, &[Piece { what: What::Thought(text), signature }], out);
    }

    /// Google's own waits for the piece that it belongs to; that of somebody else stands beside thoughts.
    fn signature(&mut self, answer: u32, signature: &Signature<'_>, is_redacted: bool, out: &mut BytesMut) {
        let written = signature::write(signature, is_redacted);
        if signature.origin != Origin::Google {
            return self.thought(answer, &Text::default(), Some(written), out);
        }
        let written = written.into_owned();
        if let Some(before) = self.progress(answer).pending.replace(written) {
            let piece = Piece { what: What::Nothing, signature: Some(Cow::Owned(before)) };
            self.pieces(answer, &[piece], out);
        }
    }

    fn flush_calls(&mut self, answer: u32, out: &mut BytesMut) {
        let calls = self.progress(answer).take_calls();
        if !calls.is_empty() {
            let pieces: Vec<_> = calls.iter().map(piece).collect();
            self.pieces(answer, &pieces, out);
        }
    }

    fn pieces(&mut self, answer: u32, pieces: &[Piece<'_>], out: &mut BytesMut) {
        self.chunk(out, false, |w| write_candidate(u64::from(answer), pieces, None, &[], w));
    }

    fn chunk(&mut self, out: &mut BytesMut, is_last: bool, candidates: impl FnOnce(&mut Writer<'_>)) {
        let begin: &[u8] = match (self.is_array, self.has_written) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\n",
        };
        out.extend_from_slice(begin);
        self.has_written = true;
        let usage = self.usage.as_ref().filter(|_| is_last);
        Writer::new(out).object(|w| {
            w.name("candidates").array(candidates);
            write_rest(usage, self.id.as_deref(), &self.stamp, w);
        });
        out.extend_from_slice(if self.is_array { b"\n" } else { b"\n\n" });
    }
}

fn piece(owned: &Owned) -> Piece<'_> {
    let what = owned.0.as_ref().map_or(What::Nothing, What::Part);
    Piece { what, signature: owned.1.as_deref().map(Cow::Borrowed) }
}

/// What is left of an answer, and why it ended.
fn last_candidate(progress: &mut Progress, w: &mut Writer<'_>) {
    let mut rest = progress.take_calls();
    rest.extend(progress.pending.take().map(|signature| (None, Some(signature))));
    if rest.is_empty() {
        rest.push((None, None));
    }
    let pieces: Vec<_> = rest.iter().map(piece).collect();
    let finish = progress.finish.take().unwrap_or_default();
    let grounded = Grounded { part: None, text: &progress.text, citations: &progress.citations };
    let grounded = if progress.citations.is_empty() { Vec::new() } else { vec![grounded] };
    write_candidate(u64::from(progress.answer), &pieces, Some(&finish), &grounded, w);
}
