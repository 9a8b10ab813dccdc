//! What a worker has been refused a row for, so that it does not ask for the lock again with every request.

use std::collections::HashSet;

/// Hashes that are kept: half a mebibyte. Beyond them all are forgotten, and the lock is taken once more for each.
const MAX_HASHES: usize = 64 << 10;

/// See the module. Two sets of labels with one hash are refused together, which costs the second one a row and no count.
#[derive(Debug, Default)]
pub struct Refusals(HashSet<u64, foldhash::fast::RandomState>);

impl Refusals {
    /// Whether labels with this hash have been refused.
    #[must_use]
    pub fn has(&self, hash: u64) -> bool {
        self.0.contains(&hash)
    }

    /// Notes a refusal.
    pub fn add(&mut self, hash: u64) {
        if self.0.len() >= MAX_HASHES {
            self.0.clear();
        }
        self.0.insert(hash);
    }

    /// Forgets all of them: there may be room now.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
