//! Limits of requests, tokens and concurrency by scope; asked before every upstream call, told
//! afterwards.
//!
//! All scopes of a request are taken as one step or not at all. When the actor is gone, the handle
//! turns to the book itself, so callers see an admission or a refusal and nothing else. A permit
//! that is lost gives itself back.

mod book;
mod counts;
mod limit;
mod pace;
mod permit;
mod shared;

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture, WrapFuture};

pub use book::{LimitBook, LimitCounters, Scopes};
pub use limit::{
    AcquireRefused, Dimension, Layer, LimitExceeded, PolicyLabel, RateLimit, Scope, Standing, Use,
};
pub use permit::Permit;
pub use shared::SharedLimits;

use shared::Desk;

use crate::redis::Link;
use crate::types::Now;
use crate::worker::{Local, MAILBOX, crashable};

// ── messages ─────────────────────────────────────────────────────────────────────────────────────

/// Takes one request and a token hold from all scopes: a permit, or the refusal of one of them.
#[derive(Debug, Clone)]
struct Acquire {
    scopes: Scopes,
    tokens: u64,
}

impl Message for Acquire {
    type Result = Result<Permit, LimitExceeded>;
}

/// The same of limits that are shared; `hold` is the money that must be set aside.
#[derive(Debug, Clone)]
struct AcquireShared {
    scopes: Scopes,
    tokens: u64,
    hold: Option<(String, String)>,
}

impl Message for AcquireShared {
    type Result = Result<Permit, AcquireRefused>;
}

/// Closes a permit as recorded in it; where the caller's key stands then.
#[derive(Debug)]
struct Settle(Permit);

impl Message for Settle {
    type Result = Option<Standing>;
}

/// Closes a permit as recorded in it.
#[derive(Debug)]
struct Release(Permit);

impl Message for Release {
    type Result = ();
}

/// Where a scope stands.
#[derive(Debug, Clone)]
struct Peek(Arc<Scope>);

impl Message for Peek {
    type Result = Standing;
}

/// A copy of the counters.
#[derive(Debug, Clone)]
struct Inspect;

impl Message for Inspect {
    type Result = LimitCounters;
}

// ── handle ───────────────────────────────────────────────────────────────────────────────────────

/// The worker's access to the limits.
#[derive(Clone)]
pub struct RateLimiterHandle {
    actor: Rc<Local<RateLimiter>>,
    book: Arc<LimitBook>,
    desk: Option<Rc<Desk>>,
}

impl RateLimiterHandle {
    /// Prepares the limiter of this worker over the shared book.
    pub fn new(book: Arc<LimitBook>) -> Self {
        Self::with(book, None)
    }

    /// Prepares the limiter of this worker over limits that several gateways count together.
    pub fn sharing(book: Arc<LimitBook>, shared: Arc<SharedLimits>, link: Link) -> Self {
        let desk = Desk::new(shared, link, Arc::clone(&book));
        Self::with(book, Some(desk))
    }

    fn with(book: Arc<LimitBook>, desk: Option<Rc<Desk>>) -> Self {
        let (known, known_desk) = (Arc::clone(&book), desk.clone());
        let begin = move || RateLimiter { book: Arc::clone(&known), desk: known_desk.clone() };
        Self { actor: Rc::new(Local::new(begin)), book, desk }
    }

