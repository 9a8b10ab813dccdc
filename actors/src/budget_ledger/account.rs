//! One budget's account: what is spent in the current period and what is held.
//!
//! A period never goes back: when the clock is set back, spend stays in the period already begun,
//! so that no money is ever forgotten. Holds belong to no period; a charge belongs to the one
//! current when it is made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::budget::{Budget, BudgetExceeded, Period, Spend, TimeZone, Window, rfc3339};
use super::mirror::{Loss, Mirror, Seen};
use crate::types::{MicroUsd, Now, whole_seconds};

/// Spend and holds of one budget.
#[derive(Debug, Default)]
pub(super) struct Account {
    open: Option<Open>,
    held: MicroUsd,
    /// What other gateways hold, as last known, where budgets are shared.
    foreign: MicroUsd,
    /// What gateways share, as last seen and with what was charged here since.
    mirror: Mirror,
    /// Spend of periods that have not opened yet, from the journal.
    restored: BTreeMap<Bounds, MicroUsd>,
    tally: BudgetTally,
}

/// How often a budget refused, and how often each fraction of its limit was reached, since the process began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BudgetTally {
    /// Requests that it refused, as the tightest of their budgets.
    pub refused: u64,
    /// Fractions of the limit, and how often each was reached.
    pub alerts: Vec<(f64, u64)>,
}

impl BudgetTally {
    fn alert(&mut self, at: f64) {
        match self.alerts.iter_mut().find(|(known, _)| *known == at) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.alerts.push((at, 1)),
        }
    }
}

/// Start and end of a period; `None` comes first.
type Bounds = (Duration, Option<Duration>);

/// The current period.
#[derive(Debug)]
struct Open {
    /// The budget as the period was last reckoned for.
    budget: Arc<Budget>,
    window: Window,
    spent: MicroUsd,
    has_warned: bool,
    /// The highest fraction of the limit warned about.
    alerted: f64,
}

/// A refusal before it is compared with those of other budgets.
#[derive(Debug)]
pub(super) struct Refusal {
    budget: Arc<Budget>,
    spend: Spend,
    wanted: MicroUsd,
    retry_after: Option<Duration>,
}

impl Account {
    /// Says whether the budget admits one more request, holding nothing. With `worst_case` what it `wants` to hold has
    /// to fit as well.
    pub(super) fn check(&mut self, budget: &Arc<Budget>, wants: MicroUsd, now: Now) -> Result<(), Refusal> {
        let held = self.held();
        let open = self.open(budget, now);
        let taken = open.spent.saturating_add(held);
        let fits = !budget.worst_case || taken.saturating_add(wants) <= budget.limit;
        if taken < budget.limit && fits {
            return Ok(());
        }
        if !budget.hard_stop {
            open.warn_once(held);
            return Ok(());
        }
        let is_spent = match budget.worst_case {
            true => open.spent.saturating_add(wants) > budget.limit,
            false => open.spent >= budget.limit,
        };
        let retry_after = if !is_spent {
            // Only what is set aside stands in the way, and that is given back any moment.
            Some(whole_seconds(Duration::ZERO))
        } else if budget.worst_case && wants > budget.limit {
            // No period has room for it.
            None
        } else {
            open.window.end.map(|end| whole_seconds(end.saturating_sub(now.unix)))
        };
        Err(Refusal { budget: Arc::clone(budget), spend: open.spend(held), wanted: wants, retry_after })
    }

    /// Sets an estimate aside.
    pub(super) fn hold(&mut self, estimate: MicroUsd) {
        self.held = self.held.saturating_add(estimate);
    }

    /// Gives an estimate back.
    pub(super) fn release(&mut self, estimate: MicroUsd) {
        self.held = self.held.saturating_sub(estimate);
    }

    /// Adds a cost to the period current now, and returns that period.
    pub(super) fn charge(&mut self, budget: &Arc<Budget>, cost: MicroUsd, now: Now) -> Window {
        let open = self.open(budget, now);
        open.spent = open.spent.saturating_add(cost);
        let window = open.window;
        for at in open.alert() {
            self.tally.alert(at);
        }
        window
    }

