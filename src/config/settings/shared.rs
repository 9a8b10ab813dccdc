//! What several gateways share: the tables of limits, budgets and the cache, and the Redis behind them.

use std::{fs, io, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::problem::{Place, Problems};
use crate::config::secret::Plaintext;

/// Where shared state is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// In this process, shared by its workers.
    #[default]
    Memory,
    /// In Redis, shared by all gateways that use it.
    Redis,
}

/// `[cache]`: the response cache.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Where entries are kept under policies that do not say.
    pub backend: Backend,
    /// What all entries in this process together may weigh.
    pub max_bytes: u64,
    /// The Redis of entries; `[redis]` without it.
    pub redis: Option<Redis>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { backend: Backend::Memory, max_bytes: 64 * 1024 * 1024, redis: None }
    }
}

/// `[ratelimit]`: where limits are counted.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Where the counts are kept.
    pub backend: Backend,
    /// What happens to limited requests while Redis cannot be asked.
    pub on_failure: LimitFailure,
    concurrency_ttl_secs: u64,
    /// The Redis of counts; `[redis]` without it.
    pub redis: Option<Redis>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            backend: Backend::Memory,
            on_failure: LimitFailure::Local,
            concurrency_ttl_secs: 300,
            redis: None,
        }
    }
}

impl RateLimit {
    /// How long a slot or a hold in Redis outlives the gateway that took it and says nothing any more.
    pub fn concurrency_ttl(&self) -> Duration {
        Duration::from_secs(self.concurrency_ttl_secs)
    }
}

/// What happens to limited requests while the shared counts cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitFailure {
    /// Each gateway counts for itself.
    #[default]
    Local,
    /// They are refused.
    Deny,
}

/// `[budget]`: where spend is kept, and what budgets do where they cannot know.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Where spend is kept.
    pub backend: Backend,
    /// What happens to a request under a hard budget whose model has no price.
    pub unpriced: Verdict,
    /// Whether charges are written to the store.
    pub journal: bool,
    flush_ms: u64,
    /// What happens to requests under hard budgets while charges cannot be written.
    pub on_journal_failure: Verdict,
    stale_secs: u64,
    /// What happens to requests under hard budgets while Redis cannot be asked and what is known of it is stale.
    pub on_failure: Verdict,
    /// The Redis of spend; `[redis]` without it.
    pub redis: Option<Redis>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            backend: Backend::Memory,
            unpriced: Verdict::Deny,
            journal: true,
            flush_ms: 20,
            on_journal_failure: Verdict::Deny,
            stale_secs: 600,
            on_failure: Verdict::Deny,
            redis: None,
        }
    }
}

impl Budget {
    /// How long charges are gathered before they are written together.
    pub fn flush(&self) -> Duration {
        Duration::from_millis(self.flush_ms)
    }

    /// Whether what is read once, at the start, is the same: all but what happens to requests of which something is not
    /// known.
    pub(super) fn is_fixed_like(&self, other: &Self) -> bool {
        let Self { unpriced, on_failure, on_journal_failure, .. } = *other;
        Self { unpriced, on_failure, on_journal_failure, ..self.clone() } == *other
    }

    /// How long the last known figures are good while Redis cannot be asked.
    pub fn stale(&self) -> Duration {
        Duration::from_secs(self.stale_secs)
    }
}

/// What happens to a request under a hard budget about which something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is refused.
    Deny,
    /// It is served.
    Allow,
}

/// A Redis, version 7 or newer, or a Valkey.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// How it is built.
    pub mode: RedisMode,
    /// Its address, for `single`: `redis://` or, with TLS, `rediss://`.
    pub url: Option<Plaintext>,
    /// Addresses of some of its nodes, for `cluster`.
    pub nodes: Vec<Plaintext>,
    /// Addresses of the sentinels, for `sentinel`: `host:port`.
    pub sentinels: Vec<String>,
    /// What the sentinels call it.
    pub master_name: Option<String>,
    /// Who the gateway is to the sentinels, which may have users of their own.
    pub sentinel_username: Option<String>,
    /// How it proves that to the sentinels.
    pub sentinel_password: Option<Plaintext>,
    /// Who the gateway is.
    pub username: Option<String>,
    /// How it proves that.
    pub password: Option<Plaintext>,
    /// The database; clusters have only 0.
    pub database: u32,
    /// What every key begins with.
    pub key_prefix: String,
    connect_timeout_ms: u64,
    timeout_ms: u64,
    /// Whom to trust.
    pub tls: Option<RedisTls>,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            mode: RedisMode::Single,
            url: None,
            nodes: Vec::new(),
            sentinels: Vec::new(),
            master_name: None,
            sentinel_username: None,
            sentinel_password: None,
            username: None,
            password: None,
            database: 0,
            key_prefix: "aisix".into(),
            connect_timeout_ms: 1_000,
            timeout_ms: 100,
            tls: None,
        }
    }
}

