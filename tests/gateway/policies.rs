//! Rate limit policies (§4.6, §8.2): for whom they hold, in which buckets they count, when they are suspended.

use aisix::config::Kind;
use aisix::endpoints::{self, ENDPOINTS};
use serde_json::json;

use crate::harness::*;

mod phases;

/// Keys of two teams, one of them with two members, and one of nobody.
fn callers() -> String {
    [
        api_key("sk-ada", "\"*\"", "team_id = \"red\"\nuser_id = \"ada\""),
        api_key("sk-ada-too", "\"*\"", "team_id = \"red\"\nuser_id = \"ada\""),
        api_key("sk-bob", "\"*\"", "team_id = \"red\"\nuser_id = \"bob\""),
        api_key("sk-red", "\"*\"", "team_id = \"red\""),
        api_key("sk-eve", "\"*\"", "team_id = \"blue\"\nuser_id = \"eve\""),
    ]
    .concat()
}

fn gateway(upstream: &Upstream, more: &str) -> Gateway {
    gateway_over(upstream, &(callers() + &model("n", "up", "") + more))
}

fn ask(gateway: &Gateway, key: &str, model: &str) -> Response {
    gateway.post_json("/v1/chat/completions", key, &chat_body(model, ""))
}

/// Asserts the statuses of chats, each with a key and a model, one after the other.
#[track_caller]
fn check(policies: &str, asked: &[(&str, &str, u16)]) {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = gateway(&upstream, policies);
    for (place, (key, model, status)) in asked.iter().enumerate() {
        let response = ask(&gateway, key, model);
        assert_eq!(response.status, *status, "{place}: {key} asks {model}: {}", response.text());
        gateway.settled();
    }
}

fn classic(scope: &str, scope_ref: &str) -> String {
    policy(
        "p",
        &format!("scope = \"{scope}\"\nscope_ref = \"{scope_ref}\"\nwindow = \"hour\"\nmax_requests = 1"),
    )
}

#[test]
fn a_scope_is_one_key_one_model_a_team_a_member_or_each_member() {
    check(
        &classic("api_key", "sk-ada"),
        &[("sk-ada", "m", 200), ("sk-ada", "n", 429), ("sk-ada-too", "m", 200)],
    );
    check(&classic("model", "m"), &[("sk-ada", "m", 200), ("sk-eve", "m", 429), ("sk-eve", "n", 200)]);
    check(&classic("team", "red"), &[("sk-ada", "m", 200), ("sk-red", "m", 429), ("sk-eve", "m", 200)]);
    check(
        &classic("member", "ada"),
        &[("sk-ada", "m", 200), ("sk-ada-too", "m", 429), ("sk-bob", "m", 200), ("sk-test", "m", 200)],
    );
    check(
        &classic("team_member", "red"),
        &[
            ("sk-ada", "m", 200),
            ("sk-ada-too", "m", 429),
            ("sk-bob", "m", 200),
            ("sk-bob", "m", 429),
            // Of the team, and no member.
            ("sk-red", "m", 200),
            ("sk-red", "m", 200),
            ("sk-eve", "m", 200),
            ("sk-eve", "m", 200),
        ],
    );
}

#[test]
fn a_window_of_the_classic_form_is_one_dimension_of_requests_or_tokens() {
    for (window, amount, words) in [
        ("second", "max_requests = 1", "request limit exceeded (limit 1 per second, policy \"p\")"),
        ("minute", "max_requests = 1", "request limit exceeded (limit 1 per minute, policy \"p\")"),
        ("hour", "max_requests = 1", "request limit exceeded (limit 1 per hour, policy \"p\")"),
        ("day", "max_requests = 1", "request limit exceeded (limit 1 per day, policy \"p\")"),
        ("minute", "max_tokens = 11", "token limit exceeded (limit 11 per minute, policy \"p\")"),
        ("day", "max_tokens = 11", "token limit exceeded (limit 11 per day, policy \"p\")"),
    ] {
        away_from_the_turn_of_the_minute();
        let upstream = Upstream::well();
        let more =
            policy("p", &format!("scope = \"team\"\nscope_ref = \"red\"\nwindow = \"{window}\"\n{amount}"));
        let gateway = gateway(&upstream, &more);
        ask(&gateway, "sk-ada", "m").expect(200);
        gateway.settled();
        // A slow machine may let the second pass by, but not twice.
        let mut refusal = ask(&gateway, "sk-bob", "m");
        for _ in 0..20 {
            if refusal.status == 429 {
                break;
            }
            refusal = ask(&gateway, "sk-bob", "m");
        }
        let refusal = refusal.expect(429);
        assert_eq!(refusal.error_type(), "rate_limit_exceeded", "{window}");
        assert_eq!(refusal.error_message(), words);
        assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
    }
}

