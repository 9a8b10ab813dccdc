//! What every test starts with: a gateway with a configuration of its own, a provider that does as it is told, and a
//! client that sees every byte.
//!
//! Everything blocks: the gateway runs on threads of its own, so a test reads from top to bottom.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aisix::config::{Snapshot, Source};
use aisix::gateway;
use aisix::registry::Book;
use aisix::server::Application;
use aisix_actors::Inspection;
use tokio::sync::oneshot;

mod admin;
pub mod answers;
mod client;
mod crowd;
mod folder;
mod metrics;
mod mock;
mod process;
mod sample;
mod settings;
mod upstream;
mod usage_file;

pub use admin::{ADMIN_KEY, Admin, address};
pub use client::{Connection, Response, Stream, request_text};
pub use crowd::{Crowd, Statuses, room_for_connections};
pub use folder::Folder;
pub use metrics::Metrics;
pub use mock::Mock;
pub use process::{Process, run, signal, written};
pub use sample::{Sample, is_spoken, reaches_provider};
pub use settings::{
    api_key, budget, chat_body, gateway_over, guardrail, model, policy, provider_key, routing,
};
pub use upstream::{Answer, Gate, Received, Upstream, completion, delta, finish, free_port, usage_event};
pub use usage_file::UsageFile;

/// Longest wait for anything that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for everything to be given back after the last answer.
const SETTLE_TIME: Duration = Duration::from_secs(5);
/// Between two looks at something that cannot be waited for by an event.
const POLL: Duration = Duration::from_millis(3);

/// A gateway that serves until it is dropped.
pub struct Gateway {
    /// What the process shares.
    pub gateway: Arc<gateway::Gateway>,
    proxy: SocketAddr,
    admin: Option<SocketAddr>,
    /// Where its configuration and its store are.
    pub folder: Arc<Folder>,
    metrics: Option<SocketAddr>,
    order: Option<oneshot::Sender<Order>>,
    ended: Mutex<mpsc::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a running gateway can be told.
enum Order {
    Drain(Duration),
    Stop,
}

impl Gateway {
    /// Starts a gateway with two workers on free ports.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &[("AISIX_PROXY__WORKERS", "2")])
    }

    /// Starts a gateway with one worker, where the order of things on one thread matters.
    pub fn start_single(config: &str) -> Self {
        Self::start_with(config, &[("AISIX_PROXY__WORKERS", "1")])
    }

    /// Starts a gateway on free ports, with further overrides of settings.
    pub fn start_with(config: &str, overrides: &[(&str, &str)]) -> Self {
        let folder = Arc::new(Folder::new());
        folder.write("config.toml", config);
        Self::start_in(folder, overrides)
    }

