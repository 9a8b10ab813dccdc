//! The registry: the one place that changes the configuration while the gateway runs.
//!
//! An actor on a thread of its own, because it waits for disks. It is asked by the Admin API and told by signals, and it
//! looks after the file by itself. Writes that wait at the same time share one transaction. A write is durable, then in
//! force, then answered, so whoever reads its answer finds it in force.
//!
//! No request waits for it: it builds a new snapshot beside the old one and swaps them. It keeps the old one until
//! nobody uses it, so that no worker spends its time on taking it down.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture,
    WrapFuture,
};
use actix_rt::Arbiter;
use tokio::sync::oneshot;

use crate::config::Snapshot;
use crate::error::AdminError;
use crate::gateway::Gateway;

mod aside;
mod book;
mod commit;
mod sorting;
mod status;
pub(crate) mod store;
mod transfer;
mod watch;
mod write;

use aside::aside;
pub use book::{Book, News};
pub use status::{FailureKind, Status};
pub use transfer::Imported;
pub use write::{Action, Expected, Write, Written};

/// Writes that may wait; each is a connection of an administrator.
const MAILBOX: usize = 256;
/// Between two looks at the file and the store.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After a large configuration was built, the allocator has much to give back, and does so when it is next asked for a
/// large piece; an idle gateway would never ask.
const TIDY_AFTER: Duration = Duration::from_secs(3);
const TIDY_BYTES: usize = 8 << 20;
/// Between two looks whether an old configuration is still in use.
const RETIRE_EVERY: Duration = Duration::from_millis(50);

// ── messages ─────────────────────────────────────────────────────────────────────────────────────

/// A write: done and in force, or why not.
struct Submit(Write);

impl Message for Submit {
    type Result = Result<Written, AdminError>;
}

/// Reads the file again.
struct Reload;

impl Message for Reload {
    type Result = Result<(), String>;
}

/// Makes the writes that wait.
struct Flush;

impl Message for Flush {
    type Result = ();
}

/// Ends the registry, and with it the thread and the store.
struct Stop;

impl Message for Stop {
    type Result = ();
}

// ── handle ───────────────────────────────────────────────────────────────────────────────────────

/// Access to the registry, from any thread.
#[derive(Clone)]
pub struct RegistryHandle(Addr<Registry>);

impl RegistryHandle {
    /// Starts the registry on a thread of its own.
    #[must_use]
    pub fn start(book: Book, gateway: Arc<Gateway>) -> Self {
        let registry = |_: &mut Context<Registry>| Registry {
            book: Some(book),
            gateway,
            waiting: Vec::new(),
            retired: Vec::new(),
        };
        Self(Registry::start_in_arbiter(&Arbiter::new().handle(), registry))
    }

    /// Asks for a write. When this returns it is durable, and in force for every request that comes later.
    ///
    /// # Errors
    /// What the Admin API answers instead.
    pub async fn submit(&self, write: Write) -> Result<Written, AdminError> {
        let asked = self.0.send(Submit(write)).await;
        asked.unwrap_or_else(|_| Err(AdminError::Store("the registry is gone".into())))
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// The report about a bad file, which changes nothing.
    pub async fn reload(&self) -> Result<(), String> {
        self.0.send(Reload).await.unwrap_or_else(|_| Err("the registry is gone".into()))
    }

    /// Ends the registry after the writes that wait. The store is closed when this returns.
    pub async fn stop(&self) {
        // It may have ended already.
        let _ = self.0.send(Stop).await;
    }
}

// ── actor ────────────────────────────────────────────────────────────────────────────────────────

struct Registry {
    /// On loan while a configuration is built aside; no message is handled then.
    book: Option<Book>,
    gateway: Arc<Gateway>,
    waiting: Vec<(Write, oneshot::Sender<Result<Written, AdminError>>)>,
    /// Configurations that requests may still use.
    retired: Vec<Arc<Snapshot>>,
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        context.run_interval(LOOK_EVERY, Registry::look);
        context.run_interval(RETIRE_EVERY, |registry, _| registry.retire());
        self.tidy_later(context);
    }
}

impl Handler<Submit> for Registry {
    type Result = ResponseFuture<Result<Written, AdminError>>;

    fn handle(&mut self, Submit(write): Submit, context: &mut Self::Context) -> Self::Result {
        let (done, outcome) = oneshot::channel();
        if self.waiting.is_empty() {
            // Handled after the writes that are in the mailbox already.
            context.notify(Flush);
        }
        self.waiting.push((write, done));
        Box::pin(async move { outcome.await.unwrap_or_else(|_| Err(broken())) })
    }
}

