//! Whole answers, and the reasons for which a model stops.

use std::borrow::Cow;

use bytes::BytesMut;

use super::super::chat::{Answer, Finish, Origin, Part, Reply, Stamp, Thought, Words};
use super::super::json::{Text, Writer};
use super::content;
use super::usage::{self, Counts};
use super::wire::{Block, MessageReply};
use super::{citation, refusal};
use crate::error::UpstreamError;

/// Reads a whole answer.
///
/// # Errors
/// The body is no answer, or it is an error under a status of success.
pub fn read_reply(body: &str) -> Result<Reply<'_>, UpstreamError> {
    let undecodable = |reason| UpstreamError::Undecodable { reason: Cow::Borrowed(reason) };
    let message: MessageReply<'_> =
        serde_json::from_str(body).map_err(|_| undecodable("it is not a message in JSON"))?;
    if let Some(error) = message.error {
        return Err(refusal::in_band(error));
    }
    let Some(blocks) = message.content else {
        return Err(undecodable("it is a message without content"));
    };
    let parts = read_parts(blocks).map_err(undecodable)?;
    let finish = read_finish(message.stop_reason, message.stop_sequence, has_calls(&parts));
    let mut counts = Counts::default();
    counts.take(message.usage);
    Ok(Reply {
        id: message.id,
        model: message.model,
        created: None,
        answers: vec![Answer { parts, finish, logprobs: None }],
        usage: counts.usage(),
    })
}

/// What the model said; what Anthropic's own tools did is left out.
pub(super) fn read_parts(blocks: Vec<Block<'_>>) -> Result<Vec<Part<'_>>, content::Unusable> {
    let mut parts = Vec::with_capacity(blocks.len());
    for mut block in blocks {
        let kind = block.kind.take().ok_or("a block of content has no type")?;
        if let Some(part) = content::answer_part(&kind.decode(), &mut block) {
            parts.push(part?);
        }
    }
    Ok(parts)
}

fn has_calls(parts: &[Part<'_>]) -> bool {
    parts.iter().any(|part| matches!(part, Part::ToolCall(_)))
}

/// What a `stop_reason` means. One that is unknown or absent means that the model had said all.
pub(super) fn read_finish<'a>(
    reason: Option<Text<'a>>,
    sequence: Option<Text<'a>>,
    has_calls: bool,
) -> Finish<'a> {
    match reason.as_ref().map(Text::decode).as_deref() {
        Some("stop_sequence") => Finish::StopSequence(sequence),
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("tool_use") => Finish::ToolCalls,
        Some("refusal") => Finish::Refusal,
        None if has_calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// Writes `stop_reason` and `stop_sequence`. Some providers say "stop" although they wait for tools; clients of this
/// dialect would not call them then.
pub(super) fn write_finish(writer: &mut Writer<'_>, finish: &Finish<'_>, has_calls: bool) {
    let (reason, sequence) = match finish {
        Finish::Stop if has_calls => ("tool_use", None),
        Finish::Stop => ("end_turn", None),
        Finish::StopSequence(sequence) => ("stop_sequence", sequence.as_ref()),
        Finish::Length => ("max_tokens", None),
        Finish::ToolCalls => ("tool_use", None),
        // Its word for what a filter stopped (decision 7); §11.6 has `stop_sequence`, which tells nobody why.
        Finish::ContentFilter | Finish::Refusal => ("refusal", None),
    };
    writer.name("stop_reason").string(reason);
    text_or_null(writer.name("stop_sequence"), sequence);
}

/// Writes a whole answer for a caller. The dialect has one answer; others that a provider gave are not written.
pub fn write_reply(reply: &Reply<'_>, stamp: &Stamp, out: &mut BytesMut) {
    let nothing = Answer::default();
    let answer = reply.answers.first().unwrap_or(&nothing);
    let mut writer = Writer::new(out);
    writer.object(|w| {
        w.name("id").string(&format!("msg_{}", stamp.id));
        w.name("type").string("message");
        w.name("role").string("assistant");
        w.name("model").raw(&stamp.model);
        w.name("content").array(|w| write_content(w, &answer.parts));
        write_finish(w, &answer.finish, has_calls(&answer.parts));
        w.name("usage");
        usage::write(w, &reply.usage.unwrap_or_default());
    });
}

/// Writes the blocks of an answer: at least one, for clients that look at the first.
fn write_content(writer: &mut Writer<'_>, parts: &[Part<'_>]) {
    let mut is_empty = true;
    for part in parts {
        is_empty &= !write_part(writer, part);
    }
    if is_empty {
        write_text(writer, &Words::default());
    }
}

/// Answers whether the dialect has a block for the part.
fn write_part(writer: &mut Writer<'_>, part: &Part<'_>) -> bool {
    match part {
        Part::Text(words) if words.text.is_empty() && words.citations.is_empty() => return false,
        Part::Text(words) => write_text(writer, words),
        Part::Refusal(text) if text.is_empty() => return false,
        Part::Refusal(text) => write_text(writer, &Words { text: text.borrow(), ..Words::default() }),
        Part::Thought(thought) => return write_thought(writer, thought),
        Part::ToolCall(call) => writer.object(|w| {
            w.name("type").string("tool_use");
            w.name("id").text(&call.id);
            w.name("name").text(&call.name);
            w.name("input").raw(&call.arguments.as_object());
        }),
        Part::Media(_) | Part::ToolResult(_) => return false,
    }
    true
}

fn write_text(writer: &mut Writer<'_>, words: &Words<'_>) {
    writer.object(|w| {
        w.name("type").string("text");
        w.name("text").text(&words.text);
        if !words.citations.is_empty() {
            w.name("citations").array(|w| {
                words.citations.iter().for_each(|citation| citation::write(w, citation));
            });
        }
    });
}

/// Another provider's signature travels with its origin in front, and comes back to it with the caller's next request.
fn write_thought(writer: &mut Writer<'_>, thought: &Thought<'_>) -> bool {
    let signature = thought.signature.as_ref().map(|signature| signature.write(Some(Origin::Anthropic)));
    match signature {
        None if thought.is_redacted || thought.text.is_empty() => return false,
        Some(data) if thought.is_redacted => writer.object(|w| {
            w.name("type").string("redacted_thinking");
            w.name("data").text(&Text::from_escaped(&data));
        }),
        signature => writer.object(|w| {
            w.name("type").string("thinking");
            w.name("thinking").text(&thought.text);
            w.name("signature").text(&Text::from_escaped(signature.as_deref().unwrap_or_default()));
        }),
    }
    true
}

/// A text, or `null` where there is none: for members that clients insist on.
pub(super) fn text_or_null(writer: &mut Writer<'_>, text: Option<&Text<'_>>) {
    match text {
        Some(text) => writer.text(text),
        None => writer.null(),
    }
}
