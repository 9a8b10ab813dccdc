//! Budgets (decision 5, §9.2 of the behaviour reference): hold, settle, refuse.

use serde_json::Value;

use crate::harness::*;

const PATH: &str = "/v1/chat/completions";
/// A dollar per thousand tokens, so that a token is a thousandth of a dollar.
const PRICE: &str = "cost = { input_per_1k = 1, output_per_1k = 1 }";

fn priced(upstream: &Upstream, more: &str) -> Gateway {
    gateway_over(upstream, &(model("priced", "up", PRICE) + more))
}

/// What the refusal of a budget says was spent.
#[track_caller]
fn refused(gateway: &Gateway, model: &str) -> Value {
    let refusal = gateway.chat(&chat_body(model, "")).expect(429);
    assert_eq!(refusal.error_type(), "billing_error", "{refusal:?}");
    refusal.error()
}

/// A scope, the name that it refers to, and whether a request of the key `sk-test` for `priced` falls under it.
#[track_caller]
fn check_scope(scope: &str, reference: &str, is_under: bool) {
    let upstream = Upstream::well();
    let reference = if reference.is_empty() { String::new() } else { format!("scope_ref = \"{reference}\"") };
    let config = provider_key("up", &upstream.url())
        + &provider_key("other", &upstream.url())
        + &model("priced", "up", PRICE)
        + &model("m", "up", "")
        + &api_key("sk-test", "\"*\"", "team_id = \"search\"\nuser_id = \"u-17\"")
        + &api_key("sk-other", "\"*\"", "team_id = \"ads\"")
        + &budget("b", &format!("scope = \"{scope}\"\n{reference}"), "0.012", "");
    let gateway = Gateway::start(&config);
    gateway.chat(&chat_body("priced", "")).expect(200);
    gateway.settled();
    let second = gateway.chat(&chat_body("priced", ""));
    assert_eq!(second.status, if is_under { 429 } else { 200 }, "{scope} {reference}: {}", second.text());
    if is_under {
        assert_eq!(second.error()["scope"], scope);
        assert_eq!(upstream.count(), 1);
    }
    gateway.settled();
}

#[test]
fn spend_counts_for_every_scope_that_a_request_falls_under_and_for_no_other() {
    check_scope("org", "", true);
    check_scope("team", "search", true);
    check_scope("team", "ads", false);
    check_scope("member", "u-17", true);
    check_scope("member", "u-18", false);
    check_scope("api_key", "sk-test", true);
    check_scope("api_key", "sk-other", false);
    check_scope("model", "priced", true);
    check_scope("model", "m", false);
    check_scope("provider_key", "up", true);
    check_scope("provider_key", "other", false);
}

#[test]
fn the_true_cost_replaces_the_hold() {
    let upstream = Upstream::well();
    // A hold of a thousand tokens is far more than the limit that is left after three requests of twelve.
    let gateway = priced(&upstream, &budget("b", "scope = \"org\"", "0.048", ""));
    for _ in 0..4 {
        gateway.chat(&chat_body("priced", "")).expect(200);
        gateway.settled();
    }
    let error = refused(&gateway, "priced");
    assert_eq!((&error["spent_usd"], &error["limit_usd"]), (&"0.048".into(), &"0.048".into()));
    assert_eq!(upstream.count(), 4);
}

