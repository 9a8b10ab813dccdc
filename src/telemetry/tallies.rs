//! Counters with two labels: what a client used, what the cache did, how a fallback ended.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::refusals::Refusals;
use super::registry::Registry;
use super::spread::Cell;

/// What a tally counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Tokens by client type and model: input, output, total.
    Tokens,
    /// Look-ups by cache policy: hits, misses, bypasses.
    Cache,
    /// Refusals by rate limit policy: of requests, tokens, concurrency.
    Refusals,
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
    refusals: Refusals,
    other: Arc<str>,
}

impl Tallies {
    /// No tallies yet.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            state: RandomState::default(),
            found: HashTable::new(),
            refusals: Refusals::default(),
            other: "other".into(),
        }
    }

    /// Adds to the counts of a tally, or of the one that stands for those that there is no room for.
    pub fn add(&mut self, what: What, texts: [&Arc<str>; 2], counts: [u64; 3]) {
        if self.add_to(what, texts, counts, false) {
            return;
        }
        self.registry.note_collapse();
        let other = Arc::clone(&self.other);
        self.add_to(what, [&other, &other], counts, true);
    }

    /// Adds to one tally; false when it is new and there is no room for it.
    fn add_to(&mut self, what: What, texts: [&Arc<str>; 2], counts: [u64; 3], is_last: bool) -> bool {
        let Self { registry, state, found, refusals, .. } = self;
        let is_it = |tally: &Arc<Tally>| {
            let same = |(own, text): (&Arc<str>, &Arc<str>)| Arc::ptr_eq(own, text) || **own == **text;
            tally.what == what && tally.texts.iter().zip(texts).all(same)
        };
        let rehash = |tally: &Arc<Tally>| hash_of(state, tally.what, tally.texts.each_ref());
        let hash = hash_of(state, what, texts);
        let tally = match found.entry(hash, is_it, rehash) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(_) if !is_last && refusals.has(hash) => return false,
            Entry::Vacant(place) => {
                let counts = std::array::from_fn(|_| Cell::default());
                let tally = Arc::new(Tally { what, texts: texts.map(Arc::clone), counts });
                if !registry.add_tally(&tally, is_last) {
                    refusals.add(hash);
                    return false;
                }
                place.insert(tally).into_mut()
            }
        };
        for (cell, count) in tally.counts.iter().zip(counts) {
            cell.add(count);
        }
        true
    }
}

fn hash_of(state: &RandomState, what: What, texts: [&Arc<str>; 2]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write_u8(what as u8);
    texts.iter().for_each(|text| hasher.write(text.as_bytes()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_another_worker_has_need_no_further_room() {
        let registry = Arc::new(Registry::new(1));
        let mut workers = [0; 8].map(|_| Tallies::new(Arc::clone(&registry)));
        let (known, late): (Arc<str>, Arc<str>) = ("known".into(), "late".into());
        for tallies in &mut workers {
            tallies.add(What::Tokens, [&known, &known], [1, 0, 0]);
            tallies.add(What::Tokens, [&late, &late], [1, 0, 0]);
            tallies.add(What::Tokens, [&late, &late], [1, 0, 0]);
        }
        let sum = |text: &str| {
            let all = registry.tallies();
            all.iter()
                .filter(|tally| *tally.texts[0] == *text)
                .map(|tally| tally.counts[0].read())
                .sum::<u64>()
        };
        assert_eq!(["known", "late", "other"].map(sum), [8, 0, 16]);
    }
}
