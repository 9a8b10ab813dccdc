//! The ledger: every budget's account, the holds that settle themselves, and the journal that
//! outlives the process.
//!
//! All budgets of a request are locked in one order (by account id), all are checked, then all are
//! held in. So spend and holds together never pass a limit unseen, whatever the number of workers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use smallvec::SmallVec;

use super::account::{Account, BudgetTally, Refusal};
use super::budget::{Budget, Estimate, HoldRefused, Spend, Window};
use super::journal::{Batch, ChargeEntry, Journal};
use super::shared::{SharedBudgets, Wanted};
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
    /// Whether charges become part of figures that gateways share.
    is_shared: bool,
    admitted: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
}

/// A budget of one request, and its account.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) budget: Arc<Budget>,
    account: Arc<Mutex<Account>>,
    /// What is set aside in it.
    pub(super) held: MicroUsd,
}

/// The budgets of one request, each once.
pub(super) type Shares = SmallVec<[Share; 4]>;

/// A period for each of them.
pub(super) type Windows = SmallVec<[Window; 4]>;

impl Share {
    /// What is asked of shared budgets.
    pub(super) fn wanted(&self, now: Now) -> Wanted<'_> {
        let window = lock(&self.account).window(&self.budget, now);
        Wanted { budget: &self.budget, window, amount: self.held }
    }
}

impl Ledger {
    /// Opens an empty ledger over a journal.
    pub fn new(journal: Arc<dyn Journal>) -> Self {
        Self::with(journal, false)
    }

    /// Opens an empty ledger of budgets that gateways share; the journal hands charges over.
    pub fn sharing(journal: Arc<dyn Journal>) -> Self {
        Self::with(journal, true)
    }

