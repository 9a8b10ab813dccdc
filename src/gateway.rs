//! Everything that a request may reach: one [`Gateway`] per process, one [`Worker`] per thread.
//!
//! There is no other mutable state. What a worker needs on the hot path lives on its thread; what all of them share
//! lies behind the books.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aisix_actors::budget_ledger::SharedBudgets;
use aisix_actors::provider_pool::ProviderKey;
use aisix_actors::redis::Servers;
use aisix_actors::types::Now;
use aisix_actors::{Actors, Books, CacheBook, Ledger};
use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, Semaphore};

mod auth_throttle;
mod certificate;

pub use auth_throttle::AuthThrottle;
pub use certificate::Certificate;

use crate::config::settings::Verdict;
use crate::config::snapshot::Snapshot;
use crate::endpoints::Endpoint;
use crate::journal::JournalHandle;
use crate::redis::{self, Forwarder};
use crate::registry::{RegistryHandle, Status};
use crate::telemetry::Telemetry;
use crate::telemetry::board::{Board, Opened};
use crate::telemetry::worker::WorkerTelemetry;
use crate::upstream::Upstream;
use crate::upstream::tls::TlsConfigs;

/// Each keeps a thread busy, and nobody's answer should wait for all of them.
const RECORDINGS_AT_A_TIME: usize = 2;

/// What the whole process shares.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// The books of the five actors.
    pub books: Books,
    /// What makes the ledger outlive the process.
    pub journal: JournalHandle,
    /// TLS configurations towards providers.
    pub tls: TlsConfigs,
    /// How the configuration stands.
    pub status: ArcSwap<Status>,
    registry: OnceLock<RegistryHandle>,
    /// Failures of callers to authenticate.
    pub caller_failures: AuthThrottle,
    /// Failures of administrators to authenticate.
    pub admin_failures: AuthThrottle,
    /// What the listener for callers shows.
    pub proxy_certificate: Arc<Certificate>,
    /// What the listener for administrators shows.
    pub admin_certificate: Arc<Certificate>,
    /// What is counted and written of every exchange.
    pub telemetry: Arc<Telemetry>,
    /// Recordings that are read at a time.
    pub readers: Arc<Semaphore>,
    is_draining: AtomicBool,
    renewed: Notify,
}

/// What outlives a gateway.
pub struct Backing {
    /// The Redis of limits, budgets and answers, where there is one.
    pub servers: Servers,
    /// Where charges are written.
    pub journal: JournalHandle,
}

impl Gateway {
    /// A gateway over a configuration that forgets what was spent when it ends.
    #[must_use]
    pub fn new(snapshot: Snapshot, telemetry: Telemetry) -> Arc<Self> {
        Self::over(
            snapshot,
            telemetry,
            Backing { servers: Servers::default(), journal: JournalHandle::off() },
        )
    }

