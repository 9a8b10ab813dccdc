//! Streams: relayed as they arrive, never presented as finished when they are not, settled however they end.

use std::time::{Duration, Instant};

use aisix_actors::Now;
use serde_json::{Value, json};

use crate::harness::*;

const STREAM: &str = r#","stream":true"#;
const DONE: &str = "data: [DONE]\n\n";

/// The `error` object of the frame that ends a stream, with nothing after it and no `[DONE]` anywhere.
#[track_caller]
fn last_error(text: &str) -> Value {
    let (before, frame) =
        text.split_once("event: error\ndata: ").unwrap_or_else(|| panic!("no error frame: {text}"));
    assert!(before.is_empty() || before.ends_with("\n\n"), "the frame begins on a line of its own: {text}");
    assert!(!text.contains("[DONE]"), "an unfinished answer is not finished: {text}");
    let frame: Value = serde_json::from_str(frame.trim_end()).expect("one JSON object, and nothing after it");
    frame["error"].clone()
}

#[test]
fn a_frame_reaches_the_caller_before_the_provider_sends_the_next() {
    let gates: [Gate; 3] = Default::default();
    let (first, second, third) = (gates[0].clone(), gates[1].clone(), gates[2].clone());
    let answer = Answer::events().event(&delta("one")).wait(&first).event(&delta("two")).wait(&second);
    let upstream = Upstream::always(answer.event(&finish()).wait(&third).event(DONE).end());
    let gateway = gateway_over(&upstream, "");
    let mut stream = gateway.stream(&chat_body("m", STREAM));
    assert_eq!(stream.head.status, 200);
    assert_eq!(stream.head.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.head.header("content-length"), None);
    for (needle, gate) in ["one", "two", "\"finish_reason\":\"stop\""].iter().zip(&gates) {
        stream.until(needle);
        gate.open();
    }
    assert!(stream.rest().ends_with(DONE));
    gateway.settled();
}

#[test]
fn a_frame_cut_at_every_byte_arrives_whole_and_in_the_callers_name() {
    let event = delta("caf\u{e9} \u{1f980}");
    let expected = event.replace("upstream-m", "m") + &finish().replace("upstream-m", "m") + DONE;
    let cuts: Vec<usize> = (1..event.len()).step_by(7).collect();
    let upstream = Upstream::start(move |_, number| {
        let (head, tail) = event.as_bytes().split_at(cuts[number % cuts.len()]);
        let piece = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        let cut = Answer::events().raw(piece(head)).pause(Duration::from_millis(2)).raw(piece(tail));
        cut.event(&finish()).event(DONE).end()
    });
    let gateway = gateway_over(&upstream, "");
    for _ in 0..delta("caf\u{e9} \u{1f980}").len() / 7 {
        assert_eq!(gateway.stream(&chat_body("m", STREAM)).rest(), expected);
    }
}

#[test]
fn what_the_gateway_does_not_know_survives_byte_for_byte() {
    let odd = "id: 7\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\u0041\"},\"y\":1.50}],  \"z\":[ ]}\n\n";
    let upstream = Upstream::always(Answer::stream(&[odd, &finish(), DONE]));
    let gateway = gateway_over(&upstream, "");
    assert!(gateway.stream(&chat_body("m", STREAM)).rest().starts_with(odd));
}

/// What the caller says of `stream_options`, what the provider must get, and whether the caller sees usage.
#[track_caller]
fn check_usage(said: &str, sent: &Value, is_shown: bool) {
    let upstream = Upstream::always(Answer::stream(&[&delta("x"), &finish(), &usage_event(5, 7), DONE]));
    let gateway = gateway_over(&upstream, "");
    let text = gateway.stream(&chat_body("m", &format!("{STREAM}{said}"))).rest().to_owned();
    assert_eq!(text.contains("\"usage\""), is_shown, "{said}: {text}");
    assert!(text.ends_with(DONE), "{text}");
    assert_eq!(&upstream.received()[0].json()["stream_options"], sent, "{said}");
}

