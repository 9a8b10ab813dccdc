//! The texts of a stream as far as they matter: what is held of each, and a little before it.

use std::collections::VecDeque;
use std::ops::Range;

use foldhash::{HashMap, HashMapExt as _};

use super::release::{Cut, Frame, Piece, Released, masks_of};
use super::{Mode, SlotKey, Words};
use crate::dialect::json::Text;
use crate::guardrails::passage::Passage;
use crate::guardrails::slots;

/// Where a passage of a look comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A text as it is.
    Prose(usize),
    /// Arguments that are no JSON, or not yet.
    Raw(usize),
    /// A value among the arguments: its bytes in the JSON, and whether it is a number.
    Value(usize, Range<usize>, bool),
}

impl Source {
    fn text(&self) -> usize {
        match self {
            Self::Prose(text) | Self::Raw(text) | Self::Value(text, ..) => *text,
        }
    }
}

/// One text.
#[derive(Debug)]
struct One {
    key: SlotKey,
    /// What is kept of it.
    kept: String,
    /// Where that begins, in bytes from the beginning of the text.
    base: usize,
    /// How far it has gone out.
    released: usize,
    /// How far the look under way, or the last one, sees.
    looked: usize,
    /// How far it may go out.
    clean: usize,
    /// Whether nothing more is expected of it.
    is_closed: bool,
    cuts: Vec<Cut>,
}

impl One {
    fn new(key: SlotKey, is_closed: bool) -> Self {
        Self {
            key,
            kept: String::new(),
            base: 0,
            released: 0,
            looked: 0,
            clean: 0,
            is_closed,
            cuts: Vec::new(),
        }
    }

    fn end(&self) -> usize {
        self.base + self.kept.len()
    }

    fn is_other(&self) -> bool {
        matches!(self.key.words, Words::Other(_))
    }

    fn is_arguments(&self) -> bool {
        matches!(self.key.words, Words::Arguments(_))
    }

    /// Whether it is all of a call's arguments, as far as can be known.
    fn is_whole_call(&self) -> bool {
        self.is_closed && serde_json::from_str::<serde::de::IgnoredAny>(&self.kept).is_ok()
    }

