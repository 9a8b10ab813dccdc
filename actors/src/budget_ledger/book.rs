//! The ledger: every budget's account, the holds that settle themselves, and the journal that
//! outlives the process.
//!
//! All budgets of a request are locked in one order (by account id), all are checked, then all are
//! held in. So spend and holds together never pass a limit unseen, whatever the number of workers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use smallvec::SmallVec;

use super::account::{Account, Refusal};
use super::budget::{Budget, BudgetExceeded, Spend};
use crate::register::{Register, lock};
use crate::types::{MicroUsd, Now};

/// The budgets of one request: organisation, team or member, key, model.
pub type Budgets = SmallVec<[Arc<Budget>; 4]>;

/// One charge to one budget, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeEntry {
    /// The budget's id.
    pub budget: Arc<str>,
    /// The start of the period that it is charged to, in Unix time.
    pub window_start: Duration,
    /// The cost.
    pub cost: MicroUsd,
    /// The charge; the same in all budgets that one request is charged to, and unique otherwise.
    pub charge: u64,
}

/// Where charges are written so that they outlive the process.
pub trait Journal: Send + Sync {
    /// Accepts an entry. Called on the hot path: an implementation hands it to a thread of its own
    /// and does not wait.
    fn record(&self, entry: &ChargeEntry);
}

/// Keeps nothing: spend begins at zero with the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn record(&self, _: &ChargeEntry) {}
}

/// What the ledgers have done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerCounters {
    /// Budgets known.
    pub budgets: usize,
    /// Holds open.
    pub holds: u64,
    /// The sum of what is held, over all budgets.
    pub held: MicroUsd,
    /// Requests admitted.
    pub admitted: u64,
    /// Requests refused.
    pub refused: u64,
    /// Holds closed.
    pub closed: u64,
}

/// The accounts of all budgets, shared by the ledgers of all workers.
pub struct Ledger {
    accounts: Register<Mutex<Account>>,
    journal: Arc<dyn Journal>,
    next_charge: AtomicU64,
    admitted: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
}

/// A budget of one request, and its account.
#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    account: Arc<Mutex<Account>>,
}

impl Ledger {
    /// Opens an empty ledger over a journal.
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Self {
            accounts: Register::default(),
            journal,
            next_charge: AtomicU64::new(1),
            admitted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }

    /// Adds what the journal kept, before the first request; an entry that comes twice is added
    /// once.
    pub fn replay(&self, entries: impl Iterator<Item = ChargeEntry>) {
        let from = self.next_charge.load(Relaxed);
        for entry in entries.filter(|entry| entry.charge >= from) {
            lock(&self.accounts.entry(&entry.budget)).replay(entry.charge, entry.window_start, entry.cost);
            self.next_charge.fetch_max(entry.charge.saturating_add(1), Relaxed);
        }
        for account in self.accounts.read().values() {
            lock(account).end_replay();
        }
    }

    /// Holds an estimate in every budget, or in none.
    ///
    /// # Errors
    /// The tightest budget of those that are used up.
    pub fn hold(
        self: &Arc<Self>,
        budgets: &[Arc<Budget>],
        estimate: MicroUsd,
        now: Now,
    ) -> Result<BudgetHold, BudgetExceeded> {
        let shares = self.shares(budgets);
        let mut accounts: SmallVec<[MutexGuard<'_, Account>; 4]> =
            shares.iter().map(|share| lock(&share.account)).collect();
        let checked =
            shares.iter().zip(&mut accounts).map(|(share, account)| account.check(&share.budget, now));
        if let Some(refusal) = checked.filter_map(Result::err).min_by_key(Refusal::tightness) {
            self.refused.fetch_add(1, Relaxed);
            return Err(refusal.into());
        }
        accounts.iter_mut().for_each(|account| account.hold(estimate));
        drop(accounts);
        self.admitted.fetch_add(1, Relaxed);
        Ok(BudgetHold { shares, estimate, cost: MicroUsd::ZERO, is_open: true, ledger: Arc::clone(self) })
    }

    /// Replaces a hold by the true cost, now.
    pub fn charge(&self, mut hold: BudgetHold, cost: MicroUsd, now: Now) {
        hold.cost = cost;
        hold.close(|| now);
    }

    /// Returns where a budget stands.
    pub fn spend(&self, budget: &Arc<Budget>, now: Now) -> Spend {
        lock(&self.accounts.entry(&budget.id)).spend(budget, now)
    }

    /// Forgets the accounts of budgets that no longer exist, but for those with spend in a period that is not over: a
    /// budget that is taken away by mistake and put back goes on where it was.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool, now: Now) {
        self.accounts.retain(|id, account| keep(id) || lock(account).is_in_use(now));
    }

    /// Returns a copy of the counters.
    pub fn counters(&self) -> LedgerCounters {
        let closed = self.closed.load(Relaxed);
        let admitted = self.admitted.load(Relaxed);
        let accounts = self.accounts.read();
        let held = accounts.values().map(|account| lock(account).held());
        LedgerCounters {
            budgets: accounts.len(),
            holds: admitted.saturating_sub(closed),
            held: held.fold(MicroUsd::ZERO, MicroUsd::saturating_add),
            admitted,
            refused: self.refused.load(Relaxed),
            closed,
        }
    }

    /// Finds the accounts, each once, in the order of locking.
    fn shares(&self, budgets: &[Arc<Budget>]) -> SmallVec<[Share; 4]> {
        let mut shares: SmallVec<[Share; 4]> = budgets
            .iter()
            .map(|budget| Share { budget: Arc::clone(budget), account: self.accounts.entry(&budget.id) })
            .collect();
        shares.sort_by(|a, b| a.budget.id.cmp(&b.budget.id));
        // An account locked twice would wait for itself.
        shares.dedup_by(|a, b| a.budget.id == b.budget.id);
        shares
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

/// Money set aside in every budget of one request.
///
/// Dropping it gives the estimate back and charges what was recorded, which is nothing at first.
#[derive(Debug)]
#[must_use = "dropping a hold gives it back"]
pub struct BudgetHold {
    shares: SmallVec<[Share; 4]>,
    estimate: MicroUsd,
    cost: MicroUsd,
    is_open: bool,
    ledger: Arc<Ledger>,
}

impl BudgetHold {
    /// Returns what is set aside in each budget.
    pub fn estimate(&self) -> MicroUsd {
        self.estimate
    }

    /// Records the true cost: from here on, dropping the hold charges it.
    pub(super) fn record(&mut self, cost: MicroUsd) {
        self.cost = cost;
    }

    fn close(&mut self, now: impl FnOnce() -> Now) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        self.ledger.closed.fetch_add(1, Relaxed);
        if self.cost.is_zero() {
            self.shares.iter().for_each(|share| lock(&share.account).release(self.estimate));
        } else if !self.shares.is_empty() {
            self.charge(now());
        }
    }

    fn charge(&self, now: Now) {
        let charge = self.ledger.next_charge.fetch_add(1, Relaxed);
        for Share { budget, account } in &self.shares {
            let window_start = {
                let mut account = lock(account);
                account.release(self.estimate);
                account.charge(budget, self.cost, now)
            };
            let budget = Arc::clone(&budget.id);
            self.ledger.journal.record(&ChargeEntry { budget, window_start, cost: self.cost, charge });
        }
    }
}

impl Drop for BudgetHold {
    fn drop(&mut self) {
        self.close(Now::read);
    }
}
