//! Answers that are no JSON: sound as it is spoken, transcripts as plain text.

use super::*;

const SPEECH: &str = r#"{"model":"m","input":"hello","voice":"alloy","response_format":"mp3"}"#;

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn head(kind: &str, framing: &str) -> Answer {
    Answer::default()
        .raw(format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n").into_bytes())
}

#[test]
fn speech_comes_back_with_its_type_and_its_length() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let response = gateway.post_json("/v1/audio/speech", "sk-test", SPEECH).expect(200);
    assert_eq!(response.body, answers::SOUND);
    assert_eq!(response.header("content-type"), Some("audio/mpeg"));
    assert_eq!(response.header("content-length"), Some(&*answers::SOUND.len().to_string()));
    let wanted = SPEECH.replace("\"m\"", "\"upstream-m\"");
    assert_eq!(String::from_utf8_lossy(&upstream.received()[0].body), wanted);
    gateway.settled();
}

#[test]
fn speech_is_heard_while_it_is_spoken() {
    let gate = Gate::default();
    let live = head("audio/wav", "transfer-encoding: chunked").raw(chunk(b"first")).wait(&gate);
    let upstream = Upstream::always(live.raw(chunk(b"\x00last")).end());
    let usage = UsageFile::new();
    let gateway = gateway_over(&upstream, &usage.settings());
    let mut connection = gateway.connect();
    connection.send(&request_text("POST", "/v1/audio/speech", "sk-test", &[], SPEECH.as_bytes()));
    let mut stream = connection.stream();
    assert_eq!(stream.until("first"), "first");
    assert_eq!(gateway.gateway.open_exchanges(), 1);
    gate.open();
    assert_eq!(stream.rest(), "first\0last");
    let record = &usage.wait_for(&gateway, 1)[0];
    assert_eq!((&record["status_code"], &record["completion_tokens"]), (&200.into(), &0.into()));
    assert!(record["prompt_tokens"].as_u64() > Some(0), "{record}");
}

#[test]
fn speech_that_breaks_off_is_never_presented_as_whole() {
    let chunks = head("audio/mpeg", "transfer-encoding: chunked").raw(chunk(b"first"));
    let length = head("audio/mpeg", "content-length: 100").raw(b"first".to_vec());
    for answer in [chunks.clone().reset(), chunks.close(), length.clone().reset(), length.close()] {
        let upstream = Upstream::always(answer);
        let usage = UsageFile::new();
        let gateway = gateway_over(&upstream, &usage.settings());
        let mut connection = gateway.connect();
        connection.send(&request_text("POST", "/v1/audio/speech", "sk-test", &[], SPEECH.as_bytes()));
        let mut seen = Vec::new();
        while !connection.is_closed() {
            seen.extend(connection.bytes(1));
        }
        let text = String::from_utf8_lossy(&seen);
        assert!(!text.ends_with("0\r\n\r\n"), "{text}");
        let record = &usage.wait_for(&gateway, 1)[0];
        assert_eq!((&record["status_code"], &record["error_class"]), (&502.into(), &"stream_aborted".into()));
    }
}

#[test]
fn a_caller_who_stops_listening_stops_the_speaker() {
    let live = head("audio/wav", "transfer-encoding: chunked").raw(chunk(b"first")).stall();
    let upstream = Upstream::always(live);
    let usage = UsageFile::new();
    let gateway = gateway_over(&upstream, &usage.settings());
    let mut connection = gateway.connect();
    connection.send(&request_text("POST", "/v1/audio/speech", "sk-test", &[], SPEECH.as_bytes()));
    let mut stream = connection.stream();
    stream.until("first");
    stream.leave();
    upstream.wait_for_hang_up();
    assert_eq!(usage.wait_for(&gateway, 1)[0]["status_code"], 499);
}

#[test]
fn a_transcript_is_plain_text_where_the_caller_wants_it_so() {
    for (kind, text) in [
        ("text/plain; charset=utf-8", "hello there\n"),
        ("text/vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n"),
        ("application/x-subrip", "1\n00:00:00,000 --> 00:00:01,000\nhello\n"),
    ] {
        let upstream = Upstream::always(Answer::with_headers(200, &[("content-type", kind)], text));
        let usage = UsageFile::new();
        let gateway = gateway_over(&upstream, &usage.settings());
        let row = aisix::endpoints::ENDPOINTS.iter().find(|row| row.path.ends_with("/transcriptions"));
        let response = Sample::of(row.expect("a row"), "m").send(&gateway, "sk-test").expect(200);
        assert_eq!((response.text().as_str(), response.header("content-type")), (text, Some(kind)));
        assert_eq!(usage.wait_for(&gateway, 1)[0]["status_code"], 200);
    }
}
