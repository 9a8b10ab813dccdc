//! A whole answer for a caller.

use bytes::BytesMut;

use crate::dialect::Usage;
use crate::dialect::chat::{Answer, Finish, Part, Reply, Stamp};
use crate::dialect::json::Writer;

use super::grounding::{self, Grounded};
use super::pieces::{self, Piece, What};
use super::usage;

/// Appends a `GenerateContentResponse`.
pub fn write_reply(reply: &Reply<'_>, stamp: &Stamp, out: &mut BytesMut) {
    let mut writer = Writer::new(out);
    writer.object(|w| {
        w.name("candidates").array(|w| {
            for (index, answer) in reply.answers.iter().enumerate() {
                write_answer(index, answer, w);
            }
        });
        let id = reply.id.as_ref().filter(|id| !id.is_empty()).map(|id| id.escaped());
        write_rest(reply.usage.as_ref(), id, stamp, w);
    });
}

/// The members beside `candidates`. `id` is as it stands between quotes.
pub(super) fn write_rest(usage: Option<&Usage>, id: Option<&str>, stamp: &Stamp, w: &mut Writer<'_>) {
    if let Some(usage) = usage {
        usage::write(usage, w.name("usageMetadata"));
    }
    w.name("modelVersion").raw(&stamp.model);
    match id {
        Some(id) => w.name("responseId").text(&crate::dialect::json::Text::from_escaped(id)),
        None => w.name("responseId").string(&stamp.id),
    }
}

fn write_answer(index: usize, answer: &Answer<'_>, w: &mut Writer<'_>) {
    let pieces = pieces::for_caller(&answer.parts);
    let mut texts = Vec::new();
    for (part, piece) in pieces.iter().enumerate() {
        if let What::Part(Part::Text(words)) = &piece.what
            && !words.citations.is_empty()
        {
            texts.push((part, words.text.decode(), words.citations.as_slice()));
        }
    }
    let grounded: Vec<_> =
        texts.iter().map(|(part, text, citations)| Grounded { part: Some(*part), text, citations }).collect();
    write_candidate(index as u64, &pieces, Some(&answer.finish), &grounded, w);
}

/// Writes a candidate; only the last one of an answer has a reason to finish.
pub(super) fn write_candidate(
    index: u64,
    pieces: &[Piece<'_>],
    finish: Option<&Finish<'_>>,
    grounded: &[Grounded<'_>],
    w: &mut Writer<'_>,
) {
    w.object(|w| {
        w.name("content").object(|w| {
            if !pieces.is_empty() {
                w.name("parts").array(|w| pieces.iter().for_each(|piece| pieces::write(piece, true, w)));
            }
            w.name("role").string("model");
        });
        if let Some(finish) = finish {
            w.name("finishReason").string(usage::finish_word(finish));
        }
        w.name("index").number(index);
        if !grounded.is_empty() {
            grounding::write(grounded, w.name("groundingMetadata"));
        }
    });
}
