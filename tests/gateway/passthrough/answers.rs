//! What the caller gets: the provider's answer, whatever it says.

use super::*;

#[test]
fn status_headers_and_body_come_back_unchanged() {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for status in [200, 201, 206, 302, 400, 401, 404, 422, 429, 500, 503, 529] {
        let headers = "content-type: application/x-own; a=\"b\"\r\nretry-after: 7\r\nlocation: /elsewhere\r\n\
            x-own: one\r\nx-own: two\r\ncontent-encoding: gzip\r\netag: \"e\"\r\nserver: theirs\r\n\
            x-ratelimit-remaining-requests: 9\r\nkeep-alive: timeout=5\r\n";
        let upstream = Upstream::always(answer(status, headers, &bytes));
        let gateway = gateway_over(&upstream, "");
        let response = through(&gateway, "GET", "files/1/content", &[], b"");
        assert_eq!(response.status, status);
        assert!(response.body == bytes, "{status}: {} bytes", response.body.len());
        assert_common(&response);
        for (name, value) in [
            ("content-type", Some("application/x-own; a=\"b\"")),
            ("content-length", Some("100000")),
            ("retry-after", Some("7")),
            ("location", Some("/elsewhere")),
            ("content-encoding", Some("gzip")),
            ("etag", Some("\"e\"")),
            ("x-ratelimit-remaining-requests", Some("9")),
            ("keep-alive", None),
        ] {
            assert_eq!(response.header(name), value, "{status} {name}");
        }
        let own: Vec<_> = response.headers.iter().filter(|(name, _)| name == "x-own").collect();
        assert_eq!(own.len(), 2, "{status}: {response:?}");
        assert_eq!(upstream.count(), 1, "no answer is asked for again: {status}");
        gateway.settled();
    }
}

