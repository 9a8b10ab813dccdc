//! What makes charges outlive the process: the seam to whoever writes them down.
//!
//! The ledger tells and never waits: what is slow happens on a thread of the journal's own.

use std::sync::Arc;

use super::budget::Window;
use crate::types::MicroUsd;

/// One charge to one budget, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeEntry {
    /// The budget's id.
    pub budget: Arc<str>,
    /// The period that it is charged to.
    pub window: Window,
    /// The cost.
    pub cost: MicroUsd,
}

/// What was charged to one budget between two commits of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeSum {
    /// The budget's id.
    pub budget: Arc<str>,
    /// The period that it is charged to.
    pub window: Window,
    /// The sum of the costs.
    pub cost: MicroUsd,
    /// How many charges it is the sum of.
    pub charges: u64,
}

/// All that was charged between two commits of a journal: it is kept whole, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Who gave it its number: one life of one gateway.
    pub lane: Arc<str>,
    /// Its place in the lane, from 1, without gaps: whoever has applied a number has applied all before it.
    pub number: u64,
    /// What was charged, each budget and period once.
    pub sums: Vec<ChargeSum>,
}

/// Consecutive batches of one lane, added up: they are handed over as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The number of the first.
    pub first: u64,
    /// Their sums, under the number of the last.
    pub batch: Batch,
}

/// Where charges are written so that they outlive the process.
pub trait Journal: Send + Sync {
    /// Accepts what one request is charged with, over all of its budgets. Called on the hot path: an implementation
    /// takes note and does not wait.
    fn record(&self, entries: &[ChargeEntry]);

    /// The number of the batch that the latest charge is, or will be, in; 0 where there are no batches.
    fn position(&self) -> u64 {
        0
    }

    /// Whether charges cannot be kept, and requests under hard budgets are to be refused for it. Called on the hot
    /// path.
    fn is_refusing(&self) -> bool;
}

/// Keeps nothing: spend begins at zero with the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn record(&self, _: &[ChargeEntry]) {}

    fn is_refusing(&self) -> bool {
        false
    }
}
