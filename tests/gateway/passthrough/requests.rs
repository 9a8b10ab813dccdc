//! What the provider gets: the caller's request, but for what belongs to a connection or to a credential.

use super::*;

#[test]
fn every_method_reaches_the_providers_path_with_its_query() {
    let upstream = Upstream::always(answer(200, "", b""));
    let gateway = gateway_over(&upstream, "");
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        through(&gateway, method, "files/a%2Fb/?x=1&y=a%20b&x=2", &[], b"").expect(200);
        let received = last(&upstream);
        assert_eq!(received.method, method);
        assert_eq!(received.path, "/v1/files/a%2Fb/?x=1&y=a%20b&x=2", "{method}");
    }
    gateway.settled();
}

#[test]
fn a_version_that_base_and_path_both_name_stands_once() {
    let upstream = Upstream::always(answer(200, "", b""));
    let gateway = gateway_over(&upstream, "");
    for (rest, path) in [
        ("v1/files", "/v1/files"),
        ("files", "/v1/files"),
        ("v1", "/v1/"),
        ("v1beta/files", "/v1/v1beta/files"),
        ("v2/files", "/v1/v2/files"),
        ("v1/v1/files", "/v1/v1/files"),
        ("", "/v1/"),
    ] {
        through(&gateway, "GET", rest, &[], b"").expect(200);
        assert_eq!(last(&upstream).path, path, "{rest}");
    }
}

#[test]
fn a_path_cannot_leave_the_providers_root() {
    let upstream = Upstream::always(answer(200, "", b""));
    let gateway = gateway_over(&upstream, "");
    for rest in
        ["../../admin", "v1/../../admin", "..%2f..%2fadmin", "a/%2e%2E/x", "a/./b", "..\\admin", "a/.."]
    {
        let response = through(&gateway, "GET", rest, &[], b"");
        assert_refused(aisix::envelope::Envelope::OpenAi, &response, 400, "invalid_request_error");
    }
    assert_eq!(upstream.count(), 0);
    for rest in ["a..b/...", "/evil.example/x", "@evil.example", "a:b"] {
        through(&gateway, "GET", rest, &[], b"").expect(200);
        let received = last(&upstream);
        assert_eq!(received.path, format!("/v1/{rest}"));
        assert_eq!(received.header("host"), Some(upstream.url()[7..].trim_end_matches("/v1")), "{rest}");
    }
}

#[test]
fn the_name_of_the_provider_is_read_in_any_case() {
    let upstream = Upstream::always(answer(200, "", b""));
    let gateway = gateway_over(&upstream, "");
    for name in ["openai", "OpenAI", "OPENAI"] {
        gateway.send("GET", &format!("/passthrough/{name}/files"), "sk-test", &[], b"").expect(200);
    }
    assert_eq!(upstream.count(), 3);
}

#[test]
fn bytes_go_out_as_they_came() {
    let upstream = Upstream::always(answer(200, "", b""));
    let gateway = gateway_over(&upstream, "");
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for kind in ["application/octet-stream", "multipart/form-data; boundary=\"x y\"", "application/json"] {
        through(&gateway, "POST", "files", &[("content-type", kind)], &bytes).expect(200);
        let received = last(&upstream);
        assert!(received.body == bytes, "{kind}: {} bytes", received.body.len());
        assert_eq!(received.header("content-type"), Some(kind));
    }
    // A body in chunks, of which the gateway knows the length once it has them all.
    let mut connection = gateway.connect();
    let head = [("content-type", "text/x"), ("transfer-encoding", "chunked")];
    connection.send(&request_text("PUT", "/passthrough/openai/x", "sk-test", &head, b""));
    connection.send(&[chunk(&bytes[..1000]), chunk(&bytes[1000..3000]), b"0\r\n\r\n".to_vec()].concat());
    connection.response().expect(200);
    let received = last(&upstream);
    assert!(received.body == bytes[..3000]);
    assert_eq!(received.header("transfer-encoding"), None);
}

