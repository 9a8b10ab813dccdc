//! Rate limits (§8, §2.3 of the behaviour reference, decision 4): what they count, when they refuse, what they tell.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A gateway over the model `m` with one limit, on the key or on the model.
fn limited(upstream: &Upstream, place: &str, limit: &str) -> Gateway {
    let limit = format!("rate_limit = {{ {limit} }}");
    let (on_key, on_model) = if place == "key" { (limit.as_str(), "") } else { ("", limit.as_str()) };
    let config = provider_key("up", &upstream.url())
        + &model("m", "up", on_model)
        + &model("free", "up", "")
        + &api_key("sk-test", "\"*\"", on_key);
    Gateway::start(&config)
}

/// A dimension that lets one request of twelve tokens through, the words of its refusal, and its window in seconds.
#[track_caller]
fn check_window(dimension: &str, limit: u64, words: &str, window: u64) {
    for place in ["key", "model"] {
        away_from_the_turn_of_the_minute();
        let upstream = Upstream::well();
        let gateway = limited(&upstream, place, &format!("{dimension} = {limit}"));
        gateway.chat(&chat_body("m", "")).expect(200);
        gateway.settled();
        let refusal = gateway.chat(&chat_body("m", "")).expect(429);
        let rest = window - unix_secs() % window;
        assert_eq!(refusal.error_type(), "rate_limit_exceeded", "{dimension} of a {place}");
        assert!(
            refusal.error_message().starts_with(words),
            "{dimension} of a {place}: {}",
            refusal.error_message()
        );
        let seconds: u64 = refusal.header("retry-after").expect("Retry-After").parse().expect("seconds");
        assert!((rest.max(1)..=rest + 1).contains(&seconds), "{dimension}: {seconds} and not {rest}");
        assert_eq!(upstream.count(), 1);
        if place == "model" {
            gateway.chat(&chat_body("free", "")).expect(200);
        }
        gateway.settled();
    }
}

#[test]
fn a_window_of_requests_refuses_the_request_after_the_last() {
    check_window("rps", 1, "request limit exceeded", 1);
    check_window("rpm", 1, "request limit exceeded", 60);
    check_window("rph", 1, "request limit exceeded", 3_600);
    check_window("rpd", 1, "request limit exceeded", 86_400);
}

#[test]
fn a_window_of_tokens_refuses_the_request_after_the_one_that_crossed_it() {
    check_window("tpm", 11, "token limit exceeded", 60);
    check_window("tpd", 11, "token limit exceeded", 86_400);
}

#[test]
fn a_token_window_that_is_exactly_full_admits_one_more() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = limited(&upstream, "key", "tpm = 12");
    for status in [200, 200, 429] {
        gateway.chat(&chat_body("m", "")).expect(status);
        gateway.settled();
    }
}

