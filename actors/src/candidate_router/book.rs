//! The state of all targets, and whose turn it is in each group: what plans go by and reports change.
//!
//! A plan takes one shared lock and waits for nobody, but where targets take turns, for a moment, for the other plans of
//! the group. A report takes none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use smallvec::SmallVec;

use super::candidate::Candidate;
use super::group::{Group, RouteContext, WhenAllUnavailable};
use super::order::View;
use super::outcome::AttemptOutcome;
use super::state::TargetState;
use super::status::{AllUnavailable, Check, Condition, TargetStatus};
use super::turns::Turns;
use crate::register::Register;
use crate::types::Now;

/// What separates the seeds of two random numbers: odd, with its bits well spread.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The candidates of one request, in the order to try.
pub type Candidates = SmallVec<[Candidate; 4]>;

/// What the routers have done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterCounters {
    /// Targets known.
    pub targets: usize,
    /// Attempts under way.
    pub in_flight: u64,
    /// Plans made.
    pub planned: u64,
    /// Plans refused.
    pub refused: u64,
    /// Attempts reported as successes.
    pub succeeded: u64,
    /// Attempts reported as failures.
    pub failed: u64,
    /// Cooldowns begun or extended.
    pub cooled: u64,
}

/// The state of all targets, shared by the routers of all workers.
#[derive(Debug)]
pub struct Health {
    targets: Register<TargetState>,
    /// By group, where targets take turns.
    turns: Register<Turns>,
    /// The seed of the next random number.
    seed: AtomicU64,
    planned: AtomicU64,
    refused: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    cooled: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self::with_seed(fastrand::u64(..))
    }
}

impl Health {
    /// Opens a book in which every target is healthy.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Self::new`], with the same random choices for the same seed.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            targets: Register::default(),
            turns: Register::default(),
            seed: AtomicU64::new(seed),
            planned: AtomicU64::default(),
            refused: AtomicU64::default(),
            succeeded: AtomicU64::default(),
            failed: AtomicU64::default(),
            cooled: AtomicU64::default(),
        }
    }

    /// Chooses the candidates of a group: the healthy ones, otherwise the cooling ones, otherwise
    /// as its policy says; in the order of its strategy, the highest priority first.
    ///
    /// The list is cut to `1 + max_fallbacks` targets before anything is left out. A group of one
    /// is always planned. A half-open target counts as healthy, or as cooling while it is probed.
    ///
    /// # Errors
    /// When all are unhealthy and the group's policy is to fail, or when none is eligible.
    pub fn plan(
        &self,
        group: &Group,
        context: &RouteContext,
        now: Now,
    ) -> Result<Candidates, AllUnavailable> {
        let mut candidates = self.ordered(group, context, now);
        let is_choice = group.members.len() > 1;
        let best =
            candidates.iter().map(|candidate| candidate.condition).min_by_key(|condition| *condition as u8);
        let refuses = match (best, group.when_all_unavailable) {
            (None, _) => true,
            (Some(Condition::Unhealthy), WhenAllUnavailable::Fail) => is_choice,
            (Some(Condition::Unhealthy), WhenAllUnavailable::TryAnyway) => false,
            (Some(best @ (Condition::Healthy | Condition::Cooling)), _) => {
                candidates.retain(|candidate| candidate.condition == best);
                false
            }
        };
        let counter = if refuses { &self.refused } else { &self.planned };
        counter.fetch_add(1, Relaxed);
        if !refuses {
            return Ok(candidates);
        }
        let waits = candidates.iter().filter_map(|candidate| candidate.unhealthy_for(now));
        Err(AllUnavailable { retry_after: waits.min() })
    }

    /// Records what a background check of a target came to. One that passes says that a target is well whose cooldown
    /// is over; a cooldown goes on.
    pub fn record_check(&self, id: &Arc<str>, check: Check, now: Now) {
        self.targets.entry(id).check(check, now);
    }

    /// Returns where a target stands; one that was never planned is healthy. A failed check counts for as long as the
    /// target's last plan knew.
    pub fn status(&self, id: &str, now: Now) -> TargetStatus {
        self.targets.find(id).unwrap_or_default().status(now)
    }

    /// Forgets the targets and the groups that no longer exist; the ids of both are those of models.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.targets.retain(|id, _| keep(id));
        self.turns.retain(|id, _| keep(id));
    }

    /// Returns a copy of the counters.
    pub fn counters(&self) -> RouterCounters {
        let targets = self.targets.read();
        RouterCounters {
            targets: targets.len(),
            in_flight: targets.values().map(|state| u64::from(state.in_flight())).sum(),
            planned: self.planned.load(Relaxed),
            refused: self.refused.load(Relaxed),
            succeeded: self.succeeded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            cooled: self.cooled.load(Relaxed),
        }
    }

    /// Records what an attempt came to. A success counts at once, even of an attempt that began before the cooldown.
    pub fn record(&self, candidate: &Candidate, outcome: AttemptOutcome, now: Now) {
        match outcome {
            AttemptOutcome::Succeeded { latency } => {
                self.succeeded.fetch_add(1, Relaxed);
                candidate.state().succeed(latency);
            }
            AttemptOutcome::Failed { failure, retry_after } => {
                self.failed.fetch_add(1, Relaxed);
                let ttl = candidate.target.cooldown.ttl(failure, retry_after);
                self.cooled.fetch_add(u64::from(ttl.is_some()), Relaxed);
                candidate.state().fail(failure, ttl.map(|ttl| now.steady.saturating_add(ttl)));
            }
        }
    }

    /// Returns the targets that may be tried, in order.
    fn ordered(&self, group: &Group, context: &RouteContext, now: Now) -> Candidates {
        let mut candidates = Candidates::new();
        let mut has_new = false;
        let known = self.targets.read();
        let view = View { book: self, group, context, known: &known, now };
        for tier in group.layout.tiers() {
            let room = group.reach().saturating_sub(candidates.len());
            if room == 0 {
                break;
            }
            for seat in view.order(tier, room) {
                has_new |= seat.state.is_none();
                let state = seat.state.cloned().unwrap_or_default();
                candidates.push(Candidate::new(seat.index, &seat.member.target, seat.condition, state));
            }
        }
        drop(known);
        if has_new {
            candidates.iter_mut().for_each(|candidate| {
                let state = self.targets.entry(&candidate.target.id);
                candidate.meet(state);
            });
        }
        candidates
    }

    /// Returns whose turn it is in a group.
    pub(super) fn turns(&self, group: &Arc<str>) -> Arc<Turns> {
        self.turns.entry(group)
    }

    /// Returns a random number below `end`.
    pub(super) fn random_below(&self, end: u64) -> u64 {
        let seed = self.seed.fetch_add(SEED_STEP, Relaxed);
        if end == 0 { 0 } else { fastrand::Rng::with_seed(seed).u64(..end) }
    }
}
