//! Every endpoint × every behaviour that belongs to all of them.
//!
//! The rows come from the table of endpoints, so a new row is covered without a change here; only the smallest usable
//! body of a new operation has to be named in [`Sample`], which the compiler asks for.

use aisix::endpoints::{Answer as Answers, ENDPOINTS, Endpoint, Operation};
use aisix::envelope::Envelope;
use aisix::providers;
use serde_json::{Value, json};

use crate::harness::*;

mod faults;
mod records;

/// `Server` of every response (§2.1).
const SERVER: &str = concat!("AISIX/", env!("CARGO_PKG_VERSION"));

/// The rows that ask for a key.
fn keyed() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|row| row.answer != Answers::Probe)
}

/// The rows that the provider of these tests can answer: the others are refused before anything is taken (§5.2).
fn spoken() -> impl Iterator<Item = &'static Endpoint> {
    asking().filter(|row| is_spoken(row))
}

/// The rows that a provider answers, or the gateway in its place.
fn asking() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|row| matches!(row.answer, Answers::Provider | Answers::Tunnel))
}

/// The rows whose request is read.
fn read() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|row| row.answer == Answers::Provider)
}

fn ask(gateway: &Gateway, row: &'static Endpoint, key: &str, model: &str) -> Response {
    Sample::of(row, model).send(gateway, key)
}

/// The nested Anthropic type of a status (seed page, "Anthropic-Style Proxy Errors").
pub fn anthropic_type(status: u16) -> &'static str {
    match status {
        400 | 422 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        _ => "api_error",
    }
}

/// Asserts an error in an envelope of its own, with the headers that every response carries.
#[track_caller]
pub fn assert_refused(envelope: Envelope, response: &Response, status: u16, openai_type: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{response:?}");
    assert_common(response);
    let body = response.json();
    let (wanted, members): (_, &[&str]) = match envelope {
        Envelope::OpenAi | Envelope::Responses => (openai_type, &["error"]),
        Envelope::Google => return assert_google(&body, status),
        Envelope::Anthropic => (anthropic_type(status), &["error", "type"]),
        Envelope::Admin => panic!("callers never see the Admin envelope"),
    };
    let mut names: Vec<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, members, "{body}");
    assert_eq!(body["error"]["type"], wanted, "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    if envelope == Envelope::Anthropic {
        assert_eq!(body["type"], "error", "{body}");
        assert_eq!(
            body["error"].as_object().map(serde_json::Map::len),
            Some(2),
            "type and message only: {body}"
        );
    }
    // Absent members are left out, never null (§3.1).
    for name in ["param", "code"] {
        assert_ne!(body["error"].get(name), Some(&Value::Null), "{body}");
    }
}

/// Asserts an error as Google's SDKs read it: Google API design guide, "Errors".
#[track_caller]
fn assert_google(body: &Value, status: u16) {
    let name = match status {
        400 | 405 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    let message = body["error"]["message"].as_str().filter(|message| !message.is_empty());
    let message = message.unwrap_or_else(|| panic!("no message: {body}"));
    let wanted = json!({ "error": { "code": status, "message": message, "status": name } });
    assert_eq!(*body, wanted);
}

/// Asserts the headers of every response of the proxy.
#[track_caller]
pub fn assert_common(response: &Response) {
    assert_eq!(response.header("server"), Some(SERVER), "{response:?}");
    let id = response.header("x-aisix-request-id");
    assert!(id.is_some_and(|id| !id.is_empty()), "{response:?}");
}

/// Asserts the call id, which has the value of the request id, where there must be one.
#[track_caller]
fn assert_call_id(row: &Endpoint, response: &Response) {
    let (id, call) = (response.header("x-aisix-request-id"), response.header("x-aisix-call-id"));
    let is_chat = row.operation == Operation::Chat;
    assert_eq!(row.operation.has_call_id(), is_chat, "{}", row.path);
    assert_eq!(call, id.filter(|_| is_chat), "{} {}", row.path, response.status);
}

fn is_uuid_v4(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

#[test]
fn probes_answer_without_a_key_and_everything_else_asks_for_one() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for row in &ENDPOINTS {
        let response = ask(&gateway, row, "", "m");
        if row.answer == Answers::Probe {
            assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{}", row.path);
            assert_common(&response);
        } else {
            assert_refused(row.envelope, &response, 401, "invalid_api_key");
            let message = response.error_message();
            assert!(message.contains("missing or malformed Authorization header"), "{message}");
        }
    }
    assert_eq!(upstream.count(), 0);
    gateway.settled();
}

#[test]
fn an_unknown_key_is_refused_by_every_endpoint_that_asks_for_one() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for row in keyed() {
        let response = ask(&gateway, row, "sk-unknown", "m");
        assert_refused(row.envelope, &response, 401, "invalid_api_key");
        assert_eq!(response.error_message(), "invalid API key");
    }
    assert_eq!(upstream.count(), 0);
    gateway.settled();
}

