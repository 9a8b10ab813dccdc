//! Finished answers by key; asked before an upstream call, told the answer afterwards.
//!
//! Identical misses are filled by one upstream call, across workers. Waiting happens in the
//! caller's own task with its own deadline, never in the actor. A cache that cannot answer is a
//! miss: callers then go upstream alone.

mod book;
mod fill;
mod gathering;
mod shared;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, MessageResult};

pub use book::{CacheBook, CacheCounters, Entry, Key, Purged};
use book::{Found, Turn};
pub use fill::Fill;
pub use gathering::Gathering;
use shared::Shared;
pub use shared::purge;

use crate::redis::Server;
use crate::types::Now;
use crate::worker::{Local, MAILBOX, crashable};

/// Where an answer is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The hash of the request.
    pub key: Key,
    /// The id of the policy that covers it.
    pub policy: Arc<str>,
    /// Whether answers lie in Redis, and not in this process.
    pub is_shared: bool,
}

/// What a lookup comes to.
#[derive(Debug)]
pub enum Recalled {
    /// An answer.
    Hit(Arc<Entry>),
    /// No answer: call upstream, then store or abandon.
    Fill(Fill),
    /// No answer: call upstream and keep the answer to yourself; another caller is filling this
    /// key.
    Alone,
}

// ── messages ─────────────────────────────────────────────────────────────────────────────────────

/// Looks up a key: an entry, a fill, or a place in the line.
#[derive(Debug, Clone)]
struct Lookup(Key);

impl Message for Lookup {
    type Result = Found;
}

/// Takes the right to fill a key without reading it.
#[derive(Debug, Clone)]
struct Refresh(Key);

impl Message for Refresh {
    type Result = Option<Fill>;
}

/// Closes a fill as recorded in it: stored or abandoned.
#[derive(Debug)]
struct Store(Fill);

impl Message for Store {
    type Result = ();
}

/// A copy of the counters.
#[derive(Debug, Clone)]
struct Inspect;

impl Message for Inspect {
    type Result = CacheCounters;
}

// ── handle ───────────────────────────────────────────────────────────────────────────────────────

/// The worker's access to the cache.
#[derive(Clone)]
pub struct CacheHandle {
    actor: Rc<Local<CacheActor>>,
    book: Arc<CacheBook>,
    shared: Option<Shared>,
    gathering: Rc<Cell<usize>>,
}

impl CacheHandle {
    /// Prepares the cache's desk of this worker over the shared book, and its way to the Redis of answers.
    pub fn new(book: Arc<CacheBook>, server: Option<Arc<Server>>) -> Self {
        let own = Arc::clone(&book);
        let actor = Rc::new(Local::new(move || CacheActor { book: Arc::clone(&own) }));
        Self { actor, book, shared: server.map(Shared::new), gathering: Rc::default() }
    }

    /// Whether there is a Redis of answers.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Looks an answer up, waiting at most `deadline` for another caller who is filling it.
    pub async fn lookup(&self, place: &Place, deadline: Duration) -> Recalled {
        match self.actor.ask(Lookup(self.key(place))).await {
            Ok(Found::Hit(entry)) => Recalled::Hit(entry),
            Ok(Found::Fill(fill)) => self.look_further(place, fill).await,
            Ok(Found::Wait(turn)) => match tokio::time::timeout(deadline, turn).await {
                Ok(Ok(Turn::Entry(entry))) => Recalled::Hit(entry),
                Ok(Ok(Turn::Fill(fill))) => Recalled::Fill(fill),
                Ok(Err(_)) | Err(_) => Recalled::Alone,
            },
            Ok(Found::Crowded) | Err(_) => Recalled::Alone,
        }
    }

    /// Takes the right to fill a place without reading it; `None` while another caller has it.
    pub async fn refresh(&self, place: &Place) -> Option<Fill> {
        self.actor.ask(Refresh(self.key(place))).await.ok().flatten()
    }

    /// Keeps an answer and hands it to everybody who waits for it, without waiting.
    pub fn store(&self, mut fill: Fill, place: &Place, entry: Entry, ttl: Duration) {
        let entry = Arc::new(entry);
        match &self.shared {
            Some(shared) if place.is_shared => {
                // Asked before a purge: not kept after it.
                if *fill.key() == self.key(place) {
                    shared.put(&place.policy, &place.key, &entry, ttl);
                }
                fill.record(entry, Duration::ZERO);
            }
            _ => fill.record(entry, ttl),
        }
        self.actor.tell(Store(fill));
    }

    /// Begins to gather an answer that is to be stored there.
    pub fn gather(&self, place: &Place) -> Gathering {
        let largest = match place.is_shared {
            true => shared::MAX_VALUE_BYTES,
            false => usize::try_from(self.book.max_bytes()).unwrap_or(usize::MAX),
        };
        Gathering::new(largest, Rc::clone(&self.gathering))
    }

    /// Passes the turn to the next caller who waits for the key.
    pub fn abandon(&self, fill: Fill) {
        self.actor.tell(Store(fill));
    }

    /// The key as it is since the last purge of its policy.
    fn key(&self, place: &Place) -> Key {
        self.book.current(&place.policy, place.key)
    }

    /// Looks into Redis, for everybody who waits meanwhile.
    async fn look_further(&self, place: &Place, mut fill: Fill) -> Recalled {
        let Some(shared) = self.shared.as_ref().filter(|_| place.is_shared) else {
            return Recalled::Fill(fill);
        };
        let Some(entry) = shared.fetch(&place.policy, &place.key).await else {
            return Recalled::Fill(fill);
        };
        let entry = Arc::new(entry);
        fill.record(Arc::clone(&entry), Duration::ZERO);
        self.actor.tell(Store(fill));
        self.book.note_hit();
        Recalled::Hit(entry)
    }

    /// Returns a copy of the counters, of all workers together.
    pub async fn inspect(&self) -> CacheCounters {
        self.actor.ask(Inspect).await.unwrap_or_else(|_| self.book.counters())
    }

    /// Makes this worker's cache desk panic.
    #[cfg(any(test, feature = "chaos"))]
    pub fn crash(&self) {
        self.actor.crash();
    }
}

// ── actor ────────────────────────────────────────────────────────────────────────────────────────

struct CacheActor {
    book: Arc<CacheBook>,
}

impl Actor for CacheActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Lookup> for CacheActor {
    type Result = MessageResult<Lookup>;

    fn handle(&mut self, Lookup(key): Lookup, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.lookup(key, Now::read()))
    }
}

impl Handler<Refresh> for CacheActor {
    type Result = Option<Fill>;

    fn handle(&mut self, Refresh(key): Refresh, _: &mut Self::Context) -> Self::Result {
        self.book.refresh(key)
    }
}

impl Handler<Store> for CacheActor {
    type Result = ();

    fn handle(&mut self, Store(fill): Store, _: &mut Self::Context) {
        drop(fill);
    }
}

impl Handler<Inspect> for CacheActor {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.book.counters())
    }
}

crashable!(CacheActor);

#[cfg(test)]
mod tests;
