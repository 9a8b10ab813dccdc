//! What the whole process knows of one Redis: how it is reached, whether it answers, and what failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use derive_more::Display;

use super::options::Options;

/// What a Redis is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display)]
pub enum Use {
    /// Limits of requests, tokens and concurrency.
    #[display("limits")]
    Limits,
    /// Spend of budgets.
    #[display("budgets")]
    Budgets,
    /// Finished answers.
    #[display("cache")]
    Cache,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Limits, Self::Budgets, Self::Cache];
}

/// One Redis.
#[derive(Debug)]
pub struct Server {
    /// How it is reached.
    pub options: Options,
    /// Links that cannot ask at the moment.
    down: AtomicUsize,
    limits: Tally,
    budgets: Tally,
    cache: Tally,
}

/// What happened to one use of a Redis.
#[derive(Debug, Default)]
pub struct Tally {
    failures: AtomicU64,
    fallbacks: AtomicU64,
}

/// The Redis of each use; uses of the same one share it.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// Where limits are counted; in this process without it.
    pub limits: Option<Arc<Server>>,
    /// Where spend is kept; in this process without it.
    pub budgets: Option<Arc<Server>>,
    /// Where answers are kept, if policies ask for it.
    pub cache: Option<Arc<Server>>,
}

impl Servers {
    /// Prepares the servers; uses with equal options share one.
    pub fn new(limits: Option<Options>, budgets: Option<Options>, cache: Option<Options>) -> Self {
        let mut known: Vec<Arc<Server>> = Vec::new();
        let mut server = |options: Option<Options>| {
            let options = options?;
            let same = known.iter().find(|server| server.options == options).cloned();
            let server = same.unwrap_or_else(|| Server::new(options));
            known.push(Arc::clone(&server));
            Some(server)
        };
        Self { limits: server(limits), budgets: server(budgets), cache: server(cache) }
    }

    /// Returns the server of a use.
    pub fn of(&self, used_for: Use) -> Option<&Arc<Server>> {
        match used_for {
            Use::Limits => self.limits.as_ref(),
            Use::Budgets => self.budgets.as_ref(),
            Use::Cache => self.cache.as_ref(),
        }
    }
}

impl Server {
    /// Prepares one; nothing is asked yet.
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            options,
            down: AtomicUsize::new(0),
            limits: Tally::default(),
            budgets: Tally::default(),
            cache: Tally::default(),
        })
    }

    /// Connects once and sees whether it is answered.
    ///
    /// # Errors
    /// What stands in the way, in words without any secret.
    pub async fn reach(&self) -> Result<(), String> {
        let mut wire = self.options.connect().await?;
        wire.call(&redis::cmd("PING"), self.options.connect_timeout).await.map(drop)
    }

    /// Whether all links of the process can ask.
    pub fn is_up(&self) -> bool {
        self.down.load(Relaxed) == 0
    }

    /// Returns the counters of one use.
    pub fn tally(&self, used_for: Use) -> &Tally {
        match used_for {
            Use::Limits => &self.limits,
            Use::Budgets => &self.budgets,
            Use::Cache => &self.cache,
        }
    }

    /// Notes that one more link is down; the first one says so in the log.
    pub(super) fn lose(&self, why: &str) {
        if self.down.fetch_add(1, Relaxed) == 0 {
            log::warn!("redis {}: cannot be asked: {why}", self.options);
        }
    }

    /// Notes that a link is back; the last one says so in the log.
    pub(super) fn regain(&self) {
        if self.down.fetch_sub(1, Relaxed) == 1 {
            log::info!("redis {}: answers again", self.options);
        }
    }
}

impl Tally {
    /// Counts a call that failed or was late.
    pub fn fail(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// Counts a request that was decided without Redis.
    pub fn fall_back(&self) {
        self.fallbacks.fetch_add(1, Relaxed);
    }

    /// Calls that failed or were late.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Requests that were decided without Redis.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Relaxed)
    }
}
