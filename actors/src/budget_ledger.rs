//! Money by budget and period; asked for a hold before an upstream call, told the true cost
//! afterwards.
//!
//! A hold closes itself in the book, with no message: whoever has closed it can rely on the journal knowing.
//!
//! Every budget of a request must admit, or none is held in. When the actor is gone, the handle
//! turns to the book itself, so callers see a hold or a refusal and nothing else. A hold that is
//! lost gives itself back.

mod account;
mod book;
mod budget;
mod journal;
mod mirror;
mod shared;

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, MessageResult, ResponseFuture};

pub use account::BudgetTally;
pub use book::{BudgetHold, Budgets, Ledger, LedgerCounters};
pub use budget::{
    Budget, BudgetExceeded, BudgetScope, Estimate, HoldRefused, Period, Spend, TimeZone, Window, timezone,
};
pub use journal::{Batch, ChargeEntry, ChargeSum, Journal, NoJournal, Run};
pub use shared::{Applied, Backlog, SharedBudgets};
use shared::{Desk, Ticket};

use crate::redis::Link;
use crate::types::{MicroUsd, Now};
use crate::worker::{Local, MAILBOX, crashable};

// ── messages ─────────────────────────────────────────────────────────────────────────────────────

/// Sets an estimate aside in all budgets: a hold, or why there is none.
#[derive(Debug, Clone)]
struct Hold {
    budgets: Budgets,
    estimate: Estimate,
}

impl Message for Hold {
    type Result = Result<BudgetHold, HoldRefused>;
}

/// The same in budgets that are shared.
#[derive(Debug, Clone)]
struct HoldShared {
    budgets: Budgets,
    estimate: Estimate,
    ticket: Ticket,
}

impl Message for HoldShared {
    type Result = Result<BudgetHold, HoldRefused>;
}

/// Where a budget stands.
#[derive(Debug, Clone)]
struct Read(Arc<Budget>);

impl Message for Read {
    type Result = Spend;
}

/// A copy of the counters.
#[derive(Debug, Clone)]
struct Inspect;

impl Message for Inspect {
    type Result = LedgerCounters;
}

// ── handle ───────────────────────────────────────────────────────────────────────────────────────

/// A hold in shared budgets that is about to be made.
pub(crate) struct PreparedHold {
    budgets: Budgets,
    estimate: Estimate,
    ticket: Ticket,
    /// The key that will list it, and what it will be called there.
    pub(crate) place: (String, String),
}

/// The worker's access to the budgets.
#[derive(Clone)]
pub struct BudgetLedgerHandle {
    actor: Rc<Local<BudgetLedger>>,
    book: Arc<Ledger>,
    desk: Option<Rc<Desk>>,
}

impl BudgetLedgerHandle {
    /// Prepares the ledger's desk of this worker over the shared book.
    pub fn new(book: Arc<Ledger>) -> Self {
        Self::with(book, None)
    }

    /// Prepares the ledger's desk of this worker over budgets that several gateways share.
    pub fn sharing(book: Arc<Ledger>, shared: Arc<SharedBudgets>, link: Link) -> Self {
        let desk = Desk::new(shared, link, Arc::clone(&book));
        Self::with(book, Some(desk))
    }

    fn with(book: Arc<Ledger>, desk: Option<Rc<Desk>>) -> Self {
        let (known, known_desk) = (Arc::clone(&book), desk.clone());
        let begin = move || BudgetLedger { book: Arc::clone(&known), desk: known_desk.clone() };
        Self { actor: Rc::new(Local::new(begin)), book, desk }
    }

    /// Prepares a hold in shared budgets that something else may depend on; nothing where Redis is not asked.
    pub(crate) fn prepare(&self, budgets: Budgets, estimate: impl Into<Estimate>) -> Option<PreparedHold> {
        let desk = self.desk.as_ref().filter(|desk| desk.is_up())?;
        let (estimate, ticket) = (estimate.into(), desk.ticket());
        let place = desk.place(&ticket, &budgets, estimate)?;
        Some(PreparedHold { budgets, estimate, ticket, place })
    }

