//! The journal's thread: gathers, commits, forwards, folds, and goes on trying while the disk does not take anything.
//!
//! A batch that could not be written keeps its number and its content, so that it can be written again without
//! counting twice; what comes meanwhile adds up in memory. An outbox goes on making batches, since it has to forward.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::{Duration, Instant};

use aisix_actors::budget_ledger::Batch;
use aisix_actors::{Ledger, MicroUsd};

use super::rows::{Place, Rows, Spot, Table};
use super::{Forward, Shared, lock};
use crate::registry::store::{StoreError, is_about_access};

/// Between two tries to write while that fails.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Rows that lie there before they are folded: a few milliseconds of work.
const FOLD_ROWS: usize = 10_000;
/// Batches of an outbox that wait to be written, before they are made larger instead of more.
const MAX_UNWRITTEN: usize = 1_024;

/// Batches that wait to be forwarded, from which on they are made larger instead of more.
const MANY_WAITING: usize = 512;
/// How long charges are gathered then: shorter than those wait who tell of them.
const SLOW_GATHER: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    forward: Option<Box<dyn Forward>>,
    lane: Arc<str>,
    rows: Option<Rows>,
    /// Where the file lay when it was first opened.
    place: Place,
    /// Whether what earlier processes have left was read.
    has_replayed: bool,
    /// The last batch of earlier processes that was forwarded, while there may be more.
    earlier: Option<Spot>,
    /// Batches that are not on the disk, oldest first.
    unwritten: VecDeque<Batch>,
    /// The last number that was forwarded.
    forwarded: u64,
    acknowledged: BTreeMap<Arc<str>, u64>,
    /// Up to where earlier lanes were acknowledged in this life.
    arrived: BTreeMap<Arc<str>, u64>,
    /// Rows written since the last fold; nothing was folded yet at the start.
    unfolded: usize,
    retry_at: Option<Instant>,
}

impl Keeper {
    pub fn new(shared: Arc<Shared>, ledger: Arc<Ledger>, forward: Option<Box<dyn Forward>>) -> Self {
        let lane = lock(&shared.pending).lane();
        Self {
            shared,
            ledger,
            forward,
            lane,
            rows: None,
            place: None,
            has_replayed: false,
            earlier: None,
            unwritten: VecDeque::new(),
            forwarded: 0,
            acknowledged: BTreeMap::new(),
            arrived: BTreeMap::new(),
            unfolded: FOLD_ROWS,
            retry_at: None,
        }
    }

    /// Reads what earlier processes have left, on the thread of whoever starts the gateway.
    pub fn begin(&mut self) {
        let Some(path) = self.shared.path.clone() else { return };
        let is_wanted = self.shared.is_wanted.load(Relaxed);
        if !path.exists() && !is_wanted {
            self.has_replayed = true;
            return;
        }
        if let Err(error) = self.open(&path) {
            self.read_only(&path, &error);
            if is_wanted {
                self.note_failure(&error);
            }
        }
    }

    /// Serves until the process ends.
    pub fn run(mut self) {
        while !self.is_stopping() {
            if !self.has_work() {
                match self.retry_at {
                    Some(at) => std::thread::park_timeout(at.saturating_duration_since(Instant::now())),
                    None => std::thread::park(),
                }
                continue;
            }
            self.gather();
            self.round();
        }
        self.end();
    }

    fn is_stopping(&self) -> bool {
        self.shared.is_stopping.load(Relaxed)
    }

    fn is_outbox(&self) -> bool {
        self.forward.is_some()
    }

    fn table(&self) -> Table {
        if self.is_outbox() { Table::Outbox } else { Table::Charges }
    }

