//! The shape of each table of settings. `Default` is the only home of a default.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    thread,
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error};

use super::{
    edge::{AuthThrottle, ListenerTls, RealIp},
    rewrite::UrlRewrite,
};
use crate::config::secret::{KeyHash, hashed_keys};

/// `[proxy]`: the listener for callers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Where callers are served.
    #[serde(deserialize_with = "address")]
    pub addr: SocketAddr,
    workers: Option<NonZeroUsize>,
    request_body_limit_bytes: u64,
    request_head_timeout_ms: u64,
    request_body_timeout_ms: u64,
    /// Which headers may name a request.
    pub request_id: RequestId,
    /// Which peers may say for whom they call.
    pub real_ip: RealIp,
    /// How often one address may fail to authenticate.
    pub auth_throttle: AuthThrottle,
    /// Other names for paths; the first rule that matches counts.
    pub url_rewrites: Vec<UrlRewrite>,
    /// The certificate of the listener.
    pub tls: ListenerTls,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            workers: None,
            request_body_limit_bytes: 32 * 1024 * 1024,
            request_head_timeout_ms: 30_000,
            request_body_timeout_ms: 30_000,
            request_id: RequestId::default(),
            real_ip: RealIp::default(),
            auth_throttle: AuthThrottle::default(),
            url_rewrites: Vec::new(),
            tls: ListenerTls::default(),
        }
    }
}

impl Proxy {
    /// The number of worker threads: as configured, otherwise what the machine (or its cgroup) offers.
    pub fn workers(&self) -> usize {
        let offered = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.workers.map_or_else(offered, NonZeroUsize::get)
    }

    /// The largest request body; `None` for no limit.
    pub fn request_body_limit(&self) -> Option<u64> {
        (self.request_body_limit_bytes > 0).then_some(self.request_body_limit_bytes)
    }

    /// The time in which the head of a request must be there; `None` for no limit.
    pub fn request_head_timeout(&self) -> Option<Duration> {
        millis(self.request_head_timeout_ms)
    }

    /// The longest gap between two parts of a request body; `None` for no limit.
    pub fn request_body_timeout(&self) -> Option<Duration> {
        millis(self.request_body_timeout_ms)
    }
}

/// `[proxy.request_id]`: which headers of a request may name it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestId {
    /// Names in lower case; the first acceptable value wins; empty means that callers name nothing.
    pub accept_headers: Vec<String>,
}

impl Default for RequestId {
    fn default() -> Self {
        Self { accept_headers: vec!["x-aisix-request-id".into()] }
    }
}

/// `[admin]`: the listener for administrators.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Whether the Admin API is served at all.
    pub enabled: bool,
    /// Where it is served.
    #[serde(deserialize_with = "address")]
    pub addr: SocketAddr,
    /// The hashes of the keys that open it; empty means that nobody is asked for one.
    #[serde(deserialize_with = "hashed_keys")]
    pub admin_keys: Vec<KeyHash>,
    /// The certificate of the listener.
    pub tls: ListenerTls,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            enabled: true,
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 3001)),
            admin_keys: Vec::new(),
            tls: ListenerTls::default(),
        }
    }
}

impl Admin {
    /// Whether an administrator may enter with what was presented; without any key everybody may.
    pub fn accepts(&self, presented: &str) -> bool {
        self.admin_keys.is_empty() || self.admin_keys.contains(&KeyHash::of(presented))
    }
}

/// `[store]`: where the Admin API keeps resources, and the journal what was spent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The file, relative to that of the configuration; made when it is needed. Empty for none.
    pub path: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: "aisix.db".into() }
    }
}

/// `[downstream]`: connections of callers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Downstream {
    idle_timeout_secs: u64,
    sse_keepalive_interval_secs: u64,
}

impl Default for Downstream {
    fn default() -> Self {
        Self { idle_timeout_secs: 0, sse_keepalive_interval_secs: 15 }
    }
}

impl Downstream {
    /// How long a connection without a request stays open; `None` for ever.
    pub fn idle_timeout(&self) -> Option<Duration> {
        secs(self.idle_timeout_secs)
    }

    /// The silence after which a stream gets a comment line; `None` for never.
    pub fn sse_keepalive_interval(&self) -> Option<Duration> {
        secs(self.sse_keepalive_interval_secs)
    }
}

/// `[shutdown]`: how the process ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    min_drain_secs: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { min_drain_secs: 30 }
    }
}

impl Shutdown {
    /// How long listeners go on accepting after the probes say that the process is leaving.
    pub fn min_drain(&self) -> Duration {
        Duration::from_secs(self.min_drain_secs)
    }
}

/// `[presets]`: providers that the environment switches on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Presets {
    /// Whether a credential in the environment (such as `OPENAI_API_KEY`) adds its provider.
    pub enabled: bool,
}

impl Default for Presets {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// A number of milliseconds in which 0 means *none*.
pub(super) fn millis(value: u64) -> Option<Duration> {
    (value > 0).then(|| Duration::from_millis(value))
}

/// A number of seconds in which 0 means *none*.
pub(super) fn secs(value: u64) -> Option<Duration> {
    (value > 0).then(|| Duration::from_secs(value))
}

pub(super) fn address<'de, D: Deserializer<'de>>(source: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(source)?;
    let message = "expected an IP address with a port, such as \"127.0.0.1:3000\"";
    text.parse().map_err(|_| D::Error::custom(message))
}
