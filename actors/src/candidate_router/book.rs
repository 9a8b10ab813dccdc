//! The health of all targets: cooldowns, failed checks, attempts under way, latencies.
//!
//! Each target is a handful of atomics, so a plan takes one shared lock and waits for nobody, and a
//! report takes none but that. A cooldown and its reason are one word, so that they are never read
//! apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use smallvec::SmallVec;

use super::group::{
    AllUnavailable, AttemptFailure, AttemptOutcome, Check, Condition, Group, Reason, RouteContext, Target,
    TargetStatus, WhenAllUnavailable,
};
use crate::register::Register;
use crate::types::Now;

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
#[derive(Debug, Default)]
pub struct Health {
    targets: Register<TargetState>,
    planned: AtomicU64,
    refused: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    cooled: AtomicU64,
}

impl Health {
    /// Opens a book in which every target is healthy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the candidates of a group: the healthy ones, otherwise the cooling ones, otherwise
    /// as its policy says.
    ///
    /// The list is cut to `1 + max_fallbacks` targets before anything is left out. A group of one
    /// is always planned.
    ///
    /// # Errors
    /// When all are unhealthy and the group's policy is to fail, or when it has no targets.
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
        if refuses { Err(AllUnavailable { retry_after: None }) } else { Ok(candidates) }
    }

    /// Records what a background check of a target came to; a cooldown goes on.
    pub fn record_check(&self, id: &Arc<str>, check: Check, _now: Now) {
        let state = self.targets.entry(id);
        let (is_unhealthy, status) = match check {
            Check::Passed => (false, 0),
            Check::Ignored(status) => (state.is_unhealthy.load(Relaxed), status),
            Check::Failed(status) => (true, status.unwrap_or_default()),
        };
        state.last_check_status.store(status, Relaxed);
        state.is_unhealthy.store(is_unhealthy, Relaxed);
    }

    /// Returns where a target stands; one that was never planned is healthy.
    pub fn status(&self, id: &str, now: Now) -> TargetStatus {
        self.targets.find(id).unwrap_or_default().status(now)
    }

    /// Forgets the targets that no longer exist.
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) {
        self.targets.retain(|id, _| keep(id));
    }

    /// Returns a copy of the counters.
    pub fn counters(&self) -> RouterCounters {
        let targets = self.targets.read();
        RouterCounters {
            targets: targets.len(),
            in_flight: targets.values().map(|state| u64::from(state.in_flight.load(Relaxed))).sum(),
            planned: self.planned.load(Relaxed),
            refused: self.refused.load(Relaxed),
            succeeded: self.succeeded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            cooled: self.cooled.load(Relaxed),
        }
    }

    /// Records what an attempt came to.
    pub fn record(&self, candidate: &Candidate, outcome: AttemptOutcome, now: Now) {
        match outcome {
            AttemptOutcome::Succeeded { latency } => {
                self.succeeded.fetch_add(1, Relaxed);
                candidate.state.succeed(latency);
            }
            AttemptOutcome::Failed { failure, retry_after } => {
                self.failed.fetch_add(1, Relaxed);
                if let Some(ttl) = candidate.target.cooldown.ttl(failure, retry_after) {
                    self.cooled.fetch_add(1, Relaxed);
                    candidate.state.cool(failure, now.steady.saturating_add(ttl));
                }
            }
        }
    }

    /// Returns the targets that may be tried, in the order of the group's strategy.
    fn ordered(&self, group: &Group, context: &RouteContext, now: Now) -> Candidates {
        let known = self.targets.read();
        let places = group.members.iter().map(|member| &member.target).enumerate();
        let tried = places.filter(|(index, _)| context.eligible.has(*index)).take(group.reach());
        let mut unknown = false;
        let candidates = tried.clone().map_while(|(index, target)| {
            let state = known.get(&target.id);
            unknown |= state.is_none();
            state.map(|state| Candidate::new(index, target, state, now))
        });
        let candidates: Candidates = candidates.collect();
        drop(known);
        if !unknown {
            return candidates;
        }
        tried
            .map(|(index, target)| Candidate::new(index, target, &self.targets.entry(&target.id), now))
            .collect()
    }
}

/// One target's state.
#[derive(Debug, Default)]
pub(super) struct TargetState {
    in_flight: AtomicU32,
    /// The end of the cooldown in steady milliseconds, above [`REASON_BITS`] bits of reason; zero
    /// for none.
    cooldown: AtomicU64,
    /// How often it began to cool, or cools for longer.
    cooled: AtomicU64,
    is_unhealthy: AtomicBool,
    /// Zero for none.
    last_check_status: AtomicU16,
    /// Moving mean in microseconds; zero for none.
    latency_micros: AtomicU64,
}

