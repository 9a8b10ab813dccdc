//! Asides: what a frame says beyond the pieces of the answer, where it goes out as it is.
//!
//! Dialects say a text more than once: in pieces, then whole, then whole again in the complete answer. What is held
//! already is not held again, or a stream would outgrow its buffer at a fifth of its length. Where texts are masked every
//! one counts, for each is to be masked.

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use crate::dialect::sse::Frame;
use crate::guardrails::hold::{SlotKey, Words};
use crate::guardrails::slots::in_frame;

/// Bytes from which on a text is looked for in what was said before; shorter ones must be the same.
const LONG: usize = 64;

/// Most short texts that are remembered.
const MAX_SHORT: usize = 1 << 12;

/// See the module.
#[derive(Debug)]
pub(super) struct Asides {
    may_mask: bool,
    /// What was said, text by text; those that come whole are one, with a line between them.
    said: HashMap<SlotKey, String>,
    short: HashSet<String>,
    /// Bytes that may still be remembered.
    room: usize,
}

impl Asides {
    pub(super) fn new(may_mask: bool, room: usize) -> Self {
        Self { may_mask, said: HashMap::new(), short: HashSet::new(), room }
    }

    /// What a frame says beyond these pieces.
    pub(super) fn of<'a>(
        &mut self,
        frame: &Frame<'_>,
        pieces: impl Iterator<Item = (SlotKey, &'a str)>,
    ) -> Vec<(SlotKey, String)> {
        let mut pieces: Vec<(SlotKey, &str)> = pieces.collect();
        for (key, text) in &pieces {
            self.remember(*key, text);
        }
        let data = frame.data().unwrap_or_default();
        let data = String::from_utf8_lossy(&data);
        if matches!(data.trim_ascii(), "" | "[DONE]") {
            return Vec::new();
        }
        let mut found = Vec::new();
        for aside in in_frame(&data) {
            if let Some(place) = pieces.iter().position(|(_, text)| *text == aside.text) {
                pieces.swap_remove(place);
                continue;
            }
            let words = aside.mark.map_or(Words::Aside, Words::Other);
            let key = SlotKey { answer: 0, words };
            if aside.mark.is_some() || !self.is_known(&aside.text) {
                self.remember(key, &aside.text);
                found.push((key, aside.text));
            }
        }
        found
    }

    fn is_known(&self, text: &str) -> bool {
        match text.len() {
            _ if self.may_mask => false,
            0..LONG => self.short.contains(text),
            _ => self.said.values().any(|said| said.contains(text)),
        }
    }

    fn remember(&mut self, key: SlotKey, text: &str) {
        if self.may_mask || text.len() > self.room {
            return;
        }
        let is_whole = key.words == Words::Aside;
        if is_whole && text.len() < LONG {
            if self.short.len() < MAX_SHORT {
                self.short.insert(text.to_owned());
            }
            return;
        }
        self.room -= text.len();
        let said = self.said.entry(key).or_default();
        said.push_str(text);
        if is_whole {
            said.push('\n');
        }
    }
}
