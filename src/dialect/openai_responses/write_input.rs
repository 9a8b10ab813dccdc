//! A conversation as `instructions` and the items of `input`.

use crate::dialect::chat::{
    Citation, Conversation, Dropped, Part, Role, Thought, ToolCall, ToolResult, Turn, Words,
};
use crate::dialect::json::{Text, Writer};

use super::{media, reasoning};

/// Writes both members.
pub(super) fn write(w: &mut Writer<'_>, conversation: &Conversation<'_>, dropped: &mut Dropped) {
    if conversation.turns.is_empty() {
        // Somebody must say something.
        w.name("input").array(|w| write_message(w, "system", &conversation.system, dropped));
        return;
    }
    write_instructions(w, &conversation.system, dropped);
    w.name("input").array(|w| {
        for turn in &conversation.turns {
            match turn.role {
                Role::System => write_message(w, "system", &turn.parts, dropped),
                Role::User => write_user(w, turn, dropped),
                Role::Assistant => write_assistant(w, turn, dropped),
            }
        }
    });
}

fn write_instructions(w: &mut Writer<'_>, system: &[Part<'_>], dropped: &mut Dropped) {
    let mut texts = Vec::with_capacity(system.len());
    for part in system {
        match part {
            Part::Text(words) => {
                note_cache(words.cache.is_some(), dropped);
                texts.push(&words.text);
            }
            Part::Media(_) => dropped.add("messages.content.image_url"),
            Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) | Part::Refusal(_) => {}
        }
    }
    match texts.as_slice() {
        [] => {}
        [text] => w.name("instructions").text(text),
        texts => w.name("instructions").text(&Text::join(texts.iter().copied(), "\n\n")),
    }
}

fn note_cache(is_marked: bool, dropped: &mut Dropped) {
    if is_marked {
        dropped.add("cache_control");
    }
}

/// Results first: some providers want them right behind the calls.
fn write_user(w: &mut Writer<'_>, turn: &Turn<'_>, dropped: &mut Dropped) {
    for part in &turn.parts {
        if let Part::ToolResult(result) = part {
            write_result(w, result, dropped);
        }
    }
    write_message(w, "user", &turn.parts, dropped);
}

/// A message of the caller's side, unless nothing is in it.
fn write_message(w: &mut Writer<'_>, role: &str, parts: &[Part<'_>], dropped: &mut Dropped) {
    if !parts.iter().any(is_sayable) {
        parts.iter().for_each(|part| note_unsayable(part, dropped));
        return;
    }
    w.object(|w| {
        w.name("role").string(role);
        match parts {
            [Part::Text(words)] => {
                note_cache(words.cache.is_some(), dropped);
                w.name("content").text(&words.text);
            }
            parts => w.name("content").array(|w| write_content(w, parts, dropped)),
        }
    });
}

fn is_sayable(part: &Part<'_>) -> bool {
    match part {
        Part::Text(_) | Part::Refusal(_) => true,
        Part::Media(media) => media::unsayable(media).is_none(),
        Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => false,
    }
}

fn note_unsayable(part: &Part<'_>, dropped: &mut Dropped) {
    match part {
        Part::Thought(thought) => dropped.mention_thought(thought),
        Part::Media(media) => media::unsayable(media).into_iter().for_each(|name| dropped.add(name)),
        Part::Text(_) | Part::Refusal(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
    }
}

fn write_content(w: &mut Writer<'_>, parts: &[Part<'_>], dropped: &mut Dropped) {
    for part in parts {
        match part {
            Part::Text(words) => {
                note_cache(words.cache.is_some(), dropped);
                w.object(|w| {
                    w.name("type").string("input_text");
                    w.name("text").text(&words.text);
                });
            }
            Part::Media(piece) => {
                note_cache(piece.cache.is_some(), dropped);
                note_unsayable(part, dropped);
                media::write(w, piece);
            }
            Part::Refusal(text) => w.object(|w| {
                w.name("type").string("input_text");
                w.name("text").text(text);
            }),
            Part::Thought(_) => note_unsayable(part, dropped),
            Part::ToolCall(_) | Part::ToolResult(_) => {}
        }
    }
}

