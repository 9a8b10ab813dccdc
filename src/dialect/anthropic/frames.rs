//! A stream for a caller, written frame by frame.
//!
//! Blocks are numbered in the order in which they begin and come one after the other, as in Anthropic's own streams: words
//! and thoughts end where a block of another kind begins. Only a tool call whose arguments are not complete stays open
//! then, because pieces of several calls may come mixed; it ends with the answer. Nothing is written before the first
//! piece, and the closing pair waits for [`StreamWriter::close`], because the usage may come last.

use bytes::BytesMut;
use smallvec::SmallVec;

use super::super::Usage;
use super::super::chat::{Citation, Event, Finish, Origin, Signature, Stamp};
use super::super::json::{Text, Writer};
use super::arguments::Progress;
use super::{answer, citation, usage};

/// Writes the stream of one answer.
#[derive(Debug)]
pub struct StreamWriter {
    stamp: Stamp,
    is_started: bool,
    is_closed: bool,
    /// Blocks begun so far: the index of the next.
    blocks: u64,
    /// Blocks that have not ended, in their order.
    open: SmallVec<[OpenFrame; 2]>,
    /// Tool calls that have begun.
    calls: SmallVec<[u32; 4]>,
    usage: Option<Usage>,
    finish: Option<Finish<'static>>,
}

#[derive(Debug, Clone, Copy)]
struct OpenFrame {
    index: u64,
    kind: FrameKind,
    /// How far a call's arguments are.
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    /// Words that still grow.
    Text,
    /// Words of which the source is told: what follows is another statement.
    Cited,
    /// Thoughts.
    Thinking,
    /// A call, by its number in the answer.
    Call(u32),
}

impl StreamWriter {
    /// Begins a stream.
    #[must_use]
    pub fn new(stamp: Stamp) -> Self {
        Self {
            stamp,
            is_started: false,
            is_closed: false,
            blocks: 0,
            open: SmallVec::new(),
            calls: SmallVec::new(),
            usage: None,
            finish: None,
        }
    }

    /// Writes what a piece of the answer means. The dialect has one answer; pieces of others are not written.
    pub fn write(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        if self.is_closed {
            return;
        }
        match event {
            Event::Text { answer: 0, text } | Event::Refusal { answer: 0, text } => self.say(text, out),
            Event::Citation { answer: 0, citation } => self.cite(citation, out),
            Event::Thought { answer: 0, text } => self.think(text, out),
            Event::Signature { answer: 0, signature, is_redacted: false } => self.sign(signature, out),
            Event::Signature { answer: 0, signature, is_redacted: true } => self.redact(signature, out),
            Event::ToolCall { answer: 0, call, id, name } => self.call(*call, id, name, out),
            Event::Arguments { answer: 0, call, fragment } => self.argue(*call, fragment, out),
            Event::Finish { answer: 0, reason } => {
                self.start(out);
                self.end_blocks(out);
                self.finish.get_or_insert_with(|| reason.clone().into_owned());
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Start { .. } | Event::Logprobs { .. } | Event::End => {}
            Event::Text { .. }
            | Event::Citation { .. }
            | Event::Thought { .. }
            | Event::Signature { .. }
            | Event::ToolCall { .. }
            | Event::Arguments { .. }
            | Event::Refusal { .. }
            | Event::Finish { .. } => {}
        }
    }

    /// Writes what ends the answer.
    pub fn close(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.start(out);
        if self.blocks == 0 {
            self.begin(FrameKind::Text, write_empty_text, out);
        }
        self.end_blocks(out);
        let finish = self.finish.take().unwrap_or_default();
        let usage = self.usage.unwrap_or_default();
        frame(out, "message_delta", |w| {
            w.name("delta").object(|w| answer::write_finish(w, &finish, !self.calls.is_empty()));
            w.name("usage");
            usage::write_last(w, &usage);
        });
        frame(out, "message_stop", |_| {});
    }

    fn start(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        frame(out, "message_start", |w| {
            w.name("message").object(|w| {
                w.name("id").string(&format!("msg_{}", self.stamp.id));
                w.name("type").string("message");
                w.name("role").string("assistant");
                w.name("model").raw(&self.stamp.model);
                w.name("content").array(|_| {});
                w.name("stop_reason").null();
                w.name("stop_sequence").null();
                w.name("usage");
                usage::write(w, &self.usage.unwrap_or_default());
            });
        });
    }

    /// Begins a block, whose first form `block` writes, and answers its index.
    fn begin(&mut self, kind: FrameKind, block: impl FnOnce(&mut Writer<'_>), out: &mut BytesMut) -> u64 {
        self.start(out);
        self.end_complete(out);
        let index = self.blocks;
        self.blocks += 1;
        self.open.push(OpenFrame { index, kind, progress: Progress::default() });
        frame(out, "content_block_start", |w| {
            w.name("index").number(index);
            w.name("content_block").object(block);
        });
        index
    }

    /// The index of the block that grows, where it is of this kind.
    fn growing(&self, kind: FrameKind) -> Option<u64> {
        self.open.last().filter(|last| last.kind == kind).map(|last| last.index)
    }

    fn say(&mut self, text: &Text<'_>, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        let growing = self.growing(FrameKind::Text);
        let index = growing.unwrap_or_else(|| self.begin(FrameKind::Text, write_empty_text, out));
        delta(out, index, "text_delta", |w| w.name("text").text(text));
    }

    fn cite(&mut self, found: &Citation<'_>, out: &mut BytesMut) {
        let growing = self.growing(FrameKind::Text).or(self.growing(FrameKind::Cited));
        let index = growing.unwrap_or_else(|| self.begin(FrameKind::Text, write_empty_text, out));
        if let Some(last) = self.open.last_mut() {
            last.kind = FrameKind::Cited;
        }
        delta(out, index, "citations_delta", |w| {
            w.name("citation");
            citation::write(w, found);
        });
    }

    fn think(&mut self, text: &Text<'_>, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        let index = self.thinking(out);
        delta(out, index, "thinking_delta", |w| w.name("thinking").text(text));
    }

    fn sign(&mut self, signature: &Signature<'_>, out: &mut BytesMut) {
        let index = self.thinking(out);
        let signature = signature.write(Some(Origin::Anthropic));
        delta(out, index, "signature_delta", |w| {
            w.name("signature").text(&Text::from_escaped(&signature));
        });
        self.end_thinking(out);
    }

    fn redact(&mut self, signature: &Signature<'_>, out: &mut BytesMut) {
        let data = signature.write(Some(Origin::Anthropic));
        let block = |w: &mut Writer<'_>| {
            w.name("type").string("redacted_thinking");
            w.name("data").text(&Text::from_escaped(&data));
        };
        self.begin(FrameKind::Thinking, block, out);
        self.end_thinking(out);
    }

    /// The index of the block for thoughts, begun where there is none.
    fn thinking(&mut self, out: &mut BytesMut) -> u64 {
        let growing = self.growing(FrameKind::Thinking);
        growing.unwrap_or_else(|| {
            let block = |w: &mut Writer<'_>| {
                w.name("type").string("thinking");
                w.name("thinking").string("");
                w.name("signature").string("");
            };
            self.begin(FrameKind::Thinking, block, out)
        })
    }

