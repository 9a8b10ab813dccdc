//! One worker's access to budgets in Redis.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use smallvec::SmallVec;

use super::super::book::{BudgetHold, Ledger, Share};
use super::super::budget::{Budget, Estimate, HoldRefused};
use super::super::mirror::Seen;
use super::scripts::{Figures, Reply, Wanted, figures};
use super::{Note, SharedBudgets};
use crate::redis::{Link, Recovery, Use, Wire};
use crate::register::lock;
use crate::types::{MicroUsd, Now};

/// One worker's access to shared budgets.
pub(in crate::budget_ledger) struct Desk {
    shared: Arc<SharedBudgets>,
    link: Link,
    book: Arc<Ledger>,
    lane: String,
    epoch: Cell<u64>,
    /// Holds of which nobody knows whether Redis has them, until nothing can be on its way any more.
    lost: RefCell<Vec<u64>>,
}

/// A hold before it is asked for: others may make theirs depend on it.
#[derive(Debug, Clone)]
pub(in crate::budget_ledger) struct Ticket {
    id: u64,
    name: String,
}

impl Desk {
    pub(in crate::budget_ledger) fn new(
        shared: Arc<SharedBudgets>,
        link: Link,
        book: Arc<Ledger>,
    ) -> Rc<Self> {
        let desk = Rc::new(Self {
            shared,
            link,
            book,
            lane: format!("{:016x}", fastrand::u64(..)),
            epoch: Cell::new(0),
            lost: RefCell::default(),
        });
        desk.link.on_recovery(Rc::clone(&desk) as Rc<dyn Recovery>);
        desk
    }

    /// Whether Redis is asked at all.
    pub(in crate::budget_ledger) fn is_up(&self) -> bool {
        self.link.is_up()
    }

    pub(in crate::budget_ledger) fn ticket(&self) -> Ticket {
        let id = self.shared.next.fetch_add(1, Relaxed);
        Ticket { id, name: format!("{}-{id}", self.shared.name) }
    }

    /// The key that lists a hold, and what it is called there.
    pub(in crate::budget_ledger) fn place(
        &self,
        ticket: &Ticket,
        budgets: &[Arc<Budget>],
        estimate: Estimate,
    ) -> Option<(String, String)> {
        let first = budgets.iter().min_by(|a, b| a.id.cmp(&b.id))?;
        let amount = estimate.in_budget(first).0;
        Some((self.shared.keys.open(&first.id), format!("{}:{amount}", ticket.name)))
    }

