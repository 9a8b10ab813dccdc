//! The book of limits: the counts of every scope.
//!
//! All scopes of a request are locked in one stable order, all are checked, then all are taken
//! from. So limits are exact whatever the number of workers, and a refusal leaves no trace. A scope
//! that is idle is swept when its shard grows.

use foldhash::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use smallvec::SmallVec;

use super::counts::{Admission, Counts, Drained, Refusal, Taken, Told, rest_of_minute};
use super::limit::{LimitExceeded, Scope, Standing, Use};
use super::permit::{Ending, Permit};
use crate::register::lock;
use crate::types::Now;

/// Shards of the map of scopes: enough that workers rarely meet, few enough that sweeping one is
/// short.
const SHARDS: usize = 64;

/// Scopes in a shard below which sweeping is not worth it.
const SWEEP_FROM: usize = 64;

/// The scopes of one request: its key, its model and a few policies.
pub type Scopes = SmallVec<[Arc<Scope>; 2]>;

/// The counts of all scopes, shared by the limiters of all workers.
#[derive(Debug)]
pub struct LimitBook {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    ordinals: AtomicU64,
    tally: Tally,
}

/// What the limiters have done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitCounters {
    /// Scopes known.
    pub scopes: usize,
    /// Permits held.
    pub held: u64,
    /// Requests admitted.
    pub admitted: u64,
    /// Requests refused.
    pub refused: u64,
    /// Permits settled with a figure.
    pub settled: u64,
    /// Permits given back with nothing used.
    pub released: u64,
    /// Permits cancelled.
    pub cancelled: u64,
}

#[derive(Debug, Default)]
struct Tally {
    admitted: AtomicU64,
    refused: AtomicU64,
    settled: AtomicU64,
    released: AtomicU64,
    cancelled: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    scopes: HashMap<Arc<str>, Arc<ScopeState>>,
    sweep_at: usize,
}

#[derive(Debug)]
pub(super) struct ScopeState {
    /// The place in the order of locking.
    ordinal: u64,
    pub(super) counts: Mutex<Counts>,
}

/// A scope of one request, and its state.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) scope: Arc<Scope>,
    pub(super) state: Arc<ScopeState>,
    /// The place in the order of checking.
    pub(super) rank: usize,
}

impl Default for LimitBook {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            ordinals: AtomicU64::new(0),
            tally: Tally::default(),
        }
    }
}

impl LimitBook {
    /// Opens an empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one request and a hold of `tokens` from every scope, or nothing from any.
    ///
    /// # Errors
    /// The refusal of the first scope, in the order given, that does not admit.
    pub fn acquire(
        self: &Arc<Self>,
        scopes: &[Arc<Scope>],
        tokens: u64,
        now: Now,
    ) -> Result<Permit, LimitExceeded> {
        let shares = self.shares(scopes, now);
        match take_all(&shares, tokens, now) {
            Ok(taken) => {
                self.tally.admitted.fetch_add(1, Relaxed);
                let shares = shares.into_iter().zip(taken).collect();
                Ok(Permit::new(shares, Arc::clone(self)))
            }
            Err(refusal) => {
                self.tally.refused.fetch_add(1, Relaxed);
                Err(refusal)
            }
        }
    }

    /// Replaces a permit's hold by the tokens truly used, now.
    pub fn settle(&self, mut permit: Permit, tokens: u64, now: Now) {
        permit.record(tokens);
        permit.close(|| now);
    }

    /// Returns where a scope stands, without taking anything.
    pub fn peek(&self, scope: &Scope, now: Now) -> Standing {
        let state = lock(self.shard(&scope.id)).scopes.get(&scope.id).cloned();
        let standing = state.map(|state| lock(&state.counts).standing(now));
        let (used_requests_minute, used_tokens_minute, concurrent) = standing.unwrap_or_default();
        Standing {
            limit: scope.limit.clone(),
            used_requests_minute,
            used_tokens_minute,
            concurrent,
            minute_resets_in: rest_of_minute(now),
        }
    }

    /// Returns what is used of every limit of a scope, without taking anything.
    pub fn uses(&self, scope: &Scope, now: Now) -> Vec<Use> {
        let state = lock(self.shard(&scope.id)).scopes.get(&scope.id).cloned();
        match state {
            Some(state) => lock(&state.counts).uses(&scope.limit, now),
            None => Counts::default().uses(&scope.limit, now),
        }
    }

    /// Returns a copy of the counters.
    pub fn counters(&self) -> LimitCounters {
        let settled = self.tally.settled.load(Relaxed);
        let released = self.tally.released.load(Relaxed);
        let cancelled = self.tally.cancelled.load(Relaxed);
        let admitted = self.tally.admitted.load(Relaxed);
        let ended = settled.saturating_add(released).saturating_add(cancelled);
        LimitCounters {
            scopes: self.shards.iter().map(|shard| lock(shard).scopes.len()).sum(),
            held: admitted.saturating_sub(ended),
            admitted,
            refused: self.tally.refused.load(Relaxed),
            settled,
            released,
            cancelled,
        }
    }

    /// Counts a request as admitted or refused by limits that are shared.
    pub(super) fn note(&self, is_admitted: bool) {
        let counter = if is_admitted { &self.tally.admitted } else { &self.tally.refused };
        counter.fetch_add(1, Relaxed);
    }

    /// Notes what all gateways together have counted in a scope.
    pub(super) fn learn(&self, scope: &Scope, told: &Told, now: Now) {
        lock(&self.state(&scope.id, now).counts).learn(told);
    }

