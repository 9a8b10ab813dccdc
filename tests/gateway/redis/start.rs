//! Starts while a Redis is away: needed, not needed, not in use; and what probes say of it.

use std::sync::Arc;

use super::fleet::{Fleet, Tally, chat, config, metrics};
use super::server::RedisServer;
use crate::harness::*;

fn keys() -> String {
    api_key("sk-two", "\"*\"", "rate_limit = { rpd = 2 }")
}

fn redis_at(port: u16) -> String {
    format!("[redis]\nurl = \"redis://127.0.0.1:{port}\"\ntimeout_ms = 1000\n")
}

fn up(gateway: &Process) -> f64 {
    metrics(gateway).sum("aisix_redis_up", &[("use", "limits")])
}

/// What the gateway says of itself to a probe that wants to know all.
fn ready(gateway: &Process) -> (u16, String) {
    let mut connection = Connection::open(gateway.addr);
    connection.send(&request_text("GET", "/readyz?verbose", "", &[], b""));
    let answer = connection.response();
    (answer.status, answer.text())
}

#[test]
fn limits_that_count_alone_start_without_redis_and_find_it() {
    let (port, upstream) = (free_port(), Upstream::well());
    let settings = redis_at(port)
        + "[ratelimit]\nbackend = \"redis\"\n[budget]\nbackend = \"redis\"\non_failure = \"allow\"\n";
    let fleet = Fleet::start(1, &upstream, &settings, &keys());
    assert_eq!(fleet.send("sk-two", 3, 1), Tally::from([(200, 2), (429, 1)]), "it counts alone");
    let (status, text) = ready(&fleet.gateways[0]);
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("[+]redis degraded"), "{text}");
    let redis = RedisServer::start_at(port, Arc::new(Folder::new()), &[]);
    until("the gateway finds it", || up(&fleet.gateways[0]) == 1.0);
    assert!(ready(&fleet.gateways[0]).1.contains("[+]redis ok"));
    let counts = || redis.keys("*:rl:n:*").first().map_or(0, |key| redis.number(&["HGET", key, "dr"]));
    until("what was counted is told", || counts() == 2);
    assert_eq!(fleet.send("sk-two", 2, 1), Tally::from([(429, 2)]));
}

#[test]
fn a_redis_that_nothing_uses_is_not_asked() {
    let upstream = Upstream::well();
    let cached = "[[cache_policies]]\nname = \"here\"\nenabled = true\nbackend = \"memory\"\n";
    let fleet = Fleet::start(1, &upstream, &redis_at(free_port()), &(keys() + cached));
    assert_eq!(fleet.send("sk-two", 3, 1), Tally::from([(200, 2), (429, 1)]));
    assert!(!ready(&fleet.gateways[0]).1.contains("redis"));
}

#[test]
fn a_cache_in_a_redis_that_is_away_is_no_reason_not_to_start() {
    let upstream = Upstream::well();
    let cached = "[[cache_policies]]\nname = \"there\"\nenabled = true\nbackend = \"redis\"\n";
    let mut fleet = Fleet::start(1, &upstream, &redis_at(free_port()), &(keys() + cached));
    assert_eq!(fleet.send("sk-two", 3, 1), Tally::from([(200, 2), (429, 1)]));
    fleet.gateways[0].signal("TERM");
    assert!(fleet.gateways[0].log().contains("the Redis of cache at 127.0.0.1"));
}

#[test]
fn a_gateway_is_not_ready_while_limits_refuse() {
    let (mut redis, upstream) = (RedisServer::start(), Upstream::well());
    let settings = redis_at(redis.port) + "[ratelimit]\nbackend = \"redis\"\non_failure = \"deny\"\n";
    let folder = Arc::new(Folder::new());
    folder.write("config.toml", &config(&upstream, &settings, &keys()));
    let gateway = Process::start_in(folder, &[]);
    until("it is ready", || ready(&gateway).1.contains("[+]redis ok"));
    redis.kill();
    until("it is not ready", || {
        let mut connection = Connection::open(gateway.addr);
        connection.send(&chat("sk-two"));
        connection.response();
        let (status, text) = ready(&gateway);
        status == 503 && text.contains("[-]redis failed")
    });
    redis.restart();
    until("it is ready again", || ready(&gateway).0 == 200);
}