    /// Takes one request and a hold of `tokens` from all scopes as one step.
    ///
    /// # Errors
    /// The refusal of the first scope, in the order given, that does not admit, or that limits cannot be counted;
    /// nothing is taken then.
    pub async fn acquire(&self, scopes: Scopes, tokens: u64) -> Result<Permit, AcquireRefused> {
        if self.desk.is_some() {
            return self.acquire_with(scopes, tokens, None).await;
        }
        let ask = self.actor.ask(Acquire { scopes: scopes.clone(), tokens });
        match ask.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Ok(self.book.acquire(&scopes, tokens, Now::read())?),
        }
    }

    /// The same of limits that are shared, on condition that some money is set aside.
    pub(crate) async fn acquire_with(
        &self,
        scopes: Scopes,
        tokens: u64,
        hold: Option<(String, String)>,
    ) -> Result<Permit, AcquireRefused> {
        let ask = self.actor.ask(AcquireShared { scopes: scopes.clone(), tokens, hold });
        match ask.await {
            Ok(outcome) => outcome,
            Err(_) => Ok(self.book.acquire(&scopes, tokens, Now::read())?),
        }
    }

    /// Replaces the hold by the tokens truly used, without waiting.
    pub fn settle(&self, mut permit: Permit, tokens: u64) {
        permit.record(tokens);
        self.actor.tell(Release(permit));
    }

    /// Replaces the hold by the tokens truly used, and returns where the caller's key stands
    /// afterwards.
    ///
    /// Gives `None` when the key has no limits.
    pub async fn settle_now(&self, mut permit: Permit, tokens: u64) -> Option<Standing> {
        permit.record(tokens);
        if permit.is_shared() {
            let standing = permit.standing_after();
            self.actor.tell(Release(permit));
            return standing;
        }
        let scope = permit.key_scope();
        match self.actor.ask_once(Settle(permit)).await {
            Ok(standing) => standing,
            Err(_) => scope.map(|scope| self.book.peek(&scope, Now::read())),
        }
    }

    /// Gives back the slot and the hold of a request that used no tokens; the request stays
    /// counted.
    pub fn release(&self, permit: Permit) {
        self.actor.tell(Release(permit));
    }

    /// Returns what is used of every limit of each scope, taking nothing, and whether all gateways that share limits
    /// say so: without that it is what this one knows.
    pub async fn uses(&self, scopes: &[Arc<Scope>]) -> (Vec<Vec<Use>>, bool) {
        if let Some(desk) = &self.desk
            && let Some(uses) = desk.look(scopes).await
        {
            return (uses, true);
        }
        let now = Now::read();
        (scopes.iter().map(|scope| self.book.uses(scope, now)).collect(), false)
    }

    /// Whether several gateways count together.
    pub fn is_shared(&self) -> bool {
        self.desk.is_some()
    }

    /// Returns where a scope stands.
    pub async fn peek(&self, scope: Arc<Scope>) -> Standing {
        match self.actor.ask(Peek(Arc::clone(&scope))).await {
            Ok(standing) => standing,
            Err(_) => self.book.peek(&scope, Now::read()),
        }
    }

    /// Returns a copy of the counters, of all workers together.
    pub async fn inspect(&self) -> LimitCounters {
        self.actor.ask(Inspect).await.unwrap_or_else(|_| self.book.counters())
    }

    /// Makes this worker's limiter panic.
    #[cfg(any(test, feature = "chaos"))]
    pub fn crash(&self) {
        self.actor.crash();
    }
}

// ── actor ────────────────────────────────────────────────────────────────────────────────────────

struct RateLimiter {
    book: Arc<LimitBook>,
    desk: Option<Rc<Desk>>,
}

impl Actor for RateLimiter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(desk) = &self.desk {
            ctx.spawn(Rc::clone(desk).attend().into_actor(self));
        }
    }
}

impl Handler<Acquire> for RateLimiter {
    type Result = Result<Permit, LimitExceeded>;

    fn handle(&mut self, ask: Acquire, _: &mut Self::Context) -> Self::Result {
        self.book.acquire(&ask.scopes, ask.tokens, Now::read())
    }
}

impl Handler<AcquireShared> for RateLimiter {
    type Result = ResponseFuture<Result<Permit, AcquireRefused>>;

    fn handle(&mut self, ask: AcquireShared, _: &mut Self::Context) -> Self::Result {
        let (book, desk) = (Arc::clone(&self.book), self.desk.clone());
        Box::pin(async move {
            match desk {
                Some(desk) => desk.acquire(&ask.scopes, ask.tokens, ask.hold).await,
                None => Ok(book.acquire(&ask.scopes, ask.tokens, Now::read())?),
            }
        })
    }
}

impl Handler<Settle> for RateLimiter {
    type Result = Option<Standing>;

    fn handle(&mut self, Settle(permit): Settle, _: &mut Self::Context) -> Self::Result {
        let scope = permit.key_scope();
        drop(permit);
        scope.map(|scope| self.book.peek(&scope, Now::read()))
    }
}

impl Handler<Release> for RateLimiter {
    type Result = ();

    fn handle(&mut self, Release(permit): Release, _: &mut Self::Context) {
        drop(permit);
    }
}

impl Handler<Peek> for RateLimiter {
    type Result = MessageResult<Peek>;

    fn handle(&mut self, Peek(scope): Peek, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.peek(&scope, Now::read()))
    }
}

impl Handler<Inspect> for RateLimiter {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.counters())
    }
}

crashable!(RateLimiter);

#[cfg(test)]
mod tests;
