//! What callers can get wrong: each mistake is a clear error in the right envelope, holds nothing, and harms nobody.

use std::time::Duration;

use aisix::envelope::Envelope;

use crate::harness::*;
use crate::matrix::assert_refused;

/// One route of each envelope.
const ROUTES: [(&str, Envelope); 2] =
    [("/v1/chat/completions", Envelope::OpenAi), ("/v1/messages", Envelope::Anthropic)];

struct Case {
    upstream: Upstream,
    gateway: Gateway,
}

impl Case {
    fn start(more: &str) -> Self {
        let upstream = Upstream::well();
        let gateway = gateway_over(&upstream, more);
        Self { upstream, gateway }
    }

    /// Nothing is held, the provider was not asked, and the gateway still answers.
    #[track_caller]
    fn is_unharmed(&self) {
        self.gateway.settled();
        assert_eq!(self.upstream.count(), 0, "the provider was asked");
        self.gateway.chat(&chat_body("m", "")).expect(200);
    }

    /// Sends bytes on a connection of their own and reads what comes.
    fn raw(&self, bytes: &[u8]) -> Response {
        let mut connection = self.gateway.connect();
        connection.try_send(bytes);
        connection.response()
    }
}

/// A body that both routes must refuse with 400.
#[track_caller]
fn check(case: &Case, body: &[u8]) {
    for (path, envelope) in ROUTES {
        let response = case.gateway.send("POST", path, "sk-test", &[], body);
        assert_refused(envelope, &response, 400, "invalid_request_error");
    }
}

