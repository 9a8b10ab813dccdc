//! A stream, written for a caller of this dialect.
//!
//! Chunks have one head, made once. Reasons to finish, usage and `[DONE]` are only written by [`StreamWriter::close`],
//! because the usage may come after the reason, and what comes late must not stand behind it.

use bytes::BytesMut;
use smallvec::SmallVec;

use super::details;
use super::written_reply::{annotation, characters, finish_word, own_id, write_usage};
use crate::dialect::Usage;
use crate::dialect::chat::{Citation, Event, Finish, Origin, Signature, Stamp};
use crate::dialect::json::{Text, Writer};

/// Writes the chunks of one stream.
#[derive(Debug)]
pub struct StreamWriter {
    stamp: Stamp,
    /// All chunks up to the choices, from the first event on.
    head: String,
    answers: SmallVec<[Answer; 1]>,
    usage: Option<Usage>,
}

/// What was written of one answer.
#[derive(Debug, Default)]
struct Answer {
    number: u32,
    /// The calls written, by their numbers; the place is the index.
    calls: Vec<u32>,
    finish: Option<Finish<'static>>,
    refuses: bool,
    /// Thoughts since the last signature or other piece: a signature is written with them.
    thoughts: String,
    /// Entries of `reasoning_details` written.
    details: u64,
    /// A signature of Gemini that waits for the piece that it belongs to.
    waiting: Option<Signature<'static>>,
    /// Sources written.
    sources: u64,
    /// Characters of text written.
    characters: u64,
    /// Where the words begin that the next source without a place is for, and whether they have one already.
    cited_from: u64,
    is_cited: bool,
}

impl StreamWriter {
    /// Begins a stream.
    #[must_use]
    pub fn new(stamp: Stamp) -> Self {
        Self { stamp, head: String::new(), answers: SmallVec::new(), usage: None }
    }

    /// Appends what an event means to `out`.
    pub fn write(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { id, .. } => {
                if self.head.is_empty() {
                    self.head = head(id.as_ref(), &self.stamp);
                }
                self.answer(0, out);
            }
            Event::Text { answer, text } => {
                self.piece(*answer, out).delta(|own, w| {
                    if std::mem::take(&mut own.is_cited) {
                        own.cited_from = own.characters;
                    }
                    own.characters += characters(text);
                    w.name("content").text(text);
                });
            }
            Event::Refusal { answer, text } => self.piece(*answer, out).delta(|own, w| {
                own.refuses = true;
                w.name("refusal").text(text);
            }),
            Event::Citation { answer, citation } => self.chunk(*answer, out).cite(citation),
            Event::Thought { answer, text } => self.chunk(*answer, out).delta(|own, w| {
                own.thoughts.push_str(text.escaped());
                w.name("reasoning_content").text(text);
            }),
            Event::Signature { answer, signature, is_redacted } => {
                self.chunk(*answer, out).sign(signature, *is_redacted);
            }
            Event::ToolCall { answer, call, id, name } => self.chunk(*answer, out).call(*call, id, name),
            Event::Arguments { answer, call, fragment } => self.chunk(*answer, out).grow(*call, fragment),
            Event::Logprobs { answer, json } => self.chunk(*answer, out).logprobs(json),
            Event::Finish { answer, reason } => {
                let reason = reason.clone().into_owned();
                self.answer(*answer, out).finish.get_or_insert(reason);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => {}
        }
    }

