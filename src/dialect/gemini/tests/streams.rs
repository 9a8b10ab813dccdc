//! Streamed answers, in both directions.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::{chunks, stamp};
use crate::dialect::Usage;
use crate::dialect::chat::{Citation, Event, Finish, Origin, Signature, StreamFault};
use crate::dialect::gemini::{StreamReader, StreamWriter};
use crate::dialect::json::Text;
use crate::error::UpstreamError;

fn text(answer: u32, text: &str) -> Event<'_> {
    Event::Text { answer, text: Text::plain(text) }
}

fn call<'a>(call: u32, id: &'a str) -> Event<'a> {
    Event::ToolCall { answer: 0, call, id: Text::plain(id), name: Text::plain("f") }
}

fn arguments(call: u32, fragment: &str) -> Event<'_> {
    Event::Arguments { answer: 0, call, fragment: Text::plain(fragment) }
}

fn finish(answer: u32, reason: Finish<'static>) -> Event<'static> {
    Event::Finish { answer, reason }
}

fn signature(origin: Origin, data: &str) -> Event<'_> {
    let signature = Signature { origin, data: Text::plain(data) };
    Event::Signature { answer: 0, signature, is_redacted: false }
}

fn parts(chunk: &Value) -> &Value {
    &chunk["candidates"][0]["content"]["parts"]
}

#[test]
fn words_come_at_once_and_the_end_comes_last() {
    let usage = Usage { prompt: 1, completion: 2, total: 3, ..Usage::default() };
    let start = Event::Start { id: Some(Text::plain("theirs")), model: None };
    let written = chunks([start, text(0, "a"), finish(0, Finish::Length), Event::Usage(usage), Event::End]);
    assert_eq!(written.len(), 2);
    let expected = json!({
        "candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}, "index": 0}],
        "modelVersion": "our-model", "responseId": "theirs",
    });
    assert_eq!(written[0], expected);
    let expected = json!({
        "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
        "modelVersion": "our-model", "responseId": "theirs",
    });
    assert_eq!(written[1], expected);
}

#[test]
fn calls_are_written_whole_even_where_their_pieces_interleave() {
    let events = [
        text(0, "t"),
        call(0, "a"),
        arguments(0, "{\"x\":"),
        call(1, "b"),
        arguments(1, "{\n\"y\": 2}"),
        arguments(0, "1}"),
        arguments(7, "lost"),
        call(2, "c"),
        finish(0, Finish::ToolCalls),
    ];
    let written = chunks(events);
    assert_eq!(written.len(), 2);
    let expected = json!([
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
        {"functionCall": {"id": "b", "name": "f", "args": {"y": 2}}},
        {"functionCall": {"id": "c", "name": "f", "args": {}}},
    ]);
    assert_eq!(*parts(&written[1]), expected);
    assert_eq!(written[1]["candidates"][0]["finishReason"], "STOP");
    let written = chunks([call(0, "a"), text(0, "after")]);
    assert_eq!(parts(&written[0])[0]["functionCall"]["id"], "a");
    assert_eq!(parts(&written[1])[0]["text"], "after");
}

#[test]
fn googles_signature_waits_for_its_piece_and_others_stand_with_thoughts() {
    let written = chunks([signature(Origin::Google, "AA=="), call(0, "a"), finish(0, Finish::ToolCalls)]);
    assert_eq!(parts(&written[0])[0]["thoughtSignature"], "AA==");
    assert_eq!(parts(&written[0])[0]["functionCall"]["id"], "a");
    let written = chunks([text(0, "a"), signature(Origin::Google, "AA==")]);
    assert_eq!(*parts(&written[1]), json!([{"text": "", "thoughtSignature": "AA=="}]));
    let thought = Event::Thought { answer: 0, text: Text::plain("hm") };
    let written = chunks([thought, signature(Origin::OpenAi, "x"), text(0, "a")]);
    assert_eq!(*parts(&written[0]), json!([{"text": "hm", "thought": true}]));
    // Base64 of `aisix.openai.x`.
    assert_eq!(
        *parts(&written[1]),
        json!([{"text": "", "thought": true, "thoughtSignature": "YWlzaXgub3BlbmFpLng="}])
    );
    assert_eq!(*parts(&written[2]), json!([{"text": "a"}]));
}

