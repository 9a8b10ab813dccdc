//! What the gateway tells about itself: the log, a line and metrics of every exchange, and usage records.
//!
//! The pipeline closes an exchange with a [`record::Record`]; each worker counts and writes it into buffers of its own
//! ([`worker`]), without a lock and without waiting. Threads of their own write the lines; whoever scrapes adds the
//! counters up ([`exposition`]).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub mod access_log;
pub mod board;
pub mod client_type;
pub mod clock;
mod configuration;
pub mod exposition;
pub mod families;
pub mod fields;
pub mod gauges;
mod guard_fields;
pub mod guards;
pub mod log_writer;
pub mod meters;
pub mod queue;
pub mod record;
mod refusals;
pub mod registry;
pub mod rotating_file;
pub mod series;
mod shared_state;
pub mod spread;
mod sweep;
pub mod tallies;
pub mod usage_record;
pub mod usage_writer;
pub mod worker;

use board::Board;
use client_type::Rules;
use guards::GuardBook;
use log_writer::Log;
use meters::Edges;
use registry::Registry;
use usage_writer::UsageWriter;

use crate::config::settings::{LineFormat, Observability};
use crate::journal::JournalHandle;

/// What the whole process tells, and to whom.
pub struct Telemetry {
    /// The rows of all workers.
    pub registry: Arc<Registry>,
    /// What guardrails decided, of all workers.
    pub guards: Arc<GuardBook>,
    /// The edges of the histograms.
    pub edges: Arc<Edges>,
    /// What operators know about clients.
    pub client_rules: Arc<Rules>,
    /// Whether metrics are kept.
    pub has_metrics: bool,
    /// How access lines are written; `None` where nobody reads them.
    pub access_format: Option<LineFormat>,
    /// The log, where the process has one.
    pub log: Option<Log>,
    /// Where usage records go.
    pub usage: Option<UsageWriter>,
    boards: Mutex<Vec<Arc<Board>>>,
}

impl Telemetry {
    /// Prepares what the settings ask for; `log` is where access lines go.
    ///
    /// # Errors
    /// The thread for usage records cannot be started.
    pub fn start(settings: &Observability, log: Option<Log>) -> io::Result<Self> {
        Self::start_behind(&JournalHandle::off(), settings, log)
    }

    /// The same, with usage records written once the journal has kept their charges.
    ///
    /// # Errors
    /// The thread for usage records cannot be started.
    pub fn start_behind(
        journal: &JournalHandle,
        settings: &Observability,
        log: Option<Log>,
    ) -> io::Result<Self> {
        let micros = |edges: &[f64]| edges.iter().map(|edge| (edge * 1e6).round() as u64).collect();
        let buckets = &settings.metrics.buckets;
        let reads_access = || log::log_enabled!(target: access_log::TARGET, log::Level::Info);
        let has_access = settings.access_log && log.is_some() && reads_access();
        Ok(Self {
            registry: Arc::new(Registry::new(settings.metrics.max_series)),
            guards: Arc::default(),
            edges: Arc::new(Edges { e2e: micros(&buckets.e2e), ttft: micros(&buckets.ttft) }),
            client_rules: Arc::new(Rules::new(&settings.metrics.client_type_rules)),
            has_metrics: settings.metrics.prometheus.enabled,
            access_format: has_access.then_some(settings.access_log_format),
            log,
            usage: UsageWriter::start(&settings.usage_records, journal)?,
            boards: Mutex::default(),
        })
    }

    /// Whether anybody wants to hear of an exchange.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.has_metrics || self.access_format.is_some() || self.usage.is_some()
    }

    /// A board for another worker.
    #[must_use]
    pub fn new_board(&self) -> Arc<Board> {
        let board = Arc::new(Board::default());
        self.boards.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&board));
        board
    }

    /// The boards of all workers.
    #[must_use]
    pub fn boards(&self) -> Vec<Arc<Board>> {
        self.boards.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a worker still holds lines that its writers have not been given.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.boards().iter().any(|board| board.buffered.read() > 0)
    }

    /// Waits until everything told so far is written, or can be waited for no longer.
    ///
    /// To be called when no exchange is open any more; blocks only on the threads that write.
    pub async fn finish(&self) {
        let deadline = Instant::now() + FINISH_TIME;
        while self.has_buffered() && Instant::now() < deadline {
            tokio::time::sleep(FINISH_POLL).await;
        }
        if let Some(usage) = &self.usage {
            usage.wait();
        }
    }
}

/// How often the end of the process looks whether the workers have handed over their lines.
const FINISH_POLL: Duration = Duration::from_millis(10);
/// Longest wait for a worker that hands over nothing any more.
const FINISH_TIME: Duration = Duration::from_secs(2);
