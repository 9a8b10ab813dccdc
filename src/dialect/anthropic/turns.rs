//! The turns of a conversation, written as Anthropic wants them: user and assistant by turns, results of tools first, and
//! nothing empty.

use std::borrow::Cow;

use super::super::base64;
use super::super::chat::{
    Arguments, CacheFor, Conversation, Dropped, Media, MediaKind, Origin, Part, Role, Source, Thought,
    ToolCall, ToolResult, Turn,
};
use super::super::json::{Text, Writer};
use crate::error::RequestError;

/// Neighbours of one side, joined.
#[derive(Debug)]
pub(super) struct Side<'c> {
    /// Whether it is the model's.
    pub(super) is_assistant: bool,
    /// What is said and can be written; never nothing.
    pub(super) parts: Vec<&'c Part<'c>>,
}

impl Side<'_> {
    /// Whether it begins with a thought that Anthropic will believe.
    pub(super) fn begins_with_thought(&self) -> bool {
        matches!(self.parts.first(), Some(Part::Thought(_)))
    }

    /// Whether it hands back what tools said.
    pub(super) fn has_results(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::ToolResult(_)))
    }
}

/// Joins turns and leaves out what cannot be written, by its name.
pub(super) fn gather<'c>(turns: &'c [Turn<'c>], dropped: &mut Dropped) -> Vec<Side<'c>> {
    let mut sides: Vec<Side<'c>> = Vec::with_capacity(turns.len());
    for turn in turns {
        if turn.name.is_some() {
            dropped.add("messages.name");
        }
        let is_assistant = turn.role == Role::Assistant;
        let parts = turn.parts.iter().filter(|part| can_say(part, is_assistant, dropped));
        match sides.last_mut() {
            Some(last) if last.is_assistant == is_assistant => last.parts.extend(parts),
            _ => {
                let parts: Vec<_> = parts.collect();
                if !parts.is_empty() {
                    sides.push(Side { is_assistant, parts });
                }
            }
        }
    }
    for side in sides.iter_mut().filter(|side| !side.is_assistant) {
        side.parts.sort_by_key(|part| !matches!(part, Part::ToolResult(_)));
    }
    sides
}

/// Whether anything can be written, so that there is a message.
fn is_silent(turns: &[Turn<'_>]) -> bool {
    let mut unsaid = Dropped::default();
    let mut says = |turn: &Turn<'_>| {
        turn.parts.iter().any(|part| can_say(part, turn.role == Role::Assistant, &mut unsaid))
    };
    !turns.iter().any(&mut says)
}

/// Refuses a conversation of which nothing could be written: Anthropic asks for a message.
///
/// # Errors
/// 400.
pub fn refuse_silence(conversation: &Conversation<'_>) -> Result<(), RequestError> {
    let instructs = |part: &Part<'_>| matches!(part, Part::Text(words) if !words.text.is_blank());
    match is_silent(&conversation.turns) && !conversation.system.iter().any(instructs) {
        true => Err(RequestError::member("messages", "the messages say nothing that this model can be told")),
        false => Ok(()),
    }
}

/// Whether there is something to write; where the dialect has no word for it, its name is noted.
fn can_say(part: &Part<'_>, is_assistant: bool, dropped: &mut Dropped) -> bool {
    match part {
        Part::Text(words) => !words.text.is_blank(),
        Part::Refusal(text) => !text.is_blank(),
        Part::Media(media) => {
            let can = !is_assistant && can_show(media);
            if !can {
                dropped.add(media_name(media.kind));
            }
            can
        }
        Part::Thought(thought) => {
            let can = is_assistant && own_signature(thought).is_some();
            if !can {
                dropped.mention_thought(thought);
            }
            can
        }
        Part::ToolCall(_) if !is_assistant => {
            dropped.add("messages.tool_calls");
            false
        }
        Part::ToolResult(_) if is_assistant => {
            dropped.add("messages.content.tool_result");
            false
        }
        Part::ToolCall(_) | Part::ToolResult(_) => true,
    }
}

fn can_show(media: &Media<'_>) -> bool {
    match (media.kind, &media.source) {
        (MediaKind::Image, source) => !matches!(source, Source::Plain(_)),
        (MediaKind::Document, Source::Inline { media_type, data }) => {
            let media_type = media_type.decode();
            media_type == "application/pdf" || (media_type.starts_with("text/") && decode(data).is_some())
        }
        (MediaKind::Document, _) => true,
        (MediaKind::Audio | MediaKind::Video, _) => false,
    }
}

fn media_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "messages.content.image_url",
        MediaKind::Document => "messages.content.file",
        MediaKind::Audio => "messages.content.input_audio",
        MediaKind::Video => "messages.content.video_url",
    }
}

/// The signature, where Anthropic gave it.
fn own_signature<'t>(thought: &'t Thought<'_>) -> Option<&'t Text<'t>> {
    let signature = thought.signature.as_ref()?;
    (signature.origin == Origin::Anthropic).then_some(&signature.data)
}

/// Writes what one side said.
pub(super) fn write_side(writer: &mut Writer<'_>, side: &Side<'_>, dropped: &mut Dropped) {
    writer.object(|w| {
        w.name("role").string(if side.is_assistant { "assistant" } else { "user" });
        w.name("content").array(|w| side.parts.iter().for_each(|part| write_part(w, part, dropped)));
    });
}