#[test]
fn expired_and_disabled_keys_are_told_apart() {
    let upstream = Upstream::well();
    let keys = api_key("sk-old", "\"*\"", "expires_at = 2020-01-01T00:00:00Z")
        + &api_key("sk-off", "\"*\"", "disabled = true")
        + &api_key("sk-both", "\"*\"", "disabled = true\nexpires_at = 2020-01-01T00:00:00Z");
    let gateway = gateway_over(&upstream, &keys);
    for row in keyed() {
        for (key, code) in
            [("sk-old", "api_key_expired"), ("sk-off", "api_key_disabled"), ("sk-both", "api_key_disabled")]
        {
            let response = ask(&gateway, row, key, "m");
            assert_refused(row.envelope, &response, 401, "invalid_api_key");
            if row.envelope == Envelope::OpenAi {
                assert_eq!(response.error()["code"], code, "{key}");
            }
        }
    }
}

#[test]
fn the_key_may_stand_where_other_sdks_put_it_only_where_there_is_no_authorization() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[proxy.auth_throttle]\nenabled = false\n");
    for row in keyed() {
        let sample = Sample::of(row, "m");
        let send = |headers: &[(&str, &str)]| sample.send_with(&gateway, "", headers);
        for name in ["x-api-key", "x-goog-api-key"] {
            assert_ne!(send(&[(name, "sk-test")]).status, 401, "{}", row.path);
            for scheme in ["Basic c2stdGVzdA==", "bearer sk-test", "Bearer ", "sk-test"] {
                let response = send(&[("authorization", scheme), (name, "sk-test")]);
                assert_refused(row.envelope, &response, 401, "invalid_api_key");
            }
        }
    }
}

#[test]
fn a_wrong_method_is_refused_with_the_right_one_in_allow() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for row in &ENDPOINTS {
        let any = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        let answered = row.method.as_ref().map_or(any, |method| method.as_str());
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if answered.contains(method) {
                continue;
            }
            let response = gateway.send(method, &Sample::of(row, "m").path, "sk-test", &[], b"");
            assert_refused(row.envelope, &response, 405, "invalid_request_error");
            assert_eq!(response.header("allow"), Some(answered), "{method} {}", row.path);
            assert_call_id(row, &response);
        }
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_oversized_body_is_refused_before_anybody_is_authenticated() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[proxy]\nrequest_body_limit_bytes = 1000\n");
    for row in keyed() {
        let sample = Sample { body: vec![b' '; 1001], ..Sample::of(row, "m") };
        let response = sample.send(&gateway, "");
        assert_refused(row.envelope, &response, 413, "invalid_request_error");
        let message = response.error_message();
        assert!(message.contains("1000") && !message.contains("1001"), "the limit, not the size: {message}");
    }
    gateway.settled();
}

#[test]
fn every_response_carries_the_request_id_that_the_caller_sent() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let longest = "x".repeat(256);
    for row in &ENDPOINTS {
        let sample = Sample::of(row, "m");
        let wrong = Sample { method: "DELETE", ..sample.clone() };
        for id in ["abc-1", "~!\"", longest.as_str()] {
            let send = |sample: &Sample, key| sample.send_with(&gateway, key, &[("x-aisix-request-id", id)]);
            for response in &[send(&sample, "sk-test"), send(&sample, "sk-no"), send(&wrong, "sk-test")] {
                assert_common(response);
                assert_eq!(
                    response.header("x-aisix-request-id"),
                    Some(id),
                    "{} {}",
                    row.path,
                    response.status
                );
            }
        }
    }
    let unknown = gateway.send("GET", "/nowhere", "", &[("x-aisix-request-id", "abc-1")], b"");
    assert_eq!((unknown.status, unknown.header("x-aisix-request-id")), (404, Some("abc-1")));
}

