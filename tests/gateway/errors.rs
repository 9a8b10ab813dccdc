//! The error table, and what becomes of a provider's failure (§3.5–§3.8 of the behaviour reference).

use std::time::{Duration, SystemTime};

use aisix::envelope::{Envelope, anthropic_type};
use aisix::error::Kind;
use serde_json::{Value, json};

use crate::harness::*;
use crate::matrix;

/// Status, type and fixed code of every kind: the seed page where it has a row, §1.6 and §3.5 otherwise.
fn specified(kind: Kind) -> (u16, &'static str, Option<&'static str>) {
    match kind {
        Kind::InvalidRequest => (400, "invalid_request_error", None),
        Kind::TooLarge => (413, "invalid_request_error", None),
        Kind::RequestTimeout => (408, "invalid_request_error", Some("request_timeout")),
        Kind::HeadTooLarge => (431, "invalid_request_error", Some("headers_too_large")),
        Kind::UnknownPath => (404, "invalid_request_error", Some("unknown_url")),
        Kind::WrongMethod => (405, "invalid_request_error", Some("method_not_allowed")),
        Kind::InvalidApiKey => (401, "invalid_api_key", None),
        Kind::ApiKeyExpired => (401, "invalid_api_key", Some("api_key_expired")),
        Kind::ApiKeyDisabled => (401, "invalid_api_key", Some("api_key_disabled")),
        Kind::AuthThrottled => (429, "rate_limit_exceeded", Some("auth_throttled")),
        Kind::PermissionDenied => (403, "permission_denied", None),
        Kind::IpRestricted => (403, "permission_denied", Some("ip_restricted")),
        Kind::ModelNotFound => (404, "model_not_found", None),
        Kind::RateLimitExceeded => (429, "rate_limit_exceeded", None),
        Kind::BudgetExceeded => (429, "billing_error", Some("budget_exceeded")),
        Kind::Unpriced => (429, "billing_error", Some("model_unpriced")),
        Kind::Unkept => (429, "billing_error", Some("budget_unavailable")),
        Kind::ContentFilter => (422, "content_filter", None),
        Kind::UpstreamError => (502, "upstream_error", None),
        Kind::UpstreamInBandError => (502, "upstream_in_band_error", None),
        Kind::Timeout => (504, "timeout", None),
        Kind::TransportError => (502, "transport_error", None),
        Kind::UpstreamDecodeError => (502, "upstream_decode_error", None),
        Kind::StreamAborted => (502, "stream_aborted", None),
        Kind::NotImplemented => (501, "not_implemented", None),
        Kind::ProviderUnavailable => (503, "provider_unavailable", None),
        Kind::AllCandidatesUnavailable => (503, "all_candidates_unavailable", None),
        Kind::Internal => (500, "api_error", Some("internal_error")),
        Kind::AdminInvalid => (400, "invalid_request_error", None),
        Kind::AdminUnauthorized => (401, "invalid_api_key", None),
        Kind::ResourceNotFound => (404, "resource_not_found", None),
        Kind::ResourceConflict => (409, "resource_conflict", None),
        Kind::UnsupportedMediaType => (415, "invalid_request_error", None),
        Kind::StoreFailed => (500, "store_error", None),
    }
}

const KINDS: [Kind; 34] = [
    Kind::AdminInvalid,
    Kind::AdminUnauthorized,
    Kind::ResourceNotFound,
    Kind::ResourceConflict,
    Kind::UnsupportedMediaType,
    Kind::StoreFailed,
    Kind::InvalidRequest,
    Kind::TooLarge,
    Kind::RequestTimeout,
    Kind::HeadTooLarge,
    Kind::UnknownPath,
    Kind::WrongMethod,
    Kind::InvalidApiKey,
    Kind::ApiKeyExpired,
    Kind::ApiKeyDisabled,
    Kind::AuthThrottled,
    Kind::PermissionDenied,
    Kind::IpRestricted,
    Kind::ModelNotFound,
    Kind::RateLimitExceeded,
    Kind::BudgetExceeded,
    Kind::Unpriced,
    Kind::Unkept,
    Kind::ContentFilter,
    Kind::UpstreamError,
    Kind::UpstreamInBandError,
    Kind::Timeout,
    Kind::TransportError,
    Kind::UpstreamDecodeError,
    Kind::StreamAborted,
    Kind::NotImplemented,
    Kind::ProviderUnavailable,
    Kind::AllCandidatesUnavailable,
    Kind::Internal,
];