#[test]
fn a_failure_cools_the_model_that_the_body_names_and_what_is_the_callers_own_does_not() {
    let (named, bare) = (r#"{"model":"m"}"#, "{}");
    let (well, cools) = (("healthy", None), ("cooldown", Some("upstream_server_error")));
    let steps = [
        (bare, 503, well),
        (bare, 401, well),
        (named, 401, well),
        (named, 403, well),
        (named, 404, well),
        (named, 503, cools),
        (named, 404, cools),
        (named, 401, cools),
        (bare, 200, cools),
        (named, 200, well),
    ];
    let refused = |status| Answer::with_headers(status, &[("retry-after", "60")], "{}");
    let upstream = Upstream::in_turn(steps.map(|(_, status, _)| refused(status)).into());
    let own = provider_key("up", &upstream.url())
        + &model("m", "up", "cooldown = { trigger_statuses = [401, 403, 503] }");
    let gateway = Gateway::start(&(own + &api_key("sk-test", "\"*\"", "")));
    for (body, status, stands) in steps {
        through(&gateway, "POST", "files", &[], body.as_bytes()).expect(status);
        let mut page = Connection::open(gateway.metrics_addr());
        page.send(&request_text("GET", "/status/models", "", &[], b""));
        let model = &page.response().expect(200).json()[0];
        let seen = (model["status"].as_str().expect("its status"), model["status_reason"].as_str());
        assert_eq!(seen, stands, "{status} for {body}: {model}");
    }
    gateway.settled();
}

#[test]
fn events_are_relayed_as_they_come() {
    let gate = Gate::default();
    let live =
        Answer::events().event("data: 1\n\n").wait(&gate).event(": not JSON\n\n").event("data: [DONE]\n\n");
    let upstream = Upstream::always(live.end());
    let gateway = gateway_over(&upstream, "");
    let mut connection = gateway.connect();
    connection.send(&request_text("POST", "/passthrough/openai/x", "sk-test", &[], br#"{"stream":true}"#));
    let mut stream = connection.stream();
    assert_eq!(stream.head.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.until("1\n\n"), "data: 1\n\n");
    assert_eq!(gateway.gateway.open_exchanges(), 1);
    gate.open();
    assert_eq!(stream.rest(), "data: 1\n\n: not JSON\n\ndata: [DONE]\n\n");
    gateway.settled();
}

#[test]
fn answers_without_a_body_have_none() {
    let nothing = Answer::default().raw(b"HTTP/1.1 204 No Content\r\nx-own: one\r\n\r\n".to_vec());
    let empty = answer(200, "x-own: one\r\n", b"");
    let known = Answer::default().raw(b"HTTP/1.1 304 Not Modified\r\netag: \"e\"\r\n\r\n".to_vec());
    let sized =
        Answer::default().raw(b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\nx-own: one\r\n\r\n".to_vec());
    let unsized_head = Answer::default().raw(b"HTTP/1.1 200 OK\r\nx-own: one\r\n\r\n".to_vec());
    for (method, script, status) in [
        ("DELETE", &nothing, 204),
        ("GET", &nothing, 204),
        ("GET", &known, 304),
        ("GET", &empty, 200),
        ("HEAD", &sized, 200),
        ("HEAD", &unsized_head, 200),
        ("HEAD", &nothing, 204),
    ] {
        let upstream = Upstream::always(script.clone());
        let usage = UsageFile::new();
        let gateway = gateway_over(&upstream, &usage.settings());
        let mut connection = gateway.connect();
        // Anything that follows the first answer would be taken for the second.
        for _ in 0..2 {
            connection.send(&request_text(method, "/passthrough/openai/x", "sk-test", &[], b""));
            let response = connection.bodiless().expect(status);
            assert!(response.header("etag").is_some() || response.header("x-own").is_some());
            if status == 200 && std::ptr::eq(script, &sized) {
                assert_eq!(response.header("content-length"), Some("12345"), "{response:?}");
            }
        }
        let records = usage.wait_for(&gateway, 2);
        assert!(records.iter().all(|record| record["status_code"] == status), "{method} {records:?}");
        assert_eq!(upstream.count(), 2, "{method} {status}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_never_presented_as_whole() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let begun = Answer::default().raw([chunked.as_bytes(), &chunk(b"part")].concat());
    let sized = Answer::default().raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart".to_vec());
    for script in [begun.clone().reset(), begun.close(), sized.clone().reset(), sized.close()] {
        let upstream = Upstream::always(script);
        let usage = UsageFile::new();
        let gateway = gateway_over(&upstream, &usage.settings());
        let mut connection = gateway.connect();
        connection.send(&request_text("GET", "/passthrough/openai/x", "sk-test", &[], b""));
        let mut seen = Vec::new();
        while !connection.is_closed() {
            seen.extend(connection.bytes(1));
        }
        let text = String::from_utf8_lossy(&seen);
        assert!(!text.ends_with("0\r\n\r\n"), "{text}");
        assert_eq!(usage.wait_for(&gateway, 1)[0]["error_class"], "stream_aborted");
    }
}

#[test]
fn it_is_recorded_once_with_no_tokens_and_counted_under_one_name() {
    let usage = UsageFile::new();
    let body = completion("hello", 5, 7);
    let upstream = Upstream::in_turn(vec![Answer::json(200, &body), Answer::json(404, "{}")]);
    let priced = model("priced", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }");
    let gateway = gateway_over(&upstream, &(priced + &usage.settings()));
    for (place, (rest, status)) in [("chat/completions", 200), ("other/path", 404)].into_iter().enumerate() {
        through(&gateway, "POST", rest, &[], br#"{"model":"priced","messages":[]}"#).expect(status);
        let record = usage.wait_for(&gateway, place + 1).pop().expect("one");
        assert_eq!(record["inbound_protocol"], "passthrough", "{record}");
        assert_eq!((&record["status_code"], &record["attempt_kind"]), (&status.into(), &"initial".into()));
        for name in ["prompt_tokens", "completion_tokens", "cost_micro_usd"] {
            assert_eq!(record[name], 0, "{name}: {record}");
        }
        assert!(record.get("usage_estimated").is_none(), "{record}");
    }
    let metrics = gateway.metrics();
    let labels = [("endpoint", "/passthrough/{provider}/{rest}"), ("inbound_protocol", "passthrough")];
    assert_eq!(metrics.sum("aisix_proxy_requests_total", &labels), 2.0);
    assert!(!metrics.values().any(|value| value.contains("other/path")));
}

#[test]
fn a_caller_who_leaves_takes_the_provider_along() {
    let upstream = Upstream::always(Answer::events().event("data: 1\n\n").stall());
    let usage = UsageFile::new();
    let gateway = gateway_over(&upstream, &usage.settings());
    let mut connection = gateway.connect();
    connection.send(&request_text("GET", "/passthrough/openai/x", "sk-test", &[], b""));
    let mut stream = connection.stream();
    stream.until("1");
    stream.leave();
    upstream.wait_for_hang_up();
    assert_eq!(usage.wait_for(&gateway, 1)[0]["status_code"], 499);
}
