//! What guardrails decided, and how long it took them (§13.1).
//!
//! As many rows as there are guardrails times what they can say, so each worker keeps its own and looks them up by
//! value; the lock is taken when a row is born and when somebody scrapes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::{HashMap, HashMapExt as _};

use super::exposition::{Exposition, Kind, label, labels};
use super::spread::{BucketSum, Buckets, Cell};
use crate::gateway::Gateway;
use crate::guardrails::audit::{Audit, Outcome, Verdict};
use crate::guardrails::{Failure, Hook};

/// Edges of the histogram, in microseconds.
const EDGES: [u64; 14] = [
    1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
];

/// Most rows of a worker: names of guardrails change while it runs. Beyond them all count as `other`.
const MAX_ROWS: usize = 4096;

type Key = (Arc<str>, &'static str, Hook, Outcome, Option<Failure>);

/// What one guardrail said in one way, with one writer.
#[derive(Debug)]
struct Row {
    key: Key,
    count: Cell,
    times: Buckets,
}

/// The rows of all workers.
#[derive(Debug, Default)]
pub struct GuardBook(Mutex<Vec<Arc<Row>>>);

impl GuardBook {
    fn rows(&self) -> Vec<Arc<Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, row: &Arc<Row>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(row));
    }
}

/// The rows of one worker.
#[derive(Debug)]
pub struct Guards {
    book: Arc<GuardBook>,
    own: HashMap<Key, Arc<Row>>,
}

impl Guards {
    /// No rows yet.
    #[must_use]
    pub fn new(book: Arc<GuardBook>) -> Self {
        Self { book, own: HashMap::new() }
    }

    /// Counts what the guardrails of an exchange said.
    pub fn count(&mut self, audit: &Audit) {
        for verdict in &audit.verdicts {
            let Verdict { guardrail, hook, outcome, failure, took, .. } = verdict;
            let key = (guardrail.name.clone(), guardrail.kind(), *hook, *outcome, *failure);
            self.note(key, *took);
        }
    }

    fn note(&mut self, mut key: Key, took: Duration) {
        if self.own.len() >= MAX_ROWS && !self.own.contains_key(&key) {
            key.0 = "other".into();
        }
        let row = self.own.entry(key).or_insert_with_key(|key| {
            let times = Buckets::new(EDGES.len());
            let row = Arc::new(Row { key: key.clone(), count: Cell::default(), times });
            self.book.add(&row);
            row
        });
        row.count.add(1);
        row.times.note(took, &EDGES);
    }
}

/// Writes the families of guardrails.
pub fn write(gateway: &Gateway, out: &mut Exposition) {
    let rows = gateway.telemetry.guards.rows();
    write_counts(&rows, out);
    write_times(&rows, out);
}

fn write_counts(rows: &[Arc<Row>], out: &mut Exposition) {
    let mut decisions: BTreeMap<String, u64> = BTreeMap::new();
    let mut bypasses: BTreeMap<String, u64> = BTreeMap::new();
    let mut blocks = 0;
    for row in rows {
        let ((name, kind, hook, outcome, failure), count) = (&row.key, row.count.read());
        let error_type = failure.map_or("", Failure::as_str);
        let pairs = [
            ("guardrail", &**name),
            ("kind", kind),
            ("hook", hook.as_str()),
            ("outcome", outcome.as_str()),
            ("error_type", error_type),
        ];
        *decisions.entry(labels(&pairs)).or_default() += count;
        match outcome {
            Outcome::Blocked | Outcome::BlockedUnavailable => blocks += count,
            Outcome::Bypassed => *bypasses.entry(labels(&[("reason", error_type)])).or_default() += count,
            Outcome::Allowed | Outcome::Masked | Outcome::WouldBlock | Outcome::WouldMask => {}
        }
    }
    let name = "aisix_guardrail_decisions_total";
    out.family(name, Kind::Counter, "What guardrails decided.");
    decisions.iter().for_each(|(labels, count)| out.sample(name, labels, count));
    let name = "aisix_guardrail_blocks_total";
    out.family(name, Kind::Counter, "Requests and answers that a guardrail blocked.");
    out.sample(name, "", blocks);
    let name = "aisix_guardrail_bypasses_total";
    out.family(name, Kind::Counter, "Guardrails that were passed over because their judge failed.");
    bypasses.iter().for_each(|(labels, count)| out.sample(name, labels, count));
}

fn write_times(rows: &[Arc<Row>], out: &mut Exposition) {
    let name = "aisix_guardrail_latency_seconds";
    out.family(name, Kind::Histogram, "How long guardrails took, by what they decided.");
    let mut sums: BTreeMap<String, BucketSum> = BTreeMap::new();
    for row in rows {
        let (name, kind, hook, outcome, failure) = &row.key;
        let pairs = [
            ("env_id", "unknown"),
            ("guardrail", &**name),
            ("kind", kind),
            ("phase", hook.as_str()),
            ("result", result(*outcome)),
            ("error_type", failure.map_or("", Failure::as_str)),
        ];
        sums.entry(labels(&pairs)).or_default().add(&row.times);
    }
    for (labels, sum) in sums {
        let edges = EDGES.iter().map(|edge| (*edge as f64 / 1e6).to_string());
        for (edge, count) in edges.chain(["+Inf".to_owned()]).zip(sum.cumulative()) {
            let mut labels = labels.clone();
            label(&mut labels, "le", &edge);
            out.sample("aisix_guardrail_latency_seconds_bucket", &labels, count);
        }
        out.sample("aisix_guardrail_latency_seconds_sum", &labels, sum.seconds());
        out.sample("aisix_guardrail_latency_seconds_count", &labels, sum.cumulative().last().unwrap_or(0));
    }
}

/// The outcome as the histogram names it: a failure is told by its own label.
fn result(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::BlockedUnavailable => Outcome::Blocked.as_str(),
        outcome => outcome.as_str(),
    }
}
