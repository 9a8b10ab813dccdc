//! The items of a streamed answer while they are open: what opens, extends and closes each of them.

use bytes::BytesMut;

use crate::dialect::chat::{Citation, Signature};
use crate::dialect::json::{Text, Writer};
use crate::dialect::openai_responses::{output, reasoning};

/// Writes frames and counts them.
#[derive(Debug, Default)]
pub(super) struct Pen {
    sequence: u64,
}

impl Pen {
    /// The number of the event that would come next.
    pub(super) fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// Appends one event; `members` writes what stands behind its type and number.
    pub(super) fn frame(&mut self, out: &mut BytesMut, name: &str, members: impl FnOnce(&mut Writer<'_>)) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        Writer::new(out).object(|w| {
            w.name("type").string(name);
            w.name("sequence_number").number(self.sequence);
            members(w);
        });
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }

    /// An item begins or ends; `item` writes it.
    fn item(&mut self, out: &mut BytesMut, name: &str, index: usize, item: impl FnOnce(&mut Writer<'_>)) {
        self.frame(out, name, |w| {
            w.name("output_index").number(index as u64);
            item(w.name("item"));
        });
    }
}

const ADDED: &str = "response.output_item.added";
const DONE: &str = "response.output_item.done";

/// Where a piece belongs, as most events say it.
fn place(w: &mut Writer<'_>, id: &Text<'_>, index: usize) {
    w.name("item_id").text(id);
    w.name("output_index").number(index as u64);
}

