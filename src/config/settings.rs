//! The settings: every table of the file that is not a list of resources.
//!
//! A setting out of range is refused here, with its line, so that what runs never has to ask again. Units
//! stand in the keys of the file; methods turn them into a [`Duration`](std::time::Duration) or an explicit
//! *no limit*.

mod observability;
mod tables;
mod upstream;

use serde::Deserialize;

pub use self::{
    observability::{
        Buckets, ClientTypeRule, LineFormat, LogLevel, Metrics, Observability, Prometheus, UsageRecords,
        UsageTarget,
    },
    tables::{
        Admin, Backend, Budget, Cache, Downstream, Presets, Proxy, RateLimit, RequestId, Shutdown, Unpriced,
    },
    upstream::{Tls, Upstream},
};
use super::{
    headers,
    problem::{Place, Problems},
    reader::read,
    tree::Node,
};

/// The tables of settings, as the file and environment overrides spell them.
pub(super) const TABLES: [&str; 10] = [
    "proxy",
    "admin",
    "observability",
    "upstream",
    "downstream",
    "cache",
    "ratelimit",
    "budget",
    "shutdown",
    "presets",
];

/// Longest name of a header that may carry a request id.
const MAX_HEADER_NAME: usize = 64;

/// Everything that is set once for the whole gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The listener for callers.
    pub proxy: Proxy,
    /// The listener for administrators.
    pub admin: Admin,
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
        settings.check_admin(place, problems);
        settings.check_metrics(place, problems);
        settings.check_sizes(place, problems);
        settings.observability.check(place, problems);
        (problems.len() == found).then_some(settings)
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
        if self.upstream.max_response_bytes == 0 {
            place.report("upstream.max_response_bytes", "expected 1 or more", problems);
        }
    }
}

#[cfg(test)]
mod tests;
