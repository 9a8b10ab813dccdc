//! Everything that a request may reach: one [`Gateway`] per process, one [`Worker`] per thread.
//!
//! There is no other mutable state. What a worker needs on the hot path lives on its thread; what all of them share
//! lies behind the books.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aisix_actors::budget_ledger::NoJournal;
use aisix_actors::{Actors, Books, CacheBook, Ledger};
use arc_swap::ArcSwap;

use crate::config::snapshot::Snapshot;
use crate::endpoints::Endpoint;
use crate::telemetry::Telemetry;
use crate::telemetry::board::{Board, Opened};
use crate::telemetry::worker::WorkerTelemetry;
use crate::upstream::Upstream;
use crate::upstream::tls::TlsConfigs;

/// What the whole process shares.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// The books of the five actors.
    pub books: Books,
    /// TLS configurations towards providers.
    pub tls: TlsConfigs,
    /// What is counted and written of every exchange.
    pub telemetry: Arc<Telemetry>,
    is_draining: AtomicBool,
}

impl Gateway {
    /// A gateway over a configuration.
    #[must_use]
    pub fn new(snapshot: Snapshot, telemetry: Telemetry) -> Arc<Self> {
        let books = Books {
            limits: Arc::default(),
            ledger: Arc::new(Ledger::new(Arc::new(NoJournal))),
            cache: Arc::new(CacheBook::new(snapshot.settings.cache.max_bytes)),
            health: Arc::default(),
            pool: Arc::default(),
        };
        books.pool.install(snapshot.provider_keys.clone());
        Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            books,
            tls: TlsConfigs::default(),
            telemetry: Arc::new(telemetry),
            is_draining: AtomicBool::new(false),
        })
    }

    /// The configuration in force; a request keeps the one that it started with.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
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
        Rc::new(Self {
            gateway: gateway.clone(),
            actors: Actors::start(&gateway.books),
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