/// The low bits of a cooldown that say why.
const REASON_BITS: u32 = 8;

impl TargetState {
    /// Cools until a steady time; never ends a longer cooldown.
    fn cool(&self, failure: AttemptFailure, until: Duration) {
        let millis = u64::try_from(until.as_millis()).unwrap_or(u64::MAX >> REASON_BITS);
        let word = (millis << REASON_BITS) | u64::from(Reason::from(failure) as u8);
        self.cooldown.fetch_max(word, Relaxed);
        self.cooled.fetch_add(1, Relaxed);
    }

    /// Ends the cooldown, and adds a latency to the moving mean, in which it counts three tenths.
    fn succeed(&self, latency: Duration) {
        if self.cooldown.load(Relaxed) != 0 {
            self.cooldown.store(0, Relaxed);
        }
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        let mean = self.latency_micros.load(Relaxed);
        let old = if mean == 0 { micros } else { mean };
        let sum = old.saturating_mul(7).saturating_add(micros.saturating_mul(3));
        // Two reports at the same moment may lose one sample of a mean; that is cheaper than a
        // loop.
        self.latency_micros.store((sum / 10).max(1), Relaxed);
    }

    /// Returns the end of the cooldown and why, while it lasts.
    fn cooling(&self, now: Now) -> Option<(Duration, Option<Reason>)> {
        let word = self.cooldown.load(Relaxed);
        let until = Duration::from_millis(word >> REASON_BITS);
        let reason = u8::try_from(word & u64::from(u8::MAX)).ok().and_then(Reason::of_code);
        (until > now.steady).then_some((until, reason))
    }

    fn condition(&self, now: Now) -> Condition {
        if self.cooling(now).is_some() {
            Condition::Cooling
        } else if self.is_unhealthy.load(Relaxed) {
            Condition::Unhealthy
        } else {
            Condition::Healthy
        }
    }

    fn status(&self, now: Now) -> TargetStatus {
        let condition = self.condition(now);
        let cooling = self.cooling(now);
        let reason = match condition {
            Condition::Healthy => None,
            Condition::Cooling => cooling.and_then(|(_, reason)| reason),
            Condition::Unhealthy => Some(Reason::BackgroundCheckFailed),
        };
        let latency = self.latency_micros.load(Relaxed);
        TargetStatus {
            condition,
            reason,
            cooldown_until: cooling.map(|(until, _)| now.unix_of(until)),
            last_check_status: Some(self.last_check_status.load(Relaxed)).filter(|status| *status != 0),
            last_checked_at: None,
            consecutive_failures: 0,
            cooled: self.cooled.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            latency: (latency != 0).then(|| Duration::from_micros(latency)),
        }
    }
}

/// A target in the order to try for this request.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its place in the group's targets.
    pub index: usize,
    /// The target.
    pub target: Arc<Target>,
    /// Its condition when the plan was made.
    pub condition: Condition,
    state: Arc<TargetState>,
}

impl Candidate {
    fn new(index: usize, target: &Arc<Target>, state: &Arc<TargetState>, now: Now) -> Self {
        let condition = state.condition(now);
        Self { index, target: Arc::clone(target), condition, state: Arc::clone(state) }
    }

    /// Counts an attempt as under way until the returned value is dropped.
    ///
    /// # Errors
    /// When the target has failed, its cooldown is over, and another request is finding out whether it is well.
    pub fn begin(&self) -> Result<InFlight, BeingProbed> {
        self.state.in_flight.fetch_add(1, Relaxed);
        Ok(InFlight(Arc::clone(&self.state)))
    }

    /// As [`Self::begin`], but asks the target in any case: nobody else is left.
    pub fn begin_anyway(&self) -> InFlight {
        self.state.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(&self.state))
    }
}

/// Another request is finding out whether the target is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeingProbed;

/// An attempt under way.
#[derive(Debug)]
#[must_use = "dropping it ends the attempt"]
pub struct InFlight(Arc<TargetState>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// What an attempt came to, recorded when it is dropped.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) candidate: Candidate,
    pub(super) outcome: AttemptOutcome,
    pub(super) book: Arc<Health>,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.book.record(&self.candidate, self.outcome, Now::read());
    }
}
