//! A Redis that is far away, and one in which somebody has left something else.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::fleet::{Fleet, chat, single};
use super::server::RedisServer;
use crate::harness::*;

/// What one answer costs, in millionths of a dollar.
const COST: i64 = 12_000;
const CALLERS: usize = 48;

fn upstream() -> Upstream {
    Upstream::always(Answer::json(200, &completion("hello", 5, 7)))
}

/// Passes bytes on, each after a while and as fast as they come; the threads end with their connections.
fn pass_on(mut from: TcpStream, mut to: TcpStream, after: Duration) {
    let (late, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (at, bytes) in due {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if late.send((Instant::now() + after, bytes[..count].to_vec())).is_err() {
                return;
            }
        }
    });
}

/// A way to a server that takes so long in each direction; gives its port.
fn far(port: u16, after: Duration) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let far = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let pair = (near.try_clone().expect("cloned"), server.try_clone().expect("cloned"));
            pass_on(near, server, after);
            pass_on(pair.1, pair.0, after);
        }
    });
    far
}

#[test]
fn a_hard_budget_holds_over_a_redis_that_is_far_away() {
    let (redis, upstream) = (RedisServer::start(), upstream());
    let url = format!("redis://127.0.0.1:{}", far(redis.port, Duration::from_millis(30)));
    let settings =
        single(&url) + "[ratelimit]\nconcurrency_ttl_secs = 1\n[budget]\nbackend = \"redis\"\nflush_ms = 5\n";
    let keys = api_key("sk-b", "\"*\"", "") + &budget("small", "scope = \"org\"", "15", "");
    let fleet = Fleet::start(1, &upstream, &settings, &keys);
    let tally = fleet.send("sk-b", 2_500, CALLERS);
    let served = tally.get(&200).copied().unwrap_or_default() as i64;
    assert!(tally.contains_key(&429), "{tally:?}");
    // What is held is what an answer is likely to cost, and those under way may cost more.
    assert!(served * COST <= 15_000_000 + CALLERS as i64 * COST, "{tally:?}");
    until("all charges are in Redis", || redis.spent() == served * COST);
    until("all holds are given back", || redis.held() == 0);
}

#[test]
fn what_redis_cannot_add_to_is_moved_aside_and_nothing_is_added_twice() {
    let (redis, upstream) = (RedisServer::start(), upstream());
    let settings = single(&redis.url()) + "[budget]\nbackend = \"redis\"\nflush_ms = 5\n";
    let keys = api_key("sk-b", "\"*\"", "")
        + &budget("one", "scope = \"org\"", "100", "")
        + &budget("two", "scope = \"model\"\nscope_ref = \"m\"", "100", "");
    let mut fleet = Fleet::start(1, &upstream, &settings, &keys);
    fleet.send("sk-b", 1, 1);
    until("the charges are there", || redis.spent() == 2 * COST);
    let keys = redis.keys("*:bl:s:*");
    let (spoilt, whole) = (&keys[0], &keys[1]);
    redis.ask(&["SET", spoilt, "12.5"]);
    fleet.send("sk-b", 3, 1);
    until("spend goes on", || redis.number(&["GET", spoilt]) == 13 + 3 * COST);
    assert_eq!(redis.number(&["GET", whole]), 4 * COST);
    assert_eq!(redis.ask(&["GET", &format!("{spoilt}:aside")]), ["12.5"]);
    fleet.send("sk-b", 2, 1);
    until("all charges are there, once", || redis.number(&["GET", whole]) == 6 * COST);
    assert_eq!(redis.number(&["GET", spoilt]), 13 + 5 * COST);
    until("nothing waits", || fleet.metric("aisix_ledger_forward_pending_micro_usd", &[]) == 0.0);
    fleet.gateways[0].signal("TERM");
    let log = fleet.gateways[0].log();
    assert_eq!(log.matches("moved aside").count(), 1, "{log}");
}

#[test]
fn the_log_tells_once_that_charges_wait_and_once_that_they_do_not() {
    let (mut redis, upstream) = (RedisServer::start(), upstream());
    let settings = single(&redis.url()) + "[budget]\nbackend = \"redis\"\nflush_ms = 5\n";
    let keys = api_key("sk-b", "\"*\"", "") + &budget("one", "scope = \"org\"", "100", "");
    let mut fleet = Fleet::start(1, &upstream, &settings, &keys);
    fleet.send("sk-b", 1, 1);
    until("the charge is there", || redis.spent() == COST);
    redis.kill();
    let mut connection = Connection::open(fleet.gateways[0].addr);
    connection.send(&chat("sk-b"));
    connection.response().expect(200);
    let pending = |fleet: &Fleet| fleet.metric("aisix_ledger_forward_pending_micro_usd", &[]);
    until("the charge waits", || pending(&fleet) == COST as f64);
    assert_eq!(fleet.metric("aisix_ledger_forward_pending_batches", &[]), 1.0);
    redis.restart();
    until("it is handed over", || redis.spent() == 2 * COST && pending(&fleet) == 0.0);
    fleet.gateways[0].signal("TERM");
    let log = fleet.gateways[0].log();
    assert!((1..=2).contains(&log.matches("charges wait").count()), "{log}");
    assert!(log.contains("charges are handed over again"), "{log}");
}