    /// Holds an estimate in every budget, or in none.
    pub(in crate::budget_ledger) async fn hold(
        &self,
        budgets: &[Arc<Budget>],
        estimate: Estimate,
        ticket: Ticket,
    ) -> Result<BudgetHold, HoldRefused> {
        let now = Now::read();
        self.book.refuse_unkept(budgets)?;
        let shares = self.book.shares(budgets, estimate);
        if shares.is_empty() || !self.link.is_up() {
            return self.fall_back(budgets, estimate, now);
        }
        let noted = Noted::new(self, &ticket, &shares, now);
        let wanted: SmallVec<[Wanted<'_>; 4]> = shares.iter().map(|share| share.wanted(now)).collect();
        let fill = |command: &mut redis::Cmd| {
            // Now: the first connection may have been waited for.
            let epoch = self.epoch.get();
            noted.epoch.set(epoch);
            let batches = self.shared.lane.get().map_or("", |lane| lane);
            self.shared.keys.hold(command, (&self.lane, epoch, batches), &ticket.name, &wanted);
        };
        let Ok(answer) = self.link.run(Use::Budgets, &self.shared.keys.hold_script, fill).await else {
            return self.fall_back(budgets, estimate, now);
        };
        let reply = Reply::read(&answer, shares.len());
        if let Reply::Held(figures) | Reply::Refused(figures) = &reply {
            self.observe(&shares, &wanted, figures, now);
        }
        drop(wanted);
        match reply {
            Reply::Held(_) => {
                let id = noted.keep();
                Ok(self.book.held(shares, Some((Arc::clone(&self.shared), id)), now))
            }
            Reply::Refused(_) => {
                noted.forget();
                Err(self.book.refused(&shares, now))
            }
            Reply::Lost => self.fall_back(budgets, estimate, now),
        }
    }

    /// Asks what is spent and held, for whoever reads the book next; whether Redis says so.
    pub(in crate::budget_ledger) async fn look(&self, budgets: &[Arc<Budget>]) -> bool {
        let now = Now::read();
        let shares = self.book.shares(budgets, Estimate::from(MicroUsd::ZERO));
        if shares.is_empty() {
            return self.link.is_up();
        }
        let wanted: SmallVec<[Wanted<'_>; 4]> = shares.iter().map(|share| share.wanted(now)).collect();
        let lane = self.shared.lane.get().map_or("", |lane| lane);
        let command = self.shared.keys.look(lane, &wanted);
        let Ok(answer) = self.link.call(Use::Budgets, &command).await else { return false };
        let Some(figures) = figures(&answer, shares.len()) else { return false };
        self.observe(&shares, &wanted, &figures, now);
        true
    }

    /// Takes note of figures that were asked for at this time.
    fn observe(&self, shares: &[Share], wanted: &[Wanted<'_>], figures: &Figures, asked: Now) {
        let answered = Now::read();
        self.shared.note_answer(answered);
        let seen = wanted.iter().zip(&figures.budgets).map(|(wanted, (spent, held))| Seen {
            window: wanted.window,
            spent: *spent,
            held: *held,
            applied: figures.applied,
            asked: asked.steady,
            came: answered.steady,
        });
        self.shared.note_losses(self.book.observe(shares, seen, asked));
    }

    fn fall_back(
        &self,
        budgets: &[Arc<Budget>],
        estimate: Estimate,
        now: Now,
    ) -> Result<BudgetHold, HoldRefused> {
        self.shared.server.tally(Use::Budgets).fall_back();
        if !self.book.is_stale(budgets, self.shared.stale, now) {
            return self.book.hold(budgets, estimate, now);
        }
        if self.shared.denies.load(Relaxed) {
            self.shared.note_ignorance();
            return Err(self.book.unkept());
        }
        Ok(self.book.hold_unchecked(budgets, estimate))
    }
}

impl Recovery for Desk {
    fn recover(&self, mut wire: Wire) -> LocalBoxFuture<'_, Result<(), String>> {
        async move {
            let epoch = self.epoch.get().saturating_add(1);
            let raise = self.shared.keys.raise(&self.lane, epoch);
            let within = self.shared.server.options.timeout;
            wire.call(&raise, within).await?;
            wire.load(&self.shared.keys.hold_script, within).await?;
            self.epoch.set(epoch);
            let lost = std::mem::take(&mut *self.lost.borrow_mut());
            lost.into_iter().for_each(|id| self.shared.release(id, 0));
            Ok(())
        }
        .boxed_local()
    }
}

/// A hold that was asked for. Dropped without an answer it may be there all the same: it is given back once nothing
/// that was sent can come any more.
struct Noted<'a> {
    desk: &'a Desk,
    id: u64,
    /// That it was sent in.
    epoch: Cell<u64>,
    is_known: bool,
}

impl<'a> Noted<'a> {
    fn new(desk: &'a Desk, ticket: &Ticket, shares: &[Share], now: Now) -> Self {
        let shares = shares.iter().map(|share| (Arc::clone(&share.budget.id), share.held)).collect();
        let note = Note { name: ticket.name.clone(), shares, seen: now.steady };
        lock(&desk.shared.notes).insert(ticket.id, note);
        Self { desk, id: ticket.id, epoch: Cell::new(desk.epoch.get()), is_known: false }
    }

    fn keep(mut self) -> u64 {
        self.is_known = true;
        self.id
    }

    fn forget(mut self) {
        self.is_known = true;
        lock(&self.desk.shared.notes).remove(&self.id);
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if self.is_known {
            return;
        }
        if self.desk.epoch.get() > self.epoch.get() {
            self.desk.shared.release(self.id, 0);
            return;
        }
        self.desk.lost.borrow_mut().push(self.id);
    }
}