    /// Starts a gateway over what a folder holds: `config.toml`, and the store of an earlier one.
    pub fn start_in(folder: Arc<Folder>, overrides: &[(&str, &str)]) -> Self {
        let (book, snapshot) = load(&folder.path().join("config.toml"), overrides);
        let (order, orders) = oneshot::channel();
        let (started, starting) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let application = Application::build(book, snapshot).expect("free ports");
            actix_rt::System::new().block_on(async move {
                let running = application.start().expect("starts");
                let addrs = (running.proxy_addr, running.admin_addr, running.metrics_addr);
                let about = (running.gateway.clone(), addrs);
                started.send(about).expect("the test waits for it");
                match orders.await {
                    Ok(Order::Drain(min_drain)) => running.drain(min_drain).await,
                    Ok(Order::Stop) | Err(_) => running.stop().await,
                }
            });
            // A test that is over does not listen any more.
            let _ = ending.send(());
        });
        let (gateway, (proxy, admin, metrics)) = starting.recv_timeout(PATIENCE).expect("the gateway starts");
        let (order, ended, thread) = (Some(order), Mutex::new(ended), Some(thread));
        Self { gateway, proxy, admin, metrics, folder, order, ended, thread }
    }

    /// Stops this gateway, and starts another in its folder.
    pub fn restart(self) -> Self {
        let folder = self.folder.clone();
        drop(self);
        Self::start_in(folder, &[("AISIX_PROXY__WORKERS", "2")])
    }

    /// The address of the proxy listener.
    pub fn addr(&self) -> SocketAddr {
        self.proxy
    }

    /// The address of the admin listener.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.expect("the admin listener is on")
    }

    /// The address of the metrics listener.
    pub fn metrics_addr(&self) -> SocketAddr {
        self.metrics.expect("the metrics listener is on")
    }

    /// Everything that a scrape tells.
    pub fn metrics(&self) -> Metrics {
        let mut connection = Connection::open(self.metrics_addr());
        connection.send(&request_text("GET", "/metrics", "", &[], b""));
        let response = connection.response().expect(200);
        assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4"));
        Metrics::read(&response.text())
    }

    /// A fresh connection to the proxy.
    pub fn connect(&self) -> Connection {
        Connection::open(self.proxy)
    }

    /// Sends one request on a fresh connection; `key` is sent as a bearer token, an empty one not at all.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut connection = self.connect();
        connection.send(&request_text(method, path, key, headers, body));
        connection.response()
    }

    /// Posts JSON on a fresh connection.
    pub fn post_json(&self, path: &str, key: &str, body: &str) -> Response {
        self.send("POST", path, key, &[], body.as_bytes())
    }

    /// Posts a chat completion with the usual key.
    pub fn chat(&self, body: &str) -> Response {
        self.post_json("/v1/chat/completions", "sk-test", body)
    }

    /// Posts a chat completion with the usual key, and reads no more than the head of the answer.
    pub fn stream(&self, body: &str) -> Stream {
        let mut connection = self.connect();
        connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
        connection.stream()
    }

    /// The counters of the five books.
    pub fn books(&self) -> Inspection {
        let books = &self.gateway.books;
        Inspection {
            limiter: books.limits.counters(),
            ledger: books.ledger.counters(),
            cache: books.cache.counters(),
            router: books.health.counters(),
            pool: books.pool.counters(),
        }
    }

    /// Waits until no exchange is open and nothing is held in any book.
    pub fn settled(&self) {
        let deadline = Instant::now() + SETTLE_TIME;
        loop {
            let (open, books) = (self.gateway.open_exchanges(), self.books());
            let held = open as u64
                + books.limiter.held
                + books.ledger.holds
                + books.ledger.held.0
                + (books.cache.filling + books.cache.waiting) as u64
                + books.router.in_flight
                + books.pool.in_flight;
            if held == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{open} exchanges are open, and the books hold {books:#?}");
            std::thread::sleep(POLL);
        }
    }

    /// Begins to drain; [`Gateway::has_ended`] and [`Gateway::wait_for_end`] tell when it is over.
    pub fn drain(&mut self, min_drain: Duration) {
        let order = self.order.take().expect("a gateway is drained once");
        assert!(order.send(Order::Drain(min_drain)).is_ok(), "the gateway runs");
        until("the gateway drains", || self.gateway.is_draining());
    }

    /// Whether the gateway has come to its end.
    pub fn has_ended(&self) -> bool {
        self.ended.lock().expect("no panic").try_recv().is_ok()
    }

    /// Waits until the gateway has come to its end.
    pub fn wait_for_end(&self) {
        self.ended.lock().expect("no panic").recv_timeout(PATIENCE).expect("the gateway ends");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(order) = self.order.take() {
            // A gateway that has ended already takes no orders.
            let _ = order.send(Order::Stop);
            let is_over = self.ended.get_mut().is_ok_and(|ended| ended.recv_timeout(SETTLE_TIME).is_ok());
            if let Some(thread) = self.thread.take().filter(|_| is_over) {
                let _ = thread.join();
            }
        }
    }
}

/// A configuration on free ports, with further overrides of settings and an empty environment.
pub fn snapshot(config: &str, overrides: &[(&str, &str)]) -> Snapshot {
    let folder = Folder::new();
    load(&folder.write("config.toml", config), overrides).1
}

fn load(path: &Path, overrides: &[(&str, &str)]) -> (Book, Snapshot) {
    let ports = [
        ("AISIX_PROXY__ADDR", "127.0.0.1:0"),
        ("AISIX_ADMIN__ADDR", "127.0.0.1:0"),
        ("AISIX_OBSERVABILITY__METRICS__PROMETHEUS__ADDR", "127.0.0.1:0"),
    ];
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let variables: Vec<(String, String)> = ports.iter().chain(overrides).map(owned).collect();
    let loaded = Book::load(Source::with_variables(path.to_owned(), &variables));
    loaded.unwrap_or_else(|problems| panic!("{problems}"))
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(POLL);
    }
}

/// Waits for a fresh minute of the clock when this one is nearly over, so that its windows do not turn under a test.
pub fn away_from_the_turn_of_the_minute() {
    let seconds =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    until("a fresh minute", || seconds() % 60 < 53);
}