impl Redis {
    /// The time in which a connection must stand.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// The longest wait for an answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    fn check(&self, table: &str, place: Place<'_>, problems: &mut Problems) {
        let mut report = |field: &str, message: &str| {
            place.report(&format!("{table}.{field}"), message, problems);
        };
        match self.mode {
            RedisMode::Single if self.url.is_none() => report("url", "is required for mode \"single\""),
            RedisMode::Cluster if self.nodes.is_empty() => {
                report("nodes", "is required for mode \"cluster\"");
            }
            RedisMode::Cluster if self.database != 0 => {
                report("database", "a cluster has only the database 0");
            }
            RedisMode::Sentinel if self.sentinels.is_empty() => {
                report("sentinels", "is required for mode \"sentinel\"");
            }
            RedisMode::Sentinel if self.master_name.is_none() => {
                report("master_name", "is required for mode \"sentinel\"");
            }
            RedisMode::Single | RedisMode::Cluster
                if self.sentinel_username.is_some() || self.sentinel_password.is_some() =>
            {
                report(
                    "sentinel_username",
                    "sentinel_username and sentinel_password are for mode \"sentinel\"",
                );
            }
            RedisMode::Single | RedisMode::Cluster | RedisMode::Sentinel => {}
        }
        if self.key_prefix.is_empty() {
            report("key_prefix", "must not be empty: it says where keys of a cluster lie");
        }
        if self.key_prefix.contains(['{', '}']) {
            report("key_prefix", "must hold no braces, which say where keys of a cluster lie");
        }
        let files =
            self.tls.as_ref().map(|tls| [tls.client_cert_file.is_some(), tls.client_key_file.is_some()]);
        if files.is_some_and(|[cert, key]| cert != key) {
            report("tls", "client_cert_file and client_key_file need each other");
        }
        for (field, value) in
            [("connect_timeout_ms", self.connect_timeout_ms), ("timeout_ms", self.timeout_ms)]
        {
            if value == 0 {
                report(field, "expected 1 or more");
            }
        }
    }
}

/// How a Redis is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisMode {
    /// One server.
    #[default]
    Single,
    /// Several servers that have a part of the keys each.
    Cluster,
    /// One server of several, which sentinels choose.
    Sentinel,
}

/// TLS towards Redis.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisTls {
    /// A PEM file with the roots to trust in place of the system's, relative to the configuration file.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate that is shown, and its chain.
    pub client_cert_file: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    pub client_key_file: Option<PathBuf>,
    /// Whether certificates are checked.
    pub verify: bool,
}

/// What the files hold that a table of TLS names, as PEM.
pub struct RedisCertificates {
    /// The roots to trust.
    pub roots: Option<Vec<u8>>,
    /// The certificate that is shown with its chain, and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them cannot be read; the error names it.
    pub fn files(&self) -> io::Result<RedisCertificates> {
        let read = |file: &PathBuf| {
            let named = |error| io::Error::other(format!("redis.tls: {}: {error}", file.display()));
            fs::read(file).map_err(named)
        };
        let identity = match (&self.client_cert_file, &self.client_key_file) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            _ => None,
        };
        Ok(RedisCertificates { roots: self.ca_file.as_ref().map(read).transpose()?, identity })
    }
}

impl Default for RedisTls {
    fn default() -> Self {
        Self { ca_file: None, client_cert_file: None, client_key_file: None, verify: true }
    }
}

impl super::Settings {
    /// The Redis of limits, where they are counted there.
    pub fn limits_redis(&self) -> Option<&Redis> {
        self.redis_of(self.ratelimit.backend, self.ratelimit.redis.as_ref())
    }

    /// The Redis of budgets, where spend is kept there.
    pub fn budgets_redis(&self) -> Option<&Redis> {
        self.redis_of(self.budget.backend, self.budget.redis.as_ref())
    }

    /// The Redis of cached answers, where there is one: a policy may ask for it whatever `cache.backend` says.
    pub fn cache_redis(&self) -> Option<&Redis> {
        self.cache.redis.as_ref().or(self.redis.as_ref())
    }

    /// The files that tables of Redis name.
    pub(super) fn redis_files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let tables =
            [&mut self.redis, &mut self.ratelimit.redis, &mut self.budget.redis, &mut self.cache.redis];
        let tls = tables.into_iter().flatten().flat_map(|redis| &mut redis.tls);
        tls.flat_map(|tls| [&mut tls.ca_file, &mut tls.client_cert_file, &mut tls.client_key_file]).flatten()
    }

    fn redis_of<'s>(&'s self, backend: Backend, own: Option<&'s Redis>) -> Option<&'s Redis> {
        match backend {
            Backend::Memory => None,
            Backend::Redis => own.or(self.redis.as_ref()),
        }
    }

    pub(super) fn check_shared(&self, place: Place<'_>, problems: &mut Problems) {
        let tables = [
            ("ratelimit", self.ratelimit.backend, &self.ratelimit.redis),
            ("budget", self.budget.backend, &self.budget.redis),
            ("cache", self.cache.backend, &self.cache.redis),
        ];
        if let Some(redis) = &self.redis {
            redis.check("redis", place, problems);
        }
        for (table, backend, own) in tables {
            if let Some(redis) = own {
                redis.check(&format!("{table}.redis"), place, problems);
            } else if backend == Backend::Redis && self.redis.is_none() {
                let message = format!("needs to know where: write a table [redis] or [{table}.redis]");
                place.report(&format!("{table}.backend"), message, problems);
            }
        }
        if self.ratelimit.concurrency_ttl_secs == 0 {
            place.report("ratelimit.concurrency_ttl_secs", "expected 1 or more", problems);
        }
        if !(1..=10_000).contains(&self.budget.flush_ms) {
            place.report("budget.flush_ms", "expected a whole number from 1 to 10000", problems);
        }
    }
}