#[test]
fn several_answers_end_together_and_sources_come_last() {
    let citation =
        Citation { url: Some(Text::plain("https://a")), place: Some((1, 2)), ..Citation::default() };
    let cited = Event::Citation { answer: 1, citation: Box::new(citation) };
    let events =
        [text(1, "öä"), cited, text(0, "b"), finish(1, Finish::ContentFilter), finish(0, Finish::Stop)];
    let written = chunks(events);
    let last = &written[2]["candidates"];
    assert_eq!((&last[0]["index"], &last[0]["finishReason"]), (&json!(0), &json!("STOP")));
    assert_eq!((&last[1]["index"], &last[1]["finishReason"]), (&json!(1), &json!("SAFETY")));
    let segment = json!({"startIndex": 2, "endIndex": 4, "text": "ä"});
    let expected = json!({
        "groundingChunks": [{"web": {"uri": "https://a"}}],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
    });
    assert_eq!(last[1]["groundingMetadata"], expected);
}

#[test]
fn a_caller_without_sse_gets_an_array() {
    for (events, length) in [(vec![], 1), (vec![text(0, "a"), text(0, "b")], 3)] {
        let mut writer = StreamWriter::new(stamp()).as_array();
        let mut out = BytesMut::new();
        for event in &events {
            writer.write(event, &mut out);
        }
        writer.close(&mut out);
        writer.close(&mut out);
        let array: Vec<Value> = serde_json::from_slice(&out).expect("an array");
        assert_eq!(array.len(), length);
        assert_eq!(array[length - 1]["candidates"][0]["finishReason"], "STOP");
    }
}

fn failed(data: &str) -> StreamFault {
    StreamReader::default().read(None, data).expect_err("no piece")
}

#[test]
fn errors_inside_a_stream_are_told_by_their_status() {
    let error = json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}});
    for data in [error.to_string(), format!("[{error}]")] {
        let StreamFault::Failed(UpstreamError::Refused(refusal)) = failed(&data) else { panic!("{data}") };
        assert_eq!((refusal.status, &*refusal.message), (Some(429), "slow down"));
        assert_eq!(refusal.code.as_deref(), Some("rate_limit_exceeded"));
    }
    for (code, status, message) in [
        (json!(503), Some(503), "upstream returned 503"),
        (json!("500"), Some(500), "upstream returned 500"),
        (json!(7), None, "the provider reported an error in its answer"),
    ] {
        let data = json!({"error": {"code": code, "message": "secret"}}).to_string();
        let StreamFault::Failed(UpstreamError::Refused(refusal)) = failed(&data) else { panic!("{data}") };
        assert_eq!((refusal.status, &*refusal.message), (status, message));
    }
    for data in ["nonsense", "[]", "7", r#"{"candidates":[{"index":4000000000}]}"#] {
        assert!(matches!(failed(data), StreamFault::Malformed), "{data}");
    }
}

#[test]
fn a_stream_ends_once_and_calls_are_numbered_through() {
    let mut reader = StreamReader::default();
    let call = json!({"functionCall": {"name": "f", "args": {"a": "\n"}}});
    let chunk = json!({"responseId": "r", "candidates": [{"content": {"parts": [call, call]}}]}).to_string();
    let first = reader.read(None, &chunk).expect("reads");
    assert!(matches!(first[0], Event::Start { .. }));
    let ids = |events: &[Event<'_>]| -> Vec<(u32, String)> {
        let id = |event: &Event<'_>| match event {
            Event::ToolCall { call, id, .. } => Some((*call, id.decode().into_owned())),
            _ => None,
        };
        events.iter().filter_map(id).collect()
    };
    assert_eq!(ids(&first), [(0, "call_r_0".to_owned()), (1, "call_r_1".to_owned())]);
    let fragment = Event::Arguments { answer: 0, call: 0, fragment: Text::plain(r#"{"a":"\n"}"#) };
    assert_eq!(first[2], fragment);
    let second = reader.read(None, &chunk).expect("reads");
    assert_eq!(ids(&second), [(2, "call_r_2".to_owned()), (3, "call_r_3".to_owned())]);
    let end = r#"{"candidates":[{"finishReason":"STOP"}]}"#;
    assert_eq!(reader.read(None, end).expect("reads").as_slice(), [finish(0, Finish::ToolCalls)]);
    assert!(reader.read(None, end).expect("reads").is_empty());
}

#[test]
fn a_refused_prompt_ends_a_stream() {
    let mut reader = StreamReader::default();
    let events = reader.read(None, r#"{"promptFeedback":{"blockReason":"OTHER"}}"#).expect("reads");
    assert_eq!(events.last(), Some(&finish(0, Finish::ContentFilter)));
}
