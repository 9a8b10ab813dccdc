//! What the whole process knows of one Redis: how it is reached, whether it answers, and what failed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use std::time::{Duration, Instant};

use derive_more::Display;

use super::options::Options;
use crate::register::lock;

/// Time between two lines about a Redis that stays away for the same reason.
const REMINDER: Duration = Duration::from_secs(60);

/// Different things that the log says about one Redis, so that no caller can fill it.
const MOST_SAID: usize = 32;

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
    said: Mutex<Said>,
}

/// What the log says already.
#[derive(Debug, Default)]
struct Said {
    /// Reasons for which it is away; forgotten when it is back.
    causes: Vec<String>,
    last: Option<Instant>,
    /// What it refused to do.
    refusals: Vec<String>,
}

impl Said {
    /// Whether a reason to be away is new, or was not said for long.
    fn is_due(&mut self, why: &str) -> bool {
        let is_new = is_new(&mut self.causes, why);
        let is_due = is_new || self.last.is_none_or(|last| last.elapsed() >= REMINDER);
        if is_due {
            self.last = Some(Instant::now());
        }
        is_due
    }
}

/// Notes something; whether it was not noted before.
fn is_new(known: &mut Vec<String>, text: &str) -> bool {
    if known.len() >= MOST_SAID || known.iter().any(|known| known == text) {
        return false;
    }
    known.push(text.to_owned());
    true
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
            said: Mutex::default(),
        })
    }

    /// Connects once and sees whether it is answered.
    ///
    /// # Errors
    /// What stands in the way, in words without any secret.
    pub async fn reach(&self) -> Result<(), String> {
        let mut wire = self.options.connect().await?;
        wire.probe(&self.options.key_prefix, self.options.connect_timeout).await
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
        let is_first = self.down.fetch_add(1, Relaxed) == 0;
        if lock(&self.said).is_due(why) || is_first {
            let what = if is_first { "cannot be asked" } else { "another connection is lost" };
            log::warn!("redis {}: {what}: {why}", self.options);
        }
    }

    /// Notes why a link is still down; the log says so when that is news, and now and then.
    pub(super) fn miss(&self, why: &str) {
        if lock(&self.said).is_due(why) {
            log::warn!("redis {}: still away: {why}", self.options);
        }
    }

    /// Notes that a call was refused; the log says so once for each reason.
    pub(super) fn refuse(&self, why: &str) {
        if is_new(&mut lock(&self.said).refusals, why) {
            log::warn!("redis {}: refuses a call: {why}", self.options);
        }
    }

    /// Notes that a link is back; the last one says so in the log.
    pub(super) fn regain(&self) {
        if self.down.fetch_sub(1, Relaxed) == 1 {
            let mut said = lock(&self.said);
            (said.causes, said.last) = (Vec::new(), None);
            drop(said);
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
