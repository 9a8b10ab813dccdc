//! Counters with two labels: what a client used, what the cache did, how a fallback ended.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::registry::Registry;
use super::spread::Cell;

/// What a tally counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Tokens by client type and model: input, output, total.
    Tokens,
    /// Look-ups by cache policy: hits, misses, bypasses.
    Cache,
    /// Fallback attempts by group and target: successes, failures.
    Fallbacks,
}

/// One tally, with one writer.
#[derive(Debug)]
pub struct Tally {
    /// What it counts.
    pub what: What,
    /// Its labels.
    pub texts: [Arc<str>; 2],
    /// Its counts.
    pub counts: [Cell; 3],
}

/// The tallies of one worker.
pub struct Tallies {
    registry: Arc<Registry>,
    state: RandomState,
    found: HashTable<Arc<Tally>>,
    other: Arc<str>,
}

impl Tallies {
    /// No tallies yet.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, state: RandomState::default(), found: HashTable::new(), other: "other".into() }
    }

    /// Adds to the counts of a tally.
    pub fn add(&mut self, what: What, texts: [&Arc<str>; 2], counts: [u64; 3]) {
        let tally = self.find(what, texts);
        for (cell, count) in tally.counts.iter().zip(counts) {
            if count > 0 {
                cell.add(count);
            }
        }
    }

    fn find(&mut self, what: What, texts: [&Arc<str>; 2]) -> &Tally {
        let Self { registry, state, found, other } = self;
        let mut texts = texts;
        let has = |tally: &Tally, texts: [&Arc<str>; 2]| {
            tally.what == what && tally.texts.iter().zip(texts).all(|(own, text)| *own == *text)
        };
        let is_new = found.find(hash_of(state, what, texts), |tally| has(tally, texts)).is_none();
        if is_new && !registry.has_room_for_tally() {
            registry.note_collapse();
            texts = [other, other];
        }
        let rehash = |tally: &Arc<Tally>| hash_of(state, tally.what, tally.texts.each_ref());
        match found.entry(hash_of(state, what, texts), |tally| has(tally, texts), rehash) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => {
                let counts = std::array::from_fn(|_| Cell::default());
                let tally = Arc::new(Tally { what, texts: texts.map(Arc::clone), counts });
                registry.add_tally(Arc::clone(&tally));
                place.insert(tally).into_mut()
            }
        }
    }
}

fn hash_of(state: &RandomState, what: What, texts: [&Arc<str>; 2]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write_u8(what as u8);
    texts.iter().for_each(|text| hasher.write(text.as_bytes()));
    hasher.finish()
}
