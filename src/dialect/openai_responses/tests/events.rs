//! Streams, rule by rule.

use serde_json::{Value, json};

use super::*;
use crate::dialect::Usage;
use crate::dialect::chat::{Citation, Finish, Origin, Signature};
use crate::dialect::json::Text;
use crate::error::UpstreamError;

fn text(text: &'static str) -> Event<'static> {
    Event::Text { answer: 0, text: Text::plain(text) }
}

fn thought(text: &'static str) -> Event<'static> {
    Event::Thought { answer: 0, text: Text::plain(text) }
}

fn signature(origin: Origin, data: &'static str) -> Event<'static> {
    let signature = Signature { origin, data: Text::plain(data) };
    Event::Signature { answer: 0, signature, is_redacted: false }
}

fn call(call: u32, id: &'static str) -> Event<'static> {
    Event::ToolCall { answer: 0, call, id: Text::plain(id), name: Text::plain("f") }
}

fn arguments(call: u32, fragment: &'static str) -> Event<'static> {
    Event::Arguments { answer: 0, call, fragment: Text::plain(fragment) }
}

fn types(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["type"].as_str()?.strip_prefix("response.")).collect()
}

/// What these frames mean, joined.
fn read(frames: &[Value]) -> Result<Vec<Event<'static>>, StreamFault> {
    let texts: Vec<_> = frames.iter().map(|frame| (None, frame.to_string())).collect();
    let texts: &'static [_] = texts.leak();
    events_of(texts)
}

#[test]
fn every_kind_of_piece_opens_and_closes_its_own_item() {
    let url = Citation { url: Some(Text::plain("https://x")), ..Citation::default() };
    let frames = stream_written(&[
        Event::Start { id: Some(Text::plain("chatcmpl-1")), model: None },
        thought("hm"),
        signature(Origin::Anthropic, "s"),
        text("a"),
        Event::Citation { answer: 0, citation: Box::new(url) },
        Event::Refusal { answer: 0, text: Text::plain("no") },
        call(0, "c0"),
        arguments(0, "{}"),
        Event::Finish { answer: 0, reason: Finish::ToolCalls },
        Event::Usage(Usage { prompt: 1, completion: 2, total: 3, ..Usage::default() }),
        Event::End,
    ]);
    assert_eq!(
        types(&frames),
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.annotation.added",
            "output_text.done",
            "content_part.done",
            "content_part.added",
            "refusal.delta",
            "refusal.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    let last = meaning::check_stream(&frames);
    assert_eq!((&last["id"], &last["usage"]["total_tokens"]), (&json!("resp_0a1b"), &json!(3)));
    assert_eq!(last["output"][0]["encrypted_content"], "aisix.anthropic.s");
    assert_eq!(last["output"][1]["content"][0]["annotations"][0]["end_index"], 1);
    assert_eq!(frames[0]["response"]["status"], "in_progress");
    assert!(frames[0]["response"]["usage"].is_null());
}

#[test]
fn an_answer_of_nothing_is_still_an_answer() {
    let frames = stream_written(&[]);
    assert_eq!(types(&frames), ["created", "in_progress", "completed"]);
    assert_eq!(meaning::check_stream(&frames)["usage"]["input_tokens"], 0);
}

#[test]
fn an_answer_that_was_cut_short_says_so_in_its_last_item() {
    let frames =
        stream_written(&[text("a"), Event::Finish { answer: 0, reason: Finish::Length }, Event::End]);
    let last = meaning::check_stream(&frames);
    assert_eq!(types(&frames).last(), Some(&"incomplete"));
    assert_eq!((&last["status"], &last["output"][0]["status"]), (&json!("incomplete"), &json!("incomplete")));
    assert_eq!(last["incomplete_details"], json!({"reason": "max_output_tokens"}));
}

#[test]
fn arguments_may_come_interleaved_and_other_answers_are_left_out() {
    let frames = stream_written(&[
        call(0, "c"),
        call(1, "c"),
        arguments(1, "{\"b\""),
        arguments(0, "{}"),
        arguments(1, ":1}"),
        arguments(7, "lost"),
        Event::Text { answer: 1, text: Text::plain("other") },
        call(1, "again"),
    ]);
    let last = meaning::check_stream(&frames);
    let calls: Vec<_> =
        last["output"].as_array().expect("items").iter().map(|c| (&c["call_id"], &c["arguments"])).collect();
    assert_eq!(calls, [(&json!("c"), &json!("{}")), (&json!("c_1"), &json!("{\"b\":1}"))]);
}

#[test]
fn log_probabilities_stand_where_their_words_end() {
    let frames = stream_written(&[
        text("a"),
        Event::Logprobs { answer: 0, json: r#"{"content":[{"token":"a"}],"refusal":null}"#.into() },
        text("b"),
        Event::Logprobs { answer: 0, json: r#"{"content":[{"token":"b"}]}"#.into() },
    ]);
    let part = &meaning::check_stream(&frames)["output"][0]["content"][0];
    assert_eq!(part["logprobs"], json!([{"token": "a"}, {"token": "b"}]));
}

#[test]
fn a_providers_own_reasoning_keeps_its_id() {
    let frames = stream_written(&[
        signature(Origin::OpenAi, "rs_9:xyz"),
        thought("hm"),
        signature(Origin::OpenAi, "rs_8:uvw"),
    ]);
    let last = meaning::check_stream(&frames);
    let ids = |place: usize| {
        (last["output"][place]["id"].clone(), last["output"][place]["encrypted_content"].clone())
    };
    assert_eq!(ids(0), (json!("rs_9"), json!("xyz")));
    // The item was announced before its id was known, so the id travels with the content.
    assert_eq!(ids(1), (json!("rs_0a1b_1"), json!("rs_8:uvw")));
}

#[test]
fn thoughts_of_several_parts_are_paragraphs() {
    let delta = |item: u64, part: u64, delta: &str| json!({"type": "response.reasoning_summary_text.delta", "output_index": item, "summary_index": part, "delta": delta});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "ab"}, {"type": "summary_text", "text": "c"}], "encrypted_content": "x"}});
    let events =
        read(&[delta(0, 0, "a"), delta(0, 0, "b"), delta(0, 1, "c"), done, delta(1, 0, "d")]).expect("reads");
    let expected = [
        thought("a"),
        thought("b"),
        thought("\n\n"),
        thought("c"),
        signature(Origin::OpenAi, "rs_1:x"),
        thought("d"),
    ];
    assert_eq!(events, expected);
}

#[test]
fn what_comes_without_deltas_is_read_from_the_items() {
    let done = |index: u64, item: Value| json!({"type": "response.output_item.done", "output_index": index, "item": item});
    let function = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let added = json!({"type": "response.output_item.added", "output_index": 3, "item":
        {"type": "function_call", "call_id": "d", "name": "f", "arguments": ""}});
    let events = read(&[
        done(
            0,
            json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}),
        ),
        done(1, json!({"type": "message", "content": [{"type": "output_text", "text": "a"}]})),
        done(2, function),
        added,
        json!({"type": "response.function_call_arguments.done", "output_index": 3, "arguments": "[]"}),
        json!({"type": "response.completed", "response": {"status": "completed", "usage": null}}),
    ]);
    let finish = Event::Finish { answer: 0, reason: Finish::ToolCalls };
    let expected = [
        thought("hm"),
        text("a"),
        call(0, "c"),
        arguments(0, "{}"),
        call(1, "d"),
        arguments(1, "[]"),
        finish,
        Event::End,
    ];
    assert_eq!(events.expect("reads"), expected);
}

