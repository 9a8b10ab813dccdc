//! Frames on their way out, and what is masked in them.

use std::ops::Range;

use smallvec::SmallVec;

/// A frame that is held, and where its pieces stand in their texts.
#[derive(Debug)]
pub(super) struct Frame<F> {
    pub(super) payload: F,
    pub(super) pieces: SmallVec<[Piece; 2]>,
}

/// A piece of a text: which text, and the bytes of it from the beginning of the stream.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) text: usize,
    pub(super) range: Range<usize>,
}

/// A frame that may go out.
#[derive(Debug)]
pub struct Released<F> {
    /// As it was pushed.
    pub payload: F,
    /// What is masked in it, in order; empty for most.
    pub masks: Vec<Mask>,
}

/// A part of a piece that something else stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Which piece of the frame, in the order in which they were pushed.
    pub piece: usize,
    /// The bytes of its unescaped text.
    pub range: Range<usize>,
    /// What stands for them; nothing where the piece before has it already.
    pub text: String,
}

/// A part of a text that something else stands for, in bytes from the beginning of the stream.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) range: Range<usize>,
    pub(super) with: String,
}

/// The masks of one piece, from the cuts of its text.
pub(super) fn masks_of(place: usize, piece: &Range<usize>, cuts: &[Cut], masks: &mut Vec<Mask>) {
    let first = cuts.partition_point(|cut| cut.range.end <= piece.start);
    for cut in cuts[first..].iter().take_while(|cut| cut.range.start < piece.end) {
        let begins_here = cut.range.start >= piece.start;
        let (from, to) = (cut.range.start.max(piece.start), cut.range.end.min(piece.end));
        masks.push(Mask {
            piece: place,
            range: from - piece.start..to - piece.start,
            text: if begins_here { cut.with.clone() } else { String::new() },
        });
    }
}

impl<F> Released<F> {
    /// A piece of the frame with its masks.
    #[must_use]
    pub fn masked(&self, piece: usize, text: &str) -> String {
        let own = self.masks.iter().filter(|mask| mask.piece == piece);
        crate::guardrails::passage::apply(text, own.map(|mask| (mask.range.clone(), &*mask.text)))
    }
}