    /// Takes out what is counted in the windows current now, by scope.
    pub(super) fn drain(&self, now: Now) -> Vec<(Arc<str>, Drained)> {
        let states = self.states();
        let drained = states.into_iter().map(|(id, state)| (id, lock(&state.counts).drain(now)));
        drained.filter_map(|(id, drained)| Some((id, drained?))).collect()
    }

    /// Returns whether permits of this book are open.
    pub(super) fn is_held(&self) -> bool {
        self.states().iter().any(|(_, state)| lock(&state.counts).is_held())
    }

    fn states(&self) -> Vec<(Arc<str>, Arc<ScopeState>)> {
        let mut states = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            states.extend(shard.scopes.iter().map(|(id, state)| (Arc::clone(id), Arc::clone(state))));
        }
        states
    }

    /// Counts a permit as closed.
    pub(super) fn count(&self, ending: Ending) {
        let counter = match ending {
            Ending::Unused => &self.tally.released,
            Ending::Used(_) => &self.tally.settled,
            Ending::Cancelled => &self.tally.cancelled,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Finds the states of the limited scopes, each once, in the order of locking.
    fn shares(&self, scopes: &[Arc<Scope>], now: Now) -> SmallVec<[Share; 2]> {
        let limited = scopes.iter().filter(|scope| !scope.limit.is_unlimited()).enumerate();
        let mut shares: SmallVec<[Share; 2]> = limited
            .map(|(rank, scope)| Share { scope: Arc::clone(scope), state: self.state(&scope.id, now), rank })
            .collect();
        shares.sort_by_key(|share| (share.state.ordinal, share.rank));
        // A state locked twice would wait for itself.
        shares.dedup_by_key(|share| share.state.ordinal);
        shares
    }

    fn state(&self, id: &Arc<str>, now: Now) -> Arc<ScopeState> {
        let mut shard = lock(self.shard(id));
        if let Some(state) = shard.scopes.get(id) {
            return Arc::clone(state);
        }
        shard.sweep(now);
        let ordinal = self.ordinals.fetch_add(1, Relaxed);
        let state = Arc::new(ScopeState { ordinal, counts: Mutex::default() });
        shard.scopes.insert(Arc::clone(id), Arc::clone(&state));
        state
    }

    fn shard(&self, id: &str) -> &Mutex<Shard> {
        let [first, ..] = &self.shards;
        let place = self.hasher.hash_one(id).checked_rem(SHARDS as u64);
        let place = place.and_then(|place| usize::try_from(place).ok()).unwrap_or_default();
        self.shards.get(place).unwrap_or(first)
    }
}

impl Shard {
    /// Forgets idle scopes once the shard has doubled since the last time.
    ///
    /// A state is reached only through this map, whose lock is held, or through a permit, which
    /// counts as a reference: so a state with one reference cannot be taken from while it is
    /// removed.
    fn sweep(&mut self, now: Now) {
        if self.scopes.len() < self.sweep_at.max(SWEEP_FROM) {
            return;
        }
        self.scopes.retain(|_, state| Arc::strong_count(state) > 1 || !lock(&state.counts).is_idle(now));
        self.sweep_at = self.scopes.len().saturating_mul(2);
    }
}

/// Locks all, checks all, then takes from all.
fn take_all(shares: &[Share], tokens: u64, now: Now) -> Result<SmallVec<[Taken; 2]>, LimitExceeded> {
    let mut counts: SmallVec<[MutexGuard<'_, Counts>; 2]> =
        shares.iter().map(|share| lock(&share.state.counts)).collect();
    let mut admissions: SmallVec<[Admission; 2]> = SmallVec::new();
    let mut first: Option<(&Share, Refusal)> = None;
    for (share, counts) in shares.iter().zip(&mut counts) {
        match counts.check(&share.scope.limit, now) {
            Ok(admission) => admissions.push(admission),
            Err(refusal) if first.as_ref().is_none_or(|(earlier, _)| share.rank < earlier.rank) => {
                first = Some((share, refusal));
            }
            Err(_) => {}
        }
    }
    if let Some((share, refusal)) = first {
        return Err(share.exceeded(refusal));
    }
    let taken = shares.iter().zip(&mut counts).zip(admissions);
    Ok(taken.map(|((share, counts), admission)| counts.take(&share.scope.limit, tokens, admission)).collect())
}

impl Share {
    fn exceeded(&self, refusal: Refusal) -> LimitExceeded {
        LimitExceeded {
            layer: self.scope.layer.clone(),
            scope: Arc::clone(&self.scope.id),
            dimension: refusal.dimension,
            limit: refusal.limit,
            used: refusal.used,
            retry_after: refusal.retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{START, scope};
    use super::super::{Layer, RateLimit};
    use super::*;

    #[test]
    fn a_scope_that_is_about_to_be_taken_from_is_not_swept() {
        let book = LimitBook::new();
        let limit = RateLimit { rpm: Some(1), ..RateLimit::default() };
        let wanted = [scope("wanted", Layer::ApiKey, limit)];
        let found = book.shares(&wanted, START);
        for number in 0..SHARDS * SWEEP_FROM * 4 {
            book.state(&number.to_string().into(), START);
        }
        assert!(book.counters().scopes < SHARDS * SWEEP_FROM * 2, "the others are swept");
        let again = book.shares(&wanted, START);
        assert!(Arc::ptr_eq(&found[0].state, &again[0].state));
    }
}