    /// Counts a refusal.
    pub(super) fn note_refusal(&mut self) {
        self.tally.refused = self.tally.refused.saturating_add(1);
    }

    /// Returns how often it refused and warned.
    pub(super) fn tally(&self) -> BudgetTally {
        self.tally.clone()
    }

    /// Returns where the budget stands.
    pub(super) fn spend(&mut self, budget: &Arc<Budget>, now: Now) -> Spend {
        let held = self.held();
        self.open(budget, now).spend(held)
    }

    /// Returns the period current now.
    pub(super) fn window(&mut self, budget: &Arc<Budget>, now: Now) -> Window {
        self.open(budget, now).window
    }

    /// Takes note of the figures that gateways share. Tells what is lost: spend that had been seen before this was
    /// asked.
    pub(super) fn observe(&mut self, budget: &Arc<Budget>, seen: Seen, now: Now) -> Option<Loss> {
        self.foreign = seen.held.saturating_sub(self.held);
        let (spent, loss, is_first) = self.mirror.observe(&seen);
        let open = self.open(budget, now);
        if open.window != seen.window {
            return None;
        }
        open.spent = spent;
        if is_first {
            open.alerted = open.alerted.max(open.reached());
        } else {
            open.alert();
        }
        loss.map(|(known, found)| {
            let (window, budget) = (seen.window, Arc::clone(budget));
            Loss { budget, window, known, found }
        })
    }

    /// Whether the shared figures of the current period are not known, or older than this.
    pub(super) fn is_stale(&mut self, budget: &Arc<Budget>, oldest: Duration, now: Now) -> bool {
        let window = self.window(budget, now);
        // At its beginning nothing was spent.
        now.unix.saturating_sub(window.start) > oldest && self.mirror.is_stale(window, oldest, now)
    }

    /// Replaces a hold by its cost, in figures that gateways share: the charge is in a batch of the journal.
    pub(super) fn charge_shared(
        &mut self,
        budget: &Arc<Budget>,
        window: Window,
        charge: (MicroUsd, u64),
        now: Now,
    ) {
        if self.mirror.note(window, charge) && self.window(budget, now) == window {
            self.charge(budget, charge.0, now);
        }
    }

    /// Adds what a journal has kept of a period.
    pub(super) fn restore(&mut self, window: Window, cost: MicroUsd) {
        let spent = match &mut self.open {
            Some(open) if open.window == window => &mut open.spent,
            Some(_) | None => self.restored.entry((window.start, window.end)).or_default(),
        };
        *spent = spent.saturating_add(cost);
        if let Some(open) = &mut self.open {
            open.alerted = open.alerted.max(open.reached());
        }
    }

    /// Returns whether there are holds, or spend in a period that is not over, which must not be forgotten.
    pub(super) fn is_in_use(&self, now: Now) -> bool {
        let lasts = |end: Option<Duration>| end.is_none_or(|end| now.unix < end);
        let is_spent = |open: &Open| !open.spent.is_zero() && lasts(open.window.end);
        !self.held.is_zero()
            || self.open.as_ref().is_some_and(is_spent)
            || self.restored.keys().any(|(_, end)| lasts(*end))
    }

    /// Returns what is held.
    pub(super) fn held(&self) -> MicroUsd {
        self.held.saturating_add(self.foreign)
    }

    /// Returns the period of now, begun if the kept one is over or the budget has changed its
    /// calendar.
    fn open(&mut self, budget: &Arc<Budget>, now: Now) -> &mut Open {
        let next = match &self.open {
            Some(open) => open.next(budget, now),
            None => Some(window_of(budget, now)),
        };
        if let Some(window) = next {
            let spent = self.restored.remove(&(window.start, window.end)).unwrap_or_default();
            // Periods never go back, so earlier ones are not asked for again.
            self.restored = self.restored.split_off(&(window.start, None));
            return self.open.insert(Open::begin(budget, window, spent));
        }
        let open =
            self.open.get_or_insert_with(|| Open::begin(budget, window_of(budget, now), MicroUsd::ZERO));
        if !Arc::ptr_eq(&open.budget, budget) {
            open.budget = Arc::clone(budget);
        }
        open
    }
}

