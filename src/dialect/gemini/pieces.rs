//! What the model said, laid out as Gemini's parts: each with the signature that belongs to it.
//!
//! Gemini has no part for a signature alone. One without thoughts goes to the call that follows it, even over words in
//! between (Gemini refuses calls that lost theirs), else to the next part; at the end an empty text carries it, which is
//! how Gemini itself ends a stream.

use std::borrow::Cow;

use crate::dialect::chat::{Origin, Part, Thought};
use crate::dialect::json::{Text, Writer};

use super::{media, signature};

/// What a part says.
#[derive(Debug)]
pub(super) enum What<'p> {
    /// Thoughts.
    Thought(&'p Text<'p>),
    /// Anything else.
    Part(&'p Part<'p>),
    /// Nothing: it only carries a signature.
    Nothing,
}

/// One of Gemini's parts.
#[derive(Debug)]
pub(super) struct Piece<'p> {
    /// What it says.
    pub(super) what: What<'p>,
    /// Its signature, as it stands between quotes.
    pub(super) signature: Option<Cow<'p, str>>,
}

impl Piece<'_> {
    /// Whether it calls a tool.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.what, What::Part(Part::ToolCall(_)))
    }
}

/// Lays out parts for Google, which believes only its own thoughts.
pub(super) fn for_google<'p>(parts: impl IntoIterator<Item = &'p Part<'p>>) -> Vec<Piece<'p>> {
    let mut layout = Layout { pieces: Vec::new(), pending: None };
    for part in parts {
        match part {
            Part::Thought(thought) => {
                let own = thought.signature.as_ref().filter(|own| own.origin == Origin::Google);
                if let Some(own) = own {
                    layout.settle();
                    if !thought.text.is_empty() {
                        layout.push(What::Thought(&thought.text), None);
                    }
                    let start = layout.pieces.len();
                    layout.pending = Some((Cow::Borrowed(own.data.escaped()), start));
                }
            }
            part => layout.part(part),
        }
    }
    layout.settle();
    layout.pieces
}

/// Lays out parts for a caller, who gets everybody's thoughts.
pub(super) fn for_caller<'p>(parts: impl IntoIterator<Item = &'p Part<'p>>) -> Vec<Piece<'p>> {
    let mut layout = Layout { pieces: Vec::new(), pending: None };
    for part in parts {
        match part {
            Part::Thought(thought) => layout.thought(thought),
            part => layout.part(part),
        }
    }
    layout.settle();
    layout.pieces
}

struct Layout<'p> {
    pieces: Vec<Piece<'p>>,
    /// A signature that waits for its part, and the first place that may take it.
    pending: Option<(Cow<'p, str>, usize)>,
}

impl<'p> Layout<'p> {
    fn push(&mut self, what: What<'p>, signature: Option<Cow<'p, str>>) {
        self.pieces.push(Piece { what, signature });
    }

    fn thought(&mut self, thought: &'p Thought<'p>) {
        let written = thought.signature.as_ref().map(|own| signature::write(own, thought.is_redacted));
        let is_google =
            thought.signature.as_ref().is_some_and(|signature| signature.origin == Origin::Google);
        if is_google && thought.text.is_empty() {
            self.settle();
            self.pending = written.map(|written| (written, self.pieces.len()));
        } else if written.is_some() || !thought.text.is_empty() {
            self.push(What::Thought(&thought.text), written);
        }
    }

    fn part(&mut self, part: &'p Part<'p>) {
        if matches!(part, Part::Text(words) if words.text.is_empty()) {
            return;
        }
        let signature = match part {
            Part::ToolCall(_) => self.pending.take().map(|(signature, _)| signature),
            _ => None,
        };
        self.push(What::Part(part), signature);
    }

    /// Gives a waiting signature to the first part after it that has none.
    fn settle(&mut self) {
        let Some((signature, start)) = self.pending.take() else { return };
        let after = self.pieces.iter_mut().skip(start).find(|piece| {
            piece.signature.is_none() && matches!(piece.what, What::Part(Part::Text(_) | Part::Media(_)))
        });
        match after {
            Some(piece) => piece.signature = Some(signature),
            None => self.push(What::Nothing, Some(signature)),
        }
    }
}

/// Writes a part of what the model said. A call's id goes only to callers.
pub(super) fn write(piece: &Piece<'_>, has_ids: bool, w: &mut Writer<'_>) {
    w.object(|w| {
        match &piece.what {
            What::Nothing => w.name("text").string(""),
            What::Thought(text) => {
                w.name("text").text(text);
                w.name("thought").bool(true);
            }
            What::Part(Part::Text(words)) => w.name("text").text(&words.text),
            What::Part(Part::Refusal(text)) => w.name("text").text(text),
            What::Part(Part::Media(media)) => media::write(media, w),
            What::Part(Part::ToolCall(call)) => w.name("functionCall").object(|w| {
                if has_ids {
                    w.name("id").text(&call.id);
                }
                w.name("name").text(&call.name);
                w.name("args").raw(&call.arguments.as_object());
            }),
            What::Part(Part::Thought(_) | Part::ToolResult(_)) => w.name("text").string(""),
        }
        if let Some(signature) = &piece.signature {
            w.name("thoughtSignature").text(&Text::from_escaped(signature));
        }
    });
}
