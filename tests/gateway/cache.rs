//! The response cache (§7 and §2.4 of the behaviour reference, decision 6).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

/// A provider whose n-th answer says so, from zero.
fn counting() -> Upstream {
    Upstream::start(|request, number| {
        if request.json()["stream"] == true {
            Answer::stream(&[&delta("streamed"), &finish(), "data: [DONE]\n\n"])
        } else {
            Answer::json(200, &completion(&format!("answer {number}"), 5, 7))
        }
    })
}

fn policy(more: &str) -> String {
    format!("[[cache_policies]]\nname = \"policy\"\n{more}\n")
}

fn ask(gateway: &Gateway, key: &str, body: &str, cache_control: &[&str]) -> Response {
    let headers: Vec<(&str, &str)> = cache_control.iter().map(|value| ("cache-control", *value)).collect();
    gateway.send("POST", PATH, key, &headers, body.as_bytes()).expect(200)
}

fn content(response: &Response) -> String {
    response.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
}

/// One request, what `x-aisix-cache` must say to it, and which answer must come.
#[track_caller]
fn check(gateway: &Gateway, key: &str, body: &str, cache_control: &[&str], cache: &str, number: usize) {
    let response = ask(gateway, key, body, cache_control);
    assert_eq!(response.header("x-aisix-cache"), Some(cache), "{body} {cache_control:?}");
    let layer = (cache == "hit").then_some("exact");
    assert_eq!(response.header("x-aisix-cache-layer"), layer, "{body}");
    assert_eq!(content(&response), format!("answer {number}"), "{body} {cache_control:?}");
    gateway.settled();
}

#[test]
fn the_second_identical_request_is_answered_from_the_cache() {
    let upstream = counting();
    let gateway = gateway_over(&upstream, &policy(""));
    let first = ask(&gateway, "sk-test", &chat_body("m", ""), &[]);
    let second = ask(&gateway, "sk-test", &chat_body("m", ""), &[]);
    assert_eq!((first.header("x-aisix-cache"), second.header("x-aisix-cache")), (Some("miss"), Some("hit")));
    assert_eq!(upstream.count(), 1);
    let (mut first, mut second) = (first.json(), second.json());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let created = second["created"].as_u64().expect("a time");
    assert!((now - 5..=now).contains(&created), "a remembered answer is given now: {created}");
    for body in [&mut first, &mut second] {
        body["created"] = 0.into();
    }
    assert_eq!(first, second);
    assert_eq!(second["model"], "m");
}

