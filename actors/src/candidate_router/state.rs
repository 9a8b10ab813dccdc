//! The state of one target: cooldown, checks, attempts under way, latency.
//!
//! It is a handful of atomics, so plans and reports wait for nobody. A cooldown and its reason are one word, so that they
//! are never read apart.
//!
//! A target whose cooldown has run out is **half-open**: its cooldown is still written down, and it goes back to being
//! healthy when an attempt succeeds or a check passes. Until then one attempt at a time may find out, the *probe*.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::time::Duration;

use super::outcome::AttemptFailure;
use super::status::{Check, Condition, Reason, TargetStatus};
use crate::types::Now;

/// How long others leave it to one attempt to find out whether a new target answers: longer answers are usual, and no
/// reason to leave it alone.
const TRIAL: Duration = Duration::from_secs(2);

/// The low bits of a cooldown that say why.
const REASON_BITS: u32 = 8;

/// The low bits of a check that say what it saw: a status, and above it whether it is not to count.
const CHECK_BITS: u32 = 17;
const IGNORED_BIT: u64 = 1 << 16;

/// One target's state.
#[derive(Debug, Default)]
pub(super) struct TargetState {
    in_flight: AtomicU32,
    /// The end of the cooldown in steady milliseconds, above [`REASON_BITS`] bits of reason; zero for none. It stays
    /// while the target is half-open.
    cooldown: AtomicU64,
    /// How often it began to cool, or cools for longer.
    cooled: AtomicU64,
    /// The number of the attempt that probes; zero for none.
    probe: AtomicU64,
    /// Probes numbered so far, so that one that is over cannot give back another's.
    probes: AtomicU64,
    /// When the last check that counts failed, in steady milliseconds; zero where it passed.
    failed_check: AtomicU64,
    /// The last check in steady milliseconds, above [`CHECK_BITS`] bits of what it saw; zero for none.
    last_check: AtomicU64,
    /// How long a failed check counts in milliseconds, as the last plan knew it; zero for ever. Status pages know a
    /// target by its id alone.
    stale_after: AtomicU64,
    consecutive_failures: AtomicU32,
    /// Until when others leave it to one attempt to find out whether it answers at all, in steady milliseconds.
    trial_end: AtomicU64,
    /// Moving mean in microseconds; zero for none.
    latency_micros: AtomicU64,
    /// Moving mean of the tokens of an answer; zero for none.
    output_tokens: AtomicU64,
}

impl TargetState {
    /// Counts a failure, and cools until a steady time where one is given; never ends a longer cooldown.
    pub(super) fn fail(&self, failure: AttemptFailure, until: Option<Duration>) {
        if failure.is_retryable() {
            self.consecutive_failures.fetch_add(1, Relaxed);
        }
        if let Some(until) = until {
            let word = (millis(until, REASON_BITS) << REASON_BITS) | u64::from(Reason::from(failure) as u8);
            self.cooldown.fetch_max(word, Relaxed);
            self.cooled.fetch_add(1, Relaxed);
        }
    }

    /// Closes what was cooling or half-open, and adds a latency to the moving mean, in which it counts three tenths.
    pub(super) fn succeed(&self, latency: Duration) {
        self.close(self.cooldown.load(Relaxed));
        if self.consecutive_failures.load(Relaxed) != 0 {
            self.consecutive_failures.store(0, Relaxed);
        }
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        let mean = self.latency_micros.load(Relaxed);
        let old = if mean == 0 { micros } else { mean };
        let sum = old.saturating_mul(7).saturating_add(micros.saturating_mul(3));
        // Two reports at the same moment may lose one sample of a mean; that is cheaper than a
        // loop.
        self.latency_micros.store((sum / 10).max(1), Relaxed);
    }

    /// Adds the tokens of an answer to the moving mean, in which they count one tenth.
    pub(super) fn note_output(&self, tokens: u64) {
        let mean = self.output_tokens.load(Relaxed);
        let old = if mean == 0 { tokens } else { mean };
        let sum = old.saturating_mul(9).saturating_add(tokens);
        // As with latency, a lost sample is cheaper than a loop. Rounded up, so that a mean of none is never zero.
        self.output_tokens.store(sum.div_ceil(10).max(1), Relaxed);
    }

    /// Returns the moving mean of the tokens of an answer; `None` before the first.
    pub(super) fn usual_output(&self) -> Option<u64> {
        Some(self.output_tokens.load(Relaxed)).filter(|mean| *mean > 0)
    }

    /// Records a background check; one that passes closes what is half-open, and leaves a cooldown alone.
    pub(super) fn check(&self, check: Check, now: Now) {
        let at = millis(now.steady, CHECK_BITS).max(1);
        let seen = match check {
            Check::Passed => 0,
            Check::Ignored(status) => IGNORED_BIT | u64::from(status),
            Check::Failed(status) => u64::from(status.unwrap_or_default()),
        };
        self.last_check.store((at << CHECK_BITS) | seen, Relaxed);
        match check {
            Check::Passed => self.failed_check.store(0, Relaxed),
            Check::Ignored(_) => {}
            Check::Failed(_) => self.failed_check.store(at, Relaxed),
        }
        let word = self.cooldown.load(Relaxed);
        if check == Check::Passed && end_of(word) <= now.steady {
            self.close(word);
        }
    }

    /// Takes back the cooldown, unless it is another one by now; who probed it need not any more.
    fn close(&self, word: u64) {
        if word != 0 && self.cooldown.compare_exchange(word, 0, Relaxed, Relaxed).is_ok() {
            self.probe.store(0, Relaxed);
        }
    }

