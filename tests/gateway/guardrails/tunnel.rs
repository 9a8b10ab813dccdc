//! The tunnel under guardrails: a word is found however a body spells it, and what cannot be read is refused.

use std::time::Duration;

use super::*;

/// Sends a body through the tunnel.
fn through(gateway: &Gateway, rest: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    gateway.send("POST", &format!("/passthrough/openai/{rest}"), "sk-test", headers, body)
}

#[test]
fn a_word_is_found_in_a_request_however_it_is_spelled() {
    let upstream = answering("fine");
    let gateway = gateway_over(&upstream, &keyword("k", "darn", "hook_point = \"input\""));
    for (rest, body) in
        [("x", "darn"), ("x", r#"{"url":["d\u0061rn"]}"#), ("x", "a=d%61rn"), ("x?q=d%61rn", "{}")]
    {
        refused(&through(&gateway, rest, &[], body.as_bytes()), "request", "k");
    }
    for (headers, body) in [(&[("content-encoding", "gzip")][..], &b"{}"[..]), (&[], b"\xff")] {
        let response = through(&gateway, "x", headers, body);
        matrix::assert_refused(Envelope::OpenAi, &response, 400, "invalid_request_error");
    }
    assert_eq!(upstream.count(), 0);
    through(&gateway, "x", &[], b"{}").expect(200);
    gateway.settled();
}

#[test]
fn a_word_is_found_in_an_answer_and_a_packed_one_is_refused() {
    let packed = Answer::with_headers(200, &[("content-encoding", "gzip")], "{}");
    for answer in [Answer::json(200, r#"{"id":"d\u0061rn"}"#), packed] {
        let upstream = Upstream::always(answer);
        let gateway = gateway_over(&upstream, &keyword("k", "darn", "hook_point = \"output\""));
        refused(&through(&gateway, "x", &[("accept-encoding", "gzip")], b"{}"), "response", "k");
        assert_eq!(upstream.received()[0].header("accept-encoding"), Some("identity"));
        gateway.settled();
    }
}

#[test]
fn what_is_read_whole_may_take_longer_than_the_longest_silence_in_it() {
    let pause = Duration::from_millis(200);
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let slow = (0..5).fold(Answer::default().raw(head), |answer, _| answer.event("well ").pause(pause));
    let upstream = Upstream::always(slow.end());
    let rule = keyword("k", "darn", "hook_point = \"output\"");
    let models = provider_key("up", &upstream.url()) + &model("m", "up", "retries = 0\nstream_timeout = 700");
    let gateway = Gateway::start(&(models + &api_key("sk-test", "\"*\"", "") + &rule));
    let transcript = gateway.send(
        "POST",
        "/v1/audio/transcriptions",
        "sk-test",
        &[("content-type", "multipart/form-data; boundary=b")],
        b"--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\n\
          content-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nx\r\n--b--\r\n",
    );
    for response in [through(&gateway, "x", &[], b"{}"), transcript] {
        assert_eq!(response.expect(200).text(), "well ".repeat(5));
    }
    gateway.settled();
}