impl Open {
    fn begin(budget: &Arc<Budget>, window: Window, spent: MicroUsd) -> Self {
        let mut open = Self { budget: Arc::clone(budget), window, spent, has_warned: false, alerted: 0.0 };
        // What a journal brought back has been warned about before.
        open.alerted = open.reached();
        open
    }

    /// Returns the highest fraction to warn about that is reached; zero for none.
    fn reached(&self) -> f64 {
        let share = self.share();
        self.budget.alert_at.iter().copied().filter(|at| *at <= share).fold(0.0, f64::max)
    }

    fn share(&self) -> f64 {
        self.spent.0 as f64 / self.budget.limit.0.max(1) as f64
    }

    /// Returns the window to begin, if the kept one does not hold any more.
    fn next(&self, budget: &Arc<Budget>, now: Now) -> Option<Window> {
        let is_same_calendar =
            Arc::ptr_eq(&self.budget, budget) || calendar(&self.budget) == calendar(budget);
        let is_over = self.window.end.is_some_and(|end| now.unix >= end);
        if is_same_calendar && !is_over {
            return None;
        }
        let window = window_of(budget, now);
        (window != self.window).then_some(window)
    }

    fn spend(&self, held: MicroUsd) -> Spend {
        Spend { spent: self.spent, held, period_start: self.window.start, resets_at: self.window.end }
    }

    fn warn_once(&mut self, held: MicroUsd) {
        if !std::mem::replace(&mut self.has_warned, true) {
            let Budget { name, limit, period, .. } = &*self.budget;
            let (spent, period) = (self.spent, period.as_str());
            log::warn!(
                "budget {name:?} is used up: {spent} spent and {held} held of {limit} USD this {period}"
            );
        }
    }

    /// Warns of fractions of the limit that are newly reached, and returns them.
    fn alert(&mut self) -> SmallVec<[f64; 2]> {
        let Budget { name, limit, alert_at, .. } = &*self.budget;
        let share = self.share();
        let is_new = |at: &f64| *at <= share && *at > self.alerted;
        let reached: SmallVec<[f64; 2]> = alert_at.iter().copied().filter(is_new).collect();
        for at in &reached {
            let percent = at * 100.0;
            log::warn!("budget {name:?} has reached {percent:.0} %: {} of {limit} USD spent", self.spent);
        }
        self.alerted = reached.iter().copied().fold(self.alerted, f64::max);
        reached
    }
}

impl Refusal {
    /// Returns the id of the budget that refuses.
    pub(super) fn budget_id(&self) -> &str {
        &self.budget.id
    }

    /// Returns the order of tightness: what remains, then the longest wait first.
    pub(super) fn tightness(&self) -> (i128, std::cmp::Reverse<Duration>) {
        let used = i128::from(self.spend.spent.0).saturating_add(self.spend.held.0.into());
        let remains = i128::from(self.budget.limit.0).saturating_sub(used);
        (remains, std::cmp::Reverse(self.retry_after.unwrap_or(Duration::MAX)))
    }
}

impl From<Refusal> for BudgetExceeded {
    fn from(refusal: Refusal) -> Self {
        let Refusal { budget, spend, wanted, retry_after } = refusal;
        Self {
            budget,
            spent: spend.spent,
            held: spend.held,
            wanted,
            resets_at: spend.resets_at,
            resets_at_rfc3339: spend.resets_at.and_then(rfc3339),
            retry_after,
        }
    }
}

fn calendar(budget: &Budget) -> (Period, &TimeZone) {
    (budget.period, &budget.timezone)
}

/// Returns the window of now; a time that the calendar does not reach counts as one endless period.
fn window_of(budget: &Budget, now: Now) -> Window {
    budget.period.window(&budget.timezone, now.unix).unwrap_or(Window::ENDLESS)
}