    fn is_done(&self) -> bool {
        self.is_closed && self.released == self.end()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Texts {
    mode: Mode,
    overlap: usize,
    all: Vec<One>,
    /// The text that a piece goes on, by its key.
    open: HashMap<SlotKey, usize>,
    /// The text of each answer that went on last.
    last: HashMap<u32, usize>,
    /// The other texts that went on in the last frame.
    others: Vec<usize>,
    fresh: usize,
    held: usize,
}

impl Texts {
    pub(super) fn new(mode: Mode, overlap: usize) -> Self {
        Self {
            mode,
            overlap,
            all: Vec::new(),
            open: HashMap::new(),
            last: HashMap::new(),
            others: Vec::new(),
            fresh: 0,
            held: 0,
        }
    }

    /// Characters that no look has seen.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }

    /// Bytes that have not gone out.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Adds a piece, and tells where it is.
    pub(super) fn add(&mut self, key: SlotKey, text: &str) -> Piece {
        let place = self.place(key);
        let one = &mut self.all[place];
        let start = one.end();
        one.kept.push_str(text);
        self.held += text.len();
        self.fresh += text.chars().count();
        Piece { text: place, range: start..start + text.len() }
    }

    /// Where other texts do not go on in a frame, they are complete as far as can be known.
    pub(super) fn close_others(&mut self, pieces: &[Piece]) {
        let is_window = self.mode == Mode::Window;
        for place in std::mem::take(&mut self.others) {
            match pieces.iter().any(|piece| piece.text == place) {
                true => self.others.push(place),
                false => self.all[place].is_closed = is_window,
            }
        }
        for piece in pieces.iter().filter(|piece| self.all[piece.text].is_other()) {
            if !self.others.contains(&piece.text) {
                self.others.push(piece.text);
            }
        }
    }

    fn place(&mut self, key: SlotKey) -> usize {
        match key.words {
            Words::Aside => self.begin(key),
            // It stands beside the texts of the answer, and ends none of them.
            Words::Other(_) => {
                let place = self.open.get(&key).copied().unwrap_or_else(|| self.begin(key));
                self.all[place].is_closed = false;
                self.open.insert(key, place);
                place
            }
            _ => self.place_in_turn(key),
        }
    }

    fn begin(&mut self, key: SlotKey) -> usize {
        let comes_whole = matches!(key.words, Words::Name(_) | Words::Aside);
        self.all.push(One::new(key, self.mode == Mode::Window && comes_whole));
        self.all.len() - 1
    }

    fn place_in_turn(&mut self, key: SlotKey) -> usize {
        let known = self.open.get(&key).copied();
        let before = self.last.get(&key.answer).copied().filter(|before| Some(*before) != known);
        if self.mode == Mode::Window
            && let Some(before) = before
        {
            // Where another text of an answer goes on, the one before is complete, or its end would be held for ever.
            let one = &mut self.all[before];
            one.is_closed = true;
            if !one.is_arguments() {
                self.open.remove(&one.key);
            }
        }
        let place = known.unwrap_or(self.all.len());
        if let Some(one) = self.all.get_mut(place) {
            one.is_closed = false;
        } else {
            self.begin(key);
            self.open.insert(key, place);
        }
        self.last.insert(key.answer, place);
        place
    }

    /// Lets go of what is beyond a bound, where nothing is held and all is only watched.
    pub(super) fn forget_beyond(&mut self, bytes: usize) {
        let mut room = bytes;
        for one in &mut self.all {
            let keep = one.kept.floor_char_boundary(room);
            // Where a piece stands does not matter to what has gone out.
            one.kept.truncate(keep);
            room -= keep;
        }
    }

    /// What a look is to see.
    pub(super) fn passages(&self, is_last: bool) -> Vec<(Passage, Source)> {
        let mut found = Vec::new();
        let is_due = |one: &One| {
            let is_complete = is_last || !one.is_arguments() || one.is_whole_call();
            is_complete && !one.is_done() && !one.kept.is_empty()
        };
        for (place, one) in self.all.iter().enumerate().filter(|(_, one)| is_due(one)) {
            let values = if one.is_arguments() { slots::in_arguments(&one.kept) } else { None };
            if let Some(values) = values {
                found.push((Passage::whole(one.kept.clone()), Source::Raw(place)));
                found.extend(values.into_iter().map(|(range, is_number, text)| {
                    (Passage::new(text), Source::Value(place, range, is_number))
                }));
                continue;
            }
            let mut passage = Passage::new(one.kept.clone());
            if self.mode == Mode::Window {
                passage.seen = one.released.saturating_sub(one.base);
            }
            passage.counted = one.looked.saturating_sub(one.base);
            let source = if one.is_arguments() { Source::Raw(place) } else { Source::Prose(place) };
            found.push((passage, source));
        }
        found
    }

    /// A look begins that sees all that is here.
    pub(super) fn mark(&mut self) {
        self.fresh = 0;
        self.all.iter_mut().for_each(|one| one.looked = one.end());
    }

    /// A look is over, and nobody blocked: takes its masks, and says how far each text may go out.
    pub(super) fn judged(&mut self, passages: &[Passage], sources: &[Source], is_last: bool) {
        for one in &mut self.all {
            one.cuts.clear();
            one.clean = match one.is_arguments() {
                _ if is_last => one.looked,
                // Half of a call is of no use to anybody, and cannot be masked.
                true if one.looked == one.end() && one.is_whole_call() => one.looked,
                true => one.released,
                false if one.is_closed && one.looked == one.end() => one.looked,
                false => one.looked_but(self.overlap),
            };
        }
        for (passage, source) in passages.iter().zip(sources).filter(|(passage, _)| passage.is_changed()) {
            self.all[source.text()].cut(passage, source);
        }
        // A mask that is not wholly clean waits for the next look.
        for one in &mut self.all {
            one.clean = one.outside_cuts(one.clean).max(one.released);
        }
    }

    /// How many frames may go out: as many as are clean, unless a mask would be cut.
    pub(super) fn clean_frames<F>(&self, frames: &VecDeque<Frame<F>>) -> usize {
        let mut ends: Vec<usize> = self.all.iter().map(|one| one.released).collect();
        let mut is_cut = vec![false; ends.len()];
        let (mut cuts, mut count) = (0usize, 0);
        for (place, frame) in frames.iter().enumerate() {
            for piece in &frame.pieces {
                let one = &self.all[piece.text];
                if piece.range.end > one.clean {
                    return count;
                }
                ends[piece.text] = piece.range.end;
                let cuts_now = one.outside_cuts(piece.range.end) != piece.range.end;
                let cut_before = std::mem::replace(&mut is_cut[piece.text], cuts_now);
                cuts = cuts + usize::from(cuts_now) - usize::from(cut_before);
            }
            if cuts == 0 {
                count = place + 1;
            }
        }
        count
    }

    /// Sends frames on, with their masks.
    pub(super) fn release<F>(&mut self, frames: Vec<Frame<F>>) -> Vec<Released<F>> {
        let mut released = Vec::with_capacity(frames.len());
        for Frame { payload, pieces } in frames {
            let mut masks = Vec::new();
            for (place, piece) in pieces.iter().enumerate() {
                let one = &mut self.all[piece.text];
                masks_of(place, &piece.range, &one.cuts, &mut masks);
                one.released = one.released.max(piece.range.end);
                self.held = self.held.saturating_sub(piece.range.len());
            }
            released.push(Released { payload, masks });
        }
        if self.mode == Mode::Window {
            self.all.iter_mut().for_each(|one| one.trim(self.overlap));
        }
        released
    }
}

impl One {
    /// The place so many characters before the end of what was looked at.
    fn looked_but(&self, characters: usize) -> usize {
        let seen = &self.kept[..self.looked - self.base];
        let back = seen.char_indices().rev().take(characters).last();
        let at = self.base + back.map_or(seen.len(), |(at, _)| at);
        at.max(self.released)
    }

    /// A place, or the beginning of the mask that it would cut.
    fn outside_cuts(&self, at: usize) -> usize {
        let next = self.cuts.partition_point(|cut| cut.range.end <= at);
        self.cuts.get(next).map_or(at, |cut| cut.range.start.min(at))
    }

    /// Takes over what was replaced in a passage.
    fn cut(&mut self, passage: &Passage, source: &Source) {
        let base = self.base;
        match source {
            Source::Value(_, range, is_number) => {
                let text = Text::plain(passage.current()).escaped().to_owned();
                let with = if *is_number { format!("\"{text}\"") } else { text };
                self.add_cut(base + range.start..base + range.end, with);
            }
            Source::Raw(_) | Source::Prose(_) => {
                for edit in passage.edits() {
                    let with = match source {
                        Source::Raw(_) => Text::plain(&edit.text).escaped().to_owned(),
                        _ => edit.text.clone(),
                    };
                    self.add_cut(base + edit.range.start..base + edit.range.end, with);
                }
            }
        }
    }

    /// Adds a cut as far as it is still held; one of nothing takes a character along, so that it has a place.
    fn add_cut(&mut self, range: Range<usize>, with: String) {
        if range.end < self.released || (range.end == self.released && !range.is_empty()) {
            return;
        }
        let mut cut = Cut { range: range.start.max(self.released)..range.end, with };
        if cut.range.is_empty() {
            let (before, after) = self.kept.split_at(cut.range.start - self.base);
            let last =
                before.chars().next_back().filter(|last| cut.range.start - last.len_utf8() >= self.released);
            match (last, after.chars().next()) {
                (Some(last), _) if self.cuts.last().is_none_or(|known| known.range.end < cut.range.start) => {
                    cut.range.start -= last.len_utf8();
                    cut.with.insert(0, last);
                }
                (_, Some(next)) => {
                    cut.range.end += next.len_utf8();
                    cut.with.push(next);
                }
                _ => {
                    if let Some(known) = self.cuts.last_mut() {
                        known.with.push_str(&cut.with);
                    }
                    return;
                }
            }
        }
        match self.cuts.last_mut() {
            // The earlier one took a character along that this one replaces.
            Some(known) if known.range.end > cut.range.start => {
                known.with.pop();
                known.with.push_str(&cut.with);
                known.range.end = known.range.end.max(cut.range.end);
            }
            _ => self.cuts.push(cut),
        }
    }

    /// Lets go of what has gone out, but for a little that the next look reads again.
    fn trim(&mut self, overlap: usize) {
        if self.is_done() {
            (self.kept, self.base) = (String::new(), self.released);
            return;
        }
        let gone = &self.kept[..self.released - self.base];
        let keep = gone.char_indices().rev().take(overlap).last().map_or(gone.len(), |(at, _)| at);
        self.kept.drain(..keep);
        self.base += keep;
        self.cuts.clear();
    }
}
