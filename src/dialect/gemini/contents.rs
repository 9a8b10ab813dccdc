//! The turns of a conversation as Gemini's contents.
//!
//! Neighbours of one role become one content. What tools said stands in a content of its own, right after the calls:
//! Gemini counts whether every call has its result there. Ids of calls are left out, because Vertex and older models refuse
//! the member; Gemini ties results to calls by name and order.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::dialect::chat::{Conversation, Dropped, Origin, Part, Role, Source, ToolResult, Words};
use crate::dialect::json::{Text, Writer};
use crate::error::RequestError;

use serde_json::value::RawValue;

use super::family::Family;
use super::{media, pieces};

/// What Google documents for calls that another model made, in place of the signature that they cannot have.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Writes the items of `contents`; at least one, because Gemini refuses none.
pub(super) fn write(
    conversation: &Conversation<'_>,
    family: Family,
    dropped: &mut Dropped,
    w: &mut Writer<'_>,
) {
    let mut scribe = Scribe { family, names: HashMap::new(), dropped, is_empty: true };
    let mut turns = conversation.turns.as_slice();
    while let Some(first) = turns.first() {
        let is_model = first.role == Role::Assistant;
        let count = turns.iter().take_while(|turn| (turn.role == Role::Assistant) == is_model).count();
        let (group, rest) = turns.split_at(count.max(1));
        if group.iter().any(|turn| turn.name.is_some()) {
            scribe.dropped.add("messages.name");
        }
        let parts = group.iter().flat_map(|turn| &turn.parts).collect();
        if is_model {
            scribe.model(parts, w)
        } else {
            scribe.user(&parts, w)
        }
        turns = rest;
    }
    if scribe.is_empty {
        let system = if conversation.turns.is_empty() { &*conversation.system } else { &[] };
        w.object(|w| {
            w.name("role").string("user");
            w.name("parts").array(|w| write_system(system, scribe.dropped, w));
        });
    }
}

