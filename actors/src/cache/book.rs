//! Finished answers by key, bounded in bytes, and who is filling which miss.
//!
//! Of identical misses one is filled upstream and the others wait for it: at most one [`Fill`]
//! exists for a key. A fill that is dropped passes the turn to one waiter, so waiters never wait
//! for nobody.

use foldhash::HashMap;
use std::collections::VecDeque;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::sync::Cache;
use tokio::sync::oneshot;

use super::fill::Fill;
use crate::register::{lock, read, write};
use crate::types::Now;

/// Callers that may wait for one fill; more go upstream themselves, which bounds what one slow key
/// can hold up.
const WAITERS: usize = 1_024;

/// What an entry costs beside its body: the key, the counts and moka's own bookkeeping.
const OVERHEAD: usize = 256;

/// The hash of a request in canonical form.
pub type Key = [u8; 32];

/// A finished answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The answer, in the form that the caller of the cache chose.
    pub body: Bytes,
    /// Input tokens that the answer cost when it was made.
    pub input_tokens: u64,
    /// Output tokens that the answer cost when it was made.
    pub output_tokens: u64,
    /// The model that it was asked of.
    pub model: Arc<str>,
    /// The id of the policy that it is kept under.
    pub policy: Arc<str>,
    /// What the caller of the cache wants to be told with a hit; mostly empty.
    pub note: Box<str>,
    /// When it was made, in Unix time.
    pub stored_at: Duration,
}

impl Entry {
    fn weight(&self) -> usize {
        let words = self.model.len().saturating_add(self.note.len());
        self.body.len().saturating_add(words).saturating_add(OVERHEAD)
    }
}

/// What the caches have done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheCounters {
    /// Entries kept; lags behind a little.
    pub entries: u64,
    /// Bytes kept; lags behind a little.
    pub bytes: u64,
    /// Keys being filled.
    pub filling: usize,
    /// Callers waiting for a fill.
    pub waiting: usize,
    /// Lookups answered at once.
    pub hits: u64,
    /// Fills handed out.
    pub fills: u64,
    /// Lookups that were made to wait.
    pub waits: u64,
    /// Lookups sent upstream because too many were waiting.
    pub crowded: u64,
    /// Entries stored.
    pub stored: u64,
    /// Entries not stored because they are larger than the cache.
    pub oversized: u64,
    /// Entries thrown out for newer ones.
    pub evicted: u64,
    /// Entries forgotten on request.
    pub purged: u64,
}

/// What a purge has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Entries.
    pub entries: u64,
    /// What they weighed.
    pub bytes: u64,
}

/// The entries and the fills under way, shared by the caches of all workers.
#[derive(Debug)]
pub struct CacheBook {
    entries: Cache<Key, Kept>,
    max_bytes: u64,
    flights: Mutex<Flights>,
    purges: Purges,
    tally: Tally,
}

/// How often what was forgotten. Keys of other times are other keys, so that neither an entry nor a fill from before a
/// purge is found after it.
#[derive(Debug, Default)]
struct Purges {
    /// All of them together: as long as there are none, nobody looks further.
    count: AtomicU64,
    /// Purges of everything, and of one policy each by its id.
    times: RwLock<(u64, HashMap<Arc<str>, u64>)>,
}

#[derive(Debug, Default)]
struct Tally {
    hits: AtomicU64,
    fills: AtomicU64,
    waits: AtomicU64,
    crowded: AtomicU64,
    stored: AtomicU64,
    oversized: AtomicU64,
    evicted: Arc<AtomicU64>,
    purged: AtomicU64,
}

/// An entry and when it is over; moka forgets it then, and lookups by the book's own time do not
/// see it any more.
#[derive(Debug, Clone)]
struct Kept {
    entry: Arc<Entry>,
    expires: Duration,
    ttl: Duration,
}

struct ByTtl;

impl Expiry<Key, Kept> for ByTtl {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(&self, _: &Key, kept: &Kept, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(kept.ttl)
    }
}

/// Who waits for each key that is being filled.
type Flights = HashMap<Key, VecDeque<oneshot::Sender<Turn>>>;

