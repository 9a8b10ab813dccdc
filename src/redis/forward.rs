//! Hands charges over to the Redis that budgets share: every batch of the journal once, in order.
//!
//! A thread of its own sends what there is at a time and goes on until Redis has it, however long that takes; then the
//! journal need not keep it any more. A batch that comes twice is added once, so that neither a lost answer nor a
//! restart counts anything twice. Holds are kept open meanwhile, however much waits.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aisix_actors::budget_ledger::{Applied, Batch, Run, SharedBudgets};
use aisix_actors::redis::{Use, Wire};
use tokio::sync::Notify;

use super::queue::Queue;
use crate::journal::{Forward, JournalHandle};

/// Wait after the first attempt that failed; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The time in which the last charges must be handed over when the process ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// The way of charges to Redis; clones are the same way.
#[derive(Clone)]
pub struct Forwarder(Arc<Inner>);

struct Inner {
    shared: Arc<SharedBudgets>,
    journal: JournalHandle,
    queue: Mutex<Queue>,
    /// Rings when something is to be done.
    bell: Notify,
    ended: Condvar,
    /// Whether Redis did not take charges the last time.
    is_failing: AtomicBool,
}

impl Forwarder {
    /// Starts the thread.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(shared: Arc<SharedBudgets>, journal: JournalHandle) -> io::Result<Self> {
        let (queue, bell, ended) = (Mutex::default(), Notify::new(), Condvar::new());
        shared.own(journal.lane());
        let is_failing = AtomicBool::new(false);
        let inner = Inner { shared, journal, queue, bell, ended, is_failing };
        let forwarder = Self(Arc::new(inner));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inner = Arc::clone(&forwarder.0);
        std::thread::Builder::new().name("charges".to_owned()).spawn(move || {
            runtime.block_on(inner.run());
            lock(&inner.queue).has_ended = true;
            inner.ended.notify_all();
        })?;
        Ok(forwarder)
    }

    /// Hands over what there is and ends; blocks until that is done, or can be waited for no longer. What is left is in
    /// the journal, if it is kept.
    pub fn stop(&self) {
        let mut queue = lock(&self.0.queue);
        queue.is_stopping = true;
        self.0.bell.notify_one();
        let waited = self.0.ended.wait_timeout_while(queue, FAREWELL, |queue| !queue.has_ended);
        let queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        if queue.len() > 0 {
            let fate =
                if self.0.journal.is_kept() { "they follow at the next start" } else { "they are lost" };
            log::warn!("redis has not taken the last {} batches of charges: {fate}", queue.len());
        }
    }
}

impl Forward for Forwarder {
    fn forward(&mut self, batch: Batch) {
        let mut queue = lock(&self.0.queue);
        queue.push(batch);
        queue.tell(&self.0.shared.backlog);
        drop(queue);
        self.0.bell.notify_one();
    }

    fn waiting(&self) -> usize {
        lock(&self.0.queue).len()
    }
}

impl Inner {
    async fn run(&self) {
        let (mut wait, mut has_looked) = (FIRST_WAIT, false);
        loop {
            let failed = match self.shared.server.options.connect().await {
                Ok(mut wire) => {
                    if !std::mem::replace(&mut has_looked, true) {
                        self.shared.look(&mut wire).await;
                    }
                    self.serve(wire, &mut wait).await
                }
                Err(why) => Err(why),
            };
            let Err(why) = failed else { return };
            self.note_failure(&why);
            if lock(&self.queue).is_stopping {
                return;
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }

    /// Serves over one connection, until the process ends or the connection does.
    async fn serve(&self, mut wire: Wire, wait: &mut Duration) -> Result<(), String> {
        let beat = self.shared.beat();
        let mut kept_at = None;
        loop {
            // Whatever waits: a hold that ends in Redis before its charge is there would be spent twice.
            if kept_at.is_none_or(|at: Instant| at.elapsed() >= beat) {
                self.shared.keep(&mut wire).await?;
                kept_at = Some(Instant::now());
            }
            self.shared.put_back(&mut wire).await?;
            let front = lock(&self.queue).front();
            let is_idle = front.is_none();
            match front {
                Some(run) => self.send(&mut wire, &run).await?,
                None => drop(self.shared.apply(&mut wire, None, true).await?),
            }
            *wait = FIRST_WAIT;
            self.note_success();
            if !is_idle {
                continue;
            }
            if lock(&self.queue).is_stopping {
                return Ok(());
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = self.shared.rung() => {}
                () = tokio::time::sleep(beat) => {}
            }
        }
    }

    /// Sends batches, and takes what Redis has then out of the queue.
    async fn send(&self, wire: &mut Wire, run: &Run) -> Result<(), String> {
        let lane = &run.batch.lane;
        let is_own = *lane == self.journal.lane();
        let last = match self.shared.apply(wire, Some(run), is_own).await? {
            Applied::All => run.batch.number,
            Applied::UpTo(number) => number,
        };
        lock(&self.queue).finish(lane, last);
        self.journal.acknowledge(lane, last);
        lock(&self.queue).tell(&self.shared.backlog);
        Ok(())
    }

    fn note_success(&self) {
        if self.is_failing.swap(false, Relaxed) {
            log::warn!("redis {}: charges are handed over again", self.shared.server.options);
        }
    }

    fn note_failure(&self, why: &str) {
        self.shared.server.tally(Use::Budgets).fail();
        let queue = lock(&self.queue);
        queue.tell(&self.shared.backlog);
        if !self.is_failing.swap(true, Relaxed) {
            let (options, waiting) = (&self.shared.server.options, queue.len());
            log::warn!("redis {options}: charges wait, {waiting} batches at the moment: {why}");
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
