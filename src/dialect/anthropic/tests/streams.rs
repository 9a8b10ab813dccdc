//! Streams, by table.

use serde_json::json;

use super::super::super::Usage;
use super::super::super::chat::{Citation, Event, Finish, Origin, Signature, StreamFault};
use super::super::super::json::Text;
use super::*;

fn text(words: &'static str) -> Event<'static> {
    Event::Text { answer: 0, text: Text::plain(words) }
}

fn call(call: u32, id: &'static str) -> Event<'static> {
    Event::ToolCall { answer: 0, call, id: Text::plain(id), name: Text::plain("f") }
}

fn arguments(call: u32, fragment: &'static str) -> Event<'static> {
    Event::Arguments { answer: 0, call, fragment: Text::plain(fragment) }
}

fn finish(reason: Finish<'static>) -> Event<'static> {
    Event::Finish { answer: 0, reason }
}

fn thought(words: &'static str) -> Event<'static> {
    Event::Thought { answer: 0, text: Text::plain(words) }
}

fn signature(origin: Origin, is_redacted: bool) -> Event<'static> {
    Event::Signature { answer: 0, signature: Signature { origin, data: Text::plain("s") }, is_redacted }
}

fn usage() -> Usage {
    Usage { prompt: 7, completion: 3, total: 10, ..Usage::default() }
}

/// The names of the frames of a stream, with the index where there is one.
fn order(events: &[Event<'_>]) -> Vec<String> {
    let frames = client::frames(&streamed(events));
    let name = |(name, data): &(String, Value)| match &data["index"] {
        Value::Null => name.clone(),
        index => format!("{name} {index}"),
    };
    frames.iter().map(name).collect()
}

fn content(events: &[Event<'_>]) -> Value {
    client::message(&client::frames(&streamed(events)))["content"].clone()
}

#[test]
fn words_and_then_a_tool_come_in_the_order_of_the_contract() {
    let events = [
        Event::Start { id: Some(Text::plain("chatcmpl-1")), model: Some(Text::plain("gpt")) },
        text("a"),
        text("b"),
        call(0, "t"),
        arguments(0, "{\"a\""),
        arguments(0, ":1}"),
        finish(Finish::ToolCalls),
        Event::Usage(usage()),
        Event::End,
    ];
    let wanted = [
        "message_start",
        "content_block_start 0",
        "content_block_delta 0",
        "content_block_delta 0",
        "content_block_stop 0",
        "content_block_start 1",
        "content_block_delta 1",
        "content_block_delta 1",
        "content_block_stop 1",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(order(&events), wanted);
    let sse = streamed(&events);
    let start = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_0123","type":"message","role":"assistant","model":"mine","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}

"#;
    assert!(sse.starts_with(start), "{sse}");
    let end = r#"event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":7,"output_tokens":3}}

event: message_stop
data: {"type":"message_stop"}

"#;
    assert!(sse.ends_with(end), "{sse}");
}

#[test]
fn nothing_is_written_before_the_first_piece_and_usage_known_by_then_stands_at_the_beginning() {
    let (mut writer, mut out) = (StreamWriter::new(stamp()), BytesMut::new());
    for event in [Event::Start { id: None, model: None }, Event::Usage(usage()), text(""), thought("")] {
        writer.write(&event, &mut out);
    }
    assert!(out.is_empty());
    writer.write(&text("a"), &mut out);
    let frames = client::frames(std::str::from_utf8(&out).expect("text"));
    assert_eq!(frames[0].1["message"]["usage"], json!({"input_tokens": 7, "output_tokens": 3}));
}

#[test]
fn thoughts_end_where_something_else_begins() {
    let events = [
        thought("a"),
        thought("b"),
        signature(Origin::Anthropic, false),
        thought("c"),
        signature(Origin::Google, true),
        text("d"),
        signature(Origin::Google, false),
        call(0, "t"),
    ];
    let wanted = json!([
        {"type": "thinking", "thinking": "ab", "signature": "s"},
        {"type": "thinking", "thinking": "c", "signature": ""},
        {"type": "redacted_thinking", "data": "aisix.google.s"},
        {"type": "text", "text": "d"},
        {"type": "thinking", "thinking": "", "signature": "aisix.google.s"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
    ]);
    assert_eq!(content(&events), wanted);
    let stops: Vec<_> = order(&events).into_iter().filter(|name| name.contains("stop ")).collect();
    let wanted = [0, 1, 2, 3, 4, 5].map(|index| format!("content_block_stop {index}"));
    assert_eq!(stops, wanted);
}

#[test]
fn pieces_of_several_calls_may_come_mixed() {
    let events = [
        arguments(1, "lost"),
        call(0, "t"),
        call(1, "u"),
        call(1, "again"),
        arguments(0, "{\"a\":"),
        arguments(1, "{}"),
        arguments(0, "1}"),
        finish(Finish::Stop),
        arguments(0, "late"),
    ];
    let call = |id: &str, input: Value| json!({"type": "tool_use", "id": id, "name": "f", "input": input});
    assert_eq!(content(&events), json!([call("t", json!({"a": 1})), call("u", json!({}))]));
    assert!(streamed(&events).contains(r#""stop_reason":"tool_use""#));
}

#[test]
fn blocks_come_one_after_the_other_unless_pieces_of_calls_come_mixed() {
    let events = [
        thought("a"),
        text("b"),
        call(0, "t"),
        arguments(0, "{\"a\":"),
        arguments(0, "1}"),
        call(1, "u"),
        arguments(1, "{"),
        text("c"),
        arguments(1, "}"),
        call(2, "v"),
        finish(Finish::ToolCalls),
    ];
    let is_border = |name: &String| name.starts_with("content_block_st");
    let found: Vec<_> = order(&events).into_iter().filter(is_border).collect();
    let wanted = [
        "start 0", "stop 0", "start 1", "stop 1", "start 2", "stop 2", "start 3", "start 4", "stop 3",
        "stop 4", "start 5", "stop 5",
    ];
    assert_eq!(found, wanted.map(|name| format!("content_block_{name}")));
}

#[test]
fn what_follows_words_with_a_source_is_another_block() {
    let cited = Citation { url: Some(Text::plain("u")), ..Citation::default() };
    let citation = || Event::Citation { answer: 0, citation: Box::new(cited.clone()) };
    let events = [citation(), text("a"), citation(), citation(), text("b"), call(0, "t"), citation()];
    let content = content(&events);
    let seen = |block: &Value| {
        (block["text"].as_str().map(str::to_owned), block["citations"].as_array().map_or(0, Vec::len))
    };
    let found: Vec<_> = content.as_array().expect("content").iter().map(seen).collect();
    let wanted = [(Some(""), 1), (Some("a"), 2), (Some("b"), 0), (None, 0), (Some(""), 1)];
    assert_eq!(found, wanted.map(|(text, citations)| (text.map(str::to_owned), citations)));
}

#[test]
fn an_empty_stream_still_has_a_block() {
    assert_eq!(content(&[]), json!([{"type": "text", "text": ""}]));
    let other = [Event::Text { answer: 1, text: Text::plain("a") }, finish(Finish::Length)];
    let message = client::message(&client::frames(&streamed(&other)));
    assert_eq!((&message["content"][0]["text"], &message["stop_reason"]), (&json!(""), &json!("max_tokens")));
}

#[test]
fn a_refusal_is_words_and_a_reason() {
    let events = [Event::Refusal { answer: 0, text: Text::plain("no") }, finish(Finish::Refusal)];
    let message = client::message(&client::frames(&streamed(&events)));
    assert_eq!((&message["content"][0]["text"], &message["stop_reason"]), (&json!("no"), &json!("refusal")));
}

/// The events of some data, without their names.
fn read(data: &[&'static str]) -> Vec<Event<'static>> {
    let mut reader = StreamReader::default();
    data.iter().flat_map(|data| reader.read(None, data).expect("reads")).collect()
}

#[test]
fn a_calls_input_may_come_at_once_in_pieces_or_not_at_all() {
    let begin = |input: &'static str| match input {
        "{}" => {
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#
        }
        _ => {
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"a":1}}}"#
        }
    };
    let piece = r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"b\":2}"}}"#;
    let end = r#"{"type":"content_block_stop","index":3}"#;
    for (data, wanted) in [
        (vec![begin("{}"), piece, end], r#"{"b":2}"#),
        (vec![begin("{}"), end], "{}"),
        (vec![begin("full"), end], r#"{"a":1}"#),
        (vec![begin("full"), piece, end], r#"{"b":2}"#),
        (vec![begin("full"), r#"{"type":"message_stop"}"#], r#"{"a":1}"#),
    ] {
        let events = read(&data);
        assert_eq!(events[0], call(0, "t"));
        assert_eq!(events[1], Event::Arguments { answer: 0, call: 0, fragment: Text::owned(wanted) });
    }
}

#[test]
fn later_usage_replaces_what_it_names_and_keeps_the_rest() {
    let events = read(&[
        r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":4,"cache_read_input_tokens":6,"output_tokens":1}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5,"output_tokens_details":{"thinking_tokens":2}}}"#,
    ]);
    let first = Usage { prompt: 10, cached: 6, completion: 1, total: 11, ..Usage::default() };
    assert_eq!(events[1], Event::Usage(first));
    let last = Usage { completion: 5, reasoning: 2, total: 15, ..first };
    assert_eq!(events[2..], [finish(Finish::Stop), Event::Usage(last)]);
}

#[test]
fn anthropics_own_tools_and_unknown_events_are_left_out() {
    let events = read(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"t","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"something_new","index":9}"#,
        "{}",
    ]);
    assert_eq!(events, []);
}

#[test]
fn an_end_without_a_reason_is_still_an_end() {
    assert_eq!(read(&[r#"{"type":"message_stop"}"#]), [finish(Finish::Stop), Event::End]);
}

#[test]
fn failures_are_told_from_what_cannot_be_read() {
    let fault = |event: Option<&'static str>, data: &'static str| {
        let read = StreamReader::default().read(event.map(str::as_bytes), data).map(|_| ());
        match read {
            Ok(()) => "read".to_owned(),
            Err(StreamFault::Malformed) => "malformed".to_owned(),
            Err(StreamFault::Failed(UpstreamError::Refused(refusal))) => {
                format!("{:?} {refusal}", refusal.status)
            }
            Err(StreamFault::Failed(error)) => panic!("{error:?}"),
        }
    };
    for (event, data, wanted) in [
        (None, "", "malformed"),
        (None, "[1]", "malformed"),
        (None, r#"{"type":"message_start"}"#, "malformed"),
        (None, r#"{"type":"content_block_start","index":0,"content_block":{"type":"text"}}"#, "malformed"),
        (Some("ping"), "{}", "read"),
        (
            None,
            r#"{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}}"#,
            "Some(529) upstream returned 529",
        ),
        (
            Some("error"),
            r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#,
            "Some(429) slow down",
        ),
        (Some("error"), r#"{"message":"?"}"#, "None the provider reported an error in its answer"),
    ] {
        assert_eq!(fault(event, data), wanted, "{data}");
    }
}
