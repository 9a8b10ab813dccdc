//! Credentials and slots of provider keys; asked before every attempt, told when it is over.
//!
//! The pool leases, it does not connect. When the actor is gone, the handle turns to the book
//! itself, so callers see a lease or a refusal and nothing else. A lease that is lost gives its
//! slot back.

mod book;

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message, MessageResult};

pub use book::{Lease, LeaseRefused, PoolBook, PoolCounters, ProviderKey, Secret, TlsProfileId};

use crate::worker::{Local, MAILBOX, crashable};

// ── messages ─────────────────────────────────────────────────────────────────────────────────────

/// Takes a slot of a key.
#[derive(Debug, Clone)]
struct Take(Arc<str>);

impl Message for Take {
    type Result = Result<Lease, LeaseRefused>;
}

/// Gives a slot back.
#[derive(Debug)]
struct Return(Lease);

impl Message for Return {
    type Result = ();
}

/// A copy of the counters.
#[derive(Debug, Clone)]
struct Inspect;

impl Message for Inspect {
    type Result = PoolCounters;
}

// ── handle ───────────────────────────────────────────────────────────────────────────────────────

/// The worker's access to the provider keys.
#[derive(Clone)]
pub struct ProviderPoolHandle {
    actor: Rc<Local<ProviderPool>>,
    book: Arc<PoolBook>,
}

impl ProviderPoolHandle {
    /// Prepares the pool's desk of this worker over the shared book.
    pub fn new(book: Arc<PoolBook>) -> Self {
        let shared = Arc::clone(&book);
        let actor = Rc::new(Local::new(move || ProviderPool { book: Arc::clone(&shared) }));
        Self { actor, book }
    }

    /// Takes a slot of a key.
    ///
    /// # Errors
    /// When there is no such key, or all of its slots are taken.
    pub async fn lease(&self, id: Arc<str>) -> Result<Lease, LeaseRefused> {
        match self.actor.ask(Take(Arc::clone(&id))).await {
            Ok(outcome) => outcome,
            Err(_) => self.book.lease(&id),
        }
    }

    /// Gives a slot back, without waiting.
    pub fn give_back(&self, lease: Lease) {
        self.actor.tell(Return(lease));
    }

    /// Returns a copy of the counters, of all workers together.
    pub async fn inspect(&self) -> PoolCounters {
        self.actor.ask(Inspect).await.unwrap_or_else(|_| self.book.counters())
    }

    /// Makes this worker's pool desk panic.
    #[cfg(any(test, feature = "chaos"))]
    pub fn crash(&self) {
        self.actor.crash();
    }
}

// ── actor ────────────────────────────────────────────────────────────────────────────────────────

struct ProviderPool {
    book: Arc<PoolBook>,
}

impl Actor for ProviderPool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Take> for ProviderPool {
    type Result = Result<Lease, LeaseRefused>;

    fn handle(&mut self, Take(id): Take, _: &mut Self::Context) -> Self::Result {
        self.book.lease(&id)
    }
}

impl Handler<Return> for ProviderPool {
    type Result = ();

    fn handle(&mut self, Return(lease): Return, _: &mut Self::Context) {
        drop(lease);
    }
}

impl Handler<Inspect> for ProviderPool {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.counters())
    }
}

crashable!(ProviderPool);

#[cfg(test)]
mod tests;