#[test]
fn an_unacceptable_request_id_is_replaced_and_never_refused() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let too_long = "x".repeat(257);
    for row in &ENDPOINTS {
        let sample = Sample::of(row, "m");
        let plain = ask(&gateway, row, "sk-test", "m");
        for id in ["", "a b", "caf\u{e9}", too_long.as_str()] {
            let response = sample.send_with(&gateway, "sk-test", &[("x-aisix-request-id", id)]);
            assert_eq!(response.status, plain.status, "{}: {id:?}", row.path);
            let fresh = response.header("x-aisix-request-id").unwrap_or_default();
            assert!(is_uuid_v4(fresh), "{}: {fresh:?}", row.path);
        }
        // Proxies stamp this one; it is not the caller's.
        let response = sample.send_with(&gateway, "sk-test", &[("x-request-id", "stamped")]);
        assert!(response.header("x-aisix-request-id").is_some_and(is_uuid_v4), "{}", row.path);
    }
}

#[test]
fn the_call_id_is_on_chat_completions_and_nowhere_else() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for row in &ENDPOINTS {
        for (key, model) in [("sk-test", "m"), ("sk-test", "unknown"), ("", "m")] {
            assert_call_id(row, &ask(&gateway, row, key, model));
        }
    }
}

#[test]
fn what_a_provider_is_asked_is_checked_before_it_is_asked() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &api_key("sk-narrow", "\"other\"", ""));
    for row in read() {
        let broken = Sample { body: b"{\"model\":".to_vec(), ..Sample::of(row, "m") };
        assert_refused(row.envelope, &broken.send(&gateway, "sk-test"), 400, "invalid_request_error");

        let foreign = Sample { content_type: "text/plain".to_owned(), ..Sample::of(row, "m") };
        assert_refused(row.envelope, &foreign.send(&gateway, "sk-test"), 400, "invalid_request_error");

        let response = ask(&gateway, row, "sk-test", "unknown-model");
        assert_refused(row.envelope, &response, 404, "model_not_found");
        assert!(response.error_message().contains("\"unknown-model\""), "{response:?}");

        let response = ask(&gateway, row, "sk-narrow", "m");
        assert_refused(row.envelope, &response, 403, "permission_denied");
        assert!(response.error_message().contains("\"m\""), "{response:?}");

        // The name is resolved before the key's models are looked at (§1.7).
        let response = ask(&gateway, row, "sk-narrow", "unknown-model");
        assert_refused(row.envelope, &response, 404, "model_not_found");
    }
    assert_eq!(upstream.count(), 0);
    gateway.settled();
}

#[test]
fn a_rate_limit_refuses_with_the_time_to_wait() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &api_key("sk-slow", "\"*\"", "rate_limit = { rpm = 1 }"));
    gateway.post_json("/v1/chat/completions", "sk-slow", &chat_body("m", "")).expect(200);
    let asked = upstream.count();
    for row in spoken() {
        let response = ask(&gateway, row, "sk-slow", "m");
        assert_refused(row.envelope, &response, 429, "rate_limit_exceeded");
        assert!(response.error_message().contains("request limit exceeded"), "{response:?}");
        let seconds: u64 =
            response.header("retry-after").and_then(|text| text.parse().ok()).expect("Retry-After");
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert!(!response.headers.iter().any(|(name, _)| name.starts_with("x-ratelimit-")), "{response:?}");
    }
    assert_eq!(upstream.count(), asked);
    gateway.settled();
}

