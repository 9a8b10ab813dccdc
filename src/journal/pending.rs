//! What was charged and is not written yet, added up by budget and period.
//!
//! The one place where batches are made.

use std::collections::BTreeMap;
use std::sync::Arc;

use aisix_actors::MicroUsd;
use aisix_actors::budget_ledger::{Batch, ChargeEntry, ChargeSum, Window};
use hashbrown::{Equivalent, HashMap};

/// Sums, and the number of the batch that they will be.
pub(super) struct Pending {
    lane: Arc<str>,
    number: u64,
    sums: Sums,
    /// What others have by now: up to which number of which lane.
    acknowledged: BTreeMap<Arc<str>, u64>,
}

/// Costs and charges by budget and period.
type Sums = HashMap<Key, (u64, u64), foldhash::fast::RandomState>;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    budget: Arc<str>,
    window: Window,
}

/// A key that is only looked for.
#[derive(Hash)]
struct Wanted<'a> {
    budget: &'a str,
    window: Window,
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.window == key.window && *self.budget == *key.budget
    }
}

/// What was gathered.
pub(super) struct Taken {
    lane: Arc<str>,
    number: u64,
    sums: Sums,
    /// What an outbox can forget.
    pub acknowledged: BTreeMap<Arc<str>, u64>,
}

impl Taken {
    /// What was charged, if anything was.
    pub fn into_batch(self) -> Option<Batch> {
        let Self { lane, number, sums, .. } = self;
        let sum = |(Key { budget, window }, (cost, charges))| ChargeSum {
            budget,
            window,
            cost: MicroUsd(cost),
            charges,
        };
        let sums: Vec<_> = sums.into_iter().map(sum).collect();
        (!sums.is_empty()).then_some(Batch { lane, number, sums })
    }
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            lane: uuid::Uuid::new_v4().to_string().into(),
            number: 1,
            sums: HashMap::default(),
            acknowledged: BTreeMap::new(),
        }
    }
}

impl Pending {
    /// Adds charges; tells whether there was nothing before, so that somebody has to be told.
    pub fn add(&mut self, entries: &[ChargeEntry]) -> bool {
        let was_idle = self.is_empty();
        for ChargeEntry { budget, window, cost } in entries {
            let wanted = Wanted { budget, window: *window };
            let sum = match self.sums.get_mut(&wanted) {
                Some(sum) => sum,
                None => {
                    let key = Key { budget: Arc::clone(budget), window: *window };
                    self.sums.entry(key).or_default()
                }
            };
            *sum = (sum.0.saturating_add(cost.0), sum.1.saturating_add(1));
        }
        was_idle && !self.is_empty()
    }

    /// Notes that others have a lane up to a number; tells whether there was nothing before.
    pub fn acknowledge(&mut self, lane: &str, number: u64) -> bool {
        let was_idle = self.is_empty();
        let known = self.acknowledged.entry(lane.into()).or_default();
        *known = number.max(*known);
        was_idle
    }

    pub fn is_empty(&self) -> bool {
        self.sums.is_empty() && self.acknowledged.is_empty()
    }

    /// The number of the batch that the next charge will be in.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn lane(&self) -> Arc<str> {
        Arc::clone(&self.lane)
    }

    /// The sum of all sums.
    pub fn total(&self) -> u64 {
        self.sums.values().fold(0, |total, (cost, _)| total.saturating_add(*cost))
    }

    /// Takes everything. Workers wait meanwhile, so a batch is made of it afterwards.
    pub fn take(&mut self) -> Taken {
        let next = Sums::with_capacity_and_hasher(self.sums.len(), self.sums.hasher().clone());
        let sums = std::mem::replace(&mut self.sums, next);
        let (lane, number) = (Arc::clone(&self.lane), self.number);
        if !sums.is_empty() {
            self.number = number.saturating_add(1);
        }
        Taken { lane, number, sums, acknowledged: std::mem::take(&mut self.acknowledged) }
    }
}