fn write_part(writer: &mut Writer<'_>, part: &Part<'_>, dropped: &mut Dropped) {
    match part {
        Part::Text(words) => {
            if !words.citations.is_empty() {
                dropped.add("messages.content.citations");
            }
            write_text(writer, &words.text, words.cache);
        }
        Part::Refusal(text) => write_text(writer, text, None),
        Part::Media(media) => write_media(writer, media, dropped),
        Part::Thought(thought) => write_thought(writer, thought),
        Part::ToolCall(call) => write_call(writer, call, dropped),
        Part::ToolResult(result) => write_result(writer, result, dropped),
    }
}

/// Writes a block of text.
pub(super) fn write_text(writer: &mut Writer<'_>, text: &Text<'_>, cache: Option<CacheFor>) {
    writer.object(|w| {
        w.name("type").string("text");
        w.name("text").text(text);
        write_cache(w, cache);
    });
}

/// Writes a mark for the cache, where there is one.
pub(super) fn write_cache(writer: &mut Writer<'_>, cache: Option<CacheFor>) {
    match cache {
        None => {}
        Some(CacheFor::Short) => writer.name("cache_control").raw(r#"{"type":"ephemeral"}"#),
        Some(CacheFor::Hour) => writer.name("cache_control").raw(r#"{"type":"ephemeral","ttl":"1h"}"#),
    }
}

fn write_thought(writer: &mut Writer<'_>, thought: &Thought<'_>) {
    let Some(signature) = own_signature(thought) else { return };
    writer.object(|w| match thought.is_redacted {
        true => {
            w.name("type").string("redacted_thinking");
            w.name("data").text(signature);
        }
        false => {
            w.name("type").string("thinking");
            w.name("thinking").text(&thought.text);
            w.name("signature").text(signature);
        }
    });
}

fn write_media(writer: &mut Writer<'_>, media: &Media<'_>, dropped: &mut Dropped) {
    if media.detail.as_ref().is_some_and(|detail| *detail != *"auto") {
        dropped.add("messages.content.image_url.detail");
    }
    let is_image = media.kind == MediaKind::Image;
    writer.object(|w| {
        w.name("type").string(if is_image { "image" } else { "document" });
        w.name("source").object(|w| write_source(w, &media.source));
        if !is_image {
            w.text_member("title", media.name.as_ref());
        }
        write_cache(w, media.cache);
    });
}

fn write_source(writer: &mut Writer<'_>, source: &Source<'_>) {
    let plain = |writer: &mut Writer<'_>, text: &Text<'_>| {
        writer.name("type").string("text");
        writer.name("media_type").string("text/plain");
        writer.name("data").text(text);
    };
    match source {
        Source::Inline { media_type, data } => match media_type.decode().starts_with("text/") {
            true => plain(writer, &Text::owned(&decode(data).unwrap_or_default())),
            false => {
                writer.name("type").string("base64");
                writer.name("media_type").text(media_type);
                writer.name("data").text(data);
            }
        },
        Source::Plain(text) => plain(writer, text),
        Source::Url { url, .. } => {
            writer.name("type").string("url");
            writer.name("url").text(url);
        }
        Source::File(id) => {
            writer.name("type").string("file");
            writer.name("file_id").text(id);
        }
    }
}

fn write_call(writer: &mut Writer<'_>, call: &ToolCall<'_>, dropped: &mut Dropped) {
    let input = call.arguments.as_object();
    if let Arguments::Text(text) = &call.arguments
        && input == "{}"
        && !text.decode().trim().trim_matches(['{', '}']).trim().is_empty()
    {
        dropped.add("messages.tool_calls.function.arguments");
    }
    writer.object(|w| {
        w.name("type").string("tool_use");
        w.name("id").string(&fit_id(&call.id.decode()));
        w.name("name").text(&call.name);
        w.name("input").raw(&input);
        write_cache(w, call.cache);
    });
}

fn write_result(writer: &mut Writer<'_>, result: &ToolResult<'_>, dropped: &mut Dropped) {
    let parts: Vec<_> = result.content.iter().filter(|part| can_say(part, false, dropped)).collect();
    writer.object(|w| {
        w.name("type").string("tool_result");
        w.name("tool_use_id").string(&fit_id(&result.id.decode()));
        match parts.as_slice() {
            [] => {}
            [Part::Text(words)] if words.cache.is_none() => w.name("content").text(&words.text),
            parts => w.name("content").array(|w| parts.iter().for_each(|part| write_part(w, part, dropped))),
        }
        if result.is_error {
            w.name("is_error").bool(true);
        }
        write_cache(w, result.cache);
    });
}

/// An id as Anthropic accepts it: letters, digits, `_` and `-`. Another one is spelled anew, the same in every place,
/// with a hash (FNV-1a) that keeps ids apart which differ only in what was replaced.
fn fit_id(id: &str) -> Cow<'_, str> {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.bytes().all(is_fit) {
        return Cow::Borrowed(id);
    }
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let fit: String = id.bytes().map(|byte| if is_fit(byte) { char::from(byte) } else { '_' }).collect();
    Cow::Owned(format!("{fit}_{hash:016x}"))
}

/// The text that base64 stands for; `None` where it is none.
fn decode(data: &Text<'_>) -> Option<String> {
    String::from_utf8(base64::decode(&data.decode())?).ok()
}
