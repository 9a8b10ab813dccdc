//! What the whole process counts: the rows of all workers, kept for whoever scrapes.
//!
//! The lock is taken when a row is born and when somebody scrapes, never on the way of a request.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::series::Row;
use super::tallies::Tally;

/// See the module.
#[derive(Debug, Default)]
pub struct Registry {
    rows: Mutex<Vec<Arc<Row>>>,
    count: AtomicUsize,
    tallies: Mutex<Vec<Arc<Tally>>>,
    tally_count: AtomicUsize,
    max_series: usize,
    collapsed: AtomicU64,
}

/// How much of a row's labels may be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// All of them.
    Full,
    /// All but the caller.
    WithoutCaller,
    /// Neither caller nor model.
    WithoutModel,
}

impl Registry {
    /// An empty registry for about so many rows.
    #[must_use]
    pub fn new(max_series: usize) -> Self {
        Self { max_series, ..Self::default() }
    }

    /// How particular a new row may be.
    ///
    /// Rows without a caller are as many as there are models, so they have as much room again.
    #[must_use]
    pub fn room(&self) -> Room {
        match self.count.load(Relaxed) {
            count if count < self.max_series => Room::Full,
            count if count < self.max_series.saturating_mul(2) => Room::WithoutCaller,
            _ => Room::WithoutModel,
        }
    }

    /// Counts something that gets no row of its own.
    pub fn note_collapse(&self) {
        self.collapsed.fetch_add(1, Relaxed);
    }

    /// How often something got no row of its own.
    #[must_use]
    pub fn collapsed(&self) -> u64 {
        self.collapsed.load(Relaxed)
    }

    /// Keeps a new row.
    pub fn add(&self, row: Arc<Row>) {
        self.count.fetch_add(1, Relaxed);
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> Vec<Arc<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is room for another tally.
    #[must_use]
    pub fn has_room_for_tally(&self) -> bool {
        self.tally_count.load(Relaxed) < self.max_series
    }

    /// Keeps a new tally.
    pub fn add_tally(&self, tally: Arc<Tally>) {
        self.tally_count.fetch_add(1, Relaxed);
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).push(tally);
    }

    /// All tallies.
    #[must_use]
    pub fn tallies(&self) -> Vec<Arc<Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