#[test]
fn conditions_say_for_whom_and_groups_count_apart() {
    let conditions = "conditions = [{ dimension = \"team\", operator = \"in\", value = [\"red\", \"green\"] }, \
                      { dimension = \"model_name\", operator = \"~*\", value = \"^M$\" }]\n";
    let shared = policy("p", &format!("limits = {{ rpm = 1 }}\n{conditions}"));
    check(
        &shared,
        &[
            ("sk-ada", "m", 200),
            ("sk-bob", "m", 429),
            ("sk-ada", "n", 200),
            ("sk-eve", "m", 200),
            ("sk-test", "m", 200),
        ],
    );
    let apart = policy("p", &format!("limits = {{ rpm = 1 }}\n{conditions}group_by = [\"member\"]"));
    check(
        &apart,
        &[
            ("sk-ada", "m", 200),
            ("sk-ada-too", "m", 429),
            ("sk-bob", "m", 200),
            ("sk-bob", "m", 429),
            ("sk-red", "m", 200),
            ("sk-red", "m", 200),
        ],
    );
    let by_both = policy("p", "limits = { rpm = 1 }\ngroup_by = [\"model\", \"api_key\"]");
    check(
        &by_both,
        &[
            ("sk-ada", "m", 200),
            ("sk-ada", "n", 200),
            ("sk-ada", "m", 429),
            ("sk-ada-too", "m", 200),
            ("sk-test", "m", 200),
        ],
    );
}

#[test]
fn nobody_is_in_a_dimension_that_he_does_not_have_unless_it_is_negated() {
    let but_red = policy(
        "p",
        "limits = { rph = 1 }\nconditions = [{ dimension = \"team\", operator = \"==\", value = \"red\", negate = true }]",
    );
    check(
        &but_red,
        &[("sk-test", "m", 200), ("sk-eve", "m", 429), ("sk-ada", "m", 200), ("sk-ada", "m", 200)],
    );
    let other_than_red = policy(
        "p",
        "limits = { rph = 1 }\nconditions = [{ dimension = \"team\", operator = \"~=\", value = \"red\" }]",
    );
    check(
        &other_than_red,
        &[
            ("sk-eve", "m", 200),
            ("sk-eve", "m", 429),
            ("sk-test", "m", 200),
            ("sk-test", "m", 200),
            ("sk-ada", "m", 200),
        ],
    );
}

#[test]
fn a_suspended_policy_neither_refuses_nor_counts() {
    let week = "schedules = [{ days_of_week = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"], \
                start_time = \"00:00\", end_time = \"24:00\" }]";
    check(
        &policy("p", &format!("limits = {{ rpd = 1 }}\n{week}")),
        &[("sk-ada", "m", 200), ("sk-ada", "m", 200), ("sk-ada", "m", 200)],
    );
    let past = "schedules = [{ timezone = \"Asia/Tokyo\", dates = [\"2020-02-29\"], start_time = \"00:00\", end_time = \"24:00\" }, \
                { days_of_week = [\"mon\"], start_time = \"12:00\", end_time = \"12:00\" }]";
    check(
        &policy("p", &format!("limits = {{ rpd = 1 }}\n{past}")),
        &[("sk-ada", "m", 200), ("sk-ada", "m", 429)],
    );
}

#[test]
fn counts_outlive_a_suspension() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = gateway(&upstream, "");
    let mut admin = gateway.admin();
    let week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let schedule = json!([{"days_of_week": week, "start_time": "00:00", "end_time": "24:00"}]);
    admin.put(Kind::RateLimitPolicies, "p", &json!({"name": "p", "limits": {"rpd": 1}})).expect(201);
    ask(&gateway, "sk-ada", "m").expect(200);
    ask(&gateway, "sk-eve", "m").expect(429);
    admin.patch(Kind::RateLimitPolicies, "p", &json!({"schedules": schedule})).expect(200);
    ask(&gateway, "sk-ada", "m").expect(200);
    admin.patch(Kind::RateLimitPolicies, "p", &json!({"schedules": null, "limits": {"rpd": 2}})).expect(200);
    ask(&gateway, "sk-ada", "m").expect(200);
    ask(&gateway, "sk-ada", "m").expect(429);
    admin.delete(Kind::RateLimitPolicies, "p").expect(200);
    ask(&gateway, "sk-ada", "m").expect(200);
}

