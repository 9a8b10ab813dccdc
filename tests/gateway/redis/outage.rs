//! Redis killed, paused and started again under load: no caller sees it, and all figures agree afterwards.

use std::time::Duration;

use super::fleet::{Fleet, Tally, chat, config, metrics};
use super::server::RedisServer;
use crate::harness::*;

const BOTH: &str = "[ratelimit]\nbackend = \"redis\"\n[budget]\nbackend = \"redis\"\nflush_ms = 5\n";
/// What one answer costs, in millionths of a dollar: 12 tokens at 1 USD per 1,000.
const COST: i64 = 12_000;

fn impatient(redis: &RedisServer) -> String {
    format!("[redis]\nurl = \"{}\"\ntimeout_ms = 500\nconnect_timeout_ms = 1000\n", redis.url())
}

fn upstream() -> Upstream {
    Upstream::always(Answer::json(200, &completion("hello", 5, 7)))
}

fn wide(key: &str) -> String {
    api_key(key, "\"*\"", "rate_limit = { rpd = 1000000, tpd = 1000000000, concurrency = 1000 }")
        + &budget("all", "scope = \"org\"", "1000000", "")
}

fn is_up(fleet: &Fleet, used_for: &str) -> bool {
    fleet.metric("aisix_redis_up", &[("use", used_for)]) as usize == fleet.gateways.len()
}

/// Waits until everything is where it belongs after so many answers.
fn reconcile(redis: &RedisServer, answers: usize) {
    let answers = i64::try_from(answers).expect("small");
    let counts = &redis.keys("*:rl:n:*")[0];
    let figures = || {
        let of = |field| redis.number(&["HGET", counts, field]);
        [redis.spent(), redis.held(), redis.permits(), of("held"), of("dr"), of("dt")]
    };
    let expected = [answers * COST, 0, 0, 0, answers, answers * 12];
    let mut seen = figures();
    let end = std::time::Instant::now() + 3 * PATIENCE;
    while seen != expected {
        assert!(std::time::Instant::now() < end, "{seen:?} is not {expected:?}");
        std::thread::sleep(Duration::from_millis(20));
        seen = figures();
    }
}

fn ride_out(outage: impl FnOnce(&mut RedisServer, &Fleet)) {
    let (mut redis, upstream) = (RedisServer::start(), upstream());
    let mut fleet = Fleet::start(3, &upstream, &(impatient(&redis) + BOTH), &wide("sk-w"));
    let mut total = fleet.send("sk-w", 30, 3);
    let (tally, ()) = fleet.send_during("sk-w", 6, || {
        outage(&mut redis, &fleet);
        until("all gateways ask again", || is_up(&fleet, "limits") && is_up(&fleet, "budgets"));
    });
    tally.into_iter().for_each(|(status, count)| *total.entry(status).or_default() += count);
    let after = fleet.send("sk-w", 30, 3);
    after.into_iter().for_each(|(status, count)| *total.entry(status).or_default() += count);
    assert_eq!(total.keys().copied().collect::<Vec<_>>(), [200], "{total:?}");
    assert!(fleet.metric("aisix_redis_fallbacks_total", &[("use", "limits")]) > 0.0);
    reconcile(&redis, total[&200]);
    for gateway in &mut fleet.gateways {
        gateway.signal("TERM");
        let log = gateway.log();
        // One of each; a slow machine may make another outage of late answers, but not one for every request.
        let outages = log.matches("cannot be asked").count();
        assert!(outages >= 1 && outages < total[&200] / 4, "{log}");
        assert_eq!(log.matches("answers again").count(), outages, "{log}");
    }
}

#[test]
fn nobody_notices_that_redis_is_killed_and_started_again() {
    ride_out(|redis, fleet| {
        redis.kill();
        until("all gateways notice", || {
            fleet.gateways.iter().all(|one| metrics(one).sum("aisix_redis_up", &[("use", "limits")]) == 0.0)
        });
        redis.restart();
    });
}

#[test]
fn nobody_notices_that_redis_is_paused() {
    ride_out(|redis, fleet| {
        redis.pause();
        until("all gateways notice", || {
            fleet.gateways.iter().all(|one| metrics(one).sum("aisix_redis_up", &[("use", "limits")]) == 0.0)
        });
        redis.resume();
    });
}

#[test]
fn a_budget_that_is_used_up_stays_so_without_redis() {
    let (mut redis, upstream) = (RedisServer::start(), upstream());
    let keys = api_key("sk-b", "\"*\"", "") + &budget("small", "scope = \"org\"", "0.03", "");
    let fleet = Fleet::start(2, &upstream, &(impatient(&redis) + BOTH), &keys);
    until("the budget is used up", || fleet.send("sk-b", 2, 1).contains_key(&429));
    until("holds are given back", || redis.held() == 0);
    let spent = redis.spent();
    assert_eq!(fleet.send("sk-b", 4, 2), Tally::from([(429, 4)]), "both know");
    redis.kill();
    assert_eq!(fleet.send("sk-b", 8, 2), Tally::from([(429, 8)]));
    redis.restart();
    until("the gateways ask again", || is_up(&fleet, "budgets"));
    assert_eq!(redis.spent(), spent);
}

#[test]
fn configured_refusals_say_why_and_end_by_themselves() {
    let (mut redis, upstream) = (RedisServer::start(), upstream());
    let settings = impatient(&redis)
        + "[ratelimit]\nbackend = \"redis\"\non_failure = \"deny\"\n"
        + "[budget]\nbackend = \"redis\"\nstale_secs = 0\non_failure = \"deny\"\n";
    let keys = api_key("sk-l", "\"*\"", "rate_limit = { rpd = 1000 }")
        + &api_key("sk-m", "\"*\"", "team_id = \"t\"")
        + &budget("team", "scope = \"team\"\nscope_ref = \"t\"", "1000", "");
    let fleet = Fleet::start(1, &upstream, &settings, &keys);
    let ask = |key: &str| {
        let mut connection = Connection::open(fleet.gateways[0].addr);
        connection.send(&chat(key));
        connection.response()
    };
    ask("sk-l").expect(200);
    ask("sk-m").expect(200);
    redis.kill();
    let limited = ask("sk-l").expect(429);
    assert_eq!((limited.header("retry-after"), &*limited.error_type()), (Some("1"), "rate_limit_exceeded"));
    assert!(limited.error_message().contains("cannot be counted"), "{limited:?}");
    let unknown = ask("sk-m").expect(429);
    assert_eq!(unknown.error()["code"], "budget_unavailable");
    redis.restart();
    until("limits are counted again", || ask("sk-l").status == 200);
    until("budgets are known again", || ask("sk-m").status == 200);
}

#[test]
fn a_gateway_does_not_start_without_its_redis() {
    let port = free_port();
    let upstream = Upstream::well();
    let settings = format!(
        "[redis]\nurl = \"redis://:s3cret@127.0.0.1:{port}\"\n[ratelimit]\nbackend = \"redis\"\non_failure = \"deny\"\n"
    );
    let output = run(&["serve"], &(config(&upstream, &settings, "") + "[proxy]\naddr = \"127.0.0.1:0\"\n"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("the Redis of limits at 127.0.0.1:{port} cannot be reached")), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}
