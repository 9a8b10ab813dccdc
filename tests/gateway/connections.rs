//! Connections before their first request: silent ones, cut beginnings of HTTP/2, and the admin listener's own answers.

use std::time::{Duration, Instant};

use crate::harness::*;

/// What a client of HTTP/2 begins with (RFC 9113, §3.4), and after it an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The length of a frame's head, and the place of its type in it (RFC 9113, §4.1).
const FRAME_HEAD: usize = 9;
const FRAME_TYPE: usize = 3;
const SETTINGS: u8 = 4;

#[test]
fn a_connection_that_says_nothing_is_closed_when_the_time_for_a_head_is_over() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[proxy]\nrequest_head_timeout_ms = 1000\n");
    let began = Instant::now();
    for mut silent in [gateway.addr(), gateway.admin_addr()].map(Connection::open) {
        assert!(silent.is_closed(), "nothing was asked, so nothing is answered");
        let waited = began.elapsed();
        assert!((Duration::from_secs(1)..PATIENCE / 2).contains(&waited), "{waited:?}");
    }
    gateway.chat(&chat_body("m", "")).expect(200);
    gateway.settled();
}

#[test]
fn a_preface_of_http_2_is_known_however_it_is_cut() {
    let upstream = Upstream::well();
    let config =
        provider_key("up", &upstream.url()) + &model("m", "up", "") + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start_single(&config);
    for cut in [0, 1, 8, 12, 20, PREFACE.len()] {
        let mut connection = gateway.connect();
        connection.send(&PREFACE[..cut]);
        // The one worker has seen the first part when it has answered whoever came later.
        gateway.send("GET", "/livez", "", &[], b"").expect(200);
        connection.send(&[&PREFACE[cut..], &EMPTY_SETTINGS].concat());
        let head = connection.bytes(FRAME_HEAD);
        assert_eq!(head[FRAME_TYPE], SETTINGS, "cut after {cut} bytes: {head:?}");
        connection.leave();
    }
    gateway.settled();
}

#[test]
fn a_beginning_that_is_like_http_2_and_is_not_is_answered_as_http_1() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let mut connection = gateway.connect();
    connection.send(b"P");
    gateway.send("GET", "/livez", "", &[], b"").expect(200);
    let rest = request_text("POST", "/v1/chat/completions", "sk-test", &[], chat_body("m", "").as_bytes());
    connection.send(&rest[1..]);
    connection.response().expect(200);
    gateway.settled();
}

#[test]
fn the_admin_listener_refuses_what_it_cannot_read_in_its_own_envelope() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[admin]\nadmin_keys = [\"sk-admin\"]\n");
    for path in ["/admin/v1/actors", "/livez", "/v1/messages", "/nowhere"] {
        let text =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{{}}");
        let mut connection = Connection::open(gateway.admin_addr());
        connection.send(text.as_bytes());
        let response = connection.response().expect(400);
        let body = response.json();
        assert!(body["error_msg"].as_str().is_some_and(|message| !message.is_empty()), "{path}: {body}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{path}: {body}");
        assert!(connection.is_closed());
    }
}
