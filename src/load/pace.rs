//! When the next request is due, and when the test is over.
//!
//! In a closed loop a request is due when a connection is free. In an open loop the k-th request is due at
//! `start + k / rate`, whether or not a connection is free: a thread of its own lets requests go at their time
//! (the runtime's timers are a millisecond coarse, this is true to about 0.1 ms), and one that finds no connection
//! keeps its due time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::{Live, Timing, Until};

/// The longest sleep of the pacer, so that it notices the end.
const MAX_SLEEP: Duration = Duration::from_millis(50);
/// The shortest sleep of the pacer: at high rates several requests are let go at a time.
const MIN_SLEEP: Duration = Duration::from_micros(50);

/// The timetable of a load test, shared by all connections.
pub(super) struct Pace {
    start: Instant,
    measured_from: Instant,
    /// The end by time.
    end: Option<Instant>,
    /// The end by number of measured requests.
    limit: Option<u64>,
    /// Measured requests in a closed loop, all requests in an open one.
    taken: AtomicU64,
    open: Option<OpenLoop>,
    connections: usize,
}

/// What an open loop has besides.
struct OpenLoop {
    /// Requests per second.
    rate: f64,
    /// The requests of the warm-up come first.
    warm: u64,
    /// All requests, warm-up included.
    total: u64,
    /// One permit for each request that is due and not yet taken.
    due: Semaphore,
}

/// A request that is to be sent now.
pub(super) struct Due {
    /// The time from which its latency counts.
    pub(super) intended: Instant,
    /// Whether it counts at all.
    pub(super) measured: bool,
}

impl Pace {
    /// A timetable that starts now.
    pub(super) fn new(timing: Timing) -> Self {
        let start = Instant::now();
        let measured_from = start + timing.warmup;
        let (end, limit) = match timing.until {
            Until::Elapsed(time) => (Some(measured_from + time), None),
            Until::Requests(count) => (None, Some(count)),
        };
        let open = timing.rate.map(|rate| {
            let warm = (rate * timing.warmup.as_secs_f64()).ceil() as u64;
            let measured = match timing.until {
                Until::Elapsed(time) => (rate * time.as_secs_f64()).floor() as u64,
                Until::Requests(count) => count,
            };
            OpenLoop { rate, warm, total: warm + measured, due: Semaphore::new(0) }
        });
        let connections = timing.connections.max(1);
        Self { start, measured_from, end, limit, taken: AtomicU64::new(0), open, connections }
    }

    /// Waits until a request is due; `None` when there are no more.
    pub(super) async fn next(&self) -> Option<Due> {
        match &self.open {
            Some(open) => self.next_open(open).await,
            None => self.next_closed(),
        }
    }

    fn next_closed(&self) -> Option<Due> {
        let now = Instant::now();
        let measured = now >= self.measured_from;
        let over = self.end.is_some_and(|end| now >= end);
        let spent = |limit| measured && self.taken.fetch_add(1, Ordering::Relaxed) >= limit;
        if over || self.limit.is_some_and(spent) {
            return None;
        }
        Some(Due { intended: now, measured })
    }

    async fn next_open(&self, open: &OpenLoop) -> Option<Due> {
        open.due.acquire().await.ok()?.forget();
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        (number < open.total)
            .then(|| Due { intended: self.start + open.after(number), measured: number >= open.warm })
    }

    /// The end by time.
    pub(super) fn end(&self) -> Option<Instant> {
        self.end
    }

    /// The moment from which requests count.
    pub(super) fn measured_from(&self) -> Instant {
        self.measured_from
    }

    /// The requests that were due before the end and found no free connection.
    pub(super) fn missed(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        self.open.as_ref().map_or(0, |open| open.due_at(self.start.elapsed()).saturating_sub(taken))
    }
}

impl OpenLoop {
    fn after(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// How many requests are due after this time.
    fn due_at(&self, elapsed: Duration) -> u64 {
        ((elapsed.as_secs_f64() * self.rate) as u64 + 1).min(self.total)
    }
}

/// The thread that lets the requests of an open loop go.
pub(super) struct Pacer<'a> {
    pace: &'a Pace,
    open: &'a OpenLoop,
}

impl<'a> Pacer<'a> {
    /// The pacer of an open loop; a closed loop has none.
    pub(super) fn new(pace: &'a Pace) -> Option<Self> {
        pace.open.as_ref().map(|open| Self { pace, open })
    }

    /// Lets each request go at its time, until the end.
    pub(super) fn run(self, live: &Live) {
        let mut released = 0;
        while released < self.open.total && !live.is_stopped() {
            let due = self.open.due_at(self.pace.start.elapsed());
            self.open.due.add_permits((due - released) as usize);
            released = due;
            let wait = self.open.after(released).saturating_sub(self.pace.start.elapsed());
            thread::sleep(wait.clamp(MIN_SLEEP, MAX_SLEEP));
        }
        match self.pace.end {
            // What is still waiting now was never sent in time.
            Some(_) => self.open.due.close(),
            // One more for each connection: it finds nothing left and ends.
            None => self.open.due.add_permits(self.pace.connections),
        }
    }
}