#[test]
fn spelling_does_not_matter_and_every_member_does() {
    let upstream = counting();
    let gateway = gateway_over(&upstream, &policy(""));
    let plain = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":5,"x":{"a":1,"b":2}}"#;
    check(&gateway, "sk-test", plain, &[], "miss", 0);
    for same in [
        r#"{"x":{"b":2,"a":1},"messages":[{"content":"hi","role":"user"}],"seed":5,"model":"m"}"#,
        &plain.replace(':', " : ").replace(',', ",\n"),
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":5,"x":{"a":1,"b":2},"stream":false}"#,
    ] {
        check(&gateway, "sk-test", same, &[], "hit", 0);
    }
    for (number, (part, other)) in [
        (r#""seed":5"#, r#""seed":6"#),
        (r#""b":2"#, r#""b":3"#),
        (r#","x":{"a":1,"b":2}"#, ""),
        (r#""hi""#, r#""Hi""#),
        (r#""hi""#, r#""hi","name":"n""#),
        (r#""hi""#, r#"[{"type":"text","text":"hi"}]"#),
        (r#""user""#, r#""system""#),
    ]
    .iter()
    .enumerate()
    {
        check(&gateway, "sk-test", &plain.replace(part, other), &[], "miss", number + 1);
    }
}

#[test]
fn answers_are_kept_for_each_key_or_shared_as_the_policy_says() {
    for (scope, cache, number) in [("api_key", "miss", 1), ("env", "hit", 0)] {
        let upstream = counting();
        let more = policy(&format!("scope = \"{scope}\"")) + &api_key("sk-other", "\"*\"", "");
        let gateway = gateway_over(&upstream, &more);
        check(&gateway, "sk-test", &chat_body("m", ""), &[], "miss", 0);
        check(&gateway, "sk-other", &chat_body("m", ""), &[], cache, number);
        check(&gateway, "sk-test", &chat_body("m", ""), &[], "hit", 0);
    }
}

#[test]
fn no_cache_asks_the_provider_and_keeps_its_answer() {
    let upstream = counting();
    let gateway = gateway_over(&upstream, &policy(""));
    let body = chat_body("m", "");
    check(&gateway, "sk-test", &body, &["no-cache"], "bypass", 0);
    check(&gateway, "sk-test", &body, &[], "hit", 0);
    check(&gateway, "sk-test", &body, &["max-age=0, No-Cache"], "bypass", 1);
    check(&gateway, "sk-test", &body, &[], "hit", 1);
    check(&gateway, "sk-test", &body, &["private", "NO-CACHE,no-store"], "bypass", 2);
    check(&gateway, "sk-test", &body, &[], "hit", 1);
}

#[test]
fn no_store_is_answered_from_the_cache_and_never_kept() {
    let upstream = counting();
    let gateway = gateway_over(&upstream, &policy(""));
    let body = chat_body("m", "");
    check(&gateway, "sk-test", &body, &["no-store"], "miss", 0);
    check(&gateway, "sk-test", &body, &[], "miss", 1);
    check(&gateway, "sk-test", &body, &["no-store"], "hit", 1);
}

#[test]
fn an_answer_is_forgotten_after_its_time() {
    let upstream = counting();
    let gateway = gateway_over(&upstream, &policy("ttl_seconds = 1"));
    check(&gateway, "sk-test", &chat_body("m", ""), &[], "miss", 0);
    check(&gateway, "sk-test", &chat_body("m", ""), &[], "hit", 0);
    until("the answer is forgotten", || {
        content(&ask(&gateway, "sk-test", &chat_body("m", ""), &[])) == "answer 1"
    });
    assert_eq!(upstream.count(), 2);
}

#[test]
fn only_what_a_policy_covers_is_kept() {
    let upstream = counting();
    let other = model("other", "up", "") + &api_key("sk-other", "\"*\"", "");
    for (more, covered, not_covered) in [
        ("applies_to = \"model:other\"", ("sk-test", "other"), ("sk-test", "m")),
        ("applies_to = \"api_key:sk-other\"", ("sk-other", "m"), ("sk-test", "m")),
    ] {
        let gateway = gateway_over(&upstream, &(other.clone() + &policy(more)));
        let cache = |(key, model): (&str, &str)| {
            ask(&gateway, key, &chat_body(model, ""), &[]).header("x-aisix-cache").map(str::to_owned)
        };
        assert_eq!(cache(covered).as_deref(), Some("miss"), "{more}");
        assert_eq!(cache(covered).as_deref(), Some("hit"), "{more}");
        assert_eq!(cache(not_covered), None, "{more}");
    }
    let gateway = gateway_over(&upstream, &policy("enabled = false"));
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "sk-test", &chat_body("m", ""), &[]).header("x-aisix-cache"), None);
    }
}

#[test]
fn an_error_is_never_kept() {
    for error in [
        Answer::json(400, r#"{"error":{"message":"no"}}"#),
        Answer::json(500, "{}"),
        Answer::json(200, "not json"),
        Answer::json(200, r#"{"error":{"message":"no","code":400}}"#),
    ] {
        let upstream = Upstream::in_turn(vec![error, Answer::json(200, &completion("answer 1", 5, 7))]);
        let gateway = gateway_over(&upstream, &(policy("") + &model("once", "up", "retries = 0")));
        let response = gateway.chat(&chat_body("once", ""));
        assert!(response.status >= 400, "{response:?}");
        assert_eq!(response.header("x-aisix-cache"), None, "no error tells of the cache");
        check(&gateway, "sk-test", &chat_body("once", ""), &[], "miss", 1);
        check(&gateway, "sk-test", &chat_body("once", ""), &[], "hit", 1);
    }
}

#[test]
fn a_hit_takes_a_request_and_no_tokens_and_names_no_target() {
    away_from_the_turn_of_the_minute();
    let upstream = counting();
    let more = routing("group", &["m"], "")
        + &policy("")
        + &api_key("sk-counted", "\"*\"", "rate_limit = { rpm = 60, tpm = 1000 }");
    let gateway = gateway_over(&upstream, &more);
    for (cache, served_by, requests) in [("miss", Some("m"), "59"), ("hit", None, "58"), ("hit", None, "57")]
    {
        let response = ask(&gateway, "sk-counted", &chat_body("group", ""), &[]);
        assert_eq!(response.header("x-aisix-cache"), Some(cache));
        assert_eq!(response.header("x-aisix-served-by"), served_by);
        assert_eq!(response.header("x-ratelimit-remaining-requests"), Some(requests));
        assert_eq!(response.header("x-ratelimit-remaining-tokens"), Some("988"));
        assert_eq!(response.header("x-aisix-call-id"), response.header("x-aisix-request-id"));
        assert_eq!(response.json()["model"], "group");
    }
}

/// Callers of one identical request that wait for the gate, of which the first is at the provider.
fn crowd(gateway: &Gateway, upstream: &Upstream, size: usize) -> Vec<Connection> {
    let request = request_text("POST", PATH, "sk-test", &[], chat_body("m", "").as_bytes());
    let mut callers = Vec::new();
    for place in 0..size {
        let mut caller = gateway.connect();
        caller.send(&request);
        callers.push(caller);
        if place == 0 {
            upstream.wait_for_requests(1);
        }
    }
    until("everybody waits", || gateway.books().cache.waiting == size - 1);
    callers
}

#[test]
fn identical_concurrent_misses_are_one_request() {
    let gate = Gate::default();
    let upstream = Upstream::always(
        Answer::default().wait(&gate).then(Answer::json(200, &completion("answer 0", 5, 7))),
    );
    let gateway = gateway_over(&upstream, &policy(""));
    let mut callers = crowd(&gateway, &upstream, 20);
    gate.open();
    for caller in &mut callers {
        assert_eq!(content(&caller.response().expect(200)), "answer 0");
    }
    assert_eq!(upstream.count(), 1);
    gateway.settled();
}

#[test]
fn when_the_first_of_a_crowd_fails_the_next_one_tries() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| match number {
        0 => Answer::default().wait(&held).then(Answer::json(400, "{}")),
        _ => Answer::json(200, &completion("answer 1", 5, 7)),
    });
    let gateway = gateway_over(&upstream, &policy(""));
    let mut callers = crowd(&gateway, &upstream, 6);
    gate.open();
    let mut statuses: Vec<u16> = callers.iter_mut().map(|caller| caller.response().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 400]);
    assert_eq!(upstream.count(), 2);
    gateway.settled();
}

#[test]
fn when_the_first_of_a_crowd_leaves_the_next_one_tries() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| match number {
        0 => Answer::silence(),
        _ => Answer::default().wait(&held).then(Answer::json(200, &completion("answer 1", 5, 7))),
    });
    let gateway = gateway_over(&upstream, &policy(""));
    let mut callers = crowd(&gateway, &upstream, 6);
    callers.remove(0).leave();
    upstream.wait_for_requests(2);
    gate.open();
    for caller in &mut callers {
        assert_eq!(content(&caller.response().expect(200)), "answer 1");
    }
    assert_eq!(upstream.count(), 2);
    gateway.settled();
}