impl Handler<Flush> for Registry {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Self::Context) {
        let waiting = std::mem::take(&mut self.waiting);
        // Without a book, which takes a machine without threads, the callers are told by their closed channels.
        let Some(book) = &mut self.book else { return };
        let (writes, callers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let Ok((outcomes, snapshot)) = catch_unwind(AssertUnwindSafe(|| book.write(writes))) else {
            log::error!(
                "a write of the Admin API failed by a panic; it may not be in force before a restart"
            );
            // Other processes are not to wait for a transaction that nobody ends.
            book.unlock();
            return;
        };
        self.install(snapshot);
        for (caller, outcome) in callers.into_iter().zip(outcomes) {
            // A caller who left does not change what was done.
            let _ = caller.send(outcome);
        }
    }
}

impl Handler<Reload> for Registry {
    type Result = ResponseFuture<Result<(), String>>;

    fn handle(&mut self, _: Reload, context: &mut Self::Context) -> Self::Result {
        let (done, outcome) = oneshot::channel();
        self.build(News::File, Some(done), context);
        Box::pin(async move { outcome.await.unwrap_or_else(|_| Err("the registry is gone".into())) })
    }
}

impl Handler<Stop> for Registry {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        self.handle(Flush, context);
        if let Some(book) = &mut self.book {
            book.close();
        }
        context.stop();
        Arbiter::current().stop();
    }
}

impl Registry {
    fn look(&mut self, context: &mut Context<Self>) {
        let Some(book) = &mut self.book else { return };
        match catch_unwind(AssertUnwindSafe(|| book.news())) {
            Ok(Some(news)) => self.build(news, None, context),
            Ok(None) => {}
            Err(_) => log::error!("looking after the configuration failed by a panic"),
        }
    }

    /// Has memory given back that a configuration under construction took.
    fn tidy_later(&self, context: &mut Context<Self>) {
        context.run_later(TIDY_AFTER, |_, _| drop(black_box(Vec::<u8>::with_capacity(TIDY_BYTES))));
    }

    /// Builds a configuration aside, and puts it into force there. Writes wait until it is done.
    fn build(
        &mut self,
        news: News,
        done: Option<oneshot::Sender<Result<(), String>>>,
        context: &mut Context<Self>,
    ) {
        let Some(mut book) = self.book.take() else { return };
        let (gateway, retired) = (self.gateway.clone(), self.retired.clone());
        let built = aside(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let snapshot = book.take_over(news)?;
                let before = put_into_force(&gateway, snapshot, &retired, book.status());
                tell(&gateway.snapshot(), book.status());
                Ok(before)
            }));
            (book, outcome.unwrap_or_else(|_| Err("reading the configuration failed by a panic".into())))
        });
        context.wait(built.into_actor(self).map(|built, registry, context| {
            registry.tidy_later(context);
            let Some((book, outcome)) = built else {
                log::error!("the configuration cannot be built: there are no threads left");
                return;
            };
            registry.book = Some(book);
            let outcome = registry.conclude(outcome);
            // Who asked may have left.
            let _ = done.map(|done| done.send(outcome));
        }));
    }

    fn conclude(&mut self, outcome: Result<Arc<Snapshot>, String>) -> Result<(), String> {
        self.publish();
        match outcome {
            Ok(before) => {
                self.retired.push(before);
                Ok(())
            }
            Err(report) => {
                if !report.is_empty() {
                    log::error!(
                        "the configuration is not reloaded, the last good one keeps serving:\n{report}"
                    );
                }
                Err(report)
            }
        }
    }

    fn install(&mut self, snapshot: Option<Snapshot>) {
        match (snapshot, &self.book) {
            (Some(snapshot), Some(book)) => {
                let before = put_into_force(&self.gateway, snapshot, &self.retired, book.status());
                self.retired.push(before);
            }
            _ => self.publish(),
        }
    }

    fn publish(&self) {
        if let Some(book) = &self.book {
            self.gateway.status.store(Arc::new(book.status().clone()));
        }
    }

    /// Takes configurations down that nobody uses any more.
    fn retire(&mut self) {
        let (used, unused): (Vec<_>, Vec<_>) = std::mem::take(&mut self.retired)
            .into_iter()
            .partition(|snapshot| Arc::strong_count(snapshot) > 1);
        self.retired = used;
        if unused.is_empty() {
            return;
        }
        // Nobody waits for it.
        drop(aside(move || drop(unused)));
        self.gateway.retire(&self.retired);
    }
}

/// Swaps the configuration, and what is said about it with it; gives the one before.
fn put_into_force(
    gateway: &Gateway,
    mut snapshot: Snapshot,
    retired: &[Arc<Snapshot>],
    status: &Status,
) -> Arc<Snapshot> {
    snapshot.share_with(&gateway.snapshot());
    gateway.status.store(Arc::new(status.clone()));
    gateway.install(snapshot, retired)
}

/// Says what came into force.
fn tell(snapshot: &Snapshot, status: &Status) {
    for warning in snapshot.warnings() {
        log::warn!("{warning}");
    }
    log::info!("configuration reloaded: {}", snapshot.summary());
    if !status.restart_required.is_empty() {
        log::warn!("these settings changed and need a restart: {}", status.restart_required.join(", "));
    }
}

fn broken() -> AdminError {
    AdminError::Store("the write failed for a reason that is in the log".into())
}