#[test]
fn headers_go_out_but_for_those_of_the_connection_and_of_the_caller() {
    let upstream = Upstream::always(answer(200, "", b""));
    let gateway = gateway_over(&upstream, "");
    let headers = [
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "of this connection"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eA=="),
        ("x-api-key", "sk-test"),
        ("x-goog-api-key", "sk-test"),
        ("cookie", "session=secret"),
        ("x-aisix-request-id", "own"),
        ("x-aisix-routing-tags", "eu"),
        ("X-AISIX-Routing-Key", "tenant"),
        ("user-agent", "my-sdk/1"),
        ("accept-encoding", "gzip, br"),
        ("openai-beta", "assistants=v2"),
        ("openai-organization", "org-1"),
        ("x-own", "one"),
        ("x-own", "two"),
    ];
    let response = through(&gateway, "GET", "files", &headers, b"").expect(200);
    let received = last(&upstream);
    let values = |name: &str| -> Vec<&str> {
        received.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    };
    for (name, kept) in [
        ("authorization", vec!["Bearer sk-upstream"]),
        ("x-own", vec!["one", "two"]),
        ("user-agent", vec!["my-sdk/1"]),
        ("accept-encoding", vec!["gzip, br"]),
        ("openai-beta", vec!["assistants=v2"]),
        ("openai-organization", vec!["org-1"]),
        ("x-hop", vec![]),
        ("keep-alive", vec![]),
        ("te", vec![]),
        ("proxy-authorization", vec![]),
        ("x-api-key", vec![]),
        ("x-goog-api-key", vec![]),
        ("cookie", vec![]),
        ("x-aisix-routing-tags", vec![]),
        ("x-aisix-routing-key", vec![]),
    ] {
        assert_eq!(values(name), kept, "{name}: {received:?}");
    }
    assert_eq!(received.header("x-aisix-request-id"), response.header("x-aisix-request-id"));
    assert!(!format!("{received:?}").contains("sk-test"), "{received:?}");
}

#[test]
fn a_caller_who_waits_for_permission_to_send_gets_it_from_the_gateway() {
    let upstream = Upstream::always(answer(200, "", b"done"));
    let gateway = gateway_over(&upstream, "");
    let mut connection = gateway.connect();
    let head = [("expect", "100-continue"), ("content-length", "5"), ("content-type", "text/x")];
    connection.send(&request_text("POST", "/passthrough/openai/x", "sk-test", &head, b""));
    connection.go_ahead();
    connection.send(b"hello");
    connection.response().expect(200);
    let received = last(&upstream);
    assert_eq!((received.body.as_slice(), received.header("expect")), (&b"hello"[..], None));
}

#[test]
fn anthropic_gets_its_key_and_version_in_headers_of_their_own() {
    let upstream = Upstream::always(answer(200, "", b""));
    let key = provider_key("up", &upstream.url()).replace("\"openai\"", "\"anthropic\"");
    let gateway = Gateway::start(&(key + &model("m", "up", "") + &api_key("sk-test", "\"*\"", "")));
    gateway.send("GET", "/passthrough/anthropic/v1/models", "sk-test", &[], b"").expect(200);
    let received = last(&upstream);
    assert_eq!(received.path, "/v1/models");
    assert_eq!(received.header("x-api-key"), Some("sk-upstream"));
    assert_eq!(received.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(received.header("authorization"), None);
}

#[test]
fn the_first_model_that_the_key_may_use_lends_its_provider_key() {
    let (first, second) = (Upstream::always(answer(200, "", b"1")), Upstream::always(answer(200, "", b"2")));
    let config = provider_key("one", &first.url())
        + &provider_key("two", &second.url())
        + &model("a", "one", "")
        + &model("b", "two", "")
        + &api_key("sk-all", "\"*\"", "")
        + &api_key("sk-b", "\"b\"", "");
    let gateway = Gateway::start(&config);
    let ask = |key: &str, body: &[u8]| {
        gateway.send("POST", "/passthrough/openai/x", key, &[], body).expect(200).text()
    };
    assert_eq!(ask("sk-all", b""), "1");
    assert_eq!(ask("sk-b", b""), "2");
    assert_eq!(ask("sk-all", br#"{"model":"b"}"#), "2", "the model that the body names");
    assert_eq!(
        ask("sk-b", br#"{"model":"c"}"#),
        "2",
        "a name that is not configured here is the provider's own"
    );
}