fn write_result(w: &mut Writer<'_>, result: &ToolResult<'_>, dropped: &mut Dropped) {
    note_cache(result.cache.is_some(), dropped);
    if result.is_error {
        dropped.add("is_error");
    }
    let says_nothing = !result.content.iter().any(is_sayable);
    w.object(|w| {
        w.name("type").string("function_call_output");
        w.name("call_id").text(&result.id);
        match result.content.as_slice() {
            parts if says_nothing => {
                parts.iter().for_each(|part| note_unsayable(part, dropped));
                w.name("output").string("");
            }
            [Part::Text(words)] => {
                note_cache(words.cache.is_some(), dropped);
                w.name("output").text(&words.text);
            }
            parts => w.name("output").array(|w| write_content(w, parts, dropped)),
        }
    });
}

/// Items in the order in which the model said them; neighbouring texts are one message.
fn write_assistant(w: &mut Writer<'_>, turn: &Turn<'_>, dropped: &mut Dropped) {
    let is_said = |part: &Part<'_>| match part {
        Part::Text(words) => !words.text.is_empty(),
        Part::Refusal(_) => true,
        _ => false,
    };
    let mut parts = turn.parts.as_slice();
    while let Some((first, rest)) = parts.split_first() {
        if is_said(first) {
            let end = parts.iter().position(|part| !is_said(part)).unwrap_or(parts.len());
            let (said, behind) = parts.split_at(end);
            write_said(w, said, dropped);
            parts = behind;
            continue;
        }
        parts = rest;
        match first {
            Part::ToolCall(call) => write_call(w, call, dropped),
            Part::Thought(thought) => write_thought(w, thought, dropped),
            Part::ToolResult(result) => write_result(w, result, dropped),
            Part::Media(_) => dropped.add("messages.content.image_url"),
            Part::Text(_) | Part::Refusal(_) => {}
        }
    }
}

fn write_said(w: &mut Writer<'_>, parts: &[Part<'_>], dropped: &mut Dropped) {
    w.object(|w| {
        w.name("role").string("assistant");
        w.name("content").array(|w| {
            for part in parts {
                match part {
                    Part::Text(words) => write_words(w, words, dropped),
                    Part::Refusal(text) => w.object(|w| {
                        w.name("type").string("refusal");
                        w.name("refusal").text(text);
                    }),
                    Part::Media(_) | Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => {}
                }
            }
        });
    });
}

fn write_words(w: &mut Writer<'_>, words: &Words<'_>, dropped: &mut Dropped) {
    note_cache(words.cache.is_some(), dropped);
    let is_whole = |citation: &&Citation<'_>| citation.url.is_some() && citation.place.is_some();
    if words.citations.iter().any(|citation| !is_whole(&citation)) {
        dropped.add("messages.content.citations");
    }
    w.object(|w| {
        w.name("type").string("output_text");
        w.name("text").text(&words.text);
        let mut whole = words.citations.iter().filter(is_whole).peekable();
        if whole.peek().is_some() {
            w.name("annotations")
                .array(|w| whole.for_each(|citation| super::output::annotation(w, citation, 0)));
        }
    });
}

fn write_call(w: &mut Writer<'_>, call: &ToolCall<'_>, dropped: &mut Dropped) {
    note_cache(call.cache.is_some(), dropped);
    w.object(|w| {
        w.name("type").string("function_call");
        w.name("call_id").text(&call.id);
        w.name("name").text(&call.name);
        w.name("arguments").text(&call.arguments.as_text());
    });
}

/// Thoughts whose signature the provider did not make would be refused, so only its own go back to it.
fn write_thought(w: &mut Writer<'_>, thought: &Thought<'_>, dropped: &mut Dropped) {
    let Some((id, encrypted)) = thought.signature.as_ref().and_then(reasoning::split) else {
        return dropped.mention_thought(thought);
    };
    w.object(|w| {
        w.name("type").string("reasoning");
        w.text_member("id", id.map(Text::from_escaped).as_ref());
        w.name("summary").array(|w| {
            if !thought.text.is_empty() {
                w.object(|w| {
                    w.name("type").string("summary_text");
                    w.name("text").text(&thought.text);
                });
            }
        });
        w.name("encrypted_content").text(&Text::from_escaped(encrypted));
    });
}