#[test]
fn a_hold_refuses_what_would_pass_and_says_that_it_is_only_set_aside() {
    let gate = Gate::default();
    let upstream =
        Upstream::always(Answer::default().wait(&gate).then(Answer::json(200, &completion("hello", 5, 7))));
    let gateway = priced(&upstream, &budget("b", "scope = \"org\"", "0.05", ""));
    let body = chat_body("priced", r#","max_tokens":100"#);
    let mut first = gateway.connect();
    first.send(&request_text("POST", PATH, "sk-test", &[], body.as_bytes()));
    upstream.wait_for_requests(1);
    // A hundred tokens are a tenth of a dollar: held, though nothing is spent.
    let refusal = gateway.chat(&body).expect(429);
    let error = refusal.error();
    assert_eq!((&error["type"], &error["code"]), (&"billing_error".into(), &"budget_exceeded".into()));
    let message = refusal.error_message();
    assert!(message.contains("set aside for requests in progress"), "{message}");
    assert_eq!(refusal.header("retry-after"), Some("1"), "not the end of the period: {refusal:?}");
    assert_eq!(error["retry_after_seconds"], 1, "the body agrees with the header");
    assert_eq!(error["scope"], "org");
    assert_eq!(error.get("scope_ref"), None, "an organisation has no reference");
    gate.open();
    first.response().expect(200);
    gateway.settled();
    gateway.chat(&body).expect(200);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_call_that_asks_for_the_moon_does_not_keep_others_out() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| match number {
        0 => Answer::events().event(&delta("half")).wait(&held).event(&finish()).end(),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let cost = "cost = { input_per_1k = \"0.001\", output_per_1k = \"0.002\" }";
    let more = model("cheap", "up", cost)
        + &api_key("sk-other", "\"*\"", "")
        + &budget("b", "scope = \"org\"", "1000", "");
    let gateway = gateway_over(&upstream, &more);
    let mut stream = gateway.stream(&chat_body("cheap", r#","stream":true,"max_tokens":1000000000000000"#));
    stream.until("half");
    // Not more than 32,768 output tokens are held: about seven cents.
    let held = gateway.books().ledger.held.0;
    assert!((65_536..66_000).contains(&held), "{held} millionths of a dollar");
    gateway.post_json(PATH, "sk-other", &chat_body("cheap", "")).expect(200);
    gate.open();
    stream.rest();
    gateway.settled();
}

#[test]
fn prices_of_cached_tokens_and_of_output_are_applied() {
    let cached = r#""prompt_tokens_details":{"cached_tokens":60}"#;
    let usage = format!(r#"{{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,{cached}}}"#);
    let body = format!(r#"{{"choices":[{{"index":0,"message":{{"content":"x"}}}}],"usage":{usage}}}"#);
    let upstream = Upstream::always(Answer::json(200, &body));
    let cost =
        "cost = { input_per_1k = \"0.01\", output_per_1k = \"0.03\", cached_input_per_1k = \"0.001\" }";
    let gateway = gateway_over(
        &upstream,
        &(model("tiers", "up", cost) + &budget("b", "scope = \"org\"", "0.0005", "")),
    );
    gateway.chat(&chat_body("tiers", "")).expect(200);
    gateway.settled();
    // 40 × 0.00001 + 60 × 0.000001 + 10 × 0.00003 = 0.0004 + 0.00006 + 0.0003
    assert_eq!(refused(&gateway, "tiers")["spent_usd"], "0.00076");
}

#[test]
fn a_model_without_a_price_is_refused_under_a_hard_budget_unless_that_is_allowed() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &budget("b", "scope = \"org\"", "1", ""));
    let error = refused(&gateway, "m");
    let message = error["message"].as_str().expect("words");
    assert!(message.contains("\"m\"") && message.contains("price"), "{message}");
    assert_eq!(upstream.count(), 0);

    let allowing = gateway_over(
        &upstream,
        &(budget("b", "scope = \"org\"", "1", "") + "[budget]\nunpriced = \"allow\"\n"),
    );
    allowing.chat(&chat_body("m", "")).expect(200);
    let soft = gateway_over(&upstream, &budget("b", "scope = \"org\"", "1", "hard_stop = false"));
    soft.chat(&chat_body("m", "")).expect(200);
    for gateway in [gateway, allowing, soft] {
        gateway.settled();
    }
}

/// A budget that covers the model `m`, which has no price, and the model that the caller names.
#[track_caller]
fn check_unpriced(scope: &str, named: &str) {
    let upstream = Upstream::well();
    let more = routing("group", &["m"], "") + &budget("b", scope, "1", "");
    let gateway = gateway_over(&upstream, &more);
    for stream in ["", r#","stream":true"#] {
        let refusal = gateway.chat(&chat_body(named, stream)).expect(429);
        assert_eq!(refusal.error_type(), "billing_error", "{scope} {named}: {refusal:?}");
        assert_eq!(refusal.error()["code"], "model_unpriced", "{scope} {named}");
    }
    assert_eq!(upstream.count(), 0, "{scope} {named}");

    let allowing = gateway_over(&upstream, &(more + "[budget]\nunpriced = \"allow\"\n"));
    allowing.chat(&chat_body(named, "")).expect(200);
    for gateway in [gateway, allowing] {
        gateway.settled();
    }
}

#[test]
fn a_model_without_a_price_is_refused_under_a_hard_budget_of_its_provider_key_or_target() {
    let provider_key = "scope = \"provider_key\"\nscope_ref = \"up\"";
    check_unpriced(provider_key, "m");
    check_unpriced(provider_key, "group");
    check_unpriced("scope = \"model\"\nscope_ref = \"m\"", "group");
}

#[test]
fn a_soft_budget_never_refuses() {
    let upstream = Upstream::well();
    let gateway = priced(&upstream, &budget("b", "scope = \"org\"", "0.001", "hard_stop = false"));
    for _ in 0..4 {
        gateway.chat(&chat_body("priced", "")).expect(200);
    }
    gateway.settled();
}

#[test]
fn a_stream_is_charged_by_its_usage() {
    let events = [delta("x"), finish(), usage_event(20, 30), "data: [DONE]\n\n".to_owned()];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let upstream = Upstream::always(Answer::stream(&events));
    let gateway = priced(&upstream, &budget("b", "scope = \"org\"", "0.05", ""));
    gateway.stream(&chat_body("priced", r#","stream":true"#)).rest();
    gateway.settled();
    assert_eq!(refused(&gateway, "priced")["spent_usd"], "0.05");
}

#[test]
fn a_stream_that_is_left_is_charged_for_what_was_delivered() {
    let upstream = Upstream::always(Answer::events().event(&delta(&" world".repeat(100))).stall());
    let gateway = priced(&upstream, &budget("b", "scope = \"org\"", "0.05", ""));
    let mut stream = gateway.stream(&chat_body("priced", r#","stream":true"#));
    stream.until("world");
    stream.leave();
    upstream.wait_for_hang_up();
    gateway.settled();
    // A hundred words are a hundred tokens, each a thousandth of a dollar, and the prompt a few more.
    let spent =
        refused(&gateway, "priced")["spent_usd"].as_str().expect("money").parse::<f64>().expect("a number");
    assert!((0.1..0.12).contains(&spent), "{spent}");
}

/// An answer whose usage counts a prompt of five tokens, and what is spent after it.
#[track_caller]
fn check_spent(answer: Answer, stream: &str, expected: std::ops::Range<f64>) {
    let upstream = Upstream::always(answer);
    let gateway = priced(&upstream, &budget("b", "scope = \"org\"", "0.005", ""));
    match stream {
        "" => drop(gateway.chat(&chat_body("priced", "")).expect(200)),
        _ => drop(gateway.stream(&chat_body("priced", stream)).rest().to_owned()),
    }
    gateway.settled();
    let spent = refused(&gateway, "priced")["spent_usd"].as_str().expect("money").parse().expect("a number");
    assert!(expected.contains(&spent), "{stream}: {spent}");
}

#[test]
fn a_count_of_zero_beside_a_long_answer_is_replaced_by_an_estimate() {
    // A hundred words are a hundred tokens; the count of the prompt stands.
    let long = " world".repeat(100);
    check_spent(Answer::json(200, &completion(&long, 5, 0)), "", 0.1045..0.1055);
    let events = [delta(&long), finish(), usage_event(5, 0), "data: [DONE]\n\n".to_owned()];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    check_spent(Answer::stream(&events), r#","stream":true"#, 0.1045..0.1055);
    // An empty answer costs nothing but its prompt.
    check_spent(Answer::json(200, &completion("", 5, 0)), "", 0.005..0.0051);
}

#[test]
fn a_failed_request_costs_nothing() {
    let upstream = Upstream::always(Answer::json(400, "{}"));
    let gateway = priced(&upstream, &budget("b", "scope = \"org\"", "0.001", ""));
    for _ in 0..3 {
        gateway.chat(&chat_body("priced", "")).expect(400);
        gateway.settled();
    }
}

#[test]
fn a_cache_hit_costs_nothing() {
    let upstream = Upstream::well();
    let more = budget("b", "scope = \"org\"", "0.013", "") + "[[cache_policies]]\nname = \"all\"\n";
    let gateway = priced(&upstream, &more);
    for cache in ["miss", "hit", "hit"] {
        let response = gateway.chat(&chat_body("priced", "")).expect(200);
        assert_eq!(response.header("x-aisix-cache"), Some(cache));
        gateway.settled();
    }
    // The money for another answer is still there: only the first one was paid for.
    gateway.chat(&chat_body("priced", r#","seed":1"#)).expect(200);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn the_target_that_answered_is_the_one_that_is_paid() {
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-dear") => Answer::json(500, "{}"),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let config = provider_key("up", &upstream.url())
        + &model("dear", "up", "cost = { input_per_1k = 100, output_per_1k = 100 }")
        + &model("cheap", "up", PRICE)
        + &routing("group", &["dear", "cheap"], "")
        + &api_key("sk-test", "\"*\"", "")
        + &budget("b", "scope = \"org\"", "0.012", "");
    let gateway = Gateway::start(&config);
    gateway.chat(&chat_body("group", "")).expect(200);
    gateway.settled();
    assert_eq!(refused(&gateway, "group")["spent_usd"], "0.012");
}

#[test]
fn the_tightest_refusal_is_reported() {
    let upstream = Upstream::well();
    let budgets = budget("wide", "scope = \"org\"", "0.01", "")
        + &budget("narrow", "scope = \"api_key\"\nscope_ref = \"sk-test\"", "0.002", "");
    let gateway = priced(&upstream, &budgets);
    gateway.chat(&chat_body("priced", "")).expect(200);
    gateway.settled();
    assert_eq!(refused(&gateway, "priced")["scope"], "api_key");
}

#[test]
fn a_total_budget_has_no_reset() {
    let upstream = Upstream::well();
    let total = "[[budgets]]\nname = \"b\"\nscope = \"org\"\nlimit_usd = \"0.01\"\nperiod = \"total\"\n";
    let gateway = priced(&upstream, total);
    gateway.chat(&chat_body("priced", "")).expect(200);
    gateway.settled();
    let refusal = gateway.chat(&chat_body("priced", "")).expect(429);
    let error = refusal.error();
    assert_eq!(error["period"], "total");
    assert_eq!((error.get("period_resets_at"), error.get("retry_after_seconds")), (None, None));
    assert_eq!(refusal.header("retry-after"), None);
}
