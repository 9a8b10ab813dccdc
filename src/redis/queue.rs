//! Batches on their way to Redis, and how they are sent together.
//!
//! One round trip carries as many consecutive batches of a lane as there are, added up: a Redis that is far away then
//! takes larger steps instead of falling behind. Which ones are put together may differ from try to try, and from life
//! to life, since Redis is told the first number and the last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use aisix_actors::MicroUsd;
use aisix_actors::budget_ledger::{Backlog, Batch, ChargeSum, Run, Window};
use hashbrown::HashMap;

/// Most batches that are sent together.
const MAX_TOGETHER: usize = 256;
/// Sums from which no more batches are added to what is sent together: Redis does nothing else meanwhile.
const MAX_SUMS: usize = 1_000;
/// Batches that wait one by one; beyond that the newest are added up, and memory grows with the number of budgets only.
const MAX_WAITING: usize = 2_048;

/// See the module.
#[derive(Default)]
pub struct Queue {
    waiting: VecDeque<Waiting>,
    /// The sum of what waits.
    total: MicroUsd,
    pub is_stopping: bool,
    pub has_ended: bool,
}

struct Waiting {
    run: Run,
    since: Instant,
}

impl Queue {
    /// Adds a batch.
    pub fn push(&mut self, batch: Batch) {
        self.total = self.total.saturating_add(sum_of(&batch));
        let is_full = self.waiting.len() >= MAX_WAITING;
        if let Some(last) = self.waiting.back_mut().filter(|last| is_full && follows(&last.run, &batch)) {
            let (first, mut sums) = (last.run.first, Sums::default());
            sums.add(std::mem::take(&mut last.run.batch.sums));
            sums.add(batch.sums);
            last.run = Run { first, batch: Batch { sums: sums.0.into_values().collect(), ..batch } };
            return;
        }
        let run = Run { first: batch.number, batch };
        self.waiting.push_back(Waiting { run, since: Instant::now() });
    }

    /// What is to be sent next.
    pub fn front(&self) -> Option<Run> {
        let mut waiting = self.waiting.iter().take(MAX_TOGETHER).map(|waiting| &waiting.run);
        let mut front = waiting.next()?.clone();
        let mut sums = Sums::default();
        sums.add(std::mem::take(&mut front.batch.sums));
        for next in waiting {
            let is_next = *next.batch.lane == *front.batch.lane
                && Some(next.first) == front.batch.number.checked_add(1);
            if !is_next || sums.0.len() >= MAX_SUMS {
                break;
            }
            sums.add(next.batch.sums.iter().cloned());
            front.batch.number = next.batch.number;
        }
        front.batch.sums = sums.0.into_values().collect();
        Some(front)
    }

    /// Takes out what Redis has of a lane, up to a number.
    pub fn finish(&mut self, lane: &str, number: u64) {
        while let Some(front) = self.waiting.front_mut().filter(|front| *front.run.batch.lane == *lane) {
            if front.run.batch.number > number {
                if front.run.first <= number {
                    // Added up here while somebody else has sent a part: it counts rather twice than not at all.
                    log::warn!(
                        "redis has a part of the charges of lane {lane} that were put together: they are added whole"
                    );
                    front.run.first = number.saturating_add(1);
                }
                break;
            }
            self.total = self.total.saturating_sub(sum_of(&front.run.batch));
            self.waiting.pop_front();
        }
    }

    /// Batches that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Tells how much waits.
    pub fn tell(&self, backlog: &Backlog) {
        let age = self.waiting.front().map_or(0, |front| front.since.elapsed().as_secs());
        backlog.batches.store(self.waiting.len() as u64, Relaxed);
        backlog.micro_usd.store(self.total.0, Relaxed);
        backlog.age_secs.store(age, Relaxed);
    }
}

fn sum_of(batch: &Batch) -> MicroUsd {
    batch.sums.iter().fold(MicroUsd::ZERO, |total, sum| total.saturating_add(sum.cost))
}

/// Whether a batch comes right after others.
fn follows(run: &Run, batch: &Batch) -> bool {
    *run.batch.lane == *batch.lane && run.batch.number.checked_add(1) == Some(batch.number)
}

/// Sums by budget and period.
#[derive(Default)]
struct Sums(HashMap<(Arc<str>, Window), ChargeSum, foldhash::fast::RandomState>);

impl Sums {
    fn add(&mut self, sums: impl IntoIterator<Item = ChargeSum>) {
        for sum in sums {
            let known = self.0.entry((sum.budget.clone(), sum.window)).or_insert_with(|| ChargeSum {
                cost: MicroUsd::ZERO,
                charges: 0,
                ..sum.clone()
            });
            known.cost = known.cost.saturating_add(sum.cost);
            known.charges = known.charges.saturating_add(sum.charges);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn batch(lane: &str, number: u64, cost: u64) -> Batch {
        let window = Window { start: Duration::ZERO, end: None };
        let sum = ChargeSum { budget: "all".into(), window, cost: MicroUsd(cost), charges: 1 };
        Batch { lane: lane.into(), number, sums: vec![sum] }
    }

    #[test]
    fn consecutive_batches_of_a_lane_go_together() {
        let mut queue = Queue::default();
        for (lane, number) in [("a", 3), ("a", 4), ("a", 6), ("b", 7)] {
            queue.push(batch(lane, number, number));
        }
        let run = queue.front().expect("there are batches");
        assert_eq!((run.first, run.batch.number, run.batch.sums[0].cost), (3, 4, MicroUsd(7)));
        queue.finish("a", 4);
        assert_eq!(queue.len(), 2);
        let run = queue.front().expect("there are more");
        assert_eq!((run.first, run.batch.number), (6, 6));
        queue.finish("a", 6);
        assert_eq!(queue.front().map(|run| run.batch), Some(batch("b", 7, 7)));
    }

    #[test]
    fn what_redis_has_of_batches_put_together_is_left_out() {
        let mut queue = Queue::default();
        (1..=5).for_each(|number| queue.push(batch("a", number, 10)));
        queue.finish("a", 3);
        let run = queue.front().expect("there are batches");
        assert_eq!((run.first, run.batch.number, run.batch.sums[0].cost), (4, 5, MicroUsd(20)));
    }

    #[test]
    fn an_outage_does_not_make_the_queue_grow_without_bound() {
        let (mut queue, many) = (Queue::default(), 3 * MAX_WAITING as u64);
        (1..=many).for_each(|number| queue.push(batch("a", number, 1)));
        assert_eq!(queue.len(), MAX_WAITING);
        let mut total = 0;
        while let Some(run) = queue.front() {
            total += run.batch.sums[0].cost.0;
            queue.finish("a", run.batch.number);
        }
        assert_eq!(total, many);
    }
}