/// Writes an item as JSON of its own, to be sent now and repeated at the end.
fn item(write: impl FnOnce(&mut Writer<'_>)) -> BytesMut {
    let mut json = BytesMut::new();
    write(&mut Writer::new(&mut json));
    json
}

/// Thoughts.
#[derive(Debug)]
pub(super) struct Reasoning {
    index: usize,
    id: Text<'static>,
    /// The thoughts so far, escaped.
    text: String,
}

impl Reasoning {
    pub(super) fn open(index: usize, id: Text<'static>, pen: &mut Pen, out: &mut BytesMut) -> Self {
        pen.item(out, ADDED, index, |w| output::reasoning(w, &id, output::IN_PROGRESS, "", None));
        Self { index, id, text: String::new() }
    }

    pub(super) fn extend(&mut self, text: &Text<'_>, pen: &mut Pen, out: &mut BytesMut) {
        if self.text.is_empty() {
            self.part(pen, out, "response.reasoning_summary_part.added", "");
        }
        pen.frame(out, "response.reasoning_summary_text.delta", |w| {
            place(w, &self.id, self.index);
            w.name("summary_index").number(0);
            w.name("delta").text(text);
        });
        self.text.push_str(text.escaped());
    }

    fn part(&self, pen: &mut Pen, out: &mut BytesMut, name: &str, text: &str) {
        pen.frame(out, name, |w| {
            place(w, &self.id, self.index);
            w.name("summary_index").number(0);
            output::summary_part(w.name("part"), text);
        });
    }

    pub(super) fn close(
        self,
        own: Option<(&Signature<'_>, bool)>,
        status: &str,
        pen: &mut Pen,
        out: &mut BytesMut,
    ) -> (usize, BytesMut) {
        if !self.text.is_empty() {
            pen.frame(out, "response.reasoning_summary_text.done", |w| {
                place(w, &self.id, self.index);
                w.name("summary_index").number(0);
                w.name("text").text(&Text::from_escaped(&self.text));
            });
            self.part(pen, out, "response.reasoning_summary_part.done", &self.text);
        }
        let encrypted =
            own.map(|(own, is_redacted)| reasoning::for_caller(own, is_redacted, self.id.escaped()));
        let json = item(|w| output::reasoning(w, &self.id, status, &self.text, encrypted.as_deref()));
        pen.item(out, DONE, self.index, |w| w.raw(output::as_str(&json)));
        (self.index, json)
    }
}

/// A message: one part after the other.
#[derive(Debug)]
pub(super) struct Message {
    index: usize,
    id: Text<'static>,
    /// The parts that are done, raw.
    parts: BytesMut,
    /// The place of the open part.
    content: u64,
    open: Option<OpenPart>,
}

#[derive(Debug)]
struct OpenPart {
    is_refusal: bool,
    /// The words so far, escaped.
    text: String,
    /// Their sources so far, raw.
    annotations: BytesMut,
    annotation_count: u64,
}

impl Message {
    pub(super) fn open(index: usize, id: Text<'static>, pen: &mut Pen, out: &mut BytesMut) -> Self {
        pen.item(out, ADDED, index, |w| output::message(w, &id, output::IN_PROGRESS, |_| {}));
        Self { index, id, parts: BytesMut::new(), content: 0, open: None }
    }

    fn place(&self, w: &mut Writer<'_>) {
        place(w, &self.id, self.index);
        w.name("content_index").number(self.content);
    }

    pub(super) fn say(
        &mut self,
        text: &Text<'_>,
        is_refusal: bool,
        logprobs: &mut BytesMut,
        pen: &mut Pen,
        out: &mut BytesMut,
    ) {
        if self.open.as_ref().is_some_and(|open| open.is_refusal != is_refusal) {
            self.close_part(logprobs, pen, out);
        }
        if self.open.is_none() {
            pen.frame(out, "response.content_part.added", |w| {
                self.place(w);
                match is_refusal {
                    true => output::refusal_part(w.name("part"), &Text::default()),
                    false => output::text_part(w.name("part"), &Text::default(), "", ""),
                }
            });
        }
        let name = if is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        pen.frame(out, name, |w| {
            self.place(w);
            w.name("delta").text(text);
            if !is_refusal {
                w.name("logprobs").raw("[]");
            }
        });
        let open = self.open.get_or_insert_with(|| OpenPart {
            is_refusal,
            text: String::new(),
            annotations: BytesMut::new(),
            annotation_count: 0,
        });
        open.text.push_str(text.escaped());
    }

    pub(super) fn cite(&mut self, citation: &Citation<'_>, pen: &mut Pen, out: &mut BytesMut) {
        let Some(mut open) = self.open.take() else { return };
        if !open.is_refusal {
            let json = item(|w| {
                // Counted only where the provider does not say the place.
                let count = || Text::from_escaped(&open.text).decode().chars().count() as u64;
                output::annotation(w, citation, citation.place.map_or_else(count, |(_, end)| end));
            });
            pen.frame(out, "response.output_text.annotation.added", |w| {
                self.place(w);
                w.name("annotation_index").number(open.annotation_count);
                w.name("annotation").raw(output::as_str(&json));
            });
            output::append(&mut open.annotations, &json);
            open.annotation_count += 1;
        }
        self.open = Some(open);
    }

    fn close_part(&mut self, logprobs: &mut BytesMut, pen: &mut Pen, out: &mut BytesMut) {
        let Some(open) = self.open.take() else { return };
        let text = Text::from_escaped(&open.text);
        let part = match open.is_refusal {
            true => {
                pen.frame(out, "response.refusal.done", |w| {
                    self.place(w);
                    w.name("refusal").text(&text);
                });
                item(|w| output::refusal_part(w, &text))
            }
            false => {
                let logprobs = std::mem::take(logprobs);
                let logprobs = output::as_str(&logprobs);
                pen.frame(out, "response.output_text.done", |w| {
                    self.place(w);
                    w.name("text").text(&text);
                    w.name("logprobs").array(|w| output::raw_items(w, logprobs));
                });
                item(|w| output::text_part(w, &text, output::as_str(&open.annotations), logprobs))
            }
        };
        pen.frame(out, "response.content_part.done", |w| {
            self.place(w);
            w.name("part").raw(output::as_str(&part));
        });
        output::append(&mut self.parts, &part);
        self.content += 1;
    }

    pub(super) fn close(
        mut self,
        status: &str,
        logprobs: &mut BytesMut,
        pen: &mut Pen,
        out: &mut BytesMut,
    ) -> (usize, BytesMut) {
        self.close_part(logprobs, pen, out);
        let parts = output::as_str(&self.parts);
        let json = item(|w| output::message(w, &self.id, status, |w| output::raw_items(w, parts)));
        pen.item(out, DONE, self.index, |w| w.raw(output::as_str(&json)));
        (self.index, json)
    }
}

/// A call of a function.
#[derive(Debug)]
pub(super) struct Call {
    /// Which call of the answer.
    pub(super) call: u32,
    index: usize,
    /// The item's id, and that which ties a result to it.
    ids: (Text<'static>, Text<'static>),
    name: Text<'static>,
    /// The arguments so far, escaped.
    arguments: String,
}

impl Call {
    pub(super) fn open(
        call: u32,
        index: usize,
        ids: (Text<'static>, Text<'static>),
        name: Text<'static>,
        pen: &mut Pen,
        out: &mut BytesMut,
    ) -> Self {
        pen.item(out, ADDED, index, |w| {
            output::call(w, (&ids.0, &ids.1), output::IN_PROGRESS, &name, &Text::default());
        });
        Self { call, index, ids, name, arguments: String::new() }
    }

    pub(super) fn extend(&mut self, fragment: &Text<'_>, pen: &mut Pen, out: &mut BytesMut) {
        pen.frame(out, "response.function_call_arguments.delta", |w| {
            place(w, &self.ids.0, self.index);
            w.name("delta").text(fragment);
        });
        self.arguments.push_str(fragment.escaped());
    }

    pub(super) fn close(self, status: &str, pen: &mut Pen, out: &mut BytesMut) -> (usize, BytesMut) {
        let arguments = Text::from_escaped(&self.arguments);
        pen.frame(out, "response.function_call_arguments.done", |w| {
            place(w, &self.ids.0, self.index);
            w.name("name").text(&self.name);
            w.name("arguments").text(&arguments);
        });
        let ids = (&self.ids.0, &self.ids.1);
        let json = item(|w| output::call(w, ids, status, &self.name, &arguments));
        pen.item(out, DONE, self.index, |w| w.raw(output::as_str(&json)));
        (self.index, json)
    }
}
