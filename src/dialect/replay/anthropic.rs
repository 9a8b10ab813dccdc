//! Anthropic's Messages: a block begins, grows by deltas, and ends.

use std::borrow::Cow;

use bytes::BytesMut;

use super::members::{Member, agree, copy, get, inside, is_nothing, items, list, members, number, say, set};
use crate::dialect::json::{Text, Writer};

/// What the provider took out of the conversation: a member of the answer that streams say at the end.
const EDITS: &str = "context_management";

/// Each block with one delta for each thing that grows in it.
pub(super) fn play(body: &str, out: &mut BytesMut) -> Option<()> {
    let message = members(body)?;
    let blocks = items(get(&message, "content")?)?;
    let blocks = blocks.into_iter().map(members).collect::<Option<Vec<_>>>()?;
    frame(out, "message_start", |w| {
        w.name("message").object(|w| {
            copy(w, &message, &["content", "stop_reason", "stop_sequence", EDITS]);
            w.name("content").array(|_| {});
            w.name("stop_reason").null();
            w.name("stop_sequence").null();
        });
    });
    for (index, block) in blocks.iter().enumerate() {
        play_block(index as u64, block, out);
    }
    frame(out, "message_delta", |w| {
        w.name("delta").object(|w| {
            w.name("stop_reason").raw(get(&message, "stop_reason").unwrap_or("\"end_turn\""));
            w.name("stop_sequence").raw(get(&message, "stop_sequence").unwrap_or("null"));
        });
        w.raw_member("usage", get(&message, "usage"));
        w.raw_member(EDITS, get(&message, EDITS));
    });
    frame(out, "message_stop", |_| {});
    Some(())
}

/// What grows in a block of each kind: the member, what it begins with, and the delta that it grows by.
fn growing(kind: &str) -> &'static [(&'static str, &'static str, &'static str)] {
    match kind {
        "text" => &[("text", "\"\"", "text_delta")],
        "thinking" => &[("thinking", "\"\"", "thinking_delta"), ("signature", "\"\"", "signature_delta")],
        "tool_use" | "server_tool_use" => &[("input", "{}", "input_json_delta")],
        _ => &[],
    }
}