    /// A gateway over a configuration and what outlives it; the journal is started by whoever starts to serve.
    #[must_use]
    pub fn over(snapshot: Snapshot, telemetry: Telemetry, backing: Backing) -> Arc<Self> {
        let Backing { servers, journal } = backing;
        journal.configure(&snapshot);
        let books = Books {
            limits: Arc::default(),
            ledger: Arc::new(match &servers.budgets {
                Some(_) => Ledger::sharing(Arc::new(journal.clone())),
                None => Ledger::new(Arc::new(journal.clone())),
            }),
            cache: Arc::new(CacheBook::new(snapshot.settings.cache.max_bytes)),
            health: Arc::default(),
            pool: Arc::default(),
            shared_budgets: redis::shared_budgets(&snapshot.settings, &servers),
            shared_limits: redis::shared_limits(&snapshot.settings, &servers),
            redis: servers,
        };
        books.pool.install(snapshot.provider_keys.clone());
        let throttle = || AuthThrottle::new(&snapshot.settings.proxy.auth_throttle);
        let (caller_failures, admin_failures) = (throttle(), throttle());
        let proxy_certificate = Certificate::new(snapshot.identities.proxy.as_ref());
        let admin_certificate = Certificate::new(snapshot.identities.admin.as_ref());
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            books,
            journal,
            tls: TlsConfigs::default(),
            status: ArcSwap::from_pointee(Status::at_start(jiff::Timestamp::now())),
            registry: OnceLock::new(),
            caller_failures,
            admin_failures,
            proxy_certificate,
            admin_certificate,
            telemetry: Arc::new(telemetry),
            readers: Arc::new(Semaphore::new(RECORDINGS_AT_A_TIME)),
            is_draining: AtomicBool::new(false),
            renewed: Notify::new(),
        })
    }

    /// The configuration in force; a request keeps the one that it started with.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts a configuration into force for the requests to come, and gives the one before. Requests in progress keep
    /// theirs, with its provider keys, until [`Gateway::retire`]; `retired` are those still in use, oldest first.
    #[must_use]
    pub fn install(&self, snapshot: Snapshot, retired: &[Arc<Snapshot>]) -> Arc<Snapshot> {
        let current = self.snapshot();
        let snapshot = Arc::new(snapshot);
        self.install_keys(retired.iter().chain([&current, &snapshot]));
        self.configure_edge(&snapshot);
        self.journal.configure(&snapshot);
        if let Some(budgets) = &self.books.shared_budgets {
            budgets.configure(snapshot.settings.budget.on_failure == Verdict::Deny);
        }
        let before = self.snapshot.swap(snapshot);
        self.renewed.notify_one();
        before
    }

    /// Waits until another configuration is in force than when this last returned. For one who waits.
    pub async fn renewed(&self) {
        self.renewed.notified().await;
    }

    /// Gives the pool the provider keys of several configurations, oldest first: of those with the same id the latest
    /// counts.
    fn install_keys<'s>(&self, snapshots: impl Iterator<Item = &'s Arc<Snapshot>>) {
        let keys = snapshots.flat_map(|snapshot| &snapshot.provider_keys).map(|key| (&*key.id, key));
        let keys: HashMap<&str, &ProviderKey> = keys.collect();
        self.books.pool.install(keys.into_values().cloned().collect());
    }

    /// Forgets what neither the configuration in force nor one of these knows, which requests still use.
    pub fn retire(&self, retired: &[Arc<Snapshot>]) {
        let current = self.snapshot();
        let known = || retired.iter().chain([&current]);
        self.install_keys(known());
        let targets: HashSet<&str> =
            known().flat_map(|known| known.models()).map(|model| &*model.id).collect();
        self.books.health.retain(|id| targets.contains(id));
        let budgets: HashSet<&str> =
            known().flat_map(|known| &known.budgets).map(|budget| &*budget.id).collect();
        self.books.ledger.retain(|id| budgets.contains(id), Now::read());
        self.tls.retain(|id| known().any(|known| known.tls_profiles.contains_key(id)));
    }

    /// Who changes the configuration; set once, when the gateway starts.
    pub fn registry(&self) -> Option<&RegistryHandle> {
        self.registry.get()
    }

    /// Says who changes the configuration; the first word counts.
    pub fn set_registry(&self, registry: RegistryHandle) {
        let _ = self.registry.set(registry);
    }

    /// The same for a look that is over at once: nothing is counted up, so it must not be kept.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts into force what stands before a request is routed, for a configuration that follows another.
    fn configure_edge(&self, snapshot: &Snapshot) {
        let throttle = &snapshot.settings.proxy.auth_throttle;
        self.caller_failures.configure(throttle);
        self.admin_failures.configure(throttle);
        self.proxy_certificate.configure(snapshot.identities.proxy.as_ref());
        self.admin_certificate.configure(snapshot.identities.admin.as_ref());
    }

    /// Starts to hand charges over to the Redis of budgets, if there is one.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn forwarder(&self) -> std::io::Result<Option<Forwarder>> {
        let start = |shared: &Arc<SharedBudgets>| Forwarder::start(shared.clone(), self.journal.clone());
        self.books.shared_budgets.as_ref().map(start).transpose()
    }

    /// Whether the process is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// From now on probes fail and connections are closed after their answer.
    pub fn start_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Exchanges that are open now, streams included, over all workers.
    #[must_use]
    pub fn open_exchanges(&self) -> usize {
        self.telemetry.boards().iter().map(|board: &Arc<Board>| board.open_exchanges()).sum()
    }
}

/// What one thread has for itself.
pub struct Worker {
    /// The process.
    pub gateway: Arc<Gateway>,
    /// This thread's five actors.
    pub actors: Actors,
    /// This thread's HTTP clients.
    pub upstream: Upstream,
    /// What this thread counts and writes of its exchanges.
    pub telemetry: Rc<WorkerTelemetry>,
}

impl Worker {
    /// Starts the actors of the current thread.
    #[must_use]
    pub fn start(gateway: &Arc<Gateway>) -> Rc<Self> {
        let actors = Actors::start(&gateway.books);
        let redis = &gateway.books.redis;
        if redis.limits.is_some() || redis.budgets.is_some() || redis.cache.is_some() {
            let shared = actors.clone();
            actix_rt::spawn(async move { shared.warm().await });
        }
        Rc::new(Self {
            gateway: gateway.clone(),
            actors,
            upstream: Upstream::default(),
            telemetry: WorkerTelemetry::start(&gateway.telemetry),
        })
    }

    /// Counts an exchange as open until the guard is dropped.
    #[must_use]
    pub fn open_exchange(&self, endpoint: &'static Endpoint) -> Opened {
        self.telemetry.board().open(endpoint)
    }
}
