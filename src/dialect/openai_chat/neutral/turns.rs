//! The messages of a request, written for a provider.
//!
//! Written as it is understood most widely: content is a string wherever it is nothing but words of one speaker, and tool
//! messages stand before the rest of the turn that brings them.

use super::details;
use super::part::join;
use crate::dialect::base64;
use crate::dialect::chat::{
    Conversation, Dropped, Media, MediaKind, Part, Role, Signature, Source, ToolCall, ToolResult, Turn,
};
use crate::dialect::json::{Text, Writer};

/// What a provider understands of messages.
#[derive(Debug, Clone, Copy)]
pub(in crate::dialect) struct Accent {
    /// The role of instructions.
    pub(in crate::dialect) instructor: &'static str,
    /// Whether a message says who speaks.
    pub(in crate::dialect) takes_names: bool,
    /// Whether it understands `file` parts.
    pub(in crate::dialect) takes_files: bool,
    /// Whether it understands sounds and films.
    pub(in crate::dialect) takes_sound: bool,
    /// Whether content that is not there is `null`, or left out.
    pub(in crate::dialect) writes_null: bool,
    /// Whether it wants earlier thoughts as `reasoning_content`.
    pub(in crate::dialect) replays_reasoning: bool,
}

/// Writes all messages, as items of an array.
pub(in crate::dialect) fn write(
    conversation: &Conversation<'_>,
    accent: Accent,
    dropped: &mut Dropped,
    w: &mut Writer<'_>,
) {
    let mut turns = Turns { accent, dropped };
    if !conversation.system.is_empty() {
        turns.instruct(&conversation.system, None, w);
    }
    for turn in &conversation.turns {
        match turn.role {
            Role::System => turns.instruct(&turn.parts, turn.name.as_ref(), w),
            Role::User => turns.ask(turn, w),
            Role::Assistant => turns.answer(turn, w),
        }
    }
}

struct Turns<'d> {
    accent: Accent,
    dropped: &'d mut Dropped,
}

