//! Several gateways, each a process, over one Redis and one provider; and callers who ask them all at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::*;

/// See the module.
pub struct Fleet {
    pub gateways: Vec<Process>,
}

/// What became of some requests: how many had each status.
pub type Tally = BTreeMap<u16, usize>;

impl Fleet {
    /// Starts so many gateways with the same configuration: the model `m` at the provider, and `more`.
    pub fn start(count: usize, upstream: &Upstream, redis: &str, more: &str) -> Self {
        let config = config(upstream, redis, more);
        let start = |_| {
            let folder = std::sync::Arc::new(Folder::new());
            folder.write("config.toml", &config);
            Process::start_in(folder, &[])
        };
        Self { gateways: (0..count).map(start).collect() }
    }

    /// Sends requests with a key, so many over all gateways, by so many callers at once.
    pub fn send(&self, key: &str, requests: usize, callers: usize) -> Tally {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut tally = Tally::new();
            let mut connections: Vec<Option<Connection>> = self.gateways.iter().map(|_| None).collect();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return tally;
                }
                let place = number % self.gateways.len();
                let connection =
                    connections[place].get_or_insert_with(|| Connection::open(self.gateways[place].addr));
                connection.send(&chat(key));
                *tally.entry(connection.response().status).or_default() += 1;
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..callers).map(|_| scope.spawn(work)).collect();
            add_up(workers.into_iter().map(|worker| worker.join().expect("no caller panics")))
        })
    }

    /// Sends requests with a key for as long as something else takes.
    pub fn send_during<T>(&self, key: &str, callers: usize, act: impl FnOnce() -> T) -> (Tally, T) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let load = scope.spawn(|| {
                let mut tallies = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    tallies.push(self.send(key, callers * 10, callers));
                }
                add_up(tallies)
            });
            let outcome = act();
            is_over.store(true, Ordering::Relaxed);
            (load.join().expect("no caller panics"), outcome)
        })
    }

    /// The sum of a metric over all gateways.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.gateways.iter().map(|gateway| metrics(gateway).sum(name, labels)).sum()
    }
}

/// What a gateway exposes.
pub fn metrics(gateway: &Process) -> Metrics {
    let mut connection = Connection::open(gateway.metrics_addr());
    connection.send(&request_text("GET", "/metrics", "", &[], b""));
    Metrics::read(&connection.response().expect(200).text())
}

/// A configuration over a provider and a Redis.
pub fn config(upstream: &Upstream, redis: &str, more: &str) -> String {
    "[shutdown]\nmin_drain_secs = 0\n".to_owned()
        + redis
        + &provider_key("up", &upstream.url())
        + &model("m", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }")
        + more
}

/// The table of a single Redis.
pub fn single(url: &str) -> String {
    format!("[redis]\nurl = \"{url}\"\ntimeout_ms = 1000\n")
}

/// A request for the model `m`.
pub fn chat(key: &str) -> Vec<u8> {
    let body = chat_body("m", r#","max_tokens":9"#);
    request_text("POST", "/v1/chat/completions", key, &[], body.as_bytes())
}

fn add_up(tallies: impl IntoIterator<Item = Tally>) -> Tally {
    let mut sum = Tally::new();
    for (status, count) in tallies.into_iter().flatten() {
        *sum.entry(status).or_default() += count;
    }
    sum
}
