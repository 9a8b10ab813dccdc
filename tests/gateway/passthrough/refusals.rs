//! What the gateway itself says: in OpenAI's envelope, and before the provider is asked or instead of its answer.

use aisix::envelope::Envelope::OpenAi;

use super::*;

#[test]
fn a_provider_without_a_model_is_404_and_one_without_a_permitted_model_403() {
    let upstream = Upstream::well();
    let more = routing("openrouter", &["m"], "") + &api_key("sk-narrow", "\"other\"", "");
    let gateway = gateway_over(&upstream, &more);
    let ask = |provider: &str, key: &str| {
        gateway.send("GET", &format!("/passthrough/{provider}/files"), key, &[], b"")
    };
    for provider in ["anthropic", "nobody", "openrouter", "open", "%6fpenrouter", ""] {
        let response = ask(provider, "sk-test");
        assert_eq!(response.status, 404, "{provider}");
        assert_common(&response);
    }
    assert_refused(OpenAi, &ask("anthropic", "sk-test"), 404, "model_not_found");
    assert!(ask("anthropic", "sk-test").error_message().contains("\"anthropic\""));
    assert_refused(OpenAi, &ask("openai", "sk-narrow"), 403, "permission_denied");
    assert_refused(OpenAi, &ask("openai", ""), 401, "invalid_api_key");
    // What exists is none of an unknown caller's business.
    assert_refused(OpenAi, &ask("nobody", "sk-wrong"), 401, "invalid_api_key");
    assert_eq!(upstream.count(), 0);
    gateway.settled();
}

#[test]
fn a_provider_that_cannot_be_reached_or_takes_too_long_is_told_of_once() {
    for (script, status, kind) in [
        (Answer::default().reset(), 502, "transport_error"),
        (Answer::default().close(), 502, "transport_error"),
        (Answer::silence(), 504, "timeout"),
    ] {
        let upstream = Upstream::always(script);
        let patient = provider_key("up", &upstream.url()) + &model("m", "up", "retries = 2\ntimeout = 200");
        let gateway = Gateway::start(&(patient + &api_key("sk-test", "\"*\"", "")));
        let response = through(&gateway, "POST", "files", &[], b"{}");
        assert_refused(OpenAi, &response, status, kind);
        assert_eq!(upstream.count(), 1, "there is no second try");
        gateway.settled();
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_however_it_comes() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[proxy]\nrequest_body_limit_bytes = 1000\n");
    assert_refused(OpenAi, &through(&gateway, "PUT", "x", &[], &[0; 1001]), 413, "invalid_request_error");
    let mut connection = gateway.connect();
    let head = [("transfer-encoding", "chunked")];
    connection.send(&request_text("PUT", "/passthrough/openai/x", "sk-test", &head, b""));
    connection.send(&chunk(&[0; 1001]));
    assert_refused(OpenAi, &connection.response(), 413, "invalid_request_error");
    assert_eq!(upstream.count(), 0);
    gateway.settled();
}

#[test]
fn the_limits_of_the_key_hold() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &api_key("sk-slow", "\"*\"", "rate_limit = { rpm = 1 }"));
    let ask = || gateway.send("GET", "/passthrough/openai/files", "sk-slow", &[], b"");
    ask().expect(200);
    let response = ask();
    assert_refused(OpenAi, &response, 429, "rate_limit_exceeded");
    assert!(response.header("retry-after").is_some());
    assert_eq!(upstream.count(), 1);
}

#[test]
fn the_limits_of_a_model_hold_only_where_the_body_names_it() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let tight = provider_key("up", &upstream.url()) + &model("tight", "up", "rate_limit = { rpm = 1 }");
    let gateway = Gateway::start(&(tight + &api_key("sk-test", "\"*\"", "")));
    let ask = |body: &str| through(&gateway, "POST", "x", &[], body.as_bytes());
    // The only model lends its key all the same.
    for body in ["", "{}", "[]", "not json", r#"{"model":"unknown"}"#, r#"{"model":7}"#] {
        ask(body).expect(200);
    }
    ask(r#"{"model":"tight"}"#).expect(200);
    assert_refused(OpenAi, &ask(r#"{"input":1, "model" : "tight"}"#), 429, "rate_limit_exceeded");
    ask(" { \"model\": \"tight\" }").expect(429);
    ask("{}").expect(200);
    gateway.settled();
}

#[test]
fn a_model_that_the_key_may_not_use_cannot_be_reached_by_its_provider() {
    let upstream = Upstream::well();
    let models = model("open", "up", "") + &model("shut", "up", "");
    let key = api_key("sk-open", "\"open\"", "");
    let gateway = Gateway::start(&(provider_key("up", &upstream.url()) + &models + &key));
    let ask = |body: &str| gateway.send("POST", "/passthrough/openai/x", "sk-open", &[], body.as_bytes());
    ask(r#"{"model":"open"}"#).expect(200);
    ask(r#"{"model":"nobody knows it"}"#).expect(200);
    assert_refused(OpenAi, &ask(r#"{"model":"shut"}"#), 403, "permission_denied");
    assert_refused(OpenAi, &ask(r#"{"model":"open","model":"shut"}"#), 400, "invalid_request_error");
    assert_eq!(upstream.count(), 2);
    gateway.settled();
}

#[test]
fn a_slot_is_kept_as_long_as_the_answer_lasts() {
    let upstream = Upstream::always(Answer::events().event("data: 1\n\n").stall());
    let one = api_key("sk-one", "\"*\"", "rate_limit = { concurrency = 1 }");
    let gateway = gateway_over(&upstream, &one);
    let begin = || {
        let mut connection = gateway.connect();
        connection.send(&request_text("GET", "/passthrough/openai/x", "sk-one", &[], b""));
        connection
    };
    let mut stream = begin().stream();
    stream.until("1");
    assert_refused(OpenAi, &begin().response(), 429, "rate_limit_exceeded");
    stream.leave();
    gateway.settled();
    begin().stream().until("1");
}

#[test]
fn a_budget_that_is_used_up_refuses_and_one_that_is_not_takes_nothing() {
    let upstream = Upstream::well();
    let priced = model("priced", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }");
    let broke = api_key("sk-broke", "\"*\"", "")
        + &budget("tiny", "scope = \"api_key\"\nscope_ref = \"sk-broke\"", "0.01", "");
    let gateway = gateway_over(&upstream, &(priced + &broke));
    let tunnel = || gateway.send("GET", "/passthrough/openai/files", "sk-broke", &[], b"");
    for _ in 0..3 {
        tunnel().expect(200);
    }
    gateway
        .post_json("/v1/chat/completions", "sk-broke", &chat_body("priced", r#","max_tokens":1"#))
        .expect(200);
    assert_refused(OpenAi, &tunnel(), 429, "billing_error");
    assert_eq!(upstream.count(), 4);
    gateway.settled();
}

#[test]
fn a_slow_provider_key_refuses_what_is_beyond_it() {
    let upstream = Upstream::always(Answer::silence());
    let key = provider_key("up", &upstream.url()) + "max_in_flight = 1\n";
    let gateway = Gateway::start(&(key + &model("m", "up", "") + &api_key("sk-test", "\"*\"", "")));
    let mut first = gateway.connect();
    first.send(&request_text("GET", "/passthrough/openai/x", "sk-test", &[], b""));
    upstream.wait_for_requests(1);
    let began = std::time::Instant::now();
    assert_refused(OpenAi, &through(&gateway, "GET", "x", &[], b""), 503, "provider_unavailable");
    assert!(began.elapsed() < Duration::from_secs(5));
    first.leave();
    gateway.settled();
}
