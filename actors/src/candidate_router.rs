//! Which targets to try and in which order; asked once a request, told the outcome of every
//! attempt.
//!
//! When the actor is gone, the handle turns to the book itself, so callers see a plan or a refusal
//! and nothing else. A report that is lost on its way is recorded when it is dropped.

mod book;
mod candidate;
mod group;
mod layout;
mod order;
mod outcome;
mod ring;
mod state;
mod status;
mod turns;

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, MessageResult};

pub use book::{Candidates, Health, RouterCounters};
pub use candidate::Candidate;
use candidate::Verdict;
pub use group::{Eligible, Group, Member, RouteContext, Strategy, Target, WhenAllUnavailable, hash_key};
pub use layout::Layout;
pub use outcome::{AttemptFailure, AttemptOutcome, CooldownRule};
pub use state::{BeingProbed, InFlight};
pub use status::{AllUnavailable, Check, Condition, Reason, TargetStatus};

use crate::types::Now;
use crate::worker::{Local, MAILBOX, crashable};

// ── messages ─────────────────────────────────────────────────────────────────────────────────────

/// Chooses the candidates of a group.
#[derive(Debug, Clone)]
struct Plan(Arc<Group>, RouteContext);

impl Message for Plan {
    type Result = Result<Candidates, AllUnavailable>;
}

/// Records the outcome of an attempt.
#[derive(Debug)]
struct Report(Verdict);

impl Message for Report {
    type Result = ();
}

/// A copy of the counters.
#[derive(Debug, Clone)]
struct Inspect;

impl Message for Inspect {
    type Result = RouterCounters;
}

// ── handle ───────────────────────────────────────────────────────────────────────────────────────

/// The worker's access to the router.
#[derive(Clone)]
pub struct CandidateRouterHandle {
    actor: Rc<Local<CandidateRouter>>,
    book: Arc<Health>,
}

impl CandidateRouterHandle {
    /// Prepares the router of this worker over the shared book.
    pub fn new(book: Arc<Health>) -> Self {
        let shared = Arc::clone(&book);
        let actor = Rc::new(Local::new(move || CandidateRouter { book: Arc::clone(&shared) }));
        Self { actor, book }
    }

    /// Chooses the candidates of a group, in the order to try.
    ///
    /// # Errors
    /// When no target can be tried; a group of one is always planned.
    pub async fn plan(&self, group: Arc<Group>, context: RouteContext) -> Result<Candidates, AllUnavailable> {
        match self.actor.ask(Plan(Arc::clone(&group), context.clone())).await {
            Ok(outcome) => outcome,
            Err(_) => self.book.plan(&group, &context, Now::read()),
        }
    }

    /// Records what an attempt came to, without waiting.
    ///
    /// An attempt that is over goes along: so it is under way, and nobody else probes, until its outcome is known.
    pub fn report(&self, candidate: &Candidate, outcome: AttemptOutcome, over: Option<InFlight>) {
        let book = Arc::clone(&self.book);
        self.actor.tell(Report(Verdict { candidate: candidate.clone(), outcome, book, _over: over }));
    }

    /// Returns a copy of the counters, of all workers together.
    pub async fn inspect(&self) -> RouterCounters {
        self.actor.ask(Inspect).await.unwrap_or_else(|_| self.book.counters())
    }

    /// Makes this worker's router panic.
    #[cfg(any(test, feature = "chaos"))]
    pub fn crash(&self) {
        self.actor.crash();
    }
}

// ── actor ────────────────────────────────────────────────────────────────────────────────────────

struct CandidateRouter {
    book: Arc<Health>,
}

impl Actor for CandidateRouter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Plan> for CandidateRouter {
    type Result = Result<Candidates, AllUnavailable>;

    fn handle(&mut self, Plan(group, context): Plan, _: &mut Self::Context) -> Self::Result {
        self.book.plan(&group, &context, Now::read())
    }
}

impl Handler<Report> for CandidateRouter {
    type Result = ();

    fn handle(&mut self, Report(verdict): Report, _: &mut Self::Context) {
        drop(verdict);
    }
}

impl Handler<Inspect> for CandidateRouter {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.counters())
    }
}

crashable!(CandidateRouter);

#[cfg(test)]
mod tests;