#[test]
fn usage_is_asked_for_and_hidden_only_where_the_caller_said_nothing() {
    check_usage("", &json!({"include_usage": true}), false);
    check_usage(r#","stream_options":{"include_usage":true}"#, &json!({"include_usage": true}), true);
    // The caller's word stands; what the provider sends all the same is not hidden from who set it otherwise.
    for said in [r#"{"include_usage":false}"#, r#"{"x":1}"#] {
        let upstream = Upstream::always(Answer::stream(&[&delta("x"), &finish(), DONE]));
        let gateway = gateway_over(&upstream, "");
        gateway.stream(&chat_body("m", &format!("{STREAM},\"stream_options\":{said}"))).rest();
        let sent = upstream.received()[0].json()["stream_options"].clone();
        assert_eq!(sent, serde_json::from_str::<Value>(said).expect("JSON"));
    }
}

#[test]
fn stream_options_of_null_are_replaced_where_they_stand() {
    for body in [
        r#"{"stream_options":null,"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options": null }"#,
    ] {
        let upstream = Upstream::always(Answer::stream(&[&delta("x"), &finish(), &usage_event(5, 7), DONE]));
        let gateway = gateway_over(&upstream, "");
        let text = gateway.stream(body).rest().to_owned();
        assert!(!text.contains("\"usage\""), "null says nothing: {text}");
        // The bytes, not what a parser makes of them: of two members of one name it would show one.
        let sent = String::from_utf8(upstream.received()[0].body.clone()).expect("text");
        assert_eq!(sent.matches("\"stream_options\"").count(), 1, "{sent}");
        let wanted = json!({"include_usage": true});
        assert_eq!(upstream.received()[0].json()["stream_options"], wanted, "{sent}");
    }
}

#[test]
fn a_request_without_a_stream_is_not_given_stream_options() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    gateway.chat(&chat_body("m", "")).expect(200);
    assert_eq!(upstream.received()[0].json().get("stream_options"), None);
}

