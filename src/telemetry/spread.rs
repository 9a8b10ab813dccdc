//! How a measure spreads: sums and counts that one thread writes and any thread reads.
//!
//! Writing is a load and a store, because only the worker that owns a cell writes it; a read of another thread may be
//! one measure behind.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// Adds; for the one writer.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Replaces the value; for the one writer.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Steps within each doubling: a quantile is off by 6 % at most.
const STEPS: usize = 8;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// The smallest time that is told from nothing: 16 µs.
const FIRST_BIT: u32 = 4;
/// Doublings from there: to a little over an hour.
const DOUBLINGS: usize = 28;
/// Buckets of a [`Spread`]: one for what is smaller, and the last takes what is larger.
pub const SLOTS: usize = 1 + STEPS * DOUBLINGS;

/// Times on a logarithmic scale, for quantiles.
#[derive(Debug)]
pub struct Spread {
    micros: Cell,
    slots: Box<[Cell; SLOTS]>,
}

impl Default for Spread {
    fn default() -> Self {
        Self { micros: Cell::default(), slots: Box::new(array::from_fn(|_| Cell::default())) }
    }
}

impl Spread {
    /// Counts a time.
    pub fn note(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.add(micros);
        if let Some(slot) = self.slots.get(slot_of(micros)) {
            slot.add(1);
        }
    }

    /// Adds what another one holds; for the one writer.
    pub fn absorb(&self, other: &Self) {
        self.micros.add(other.micros.read());
        self.slots.iter().zip(&*other.slots).for_each(|(own, other)| own.add(other.read()));
    }
}

/// The slot of a time in microseconds.
fn slot_of(micros: u64) -> usize {
    let Some(doubling) = micros.checked_ilog2().and_then(|log| log.checked_sub(FIRST_BIT)) else { return 0 };
    let step = (micros >> (doubling + FIRST_BIT - STEP_BITS)) as usize & (STEPS - 1);
    (1 + doubling as usize * STEPS + step).min(SLOTS - 1)
}

/// The middle of a slot in microseconds.
fn middle_of(slot: usize) -> f64 {
    let Some(above) = slot.checked_sub(1) else { return f64::from(1u32 << (FIRST_BIT - 1)) };
    let width = 2f64.powi((above / STEPS) as i32 + (FIRST_BIT - STEP_BITS) as i32);
    ((STEPS + above % STEPS) as f64 + 0.5) * width
}

/// The sum of several [`Spread`]s, at rest.
#[derive(Debug, Clone)]
pub struct SpreadSum {
    micros: u64,
    slots: Vec<u64>,
}

impl Default for SpreadSum {
    fn default() -> Self {
        Self { micros: 0, slots: vec![0; SLOTS] }
    }
}

impl SpreadSum {
    /// Adds what a spread holds now.
    pub fn add(&mut self, spread: &Spread) {
        self.micros = self.micros.wrapping_add(spread.micros.read());
        for (sum, slot) in self.slots.iter_mut().zip(&*spread.slots) {
            *sum += slot.read();
        }
    }

    /// How many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.slots.iter().sum()
    }

    /// Their sum in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.micros as f64 / 1e6
    }

    /// The time in seconds below which a part of them lies.
    #[must_use]
    pub fn quantile(&self, part: f64) -> f64 {
        let rank = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= rank
        };
        self.slots.iter().position(reached).map_or(0.0, |slot| middle_of(slot) / 1e6)
    }
}

/// Times in buckets whose edges an operator chose.
#[derive(Debug)]
pub struct Buckets {
    micros: Cell,
    /// One more than there are edges: the last takes what is larger than all of them.
    counts: Box<[Cell]>,
}

impl Buckets {
    /// Buckets for so many edges.
    #[must_use]
    pub fn new(edges: usize) -> Self {
        Self { micros: Cell::default(), counts: (0..=edges).map(|_| Cell::default()).collect() }
    }

    /// Counts a time; the edges are in microseconds.
    pub fn note(&self, time: Duration, edges: &[u64]) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.add(micros);
        if let Some(count) = self.counts.get(edges.partition_point(|edge| *edge < micros)) {
            count.add(1);
        }
    }

    /// Adds what another one with the same edges holds; for the one writer.
    pub fn absorb(&self, other: &Self) {
        self.micros.add(other.micros.read());
        self.counts.iter().zip(&other.counts).for_each(|(own, other)| own.add(other.read()));
    }
}

/// The sum of several [`Buckets`], at rest.
#[derive(Debug, Clone, Default)]
pub struct BucketSum {
    micros: u64,
    counts: Vec<u64>,
}

impl BucketSum {
    /// Adds what buckets hold now.
    pub fn add(&mut self, buckets: &Buckets) {
        self.micros = self.micros.wrapping_add(buckets.micros.read());
        self.counts.resize(buckets.counts.len().max(self.counts.len()), 0);
        for (sum, count) in self.counts.iter_mut().zip(&buckets.counts) {
            *sum += count.read();
        }
    }

    /// How many times lie below each edge and those before it, the last for all of them.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }

    /// Their sum in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.micros as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_off_by_little() {
        for micros in [16u64, 17, 100, 999, 28_000, 1_000_000, 3_599_000_000] {
            let spread = Spread::default();
            spread.note(Duration::from_micros(micros));
            let mut sum = SpreadSum::default();
            sum.add(&spread);
            let (seen, is) = (sum.quantile(0.5) * 1e6, micros as f64);
            assert!((seen - is).abs() / is < 0.063, "{micros}: {seen}");
        }
    }

    #[test]
    fn quantiles_follow_the_order_of_the_times() {
        let spread = Spread::default();
        (1..=100).for_each(|millis| spread.note(Duration::from_millis(millis)));
        let mut sum = SpreadSum::default();
        sum.add(&spread);
        assert_eq!((sum.count(), sum.seconds()), (100, 5.05));
        for (part, seconds) in [(0.5, 0.050), (0.9, 0.090), (0.99, 0.099)] {
            let seen = sum.quantile(part);
            assert!((seen - seconds).abs() / seconds < 0.07, "{part}: {seen}");
        }
    }

    #[test]
    fn times_beyond_the_scale_are_counted_at_its_ends() {
        assert_eq!((slot_of(0), slot_of(15), slot_of(16)), (0, 0, 1));
        assert_eq!(slot_of(u64::MAX), SLOTS - 1);
    }

    #[test]
    fn a_bucket_holds_what_is_at_most_its_edge() {
        let edges = [5_000, 10_000];
        let buckets = Buckets::new(edges.len());
        for micros in [1, 5_000, 5_001, 10_001] {
            buckets.note(Duration::from_micros(micros), &edges);
        }
        let mut sum = BucketSum::default();
        sum.add(&buckets);
        assert_eq!(sum.cumulative().collect::<Vec<_>>(), [2, 3, 4]);
    }
}