/// What a lookup finds at once.
#[derive(Debug)]
pub(super) enum Found {
    /// An entry.
    Hit(Arc<Entry>),
    /// Nothing: the caller fills it.
    Fill(Fill),
    /// Nothing yet: another caller is filling it.
    Wait(oneshot::Receiver<Turn>),
    /// Nothing, and too many wait already.
    Crowded,
}

/// What ends a wait.
#[derive(Debug)]
pub(super) enum Turn {
    /// The entry that was waited for.
    Entry(Arc<Entry>),
    /// The one filling it gave up: the turn is the waiter's.
    Fill(Fill),
}

impl CacheBook {
    /// Opens an empty cache that keeps at most `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        let tally = Tally::default();
        let evicted = Arc::clone(&tally.evicted);
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evicted.fetch_add(1, Relaxed);
                }
            })
            .weigher(|_, kept: &Kept| u32::try_from(kept.entry.weight()).unwrap_or(u32::MAX))
            .expire_after(ByTtl)
            .build();
        Self { entries, max_bytes, flights: Mutex::default(), purges: Purges::default(), tally }
    }

    /// What all entries together may weigh.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The key as it is since the last purge of its policy.
    pub fn current(&self, policy: &str, key: Key) -> Key {
        if self.purges.count.load(Acquire) == 0 {
            return key;
        }
        let time = {
            let times = read(&self.purges.times);
            times.0.saturating_add(times.1.get(policy).copied().unwrap_or(0))
        };
        let mut key = key;
        // A digest with some of its bits turned is the digest of nothing that anybody will ever ask.
        for (own, turned) in key.iter_mut().zip(time.to_le_bytes()) {
            *own ^= turned;
        }
        key
    }

    /// Looks up a key: an entry, the right to fill it, or a place in the line for it.
    pub(super) fn lookup(self: &Arc<Self>, key: Key, now: Now) -> Found {
        if let Some(entry) = self.find(&key, now) {
            return self.hit(entry);
        }
        let mut flights = lock(&self.flights);
        let Some(waiters) = flights.get_mut(&key) else {
            // Stored between the two looks: an entry is there before its flight is gone.
            if let Some(entry) = self.find(&key, now) {
                return self.hit(entry);
            }
            return Found::Fill(self.take_off(&mut flights, key));
        };
        if waiters.len() >= WAITERS {
            waiters.retain(|waiter| !waiter.is_closed());
        }
        if waiters.len() >= WAITERS {
            self.tally.crowded.fetch_add(1, Relaxed);
            return Found::Crowded;
        }
        let (sender, receiver) = oneshot::channel();
        waiters.push_back(sender);
        self.tally.waits.fetch_add(1, Relaxed);
        Found::Wait(receiver)
    }

    /// Takes the right to fill a key without looking at what is kept, unless another caller has it.
    pub(super) fn refresh(self: &Arc<Self>, key: Key) -> Option<Fill> {
        let mut flights = lock(&self.flights);
        (!flights.contains_key(&key)).then(|| self.take_off(&mut flights, key))
    }

    /// Keeps an entry and hands it to everybody who waits for it.
    pub fn store(&self, mut fill: Fill, entry: Entry, ttl: Duration, now: Now) {
        fill.record(Arc::new(entry), ttl);
        fill.close(|| now);
    }

    /// Forgets the entries of a policy, by its id, or all of them. Fills under way go on for those who wait for them, and
    /// what they bring is not found any more.
    ///
    /// Looks at every entry: nothing for a thread that serves callers.
    pub fn purge(&self, policy: Option<&Arc<str>>) -> Purged {
        {
            let mut times = write(&self.purges.times);
            let time = match policy {
                None => &mut times.0,
                Some(policy) => times.1.entry(Arc::clone(policy)).or_default(),
            };
            *time = time.saturating_add(1);
            self.purges.count.fetch_add(1, Release);
        }
        let mut purged = Purged::default();
        for (key, kept) in &self.entries {
            if policy.is_none_or(|policy| *policy == kept.entry.policy) {
                self.entries.invalidate(&*key);
                let weight = u64::try_from(kept.entry.weight()).unwrap_or(u64::MAX);
                purged.entries = purged.entries.saturating_add(1);
                purged.bytes = purged.bytes.saturating_add(weight);
            }
        }
        self.settle();
        self.tally.purged.fetch_add(purged.entries, Relaxed);
        purged
    }

    /// Does what is put off: throws out what is too much.
    pub fn settle(&self) {
        self.entries.run_pending_tasks();
    }

    /// Returns a copy of the counters.
    pub fn counters(&self) -> CacheCounters {
        let flights = lock(&self.flights);
        CacheCounters {
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
            filling: flights.len(),
            waiting: flights.values().flatten().filter(|waiter| !waiter.is_closed()).count(),
            hits: self.tally.hits.load(Relaxed),
            fills: self.tally.fills.load(Relaxed),
            waits: self.tally.waits.load(Relaxed),
            crowded: self.tally.crowded.load(Relaxed),
            stored: self.tally.stored.load(Relaxed),
            oversized: self.tally.oversized.load(Relaxed),
            evicted: self.tally.evicted.load(Relaxed),
            purged: self.tally.purged.load(Relaxed),
        }
    }

    fn find(&self, key: &Key, now: Now) -> Option<Arc<Entry>> {
        let kept = self.entries.get(key)?;
        (now.steady < kept.expires).then_some(kept.entry)
    }

    /// Counts a lookup that Redis answered.
    pub(super) fn note_hit(&self) {
        self.tally.hits.fetch_add(1, Relaxed);
    }

    fn hit(&self, entry: Arc<Entry>) -> Found {
        self.tally.hits.fetch_add(1, Relaxed);
        Found::Hit(entry)
    }

    /// Begins a flight.
    fn take_off(self: &Arc<Self>, flights: &mut Flights, key: Key) -> Fill {
        flights.insert(key, VecDeque::new());
        self.tally.fills.fetch_add(1, Relaxed);
        self.fill(key)
    }

    fn fill(self: &Arc<Self>, key: Key) -> Fill {
        Fill::new(key, Arc::clone(self))
    }

    /// Keeps an entry unless it can never fit or is over at once.
    pub(super) fn keep(&self, key: Key, entry: &Arc<Entry>, ttl: Duration, now: Now) {
        if u64::try_from(entry.weight()).unwrap_or(u64::MAX) > self.max_bytes {
            self.tally.oversized.fetch_add(1, Relaxed);
        } else if !ttl.is_zero() {
            let expires = now.steady.saturating_add(ttl);
            self.entries.insert(key, Kept { entry: Arc::clone(entry), expires, ttl });
            self.tally.stored.fetch_add(1, Relaxed);
        }
    }

    /// Ends the flight of a key and hands the entry to its waiters.
    pub(super) fn land(&self, key: &Key, entry: &Arc<Entry>) {
        let waiters = lock(&self.flights).remove(key).unwrap_or_default();
        for waiter in waiters {
            // A waiter that has left does not need it.
            let _ = waiter.send(Turn::Entry(Arc::clone(entry)));
        }
    }

    /// Passes the turn to the first waiter who is still there, or ends the flight.
    pub(super) fn pass_on(self: &Arc<Self>, key: Key) {
        while let Some(waiter) = self.next_waiter(&key) {
            match waiter.send(Turn::Fill(self.fill(key))) {
                Ok(()) => {
                    self.tally.fills.fetch_add(1, Relaxed);
                    return;
                }
                // Closed without passing on: this loop does.
                Err(Turn::Fill(fill)) => fill.disarm(),
                Err(Turn::Entry(_)) => {}
            }
        }
    }

    fn next_waiter(&self, key: &Key) -> Option<oneshot::Sender<Turn>> {
        let mut flights = lock(&self.flights);
        let next = flights.get_mut(key).and_then(VecDeque::pop_front);
        if next.is_none() {
            flights.remove(key);
        }
        next
    }
}