    fn is_due(&self) -> bool {
        self.retry_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Whether what is pending may become a batch.
    fn may_take(&self) -> bool {
        self.unwritten.is_empty() || (self.is_outbox() && self.unwritten.len() < MAX_UNWRITTEN)
    }

    fn has_work(&self) -> bool {
        let is_missing =
            self.shared.path.is_some() && self.rows.is_none() && self.shared.is_wanted.load(Relaxed);
        let has_pending = || !lock(&self.shared.pending).is_empty();
        let to_write = || is_missing || self.retry_at.is_some() || has_pending();
        (self.is_due() && to_write()) || (self.is_outbox() && self.may_take() && has_pending())
    }

    /// Waits so that charges are written together.
    fn gather(&self) {
        let is_behind = self.forward.as_ref().is_some_and(|forward| forward.waiting() >= MANY_WAITING);
        let gather = if is_behind { self.shared.gather.max(SLOW_GATHER) } else { self.shared.gather };
        let until = Instant::now() + gather;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_stopping() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    fn round(&mut self) {
        self.take();
        if self.is_due() {
            match self.write() {
                Ok(()) => self.note_success(),
                Err(error) => self.note_failure(&error),
            }
        }
        self.forward_new();
        if self.retry_at.is_none() {
            self.unwritten.clear();
        }
        self.count_unwritten();
    }

    fn take(&mut self) {
        if !self.may_take() {
            return;
        }
        let mut taken = lock(&self.shared.pending).take();
        for (lane, number) in std::mem::take(&mut taken.acknowledged) {
            if lane == self.lane {
                // Whoever has it needs it no more from the disk.
                self.unwritten.retain(|batch| batch.number > number);
                self.advance(number);
            } else if self.earlier.is_some() {
                let arrived = self.arrived.entry(Arc::clone(&lane)).or_default();
                *arrived = number.max(*arrived);
            }
            let known = self.acknowledged.entry(lane).or_default();
            *known = number.max(*known);
        }
        if let Some(batch) = taken.into_batch() {
            self.unwritten.push_back(batch);
        }
        // Before it is tried: a slow disk is to be seen.
        self.count_unwritten();
    }

    fn count_unwritten(&self) {
        let sums = self.unwritten.iter().flat_map(|batch| &batch.sums);
        let total = sums.fold(MicroUsd::ZERO, |total, sum| total.saturating_add(sum.cost));
        self.shared.unwritten.store(total.0, Relaxed);
    }

    /// Whether there is anything to write. A try after a failure is always worth it: it tells whether that is over.
    fn must_write(&self) -> bool {
        let is_missing = self.rows.is_none() && self.shared.is_wanted.load(Relaxed);
        is_missing
            || !self.unwritten.is_empty()
            || !self.acknowledged.is_empty()
            || self.shared.is_failing.load(Relaxed)
    }

    /// Brings everything to the disk.
    fn write(&mut self) -> Result<(), StoreError> {
        let Some(path) = self.shared.path.clone().filter(|_| self.must_write()) else { return Ok(()) };
        self.open(&path)?;
        let table = self.table();
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let written = rows.write(table, &self.lane, &self.unwritten, &self.acknowledged)?;
        self.acknowledged.clear();
        let shared = &self.shared;
        shared.unwritten.store(0, Relaxed);
        if !self.unwritten.is_empty() {
            let sums = self.unwritten.iter().flat_map(|batch| &batch.sums);
            shared.charges.fetch_add(sums.map(|sum| sum.charges).sum(), Relaxed);
            shared.commits.fetch_add(1, Relaxed);
        }
        if table == Table::Charges {
            self.unfolded = self.unfolded.saturating_add(written);
        }
        self.move_on();
        self.forward_earlier()?;
        self.fold(FOLD_ROWS)
    }

    /// Tells those who wait for what is on the disk.
    fn move_on(&self) {
        let last = self.unwritten.back().map_or(0, |batch| batch.number);
        self.advance(last);
    }

    /// Tells that all batches up to a number are kept, here or by whoever they were forwarded to.
    fn advance(&self, number: u64) {
        let mut committed = lock(&self.shared.committed);
        *committed = number.max(*committed);
        drop(committed);
        self.shared.has_moved.notify_all();
    }

    fn fold(&mut self, from: usize) -> Result<(), StoreError> {
        if self.unfolded < from || self.is_outbox() {
            return Ok(());
        }
        if let Some(rows) = &mut self.rows {
            rows.fold()?;
            self.unfolded = 0;
            self.shared.corrupt.store(rows.corrupt.len() as u64, Relaxed);
        }
        Ok(())
    }

    /// Opens the file if it is not open, and reads what earlier processes have left in it.
    fn open(&mut self, path: &Path) -> Result<(), StoreError> {
        if self.rows.is_none() {
            let rows = Rows::open(path, self.place)?;
            self.place = rows.place();
            self.rows = Some(rows);
        }
        if !self.has_replayed {
            self.move_spend()?;
        }
        self.replay()
    }

    /// Brings what is kept to where it is kept from now on, if that has changed since the last process.
    fn move_spend(&mut self) -> Result<(), StoreError> {
        let is_outbox = self.is_outbox();
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let (count, sum) = if is_outbox { rows.hand_over()? } else { rows.take_back()? };
        match (count, is_outbox) {
            (0, _) => {}
            (_, true) => log::warn!(
                "spend was kept in the store so far: {sum} USD in {count} budgets and periods are handed over to Redis"
            ),
            (_, false) => log::error!(
                "spend was kept in Redis so far, and what others know there is not known here: only the last {sum} USD \
                 in {count} rows, which Redis has not confirmed, are taken over"
            ),
        }
        Ok(())
    }

    fn replay(&mut self) -> Result<(), StoreError> {
        let Some(rows) = self.rows.as_mut().filter(|_| !self.has_replayed) else { return Ok(()) };
        if self.forward.is_none() {
            let ledger = &self.ledger;
            rows.replay(|budget, window, spent| ledger.restore(budget, window, MicroUsd(spent)))?;
            self.shared.corrupt.store(rows.corrupt.len() as u64, Relaxed);
        } else {
            self.earlier = Some(("".into(), 0));
            self.forward_earlier()?;
        }
        self.has_replayed = true;
        Ok(())
    }

    /// Forwards some of what earlier processes have left, once what was forwarded before has arrived.
    fn forward_earlier(&mut self) -> Result<(), StoreError> {
        while let (Some(earlier), Some(rows), Some(forward)) =
            (&self.earlier, &mut self.rows, &mut self.forward)
        {
            if self.arrived.get(&earlier.0).is_none_or(|number| *number < earlier.1) && earlier.1 > 0 {
                return Ok(());
            }
            let next = rows.outbox(earlier, &self.lane)?;
            self.shared.corrupt.store(rows.corrupt.len() as u64, Relaxed);
            self.earlier = next.map(|(batches, last)| {
                let spot = batches.last().map(|batch| (Arc::clone(&batch.lane), batch.number));
                batches.into_iter().for_each(|batch| forward.forward(batch));
                // Where no row can be read there is nothing to wait for.
                if spot.as_ref() != Some(&last) {
                    self.arrived.insert(Arc::clone(&last.0), last.1);
                }
                last
            });
        }
        self.arrived.clear();
        Ok(())
    }

    /// What is spent counts even where nothing can be written.
    fn read_only(&mut self, path: &Path, why: &StoreError) {
        if !matches!(why, StoreError::Sqlite(error) if is_about_access(error)) || !path.exists() {
            return;
        }
        if let Ok(rows) = Rows::open_to_read(path) {
            self.rows = Some(rows);
            // What cannot be read now is read once the file can be written.
            let _ = self.replay();
            self.rows = None;
        }
    }

    fn forward_new(&mut self) {
        let Some(forward) = &mut self.forward else { return };
        for batch in self.unwritten.iter().filter(|batch| batch.number > self.forwarded) {
            forward.forward(batch.clone());
        }
        self.forwarded = self.unwritten.back().map_or(self.forwarded, |batch| batch.number);
    }

    fn note_success(&mut self) {
        self.retry_at = None;
        if self.shared.is_failing.swap(false, AcqRel) {
            log::info!("the journal of budgets is written again, with all charges in between");
        }
    }

    fn note_failure(&mut self, error: &StoreError) {
        // Another try begins anew, unless somebody else only held the file for too long.
        self.rows = None;
        self.retry_at = Some(Instant::now() + RETRY_EVERY);
        self.shared.failures.fetch_add(1, Relaxed);
        if !self.shared.is_failing.swap(true, AcqRel) {
            let path = self.shared.path.as_deref().unwrap_or(Path::new(""));
            let what = if self.shared.may_refuse.load(Relaxed) {
                "requests under hard budgets are refused until it is"
            } else {
                "requests are served all the same"
            };
            log::error!(
                "the journal of budgets cannot be written, {what}; charges are kept in memory: {}: {error}",
                path.display()
            );
        }
        // Taken, so that nobody is between looking and waiting.
        drop(lock(&self.shared.committed));
        self.shared.has_moved.notify_all();
    }

    /// Commits and folds for the last time.
    fn end(&mut self) {
        self.retry_at = None;
        // What could not be written before, and then what has come since.
        self.round();
        if self.retry_at.is_none() {
            self.round();
        }
        let is_kept = self.shared.path.is_none() || self.retry_at.is_none();
        if !is_kept {
            let lost = self.shared.unwritten.load(Relaxed).saturating_add(lock(&self.shared.pending).total());
            let lost = MicroUsd(lost);
            log::error!("the process ends with {lost} USD in charges that could not be written");
            return;
        }
        let folded = self.fold(1).and_then(|()| match &mut self.rows {
            Some(rows) => rows.end_lane(&self.lane),
            None => Ok(()),
        });
        if let Err(error) = folded {
            log::warn!("the journal of budgets is not folded: {error}");
        }
        self.rows = None;
    }
}
