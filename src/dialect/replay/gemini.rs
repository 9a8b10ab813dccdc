//! Gemini: every chunk of a stream is a whole answer of its own, with what is new.

use std::borrow::Cow;

use bytes::BytesMut;

use super::members::{Member, agree, copy, get, inside, is_nothing, items, list, members, number, set};
use crate::dialect::json::Writer;

/// What each chunk of a stream says anew of an answer; the last word counts.
const SAID_AGAIN: [&str; 5] = ["finishReason", "finishMessage", "safetyRatings", "tokenCount", "avgLogprobs"];

/// One chunk with all of it.
pub(super) fn play(body: &str, is_array: bool, out: &mut BytesMut) {
    let (begin, end) = if is_array { ("[", "\n]") } else { ("data: ", "\n\n") };
    for piece in [begin, body.trim(), end] {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[derive(Default)]
struct Candidate<'a> {
    index: u64,
    is_numbered: bool,
    role: Option<&'a str>,
    parts: Vec<Cow<'a, str>>,
    /// Text that still grows, with what else its parts say: whether it is a thought.
    open: Option<(String, Option<&'a str>)>,
    rest: Vec<Member<'a>>,
}

/// Adds the chunks up.
pub(super) fn gather(chunks: &[&str], out: &mut BytesMut) -> Option<()> {
    let mut head: Vec<Member<'_>> = Vec::new();
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for chunk in chunks {
        for (name, raw) in members(chunk)? {
            match &*name {
                "candidates" => items(raw)?.into_iter().try_for_each(|raw| add(&mut candidates, raw))?,
                "error" => return None,
                _ => set(&mut head, name, raw),
            }
        }
    }
    let is_complete = |candidate: &Candidate<'_>| get(&candidate.rest, "finishReason").is_some();
    if candidates.is_empty() || !candidates.iter().all(is_complete) {
        return None;
    }
    candidates.sort_by_key(|candidate| candidate.index);
    Writer::new(out).object(|w| {
        w.name("candidates").array(|w| {
            for candidate in &mut candidates {
                candidate.close_text();
                w.object(|w| candidate.write(w));
            }
        });
        copy(w, &head, &[]);
    });
    Some(())
}

fn add<'a>(candidates: &mut Vec<Candidate<'a>>, raw: &'a str) -> Option<()> {
    let found = members(raw)?;
    let index = get(&found, "index").map_or(Some(0), number)?;
    let at = candidates.iter().position(|candidate| candidate.index == index).unwrap_or_else(|| {
        candidates.push(Candidate { index, ..Candidate::default() });
        candidates.len() - 1
    });
    let candidate = candidates.get_mut(at)?;
    candidate.is_numbered |= get(&found, "index").is_some();
    for (name, raw) in found {
        match &*name {
            "content" if !is_nothing(raw) => candidate.add_content(raw)?,
            "content" | "index" => {}
            own if SAID_AGAIN.contains(&own) => set(&mut candidate.rest, name, raw),
            _ => agree(&mut candidate.rest, name, raw)?,
        }
    }
    Some(())
}

impl<'a> Candidate<'a> {
    fn add_content(&mut self, raw: &'a str) -> Option<()> {
        for (name, raw) in members(raw)? {
            match &*name {
                "role" => self.role = Some(raw),
                "parts" => items(raw)?.into_iter().try_for_each(|part| self.add_part(part))?,
                _ if is_nothing(raw) => {}
                _ => return None,
            }
        }
        Some(())
    }

    fn add_part(&mut self, raw: &'a str) -> Option<()> {
        // Arguments in pieces: which of them belong together is told nowhere else.
        if raw.contains("\"partialArgs\"") || raw.contains("\"willContinue\"") {
            return None;
        }
        let found = members(raw)?;
        let is_plain = found.iter().all(|(name, _)| matches!(&**name, "text" | "thought"));
        match get(&found, "text").and_then(inside).filter(|_| is_plain) {
            Some(text) => {
                let thought = get(&found, "thought");
                match &mut self.open {
                    Some((said, own)) if *own == thought => said.push_str(text),
                    _ => {
                        self.close_text();
                        self.open = Some((text.to_owned(), thought));
                    }
                }
            }
            None => {
                self.close_text();
                self.parts.push(raw.into());
            }
        }
        Some(())
    }

    fn close_text(&mut self) {
        let Some((text, thought)) = self.open.take() else { return };
        let mut part = BytesMut::new();
        Writer::new(&mut part).object(|w| {
            super::members::say(w, "text", &text);
            w.raw_member("thought", thought);
        });
        self.parts.push(String::from_utf8_lossy(&part).into_owned().into());
    }

    fn write(&self, w: &mut Writer<'_>) {
        let parts: Vec<&str> = self.parts.iter().map(|part| &**part).collect();
        if !parts.is_empty() || self.role.is_some() {
            w.name("content").object(|w| {
                list(w, "parts", &parts);
                w.name("role").raw(self.role.unwrap_or("\"model\""));
            });
        }
        if self.is_numbered {
            w.name("index").number(self.index);
        }
        copy(w, &self.rest, &[]);
    }
}
