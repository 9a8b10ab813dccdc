//! A text under judgement: how it stands now, and what was replaced in the text that it was.

use std::ops::Range;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    original: String,
    current: String,
    edits: Vec<Edit>,
    /// Bytes at the front that have gone out already: context of what follows.
    pub seen: usize,
    /// Bytes at the front in which everything was counted before.
    pub counted: usize,
    /// Whether words are looked for in it and nothing else: its parts are passages of their own.
    pub is_whole: bool,
}

/// A part of the original that something else stands for. Edits of a passage are in order and do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The bytes of the original.
    pub range: Range<usize>,
    /// What stands for them.
    pub text: String,
}

impl Passage {
    /// A text as it came.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self {
            current: text.clone(),
            original: text,
            edits: Vec::new(),
            seen: 0,
            counted: 0,
            is_whole: false,
        }
    }

    /// A text whose parts are passages of their own.
    #[must_use]
    pub fn whole(text: String) -> Self {
        Self { is_whole: true, ..Self::new(text) }
    }

    /// As it came.
    #[must_use]
    pub fn original(&self) -> &str {
        &self.original
    }

    /// As it stands now.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.current
    }

    /// What was replaced.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Whether anything was replaced.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.edits.is_empty()
    }

    /// Replaces parts of the text as it stands now; the parts are in order and do not overlap.
    pub fn replace(&mut self, parts: &[(Range<usize>, &str)]) {
        if parts.is_empty() {
            return;
        }
        let placed = self.placed();
        let mut edits = Vec::with_capacity(self.edits.len() + parts.len());
        let (mut old, mut new) = (0, 0);
        // What touches each other becomes one edit: earlier ones, parts, or both.
        while old < placed.len() || new < parts.len() {
            let begins = |at: usize| parts.get(at).map_or(usize::MAX, |(part, _)| part.start);
            let is_old = placed.get(old).is_some_and(|place| place.start <= begins(new));
            let mut span = if is_old { placed[old].clone() } else { parts[new].0.clone() };
            let start =
                if is_old { self.edits[old].range.start } else { self.origin(&placed, old, span.start) };
            let first = new;
            (old, new) = if is_old { (old + 1, new) } else { (old, new + 1) };
            loop {
                if let Some(place) = placed.get(old).filter(|place| place.start < span.end) {
                    (span.end, old) = (span.end.max(place.end), old + 1);
                } else if let Some((part, _)) = parts.get(new).filter(|(part, _)| part.start < span.end) {
                    (span.end, new) = (span.end.max(part.end), new + 1);
                } else {
                    break;
                }
            }
            let within = parts[first..new].iter();
            let within = within.map(|(part, text)| (part.start - span.start..part.end - span.start, *text));
            let text = apply(&self.current[span.clone()], within);
            edits.push(Edit { range: start..self.origin(&placed, old, span.end), text });
        }
        self.edits = edits;
        self.current = apply(&self.original, self.edits.iter().map(|edit| (edit.range.clone(), &*edit.text)));
    }

    /// Puts another text in place of the whole: one edit over all that differs.
    pub fn replace_whole(&mut self, text: &str) {
        let front = common(self.current.chars(), text.chars());
        let (own, other) = (&self.current[front..], &text[front..]);
        let back = common(own.chars().rev(), other.chars().rev());
        let (from, to) = (front, self.current.len() - back);
        if from < to || front + back < text.len() {
            let inner = text[front..text.len() - back].to_owned();
            self.replace(&[(from..to, &inner)]);
        }
    }

    /// Where each edit stands in `current`.
    fn placed(&self) -> Vec<Range<usize>> {
        let (mut from, mut at) = (0, 0);
        let mut places = Vec::with_capacity(self.edits.len());
        for edit in &self.edits {
            let start = at + edit.range.start - from;
            places.push(start..start + edit.text.len());
            (from, at) = (edit.range.end, start + edit.text.len());
        }
        places
    }

    /// The place in the original of one in `current` that lies behind so many edits.
    fn origin(&self, placed: &[Range<usize>], edits: usize, at: usize) -> usize {
        match edits.checked_sub(1) {
            None => at,
            Some(last) => self.edits[last].range.end + at - placed[last].end,
        }
    }
}

/// A text with parts of it replaced.
pub fn apply<'a>(text: &str, edits: impl Iterator<Item = (Range<usize>, &'a str)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (range, with) in edits {
        out.push_str(&text[copied..range.start]);
        out.push_str(with);
        copied = range.end;
    }
    out.push_str(&text[copied..]);
    out
}

/// Bytes that two texts have in common from their beginning.
fn common(left: impl Iterator<Item = char>, right: impl Iterator<Item = char>) -> usize {
    left.zip(right).take_while(|(left, right)| left == right).map(|(left, _)| left.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_replaced_is_known_by_its_place_in_the_original() {
        let mut passage = Passage::new("call ann or bob now".to_owned());
        passage.replace(&[(5..8, "[A]"), (12..15, "[LONGER]")]);
        assert_eq!(passage.current(), "call [A] or [LONGER] now");
        passage.replace(&[(6..14, "x")]);
        assert_eq!(passage.current(), "call [xONGER] now");
        passage.replace_whole("call [xONGER] later");
        assert_eq!(passage.current(), "call [xONGER] later");
        let places: Vec<_> = passage.edits().iter().map(|edit| edit.range.clone()).collect();
        assert_eq!(places, [5..15, 16..19]);
    }

    #[test]
    fn an_insertion_is_an_edit_of_nothing() {
        let mut passage = Passage::new("ab".to_owned());
        passage.replace_whole("a-b");
        passage.replace_whole("a-b");
        assert_eq!(passage.edits(), [Edit { range: 1..1, text: "-".to_owned() }]);
        let mut empty = Passage::new("abc".to_owned());
        empty.replace_whole("");
        assert_eq!((empty.current(), empty.edits()[0].range.clone()), ("", 0..3));
    }

    proptest! {
        #[test]
        fn the_edits_always_lead_from_the_original_to_the_current(
            text in "[aé ]{0,12}",
            changes in prop::collection::vec((0usize..14, 0usize..6, "[xß]{0,3}"), 0..5),
        ) {
            let mut passage = Passage::new(text);
            for (at, length, with) in changes {
                let now = passage.current().to_owned();
                let from = now.floor_char_boundary(at.min(now.len()));
                let to = now.ceil_char_boundary((from + length).min(now.len()));
                passage.replace(&[(from..to, &with)]);
                prop_assert_eq!(passage.current(), apply(&now, [(from..to, &*with)].into_iter()));
                let ordered = passage.edits().windows(2).all(|pair| pair[0].range.end <= pair[1].range.start);
                prop_assert!(ordered, "{:?}", passage);
            }
        }
    }
}