#[test]
fn concurrency_is_refused_without_a_time_to_wait_and_held_to_the_end_of_a_stream() {
    for place in ["key", "model"] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::start(move |_, number| match number {
            0 => Answer::events()
                .event(&delta("a"))
                .wait(&held)
                .event(&finish())
                .event("data: [DONE]\n\n")
                .end(),
            _ => Answer::json(200, &completion("hello", 5, 7)),
        });
        let gateway = limited(&upstream, place, "concurrency = 1");
        let mut stream = gateway.stream(&chat_body("m", r#","stream":true"#));
        stream.until("\"a\"");
        let refusal = gateway.chat(&chat_body("m", "")).expect(429);
        assert_eq!(refusal.error_type(), "rate_limit_exceeded");
        assert!(
            refusal.error_message().starts_with("concurrency limit exceeded"),
            "{}",
            refusal.error_message()
        );
        assert_eq!(refusal.header("retry-after"), None);
        gate.open();
        stream.rest();
        gateway.settled();
        gateway.chat(&chat_body("m", "")).expect(200);
    }
}

#[test]
fn a_slot_is_free_for_a_callers_next_request_however_the_last_one_ended() {
    let upstream = Upstream::start(|_, number| match number % 3 {
        0 => Answer::json(200, &completion("hello", 5, 7)),
        1 => Answer::json(500, "{}"),
        _ => Answer::json(400, "{}"),
    });
    let config = provider_key("up", &upstream.url())
        + &model("m", "up", "retries = 0\nrate_limit = { concurrency = 1 }")
        + &api_key("sk-test", "\"*\"", "rate_limit = { concurrency = 1 }");
    let gateway = Gateway::start(&config);
    for round in 0..60 {
        let response = gateway.chat(&chat_body("m", ""));
        assert_ne!(response.status, 429, "request {round} met the one before it");
    }
    gateway.settled();
}

#[test]
fn the_headers_tell_how_the_keys_limits_stand_after_an_answer() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = limited(
        &upstream,
        "key",
        "rpm = 60, tpm = 1000, concurrency = 5, rps = 50, rph = 600, rpd = 700, tpd = 9000",
    );
    for (requests, tokens) in [(59, 988), (58, 976)] {
        let response = gateway.chat(&chat_body("m", "")).expect(200);
        let rest = 60 - unix_secs() % 60;
        let mut stand: Vec<_> =
            response.headers.iter().filter(|(name, _)| name.starts_with("x-ratelimit-")).cloned().collect();
        stand.sort();
        let mut resets = Vec::new();
        stand.retain(|(name, value)| {
            let is_reset = name.starts_with("x-ratelimit-reset-");
            if is_reset {
                resets.push((name.clone(), value.clone()));
            }
            !is_reset
        });
        let pair = |name: &str, value: u64| (format!("x-ratelimit-{name}"), value.to_string());
        let expected = [
            pair("limit-concurrent", 5),
            pair("limit-requests", 60),
            pair("limit-tokens", 1000),
            pair("remaining-concurrent", 5),
            pair("remaining-requests", requests),
            pair("remaining-tokens", tokens),
        ];
        assert_eq!(stand, expected);
        assert_eq!(resets.len(), 2, "{resets:?}");
        for (name, value) in resets {
            let seconds: u64 = value.strip_suffix('s').expect("an s").parse().expect("seconds");
            assert!((rest..=rest + 1).contains(&seconds) && (1..=60).contains(&seconds), "{name}: {value}");
        }
    }
}

#[test]
fn a_stream_begins_with_its_own_slot_taken_and_its_tokens_to_come() {
    away_from_the_turn_of_the_minute();
    let upstream =
        Upstream::always(Answer::stream(&[&delta("x"), &finish(), &usage_event(5, 7), "data: [DONE]\n\n"]));
    let gateway = limited(&upstream, "key", "rpm = 60, tpm = 1000, concurrency = 5");
    for (requests, tokens) in [("59", "1000"), ("58", "988")] {
        let mut stream = gateway.stream(&chat_body("m", r#","stream":true"#));
        let head = stream.head.clone();
        assert_eq!(head.header("x-ratelimit-remaining-requests"), Some(requests));
        assert_eq!(head.header("x-ratelimit-remaining-tokens"), Some(tokens));
        assert_eq!(head.header("x-ratelimit-remaining-concurrent"), Some("4"));
        stream.rest();
        gateway.settled();
    }
}

/// Where the limits are, and the names of the headers that they make.
#[track_caller]
fn check_headers(place: &str, limit: &str, names: &[&str]) {
    let upstream = Upstream::well();
    let gateway = limited(&upstream, place, limit);
    let response = gateway.chat(&chat_body("m", "")).expect(200);
    let mut seen: Vec<&str> =
        response.headers.iter().filter_map(|(name, _)| name.strip_prefix("x-ratelimit-")).collect();
    seen.sort_unstable();
    assert_eq!(seen, names, "{limit} of a {place}");
}

#[test]
fn only_the_keys_own_minute_and_concurrency_make_headers() {
    check_headers("key", "rps = 9, rph = 9, rpd = 9, tpd = 9000", &[]);
    check_headers("key", "rpm = 9", &["limit-requests", "remaining-requests", "reset-requests"]);
    check_headers("key", "tpm = 9", &["limit-tokens", "remaining-tokens", "reset-tokens"]);
    check_headers("key", "concurrency = 9", &["limit-concurrent", "remaining-concurrent"]);
    check_headers("model", "rpm = 9, tpm = 9000, concurrency = 9", &[]);
}

#[test]
fn no_error_carries_the_headers() {
    let upstream = Upstream::always(Answer::json(400, "{}"));
    let gateway = limited(&upstream, "key", "rpm = 60, tpm = 1000, concurrency = 5");
    for body in [chat_body("m", ""), chat_body("unknown", ""), "{".to_owned()] {
        let response = gateway.chat(&body);
        assert!(response.status >= 400);
        assert!(!response.headers.iter().any(|(name, _)| name.starts_with("x-ratelimit-")), "{response:?}");
    }
}

#[test]
fn what_a_later_layer_refuses_takes_nothing_from_an_earlier_one() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let config = provider_key("up", &upstream.url())
        + &model("tight", "up", "rate_limit = { rpm = 1 }")
        + &model("loose", "up", "")
        + &api_key("sk-test", "\"*\"", "rate_limit = { rpm = 2 }");
    let gateway = Gateway::start(&config);
    for (model, status) in [("tight", 200), ("tight", 429), ("tight", 429), ("loose", 200), ("loose", 429)] {
        gateway.chat(&chat_body(model, "")).expect(status);
    }
    gateway.settled();
}

#[test]
fn what_a_budget_refuses_takes_no_slot() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let config = provider_key("up", &upstream.url())
        + &model("dear", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }")
        + &model("m", "up", "")
        + &api_key("sk-test", "\"*\"", "rate_limit = { rpm = 2 }")
        + &budget("dear", "scope = \"model\"\nscope_ref = \"dear\"", "0.001", "");
    let gateway = Gateway::start(&config);
    gateway.chat(&chat_body("dear", "")).expect(200);
    gateway.settled();
    for _ in 0..3 {
        assert_eq!(gateway.chat(&chat_body("dear", "")).expect(429).error_type(), "billing_error");
    }
    gateway.chat(&chat_body("m", "")).expect(200);
    assert_eq!(gateway.chat(&chat_body("m", "")).expect(429).error_type(), "rate_limit_exceeded");
}

