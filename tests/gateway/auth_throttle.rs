//! Guessing keys: slowed down by address, in the route's envelope, and never at the cost of who has a valid key.

use aisix::endpoints::{Answer as Answers, ENDPOINTS};

use crate::harness::*;
use crate::matrix::assert_refused;

/// A gateway that lets two failures pass.
const TWO: &str = "[proxy.auth_throttle]\nper_minute = 1\nburst = 2\n";

#[test]
fn failures_beyond_the_quota_are_told_to_come_back_later_in_the_envelope_of_the_route() {
    let upstream = Upstream::well();
    for row in ENDPOINTS.iter().filter(|row| row.answer != Answers::Probe) {
        let gateway = gateway_over(&upstream, TWO);
        let guess = |key: &str| Sample::of(row, "m").send(&gateway, key);
        for key in ["sk-guess-1", ""] {
            assert_refused(row.envelope, &guess(key), 401, "invalid_api_key");
        }
        for key in ["sk-guess-2", ""] {
            let response = guess(key);
            assert_refused(row.envelope, &response, 429, "rate_limit_exceeded");
            let seconds: u64 =
                response.header("retry-after").and_then(|text| text.parse().ok()).expect("a number");
            assert!((1..=60).contains(&seconds), "{seconds}");
        }
        gateway.settled();
    }
    assert_eq!(upstream.count(), 0, "the provider was asked");
}

#[test]
fn the_code_names_the_throttle() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, TWO);
    let guess = || gateway.post_json("/v1/chat/completions", "sk-guess", &chat_body("m", ""));
    let codes = [guess(), guess(), guess()].map(|response| response.error()["code"].clone());
    assert_eq!(codes, [serde_json::Value::Null, serde_json::Value::Null, "auth_throttled".into()]);
}

#[test]
fn a_throttled_address_with_a_valid_key_is_served() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, TWO);
    for _ in 0..10 {
        gateway.post_json("/v1/chat/completions", "sk-guess", &chat_body("m", ""));
    }
    for _ in 0..10 {
        gateway.chat(&chat_body("m", "")).expect(200);
    }
    gateway.post_json("/v1/chat/completions", "sk-guess", &chat_body("m", "")).expect(429);
    gateway.settled();
}

#[test]
fn keys_that_are_switched_off_or_expired_are_no_guesses() {
    let upstream = Upstream::well();
    let keys = api_key("sk-off", "\"*\"", "disabled = true")
        + &api_key("sk-old", "\"*\"", "expires_at = 2020-01-01T00:00:00Z");
    let gateway = gateway_over(&upstream, &(keys + TWO));
    for _ in 0..5 {
        for key in ["sk-off", "sk-old"] {
            gateway.post_json("/v1/chat/completions", key, &chat_body("m", "")).expect(401);
        }
    }
    gateway.post_json("/v1/chat/completions", "sk-guess", &chat_body("m", "")).expect(401);
    gateway.settled();
}

#[test]
fn a_throttle_that_is_off_lets_every_failure_be_a_401() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[proxy.auth_throttle]\nenabled = false\nburst = 1\n");
    for _ in 0..5 {
        gateway.post_json("/v1/chat/completions", "sk-guess", &chat_body("m", "")).expect(401);
    }
    gateway.settled();
}

#[test]
fn administrators_are_counted_apart_and_refused_in_their_own_envelope() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &format!("[admin]\nadmin_keys = [\"sk-admin\"]\n{TWO}"));
    let ask = |key: &str| {
        let mut connection = Connection::open(gateway.admin_addr());
        connection.send(&request_text("GET", "/admin/v1/actors", key, &[], b""));
        connection.response()
    };
    for _ in 0..2 {
        gateway.post_json("/v1/chat/completions", "sk-guess", &chat_body("m", "")).expect(401);
    }
    ask("sk-guess").expect(401);
    ask("").expect(401);
    let refused = ask("sk-guess").expect(429);
    assert!(refused.header("retry-after").is_some());
    let body = refused.json();
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    assert!(body["error_msg"].is_string(), "{body}");
    ask("sk-admin").expect(200);
    gateway.settled();
}

#[test]
fn failures_are_counted_across_workers_and_new_settings_are_put_into_force() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, TWO);
    let mut guess = || gateway.post_json("/v1/chat/completions", "sk-guess", &chat_body("m", "")).status;
    let mut statuses: Vec<u16> = std::iter::repeat_with(&mut guess).take(20).collect();
    statuses.sort_unstable();
    assert_eq!(statuses[..3], [401, 401, 429]);
    drop(gateway.gateway.install(snapshot("", &[("AISIX_PROXY__AUTH_THROTTLE__ENABLED", "false")]), &[]));
    assert_eq!(guess(), 401);
}
