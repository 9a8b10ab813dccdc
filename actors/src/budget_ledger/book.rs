//! The ledger: every budget's account, the holds that settle themselves, and the journal that
//! outlives the process.
//!
//! All budgets of a request are locked in one order (by account id), all are checked, then all are
//! held in. So spend and holds together never pass a limit unseen, whatever the number of workers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use smallvec::SmallVec;

use super::account::{Account, Refusal};
use super::budget::{Budget, Estimate, HoldRefused, Spend, Window};
use super::journal::{ChargeEntry, Journal};
use crate::register::{Register, lock};
use crate::types::{MicroUsd, Now};

/// The budgets of one request: organisation, team or member, key, model.
pub type Budgets = SmallVec<[Arc<Budget>; 4]>;

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
    admitted: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
}

/// A budget of one request, and its account.
#[derive(Debug)]
struct Share {
    budget: Arc<Budget>,
    account: Arc<Mutex<Account>>,
    /// What is set aside in it.
    held: MicroUsd,
}

impl Ledger {
    /// Opens an empty ledger over a journal.
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Self {
            accounts: Register::default(),
            journal,
            admitted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }

    /// Adds what a journal has kept of a budget's period; each charge is to be in it once.
    pub fn restore(&self, budget: &Arc<str>, window: Window, spent: MicroUsd) {
        lock(&self.accounts.entry(budget)).restore(window, spent);
    }

    /// Holds an estimate in every budget, or in none.
    ///
    /// # Errors
    /// The tightest budget of those that are used up, or that charges cannot be kept.
    pub fn hold(
        self: &Arc<Self>,
        budgets: &[Arc<Budget>],
        estimate: impl Into<Estimate>,
        now: Now,
    ) -> Result<BudgetHold, HoldRefused> {
        if self.journal.is_refusing() && budgets.iter().any(|budget| budget.hard_stop) {
            self.refused.fetch_add(1, Relaxed);
            return Err(HoldRefused::Unkept);
        }
        let shares = self.shares(budgets, estimate.into());
        let mut accounts: SmallVec<[MutexGuard<'_, Account>; 4]> =
            shares.iter().map(|share| lock(&share.account)).collect();
        let checked = shares
            .iter()
            .zip(&mut accounts)
            .map(|(share, account)| account.check(&share.budget, share.held, now));
        if let Some(refusal) = checked.filter_map(Result::err).min_by_key(Refusal::tightness) {
            self.refused.fetch_add(1, Relaxed);
            return Err(HoldRefused::Exceeded(Box::new(refusal.into())));
        }
        shares.iter().zip(&mut accounts).for_each(|(share, account)| account.hold(share.held));
        drop(accounts);
        self.admitted.fetch_add(1, Relaxed);
        Ok(BudgetHold { shares, cost: MicroUsd::ZERO, is_open: true, ledger: Arc::clone(self) })
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
    fn shares(&self, budgets: &[Arc<Budget>], estimate: Estimate) -> SmallVec<[Share; 4]> {
        let share = |budget: &Arc<Budget>| Share {
            account: self.accounts.entry(&budget.id),
            held: estimate.in_budget(budget),
            budget: Arc::clone(budget),
        };
        let mut shares: SmallVec<[Share; 4]> = budgets.iter().map(share).collect();
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
/// Dropping it gives the estimate back and charges nothing.
#[derive(Debug)]
#[must_use = "dropping a hold gives it back"]
pub struct BudgetHold {
    shares: SmallVec<[Share; 4]>,
    cost: MicroUsd,
    is_open: bool,
    ledger: Arc<Ledger>,
}

impl BudgetHold {
    fn close(&mut self, now: impl FnOnce() -> Now) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        self.ledger.closed.fetch_add(1, Relaxed);
        if self.cost.is_zero() {
            self.shares.iter().for_each(|share| lock(&share.account).release(share.held));
        } else if !self.shares.is_empty() {
            self.charge(now());
        }
    }

    fn charge(&self, now: Now) {
        let entries: SmallVec<[ChargeEntry; 4]> = self
            .shares
            .iter()
            .map(|Share { budget, account, held }| {
                let mut account = lock(account);
                account.release(*held);
                let window = account.charge(budget, self.cost, now);
                ChargeEntry { budget: Arc::clone(&budget.id), window, cost: self.cost }
            })
            .collect();
        self.ledger.journal.record(&entries);
    }
}

impl Drop for BudgetHold {
    fn drop(&mut self) {
        self.close(Now::read);
    }
}