#[test]
fn a_limit_that_refuses_gives_the_budgets_hold_back() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let config = provider_key("up", &upstream.url())
        + &model("m", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }")
        + &api_key("sk-test", "\"*\"", "rate_limit = { rpm = 1 }")
        + &budget("all", "scope = \"org\"", "100", "");
    let gateway = Gateway::start(&config);
    for status in [200, 429, 429] {
        gateway.chat(&chat_body("m", "")).expect(status);
    }
    gateway.settled();
    let ledger = gateway.books().ledger;
    assert_eq!((ledger.holds, ledger.held.0), (0, 0));
}

#[test]
fn a_failed_request_counts_as_a_request_and_costs_no_tokens() {
    away_from_the_turn_of_the_minute();
    let upstream =
        Upstream::in_turn(vec![Answer::json(500, "{}"), Answer::json(200, &completion("hello", 5, 7))]);
    let config = provider_key("up", &upstream.url())
        + &model("m", "up", "retries = 0")
        + &api_key("sk-test", "\"*\"", "rate_limit = { rpm = 2, tpm = 1000 }");
    let gateway = Gateway::start(&config);
    gateway.chat(&chat_body("m", "")).expect(502);
    let response = gateway.chat(&chat_body("m", "")).expect(200);
    assert_eq!(response.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(response.header("x-ratelimit-remaining-tokens"), Some("988"));
    gateway.chat(&chat_body("m", "")).expect(429);
}

#[test]
fn an_answer_without_usage_is_counted_by_an_estimate() {
    away_from_the_turn_of_the_minute();
    let silent =
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "x".repeat(400)}}]});
    let upstream = Upstream::always(Answer::json(200, &silent.to_string()));
    let gateway = limited(&upstream, "key", "tpm = 10000");
    let response = gateway.chat(&chat_body("m", "")).expect(200);
    let remaining: u64 =
        response.header("x-ratelimit-remaining-tokens").expect("a header").parse().expect("a number");
    assert!(
        (9_700..9_950).contains(&remaining),
        "four hundred letters are about a hundred tokens: {remaining}"
    );
}

