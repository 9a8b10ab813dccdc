//! OpenAI's text completions: a chunk has the members of a whole answer.

use bytes::BytesMut;

use super::Manner;
use super::chat::{Head, Lists, write_counted};
use super::members::{Member, copy, get, inside, items, members, number, say, set};
use crate::dialect::Usage;
use crate::dialect::json::Writer;

/// One chunk with all of it, then the usage for who wants it.
pub(super) fn play(body: &str, manner: &Manner, out: &mut BytesMut) -> Option<()> {
    let found = members(body)?;
    let choices = get(&found, "choices")?;
    Head { members: &found, kind: None, created: manner.created }.play(manner, out, |chunk| {
        chunk(&|w| w.name("choices").raw(choices));
    });
    Some(())
}

#[derive(Default)]
struct Choice<'a> {
    index: u64,
    text: String,
    logprobs: Lists<'a>,
    rest: Vec<Member<'a>>,
}

/// Adds the chunks up.
pub(super) fn gather(chunks: &[&str], counted: Option<&Usage>, out: &mut BytesMut) -> Option<()> {
    let mut head: Vec<Member<'_>> = Vec::new();
    let mut choices: Vec<Choice<'_>> = Vec::new();
    for chunk in chunks {
        for (name, raw) in members(chunk)? {
            match &*name {
                "choices" => items(raw)?.into_iter().try_for_each(|raw| add(&mut choices, raw))?,
                "error" => return None,
                "obfuscation" => {}
                _ => set(&mut head, name, raw),
            }
        }
    }
    if choices.is_empty() || choices.iter().any(|choice| get(&choice.rest, "finish_reason").is_none()) {
        return None;
    }
    choices.sort_by_key(|choice| choice.index);
    Writer::new(out).object(|w| {
        copy(w, &head, &["usage"]);
        w.name("choices").array(|w| {
            for choice in &choices {
                w.object(|w| {
                    say(w, "text", &choice.text);
                    w.name("index").number(choice.index);
                    choice.logprobs.write(w, "logprobs");
                    copy(w, &choice.rest, &[]);
                });
            }
        });
        write_counted(w, get(&head, "usage"), counted);
    });
    Some(())
}

fn add<'a>(choices: &mut Vec<Choice<'a>>, raw: &'a str) -> Option<()> {
    let found = members(raw)?;
    let index = get(&found, "index").map_or(Some(0), number)?;
    let at = choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
        choices.push(Choice { index, ..Choice::default() });
        choices.len() - 1
    });
    let choice = choices.get_mut(at)?;
    for (name, raw) in found {
        match &*name {
            "text" if raw == "null" => {}
            "text" => choice.text.push_str(inside(raw)?),
            "logprobs" => choice.logprobs.add(raw)?,
            "index" => {}
            _ => set(&mut choice.rest, name, raw),
        }
    }
    Some(())
}
