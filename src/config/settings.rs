//! The settings: every table of the file that is not a list of resources.
//!
//! A setting out of range is refused here, with its line, so that what runs never has to ask again. Units
//! stand in the keys of the file; methods turn them into a [`Duration`](std::time::Duration) or an explicit
//! *no limit*.

mod edge;
mod observability;
mod rewrite;
mod shared;
mod tables;
mod upstream;

use std::path::Path;

use serde::Deserialize;

pub use self::{
    edge::{AuthThrottle, ListenerTls, RealIp},
    observability::{
        Buckets, ClientTypeRule, LineFormat, LogLevel, Metrics, Observability, Prometheus, UsageRecords,
        UsageTarget,
    },
    rewrite::{UrlRewrite, rewritten},
    shared::{Backend, Budget, Cache, LimitFailure, RateLimit, Redis, RedisMode, RedisTls, Verdict},
    tables::{Admin, Downstream, Presets, Proxy, RequestId, Shutdown, Store},
    upstream::{TcpKeepalive, Tls, Upstream},
};
use super::{
    headers,
    problem::{Place, Problems},
    reader::read,
    tree::Node,
};

/// The tables of settings, as the file and environment overrides spell them.
pub(super) const TABLES: [&str; 12] = [
    "proxy",
    "admin",
    "store",
    "observability",
    "upstream",
    "downstream",
    "cache",
    "ratelimit",
    "budget",
    "redis",
    "shutdown",
    "presets",
];

/// Longest name of a header that may carry a request id.
const MAX_HEADER_NAME: usize = 64;

/// Longest times and most questions of a TCP keep-alive that systems take (`MAX_TCP_KEEPIDLE` and others of Linux).
const MAX_KEEPALIVE_SECS: u64 = 32_767;
const MAX_KEEPALIVE_RETRIES: u64 = 127;

/// Everything that is set once for the whole gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The listener for callers.
    pub proxy: Proxy,
    /// The listener for administrators.
    pub admin: Admin,
    /// Where the Admin API keeps resources.
    pub store: Store,
    /// Logs and what is told about a request.
    pub observability: Observability,
    /// Connections to providers.
    pub upstream: Upstream,
    /// Connections of callers.
    pub downstream: Downstream,
    /// The response cache.
    pub cache: Cache,
    /// Where limits are counted.
    pub ratelimit: RateLimit,
    /// What budgets do where they cannot know.
    pub budget: Budget,
    /// The Redis of what several gateways share.
    pub redis: Option<Redis>,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// Providers that the environment switches on.
    pub presets: Presets,
}