#[test]
fn every_kind_has_the_status_type_and_code_of_the_specification() {
    for kind in KINDS {
        assert_eq!(kind.row(), specified(kind), "{kind:?}");
    }
}

#[test]
fn every_status_has_the_nested_type_that_anthropics_sdks_map() {
    for status in 100..=599 {
        assert_eq!(anthropic_type(status), matrix::anthropic_type(status), "{status}");
    }
}

/// A gateway whose model is not asked twice, over a provider that always gives this answer.
fn over(answer: Answer, more: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::always(answer);
    let more = model("once", "up", &format!("retries = 0\n{more}"));
    let gateway = gateway_over(&upstream, &more);
    (upstream, gateway)
}

/// One answer of a provider, and the `error` object that the caller must get.
#[track_caller]
fn check(answer: Answer, status: u16, error: &Value) {
    for stream in ["", r#","stream":true"#] {
        let (upstream, gateway) = over(answer.clone(), "");
        let response = gateway.chat(&chat_body("once", stream));
        assert_eq!((response.status, &response.error()), (status, error), "stream: {stream:?}");
        matrix::assert_refused(Envelope::OpenAi, &response, status, error["type"].as_str().expect("a type"));
        assert_eq!(upstream.count(), 1, "asked once");
        gateway.settled();
    }
}

#[test]
fn a_providers_4xx_keeps_status_message_param_and_code() {
    let full =
        r#"{"error":{"message":"too hot","type":"theirs","param":"temperature","code":"out_of_range"}}"#;
    let kept = json!({"message": "too hot", "type": "upstream_error", "param": "temperature", "code": "out_of_range"});
    for status in [400, 401, 403, 404, 409, 413, 422, 429] {
        check(Answer::json(status, full), status, &kept);
    }
}

#[test]
fn a_credential_that_the_provider_repeats_is_starred_out() {
    for (said, heard) in [
        ("Incorrect API key provided: sk-upstream.", "Incorrect API key provided: ***."),
        ("sk-upstream, sk-upstream", "***, ***"),
        ("Bearer sk-upstream", "Bearer ***"),
    ] {
        let body = json!({"error": {"message": said, "param": "key sk-upstream", "code": "no_sk-upstream"}});
        let starred =
            json!({"message": heard, "type": "upstream_error", "param": "key ***", "code": "no_***"});
        for status in [400, 401, 403] {
            check(Answer::json(status, &body.to_string()), status, &starred);
        }
        let plain = Answer::with_headers(401, &[("content-type", "text/plain")], said);
        check(plain, 401, &json!({"message": heard, "type": "upstream_error"}));
    }
}

/// What a provider says inside an answer of 200 when it refuses its key.
const IN_BAND: &str = r#"{"error":{"message":"bad key sk-upstream","code":401}}"#;

