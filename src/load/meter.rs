//! What one worker thread has measured.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::exchange::Failure;

/// Longer times count as this.
const MAX_NANOSECONDS: u64 = 3_600_000_000_000;
/// Figures are true to one part in a thousand.
const SIGNIFICANT_DIGITS: u8 = 3;
/// More kinds of failures than this are counted together: their names come from the other side.
const MAX_FAILURE_KINDS: usize = 64;

/// A distribution of times.
#[derive(Clone, Debug)]
pub(super) struct Times(Histogram<u64>);

impl Times {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_NANOSECONDS, SIGNIFICANT_DIGITS);
        Self(histogram.expect("the bounds are constants that fit"))
    }

    pub(super) fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that the given share of all times, 0 to 1, does not exceed.
    pub(super) fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    pub(super) fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }
}

/// Counts and distributions of a test or of a part of it.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    /// Latencies of the requests that succeeded.
    pub(super) latency: Times,
    pub(super) first_event: Times,
    pub(super) gap: Times,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) bytes: u64,
    /// Requests that succeeded before the end; those after it do not count towards the rate.
    pub(super) in_time: u64,
    /// The end of the last request.
    pub(super) last: Option<Instant>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            latency: Times::new(),
            first_event: Times::new(),
            gap: Times::new(),
            failures: BTreeMap::new(),
            bytes: 0,
            in_time: 0,
            last: None,
        }
    }

    /// Takes in what another thread has measured.
    pub(super) fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency);
        self.first_event.add(&other.first_event);
        self.gap.add(&other.gap);
        for (kind, count) in &other.failures {
            *self.failures.entry(kind.clone()).or_default() += count;
        }
        self.bytes += other.bytes;
        self.in_time += other.in_time;
        self.last = self.last.max(other.last);
    }

    /// Records the end of a request at `now`.
    pub(super) fn finish(&mut self, latency: Duration, outcome: Result<(), Failure>, in_time: bool) {
        match outcome {
            Ok(()) => {
                self.latency.record(latency);
                self.in_time += u64::from(in_time);
            }
            Err(failure) => {
                let mut kind = failure.to_string();
                if self.failures.len() >= MAX_FAILURE_KINDS && !self.failures.contains_key(&kind) {
                    kind = "other".into();
                }
                *self.failures.entry(kind).or_default() += 1;
            }
        }
    }
}

/// The meter of one thread, shared by its connections.
pub(super) struct SharedMeter(RefCell<Meter>);

impl Default for SharedMeter {
    fn default() -> Self {
        Self(RefCell::new(Meter::new()))
    }
}

impl SharedMeter {
    pub(super) fn bytes(&self, count: usize) {
        self.0.borrow_mut().bytes += count as u64;
    }

    pub(super) fn first_event(&self, after: Duration) {
        self.0.borrow_mut().first_event.record(after);
    }

    pub(super) fn gap(&self, gap: Duration) {
        self.0.borrow_mut().gap.record(gap);
    }

    /// Records the end of a request that was due at `intended`.
    pub(super) fn finish(&self, intended: Instant, outcome: Result<(), Failure>, end: Option<Instant>) {
        let now = Instant::now();
        let mut meter = self.0.borrow_mut();
        meter.last = Some(now);
        let in_time = end.is_none_or(|end| now <= end);
        meter.finish(now.saturating_duration_since(intended), outcome, in_time);
    }

    pub(super) fn take(self) -> Meter {
        self.0.into_inner()
    }
}
