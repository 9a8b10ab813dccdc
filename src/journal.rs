//! The journal of budgets: charges in the store, so that a restart does not forget what was spent.
//!
//! Workers add their charges up by budget and period (`pending`) and never wait. A thread (`keeper`) takes the sums
//! a few dozen times a second and commits them as one transaction (`rows`). So the cost of the journal depends on the
//! number of budgets and not on that of requests, and a disk that stalls costs no more memory than there are budgets.
//!
//! Where spend is kept elsewhere the journal is an outbox: it commits what is to be told ([`Forward`]), and keeps it
//! until somebody has confirmed it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use aisix_actors::Ledger;
use aisix_actors::budget_ledger::{Batch, ChargeEntry, Journal};

use crate::config::Snapshot;
use crate::config::settings::{Settings, Verdict};

mod fold;
mod keeper;
mod moved;
mod pending;
mod row;
mod rows;

use keeper::Keeper;
use pending::Pending;

/// Longest wait for the thread at the end of the process; a commit may wait for another process before it fails.
const END_TIME: Duration = Duration::from_secs(12);

/// Who is told what was charged, once it is kept.
pub trait Forward: Send {
    /// Takes a batch over, on the journal's thread: after it is committed, or all the same where that fails. Batches of a
    /// lane come in the order of their numbers.
    fn forward(&mut self, batch: Batch);

    /// How many batches wait for whom they are told to.
    fn waiting(&self) -> usize {
        0
    }
}

/// How the journal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Charges are kept, or there are none to keep.
    Well,
    /// Charges cannot be written; requests are served all the same.
    Degraded,
    /// Charges cannot be written, and requests under hard budgets are refused.
    Refusing,
}

/// What the journal has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions that brought charges to the disk.
    pub commits: u64,
    /// Charges in them, one for each budget that a request was charged to.
    pub charges: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Rows that are not as they were written, and are left out.
    pub corrupt: u64,
    /// Millionths of a dollar that are not on the disk yet.
    pub pending: u64,
}

/// Access to the journal, from any thread.
#[derive(Clone)]
pub struct JournalHandle(Arc<Shared>);

/// What workers, the journal's thread and those who wait have in common.
struct Shared {
    /// Where charges are written; `None` where they are not.
    path: Option<PathBuf>,
    /// How long charges are gathered.
    gather: Duration,
    /// Whether anybody takes charges from here.
    is_on: bool,
    pending: Mutex<Pending>,
    /// The number of the batch that the latest charge is, or will be, in.
    newest: AtomicU64,
    /// The number up to which all batches are on the disk.
    committed: Mutex<u64>,
    has_moved: Condvar,
    is_failing: AtomicBool,
    may_refuse: AtomicBool,
    /// Whether there are budgets, so that the store has to be there.
    is_wanted: AtomicBool,
    is_stopping: AtomicBool,
    commits: AtomicU64,
    charges: AtomicU64,
    failures: AtomicU64,
    corrupt: AtomicU64,
    /// Millionths of a dollar in batches that were taken and could not be written.
    unwritten: AtomicU64,
    thread: OnceLock<Thread>,
    has_ended: Mutex<bool>,
    end: Condvar,
}

impl JournalHandle {
    /// A journal as the settings want it; nothing is read or written yet. With `forwards` it is an outbox.
    #[must_use]
    pub fn new(settings: &Settings, forwards: bool) -> Self {
        let path = &settings.store.path;
        let has_path = settings.budget.journal && !path.as_os_str().is_empty();
        Self(Arc::new(Shared {
            path: has_path.then(|| path.clone()),
            gather: settings.budget.flush(),
            is_on: has_path || forwards,
            pending: Mutex::default(),
            newest: AtomicU64::new(0),
            committed: Mutex::new(0),
            has_moved: Condvar::new(),
            is_failing: AtomicBool::new(false),
            may_refuse: AtomicBool::new(settings.budget.on_journal_failure == Verdict::Deny),
            is_wanted: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            charges: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
            unwritten: AtomicU64::new(0),
            thread: OnceLock::new(),
            has_ended: Mutex::new(true),
            end: Condvar::new(),
        }))
    }