#[test]
fn a_credential_inside_an_answer_of_200_is_starred_out() {
    let refused = json!({"message": "bad key ***", "type": "upstream_error"});
    let event = format!("data: {IN_BAND}\n\n");
    for (answer, stream) in
        [(Answer::json(200, IN_BAND), ""), (Answer::stream(&[&event]), r#","stream":true"#)]
    {
        let (_upstream, gateway) = over(answer, "");
        let response = gateway.chat(&chat_body("once", stream)).expect(401);
        assert_eq!(response.error(), refused, "stream: {stream:?}");
    }
}

#[test]
fn a_credential_inside_a_stream_that_has_begun_is_starred_out() {
    let event = format!("data: {IN_BAND}\n\n");
    let (_upstream, gateway) = over(Answer::stream(&[&delta("half"), &event]), "");
    let text = gateway.stream(&chat_body("once", r#","stream":true"#)).rest().to_owned();
    assert!(text.contains("event: error") && !text.contains("sk-upstream"), "{text}");
}

#[test]
fn a_credential_across_the_cut_of_a_long_text_is_not_half_told() {
    // The words are cut at 1024 bytes: these places leave a part of the credential before it.
    for place in 1014..1022 {
        let long = "x".repeat(place) + "sk-upstream" + &"y".repeat(100);
        let (_upstream, gateway) = over(Answer::json(401, &long), "");
        let heard = gateway.chat(&chat_body("once", "")).expect(401).error_message();
        assert!(!heard.contains("sk-"), "{place}: {}", &heard[1000..]);
    }
}

#[test]
fn codes_that_are_no_text_and_absent_members_are_left_out() {
    let bare = json!({"message": "no", "type": "upstream_error"});
    for body in [
        r#"{"error":{"message":"no","type":"x","param":null,"code":null}}"#,
        r#"{"error":{"message":"no","code":1234}}"#,
        r#"{"error":{"message":"no"}}"#,
        r#"{"error":"no"}"#,
        "no",
    ] {
        check(Answer::json(400, body), 400, &bare);
    }
    check(Answer::with_headers(418, &[("content-type", "text/plain")], "no"), 418, &bare);
}

#[test]
fn a_long_text_is_cut_at_1024_bytes_between_characters() {
    // 1023 bytes and then characters of two: the cut falls inside one.
    let long = "x".repeat(1023) + &"\u{e9}".repeat(700);
    let cut = "x".repeat(1023) + "\u{2026}";
    check(Answer::json(400, &long), 400, &json!({"message": cut, "type": "upstream_error"}));
    let in_json = json!({"error": {"message": long}}).to_string();
    check(Answer::json(400, &in_json), 400, &json!({"message": cut, "type": "upstream_error"}));
}

#[test]
fn a_providers_own_failure_becomes_502_and_none_of_its_words_get_out() {
    let secret =
        r#"{"error":{"message":"account acct_1 on host db-7","type":"server_error","code":"internal"}}"#;
    for status in [300, 302, 307, 500, 501, 502, 503, 504, 529, 599] {
        let error = json!({"message": format!("upstream returned {status}"), "type": "upstream_error"});
        check(Answer::json(status, secret), 502, &error);
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Upstream::well();
    let location = format!("{}/chat/completions", elsewhere.url());
    let (_upstream, gateway) = over(Answer::with_headers(307, &[("location", &location)], ""), "");
    gateway.chat(&chat_body("once", "")).expect(502);
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn the_providers_retry_after_gets_out_for_429_only() {
    let date = |ahead: u64| httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(ahead));
    let cases = [
        (429, "12".to_owned(), Some(12..=12)),
        (429, date(30), Some(28..=30)),
        (429, date(1 << 30), Some(86_400..=86_400)),
        (429, u64::MAX.to_string(), Some(86_400..=86_400)),
        (429, "soon".to_owned(), None),
        (400, "12".to_owned(), None),
        (500, "12".to_owned(), None),
        (503, date(30), None),
    ];
    for (status, value, wanted) in cases {
        let (_upstream, gateway) = over(Answer::with_headers(status, &[("retry-after", &value)], ""), "");
        let response = gateway.chat(&chat_body("once", ""));
        let seconds = response.header("retry-after").map(|text| text.parse::<u64>().expect("whole seconds"));
        let fits = match (&wanted, seconds) {
            (Some(range), Some(seconds)) => range.contains(&seconds),
            (None, None) => true,
            _ => false,
        };
        assert!(fits, "{status} {value:?}: {seconds:?} instead of {wanted:?}");
    }
}

#[test]
fn a_provider_that_takes_too_long_is_a_504_that_names_the_limit() {
    let (upstream, gateway) = over(Answer::silence(), "timeout = 200");
    for stream in ["", r#","stream":true"#] {
        let response = gateway.chat(&chat_body("once", stream));
        matrix::assert_refused(Envelope::OpenAi, &response, 504, "timeout");
        assert_eq!(response.error_message(), "upstream request timed out after 200ms");
    }
    until("both calls are cancelled", || upstream.hang_ups() == 2);
    gateway.settled();
}

#[test]
fn a_provider_that_cannot_be_reached_is_a_502() {
    let dead = provider_key("dead", &format!("http://127.0.0.1:{}/v1", free_port()));
    let more = dead + &model("gone", "dead", "retries = 0") + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start(&more);
    for stream in ["", r#","stream":true"#] {
        let response = gateway.chat(&chat_body("gone", stream));
        matrix::assert_refused(Envelope::OpenAi, &response, 502, "transport_error");
        assert!(!response.text().contains("sk-upstream"), "{response:?}");
    }
    gateway.settled();
}

#[test]
fn a_connection_that_breaks_before_the_head_is_a_502() {
    for answer in [
        Answer::default().reset(),
        Answer::default().close(),
        Answer::default().raw(b"HTTP/1.1 2".to_vec()).close(),
    ] {
        for stream in ["", r#","stream":true"#] {
            let (_upstream, gateway) = over(answer.clone(), "");
            let response = gateway.chat(&chat_body("once", stream));
            matrix::assert_refused(Envelope::OpenAi, &response, 502, "transport_error");
            gateway.settled();
        }
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_a_502() {
    for body in ["not json", "", "[1]", "\"text\"", "{\"choices\":[}", "{"] {
        let (_upstream, gateway) = over(Answer::json(200, body), "");
        let response = gateway.chat(&chat_body("once", ""));
        matrix::assert_refused(Envelope::OpenAi, &response, 502, "upstream_decode_error");
        gateway.settled();
    }
}

#[test]
fn a_body_that_is_cut_is_never_presented_as_whole() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n";
    let whole = completion("hello", 5, 7);
    // Even where what came can be read: more was announced.
    for sent in [&whole[..whole.len() - 1], &whole] {
        for answer in [Answer::default().close(), Answer::default().reset()] {
            let cut = Answer::default().raw(format!("{head}{sent}").into_bytes());
            let (_upstream, gateway) = over(cut.then(answer), "");
            let response = gateway.chat(&chat_body("once", "")).expect(502);
            let kind = response.error_type();
            assert!(["stream_aborted", "transport_error"].contains(&&*kind), "{response:?}");
            matrix::assert_refused(Envelope::OpenAi, &response, 502, &kind);
            gateway.settled();
        }
    }
}

/// An answer that nobody who speaks the API gives, and a word of what the caller must be told.
#[track_caller]
fn check_unreadable(answer: Answer, stream: &str, word: &str) {
    let (_upstream, gateway) = over(answer, "");
    let response = gateway.chat(&chat_body("once", stream));
    matrix::assert_refused(Envelope::OpenAi, &response, 502, "upstream_decode_error");
    assert!(response.error_message().contains(word), "{word}: {}", response.error_message());
    gateway.settled();
}

#[test]
fn a_web_page_where_a_stream_belongs_is_called_one() {
    for kind in ["text/html", "text/html; charset=utf-8"] {
        let page = Answer::with_headers(200, &[("content-type", kind)], "<!doctype html><p>Welcome</p>");
        check_unreadable(page, r#","stream":true"#, "web page");
    }
}

#[test]
fn an_answer_whose_end_is_not_marked_is_a_502_that_says_so() {
    for (stream, kind, body) in [
        ("", "application/json", completion("hello", 5, 7)),
        (r#","stream":true"#, "text/event-stream", delta("hello") + &finish() + "data: [DONE]\n\n"),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n{body}");
        check_unreadable(Answer::default().raw(text.into_bytes()).close(), stream, "Content-Length");
    }
}

#[test]
fn an_error_that_ends_with_its_connection_keeps_its_status_and_its_hint() {
    let head = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\nconnection: close\r\n\r\nbusy";
    for stream in ["", r#","stream":true"#] {
        let upstream = Upstream::always(Answer::default().raw(head.as_bytes().to_vec()).close());
        let gateway = gateway_over(&upstream, "");
        let response = gateway.chat(&chat_body("m", stream));
        assert_eq!((response.status, response.header("retry-after")), (429, Some("7")), "{response:?}");
        assert_eq!(response.error()["type"], "upstream_error");
        gateway.settled();
    }
}

#[test]
fn an_error_inside_a_stream_before_its_first_chunk_is_a_plain_error() {
    for (data, status, error) in [
        (
            r#"{"error":{"message":"slow down","code":429}}"#,
            429,
            json!({"message": "slow down", "type": "upstream_error"}),
        ),
        (
            r#"{"error":{"message":"no","code":"404"}}"#,
            404,
            json!({"message": "no", "type": "upstream_error"}),
        ),
        (
            r#"{"error":{"message":"db-7","code":503}}"#,
            502,
            json!({"message": "upstream returned 503", "type": "upstream_error"}),
        ),
    ] {
        for before in ["", ": keep-alive\n\n"] {
            let (_upstream, gateway) = over(
                Answer::stream(&[before, &format!("data: {data}\n\n")][usize::from(before.is_empty())..]),
                "",
            );
            let response = gateway.chat(&chat_body("once", r#","stream":true"#));
            assert_eq!((response.status, response.error()), (status, error.clone()), "{data}");
            assert_eq!(response.header("content-type"), Some("application/json"));
            gateway.settled();
        }
    }
}

#[test]
fn an_error_inside_a_stream_without_a_status_is_a_502_of_the_provider() {
    for data in ["{\"error\":\"db-7\"}", "{\"error\":{\"message\":\"db-7\",\"type\":\"server_error\"}}"] {
        let (_upstream, gateway) = over(Answer::stream(&[&format!("data: {data}\n\n")]), "");
        let response = gateway.chat(&chat_body("once", r#","stream":true"#));
        matrix::assert_refused(Envelope::OpenAi, &response, 502, "upstream_error");
        gateway.settled();
    }
}

#[test]
fn a_stream_that_ends_before_its_first_chunk_is_a_502() {
    for answer in [Answer::stream(&[]), Answer::stream(&[": nothing\n\n"]), Answer::events().close()] {
        let (_upstream, gateway) = over(answer, "");
        let response = gateway.chat(&chat_body("once", r#","stream":true"#));
        matrix::assert_refused(Envelope::OpenAi, &response, 502, "stream_aborted");
        gateway.settled();
    }
}

#[test]
fn an_error_inside_a_stream_that_has_begun_is_a_frame_and_the_last_one() {
    for data in [
        r#"{"error":{"message":"db-7","code":503}}"#,
        r#"{"error":"db-7"}"#,
        r#"{"error":{"message":"x","code":429}}"#,
    ] {
        let (_upstream, gateway) = over(
            Answer::stream(&[
                &delta("half"),
                &format!("data: {data}\n\n"),
                &delta("more"),
                "data: [DONE]\n\n",
            ]),
            "",
        );
        let mut stream = gateway.stream(&chat_body("once", r#","stream":true"#));
        assert_eq!(stream.head.status, 200);
        let text = stream.rest().to_owned();
        let (content, frame) =
            text.split_once("event: error\ndata: ").unwrap_or_else(|| panic!("no frame: {text}"));
        assert!(content.contains("half") && !text.contains("[DONE]") && !text.contains("more"), "{text}");
        let frame: Value =
            serde_json::from_str(frame.trim_end()).expect("one JSON object, and nothing after it");
        assert_eq!(frame["error"]["type"], "upstream_in_band_error", "{text}");
        assert_eq!(
            frame["error"].as_object().map(serde_json::Map::len),
            Some(2),
            "no code, no param: {frame}"
        );
        gateway.settled();
    }
}
