//! What a gateway knows of a budget that it shares: the figures last seen, and its own charges that were not part of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::budget::{Budget, Window};
use crate::types::{MicroUsd, Now};

/// Figures of one budget, as one answer has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) window: Window,
    pub(super) spent: MicroUsd,
    pub(super) held: MicroUsd,
    /// The last batch of this process that is part of them.
    pub(super) applied: u64,
    /// Time, of the steady clock, before which they cannot be from.
    pub(super) asked: Duration,
    /// When they came.
    pub(super) came: Duration,
}

/// Spend that was there before and is not any more.
#[derive(Debug, Clone)]
pub(super) struct Loss {
    pub(super) budget: Arc<Budget>,
    pub(super) window: Window,
    /// What was spent.
    pub(super) known: MicroUsd,
    /// What is said to be spent.
    pub(super) found: MicroUsd,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// The most that was seen in the latest period, and when anything was.
    last: Option<Last>,
    /// The last batch that was seen to be part of the figures.
    applied: u64,
    /// Charges in later batches, by batch and period.
    unapplied: VecDeque<(u64, Window, MicroUsd)>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    window: Window,
    spent: MicroUsd,
    came: Duration,
    /// Whether it was told that some is lost.
    has_told: bool,
}

impl Mirror {
    /// Takes figures over. Gives what is spent, what was known and is found instead where some is lost and that was not
    /// told yet, and whether these are the first figures.
    pub(super) fn observe(&mut self, seen: &Seen) -> (MicroUsd, Option<(MicroUsd, MicroUsd)>, bool) {
        self.applied = self.applied.max(seen.applied);
        let applied = self.applied;
        self.unapplied.retain(|(number, ..)| *number > applied);
        let is_first = self.last.is_none();
        let fresh = Last { window: seen.window, spent: seen.spent, came: seen.came, has_told: false };
        let last = self.last.get_or_insert(fresh);
        if last.window != seen.window {
            *last = fresh;
        }
        // Answers may overtake each other.
        let is_later = seen.asked >= last.came;
        let is_lost = is_later && seen.spent < last.spent;
        let loss =
            (is_lost && !std::mem::replace(&mut last.has_told, is_lost)).then_some((last.spent, seen.spent));
        if seen.spent >= last.spent {
            (last.spent, last.has_told) = (seen.spent, false);
        }
        last.came = last.came.max(seen.came);
        let known = last.spent;
        (known.saturating_add(self.unapplied_in(seen.window)), loss, is_first)
    }

    /// Notes a charge, and the batch that it is in; tells whether it may not be part of the figures yet.
    pub(super) fn note(&mut self, window: Window, (cost, number): (MicroUsd, u64)) -> bool {
        if number <= self.applied {
            return false;
        }
        match self.unapplied.back_mut() {
            Some((last, of, sum)) if (*last, *of) == (number, window) => *sum = sum.saturating_add(cost),
            _ => self.unapplied.push_back((number, window, cost)),
        }
        true
    }

    /// Whether nothing was seen of a period for longer than this.
    pub(super) fn is_stale(&self, window: Window, oldest: Duration, now: Now) -> bool {
        let last = self.last.filter(|last| last.window == window);
        last.is_none_or(|last| now.steady.saturating_sub(last.came) > oldest)
    }

    fn unapplied_in(&self, window: Window) -> MicroUsd {
        let costs = self.unapplied.iter().filter(|(_, of, _)| *of == window).map(|(.., cost)| *cost);
        costs.fold(MicroUsd::ZERO, MicroUsd::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(spent: u64, applied: u64, asked: u64, came: u64) -> Seen {
        let (asked, came) = (Duration::from_secs(asked), Duration::from_secs(came));
        let spent = MicroUsd(spent);
        Seen { window: Window::ENDLESS, spent, held: MicroUsd::ZERO, applied, asked, came }
    }

    #[test]
    fn a_charge_counts_once_whether_the_figures_have_it_or_not() {
        let mut mirror = Mirror::default();
        assert!(mirror.note(Window::ENDLESS, (MicroUsd(10), 1)));
        assert!(mirror.note(Window::ENDLESS, (MicroUsd(20), 2)));
        assert_eq!(mirror.observe(&seen(0, 0, 1, 2)).0, MicroUsd(30));
        assert_eq!(mirror.observe(&seen(10, 1, 2, 3)).0, MicroUsd(30), "the first is part of them");
        assert_eq!(mirror.observe(&seen(30, 2, 3, 4)).0, MicroUsd(30));
        assert!(!mirror.note(Window::ENDLESS, (MicroUsd(5), 2)), "they had it before it was noted");
        let earlier = Window { start: Duration::ZERO, end: Some(Duration::from_secs(9)) };
        mirror.note(earlier, (MicroUsd(7), 3));
        assert_eq!(mirror.observe(&seen(30, 2, 4, 5)).0, MicroUsd(30), "that is of another period");
    }

    #[test]
    fn lost_spend_is_told_of_once_and_again_after_it_was_there() {
        let mut mirror = Mirror::default();
        mirror.observe(&seen(50, 0, 1, 2));
        assert_eq!(mirror.observe(&seen(40, 0, 1, 3)), (MicroUsd(50), None, false), "overtaken, not lost");
        let lost = Some((MicroUsd(50), MicroUsd(5)));
        assert_eq!(mirror.observe(&seen(5, 0, 3, 4)), (MicroUsd(50), lost, false));
        assert_eq!(mirror.observe(&seen(6, 0, 4, 5)), (MicroUsd(50), None, false), "told once");
        assert_eq!(mirror.observe(&seen(50, 0, 5, 6)), (MicroUsd(50), None, false));
        assert_eq!(mirror.observe(&seen(0, 0, 6, 7)).1, Some((MicroUsd(50), MicroUsd(0))));
    }
}
