//! An answer that is gathered on its way to the caller, to be kept: bounded by itself and together with the others of its
//! worker.
//!
//! What does not fit is not gathered; the caller gets it all the same.

use std::cell::Cell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

/// Most bytes of one stream that are gathered: far more than an answer of words has.
const MAX_BYTES: usize = 8 << 20;

/// Most bytes that one worker gathers at a time: some hundred streams of the usual length.
const MAX_BYTES_UNDER_WAY: usize = 64 << 20;

/// How many bytes of frames there may be to a byte that is kept: a frame of OpenAI's has 200 bytes around a word.
const FRAMES: usize = 64;

/// The pieces so far.
#[derive(Debug)]
pub struct Gathering {
    pieces: BytesMut,
    limit: usize,
    /// What the worker's gatherings hold, this one's capacity included.
    under_way: Rc<Cell<usize>>,
}

impl Gathering {
    /// Begins one for an entry of at most `largest` bytes.
    pub(super) fn new(largest: usize, under_way: Rc<Cell<usize>>) -> Self {
        Self { pieces: BytesMut::new(), limit: largest.saturating_mul(FRAMES).min(MAX_BYTES), under_way }
    }

    /// Takes a piece; false where there is too much to be kept.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let length = self.pieces.len().saturating_add(piece.len());
        let before = self.pieces.capacity();
        let others = self.under_way.get().saturating_sub(before);
        if length > self.limit || others.saturating_add(length) > MAX_BYTES_UNDER_WAY {
            return false;
        }
        self.pieces.extend_from_slice(piece);
        self.under_way.set(others.saturating_add(self.pieces.capacity()));
        true
    }

    /// All of it. It counts no longer: who takes it is done with it at once.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        self.forget();
        std::mem::take(&mut self.pieces).freeze()
    }

    fn forget(&self) {
        self.under_way.set(self.under_way.get().saturating_sub(self.pieces.capacity()));
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stream_is_bounded_by_what_could_be_kept() {
        let under_way = Rc::<Cell<usize>>::default();
        let mut small = Gathering::new(10, Rc::clone(&under_way));
        assert!(small.push(&[b'x'; 10 * FRAMES]));
        assert!(!small.push(b"x"), "an entry of ten bytes comes of no more");
        let mut large = Gathering::new(usize::MAX, Rc::clone(&under_way));
        assert!(large.push(&vec![b'x'; MAX_BYTES]));
        assert!(!large.push(b"x"));
        assert_eq!(large.take().len(), MAX_BYTES);
        drop((small, large));
        assert_eq!(under_way.get(), 0);
    }

    #[test]
    fn all_streams_of_a_worker_are_bounded_together() {
        let under_way = Rc::<Cell<usize>>::default();
        let piece = vec![b'x'; 1 << 20];
        let mut gatherings: Vec<Gathering> = Vec::new();
        for _ in 0..100 {
            let mut gathering = Gathering::new(usize::MAX, Rc::clone(&under_way));
            if gathering.push(&piece) {
                gatherings.push(gathering);
            }
        }
        assert_eq!(gatherings.len(), MAX_BYTES_UNDER_WAY >> 20);
        gatherings.pop();
        assert!(Gathering::new(usize::MAX, Rc::clone(&under_way)).push(&piece), "who is done makes room");
        gatherings.clear();
        assert_eq!(under_way.get(), 0);
    }
}