impl Settings {
    /// Reads the settings from a table that holds nothing else; `None` when something is wrong with them.
    pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let place = Place { node, path: "" };
        let mut settings: Self = read(place, problems)?;
        let found = problems.len();
        settings.check_request_id(place, problems);
        settings.proxy.real_ip.check(place, problems);
        for (index, rule) in settings.proxy.url_rewrites.iter().enumerate() {
            rule.check(&format!("proxy.url_rewrites[{index}]"), place, problems);
        }
        settings.check_admin(place, problems);
        settings.check_metrics(place, problems);
        settings.check_sizes(place, problems);
        settings.check_shared(place, problems);
        settings.observability.check(place, problems);
        (problems.len() == found).then_some(settings)
    }

    /// Makes the paths of files that are written relative to `folder`, that of the configuration file.
    pub(super) fn anchor(&mut self, folder: &Path) {
        for path in self.redis_files() {
            *path = folder.join(&*path);
        }
        for path in [&mut self.store.path, &mut self.observability.usage_records.path] {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        }
    }

    /// The settings that are read once, at the start, and differ in `new`.
    pub fn fixed_differences(&self, new: &Self) -> Vec<&'static str> {
        let fixed = [
            ("proxy.addr", self.proxy.addr != new.proxy.addr),
            ("proxy.workers", self.proxy.workers() != new.proxy.workers()),
            (
                "proxy.request_head_timeout_ms",
                self.proxy.request_head_timeout() != new.proxy.request_head_timeout(),
            ),
            ("proxy.tls", self.proxy.tls.cert_file.is_some() != new.proxy.tls.cert_file.is_some()),
            ("admin.tls", self.admin.tls.cert_file.is_some() != new.admin.tls.cert_file.is_some()),
            ("admin.enabled", self.admin.enabled != new.admin.enabled),
            ("admin.addr", self.admin.addr != new.admin.addr),
            ("store.path", self.store != new.store),
            ("observability.log_level", self.observability.log_level != new.observability.log_level),
            ("observability.access_log", self.observability.access_log != new.observability.access_log),
            (
                "observability.access_log_format",
                self.observability.access_log_format != new.observability.access_log_format,
            ),
            ("observability.metrics", self.observability.metrics != new.observability.metrics),
            (
                "observability.usage_records",
                self.observability.usage_records != new.observability.usage_records,
            ),
            ("downstream.idle_timeout_secs", self.downstream.idle_timeout() != new.downstream.idle_timeout()),
            ("cache", self.cache != new.cache),
            ("ratelimit", self.ratelimit != new.ratelimit),
            ("budget", !self.budget.is_fixed_like(&new.budget)),
            ("redis", self.redis != new.redis),
        ];
        fixed.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    fn check_request_id(&mut self, place: Place<'_>, problems: &mut Problems) {
        for (index, name) in self.proxy.request_id.accept_headers.iter_mut().enumerate() {
            name.make_ascii_lowercase();
            let field = format!("proxy.request_id.accept_headers[{index}]");
            if name.len() > MAX_HEADER_NAME || !headers::is_name(name) {
                place.report(&field, "expected the name of a header", problems);
            } else if headers::is_reserved(name) || headers::is_trace(name) {
                let message = "this header is reserved and cannot carry a request id";
                place.report(&field, message, problems);
            }
        }
    }

    fn check_admin(&self, place: Place<'_>, problems: &mut Problems) {
        let admin = &self.admin;
        if admin.enabled && admin.admin_keys.is_empty() && !admin.addr.ip().is_loopback() {
            let message = "without admin_keys the Admin API listens on a loopback address only; \
                           add a key, use 127.0.0.1, or set admin.enabled = false";
            place.report("admin.addr", message, problems);
        }
        if admin.enabled && admin.addr == self.proxy.addr && admin.addr.port() != 0 {
            place.report("admin.addr", "is the address of the proxy as well", problems);
        }
    }

    fn check_metrics(&self, place: Place<'_>, problems: &mut Problems) {
        let metrics = &self.observability.metrics.prometheus;
        let taken = [("proxy", self.proxy.addr, true), ("Admin API", self.admin.addr, self.admin.enabled)];
        for (name, addr, is_served) in taken {
            if metrics.enabled && is_served && metrics.addr == addr && addr.port() != 0 {
                let message = format!("is the address of the {name} as well");
                place.report("observability.metrics.prometheus.addr", message, problems);
            }
        }
    }

    fn check_sizes(&self, place: Place<'_>, problems: &mut Problems) {
        if self.upstream.connect_timeout_ms == 0 {
            place.report("upstream.connect_timeout_ms", "expected 1 or more", problems);
        }
        for (field, value, most) in [
            ("tcp_keepalive_secs", self.upstream.tcp_keepalive_secs, MAX_KEEPALIVE_SECS),
            ("tcp_keepalive_interval_secs", self.upstream.tcp_keepalive_interval_secs, MAX_KEEPALIVE_SECS),
            ("tcp_keepalive_retries", self.upstream.tcp_keepalive_retries.into(), MAX_KEEPALIVE_RETRIES),
        ] {
            let least = u64::from(field != "tcp_keepalive_secs");
            if !(least..=most).contains(&value) {
                let message = format!("expected a whole number from {least} to {most}");
                place.report(&format!("upstream.{field}"), message, problems);
            }
        }
        if self.upstream.max_response_bytes == 0 {
            place.report("upstream.max_response_bytes", "expected 1 or more", problems);
        }
    }
}

#[cfg(test)]
mod tests;