impl Turns<'_> {
    /// Instructions: their texts, a line each.
    fn instruct(&mut self, parts: &[Part<'_>], name: Option<&Text<'_>>, w: &mut Writer<'_>) {
        let texts = self.texts(parts);
        message(self.accent.instructor, w, |w| {
            w.name("content").text(&lines(&texts));
            self.name(name, w);
        });
    }

    /// The words among the parts; what is none is reported.
    fn texts<'p>(&mut self, parts: &'p [Part<'p>]) -> Vec<Text<'p>> {
        let mut texts = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::Text(words) => {
                    self.note(words.cache.is_some(), "cache_control");
                    texts.push(words.text.borrow());
                }
                Part::Refusal(text) => texts.push(text.borrow()),
                Part::Media(media) if matches!(media.source, Source::Plain(_)) => {
                    if let Source::Plain(text) = &media.source {
                        texts.push(text.borrow());
                    }
                }
                Part::Media(_) | Part::ToolCall(_) | Part::ToolResult(_) => {
                    self.dropped.add("messages.content")
                }
                // A provider's thoughts are its own affair.
                Part::Thought(thought) => self.dropped.mention_thought(thought),
            }
        }
        texts
    }

    fn name(&mut self, name: Option<&Text<'_>>, w: &mut Writer<'_>) {
        match self.accent.takes_names {
            true => w.text_member("name", name),
            false => self.note(name.is_some(), "messages.name"),
        }
    }

    fn note(&mut self, is_there: bool, name: &'static str) {
        if is_there {
            self.dropped.add(name);
        }
    }

    /// A turn of the caller: first what tools said, with their media behind, then the rest.
    fn ask(&mut self, turn: &Turn<'_>, w: &mut Writer<'_>) {
        let mut rest: Vec<&Part<'_>> = Vec::with_capacity(turn.parts.len());
        let mut media: Vec<&Part<'_>> = Vec::new();
        for part in &turn.parts {
            match part {
                Part::ToolResult(result) => {
                    self.result(result, w);
                    media.extend(result.content.iter().filter(|part| is_true_media(part)));
                }
                part => rest.push(part),
            }
        }
        media.append(&mut rest);
        // A turn of nothing but results is written; an empty one still has to say something.
        if media.is_empty() && turn.parts.iter().any(|part| matches!(part, Part::ToolResult(_))) {
            return;
        }
        message("user", w, |w| {
            match media.as_slice() {
                [] => w.name("content").string(""),
                [Part::Text(words)] => {
                    self.note(words.cache.is_some(), "cache_control");
                    w.name("content").text(&words.text);
                }
                parts => w.name("content").array(|w| parts.iter().for_each(|part| self.part(part, w))),
            }
            self.name(turn.name.as_ref(), w);
        });
    }

    fn part(&mut self, part: &Part<'_>, w: &mut Writer<'_>) {
        match part {
            Part::Text(words) => {
                self.note(words.cache.is_some(), "cache_control");
                write_text(&words.text, w);
            }
            Part::Refusal(text) => write_text(text, w),
            Part::Media(media) => self.media(media, w),
            Part::ToolCall(_) => self.dropped.add("messages.tool_calls"),
            Part::Thought(thought) => self.dropped.mention_thought(thought),
            Part::ToolResult(_) => {}
        }
    }

    fn media(&mut self, media: &Media<'_>, w: &mut Writer<'_>) {
        self.note(media.cache.is_some(), "cache_control");
        if let Source::Plain(text) = &media.source {
            return write_text(text, w);
        }
        if let Some(text) = plain_text(media).filter(|_| !self.accent.takes_files) {
            return write_text(&text, w);
        }
        match (media.kind, &media.source) {
            (MediaKind::Audio, Source::Inline { media_type, data }) if self.accent.takes_sound => {
                let format = audio_format(&media_type.decode()).to_owned();
                w.object(|w| {
                    w.name("type").string("input_audio");
                    w.name("input_audio").object(|w| {
                        w.name("data").text(data);
                        w.name("format").string(&format);
                    });
                });
            }
            (MediaKind::Image, Source::Inline { .. } | Source::Url { .. }) => {
                address("image_url", media, w);
            }
            (MediaKind::Video, Source::Inline { .. } | Source::Url { .. }) if self.accent.takes_sound => {
                address("video_url", media, w);
            }
            (MediaKind::Document, Source::Inline { .. }) | (_, Source::File(_))
                if self.accent.takes_files =>
            {
                file(media, w);
            }
            (MediaKind::Audio, _) => self.dropped.add("messages.content.input_audio"),
            (MediaKind::Video, _) => self.dropped.add("messages.content.video_url"),
            _ => self.dropped.add("messages.content.file"),
        }
    }

    /// A tool message: only words, as most providers want it.
    fn result(&mut self, result: &ToolResult<'_>, w: &mut Writer<'_>) {
        self.note(result.is_error, "messages.content.is_error");
        self.note(result.cache.is_some(), "cache_control");
        let content: Vec<Part<'_>> =
            result.content.iter().filter(|part| !is_true_media(part)).cloned().collect();
        let texts = self.texts(&content);
        message("tool", w, |w| {
            w.name("tool_call_id").text(&result.id);
            w.name("content").text(&lines(&texts));
        });
    }

    fn answer(&mut self, turn: &Turn<'_>, w: &mut Writer<'_>) {
        let mut calls: Vec<&ToolCall<'_>> = Vec::new();
        let mut texts: Vec<Text<'_>> = Vec::new();
        let mut thoughts: Vec<Text<'_>> = Vec::new();
        for part in &turn.parts {
            match part {
                Part::ToolCall(call) => {
                    self.note(call.cache.is_some(), "cache_control");
                    calls.push(call);
                }
                Part::Thought(thought)
                    if self.accent.replays_reasoning && !thought.is_redacted && !thought.text.is_empty() =>
                {
                    thoughts.push(thought.text.borrow());
                }
                Part::Thought(thought) => self.dropped.mention_thought(thought),
                Part::Text(words) => {
                    self.note(words.cache.is_some(), "cache_control");
                    self.note(!words.citations.is_empty(), "messages.annotations");
                    texts.push(words.text.borrow());
                }
                Part::Refusal(text) => texts.push(text.borrow()),
                Part::Media(_) => self.dropped.add("messages.content"),
                Part::ToolResult(_) => {}
            }
        }
        let replays = !thoughts.is_empty();
        if calls.is_empty() && texts.is_empty() && !replays {
            return;
        }
        message("assistant", w, |w| {
            match texts.is_empty() && !calls.is_empty() {
                true if !self.accent.writes_null => {}
                true => w.name("content").null(),
                false => w.name("content").text(&join(texts.into_iter())),
            }
            if replays {
                w.name("reasoning_content").text(&join(thoughts.into_iter()));
            }
            if !calls.is_empty() {
                w.name("tool_calls").array(|w| calls.iter().for_each(|call| write_call(call, w)));
            }
            self.name(turn.name.as_ref(), w);
        });
    }
}