#[test]
fn a_body_that_is_no_json_object_is_refused() {
    let case = Case::start("");
    let deep = format!(
        "{{\"model\":\"m\",\"messages\":[{{}}],\"x\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let deep_messages =
        format!("{{\"model\":\"m\",\"messages\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let open = format!("{{\"model\":\"m\",\"messages\":{}", "[".repeat(100_000));
    for body in [
        "",
        " ",
        "{",
        "}",
        "null",
        "true",
        "7",
        "\"text\"",
        "[]",
        "[{}]",
        "{}}",
        "{\"model\":\"m\"} {}",
        "{model:1}",
        "{'model':'m'}",
        "{\"model\":\"m\",}",
        "{\"model\":\"m\" \"messages\":[]}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":NaN}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "\u{feff}{}",
        "a=b&c=d",
        &deep,
        &deep_messages,
        &open,
    ] {
        check(&case, body.as_bytes());
    }
    case.is_unharmed();
}

#[test]
fn members_of_the_wrong_type_are_refused_by_name() {
    let case = Case::start("");
    for (member, body) in [
        ("model", r#"{"messages":[{"role":"user","content":"x"}]}"#),
        ("model", r#"{"model":null,"messages":[{"role":"user","content":"x"}]}"#),
        ("model", r#"{"model":7,"messages":[{"role":"user","content":"x"}]}"#),
        ("model", r#"{"model":["m"],"messages":[{"role":"user","content":"x"}]}"#),
        ("model", r#"{"model":"\ud800","messages":[{"role":"user","content":"x"}]}"#),
        ("messages", r#"{"model":"m"}"#),
        ("messages", r#"{"model":"m","messages":null}"#),
        ("messages", r#"{"model":"m","messages":"hello"}"#),
        ("messages", r#"{"model":"m","messages":{}}"#),
        ("messages", r#"{"model":"m","messages":[]}"#),
        ("messages", "{\"model\":\"m\",\"messages\":[ \n ]}"),
        ("stream", r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":"yes"}"#),
        ("stream", r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":1}"#),
        ("max_tokens", r#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":-1}"#),
        ("max_tokens", r#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":"many"}"#),
    ] {
        check(&case, body.as_bytes());
        let response = case.gateway.chat(body);
        assert!(response.error_message().contains(member), "{body}: {}", response.error_message());
        assert_eq!(response.error()["param"], member, "{body}");
    }
    case.is_unharmed();
}

#[test]
fn a_member_that_stands_twice_is_refused_however_it_is_spelt() {
    // Otherwise a caller could be authorised for one model and served another.
    let case = Case::start("");
    let messages = r#""messages":[{"role":"user","content":"x"}]"#;
    for body in [
        format!(r#"{{"model":"m","model":"other",{messages}}}"#),
        format!(r#"{{"model":"m",{messages},"model":"m"}}"#),
        format!(r#"{{"model":"m",{messages},"\u006dodel":"other"}}"#),
        format!(r#"{{"m\u006Fdel":"m",{messages},"mode\u006c":"other"}}"#),
        format!(r#"{{"model":"m",{messages},{messages}}}"#),
        format!(r#"{{"model":"m",{messages},"stream":false,"str\u0065am":true}}"#),
        format!(r#"{{"model":"m",{messages},"x":1,"x":2}}"#),
    ] {
        check(&case, body.as_bytes());
    }
    case.is_unharmed();
}

#[test]
fn a_model_that_only_looks_like_one_is_unknown() {
    let case = Case::start("");
    for name in [r"m\u0000", r"\u0000m", r"m ", r" m", "M", r"m\n", "", r"m/../m", "*", &"m".repeat(100_000)]
    {
        for (path, envelope) in ROUTES {
            let response = case.gateway.post_json(path, "sk-test", &chat_body(name, ""));
            assert_refused(envelope, &response, 404, "model_not_found");
            assert!(
                response.body.len() < 1024,
                "a long name is not sent back: {} bytes",
                response.body.len()
            );
        }
    }
    case.is_unharmed();
}

#[test]
fn text_that_is_no_utf_8_is_refused_and_a_nul_is_only_text() {
    let case = Case::start("");
    let (head, tail) = (br#"{"model":"m","messages":[{"role":"user","content":""#, br#""}]}"#);
    for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"] {
        check(&case, &[&head[..], bad, &tail[..]].concat());
    }
    case.is_unharmed();
    let before = case.upstream.count();
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a\u0000b"}]}"#;
    case.gateway.chat(body).expect(200);
    let sent = case.upstream.received()[before].body.clone();
    assert!(String::from_utf8_lossy(&sent).contains(r#""a\u0000b""#), "it arrives as it was written");
}

#[test]
fn only_json_is_taken_for_json() {
    let case = Case::start("");
    let body = chat_body("m", "");
    for (path, envelope) in ROUTES {
        for content_type in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"]
        {
            let response = case.gateway.send(
                "POST",
                path,
                "sk-test",
                &[("content-type", content_type)],
                body.as_bytes(),
            );
            assert_refused(envelope, &response, 400, "invalid_request_error");
        }
        let length = body.len();
        let bare = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        assert_refused(envelope, &case.raw(bare.as_bytes()), 400, "invalid_request_error");
    }
    case.is_unharmed();
    for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"] {
        case.gateway
            .send(
                "POST",
                "/v1/chat/completions",
                "sk-test",
                &[("content-type", content_type)],
                body.as_bytes(),
            )
            .expect(200);
    }
}

#[test]
fn a_huge_declared_body_is_read_a_while_and_refused() {
    let case = Case::start("[proxy]\nrequest_body_limit_bytes = 1000000\n");
    for (path, envelope) in ROUTES {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 209715200\r\n\r\n"
        );
        let mut connection = case.gateway.connect();
        connection.send(head.as_bytes());
        // As much as is read before the answer (§14.2), and no more, so that nothing is left unread.
        for _ in 0..32 {
            connection.send(&vec![b' '; 1 << 20]);
        }
        let response = connection.response();
        assert_refused(envelope, &response, 413, "invalid_request_error");
        assert!(response.error_message().contains("1000000"), "{response:?}");
    }
    case.is_unharmed();
}

#[test]
fn a_chunked_body_is_refused_when_it_grows_over_the_limit() {
    let case = Case::start("[proxy]\nrequest_body_limit_bytes = 1000\n");
    for (path, envelope) in ROUTES {
        for (key, status, r#type) in
            [("sk-test", 413, "invalid_request_error"), ("sk-none", 401, "invalid_api_key")]
        {
            let mut connection = case.gateway.connect();
            connection.send(&request_text(
                "POST",
                path,
                key,
                &[("content-type", "application/json"), ("transfer-encoding", "chunked")],
                b"",
            ));
            for _ in 0..3 {
                connection.try_send(format!("1f4\r\n{}\r\n", " ".repeat(500)).as_bytes());
            }
            connection.try_send(b"0\r\n\r\n");
            assert_refused(envelope, &connection.response(), status, r#type);
        }
    }
    case.is_unharmed();
}

#[test]
fn a_chunked_body_within_the_limit_is_served() {
    let case = Case::start("");
    let body = chat_body("m", "");
    let mut connection = case.gateway.connect();
    let headers = [("content-type", "application/json"), ("transfer-encoding", "chunked")];
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &headers, b""));
    for piece in body.as_bytes().chunks(9) {
        connection.send(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    connection.send(b"0\r\n\r\n");
    connection.response().expect(200);
}

#[test]
fn two_lengths_are_refused_before_anybody_is_authenticated() {
    let case = Case::start("");
    for (path, envelope) in ROUTES {
        for (first, second) in [("2", "2"), ("2", "3"), ("3", "2")] {
            let text = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                 content-length: {first}\r\ncontent-length: {second}\r\n\r\n{{}} "
            );
            let response = case.raw(text.as_bytes());
            assert_refused(envelope, &response, 400, "invalid_request_error");
            assert!(response.error_message().contains("Content-Length"), "{response:?}");
        }
    }
    case.is_unharmed();
}

#[test]
fn a_broken_length_is_refused() {
    let case = Case::start("");
    for (path, envelope) in ROUTES {
        for length in ["many", "-2", "+2", "2, 3", "0x2", "18446744073709551616"] {
            let text = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\r\n{{}}"
            );
            assert_refused(envelope, &case.raw(text.as_bytes()), 400, "invalid_request_error");
        }
    }
    case.is_unharmed();
}

#[test]
fn a_broken_chunk_is_refused_and_holds_nothing() {
    let case = Case::start("");
    for (path, envelope) in ROUTES {
        for chunk in ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}0\r\n\r\n", "ffffffffffffffffff\r\n{}"] {
            let mut connection = case.gateway.connect();
            let headers = [("content-type", "application/json"), ("transfer-encoding", "chunked")];
            connection.send(&request_text("POST", path, "sk-test", &headers, chunk.as_bytes()));
            assert_refused(envelope, &connection.response(), 400, "invalid_request_error");
        }
    }
    case.is_unharmed();
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let case = Case::start("[proxy]\nrequest_body_timeout_ms = 100\n");
    for (path, envelope) in ROUTES {
        for part in ["", "{\"model\":"] {
            let mut connection = case.gateway.connect();
            connection.send(&request_text(
                "POST",
                path,
                "sk-test",
                &[("content-type", "application/json"), ("content-length", "100")],
                part.as_bytes(),
            ));
            assert_refused(envelope, &connection.response(), 408, "invalid_request_error");
        }
    }
    case.is_unharmed();
}

#[test]
fn a_body_that_comes_slowly_and_steadily_is_served() {
    let case = Case::start("[proxy]\nrequest_body_timeout_ms = 400\n");
    let body = chat_body("m", "");
    let length = body.len().to_string();
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    let mut connection = case.gateway.connect();
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &headers, b""));
    for piece in body.as_bytes().chunks(8) {
        connection.send(piece);
        // The gaps are what is tested: each is short, all of them together are longer than the limit.
        std::thread::sleep(Duration::from_millis(50));
    }
    connection.response().expect(200);
}

#[test]
fn a_caller_who_leaves_in_the_middle_of_the_body_holds_nothing() {
    let case = Case::start("");
    for (path, _) in ROUTES {
        let mut connection = case.gateway.connect();
        connection.send(&request_text(
            "POST",
            path,
            "sk-test",
            &[("content-type", "application/json"), ("content-length", "100")],
            b"{\"model\"",
        ));
        until("the request is open", || case.gateway.gateway.open_exchanges() == 1);
        connection.leave();
        case.gateway.settled();
    }
    case.is_unharmed();
}

#[test]
fn large_headers_are_read_and_huge_ones_refused() {
    let case = Case::start("");
    for (path, envelope) in ROUTES {
        let response =
            case.gateway.send("POST", path, "sk-none", &[("x-large", &"x".repeat(64 << 10))], b"{}");
        assert_refused(envelope, &response, 401, "invalid_api_key");
        let huge = request_text("POST", path, "sk-test", &[("x-huge", &"x".repeat(200 << 10))], b"");
        let response = case.raw(&huge);
        assert!([400, 431].contains(&response.status), "{response:?}");
        assert_refused(envelope, &response, response.status, "invalid_request_error");
    }
    case.is_unharmed();
}

#[test]
fn what_is_no_http_gets_an_answer_or_a_closed_door() {
    let case = Case::start("");
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
    ] {
        let response = case.raw(garbage.as_bytes());
        assert_refused(Envelope::OpenAi, &response, 400, "invalid_request_error");
    }
    let bad_header = "POST /v1/messages HTTP/1.1\r\nhost: x\r\nbad header: x\r\n\r\n";
    assert_refused(Envelope::Anthropic, &case.raw(bad_header.as_bytes()), 400, "invalid_request_error");
    // A connection that sends nothing, and one that leaves in the middle of a head.
    case.gateway.connect().leave();
    let mut connection = case.gateway.connect();
    connection.send(b"POST /v1/chat/comp");
    connection.leave();
    case.is_unharmed();
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let case = Case::start("[proxy]\nrequest_head_timeout_ms = 1000\n");
    for (path, envelope) in ROUTES {
        let mut connection = case.gateway.connect();
        connection.send(format!("POST {path} HTTP/1.1\r\nhost: x\r\n").as_bytes());
        let response = connection.response();
        assert_refused(envelope, &response, 408, "invalid_request_error");
        assert!(connection.is_closed());
    }
    case.is_unharmed();
}

#[test]
fn a_caller_may_wait_for_the_go_ahead() {
    let case = Case::start("");
    let body = chat_body("m", "");
    let length = body.len().to_string();
    let headers = [
        ("content-type", "application/json"),
        ("content-length", length.as_str()),
        ("expect", "100-continue"),
    ];
    let mut connection = case.gateway.connect();
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &headers, b""));
    connection.go_ahead();
    connection.send(body.as_bytes());
    connection.response().expect(200);
}

#[test]
fn requests_in_one_packet_are_answered_in_order() {
    let case = Case::start("");
    let mut connection = case.gateway.connect();
    let request = |id: &str| {
        request_text(
            "POST",
            "/v1/chat/completions",
            "sk-test",
            &[("x-aisix-request-id", id)],
            chat_body("m", "").as_bytes(),
        )
    };
    connection.send(
        &[request("one"), request("two"), request_text("GET", "/livez", "", &[], b""), request("three")]
            .concat(),
    );
    for id in ["one", "two"] {
        assert_eq!(connection.response().expect(200).header("x-aisix-request-id"), Some(id));
    }
    assert_eq!(connection.response().expect(200).text(), "ok");
    assert_eq!(connection.response().expect(200).header("x-aisix-request-id"), Some("three"));
    case.gateway.settled();
}

#[test]
fn a_path_that_does_not_exist_is_refused_in_the_envelope_above_it() {
    let case = Case::start("");
    for (path, envelope) in [
        ("/v1/chat/completions/", Envelope::OpenAi),
        ("/v1/messages/", Envelope::Anthropic),
        ("/v1/messages/nowhere?x=1", Envelope::Anthropic),
        ("/v1/chat", Envelope::OpenAi),
        ("/%00", Envelope::OpenAi),
        ("/v1/%ff", Envelope::OpenAi),
        (&format!("/{}", "x".repeat(8000)), Envelope::OpenAi),
    ] {
        let response = case.gateway.post_json(path, "sk-test", "{}");
        assert_refused(envelope, &response, 404, "invalid_request_error");
        assert!(response.body.len() < 1024, "a long path is not sent back");
    }
    case.is_unharmed();
}
