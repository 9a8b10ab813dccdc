//! A gateway that is killed in the middle of its work, over a Redis that keeps what was spent: no charge is lost that was
//! told of, none counts twice.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use super::fleet::{chat, config};
use super::server::RedisServer;
use crate::harness::*;

const ROUNDS: u64 = 8;
/// No further round is begun after this: a slow machine kills less often.
const TIME: Duration = Duration::from_secs(10);
const CALLERS: usize = 4;
/// What one answer costs, in millionths of a dollar.
const COST: u64 = 12_000;

/// Asks until nobody answers any more, or something else is done. Gives what was sent, and what was answered of it.
fn load(addr: SocketAddr, act: impl FnOnce()) -> (u64, u64) {
    let (sent, answered, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let Ok(mut stream) = TcpStream::connect(addr) else { return };
                while !is_over.load(SeqCst) {
                    sent.fetch_add(1, SeqCst);
                    if ask(&mut stream).is_none() {
                        return;
                    }
                    answered.fetch_add(1, SeqCst);
                }
            });
        }
        act();
        is_over.store(true, SeqCst);
    });
    (sent.load(SeqCst), answered.load(SeqCst))
}

/// Asks once; nothing where the connection breaks.
fn ask(stream: &mut TcpStream) -> Option<()> {
    stream.write_all(&chat("sk-test")).ok()?;
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        assert!(!lower.starts_with("http/1.1 ") || lower.starts_with("http/1.1 200"), "{line}");
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()
}

/// Waits until what earlier lives have left is in Redis, and gives what is spent.
fn settled(redis: &RedisServer, process: &Process) -> u64 {
    until("everything is handed over", || {
        super::fleet::metrics(process).sum("aisix_ledger_forward_pending_batches", &[]) == 0.0
    });
    u64::try_from(redis.spent()).expect("nothing is below zero")
}

#[test]
fn kills_lose_no_charge_that_was_told_of_and_count_none_twice() {
    let redis = RedisServer::start();
    let upstream = Upstream::always(Answer::json(200, &completion("hello", 5, 7)));
    let usage = UsageFile::new();
    let settings = format!(
        "[redis]\nurl = \"{}\"\ntimeout_ms = 1000\n[budget]\nbackend = \"redis\"\nflush_ms = 5\n{}",
        redis.url(),
        usage.settings()
    );
    let more = api_key("sk-test", "\"*\"", "") + &budget("all", "scope = \"org\"", "1000000", "");
    let folder = Arc::new(Folder::new());
    folder.write("config.toml", &config(&upstream, &settings, &more));
    let begun = Instant::now();
    let (mut sent, mut done) = (0, 0);
    while done < ROUNDS && (done == 0 || begun.elapsed() < TIME) {
        let process = Process::start_in(folder.clone(), &[]);
        let (told, spent) = (usage.lines() as u64 * COST, settled(&redis, &process));
        assert!(told <= spent && spent <= sent * COST, "round {done}: {told} <= {spent} <= {}", sent * COST);
        let (asked, _) = load(process.addr, || {
            thread::sleep(Duration::from_millis(fastrand::u64(50..400)));
            process.signal("KILL");
        });
        let _ = process.end();
        sent += asked;
        done += 1;
    }
    assert!(usage.lines() > 0, "there is something to lose");
    let mut last = Process::start_in(folder, &[]);
    let (before, lines) = (settled(&redis, &last), usage.lines());
    let told = lines as u64 * COST;
    assert!(told <= before && before <= sent * COST, "at the end: {told} <= {before} <= {}", sent * COST);
    let (asked, answered) = load(last.addr, || thread::sleep(Duration::from_millis(200)));
    assert_eq!(asked, answered);
    last.signal("TERM");
    assert_eq!(last.exit_code(), Some(0));
    assert_eq!((usage.lines() - lines) as u64, answered, "after {done} kills");
    assert_eq!(redis.spent() as u64, before + answered * COST, "after {done} kills");
}