    /// Holds what was prepared.
    ///
    /// # Errors
    /// As [`BudgetLedgerHandle::hold`].
    pub(crate) async fn hold_prepared(&self, prepared: PreparedHold) -> Result<BudgetHold, HoldRefused> {
        let PreparedHold { budgets, estimate, ticket, .. } = prepared;
        let ask = self.actor.ask(HoldShared { budgets: budgets.clone(), estimate, ticket });
        match ask.await {
            Ok(outcome) => outcome,
            Err(_) => self.book.hold(&budgets, estimate, Now::read()),
        }
    }

    /// Holds an estimate in all budgets as one step.
    ///
    /// # Errors
    /// The tightest budget of those that are used up, or that charges cannot be kept; nothing is held then.
    pub async fn hold(
        &self,
        budgets: Budgets,
        estimate: impl Into<Estimate>,
    ) -> Result<BudgetHold, HoldRefused> {
        let estimate = estimate.into();
        if let Some(desk) = &self.desk {
            let (ticket, place) = (desk.ticket(), Default::default());
            return self.hold_prepared(PreparedHold { budgets, estimate, ticket, place }).await;
        }
        let ask = self.actor.ask(Hold { budgets: budgets.clone(), estimate });
        match ask.await {
            Ok(outcome) => outcome,
            Err(_) => self.book.hold(&budgets, estimate, Now::read()),
        }
    }

    /// Replaces a hold by the true cost. When this returns the journal has taken note of it, so that whatever is told of
    /// the request afterwards can wait until that is kept.
    pub fn charge(&self, hold: BudgetHold, cost: MicroUsd) {
        self.book.charge(hold, cost, Now::read());
    }

    /// Gives back a hold of which nothing was spent.
    pub fn release(&self, hold: BudgetHold) {
        drop(hold);
    }

    /// Has the book of this process know what all gateways have spent and hold; whether Redis says so. Without that the
    /// book has what this gateway knows.
    pub async fn look(&self, budgets: &[Arc<Budget>]) -> bool {
        match &self.desk {
            Some(desk) => desk.look(budgets).await,
            None => false,
        }
    }

    /// Whether several gateways share budgets.
    pub fn is_shared(&self) -> bool {
        self.desk.is_some()
    }

    /// Returns where a budget stands.
    pub async fn spend(&self, budget: Arc<Budget>) -> Spend {
        match self.actor.ask(Read(Arc::clone(&budget))).await {
            Ok(spend) => spend,
            Err(_) => self.book.spend(&budget, Now::read()),
        }
    }

    /// Returns a copy of the counters, of all workers together.
    pub async fn inspect(&self) -> LedgerCounters {
        self.actor.ask(Inspect).await.unwrap_or_else(|_| self.book.counters())
    }

    /// Makes this worker's ledger desk panic.
    #[cfg(any(test, feature = "chaos"))]
    pub fn crash(&self) {
        self.actor.crash();
    }
}

// ── actor ────────────────────────────────────────────────────────────────────────────────────────

struct BudgetLedger {
    book: Arc<Ledger>,
    desk: Option<Rc<Desk>>,
}

impl Actor for BudgetLedger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Hold> for BudgetLedger {
    type Result = Result<BudgetHold, HoldRefused>;

    fn handle(&mut self, ask: Hold, _: &mut Self::Context) -> Self::Result {
        self.book.hold(&ask.budgets, ask.estimate, Now::read())
    }
}

impl Handler<HoldShared> for BudgetLedger {
    type Result = ResponseFuture<Result<BudgetHold, HoldRefused>>;

    fn handle(&mut self, ask: HoldShared, _: &mut Self::Context) -> Self::Result {
        let (book, desk) = (Arc::clone(&self.book), self.desk.clone());
        Box::pin(async move {
            match desk {
                Some(desk) => desk.hold(&ask.budgets, ask.estimate, ask.ticket).await,
                None => book.hold(&ask.budgets, ask.estimate, Now::read()),
            }
        })
    }
}

impl Handler<Read> for BudgetLedger {
    type Result = MessageResult<Read>;

    fn handle(&mut self, Read(budget): Read, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.spend(&budget, Now::read()))
    }
}

impl Handler<Inspect> for BudgetLedger {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.counters())
    }
}

crashable!(BudgetLedger);

#[cfg(test)]
mod tests;
