//! OpenAI's chat dialect: what a message has, the deltas of a stream have too.

use std::borrow::Cow;

use bytes::BytesMut;

use super::Manner;
use super::members::{Member, copy, get, is_nothing, items, list, members, number, set};
use crate::dialect::Usage;
use crate::dialect::json::Writer;

mod message;

use message::Message;

/// What every chunk of an answer repeats.
pub(super) struct Head<'a> {
    pub(super) members: &'a [Member<'a>],
    /// Another `object` than that of the whole answer.
    pub(super) kind: Option<&'static str>,
    pub(super) created: u64,
}

impl Head<'_> {
    /// Writes the chunks, the usage for who wants it, and the last word.
    pub(super) fn play(
        &self,
        manner: &Manner,
        out: &mut BytesMut,
        body: impl FnOnce(&mut dyn FnMut(&dyn Fn(&mut Writer<'_>))),
    ) {
        let usage = get(self.members, "usage").filter(|_| manner.wants_usage);
        body(&mut |rest| {
            self.chunk(out, &|w| {
                rest(w);
                if usage.is_some() {
                    w.name("usage").null();
                }
            });
        });
        if let Some(usage) = usage {
            self.chunk(out, &|w| {
                w.name("choices").array(|_| {});
                w.name("usage").raw(usage);
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn chunk(&self, out: &mut BytesMut, rest: &dyn Fn(&mut Writer<'_>)) {
        out.extend_from_slice(b"data: ");
        Writer::new(out).object(|w| {
            let own = if self.kind.is_some() { "object" } else { "" };
            copy(w, self.members, &[own, "created", "choices", "usage"]);
            if let Some(kind) = self.kind {
                w.name("object").string(kind);
            }
            w.name("created").number(self.created);
            rest(w);
        });
        out.extend_from_slice(b"\n\n");
    }
}

/// A chunk with the message of each answer, and one with why it ended.
pub(super) fn play(body: &str, manner: &Manner, out: &mut BytesMut) -> Option<()> {
    let found = members(body)?;
    let choices = items(get(&found, "choices")?)?;
    let choices = choices.into_iter().map(members).collect::<Option<Vec<_>>>()?;
    let messages = choices.iter().map(|choice| members(get(choice, "message")?));
    let messages = messages.collect::<Option<Vec<_>>>()?;
    if messages.iter().any(|message| !message::is_playable(message)) {
        return None;
    }
    let head = Head { members: &found, kind: Some("chat.completion.chunk"), created: manner.created };
    head.play(manner, out, |chunk| {
        for (place, (choice, message)) in choices.iter().zip(&messages).enumerate() {
            let index = get(choice, "index").and_then(number).unwrap_or(place as u64);
            let in_chunk = |w: &mut Writer<'_>, inside: &dyn Fn(&mut Writer<'_>)| {
                w.name("choices").array(|w| {
                    w.object(|w| {
                        w.name("index").number(index);
                        inside(w);
                    });
                });
            };
            chunk(&|w| {
                in_chunk(w, &|w| {
                    w.name("delta").object(|w| message::write_delta(w, message));
                    w.raw_member("logprobs", get(choice, "logprobs"));
                    w.name("finish_reason").null();
                });
            });
            chunk(&|w| {
                in_chunk(w, &|w| {
                    w.name("delta").object(|_| {});
                    copy(w, choice, &["index", "message", "delta", "logprobs"]);
                });
            });
        }
    });
    Some(())
}

#[derive(Default)]
struct Choice<'a> {
    index: u64,
    message: Message<'a>,
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
                "obfuscation" | "object" => {}
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
        w.name("object").string("chat.completion");
        w.name("choices").array(|w| {
            for choice in &choices {
                w.object(|w| {
                    w.name("index").number(choice.index);
                    w.name("message").object(|w| choice.message.write(w));
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
            "delta" if !is_nothing(raw) => choice.message.add(members(raw)?)?,
            "logprobs" => choice.logprobs.add(raw)?,
            // Perplexity repeats all of the message so far.
            "index" | "delta" | "message" => {}
            _ => set(&mut choice.rest, name, raw),
        }
    }
    Some(())
}

/// An object of lists that grow, as log probabilities are.
#[derive(Default)]
pub(super) struct Lists<'a> {
    is_there: bool,
    lists: Vec<(Cow<'a, str>, Option<Vec<&'a str>>)>,
}

impl<'a> Lists<'a> {
    pub(super) fn add(&mut self, raw: &'a str) -> Option<()> {
        self.is_there = true;
        if raw == "null" {
            return Some(());
        }
        for (name, raw) in members(raw)? {
            let more = if raw == "null" { None } else { Some(items(raw)?) };
            match self.lists.iter_mut().find(|(own, _)| *own == name) {
                Some((_, Some(own))) => own.extend(more.unwrap_or_default()),
                Some((_, own)) => *own = more,
                None => self.lists.push((name, more)),
            }
        }
        Some(())
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>, name: &str) {
        if self.is_there && self.lists.is_empty() {
            writer.name(name).null();
        } else if self.is_there {
            writer.name(name).object(|w| {
                for (name, items) in &self.lists {
                    match items {
                        Some(items) => list(w, name, items),
                        None => w.name(name).null(),
                    }
                }
            });
        }
    }
}

/// Writes what the provider counted: its own words, or the same from what the gateway read.
pub(super) fn write_counted(writer: &mut Writer<'_>, own: Option<&str>, counted: Option<&Usage>) {
    if let Some(own) = own {
        return writer.name("usage").raw(own);
    }
    let Some(usage) = counted.filter(|usage| !usage.is_estimated && usage.total > 0) else { return };
    writer.name("usage").object(|w| {
        w.name("prompt_tokens").number(usage.prompt);
        w.name("completion_tokens").number(usage.completion);
        w.name("total_tokens").number(usage.total);
        w.name("prompt_tokens_details").object(|w| w.name("cached_tokens").number(usage.cached));
        w.name("completion_tokens_details").object(|w| w.name("reasoning_tokens").number(usage.reasoning));
    });
}