    fn call(&mut self, call: u32, id: &Text<'_>, name: &Text<'_>, out: &mut BytesMut) {
        if self.calls.contains(&call) {
            return;
        }
        self.calls.push(call);
        let block = |w: &mut Writer<'_>| {
            w.name("type").string("tool_use");
            w.name("id").text(id);
            w.name("name").text(name);
            w.name("input").object(|_| {});
        };
        self.begin(FrameKind::Call(call), block, out);
    }

    fn argue(&mut self, call: u32, fragment: &Text<'_>, out: &mut BytesMut) {
        let open = self.open.iter_mut().find(|open| open.kind == FrameKind::Call(call));
        if let Some(open) = open.filter(|_| !fragment.is_empty()) {
            open.progress.take(fragment);
            delta(out, open.index, "input_json_delta", |w| w.name("partial_json").text(fragment));
        }
    }

    fn end_thinking(&mut self, out: &mut BytesMut) {
        if let Some(index) = self.growing(FrameKind::Thinking) {
            self.open.pop();
            end(out, index);
        }
    }

    /// Ends what can grow no more once another block begins.
    fn end_complete(&mut self, out: &mut BytesMut) {
        self.open.retain(|open| {
            let is_complete = match open.kind {
                FrameKind::Text | FrameKind::Cited | FrameKind::Thinking => true,
                FrameKind::Call(_) => open.progress.is_complete(),
            };
            if is_complete {
                end(out, open.index);
            }
            !is_complete
        });
    }

    fn end_blocks(&mut self, out: &mut BytesMut) {
        for open in std::mem::take(&mut self.open) {
            end(out, open.index);
        }
    }
}

fn write_empty_text(writer: &mut Writer<'_>) {
    writer.name("type").string("text");
    writer.name("text").string("");
}

fn delta(out: &mut BytesMut, index: u64, kind: &'static str, members: impl FnOnce(&mut Writer<'_>)) {
    frame(out, "content_block_delta", |w| {
        w.name("index").number(index);
        w.name("delta").object(|w| {
            w.name("type").string(kind);
            members(w);
        });
    });
}

fn end(out: &mut BytesMut, index: u64) {
    frame(out, "content_block_stop", |w| w.name("index").number(index));
}

fn frame(out: &mut BytesMut, name: &'static str, members: impl FnOnce(&mut Writer<'_>)) {
    for piece in ["event: ", name, "\ndata: "] {
        out.extend_from_slice(piece.as_bytes());
    }
    Writer::new(out).object(|w| {
        w.name("type").string(name);
        members(w);
    });
    out.extend_from_slice(b"\n\n");
}