    /// A journal that keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        let mut settings = Settings::default();
        settings.budget.journal = false;
        Self::new(&settings, false)
    }

    /// Brings the ledger to where the last process left it, unless spend is kept elsewhere, and starts the thread. A store
    /// that cannot be used does not hinder the start: the journal is failing then, and goes on trying.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(&self, ledger: &Arc<Ledger>, forward: Option<Box<dyn Forward>>) -> std::io::Result<()> {
        if !self.0.is_on {
            return Ok(());
        }
        *lock(&self.0.has_ended) = false;
        let mut keeper = Keeper::new(Arc::clone(&self.0), Arc::clone(ledger), forward);
        keeper.begin();
        let shared = Arc::clone(&self.0);
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            // Before it looks for work: whoever comes later finds somebody to wake.
            let _ = shared.thread.set(std::thread::current());
            if catch_unwind(AssertUnwindSafe(|| keeper.run())).is_err() {
                log::error!("the journal of budgets has ended by a panic: nothing is written any more");
                shared.is_failing.store(true, Relaxed);
            }
            *lock(&shared.has_ended) = true;
            shared.end.notify_all();
        })?;
        Ok(())
    }

    /// Puts into force what a configuration says of budgets.
    pub fn configure(&self, snapshot: &Snapshot) {
        let refuses = snapshot.settings.budget.on_journal_failure == Verdict::Deny;
        self.0.may_refuse.store(refuses, Relaxed);
        if !snapshot.budgets.is_empty() && !self.0.is_wanted.swap(true, Relaxed) {
            self.0.wake();
        }
    }

    /// Whether charges outlive the process.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.path.is_some()
    }

    /// How the journal stands.
    #[must_use]
    pub fn health(&self) -> Health {
        match (self.0.is_failing.load(Relaxed), self.0.may_refuse.load(Relaxed)) {
            (false, _) => Health::Well,
            (true, false) => Health::Degraded,
            (true, true) => Health::Refusing,
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let shared = &self.0;
        let pending = lock(&shared.pending).total();
        Counters {
            commits: shared.commits.load(Relaxed),
            charges: shared.charges.load(Relaxed),
            failures: shared.failures.load(Relaxed),
            corrupt: shared.corrupt.load(Relaxed),
            pending: pending.saturating_add(shared.unwritten.load(Relaxed)),
        }
    }

    /// The lane of this process.
    #[must_use]
    pub fn lane(&self) -> Arc<str> {
        lock(&self.0.pending).lane()
    }

    /// The place of the latest charge, for [`JournalHandle::wait`].
    #[must_use]
    pub fn position(&self) -> u64 {
        self.0.newest.load(Relaxed)
    }

    /// The place up to which all charges are on the disk.
    #[must_use]
    pub fn committed(&self) -> u64 {
        *lock(&self.0.committed)
    }

    /// Blocks until all charges up to a place are on the disk, and tells so; not while they cannot be written, and not
    /// for longer than this.
    pub fn wait(&self, position: u64, patience: Duration) -> bool {
        let shared = &self.0;
        if shared.path.is_none() {
            return true;
        }
        let deadline = Instant::now() + patience;
        let mut committed = lock(&shared.committed);
        while *committed < position {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || shared.is_failing.load(Relaxed) {
                return false;
            }
            committed =
                shared.has_moved.wait_timeout(committed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Forgets what an outbox kept of a lane up to a number: somebody else has it now.
    pub fn acknowledge(&self, lane: &str, number: u64) {
        let was_idle = lock(&self.0.pending).acknowledge(lane, number);
        if was_idle {
            self.0.wake();
        }
    }

    /// Commits everything, folds it, and ends the thread; blocks until that is done, or can be waited for no longer.
    pub fn stop(&self) {
        self.0.is_stopping.store(true, Relaxed);
        self.0.wake();
        let ended = lock(&self.0.has_ended);
        let waited = self.0.end.wait_timeout_while(ended, END_TIME, |has_ended| !*has_ended);
        if !*waited.unwrap_or_else(PoisonError::into_inner).0 {
            log::error!("the journal of budgets does not come to its end: the last charges may be lost");
        }
    }
}

impl Journal for JournalHandle {
    fn record(&self, entries: &[ChargeEntry]) {
        let shared = &*self.0;
        if !shared.is_on {
            return;
        }
        let was_idle = {
            let mut pending = lock(&shared.pending);
            let was_idle = pending.add(entries);
            shared.newest.store(pending.number(), Relaxed);
            was_idle
        };
        if was_idle {
            shared.wake();
        }
    }

    fn position(&self) -> u64 {
        self.0.newest.load(Relaxed)
    }

    fn is_refusing(&self) -> bool {
        self.0.is_failing.load(Relaxed) && self.0.may_refuse.load(Relaxed)
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
