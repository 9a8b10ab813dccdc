//! Hands charges over to the Redis that budgets share: every batch of the journal once, in order.
//!
//! A thread of its own sends one batch at a time and goes on until Redis has it, however long that takes; then the
//! journal need not keep it any more. A batch that comes twice is added once, so that neither a lost answer nor a
//! restart counts anything twice.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aisix_actors::Ledger;
use aisix_actors::budget_ledger::{Batch, SharedBudgets};
use aisix_actors::redis::{Use, Wire};
use tokio::sync::Notify;

use crate::journal::{Forward, JournalHandle};

/// Between two looks at holds that last.
const BEAT: Duration = Duration::from_secs(1);
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
    ledger: Arc<Ledger>,
    journal: JournalHandle,
    queue: Mutex<Queue>,
    /// Rings when something is to be done.
    bell: Notify,
    ended: Condvar,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<Batch>,
    is_stopping: bool,
    has_ended: bool,
}

impl Forwarder {
    /// Starts the thread.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        shared: Arc<SharedBudgets>,
        ledger: Arc<Ledger>,
        journal: JournalHandle,
    ) -> io::Result<Self> {
        let (queue, bell, ended) = (Mutex::default(), Notify::new(), Condvar::new());
        let forwarder = Self(Arc::new(Inner { shared, ledger, journal, queue, bell, ended }));
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
        if !queue.batches.is_empty() {
            let fate =
                if self.0.journal.is_kept() { "they follow at the next start" } else { "they are lost" };
            log::warn!("redis has not taken the last {} batches of charges: {fate}", queue.batches.len());
        }
    }
}

impl Forward for Forwarder {
    fn forward(&mut self, batch: Batch) {
        lock(&self.0.queue).batches.push_back(batch);
        self.0.bell.notify_one();
    }
}

impl Inner {
    async fn run(&self) {
        let mut wait = FIRST_WAIT;
        loop {
            let failed = match self.shared.server.options.connect().await {
                Ok(wire) => self.serve(wire, &mut wait).await,
                Err(why) => Err(why),
            };
            let Err(why) = failed else { return };
            self.shared.server.tally(Use::Budgets).fail();
            log::debug!("redis {}: charges wait: {why}", self.shared.server.options);
            if lock(&self.queue).is_stopping {
                return;
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }

    /// Serves over one connection, until the process ends or the connection does.
    async fn serve(&self, mut wire: Wire, wait: &mut Duration) -> Result<(), String> {
        loop {
            let front = lock(&self.queue).batches.front().cloned();
            match front {
                Some(batch) => {
                    let is_own = batch.lane == self.journal.lane();
                    self.shared.apply(&mut wire, Some(&batch), is_own).await?;
                    if is_own {
                        self.ledger.applied(&batch);
                    }
                    lock(&self.queue).batches.pop_front();
                    self.journal.acknowledge(&batch.lane, batch.number);
                    continue;
                }
                None => self.shared.apply(&mut wire, None, true).await?,
            }
            *wait = FIRST_WAIT;
            self.shared.keep(&mut wire).await?;
            if lock(&self.queue).is_stopping {
                return Ok(());
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = self.shared.rung() => {}
                () = tokio::time::sleep(BEAT) => {}
            }
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
