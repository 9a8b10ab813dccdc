//! What is used stands the same at every gateway, and after a restart.

use serde_json::{Value, json};

use super::fleet::{Fleet, chat, single};
use super::server::RedisServer;
use crate::harness::*;

const BOTH: &str = "[ratelimit]\nbackend = \"redis\"\n[budget]\nbackend = \"redis\"\nflush_ms = 5\n";

fn usage(gateway: &Process) -> Value {
    let mut connection = Connection::open(gateway.addr);
    connection.send(&request_text("GET", "/v1/usage", "sk-u", &[], b""));
    connection.response().expect(200).json()
}

fn figures(usage: &Value) -> (Value, Value, Value) {
    let dimensions = usage["limits"][0]["dimensions"].as_array().expect("dimensions");
    let requests = dimensions.iter().find(|one| one["dimension"] == "rpd").expect("rpd");
    (usage["source"].clone(), requests["used"].clone(), usage["budgets"][0]["spent_usd"].clone())
}

#[test]
fn usage_is_what_all_gateways_have_counted() {
    let (mut redis, upstream) =
        (RedisServer::start(), Upstream::always(Answer::json(200, &completion("hello", 5, 7))));
    let keys = api_key("sk-u", "\"*\"", "rate_limit = { rpd = 1000, tpd = 100000, concurrency = 9 }")
        + &budget("all", "scope = \"org\"", "1000", "");
    let fleet = Fleet::start(2, &upstream, &(single(&redis.url()) + BOTH), &keys);
    let (busy, idle) = (&fleet.gateways[0], &fleet.gateways[1]);
    for _ in 0..4 {
        let mut connection = Connection::open(busy.addr);
        connection.send(&chat("sk-u"));
        connection.response().expect(200);
    }
    let told = (json!("redis"), json!(4), json!("0.048"));
    until("the idle one tells what the busy one counted", || figures(&usage(idle)) == told);
    redis.kill();
    until("both tell what they know", || {
        [busy, idle].into_iter().all(|one| figures(&usage(one)) == (json!("local"), json!(4), json!("0.048")))
    });
}
