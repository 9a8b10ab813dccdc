//! What a gateway knows of shared budgets: how old it is, of which period, and that Redis has lost some.

use super::fleet::{Fleet, Tally, chat};
use super::server::RedisServer;
use crate::harness::*;

/// What one answer costs, in millionths of a dollar.
const COST: i64 = 12_000;

fn upstream() -> Upstream {
    Upstream::always(Answer::json(200, &completion("hello", 5, 7)))
}

fn settings(redis: &RedisServer, more: &str) -> String {
    let url = redis.url();
    format!(
        "[redis]\nurl = \"{url}\"\ntimeout_ms = 1000\n[budget]\nbackend = \"redis\"\nflush_ms = 5\n{more}\n"
    )
}

/// A budget without end, so that no test meets the turn of a period.
fn total(name: &str, scope: &str, limit_usd: &str, more: &str) -> String {
    budget(name, scope, limit_usd, more).replace("\"day\"", "\"total\"")
}

fn status(gateway: &Process, key: &str) -> u16 {
    let mut connection = Connection::open(gateway.addr);
    connection.send(&chat(key));
    connection.response().status
}

#[test]
fn a_budget_that_a_gateway_has_never_seen_is_not_taken_for_unspent() {
    let (mut redis, upstream) = (RedisServer::start(), upstream());
    let keys = api_key("sk-a", "\"*\"", "team_id = \"a\"")
        + &api_key("sk-b", "\"*\"", "team_id = \"b\"")
        + &total("a", "scope = \"team\"\nscope_ref = \"a\"", "0.03", "")
        + &total("b", "scope = \"team\"\nscope_ref = \"b\"", "1000", "");
    let fleet = Fleet::start(2, &upstream, &settings(&redis, "on_failure = \"deny\""), &keys);
    let [first, second] = &fleet.gateways[..] else { panic!("there are two") };
    until("the budget is used up", || status(first, "sk-a") == 429);
    assert_eq!(status(second, "sk-b"), 200);
    redis.kill();
    assert_eq!(status(second, "sk-a"), 429, "the second one has never seen it");
    assert_eq!(status(second, "sk-b"), 200, "the other it knows");
    assert_eq!(status(first, "sk-a"), 429);
}

#[test]
fn spend_that_redis_loses_is_told_of_and_put_back() {
    let (redis, upstream) = (RedisServer::start(), upstream());
    let keys = api_key("sk-b", "\"*\"", "") + &total("all", "scope = \"org\"", "100", "");
    let mut fleet = Fleet::start(1, &upstream, &settings(&redis, ""), &keys);
    fleet.send("sk-b", 5, 1);
    until("all charges are there", || redis.spent() == 5 * COST);
    assert_eq!(fleet.send("sk-b", 1, 1), Tally::from([(200, 1)]), "the gateway has seen five");
    until("all charges are there", || redis.spent() == 6 * COST);
    redis.ask(&["FLUSHALL"]);
    fleet.send("sk-b", 1, 1);
    until("spend is put back", || redis.spent() >= 5 * COST);
    fleet.send("sk-b", 2, 1);
    until("it goes on from there", || redis.spent() >= 7 * COST);
    assert_eq!(fleet.metric("aisix_redis_lost_spend_micro_usd_total", &[]), (5 * COST) as f64);
    fleet.gateways[0].signal("TERM");
    let log = fleet.gateways[0].log();
    assert_eq!(log.matches("redis has lost spend").count(), 1, "{log}");
}

#[test]
fn refusals_are_counted_and_soft_budgets_warn() {
    let (redis, upstream) = (RedisServer::start(), upstream());
    let keys = api_key("sk-h", "\"*\"", "team_id = \"h\"")
        + &api_key("sk-s", "\"*\"", "team_id = \"s\"")
        + &total("hard", "scope = \"team\"\nscope_ref = \"h\"", "0.03", "")
        + &total("soft", "scope = \"team\"\nscope_ref = \"s\"", "0.03", "hard_stop = false");
    let mut fleet = Fleet::start(1, &upstream, &settings(&redis, ""), &keys);
    assert_eq!(fleet.send("sk-s", 6, 1), Tally::from([(200, 6)]));
    until("the budget is used up", || status(&fleet.gateways[0], "sk-h") == 429);
    let refused = |fleet: &Fleet| fleet.metric("aisix_budget_rejections_total", &[("budget", "hard")]);
    assert!(refused(&fleet) >= 1.0, "{}", refused(&fleet));
    fleet.gateways[0].signal("TERM");
    let log = fleet.gateways[0].log();
    assert_eq!(log.matches("budget \"soft\" is used up").count(), 1, "{log}");
}

#[test]
fn an_estimate_beyond_all_measure_does_not_break_the_sums() {
    let (redis, upstream) = (RedisServer::start(), upstream());
    let more = "hard_stop = false\nworst_case = true";
    let keys = api_key("sk-b", "\"*\"", "") + &total("all", "scope = \"org\"", "100", more);
    let fleet = Fleet::start(1, &upstream, &settings(&redis, ""), &keys);
    let body = chat_body("m", r#","max_tokens":9000000000000000000"#);
    for _ in 0..3 {
        let mut connection = Connection::open(fleet.gateways[0].addr);
        connection.send(&request_text("POST", "/v1/chat/completions", "sk-b", &[], body.as_bytes()));
        connection.response().expect(200);
    }
    assert_eq!(fleet.metric("aisix_redis_fallbacks_total", &[("use", "budgets")]), 0.0);
    until("all charges are there", || redis.spent() == 3 * COST && redis.held() == 0);
}

#[test]
fn weeks_and_days_that_begin_at_once_are_two_periods() {
    let (redis, upstream) = (RedisServer::start(), upstream());
    let keys = api_key("sk-b", "\"*\"", "") + &budget("all", "scope = \"org\"", "100", "");
    let fleet = Fleet::start(1, &upstream, &settings(&redis, ""), &keys);
    fleet.send("sk-b", 1, 1);
    until("the charge is there", || redis.spent() == COST);
    let keys = redis.keys("*:bl:s:*");
    let (start, end) =
        keys[0].rsplit_once(':').and_then(|(_, period)| period.split_once('-')).expect("a period");
    let bounds = [start, end].map(|bound| bound.parse::<i64>().expect("a time"));
    assert_eq!(bounds[1] - bounds[0], 86_400, "{}", keys[0]);
    let left = redis.number(&["EXPIRETIME", &keys[0]]);
    assert_eq!(left, bounds[1] + 7 * 86_400);
}
