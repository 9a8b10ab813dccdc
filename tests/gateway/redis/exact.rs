//! Three gateways at once admit exactly what one would.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fleet::{Fleet, Tally, chat, single};
use super::server::RedisServer;
use crate::harness::*;

const LIMITS: &str = "[ratelimit]\nbackend = \"redis\"\n";

fn key(name: &str, limit: &str) -> String {
    api_key(name, "\"*\"", &format!("rate_limit = {{ {limit} }}"))
}

fn fleet(upstream: &Upstream, redis: &RedisServer, keys: &str) -> Fleet {
    Fleet::start(3, upstream, &(single(&redis.url()) + LIMITS), keys)
}

/// Waits, if need be, until so much time is left of a window of the clock.
fn wait_for_room(window: u64, room: u64) {
    until_within("a window begins", Duration::from_secs(room + 10), || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        window - now % window >= room
    });
}

fn until_within(what: &str, time: Duration, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + time;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn three_gateways_admit_exactly_the_limit_of_requests() {
    let (redis, upstream) = (RedisServer::start(), Upstream::well());
    let cases = [("rpm", 1), ("rph", 1), ("rpd", 1), ("rpm", 10), ("rph", 10), ("rpd", 10), ("rpd", 1000)];
    let keys: String = cases
        .iter()
        .map(|(what, limit)| key(&format!("sk-{what}-{limit}"), &format!("{what} = {limit}")))
        .collect();
    let fleet = fleet(&upstream, &redis, &keys);
    for (what, limit) in cases {
        wait_for_room(if what == "rpm" { 60 } else { 3_600 }, 25);
        let tally = fleet.send(&format!("sk-{what}-{limit}"), limit + 60, 12);
        assert_eq!(tally, Tally::from([(200, limit), (429, 60)]), "{what} = {limit}");
    }
    until("all permits are given back", || redis.permits() == 0);
}

/// A provider that answers nobody before the gate is open.
fn gated(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    let answer = Answer::json(200, &completion("hello", 5, 7));
    Upstream::start(move |_, _| Answer::default().wait(&gate).then(answer.clone()))
}

/// Sends so many requests at once; `check` is told how many the provider has once all others are refused. Then those
/// are answered.
fn burst(fleet: &Fleet, upstream: &Upstream, gate: &Gate, key: &str, count: usize, check: impl Fn(usize)) {
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..count {
            let (addr, refused) = (fleet.gateways[number % 3].addr, &refused);
            scope.spawn(move || {
                let mut connection = Connection::open(addr);
                connection.send(&chat(key));
                if connection.response().status == 429 {
                    refused.fetch_add(1, Relaxed);
                }
            });
        }
        until("all are admitted or refused", || refused.load(Relaxed) + upstream.count() == count);
        check(upstream.count());
        gate.open();
    });
    assert_eq!(refused.load(Relaxed) + upstream.count(), count);
}

#[test]
fn three_gateways_admit_exactly_the_limit_at_the_same_time() {
    for limit in [1, 10, 100] {
        let gate = Gate::default();
        let (redis, upstream) = (RedisServer::start(), gated(&gate));
        let fleet = fleet(&upstream, &redis, &key("sk-c", &format!("concurrency = {limit}")));
        burst(&fleet, &upstream, &gate, "sk-c", limit + 9, |admitted| {
            assert_eq!(admitted, limit);
            assert_eq!(redis.permits(), i64::try_from(limit).expect("small"));
        });
        until("slots are given back", || redis.permits() == 0);
    }
}

#[test]
fn holds_of_tokens_bound_a_burst_over_three_gateways() {
    let gate = Gate::default();
    let (redis, upstream) = (RedisServer::start(), gated(&gate));
    let fleet = fleet(&upstream, &redis, &key("sk-t", "tpm = 40"));
    wait_for_room(60, 25);
    let held = || redis.number(&["HGET", &redis.keys("*:rl:n:*")[0], "held"]);
    burst(&fleet, &upstream, &gate, "sk-t", 24, |admitted| {
        let held = held();
        let each = held / i64::try_from(admitted).expect("small");
        assert!(held > 40 && held - each <= 40, "{admitted} hold {held} tokens of 40");
    });
    until("tokens are given back", || held() == 0);
    let used = redis.number(&["HGET", &redis.keys("*:rl:n:*")[0], "mt"]);
    assert_eq!(used, i64::try_from(upstream.count() * 12).expect("small"));
}

#[test]
fn a_steady_rate_holds_over_three_gateways() {
    let (redis, upstream) = (RedisServer::start(), Upstream::well());
    let fleet = fleet(&upstream, &redis, &key("sk-r", "rps = 10"));
    let began = std::time::Instant::now();
    let tally = fleet.send("sk-r", 300, 12);
    let most = 10 + 10 * (began.elapsed().as_secs() + 1);
    let admitted = tally[&200] as u64;
    assert!((10..=most).contains(&admitted), "{admitted} of at most {most}");
}