#[test]
fn a_stream_without_done_is_closed_properly_after_a_finish_reason() {
    for end in [Answer::default().raw(b"0\r\n\r\n".to_vec()), Answer::default().close()] {
        let upstream = Upstream::always(Answer::events().event(&delta("x")).event(&finish()).then(end));
        let gateway = gateway_over(&upstream, "");
        let text = gateway.stream(&chat_body("m", STREAM)).rest().to_owned();
        assert!(text.ends_with(DONE) && !text.contains("event: error"), "{text}");
        gateway.settled();
    }
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_frame() {
    let ends =
        [Answer::default().raw(b"0\r\n\r\n".to_vec()), Answer::default().close(), Answer::default().reset()];
    for (place, end) in ends.into_iter().enumerate() {
        let gate = Gate::default();
        let upstream = Upstream::always(Answer::events().event(&delta("half")).wait(&gate).then(end));
        let gateway = gateway_over(&upstream, "");
        let mut stream = gateway.stream(&chat_body("m", STREAM));
        stream.until("half");
        gate.open();
        let error = last_error(stream.rest());
        let allowed = ["stream_aborted", "transport_error"];
        assert!(allowed.contains(&error["type"].as_str().expect("a type")), "end {place}: {error}");
        assert_eq!(upstream.count(), 1, "a stream that has begun is never begun anew");
        gateway.settled();
    }
}

#[test]
fn a_stream_shorter_than_its_declared_length_is_not_finished() {
    let events = delta("half") + &finish();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ";
    let sent = |length: usize| Answer::default().raw(format!("{head}{length}\r\n\r\n{events}").into_bytes());
    let upstream = Upstream::in_turn(vec![sent(events.len() + 14).close(), sent(events.len())]);
    let gateway = gateway_over(&upstream, "");
    let cut = gateway.stream(&chat_body("m", STREAM)).rest().to_owned();
    assert!(cut.contains("half"), "{cut}");
    let error = last_error(&cut);
    let allowed = ["stream_aborted", "transport_error"];
    assert!(allowed.contains(&error["type"].as_str().expect("a type")), "{error}");
    // The same events with their true length are a whole stream.
    let whole = gateway.stream(&chat_body("m", STREAM)).rest().to_owned();
    assert!(whole.ends_with(DONE) && !whole.contains("event: error"), "{whole}");
    gateway.settled();
}

#[test]
fn a_malformed_event_is_skipped_and_the_stream_goes_on() {
    let upstream = Upstream::always(Answer::stream(&[
        &delta("a"),
        "data: {\"choices\":[{\n\n",
        &delta("b"),
        &finish(),
        DONE,
    ]));
    let gateway = gateway_over(&upstream, "");
    let text = gateway.stream(&chat_body("m", STREAM)).rest().to_owned();
    let expected = [delta("a"), delta("b"), finish(), DONE.to_owned()].concat().replace("upstream-m", "m");
    assert_eq!(text, expected);
}

#[test]
fn a_stall_in_the_middle_ends_with_a_timeout_frame_and_never_fails_over() {
    let upstream = Upstream::always(Answer::events().event(&delta("half")).stall());
    let spare = Upstream::well();
    let more = model("slow", "up", "stream_timeout = 250")
        + &provider_key("spare", &spare.url())
        + &model("good", "spare", "")
        + &routing("group", &["slow", "good"], "");
    let gateway = gateway_over(&upstream, &more);
    let mut stream = gateway.stream(&chat_body("group", STREAM));
    let error = last_error(stream.rest());
    assert_eq!(error["type"], "timeout");
    upstream.wait_for_hang_up();
    assert_eq!(spare.count(), 0);
    gateway.settled();
}

#[test]
fn a_deployments_stream_timeout_ends_a_stall_too() {
    let upstream = Upstream::always(Answer::events().event(&delta("half")).stall());
    let gateway = gateway_over(&upstream, "[upstream]\nstream_timeout_ms = 250\n");
    let mut stream = gateway.stream(&chat_body("m", STREAM));
    assert_eq!(last_error(stream.rest())["type"], "timeout");
    upstream.wait_for_hang_up();
    gateway.settled();
}

#[test]
fn a_first_event_that_is_late_fails_over_under_a_models_own_timeout() {
    let comment = |answer: Answer, _| answer.event(": wait\n\n").pause(Duration::from_millis(50));
    let chatty = (0..100).fold(Answer::events(), comment);
    for late in
        [chatty, Answer::events().stall(), Answer::events().event(": wait\n\n").stall(), Answer::silence()]
    {
        let (upstream, spare) = (Upstream::always(late), Upstream::well());
        let more = model("slow", "up", "stream_timeout = 200")
            + &provider_key("spare", &spare.url())
            + &model("good", "spare", "")
            + &routing("group", &["slow", "good"], "");
        let gateway = gateway_over(&upstream, &more);
        let mut stream = gateway.stream(&chat_body("group", STREAM));
        assert_eq!(stream.head.header("x-aisix-served-by"), Some("good"));
        assert!(stream.rest().ends_with(DONE));
        upstream.wait_for_hang_up();
        gateway.settled();
    }
}

#[test]
fn a_silent_stream_is_kept_alive_by_comments() {
    let (start, gate) = (Gate::default(), Gate::default());
    let answer = Answer::events().wait(&start).event(&delta("a")).wait(&gate);
    let upstream = Upstream::always(answer.event(&finish()).event(DONE).end());
    let gateway = gateway_over(&upstream, "[downstream]\nsse_keepalive_interval_secs = 1\n");
    // Before the first event as well: the 200 goes out, and a comment after it.
    let mut stream = gateway.stream(&chat_body("m", STREAM));
    stream.until(":\n\n");
    start.open();
    stream.until("\"a\"");
    let before = stream.until("\"a\"").len();
    let text = stream.until("null}]}\n\n:\n\n");
    assert_eq!(&text[text.len() - 3..], ":\n\n");
    assert!(text.len() > before);
    gate.open();
    let text = stream.rest().to_owned();
    assert!(text.ends_with(DONE), "{text}");
    let frames = text.split("\n\n").filter(|frame| !frame.is_empty() && *frame != ":");
    assert_eq!(frames.count(), 3, "nothing but comments in between: {text}");
}

#[test]
fn the_providers_connection_is_used_again_after_a_stream() {
    let upstream = Upstream::always(Answer::stream(&[&delta("x"), &finish(), DONE]));
    let config =
        provider_key("up", &upstream.url()) + &model("m", "up", "") + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start_single(&config);
    for _ in 0..5 {
        gateway.stream(&chat_body("m", STREAM)).rest();
        gateway.settled();
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.received().iter().map(|request| request.connection).collect::<Vec<_>>(), [0; 5]);
}

#[test]
fn the_callers_connection_is_used_again_after_a_stream() {
    let upstream = Upstream::always(Answer::stream(&[&delta("x"), &finish(), DONE]));
    let gateway = gateway_over(&upstream, "");
    let mut connection = gateway.stream(&chat_body("m", STREAM)).into_connection();
    connection.send(&request_text("GET", "/livez", "", &[], b""));
    connection.response().expect(200);
}

#[test]
fn a_caller_who_leaves_in_the_middle_cancels_the_provider_at_once() {
    let upstream = Upstream::always(Answer::events().event(&delta(&" world".repeat(100))).stall());
    let more = api_key("sk-counted", "\"*\"", "rate_limit = { tpm = 100000, concurrency = 1 }");
    away_from_the_turn_of_the_minute();
    let gateway = gateway_over(&upstream, &more);
    let mut connection = gateway.connect();
    let body = chat_body("m", &format!("{STREAM},\"max_tokens\":50"));
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-counted", &[], body.as_bytes()));
    let mut stream = connection.stream();
    stream.until("world");
    let left = Instant::now();
    stream.leave();
    let noticed = upstream.wait_for_hang_up();
    assert!(noticed - left < Duration::from_secs(1), "{:?}", noticed - left);
    gateway.settled();
    // §5.4: estimated from what was delivered. A hundred words are a hundred tokens, the prompt a few more.
    let scope = gateway
        .gateway
        .snapshot()
        .api_key(&sha256("sk-counted"), Duration::ZERO)
        .and_then(|key| key.rate_limit.clone());
    let standing = gateway.gateway.books.limits.peek(&scope.expect("a limit"), Now::read());
    assert!((100..120).contains(&standing.used_tokens_minute), "{standing:?}");
    assert_eq!(standing.concurrent, 0);
}

fn sha256(text: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).into()
}

