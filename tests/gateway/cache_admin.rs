//! The response cache for administrators: purges, counters, and a bound in bytes.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::harness::*;

const ADMIN: &str = "[admin]\nadmin_keys = [\"sk-admin\"]\n";
const PURGE: &str = "/admin/v1/cache/purge";

/// A provider whose n-th answer is so many letters, and no two answers are the same.
fn long(letters: usize) -> Upstream {
    Upstream::start(move |_, number| {
        Answer::json(200, &completion(&format!("{number}:{}", "x".repeat(letters)), 5, 7))
    })
}

fn start(upstream: &Upstream, more: &str) -> Gateway {
    gateway_over(upstream, &[ADMIN, &model("n", "up", ""), more].concat())
}

fn policy(name: &str, applies_to: &str) -> String {
    format!("[[cache_policies]]\nname = \"{name}\"\napplies_to = \"{applies_to}\"\n")
}

#[track_caller]
fn cache(gateway: &Gateway, model: &str) -> String {
    let response = gateway.chat(&chat_body(model, "")).expect(200);
    gateway.settled();
    response.header("x-aisix-cache").expect("a policy").to_owned()
}

fn purge(gateway: &Gateway, body: &str) -> Value {
    gateway.admin().ask("POST", PURGE, body).expect(200).json()
}

#[test]
fn a_purge_forgets_a_policy_or_everything() {
    let upstream = long(10);
    let gateway = start(&upstream, &(policy("of m", "model:m") + &policy("of n", "model:n")));
    let both = || ["m", "n"].map(|model| cache(&gateway, model));
    assert_eq!(both(), ["miss", "miss"]);
    assert_eq!(both(), ["hit", "hit"]);
    let purged = purge(&gateway, r#"{"policy":"of m"}"#);
    assert_eq!(purged["entries"], 1);
    assert!(purged["bytes"].as_u64().expect("bytes") > 100, "{purged}");
    assert!(purged.get("redis_entries").is_none(), "there is no Redis");
    assert_eq!(both(), ["miss", "hit"]);
    let policies = gateway.admin().list(aisix::config::Kind::CachePolicies);
    let id = policies.iter().find(|entry| entry["value"]["name"] == "of n").expect("a policy")["id"].clone();
    assert_eq!(purge(&gateway, &json!({ "policy": id }).to_string())["entries"], 1);
    assert_eq!(both(), ["hit", "miss"]);
    assert_eq!(purge(&gateway, "")["entries"], 2);
    assert_eq!(both(), ["miss", "miss"]);
    assert_eq!(purge(&gateway, "{}")["entries"], 2);
    assert_eq!(purge(&gateway, "{}")["entries"], 0);
}

#[test]
fn a_purge_that_means_nothing_is_refused() {
    let upstream = long(10);
    let gateway = start(&upstream, &policy("of m", "model:m"));
    assert_eq!(cache(&gateway, "m"), "miss");
    for (body, status, words) in [
        (r#"{"policy":"of nobody at all"}"#, 404, "no cache policy is called \\\"of nobody at all\\\"\""),
        (r#"{"policy":"of n"}"#, 404, "(did you mean \\\"of m\\\"?)"),
        (r#"{"policy":7}"#, 400, "failed at policy: expected the name or id"),
        (r#"{"polciy":"of m"}"#, 400, "failed at polciy: no member is called \\\"polciy\\\" (did you mean"),
        ("[]", 400, "expected an object"),
        ("{", 400, "JSON"),
    ] {
        let refused = gateway.admin().ask("POST", PURGE, body).expect(status).text();
        assert!(refused.contains(words), "{refused}");
    }
    gateway.admin().ask("GET", PURGE, "").expect(405);
    let mut stranger = Connection::open(gateway.admin_addr());
    stranger.send(&request_text("POST", PURGE, "sk-test", &[], b"{}"));
    stranger.response().expect(401);
    assert_eq!(cache(&gateway, "m"), "hit", "nothing was forgotten");
}

#[test]
fn an_answer_that_was_asked_for_before_a_purge_is_not_kept_after_it() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| match number {
        0 => Answer::default().wait(&held).then(Answer::json(200, &completion("old", 5, 7))),
        _ => Answer::json(200, &completion("new", 5, 7)),
    });
    let gateway = start(&upstream, &policy("of m", "model:m"));
    let mut first = gateway.connect();
    first.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], chat_body("m", "").as_bytes()));
    upstream.wait_for_requests(1);
    purge(&gateway, "{}");
    let fresh = gateway.chat(&chat_body("m", "")).expect(200);
    assert_eq!(fresh.json()["choices"][0]["message"]["content"], "new", "it does not wait for the old one");
    gate.open();
    assert_eq!(first.response().expect(200).json()["choices"][0]["message"]["content"], "old");
    gateway.settled();
    let kept = gateway.chat(&chat_body("m", "")).expect(200);
    assert_eq!(kept.header("x-aisix-cache"), Some("hit"));
    assert_eq!(kept.json()["choices"][0]["message"]["content"], "new");
}

#[test]
fn large_answers_do_not_outgrow_the_cache() {
    let upstream = long(40_000);
    let gateway = start(&upstream, &(policy("all", "all") + "[cache]\nmax_bytes = 1000000\n"));
    for number in 0..60 {
        gateway.chat(&chat_body("m", &format!(r#","seed":{number}"#))).expect(200);
    }
    gateway.settled();
    let about: HashMap<String, u64> =
        serde_json::from_value(gateway.admin().ask("GET", "/admin/v1/cache", "").expect(200).json())
            .expect("numbers");
    assert_eq!((about["max_bytes"], about["stored"]), (1_000_000, 60), "{about:?}");
    assert!(about["bytes"] <= about["max_bytes"] && about["entries"] >= 10, "{about:?}");
    assert_eq!(about["entries"] + about["evicted"], 60, "{about:?}");
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("aisix_cache_entries", &[]), about["entries"] as f64);
    assert_eq!(metrics.sum("aisix_cache_bytes", &[]), about["bytes"] as f64);
    assert_eq!(metrics.sum("aisix_cache_evictions_total", &[]), about["evicted"] as f64);
}