/// The text of a document that is plain text.
fn plain_text(media: &Media<'_>) -> Option<Text<'static>> {
    match &media.source {
        Source::Inline { media_type, data } if media_type.escaped().starts_with("text/") => {
            let text = String::from_utf8(base64::decode(&data.decode())?).ok()?;
            Some(Text::owned(&text))
        }
        _ => None,
    }
}

/// Media that cannot stand in a tool message.
fn is_true_media(part: &Part<'_>) -> bool {
    matches!(part, Part::Media(media) if !matches!(media.source, Source::Plain(_)))
}

fn message(role: &'static str, w: &mut Writer<'_>, members: impl FnOnce(&mut Writer<'_>)) {
    w.object(|w| {
        w.name("role").string(role);
        members(w);
    });
}

/// Several texts as one, a line each.
fn lines<'t>(texts: &'t [Text<'t>]) -> Text<'t> {
    match texts {
        [one] => one.borrow(),
        texts => Text::join(texts, "\n"),
    }
}

fn write_text(text: &Text<'_>, w: &mut Writer<'_>) {
    w.object(|w| {
        w.name("type").string("text");
        w.name("text").text(text);
    });
}

/// Writes a whole tool call.
fn write_call(call: &ToolCall<'_>, w: &mut Writer<'_>) {
    write_signed_call(call, None, w);
}

/// Writes a whole tool call, with the signature that Gemini wants to see again beside it.
pub(super) fn write_signed_call(call: &ToolCall<'_>, signature: Option<&Signature<'_>>, w: &mut Writer<'_>) {
    w.object(|w| {
        w.name("id").text(&call.id);
        w.name("type").string("function");
        w.name("function").object(|w| {
            w.name("name").text(&call.name);
            w.name("arguments").text(&call.arguments.as_text());
        });
        details::write_extra(signature, w);
    });
}

/// A picture or a film, at an address or as a data URL.
pub(super) fn address(kind: &'static str, media: &Media<'_>, w: &mut Writer<'_>) {
    w.object(|w| {
        w.name("type").string(kind);
        w.name(kind).object(|w| {
            match &media.source {
                Source::Inline { media_type, data } => w.name("url").text(&data_url(media_type, data)),
                Source::Url { url, .. } | Source::File(url) | Source::Plain(url) => w.name("url").text(url),
            }
            w.text_member("detail", media.detail.as_ref());
        });
    });
}

fn data_url(media_type: &Text<'_>, data: &Text<'_>) -> Text<'static> {
    Text::owned_escaped(&["data:", media_type.escaped(), ";base64,", data.escaped()].concat())
}

fn file(media: &Media<'_>, w: &mut Writer<'_>) {
    w.object(|w| {
        w.name("type").string("file");
        w.name("file").object(|w| match &media.source {
            Source::File(id) => w.name("file_id").text(id),
            Source::Inline { media_type, data } => {
                match &media.name {
                    Some(name) => w.name("filename").text(name),
                    // OpenAI asks for one.
                    None => w.name("filename").string(usual_name(&media_type.decode())),
                }
                w.name("file_data").text(&data_url(media_type, data));
            }
            Source::Url { url, .. } | Source::Plain(url) => w.name("file_data").text(url),
        });
    });
}

fn usual_name(media_type: &str) -> &'static str {
    match media_type {
        "application/pdf" => "document.pdf",
        "text/plain" => "document.txt",
        "text/csv" => "document.csv",
        "text/html" => "document.html",
        "text/markdown" => "document.md",
        "application/json" => "document.json",
        _ => "document",
    }
}

/// OpenAI's word for the form of a sound.
fn audio_format(media_type: &str) -> &str {
    match media_type.strip_prefix("audio/").unwrap_or(media_type) {
        "mpeg" | "mpeg3" | "x-mp3" => "mp3",
        "x-wav" | "wave" | "vnd.wave" => "wav",
        "mp4" | "x-m4a" => "m4a",
        "x-flac" => "flac",
        format => format,
    }
}