fn play_block(index: u64, block: &[Member<'_>], out: &mut BytesMut) {
    let kind = get(block, "type").and_then(inside).unwrap_or_default();
    let growing = growing(kind);
    let grows = |name: &str| growing.iter().find(|(own, ..)| *own == name);
    frame(out, "content_block_start", |w| {
        w.name("index").number(index);
        w.name("content_block").object(|w| {
            for (name, raw) in block.iter().filter(|(name, _)| kind != "text" || name != "citations") {
                w.name(name).raw(grows(name).map_or(*raw, |(_, empty, _)| empty));
            }
        });
    });
    for (name, _, kind) in growing {
        let Some(raw) = get(block, name).filter(|raw| *raw != "\"\"") else { continue };
        let member = if *kind == "input_json_delta" { "partial_json" } else { name };
        delta(out, index, |w| {
            w.name("type").string(kind);
            match inside(raw) {
                Some(text) => say(w, member, text),
                None => w.name(member).text(&Text::plain(raw)),
            }
        });
    }
    let citations = get(block, "citations").filter(|_| kind == "text").and_then(items);
    for citation in citations.unwrap_or_default() {
        delta(out, index, |w| {
            w.name("type").string("citations_delta");
            w.name("citation").raw(citation);
        });
    }
    frame(out, "content_block_stop", |w| w.name("index").number(index));
}

fn delta(out: &mut BytesMut, index: u64, members: impl FnOnce(&mut Writer<'_>)) {
    frame(out, "content_block_delta", |w| {
        w.name("index").number(index);
        w.name("delta").object(members);
    });
}

fn frame(out: &mut BytesMut, name: &'static str, members: impl FnOnce(&mut Writer<'_>)) {
    for piece in ["event: ", name, "\ndata: "] {
        out.extend_from_slice(piece.as_bytes());
    }
    Writer::new(out).object(|w| {
        w.name("type").string(name);
        members(w);
    });
    out.extend_from_slice(b"\n\n");
}

#[derive(Default)]
struct Block<'a> {
    start: Vec<Member<'a>>,
    /// What has grown, by member: text with its escapes.
    grown: Vec<(&'static str, String)>,
    citations: Vec<&'a str>,
}

#[derive(Default)]
struct Message<'a> {
    members: Vec<Member<'a>>,
    usage: Vec<Member<'a>>,
    blocks: Vec<(u64, Block<'a>)>,
    has_ended: bool,
}

/// Adds the events up.
pub(super) fn gather(events: &[&str], out: &mut BytesMut) -> Option<()> {
    let mut message = Message::default();
    for event in events {
        message.add(members(event)?)?;
    }
    let is_finished = get(&message.members, "stop_reason").is_some();
    (message.has_ended && is_finished).then(|| message.write(out))?
}

impl<'a> Message<'a> {
    fn add(&mut self, event: Vec<Member<'a>>) -> Option<()> {
        let index = || get(&event, "index").and_then(number);
        match inside(get(&event, "type")?)? {
            "ping" => {}
            "message_start" => {
                self.members = members(get(&event, "message")?)?;
                let has_content = get(&self.members, "content").is_some_and(|raw| !is_nothing(raw));
                if has_content {
                    return None;
                }
                self.count(get(&self.members, "usage"))?;
            }
            "content_block_start" => {
                let start = members(get(&event, "content_block")?)?;
                self.blocks.push((index()?, Block { start, ..Block::default() }));
            }
            "content_block_delta" => {
                let at = index()?;
                let (_, block) = self.blocks.iter_mut().find(|(own, _)| *own == at)?;
                block.add(members(get(&event, "delta")?)?)?;
            }
            "content_block_stop" => {}
            "message_delta" => {
                for (name, raw) in members(get(&event, "delta")?)? {
                    set(&mut self.members, name, raw);
                }
                self.count(get(&event, "usage"))?;
                for (name, raw) in event {
                    if !matches!(&*name, "type" | "delta" | "usage") {
                        agree(&mut self.members, name, raw)?;
                    }
                }
            }
            "message_stop" => self.has_ended = true,
            _ => return None,
        }
        Some(())
    }

    fn count(&mut self, usage: Option<&'a str>) -> Option<()> {
        for (name, raw) in members(usage.unwrap_or("{}"))? {
            set(&mut self.usage, name, raw);
        }
        Some(())
    }

    fn write(&self, out: &mut BytesMut) -> Option<()> {
        let blocks = self.blocks.iter().map(|(_, block)| block.whole()).collect::<Option<Vec<_>>>()?;
        Writer::new(out).object(|w| {
            copy(w, &self.members, &["content", "usage"]);
            w.name("content").array(|w| blocks.iter().for_each(|block| w.raw(block)));
            w.name("usage").object(|w| copy(w, &self.usage, &[]));
        });
        Some(())
    }
}

impl<'a> Block<'a> {
    fn add(&mut self, delta: Vec<Member<'a>>) -> Option<()> {
        let (member, from) = match inside(get(&delta, "type")?)? {
            "text_delta" => ("text", "text"),
            "thinking_delta" => ("thinking", "thinking"),
            "signature_delta" => ("signature", "signature"),
            "input_json_delta" => ("input", "partial_json"),
            "citations_delta" => {
                self.citations.push(get(&delta, "citation")?);
                return Some(());
            }
            _ => return None,
        };
        let more = inside(get(&delta, from)?)?;
        match self.grown.iter_mut().find(|(own, _)| *own == member) {
            Some((_, text)) => text.push_str(more),
            None => self.grown.push((member, more.to_owned())),
        }
        Some(())
    }

    fn grown(&self, member: &str) -> Option<&str> {
        self.grown.iter().find(|(own, _)| *own == member).map(|(_, text)| &**text)
    }

    /// The block as it is when it has ended.
    fn whole(&self) -> Option<String> {
        let input = match self.grown("input").filter(|input| !input.is_empty()) {
            Some(escaped) => {
                let json = Text::from_escaped(escaped).decode().into_owned();
                serde_json::from_str::<&serde_json::value::RawValue>(&json).ok()?;
                Some(json.replace(['\n', '\r'], " "))
            }
            None => None,
        };
        let mut members = self.start.clone();
        for (name, _) in &self.grown {
            if !members.iter().any(|(own, _)| own == name) {
                members.push((Cow::Borrowed(name), "\"\""));
            }
        }
        let mut out = BytesMut::new();
        Writer::new(&mut out).object(|w| {
            for (name, raw) in
                members.iter().filter(|(name, _)| self.citations.is_empty() || name != "citations")
            {
                match (self.grown(name), &input) {
                    (Some(_), Some(input)) if name == "input" => w.name(name).raw(input),
                    (Some(more), _) if name != "input" => {
                        say(w, name, &[inside(raw).unwrap_or_default(), more].concat());
                    }
                    _ => w.name(name).raw(raw),
                }
            }
            if !self.citations.is_empty() {
                let earlier = get(&self.start, "citations").and_then(items).unwrap_or_default();
                list(w, "citations", &[earlier, self.citations.clone()].concat());
            }
        });
        String::from_utf8(out.into()).ok()
    }
}