    /// Appends what ends the stream: called once, after the provider's proper end.
    pub fn close(&mut self, out: &mut BytesMut) {
        self.answer(0, out);
        self.answers.sort_by_key(|answer| answer.number);
        for own in &mut self.answers {
            let mut chunk = Chunk { head: &self.head, own, out };
            chunk.release(None);
            let usual = if chunk.own.calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
            let reason = chunk.own.finish.take().unwrap_or(usual);
            let word = finish_word(&reason, chunk.own.refuses);
            chunk.write(|_, _| {}, None, Some(word));
        }
        if self.stamp.wants_usage {
            out.extend_from_slice(self.head.as_bytes());
            out.extend_from_slice(b"],\"usage\":");
            write_usage(&self.usage.unwrap_or_default(), &mut Writer::new(out));
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The answer with this number; its first chunk names the role.
    fn answer<'w>(&'w mut self, number: u32, out: &'w mut BytesMut) -> &'w mut Answer {
        self.chunk(number, out).own
    }

    fn chunk<'w>(&'w mut self, number: u32, out: &'w mut BytesMut) -> Chunk<'w> {
        if self.head.is_empty() {
            self.head = head(None, &self.stamp);
        }
        let known = self.answers.iter().position(|answer| answer.number == number);
        let place = known.unwrap_or_else(|| {
            self.answers.push(Answer { number, ..Answer::default() });
            self.answers.len() - 1
        });
        let mut chunk = Chunk { head: &self.head, own: &mut self.answers[place], out };
        if known.is_none() {
            chunk.delta(|_, w| {
                w.name("role").string("assistant");
                w.name("content").string("");
            });
        }
        chunk
    }

    /// The same for words: thoughts and signatures before them are done.
    fn piece<'w>(&'w mut self, number: u32, out: &'w mut BytesMut) -> Chunk<'w> {
        let mut chunk = self.chunk(number, out);
        chunk.release(None);
        chunk
    }
}

/// What stands before the choices of every chunk.
fn head(id: Option<&Text<'_>>, stamp: &Stamp) -> String {
    let mut head = BytesMut::from("data: ");
    Writer::new(&mut head).object(|w| {
        w.name("id").string(&own_id(id, stamp));
        w.name("object").string("chat.completion.chunk");
        w.name("created").number(stamp.created);
        w.name("model").raw(&stamp.model);
        w.name("choices").raw("[");
    });
    // Without the bracket that closed the object.
    head.truncate(head.len() - 1);
    String::from_utf8_lossy(&head).into_owned()
}

/// A chunk to be written.
struct Chunk<'w> {
    head: &'w str,
    own: &'w mut Answer,
    out: &'w mut BytesMut,
}

impl Chunk<'_> {
    fn delta(&mut self, members: impl FnOnce(&mut Answer, &mut Writer<'_>)) {
        self.write(members, None, None);
    }

    fn write(
        &mut self,
        members: impl FnOnce(&mut Answer, &mut Writer<'_>),
        logprobs: Option<&str>,
        finish: Option<&str>,
    ) {
        let Self { head, own, out } = self;
        out.extend_from_slice(head.as_bytes());
        Writer::new(out).object(|w| {
            w.name("index").number(u64::from(own.number));
            w.name("delta").object(|w| members(own, w));
            w.raw_member("logprobs", logprobs);
            match finish {
                Some(word) => w.name("finish_reason").string(word),
                None => w.name("finish_reason").null(),
            }
        });
        out.extend_from_slice(b"]}\n\n");
    }

    /// Ends the thoughts before another piece; a signature that waits belongs to it: to a tool call with this id.
    fn release(&mut self, call: Option<&Text<'_>>) {
        self.own.thoughts.clear();
        if let Some(signature) = self.own.waiting.take() {
            self.detail(&Text::default(), &signature, false, call);
        }
    }

    fn sign(&mut self, signature: &Signature<'_>, is_redacted: bool) {
        if signature.origin == Origin::Google {
            self.release(None);
            self.own.waiting = Some(signature.clone().into_owned());
            return;
        }
        let thoughts = std::mem::take(&mut self.own.thoughts);
        self.detail(&Text::from_escaped(&thoughts), signature, is_redacted, None);
    }

    fn detail(
        &mut self,
        text: &Text<'_>,
        signature: &Signature<'_>,
        is_redacted: bool,
        call: Option<&Text<'_>>,
    ) {
        self.delta(|own, w| {
            w.name("reasoning_details")
                .array(|w| details::write(w, &mut own.details, text, signature, is_redacted, call));
        });
    }

    fn call(&mut self, call: u32, id: &Text<'_>, name: &Text<'_>) {
        if self.own.calls.contains(&call) {
            return;
        }
        let signature = self.own.waiting.clone();
        self.release(Some(id));
        self.delta(|own, w| {
            let index = own.calls.len() as u64;
            own.calls.push(call);
            w.name("tool_calls").array(|w| {
                w.object(|w| {
                    w.name("index").number(index);
                    w.name("id").text(id);
                    w.name("type").string("function");
                    w.name("function").object(|w| {
                        w.name("name").text(name);
                        w.name("arguments").string("");
                    });
                    details::write_extra(signature.as_ref(), w);
                });
            });
        });
    }

    fn grow(&mut self, call: u32, fragment: &Text<'_>) {
        let Some(index) = self.own.calls.iter().position(|known| *known == call) else { return };
        self.delta(|_, w| {
            w.name("tool_calls").array(|w| {
                w.object(|w| {
                    w.name("index").number(index as u64);
                    w.name("function").object(|w| w.name("arguments").text(fragment));
                });
            });
        });
    }

    /// A source of the words since the last one, unless it names its place.
    fn cite(&mut self, citation: &Citation<'_>) {
        if citation.url.is_none() {
            return;
        }
        self.delta(|own, w| {
            own.is_cited = true;
            let place = citation.place.unwrap_or((own.cited_from, own.characters));
            w.name("annotations").array(|w| annotation(citation, place, Some(own.sources), w));
            own.sources += 1;
        });
    }

    fn logprobs(&mut self, json: &str) {
        // A line feed would end the frame's line; inside a JSON text it is white space.
        let line = json.replace(['\n', '\r'], " ");
        self.write(|_, _| {}, Some(&line), None);
    }
}