    fn with(journal: Arc<dyn Journal>, is_shared: bool) -> Self {
        Self {
            accounts: Register::default(),
            journal,
            is_shared,
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
        self.refuse_unkept(budgets)?;
        let shares = self.shares(budgets, estimate.into());
        let mut accounts: SmallVec<[MutexGuard<'_, Account>; 4]> =
            shares.iter().map(|share| lock(&share.account)).collect();
        let checked = shares
            .iter()
            .zip(&mut accounts)
            .map(|(share, account)| account.check(&share.budget, share.held, now));
        if let Some(refusal) = checked.filter_map(Result::err).min_by_key(Refusal::tightness) {
            self.refused.fetch_add(1, Relaxed);
            let refuser =
                shares.iter().zip(&mut accounts).find(|(share, _)| *share.budget.id == *refusal.budget_id());
            if let Some((_, account)) = refuser {
                account.note_refusal();
            }
            return Err(HoldRefused::Exceeded(Box::new(refusal.into())));
        }
        shares.iter().zip(&mut accounts).for_each(|(share, account)| account.hold(share.held));
        drop(accounts);
        Ok(self.admit(shares, None))
    }

    /// Holds an estimate in every budget, whatever is spent.
    pub(super) fn hold_unchecked(
        self: &Arc<Self>,
        budgets: &[Arc<Budget>],
        estimate: Estimate,
    ) -> BudgetHold {
        let shares = self.shares(budgets, estimate);
        shares.iter().for_each(|share| lock(&share.account).hold(share.held));
        self.admit(shares, None)
    }

    /// Takes note of a hold that was made in shared budgets, and of the figures before it.
    pub(super) fn held(
        self: &Arc<Self>,
        shares: Shares,
        windows: Windows,
        figures: &[(MicroUsd, MicroUsd)],
        shared: Option<(Arc<SharedBudgets>, u64)>,
        now: Now,
    ) -> BudgetHold {
        for ((share, window), (spent, held)) in shares.iter().zip(windows).zip(figures) {
            let mut account = lock(&share.account);
            account.observe(&share.budget, window, *spent, *held, now);
            account.hold(share.held);
        }
        self.admit(shares, shared)
    }

    /// Takes note of figures of shared budgets.
    pub(super) fn observe(
        &self,
        shares: &[Share],
        windows: Windows,
        figures: &[(MicroUsd, MicroUsd)],
        now: Now,
    ) {
        for ((share, window), (spent, held)) in shares.iter().zip(windows).zip(figures) {
            lock(&share.account).observe(&share.budget, window, *spent, *held, now);
        }
    }

    /// Takes note of figures with which shared budgets refuse, and tells the tightest refusal.
    pub(super) fn refused(
        &self,
        shares: &[Share],
        windows: Windows,
        figures: &[(MicroUsd, MicroUsd)],
        now: Now,
    ) -> HoldRefused {
        let checked = shares.iter().zip(windows).zip(figures).map(|((share, window), (spent, held))| {
            let mut account = lock(&share.account);
            account.observe(&share.budget, window, *spent, *held, now);
            account.check(&share.budget, share.held, now)
        });
        match checked.filter_map(Result::err).min_by_key(Refusal::tightness) {
            Some(refusal) => {
                self.refused.fetch_add(1, Relaxed);
                HoldRefused::Exceeded(Box::new(refusal.into()))
            }
            // The period turned in between.
            None => self.unkept(),
        }
    }

    /// Refuses because nothing is known of what is spent, or charges cannot be kept.
    pub(super) fn unkept(&self) -> HoldRefused {
        self.refused.fetch_add(1, Relaxed);
        HoldRefused::Unkept
    }

    /// Refuses what is under a hard budget while charges cannot be kept.
    pub(super) fn refuse_unkept(&self, budgets: &[Arc<Budget>]) -> Result<(), HoldRefused> {
        let is_refusing = self.journal.is_refusing() && budgets.iter().any(|budget| budget.hard_stop);
        if is_refusing { Err(self.unkept()) } else { Ok(()) }
    }

    /// Takes note that a batch of this process has become part of the shared figures.
    pub fn applied(&self, batch: &Batch) {
        for sum in &batch.sums {
            lock(&self.accounts.entry(&sum.budget)).note_applied(sum.cost);
        }
    }

    fn admit(self: &Arc<Self>, shares: Shares, shared: Option<(Arc<SharedBudgets>, u64)>) -> BudgetHold {
        self.admitted.fetch_add(1, Relaxed);
        BudgetHold { shares, cost: MicroUsd::ZERO, is_open: true, ledger: Arc::clone(self), shared }
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

    /// Returns how often a budget refused, and reached what is to be warned about.
    pub fn tally(&self, budget: &Budget) -> BudgetTally {
        self.accounts.find(&budget.id).map(|account| lock(&account).tally()).unwrap_or_default()
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
    pub(super) fn shares(&self, budgets: &[Arc<Budget>], estimate: Estimate) -> Shares {
        let share = |budget: &Arc<Budget>| Share {
            account: self.accounts.entry(&budget.id),
            held: estimate.in_budget(budget),
            budget: Arc::clone(budget),
        };
        let mut shares: Shares = budgets.iter().map(share).collect();
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
    shares: Shares,
    cost: MicroUsd,
    is_open: bool,
    ledger: Arc<Ledger>,
    /// Where it is set aside as well.
    shared: Option<(Arc<SharedBudgets>, u64)>,
}

impl BudgetHold {
    fn close(&mut self, now: impl FnOnce() -> Now) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        self.ledger.closed.fetch_add(1, Relaxed);
        if self.cost.is_zero() {
            self.shares.iter().for_each(|share| lock(&share.account).release(share.held));
            self.release_shared(0);
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
                if self.ledger.is_shared {
                    account.note_unapplied(self.cost);
                }
                let window = account.charge(budget, self.cost, now);
                ChargeEntry { budget: Arc::clone(&budget.id), window, cost: self.cost }
            })
            .collect();
        self.ledger.journal.record(&entries);
        if self.shared.is_some() {
            self.release_shared(self.ledger.journal.position());
        }
    }

    fn release_shared(&self, after: u64) {
        if let Some((shared, id)) = &self.shared {
            shared.release(*id, after);
        }
    }
}

impl Drop for BudgetHold {
    fn drop(&mut self) {
        self.close(Now::read);
    }
}
