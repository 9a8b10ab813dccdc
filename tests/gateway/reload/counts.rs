//! Limits and budgets of what stays go on counting where they were.

use serde_json::json;

use aisix::config::Kind;

use super::*;

const PRICE: &str = "cost = { input_per_1k = 1, output_per_1k = 1 }";

fn file(upstream: &Upstream, limit: &str, more: &str) -> String {
    provider_key("up", &upstream.url())
        + &model("m", "up", PRICE)
        + &api_key("sk-test", "\"*\"", &format!("rate_limit = {{ {limit} }}"))
        + more
}

#[test]
fn a_limit_goes_on_counting_over_reloads_and_changes() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = Gateway::start(&file(&upstream, "rpm = 3", ""));
    let chat = |status: u16| drop(gateway.chat(&chat_body("m", "")).expect(status));
    let change = |limit: &str, more: &str| {
        gateway.folder.write("config.toml", &file(&upstream, limit, more));
        reload(&gateway).expect("a good file");
    };
    chat(200);
    chat(200);
    change("rpm = 3", &model("n", "up", ""));
    chat(200);
    chat(429);
    change("rpm = 4", "");
    chat(200);
    chat(429);
    change("rpm = 2", "");
    chat(429);
    // The same by the Admin API.
    change("rpm = 6", "");
    gateway
        .admin()
        .post(Kind::CachePolicies, &json!({"name": "c", "applies_to": "model:m", "enabled": false}))
        .expect(201);
    chat(200);
    chat(200);
    chat(429);
    gateway.settled();
}

#[test]
fn a_budget_goes_on_counting_over_reloads_and_changes() {
    let upstream = Upstream::well();
    // Each request costs 12 tokens at a dollar per thousand.
    let with = |limit: &str| file(&upstream, "rps = 1000", &budget("b", "scope = \"org\"", limit, ""));
    let gateway = Gateway::start(&with("0.036"));
    let chat = |status: u16| drop(gateway.chat(&chat_body("m", r#","max_tokens":7"#)).expect(status));
    let change = |text: &str| {
        gateway.folder.write("config.toml", text);
        reload(&gateway).expect("a good file");
    };
    chat(200);
    chat(200);
    change(&format!("# nothing else\n{}", with("0.036")));
    chat(200);
    chat(429);
    change(&with("0.048"));
    chat(200);
    chat(429);
    gateway.settled();
}

#[test]
fn a_slot_that_a_stream_holds_is_held_over_a_reload() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, _| match request.json()["stream"] == true {
        true => Answer::events()
            .event(&delta("half"))
            .wait(&held)
            .event(&finish())
            .event("data: [DONE]\n\n")
            .end(),
        false => Answer::json(200, &completion("hello", 5, 7)),
    });
    let gateway = Gateway::start(&file(&upstream, "concurrency = 1", ""));
    let mut stream = gateway.stream(&chat_body("m", r#","stream":true"#));
    stream.until("half");
    gateway.folder.write("config.toml", &file(&upstream, "concurrency = 1, rps = 900", ""));
    reload(&gateway).expect("a good file");
    gateway.chat(&chat_body("m", "")).expect(429);
    gate.open();
    stream.rest();
    drop(stream);
    gateway.settled();
    gateway.chat(&chat_body("m", "")).expect(200);
}