    /// Keeps how long a failed check counts, for [`Self::status`].
    pub(super) fn remember(&self, stale_after: Option<Duration>) {
        let stale_after = stale_after.map_or(0, |after| millis(after, 0).max(1));
        if self.stale_after.load(Relaxed) != stale_after {
            self.stale_after.store(stale_after, Relaxed);
        }
    }

    /// Returns its condition, where a failed check counts for so long.
    pub(super) fn condition(&self, stale_after: Option<Duration>, now: Now) -> Condition {
        let word = self.cooldown.load(Relaxed);
        if end_of(word) > now.steady {
            Condition::Cooling
        } else if self.failed_check(stale_after, now).is_some() {
            Condition::Unhealthy
        } else if word != 0 && self.probe.load(Relaxed) != 0 {
            Condition::Cooling
        } else {
            Condition::Healthy
        }
    }

    /// Returns how long it stays unhealthy, where its check has failed and goes stale.
    pub(super) fn unhealthy_for(&self, stale_after: Option<Duration>, now: Now) -> Option<Duration> {
        let end = self.failed_check(stale_after, now)?.checked_add(stale_after?)?;
        Some(end.saturating_sub(now.steady))
    }

    /// Returns when a check failed that counts still.
    fn failed_check(&self, stale_after: Option<Duration>, now: Now) -> Option<Duration> {
        let at = self.failed_check.load(Relaxed);
        let failed = (at != 0).then(|| Duration::from_millis(at))?;
        stale_after.is_none_or(|after| failed.saturating_add(after) > now.steady).then_some(failed)
    }

    pub(super) fn status(&self, now: Now) -> TargetStatus {
        let stale_after = self.stale_after.load(Relaxed);
        let stale_after = (stale_after != 0).then(|| Duration::from_millis(stale_after));
        let condition = self.condition(stale_after, now);
        let word = self.cooldown.load(Relaxed);
        let check = self.last_check.load(Relaxed);
        let reason = match condition {
            Condition::Healthy => (check & IGNORED_BIT != 0).then_some(Reason::IgnoredTransientError),
            Condition::Cooling => u8::try_from(word & u64::from(u8::MAX)).ok().and_then(Reason::of_code),
            Condition::Unhealthy => Some(Reason::BackgroundCheckFailed),
        };
        let latency = self.latency_micros();
        TargetStatus {
            condition,
            reason,
            cooldown_until: Some(end_of(word)).filter(|end| *end > now.steady).map(|end| now.unix_of(end)),
            last_check_status: u16::try_from(check & u64::from(u16::MAX)).ok().filter(|status| *status != 0),
            last_checked_at: (check != 0).then(|| now.unix_of(Duration::from_millis(check >> CHECK_BITS))),
            consecutive_failures: self.consecutive_failures.load(Relaxed),
            cooled: self.cooled.load(Relaxed),
            in_flight: self.in_flight(),
            latency: (latency != 0).then(|| Duration::from_micros(latency)),
        }
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether it has yet to answer for the first time, and somebody began to wait for that a short while ago.
    pub(super) fn is_on_trial(&self, now: Now) -> bool {
        self.latency_micros() == 0
            && self.in_flight() > 0
            && Duration::from_millis(self.trial_end.load(Relaxed)) > now.steady
    }

    pub(super) fn latency_micros(&self) -> u64 {
        self.latency_micros.load(Relaxed)
    }

    /// Takes the probe of a target that is not healthy, where it is free; gives its number.
    fn take_probe(&self) -> Option<u64> {
        if self.probe.load(Relaxed) != 0 {
            return None;
        }
        let number = self.probes.fetch_add(1, Relaxed).saturating_add(1);
        self.probe.compare_exchange(0, number, AcqRel, Relaxed).is_ok().then_some(number)
    }
}

/// The end of a cooldown as it is written down.
fn end_of(word: u64) -> Duration {
    Duration::from_millis(word >> REASON_BITS)
}

/// A time in whole milliseconds that leaves some bits free.
fn millis(time: Duration, free_bits: u32) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(u64::MAX >> free_bits)
}

/// Another request is finding out whether the target is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeingProbed;

/// An attempt under way.
#[derive(Debug)]
pub struct InFlight {
    state: Arc<TargetState>,
    /// The number of its probe; zero for none.
    probe: u64,
}

impl InFlight {
    /// Counts an attempt, which is the probe where the target needs one; the clock is read only where that is taken, or
    /// where the target is new.
    ///
    /// An attempt that begins while the target cools, and may still be under way when that is over, is a probe too.
    pub(super) fn begin(state: &Arc<TargetState>, clock: impl Fn() -> Now) -> Result<Self, BeingProbed> {
        let word = state.cooldown.load(Relaxed);
        let probe = if word == 0 { None } else { state.take_probe() };
        if word != 0 && probe.is_none() && end_of(word) <= clock().steady {
            return Err(BeingProbed);
        }
        Ok(Self::count(state, probe, clock))
    }

    /// Counts an attempt in any case, as the probe where the target needs one and it is free.
    pub(super) fn begin_anyway(state: &Arc<TargetState>, clock: impl Fn() -> Now) -> Self {
        let is_well = state.cooldown.load(Relaxed) == 0;
        Self::count(state, if is_well { None } else { state.take_probe() }, clock)
    }

    fn count(state: &Arc<TargetState>, probe: Option<u64>, clock: impl Fn() -> Now) -> Self {
        let others = state.in_flight.fetch_add(1, Relaxed);
        if others == 0 && state.latency_micros() == 0 {
            state.trial_end.store(millis(clock().steady.saturating_add(TRIAL), 0), Relaxed);
        }
        Self { state: Arc::clone(state), probe: probe.unwrap_or_default() }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Relaxed);
        if self.probe != 0 {
            // Taken from it already where the target is well again.
            let _ = self.state.probe.compare_exchange(self.probe, 0, AcqRel, Acquire);
        }
    }
}