#[test]
fn a_provider_that_gives_up_is_not_quoted_unless_the_fault_is_the_callers() {
    let failed = |frame: &str| {
        let read = StreamReader::default().read(Some(b"error"), Box::leak(frame.to_owned().into_boxed_str()));
        let Err(StreamFault::Failed(UpstreamError::Refused(refusal))) = read else { panic!("{frame}") };
        (refusal.status, refusal.message.clone(), refusal.code.clone())
    };
    let unknown = (None, "the provider reported an error in its answer".to_owned(), None);
    assert_eq!(failed(r#"{"type":"error","code":"server_error","message":"host x","param":null}"#), unknown);
    assert_eq!(
        failed(r#"{"type":"error","error":{"code":"insufficient_quota","message":"org x"}}"#),
        unknown
    );
    let response = r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"x","message":"y"}}}"#;
    assert_eq!(failed(response), unknown);
    let late = (Some(429), "slow".to_owned(), None);
    assert_eq!(failed(r#"{"error":{"code":"429","message":"slow"}}"#), late);
    for frame in
        ["{", "[]", r#"{"type":"response.completed"}"#, r#"{"type":"response.output_item.added","item":1}"#]
    {
        assert!(matches!(StreamReader::default().read(None, frame), Err(StreamFault::Malformed)), "{frame}");
    }
    for frame in [r#"{"type":"response.new.thing","x":1}"#, r#"{"type":"keepalive"}"#, "[DONE]"] {
        assert!(StreamReader::default().read(None, frame).expect("reads").is_empty(), "{frame}");
    }
}

#[test]
fn an_answer_repeats_what_was_asked_of_it() {
    let request = "{\"model\":\"m\",\"instructions\":\"be\\nbrief\",\"tools\":[\n{\"type\":\"function\"}\r\n],\"user\":null,\"top_p\":0.50}";
    let request = RawObject::parse(Bytes::from_static(request.as_bytes())).expect("an object");
    let stamp = Stamp { echo: Some(echo(&request)), ..stamp() };
    let (mut writer, mut out) = (StreamWriter::new(stamp.clone()), BytesMut::new());
    writer.write(&text("a"), &mut out);
    writer.close(&mut out);
    let found: Vec<Value> =
        frames(&out, 64).into_iter().map(|(_, data)| serde_json::from_str(&data).expect("JSON")).collect();
    let mut responses: Vec<Value> =
        found.into_iter().filter_map(|data| data.get("response").cloned()).collect();
    assert_eq!(responses.len(), 3);
    out.clear();
    write_reply(&Reply::default(), &stamp, &mut out);
    assert!(out.windows(12).any(|bytes| bytes == b"\"top_p\":0.50"), "it is not spelled anew");
    responses.push(serde_json::from_slice(&out).expect("JSON"));
    for response in responses {
        assert_eq!(response["instructions"], "be\nbrief");
        assert_eq!(response["tools"][0]["type"], "function");
        assert_eq!((&response["user"], &response["tool_choice"]), (&Value::Null, &"auto".into()));
    }
}