#[test]
fn a_burst_cannot_pass_a_token_window_before_the_first_of_it_has_settled() {
    away_from_the_turn_of_the_minute();
    let gate = Gate::default();
    let upstream =
        Upstream::always(Answer::default().wait(&gate).then(Answer::json(200, &completion("hello", 5, 7))));
    let gateway = limited(&upstream, "key", "tpm = 100");
    let body = chat_body("m", r#","max_tokens":60"#);
    let request = request_text("POST", PATH, "sk-test", &[], body.as_bytes());
    let mut waiting: Vec<Connection> = Vec::new();
    for number in 1..=2 {
        let mut connection = gateway.connect();
        connection.send(&request);
        waiting.push(connection);
        upstream.wait_for_requests(number);
    }
    // Twice sixty and their prompts are held by now.
    let refusal = gateway.chat(&body).expect(429);
    assert!(refusal.error_message().starts_with("token limit exceeded"), "{}", refusal.error_message());
    assert!(refusal.header("retry-after").is_some());
    gate.open();
    for connection in &mut waiting {
        connection.response().expect(200);
    }
    gateway.settled();
    gateway.chat(&body).expect(200);
}

/// How many answers a call wants, and what happens to the next one while it is open.
#[track_caller]
fn check_answers(count: u64, status: u16) {
    away_from_the_turn_of_the_minute();
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| {
        let answer = Answer::json(200, &completion("hello", 5, 7));
        if number == 0 { Answer::default().wait(&held).then(answer) } else { answer }
    });
    let gateway = limited(&upstream, "key", "tpm = 350");
    let body = chat_body("m", &format!(r#","n":{count},"max_tokens":100"#));
    let mut first = gateway.connect();
    first.send(&request_text("POST", PATH, "sk-test", &[], body.as_bytes()));
    upstream.wait_for_requests(1);
    let second = gateway.chat(&body).expect(status);
    if status == 429 {
        assert!(second.error_message().starts_with("token limit exceeded"), "{}", second.error_message());
        assert_eq!(second.header("retry-after"), Some("1"), "only a hold is in the way: {second:?}");
    }
    gate.open();
    first.response().expect(200);
    gateway.settled();
    gateway.chat(&body).expect(200);
}

#[test]
fn every_answer_that_a_call_wants_is_held() {
    check_answers(4, 429);
    check_answers(1, 200);
}

#[test]
fn a_limit_holds_to_the_last_request_over_all_workers() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = limited(&upstream, "key", "rpm = 7");
    let answers = std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..24).map(|_| scope.spawn(|| gateway.chat(&chat_body("m", "")).status)).collect();
        callers.into_iter().map(|caller| caller.join().expect("answers")).collect::<Vec<u16>>()
    });
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 7, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 17, "{answers:?}");
    assert_eq!(upstream.count(), 7);
    gateway.settled();
}

#[test]
fn a_targets_own_limit_moves_on_to_the_next_target() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let config = provider_key("up", &upstream.url())
        + &model("a", "up", "rate_limit = { rpm = 1 }")
        + &model("b", "up", "rate_limit = { rpm = 1 }")
        + &routing("group", &["a", "b"], "")
        + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start(&config);
    for target in ["a", "b"] {
        let response = gateway.chat(&chat_body("group", "")).expect(200);
        assert_eq!(response.header("x-aisix-served-by"), Some(target));
    }
    let refusal = gateway.chat(&chat_body("group", "")).expect(429);
    assert_eq!(refusal.error_type(), "rate_limit_exceeded");
    assert!(refusal.header("retry-after").is_some());
    assert_eq!(upstream.count(), 2);
    gateway.settled();
}

#[test]
fn a_targets_own_concurrency_moves_on_to_the_next_target() {
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-a") => Answer::silence(),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let config = provider_key("up", &upstream.url())
        + &model("a", "up", "rate_limit = { concurrency = 1 }")
        + &model("b", "up", "")
        + &routing("group", &["a", "b"], "")
        + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start(&config);
    let mut first = gateway.connect();
    first.send(&request_text("POST", PATH, "sk-test", &[], chat_body("group", "").as_bytes()));
    upstream.wait_for_requests(1);
    let response = gateway.chat(&chat_body("group", "")).expect(200);
    assert_eq!(response.header("x-aisix-served-by"), Some("b"));
    first.leave();
    gateway.settled();
}

#[test]
fn a_target_whose_key_is_busy_loses_none_of_its_own_limit() {
    away_from_the_turn_of_the_minute();
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| {
        let answer = Answer::json(200, &completion("hello", 5, 7));
        if number == 0 { Answer::default().wait(&held).then(answer) } else { answer }
    });
    let config = provider_key("up", &upstream.url())
        + "max_in_flight = 1\n"
        + &model("free", "up", "")
        + &model("a", "up", "rate_limit = { rpm = 2 }")
        + &routing("group", &["a"], "")
        + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start(&config);
    let mut first = gateway.connect();
    first.send(&request_text("POST", PATH, "sk-test", &[], chat_body("free", "").as_bytes()));
    upstream.wait_for_requests(1);
    for _ in 0..3 {
        let refusal = gateway.chat(&chat_body("group", "")).expect(503);
        assert_eq!(refusal.error_type(), "provider_unavailable");
    }
    gate.open();
    first.response().expect(200);
    gateway.settled();
    for status in [200, 200, 429] {
        gateway.chat(&chat_body("group", "")).expect(status);
        gateway.settled();
    }
    assert_eq!(upstream.count(), 3);
}