#[test]
fn a_caller_who_leaves_before_the_head_cancels_the_provider_at_once() {
    for (answer, more) in
        [(Answer::silence(), ""), (Answer::silence(), STREAM), (Answer::events().stall(), STREAM)]
    {
        let upstream = Upstream::always(answer);
        let gateway = gateway_over(&upstream, "");
        let mut connection = gateway.connect();
        connection.send(&request_text(
            "POST",
            "/v1/chat/completions",
            "sk-test",
            &[],
            chat_body("m", more).as_bytes(),
        ));
        upstream.wait_for_requests(1);
        let left = Instant::now();
        connection.leave();
        let noticed = upstream.wait_for_hang_up();
        assert!(noticed - left < Duration::from_secs(1), "{more}: {:?}", noticed - left);
        gateway.settled();
    }
}

#[test]
fn events_do_not_wait_for_tcp() {
    // Twenty events, each sent once the caller has seen the one before: 40 ms a step would make 800 ms.
    let gates: Vec<Gate> = (0..20).map(|_| Gate::default()).collect();
    let steps = gates.iter().enumerate();
    let answer = steps.fold(Answer::events(), |answer, (number, gate)| {
        answer.event(&delta(&format!("<{number}>"))).wait(gate)
    });
    let upstream = Upstream::always(answer.event(&finish()).event(DONE).end());
    let gateway = gateway_over(&upstream, "");
    let mut stream = gateway.stream(&chat_body("m", STREAM));
    let began = Instant::now();
    for (number, gate) in gates.iter().enumerate() {
        stream.until(&format!("<{number}>"));
        gate.open();
    }
    stream.rest();
    let each = began.elapsed() / 20;
    assert!(each < Duration::from_millis(30), "{each:?} an event");
}

#[test]
fn the_time_of_a_request_counts_all_that_comes_before_its_answer_together() {
    let pause = || Answer::default().pause(Duration::from_millis(300));
    // Each part of the beginning is in time, and not all of them together.
    let opened = pause().then(Answer::events()).then(pause()).event(&delta(""));
    let late = opened.then(pause()).event(&delta("x")).event(&finish()).event(DONE).end();
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let upstream = Upstream::in_turn(vec![late, Answer::default().raw(head.to_vec()).stall()]);
    let rules = "retries = 0\ntotal_timeout = 500\nstream_timeout = 60_000\nttft_timeout = 60_000";
    let gateway = gateway_over(&upstream, &model("patient", "up", rules));
    for _ in 0..2 {
        assert_eq!(gateway.chat(&chat_body("patient", STREAM)).expect(504).error_type(), "timeout");
        gateway.settled();
    }
}
