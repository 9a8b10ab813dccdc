//! A gateway that is killed in the middle of its work, over and over: no charge is lost that was told of, none counts
//! twice.
//!
//! A usage record is told once its charge is kept. So what the ledger knows after a restart is no less than the records,
//! and no more than what was ever sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::*;

/// Set to another number of rounds.
const ROUNDS: &str = "AISIX_TEST_KILLS";
const DEFAULT_ROUNDS: u64 = 50;
/// No further round is begun after this: a slow machine kills less often.
const TIME: Duration = Duration::from_secs(45);
const CALLERS: usize = 4;
/// What one answer costs, in millionths of a dollar.
const ONE: u64 = 12_000;

/// Callers that ask one after the other until they are told to stop, or nobody answers any more.
struct Load {
    is_over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(addr: SocketAddr) -> Self {
        let (is_over, sent, answered) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { is_over, sent, answered, threads: Vec::new() };
        for _ in 0..CALLERS {
            let (is_over, sent) = (load.is_over.clone(), load.sent.clone());
            let answered = load.answered.clone();
            load.threads.push(std::thread::spawn(move || {
                let Ok(mut stream) = TcpStream::connect(addr) else { return };
                while !is_over.load(SeqCst) {
                    sent.fetch_add(1, SeqCst);
                    if ask(&mut stream).is_none() {
                        return;
                    }
                    answered.fetch_add(1, SeqCst);
                }
            }));
        }
        load
    }

    /// What was sent, and what was answered of it.
    fn end(self) -> (u64, u64) {
        self.is_over.store(true, SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a caller does not panic"));
        (self.sent.load(SeqCst), self.answered.load(SeqCst))
    }
}

/// Asks once; nothing where the connection breaks.
fn ask(stream: &mut TcpStream) -> Option<()> {
    let body = chat_body("m", "");
    let request = request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes());
    stream.write_all(&request).ok()?;
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if lower.starts_with("http/1.1 ") {
            assert!(lower.starts_with("http/1.1 200"), "{line}");
        }
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if lower == "\r\n" {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()
}

/// What the ledger knows, in millionths of a dollar.
fn spent(process: &Process) -> u64 {
    let mut connection = Connection::open(process.metrics_addr());
    connection.send(&request_text("GET", "/metrics", "", &[], b""));
    let metrics = Metrics::read(&connection.response().expect(200).text());
    (metrics.one("aisix_budget_spent_usd", &[("budget", "all")]).value * 1e6).round() as u64
}

fn folder(upstream: &Upstream, usage: &UsageFile) -> Arc<Folder> {
    let folder = Arc::new(Folder::new());
    let config = "[shutdown]\nmin_drain_secs = 0\n".to_owned()
        + &usage.settings()
        + &provider_key("up", &upstream.url())
        + &model("m", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }")
        + &api_key("sk-test", "\"*\"", "")
        + "[[budgets]]\nname = \"all\"\nscope = \"org\"\nlimit_usd = \"1000000\"\nperiod = \"total\"\n";
    folder.write("config.toml", &config);
    folder
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are for the record")]
fn kills_lose_no_charge_that_was_told_of_and_count_none_twice() {
    let rounds = std::env::var(ROUNDS).ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_ROUNDS);
    let upstream = Upstream::start(|_, _| Answer::json(200, &completion("hello", 5, 7)));
    let usage = UsageFile::new();
    let folder = folder(&upstream, &usage);
    let begun = Instant::now();
    let (mut sent, mut known, mut done) = (0, 0, 0);
    while done < rounds && begun.elapsed() < TIME {
        let process = Process::start_in(folder.clone(), &[]);
        let after = spent(&process);
        let told = usage.lines() as u64 * ONE;
        assert!(told <= after && after <= sent * ONE, "round {done}: {told} <= {after} <= {}", sent * ONE);
        assert!(known <= after, "round {done}: {known} was there before, {after} is");
        known = after;
        let load = Load::start(process.addr);
        std::thread::sleep(Duration::from_millis(fastrand::u64(20..300)));
        process.signal("KILL");
        let _ = process.end();
        sent += load.end().0;
        done += 1;
    }
    assert!(usage.lines() > 0, "there is something to lose");
    let mut last = Process::start_in(folder.clone(), &[]);
    let (before, lines) = (spent(&last), usage.lines());
    let load = Load::start(last.addr);
    std::thread::sleep(Duration::from_millis(200));
    let (asked, answered) = load.end();
    assert_eq!(asked, answered);
    last.signal("TERM");
    assert_eq!(last.exit_code(), Some(0));
    assert_eq!((usage.lines() - lines) as u64, answered, "after {done} kills");
    let after = spent(&Process::start_in(folder, &[]));
    assert_eq!(after, before + answered * ONE, "after {done} kills");
    eprintln!("{done} kills in {:?}, {sent} requests, {} records", begun.elapsed(), usage.lines());
}
