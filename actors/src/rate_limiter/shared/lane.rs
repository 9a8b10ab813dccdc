//! A lane: one worker's permits in Redis, each known until Redis has taken it back.
//!
//! A permit that is dropped only leaves a note here, so that giving back needs no connection, no arbiter and no wait;
//! the notes outlive the worker. The epoch grows with every connection: what an earlier one had sent and Redis reads
//! late, it then ignores.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foldhash::HashMap;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::super::limit::Scope;
use super::super::permit::Ending;
use crate::register::lock;
use crate::types::Now;

/// The scopes of a permit, each once.
pub(super) type Limited = SmallVec<[Arc<Scope>; 2]>;

/// One worker's permits.
#[derive(Debug)]
pub(in crate::rate_limiter) struct Lane {
    /// Unlike that of any other worker of any gateway.
    pub(super) name: String,
    pub(super) epoch: AtomicU64,
    next: AtomicU64,
    permits: Mutex<HashMap<u64, Entry>>,
    closing: Mutex<Vec<u64>>,
    /// Rings when something is to be given back.
    pub(super) bell: Notify,
}

/// A permit as its lane knows it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) scopes: Limited,
    pub(super) tokens: u64,
    /// When it was asked for, or last kept open.
    pub(super) seen: Duration,
    /// When it was counted, in Unix time.
    pub(super) counted: Duration,
    /// What becomes of it; nothing while its request is under way.
    pub(super) ending: Option<Ending>,
}

impl Lane {
    /// Opens a lane with a name that nobody else has.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            name: format!("{:016x}", fastrand::u64(..)),
            epoch: AtomicU64::new(0),
            next: AtomicU64::new(1),
            permits: Mutex::default(),
            closing: Mutex::default(),
            bell: Notify::new(),
        })
    }

    /// Notes a permit before it is asked for.
    pub(super) fn ask(self: &Arc<Self>, scopes: &Limited, tokens: u64, now: Now) -> Asked {
        let id = self.next.fetch_add(1, Relaxed);
        let entry =
            Entry { scopes: scopes.clone(), tokens, seen: now.steady, counted: now.unix, ending: None };
        lock(&self.permits).insert(id, entry);
        Asked { lane: Arc::clone(self), id, tokens, is_known: false }
    }

    /// Notes that a permit is given back; somebody sees to it.
    pub(in crate::rate_limiter) fn close(&self, id: u64, ending: Ending) {
        if let Some(entry) = lock(&self.permits).get_mut(&id) {
            entry.ending = Some(ending);
        }
        lock(&self.closing).push(id);
        self.bell.notify_one();
    }

    /// Takes the permits that are to be given back.
    pub(super) fn due(&self) -> Vec<(u64, Entry)> {
        let ids = std::mem::take(&mut *lock(&self.closing));
        let permits = lock(&self.permits);
        ids.into_iter().filter_map(|id| Some((id, permits.get(&id)?.clone()))).collect()
    }

    /// Lists again whatever is to be given back and is not: who was about to may be gone.
    pub(super) fn list_again(&self) {
        let permits = lock(&self.permits);
        let due = permits.iter().filter(|(_, entry)| entry.ending.is_some()).map(|(id, _)| *id);
        *lock(&self.closing) = due.collect();
    }

    /// Puts permits back that could not be given back.
    pub(super) fn put_back(&self, ids: impl IntoIterator<Item = u64>) {
        lock(&self.closing).extend(ids);
    }

    /// Finds the permits under way of which Redis has not heard for so long, and notes that it does now.
    pub(super) fn stale(&self, age: Duration, now: Now) -> Vec<(u64, Entry)> {
        let mut permits = lock(&self.permits);
        let stale = permits
            .iter_mut()
            .filter(|(_, entry)| entry.ending.is_none() && now.steady.saturating_sub(entry.seen) >= age);
        stale
            .map(|(id, entry)| {
                entry.seen = now.steady;
                (*id, entry.clone())
            })
            .collect()
    }

    /// Forgets a permit that Redis does not hold.
    pub(super) fn forget(&self, id: u64) {
        lock(&self.permits).remove(&id);
    }

    /// Permits that Redis holds, or may hold.
    pub(super) fn open(&self) -> usize {
        lock(&self.permits).len()
    }

    /// What Redis calls a permit.
    pub(super) fn member(&self, id: u64, tokens: u64) -> String {
        format!("{}-{id}:{tokens}", self.name)
    }
}

/// A permit that was asked for. Dropped without an answer, it counts as lost: it is given back as if it had never
/// been, which does nothing where it was never given.
pub(super) struct Asked {
    pub(super) lane: Arc<Lane>,
    pub(super) id: u64,
    tokens: u64,
    is_known: bool,
}

impl Asked {
    /// What Redis calls it.
    pub(super) fn member(&self) -> String {
        self.lane.member(self.id, self.tokens)
    }

    /// It was given.
    pub(super) fn admitted(mut self) -> (Arc<Lane>, u64) {
        self.is_known = true;
        (Arc::clone(&self.lane), self.id)
    }

    /// It was refused.
    pub(super) fn refused(mut self) {
        self.is_known = true;
        self.lane.forget(self.id);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_known {
            self.lane.close(self.id, Ending::Cancelled);
        }
    }
}