#[test]
fn a_spent_budget_refuses_with_every_field() {
    let upstream = Upstream::well();
    let priced = model("priced", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }");
    let broke = api_key("sk-broke", "\"*\"", "")
        + &budget("tiny", "scope = \"api_key\"\nscope_ref = \"sk-broke\"", "0.01", "");
    let gateway = gateway_over(&upstream, &(priced + &broke));
    gateway.post_json("/v1/chat/completions", "sk-broke", &chat_body("priced", "")).expect(200);
    let asked = upstream.count();
    for row in spoken() {
        let response = ask(&gateway, row, "sk-broke", "priced");
        assert_refused(row.envelope, &response, 429, "billing_error");
        let retry_after: u64 =
            response.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
        assert!((1..=86_400).contains(&retry_after), "{retry_after}");
        if !matches!(row.envelope, Envelope::OpenAi | Envelope::Responses) {
            continue;
        }
        let error = response.error();
        assert_eq!(error["code"], "budget_exceeded");
        assert_eq!(error["scope"], "api_key");
        assert_eq!(error["limit_usd"], "0.01");
        // 5 prompt and 7 completion tokens at a dollar per thousand each.
        assert_eq!(error["spent_usd"], "0.012");
        assert_eq!(error["period"], "day");
        let resets_at = error["period_resets_at"].as_str().expect("a time");
        assert!(resets_at.ends_with("T00:00:00Z"), "{resets_at}");
        assert_eq!(error["retry_after_seconds"], retry_after);
        assert!(error["scope_ref"].is_string(), "{error}");
        let message = response.error_message();
        for part in ["api_key", "0.01", "0.012", "day", resets_at] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
    assert_eq!(upstream.count(), asked);
    gateway.settled();
}

/// What is refused, given back or left must not keep: a slot, a hold of money, a connection.
fn scarce() -> String {
    model("priced", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }\nrate_limit = { concurrency = 1 }")
        + &budget("all", "scope = \"org\"", "100", "")
}

#[test]
fn what_the_provider_cannot_do_is_refused_and_gives_everything_back() {
    let upstream = Upstream::well();
    // Anthropic answers conversations, whatever their dialect, and nothing else.
    let key = provider_key("up", &upstream.url()).replace("\"openai\"", "\"anthropic\"");
    let gateway = Gateway::start(&(key + &scarce() + &api_key("sk-test", "\"*\"", "")));
    let anthropic = providers::find("anthropic", None).expect("it is known");
    let mut count = 0;
    for row in read().filter(|row| !providers::answers(anthropic, row.operation, row.dialect)) {
        // A slot that was kept would refuse the second one.
        for _ in 0..2 {
            let response = ask(&gateway, row, "sk-test", "priced");
            assert_refused(row.envelope, &response, 501, "not_implemented");
            let message = response.error_message();
            assert!(message.contains("anthropic"), "{message}");
            assert!(message.contains(&row.operation.to_string()), "{message}");
        }
        count += 1;
    }
    assert!(count >= 9, "{count}");
    assert_eq!(upstream.count(), 0);
    gateway.settled();
}

#[test]
fn a_request_is_answered_and_gives_everything_back() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &scarce());
    for row in spoken() {
        for _ in 0..2 {
            let response = ask(&gateway, row, "sk-test", "priced").expect(200);
            assert_common(&response);
            gateway.settled();
        }
    }
    let wanted = 2 * asking().filter(|row| reaches_provider(row)).count();
    assert_eq!(upstream.count(), wanted);
}

#[test]
fn a_caller_who_leaves_takes_nothing_along() {
    let upstream = Upstream::always(Answer::silence());
    let gateway = gateway_over(&upstream, &scarce());
    for row in asking().filter(|row| reaches_provider(row)) {
        let (asked, left) = (upstream.count(), upstream.hang_ups());
        let connection = Sample::of(row, "priced").begin(&gateway, "sk-test", &[]);
        upstream.wait_for_requests(asked + 1);
        assert_eq!(gateway.gateway.open_exchanges(), 1, "{}", row.path);
        connection.leave();
        until("the upstream is left", || upstream.hang_ups() > left);
        gateway.settled();
    }
}

#[test]
fn an_unknown_path_gets_the_envelope_of_the_row_above_it() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for row in read() {
        for tail in ["/", "/nowhere"] {
            let path = format!("{}{tail}", Sample::of(row, "m").path);
            if ENDPOINTS.iter().any(|other| other.path == path) {
                continue;
            }
            let response = gateway.send("POST", &path, "sk-test", &[], b"{}");
            assert_refused(row.envelope, &response, 404, "invalid_request_error");
        }
    }
    for path in ["/", "/health", "/v1", "/v2/chat/completions", "/v1/messagesx", "//v1/messages"] {
        let response = gateway.send("GET", path, "sk-test", &[], b"");
        assert_refused(Envelope::OpenAi, &response, 404, "invalid_request_error");
    }
}

#[test]
fn the_list_of_models_shows_what_the_key_may_call() {
    let upstream = Upstream::well();
    let more = model("other", "up", "") + &model("open/*", "up", "") + &api_key("sk-narrow", "\"oth*\"", "");
    let gateway = gateway_over(&upstream, &more);
    let names = |key: &str| -> Vec<String> {
        let list = gateway.send("GET", "/v1/models", key, &[], b"").expect(200).json();
        assert_eq!(list["object"], "list");
        let rows = list["data"].as_array().expect("rows").clone();
        assert!(rows.iter().all(|row| row["object"] == "model" && row["created"].is_u64()), "{rows:?}");
        rows.iter().map(|row| row["id"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("sk-narrow"), ["other"]);
    let all = names("sk-test");
    assert!(all.contains(&"m".to_owned()) && all.contains(&"other".to_owned()), "{all:?}");
}
