//! A whole answer for a caller of the dialect.

use std::collections::HashSet;

use bytes::BytesMut;

use crate::dialect::chat::{Answer, Media, MediaKind, Part, Reply, Source, Stamp, Thought, Words};
use crate::dialect::json::Writer;

use super::output::{self, Ending};
use super::reasoning;

/// Appends the answer. The dialect has one answer, so only the first is written.
pub fn write_reply(reply: &Reply<'_>, stamp: &Stamp, out: &mut BytesMut) {
    let nothing = Answer::default();
    let answer = reply.answers.first().unwrap_or(&nothing);
    let has_refusal = answer.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let ending = Ending::of(&answer.finish, has_refusal);
    let stamp = Stamp { created: reply.created.unwrap_or(stamp.created), ..stamp.clone() };
    let id = output::response_id(reply.id.as_ref(), &stamp);
    let usage = reply.usage.unwrap_or_default();
    let mut writer = Writer::new(out);
    output::response(&mut writer, &id, &stamp, ending, Some(&usage), |w| {
        write_items(w, answer, ending, &stamp);
    });
}

fn write_items(w: &mut Writer<'_>, answer: &Answer<'_>, ending: Ending, stamp: &Stamp) {
    let is_said = |part: &Part<'_>| match part {
        Part::Text(words) => !words.text.is_empty(),
        Part::Refusal(_) => true,
        _ => false,
    };
    let mut logprobs = answer.logprobs.as_deref().map_or("", output::logprobs_of);
    let (mut used, mut reasoning_ids) = (HashSet::new(), HashSet::new());
    let mut index = 0;
    let mut parts = answer.parts.as_slice();
    while let Some((first, rest)) = parts.split_first() {
        if is_said(first) {
            let end = parts.iter().position(|part| !is_said(part)).unwrap_or(parts.len());
            let (said, behind) = parts.split_at(end);
            let id = output::item_id("msg", stamp, index);
            output::message(w, &id, ending.status, |w| write_said(w, said, &mut logprobs));
            (index, parts) = (index + 1, behind);
            continue;
        }
        parts = rest;
        let is_written = match first {
            Part::Thought(thought) => write_thought(w, thought, (&mut reasoning_ids, index), ending, stamp),
            Part::Media(media) => write_picture(w, media, index, stamp),
            Part::ToolCall(call) => {
                let id = output::item_id("fc", stamp, index);
                let call_id = output::call_id(&call.id, &mut used, stamp);
                output::call(w, (&id, &call_id), ending.status, &call.name, &call.arguments.as_text());
                true
            }
            Part::Text(_) | Part::Refusal(_) | Part::ToolResult(_) => false,
        };
        index += usize::from(is_written);
    }
}

fn write_said(w: &mut Writer<'_>, parts: &[Part<'_>], logprobs: &mut &str) {
    for part in parts {
        match part {
            Part::Text(words) => {
                let annotations = annotations(words);
                output::text_part(w, &words.text, output::as_str(&annotations), std::mem::take(logprobs));
            }
            Part::Refusal(text) => output::refusal_part(w, text),
            Part::Media(_) | Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
        }
    }
}

/// Only pages can be named as sources.
fn annotations(words: &Words<'_>) -> BytesMut {
    let mut list = BytesMut::new();
    let mut characters = None;
    for citation in words.citations.iter().filter(|citation| citation.url.is_some()) {
        let characters = *characters.get_or_insert_with(|| words.text.decode().chars().count() as u64);
        if !list.is_empty() {
            list.extend_from_slice(b",");
        }
        output::annotation(&mut Writer::new(&mut list), citation, characters);
    }
    list
}

fn write_thought(
    w: &mut Writer<'_>,
    thought: &Thought<'_>,
    (used, index): (&mut HashSet<Box<str>>, usize),
    ending: Ending,
    stamp: &Stamp,
) -> bool {
    if thought.text.is_empty() && thought.signature.is_none() {
        return false;
    }
    let signature = thought.signature.as_ref();
    let own = signature.and_then(reasoning::split).and_then(|(id, _)| id);
    let id = output::reasoning_id(own, used, stamp, index);
    let encrypted = signature.map(|own| reasoning::for_caller(own, thought.is_redacted, id.escaped()));
    output::reasoning(w, &id, ending.status, thought.text.escaped(), encrypted.as_deref());
    true
}

/// A picture that the model made; the dialect has it as the result of a tool.
fn write_picture(w: &mut Writer<'_>, media: &Media<'_>, index: usize, stamp: &Stamp) -> bool {
    let (MediaKind::Image, Source::Inline { media_type, data }) = (media.kind, &media.source) else {
        return false;
    };
    w.object(|w| {
        w.name("id").text(&output::item_id("ig", stamp, index));
        w.name("type").string("image_generation_call");
        w.name("status").string(output::COMPLETED);
        let media_type = media_type.decode();
        w.name("output_format").string(media_type.strip_prefix("image/").unwrap_or("png"));
        w.name("result").text(data);
    });
    true
}
