//! What a running load test shows to the outside, and how it is stopped early.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counters of a running load test, and its brake.
#[derive(Debug)]
pub struct Live {
    succeeded: AtomicU64,
    failed: AtomicU64,
    stop: watch::Sender<bool>,
}

impl Default for Live {
    fn default() -> Self {
        Self { succeeded: AtomicU64::new(0), failed: AtomicU64::new(0), stop: watch::channel(false).0 }
    }
}

impl Live {
    /// Requests answered so far, warm-up included.
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Requests failed so far, warm-up included.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Ends the test now; what is under way is not waited for.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the test has ended or was ended.
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for the end.
    pub(super) async fn stopped(&self) {
        // The sender lives as long as `self`.
        let _ = self.stop.subscribe().wait_for(|stopped| *stopped).await;
    }

    pub(super) fn count(&self, success: bool) {
        let counter = if success { &self.succeeded } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