#[test]
fn what_a_policy_refuses_leaves_no_trace_and_the_metric_names_it() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let more = policy("tight", "scope = \"model\"\nscope_ref = \"m\"\nwindow = \"minute\"\nmax_requests = 1")
        + &policy("wide", "limits = { rpm = 3, concurrency = 9 }")
        + &api_key("sk-own", "\"*\"", "rate_limit = { rpm = 3 }");
    let gateway = gateway(&upstream, &more);
    for (model, status) in [("m", 200), ("m", 429), ("m", 429), ("n", 200), ("n", 200)] {
        ask(&gateway, "sk-own", model).expect(status);
    }
    // The key has had three, and so has the policy for everybody.
    let refusal = ask(&gateway, "sk-own", "n").expect(429);
    assert_eq!(refusal.error_message(), "request limit exceeded (limit 3 per minute)");
    let refusal = ask(&gateway, "sk-eve", "n").expect(429);
    assert_eq!(refusal.error_message(), "request limit exceeded (limit 3 per minute, policy \"wide\")");
    gateway.settled();
    let metrics = gateway.metrics();
    let name = "aisix_ratelimit_rejections_total";
    let ids = |policy: &str| {
        let list = gateway.admin().list(Kind::RateLimitPolicies);
        let found = list.iter().find(|entry| entry["value"]["name"] == *policy).expect("a policy");
        found["id"].as_str().expect("an id").to_owned()
    };
    let count = |layer, policy_id: &str| {
        metrics.one(name, &[("scope", "requests"), ("layer", layer), ("policy_id", policy_id)]).value
    };
    assert_eq!(count("policy", &ids("tight")), 2.0);
    assert_eq!(count("policy", &ids("wide")), 1.0);
    assert_eq!(count("api_key", "unknown"), 1.0);
    assert_eq!(metrics.sum(name, &[]), 4.0);
}

#[test]
fn tokens_count_for_policies_as_they_do_for_keys() {
    away_from_the_turn_of_the_minute();
    // The first fails, the second costs twelve tokens, the third comes from the cache.
    let upstream =
        Upstream::in_turn(vec![Answer::json(400, "{}"), Answer::json(200, &completion("hello", 5, 7))]);
    let more = policy("p", "limits = { tpm = 12 }") + "[[cache_policies]]\nname = \"c\"\n";
    let gateway = gateway(&upstream, &more);
    for status in [400, 200, 200] {
        ask(&gateway, "sk-ada", "m").expect(status);
        gateway.settled();
    }
    assert_eq!(upstream.count(), 2);
    // Twelve are not more than twelve; twenty-four are.
    ask(&gateway, "sk-bob", "n").expect(200);
    gateway.settled();
    let refusal = ask(&gateway, "sk-bob", "n").expect(429);
    assert!(refusal.error_message().starts_with("token limit exceeded (limit 12 per minute"), "{refusal:?}");
}

#[test]
fn the_keys_headers_do_not_tell_of_policies() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = gateway(&upstream, &policy("p", "limits = { rpm = 9, tpm = 9000, concurrency = 9 }"));
    let response = ask(&gateway, "sk-ada", "m").expect(200);
    assert!(!response.headers.iter().any(|(name, _)| name.starts_with("x-ratelimit-")), "{response:?}");
}

#[test]
fn an_open_stream_keeps_its_slot_in_a_policy() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| match number {
        0 => Answer::events().event(&delta("a")).wait(&held).event(&finish()).event("data: [DONE]\n\n").end(),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let gateway = gateway(&upstream, &policy("p", "limits = { concurrency = 1 }\ngroup_by = [\"team\"]"));
    let mut connection = gateway.connect();
    let body = chat_body("m", r#","stream":true"#);
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-ada", &[], body.as_bytes()));
    let mut stream = connection.stream();
    stream.until("\"a\"");
    let refusal = ask(&gateway, "sk-bob", "m").expect(429);
    assert_eq!(refusal.header("retry-after"), None);
    ask(&gateway, "sk-eve", "m").expect(200);
    gate.open();
    stream.rest();
    gateway.settled();
    ask(&gateway, "sk-bob", "m").expect(200);
}

#[test]
fn every_endpoint_that_asks_a_provider_falls_under_policies() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = gateway(&upstream, &policy("p", "limits = { rph = 1 }\ngroup_by = [\"member\"]"));
    ask(&gateway, "sk-ada", "m").expect(200);
    let asked = upstream.count();
    let rows = ENDPOINTS.iter().filter(|row| is_spoken(row));
    for row in
        rows.filter(|row| matches!(row.answer, endpoints::Answer::Provider | endpoints::Answer::Tunnel))
    {
        let refusal = Sample::of(row, "m").send(&gateway, "sk-ada").expect(429);
        assert!(refusal.text().contains("policy"), "{}: {}", row.path, refusal.text());
    }
    assert_eq!(upstream.count(), asked);
    gateway.settled();
}
