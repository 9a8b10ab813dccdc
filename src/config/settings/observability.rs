//! `[observability]`: the log, the access log, the metrics and the usage records.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::Deserialize;

use super::tables::address;
use crate::config::problem::{Place, Problems};

/// Most edges of one histogram: each is a series for every set of labels.
const MAX_EDGES: usize = 64;
/// Most rules for kinds of clients; every new `User-Agent` is held against all of them.
const MAX_RULES: usize = 64;
/// Longest pattern of a rule, in bytes.
const MAX_PATTERN_BYTES: usize = 512;
/// Longest kind of client, in bytes.
const MAX_LABEL_BYTES: usize = 64;

/// `[observability]`: logs and what is told about a request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observability {
    /// The name under which this gateway reports.
    pub service_name: String,
    /// The least important message that is logged.
    pub log_level: LogLevel,
    /// Whether each request is logged.
    pub access_log: bool,
    /// How the line of a request is written.
    pub access_log_format: LineFormat,
    /// Whether responses carry `Server-Timing`.
    pub server_timing: bool,
    /// The metrics.
    pub metrics: Metrics,
    /// The usage records.
    pub usage_records: UsageRecords,
}

impl Default for Observability {
    fn default() -> Self {
        Self {
            service_name: "aisix".into(),
            log_level: LogLevel::Info,
            access_log: true,
            access_log_format: LineFormat::Text,
            server_timing: false,
            metrics: Metrics::default(),
            usage_records: UsageRecords::default(),
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What may need attention.
    Warn,
    /// What happens.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level in the terms of the `log` crate.
    pub fn filter(self) -> log::LevelFilter {
        match self {
            Self::Off => log::LevelFilter::Off,
            Self::Error => log::LevelFilter::Error,
            Self::Warn => log::LevelFilter::Warn,
            Self::Info => log::LevelFilter::Info,
            Self::Debug => log::LevelFilter::Debug,
            Self::Trace => log::LevelFilter::Trace,
        }
    }
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineFormat {
    /// As the other lines of the log: `name=value`.
    Text,
    /// One JSON object.
    Json,
}

/// `[observability.metrics]`: what is measured, and how finely.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Most sets of labels that are told apart.
    pub max_series: usize,
    /// What operators know about `User-Agent`s; the first rule that matches counts.
    pub client_type_rules: Vec<ClientTypeRule>,
    /// The edges of the histograms.
    pub buckets: Buckets,
    /// Where they are scraped.
    pub prometheus: Prometheus,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            max_series: 4096,
            client_type_rules: Vec::new(),
            buckets: Buckets::default(),
            prometheus: Prometheus::default(),
        }
    }
}

/// A kind of client, by its `User-Agent`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTypeRule {
    /// A regular expression; upper and lower case are the same to it.
    pub pattern: String,
    /// The value of `client_type`.
    pub label: String,
}

/// `[observability.metrics.buckets]`: upper edges in seconds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Buckets {
    /// Of `aisix_request_e2e_latency_seconds`.
    pub e2e: Vec<f64>,
    /// Of `aisix_request_ttft_seconds`.
    pub ttft: Vec<f64>,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            e2e: vec![
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
                420.0, 600.0,
            ],
            ttft: vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0],
        }
    }
}

/// `[observability.metrics.prometheus]`: the listener for metrics and status.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prometheus {
    /// Whether metrics are kept and served.
    pub enabled: bool,
    path: String,
    /// Where they are served.
    #[serde(deserialize_with = "address")]
    pub addr: SocketAddr,
}

/// The path of the metrics where none is set.
const METRICS_PATH: &str = "/metrics";

impl Default for Prometheus {
    fn default() -> Self {
        Self { enabled: true, path: METRICS_PATH.into(), addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)) }
    }
}

impl Prometheus {
    /// The path at which metrics are served, with its leading slash.
    #[must_use]
    pub fn path(&self) -> String {
        match self.path.trim() {
            "" => METRICS_PATH.to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            path => format!("/{path}"),
        }
    }
}

/// `[observability.usage_records]`: one JSON line for every attempt at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageRecords {
    /// Where they go.
    pub target: UsageTarget,
    /// The file.
    pub path: PathBuf,
    /// The largest file; a larger one is put aside and begun anew.
    pub max_bytes: u64,
    /// How many files are kept that were put aside.
    pub keep_files: u32,
}

impl Default for UsageRecords {
    fn default() -> Self {
        Self {
            target: UsageTarget::Off,
            path: "usage.jsonl".into(),
            max_bytes: 256 * 1024 * 1024,
            keep_files: 4,
        }
    }
}

/// Where usage records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// A file that is bounded.
    File,
}

impl Observability {
    /// Reports what is out of range.
    pub(super) fn check(&self, place: Place<'_>, problems: &mut Problems) {
        if self.service_name.trim().is_empty() {
            place.report("observability.service_name", "must not be empty", problems);
        }
        let Metrics { max_series, client_type_rules, buckets, .. } = &self.metrics;
        if *max_series == 0 {
            place.report("observability.metrics.max_series", "expected 1 or more", problems);
        }
        for (name, edges) in [("e2e", &buckets.e2e), ("ttft", &buckets.ttft)] {
            if !are_edges(edges) {
                let message = format!(
                    "expected 1 to {MAX_EDGES} numbers of seconds above 0, each above the one before"
                );
                place.report(&format!("observability.metrics.buckets.{name}"), message, problems);
            }
        }
        if client_type_rules.len() > MAX_RULES {
            let message = format!("at most {MAX_RULES} rules");
            place.report("observability.metrics.client_type_rules", message, problems);
        }
        for (index, rule) in client_type_rules.iter().enumerate() {
            if let Some((field, message)) = rule.problem() {
                let field = format!("observability.metrics.client_type_rules[{index}].{field}");
                place.report(&field, message, problems);
            }
        }
        let records = &self.usage_records;
        if records.target == UsageTarget::File && records.path.as_os_str().is_empty() {
            place.report("observability.usage_records.path", "must name a file", problems);
        }
        if records.max_bytes == 0 {
            place.report("observability.usage_records.max_bytes", "expected 1 or more", problems);
        }
    }
}

fn are_edges(edges: &[f64]) -> bool {
    (1..=MAX_EDGES).contains(&edges.len())
        && edges.iter().all(|edge| edge.is_finite() && *edge > 0.0)
        && edges.windows(2).all(|pair| pair[0] < pair[1])
}

impl ClientTypeRule {
    /// The pattern, ready to match.
    ///
    /// # Errors
    /// It is no regular expression, or too large.
    pub fn regex(&self) -> Result<regex::Regex, regex::Error> {
        regex::RegexBuilder::new(&self.pattern).case_insensitive(true).build()
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        let is_part = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_label = self.label.len() <= MAX_LABEL_BYTES
            && self.label.bytes().next().is_some_and(is_part)
            && self.label.bytes().all(|c| is_part(c) || b"._-".contains(&c));
        if !is_label {
            let message = format!(
                "expected at most {MAX_LABEL_BYTES} lower-case letters, digits, dots, dashes and underscores, a letter or digit first"
            );
            return Some(("label", message));
        }
        if self.pattern.len() > MAX_PATTERN_BYTES {
            return Some(("pattern", format!("a pattern has at most {MAX_PATTERN_BYTES} bytes")));
        }
        self.regex().err().map(|_| ("pattern", "this is no regular expression".to_owned()))
    }
}
