//! A target in the order to try, and how an attempt at it begins and ends.

use std::sync::Arc;
use std::time::Duration;

use super::book::Health;
use super::group::Target;
use super::outcome::AttemptOutcome;
use super::state::{BeingProbed, InFlight, TargetState};
use super::status::Condition;
use crate::types::Now;

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
    pub(super) fn new(
        index: usize,
        target: &Arc<Target>,
        condition: Condition,
        state: Arc<TargetState>,
    ) -> Self {
        state.remember(target.check_stale_after);
        Self { index, target: Arc::clone(target), condition, state }
    }

    /// Gives a target that was planned for the first time the state that all share.
    pub(super) fn meet(&mut self, state: Arc<TargetState>) {
        state.remember(self.target.check_stale_after);
        self.state = state;
    }

    pub(super) fn state(&self) -> &TargetState {
        &self.state
    }

    /// Takes note of how many tokens an answer had.
    pub fn note_output(&self, tokens: u64) {
        self.state.note_output(tokens);
    }

    /// Returns how many tokens an answer has of late; `None` before the first.
    pub fn usual_output(&self) -> Option<u64> {
        self.state.usual_output()
    }

    /// Returns how long it stays unhealthy, where it is and that is known.
    pub(super) fn unhealthy_for(&self, now: Now) -> Option<Duration> {
        self.state.unhealthy_for(self.target.check_stale_after, now)
    }

    /// Counts an attempt as under way until the returned value is dropped.
    ///
    /// At a target that has failed, and whose cooldown is over, it is the one that finds out whether the target is well.
    ///
    /// # Errors
    /// When another request is finding that out.
    pub fn begin(&self) -> Result<InFlight, BeingProbed> {
        InFlight::begin(&self.state, Now::read)
    }

    /// As [`Self::begin`], at a given time.
    ///
    /// # Errors
    /// When another request is finding out whether the target is well.
    pub fn begin_at(&self, now: Now) -> Result<InFlight, BeingProbed> {
        InFlight::begin(&self.state, || now)
    }

    /// As [`Self::begin`], but asks the target in any case: nobody else is left.
    pub fn begin_anyway(&self) -> InFlight {
        InFlight::begin_anyway(&self.state, Now::read)
    }
}

/// What an attempt came to, recorded when it is dropped.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) candidate: Candidate,
    pub(super) outcome: AttemptOutcome,
    pub(super) book: Arc<Health>,
    /// The attempt, where it is over; counted off after it is recorded.
    pub(super) _over: Option<InFlight>,
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.book.record(&self.candidate, self.outcome, Now::read());
    }
}
