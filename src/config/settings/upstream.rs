//! `[upstream]`: connections to providers, their limits and their trust.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::tables::{millis, secs};

/// `[upstream]`: connections to providers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    timeout_ms: u64,
    stream_timeout_ms: u64,
    first_byte_timeout_ms: u64,
    stream_total_timeout_ms: u64,
    ttft_timeout_ms: u64,
    total_timeout_ms: u64,
    pub(super) connect_timeout_ms: u64,
    pub(super) tcp_keepalive_secs: u64,
    pub(super) tcp_keepalive_interval_secs: u64,
    pub(super) tcp_keepalive_retries: u32,
    pool_idle_timeout_secs: u64,
    max_connections: usize,
    /// The largest answer that is held in memory.
    pub max_response_bytes: u64,
    /// Tries again at the same target, where neither the model nor its group says how often.
    pub retries: u32,
    /// Trust in providers whose key has no `tls` of its own.
    pub tls: Tls,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            timeout_ms: 6_000_000,
            stream_timeout_ms: 0,
            first_byte_timeout_ms: 0,
            stream_total_timeout_ms: 0,
            ttft_timeout_ms: 0,
            total_timeout_ms: 0,
            connect_timeout_ms: 5_000,
            tcp_keepalive_secs: 60,
            tcp_keepalive_interval_secs: 30,
            tcp_keepalive_retries: 5,
            pool_idle_timeout_secs: 30,
            max_connections: 0,
            max_response_bytes: 64 * 1024 * 1024,
            retries: 2,
            tls: Tls::default(),
        }
    }
}

impl Upstream {
    /// The deadline of a whole call; `None` for no limit.
    pub fn timeout(&self) -> Option<Duration> {
        millis(self.timeout_ms)
    }

    /// The longest gap between two parts of a stream: its own setting, otherwise that of a whole call.
    pub fn stream_timeout(&self) -> Option<Duration> {
        millis(self.stream_timeout_ms).or_else(|| self.timeout())
    }

    /// The time in which the first part of a stream must be there; `None` for no limit of its own.
    pub fn first_byte_timeout(&self) -> Option<Duration> {
        millis(self.first_byte_timeout_ms)
    }

    /// The longest that a stream may take in all; `None` for no limit.
    pub fn stream_total_timeout(&self) -> Option<Duration> {
        millis(self.stream_total_timeout_ms)
    }

    /// The longest wait for the first token of a stream; `None` for no limit of its own.
    pub fn ttft_timeout(&self) -> Option<Duration> {
        millis(self.ttft_timeout_ms)
    }

    /// The longest time of a request over all its attempts, until its answer begins; `None` for no limit.
    pub fn total_timeout(&self) -> Option<Duration> {
        millis(self.total_timeout_ms)
    }

    /// The time in which a connection (name, TCP, TLS) must stand.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// How a connection is asked whether its other end is still there; `None` for never.
    pub fn tcp_keepalive(&self) -> Option<TcpKeepalive> {
        secs(self.tcp_keepalive_secs).map(|idle| TcpKeepalive {
            idle,
            interval: Duration::from_secs(self.tcp_keepalive_interval_secs),
            retries: self.tcp_keepalive_retries,
        })
    }

    /// How long an idle connection is kept for use again.
    pub fn pool_idle_timeout(&self) -> Duration {
        secs(self.pool_idle_timeout_secs).unwrap_or_default()
    }

    /// How many connections one worker opens to one host; `None` for no limit.
    pub fn max_connections(&self) -> Option<usize> {
        (self.max_connections > 0).then_some(self.max_connections)
    }
}

/// How a silent connection is asked whether its other end is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// The silence before the first question.
    pub idle: Duration,
    /// Between two questions.
    pub interval: Duration,
    /// Questions without an answer until the connection counts as broken.
    pub retries: u32,
}

/// `[upstream.tls]`: whom to trust beyond the system's roots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with further roots, relative to the configuration file.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate that is shown to providers that ask, and its chain.
    pub client_cert_file: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    pub client_key_file: Option<PathBuf>,
    /// Whether certificates are checked.
    pub verify: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { ca_file: None, client_cert_file: None, client_key_file: None, verify: true }
    }
}