/// Refuses what a tool said where nobody called it: Gemini ties results to calls by the tool's name.
///
/// # Errors
/// 400 naming the call that is missing.
pub fn refuse_orphans(conversation: &Conversation<'_>) -> Result<(), RequestError> {
    let mut calls = HashSet::new();
    for part in conversation.turns.iter().flat_map(|turn| &turn.parts) {
        match part {
            Part::ToolCall(call) => {
                calls.insert(call.id.escaped());
            }
            Part::ToolResult(result) if result.name.is_none() && !calls.contains(result.id.escaped()) => {
                let message = format!(
                    "no tool call before it has the id \"{}\" of a tool's result",
                    result.id.decode()
                );
                return Err(RequestError::member("messages", message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes instructions as parts; an empty text where there are none.
pub(super) fn write_system(system: &[Part<'_>], dropped: &mut Dropped, w: &mut Writer<'_>) {
    let mut is_empty = true;
    for part in system {
        let Part::Text(words) = part else {
            dropped.add("messages.content");
            continue;
        };
        note_words(words, dropped);
        w.object(|w| w.name("text").text(&words.text));
        is_empty = false;
    }
    if is_empty {
        w.object(|w| w.name("text").string(""));
    }
}

fn note_words(words: &Words<'_>, dropped: &mut Dropped) {
    if words.cache.is_some() {
        dropped.add("cache_control");
    }
    if !words.citations.is_empty() {
        dropped.add("citations");
    }
}

struct Scribe<'c, 'd> {
    family: Family,
    /// Names of the calls so far, by their ids.
    names: HashMap<&'c str, &'c Text<'c>>,
    dropped: &'d mut Dropped,
    is_empty: bool,
}

impl<'c> Scribe<'c, '_> {
    /// Whether a part can be said; takes note of what cannot.
    fn check(&mut self, part: &Part<'_>) -> bool {
        let cache = match part {
            Part::Text(words) => {
                note_words(words, self.dropped);
                return true;
            }
            Part::Media(media) => return media::check(media, self.dropped),
            Part::ToolCall(call) => call.cache,
            Part::ToolResult(result) => result.cache,
            Part::Thought(thought) => {
                let is_own = thought.signature.as_ref().is_some_and(|own| own.origin == Origin::Google);
                if !is_own {
                    self.dropped.mention_thought(thought);
                }
                return is_own;
            }
            Part::Refusal(_) => None,
        };
        if cache.is_some() {
            self.dropped.add("cache_control");
        }
        true
    }

    fn model(&mut self, mut parts: Vec<&'c Part<'c>>, w: &mut Writer<'_>) {
        parts.retain(|part| !matches!(part, Part::ToolResult(_)) && self.check(part));
        for part in &parts {
            if let Part::ToolCall(call) = part {
                self.names.insert(call.id.escaped(), &call.name);
            }
        }
        let mut pieces = pieces::for_google(parts);
        if pieces.is_empty() {
            return;
        }
        self.is_empty = false;
        // Gemini asks for a signature at the first call of each turn.
        if self.family.is_third()
            && let Some(first) = pieces.iter_mut().find(|piece| piece.is_call())
            && first.signature.is_none()
        {
            first.signature = Some(Cow::Borrowed(NO_SIGNATURE));
        }
        content("model", w, |w| {
            for piece in &pieces {
                pieces::write(piece, false, w);
            }
        });
    }

    fn user(&mut self, parts: &[&'c Part<'c>], w: &mut Writer<'_>) {
        let results: Vec<_> = parts
            .iter()
            .filter_map(|part| match part {
                Part::ToolResult(result) => Some(&**result),
                _ => None,
            })
            .collect();
        if !results.is_empty() {
            self.is_empty = false;
            content("user", w, |w| {
                for result in &results {
                    self.result(result, w);
                }
            });
        }
        let mut rest = Vec::new();
        for part in parts {
            match part {
                Part::ToolResult(result) if !self.family.is_third() => {
                    rest.extend(result.content.iter().filter(|part| is_file(part)));
                }
                Part::Thought(thought) => self.dropped.mention_thought(thought),
                Part::ToolResult(_) | Part::ToolCall(_) => {}
                part => rest.push(*part),
            }
        }
        rest.retain(|part| self.check(part));
        if !rest.is_empty() {
            self.is_empty = false;
            content("user", w, |w| rest.iter().for_each(|part| write_said(part, w)));
        }
    }

    fn result(&mut self, result: &ToolResult<'_>, w: &mut Writer<'_>) {
        if result.cache.is_some() {
            self.dropped.add("cache_control");
        }
        let known = self.names.get(result.id.escaped()).copied();
        let unknown = Text::from_escaped("unknown");
        let name = result.name.as_ref().or(known).unwrap_or(&unknown);
        let mut files = Vec::new();
        let mut texts = Vec::new();
        for part in &result.content {
            match part {
                Part::Text(words) => texts.push(&words.text),
                Part::Refusal(text) => texts.push(text),
                Part::Media(media) => match &media.source {
                    Source::Plain(text) => texts.push(text),
                    _ if self.family.is_third() && media::check(media, self.dropped) => files.push(media),
                    _ => {}
                },
                Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
            }
        }
        let said = match texts.as_slice() {
            [] => None,
            [only] => Some(only.borrow()),
            texts => Some(Text::join(texts.iter().copied(), "\n")),
        };
        w.object(|w| {
            w.name("functionResponse").object(|w| {
                w.name("name").text(name);
                write_response(said.as_ref(), result.is_error, w.name("response"));
                if !files.is_empty() {
                    w.name("parts")
                        .array(|w| files.iter().for_each(|file| w.object(|w| media::write(file, w))));
                }
            });
        });
    }
}

/// What a tool said, which has to be an object.
fn write_response(said: Option<&Text<'_>>, is_error: bool, w: &mut Writer<'_>) {
    let empty = Text::default();
    let said = match (said, is_error) {
        (Some(said), _) => said,
        (None, true) => &empty,
        (None, false) => return w.object(|_| {}),
    };
    let plain = said.decode();
    let plain = plain.trim();
    let is_object = plain.starts_with('{') && serde_json::from_str::<&RawValue>(plain).is_ok();
    match (is_object, is_error) {
        (true, false) => w.raw(plain),
        (true, true) => w.object(|w| w.name("error").raw(plain)),
        (false, true) => w.object(|w| w.name("error").text(said)),
        (false, false) => w.object(|w| w.name("result").text(said)),
    }
}

/// Writes a part of what the user said.
fn write_said(part: &Part<'_>, w: &mut Writer<'_>) {
    w.object(|w| match part {
        Part::Text(words) => w.name("text").text(&words.text),
        Part::Refusal(text) => w.name("text").text(text),
        Part::Media(media) => media::write(media, w),
        Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => w.name("text").string(""),
    });
}

/// Whether it is a file that cannot stand in what a tool said, so that it follows.
fn is_file(part: &Part<'_>) -> bool {
    matches!(part, Part::Media(media) if !matches!(media.source, Source::Plain(_)))
}

fn content(role: &str, w: &mut Writer<'_>, parts: impl FnOnce(&mut Writer<'_>)) {
    w.object(|w| {
        w.name("role").string(role);
        w.name("parts").array(parts);
    });
}
