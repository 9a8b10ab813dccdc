//! The dialect, by table and over recordings.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::Usage;
use crate::dialect::chat::{
    Conversation, Dropped, Event, Finish, Part, Role, StreamFault, Thinking, Tool, ToolChoice, Turn, Words,
};
use crate::dialect::json::Text;
use crate::dialect::openai_chat::neutral;
use crate::dialect::raw::RawObject;
use crate::dialect::sse::Reader;
use crate::error::UpstreamError;

mod embeddings;

/// Recordings whose name begins so, as (id, the whole).
fn recordings(prefix: &str) -> Vec<(String, Value)> {
    neutral::tests::recorded(|entry| entry["id"].as_str().is_some_and(|id| id.starts_with(prefix)))
}

fn object(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).expect("an object")
}

fn written(conversation: &Conversation<'_>) -> (Value, String) {
    let (mut out, mut dropped) = (BytesMut::new(), Dropped::default());
    write_request(conversation, "own", &mut dropped, &mut out);
    (serde_json::from_slice(&out).expect("JSON"), dropped.to_line())
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The messages of a request, one line each.
fn lines(body: &Value) -> Vec<String> {
    let line = |message: &Value| {
        let said = match &message["content"] {
            Value::Array(parts) => parts
                .iter()
                .map(|part| string(&part["text"]) + part["image_url"]["url"].as_str().unwrap_or_default())
                .collect(),
            content => string(content),
        };
        let calls: Vec<_> = message["tool_calls"].as_array().into_iter().flatten().collect();
        format!("{}:{said}{calls:?}{}", message["role"], message["tool_call_id"])
    };
    body["messages"].as_array().expect("messages").iter().map(line).collect()
}

/// Recorded requests are OpenAI's but for a few names, so that the reader of that dialect gives the conversation.
#[test]
fn recorded_requests_are_written_as_they_were_sent() {
    for (id, recording) in recordings("cohere-chat") {
        let body = &recording["request"]["body"];
        if body["messages"].is_null() {
            continue;
        }
        let mut asked = body.clone();
        asked["stop"] = asked["stop_sequences"].take();
        if let Some(word) = body["tool_choice"].as_str() {
            asked["tool_choice"] = word.to_lowercase().into();
        }
        let object = object(&asked.to_string());
        let conversation = neutral::read_request(&object, &mut Dropped::default())
            .unwrap_or_else(|error| panic!("{id}: {error}"));
        let (again, dropped) = written(&conversation);
        assert_eq!(lines(&again), lines(body), "{id}");
        for name in ["tools", "tool_choice", "stop_sequences", "temperature", "stream", "response_format"] {
            assert_eq!(again[name], body[name], "{id}: {name}");
        }
        assert!(["", "messages.thinking"].contains(&&*dropped), "{id}: {dropped}");
    }
}

/// What an answer says: thoughts, words, calls, finish, usage.
#[derive(Debug, Default, PartialEq)]
struct Said {
    thoughts: String,
    words: String,
    calls: Vec<[String; 3]>,
    finish: String,
    sources: usize,
    usage: (u64, u64),
}

impl Said {
    fn count(&mut self, end: &Value) {
        self.finish = match end["finish_reason"].as_str().expect("a reason") {
            "COMPLETE" | "STOP_SEQUENCE" => "stop",
            "TOOL_CALL" => "tool_calls",
            "MAX_TOKENS" => "length",
            other => panic!("{other}"),
        }
        .to_owned();
        let billed = &end["usage"]["billed_units"];
        let number = |name: &str| billed[name].as_f64().expect("a number") as u64;
        self.usage = (number("input_tokens"), number("output_tokens"));
    }

    fn call(&mut self, call: &Value) {
        let function = &call["function"];
        self.calls.push([string(&call["id"]), string(&function["name"]), string(&function["arguments"])]);
    }

    fn cite(&mut self, citation: &Value) {
        self.sources += citation["sources"].as_array().map_or(0, Vec::len);
    }
}

fn usage_of(usage: Option<Usage>) -> (u64, u64) {
    usage.map_or((0, 0), |usage| (usage.prompt, usage.completion))
}

#[test]
fn recorded_replies_are_read() {
    for (id, recording) in recordings("cohere-chat") {
        let body = &recording["response"]["body"];
        if recording["response"]["status"] != 200 || !body.is_object() {
            continue;
        }
        let mut wanted = Said::default();
        let message = &body["message"];
        for piece in message["content"].as_array().into_iter().flatten() {
            wanted.thoughts += &string(&piece["thinking"]);
            wanted.words += &string(&piece["text"]);
        }
        wanted.thoughts += &string(&message["tool_plan"]);
        message["tool_calls"].as_array().into_iter().flatten().for_each(|call| wanted.call(call));
        message["citations"].as_array().into_iter().flatten().for_each(|citation| wanted.cite(citation));
        wanted.count(body);
        let text = body.to_string();
        let reply = read_reply(&text).unwrap_or_else(|error| panic!("{id}: {error}"));
        let mut found = Said { usage: usage_of(reply.usage), ..Said::default() };
        found.finish = reply.answers[0].finish.label().to_owned();
        for part in &reply.answers[0].parts {
            match part {
                Part::Text(words) => {
                    found.words += &words.text.decode();
                    found.sources += words.citations.len();
                }
                Part::Thought(own) => found.thoughts += &own.text.decode(),
                Part::ToolCall(call) => found.calls.push([
                    call.id.decode().into_owned(),
                    call.name.decode().into_owned(),
                    call.arguments.as_text().decode().into_owned(),
                ]),
                other => panic!("{id}: {other:?}"),
            }
        }
        assert_eq!(found, wanted, "{id}");
    }
}

#[test]
fn recorded_streams_are_read() {
    let mut count = 0;
    for (id, recording) in recordings("cohere-chat") {
        let Some(sse) = recording["response"]["sse"].as_str() else { continue };
        count += 1;
        let (mut source, mut reader) = (Reader::default(), StreamReader::default());
        source.push(Bytes::from(sse.to_owned()));
        let (mut wanted, mut found) = (Said::default(), Said::default());
        let (mut starts, mut ends) = (0, 0);
        while let Ok(Some(frame)) = source.next_frame() {
            let Some(data) = frame.data() else { continue };
            let data = String::from_utf8_lossy(&data).into_owned();
            if let Ok(event) = serde_json::from_str::<Value>(&data) {
                let message = &event["delta"]["message"];
                wanted.thoughts +=
                    &(string(&message["content"]["thinking"]) + &string(&message["tool_plan"]));
                wanted.words += &string(&message["content"]["text"]);
                match event["type"].as_str().expect("a type") {
                    "tool-call-start" => wanted.call(&message["tool_calls"]),
                    "tool-call-delta" => {
                        let call = event["index"].as_u64().expect("an index") as usize;
                        wanted.calls[call][2] += &string(&message["tool_calls"]["function"]["arguments"]);
                    }
                    "citation-start" => wanted.cite(&message["citations"]),
                    "message-end" => wanted.count(&event["delta"]),
                    _ => {}
                }
            }
            for event in reader.read(frame.event(), &data).unwrap_or_else(|fault| panic!("{id}: {fault:?}")) {
                match event {
                    Event::Start { .. } => starts += 1,
                    Event::Text { text, .. } => found.words += &text.decode(),
                    Event::Thought { text, .. } => found.thoughts += &text.decode(),
                    Event::ToolCall { call, id, name, .. } => {
                        assert_eq!(call as usize, found.calls.len());
                        found.calls.push([
                            id.decode().into_owned(),
                            name.decode().into_owned(),
                            String::new(),
                        ]);
                    }
                    Event::Arguments { call, fragment, .. } => {
                        found.calls[call as usize][2] += &fragment.decode();
                    }
                    Event::Citation { .. } => found.sources += 1,
                    Event::Finish { reason, .. } => found.finish += reason.label(),
                    Event::Usage(usage) => found.usage = usage_of(Some(usage)),
                    Event::End => ends += 1,
                    other => panic!("{id}: {other:?}"),
                }
            }
        }
        assert_eq!((starts, found), (1, wanted), "{id}");
        // One was rebuilt from its events, without the last word.
        assert!(ends == 1 || id.ends_with("fe47b41"), "{id}");
    }
    assert!(count == 0 || count >= 7);
}

#[test]
fn recorded_errors_give_their_words() {
    for (id, recording) in recordings("cohere-") {
        let status = recording["response"]["status"].as_u64().expect("a status") as u16;
        if status < 400 {
            continue;
        }
        let body = &recording["response"]["body"];
        let refusal = read_error(status, body.to_string().as_bytes());
        assert_eq!((refusal.status, refusal.message), (Some(status), string(&body["message"])), "{id}");
    }
}

fn text(plain: &'static str) -> Text<'static> {
    Text::plain(plain)
}

fn tool(name: &'static str, strict: Option<bool>) -> Tool<'static> {
    Tool { name: text(name), description: None, parameters: None, strict, cache: None }
}

#[test]
fn one_tool_that_must_be_called_is_offered_alone() {
    let conversation = |choice| Conversation {
        tools: vec![tool("f", Some(true)), tool("g", None)],
        tool_choice: Some(choice),
        ..Conversation::default()
    };
    let (body, dropped) = written(&conversation(ToolChoice::Named(text("f"))));
    assert_eq!((&body["tool_choice"], &body["strict_tools"]), (&"REQUIRED".into(), &true.into()));
    assert_eq!((body["tools"].as_array().map(Vec::len), dropped.as_str()), (Some(1), ""));
    let (body, dropped) = written(&conversation(ToolChoice::Named(text("h"))));
    assert_eq!((&body["tool_choice"], dropped.as_str()), (&Value::Null, "tools.strict, tool_choice"));
    assert_eq!(written(&conversation(ToolChoice::None)).0["tool_choice"], "NONE");
    assert_eq!(written(&conversation(ToolChoice::Auto)).0["tool_choice"], Value::Null);
}

#[test]
fn settings_have_their_names_here_and_the_others_are_reported() {
    let mut conversation = Conversation {
        turns: vec![Turn {
            role: Role::User,
            name: Some(text("N")),
            parts: vec![Part::Text(Words { text: text("hi"), ..Words::default() })],
        }],
        max_output_tokens: Some(5),
        stop: vec![text("x")],
        thinking: Some(Thinking::Budget(500)),
        answers: Some(2),
        logprobs: Some(0),
        user: Some(text("u")),
        parallel_tool_calls: Some(false),
        ..Conversation::default()
    };
    conversation.sampling.top_p = Some("0.5");
    conversation.sampling.top_k = Some("9");
    conversation.openai.push(("store", "true"));
    let (body, dropped) = written(&conversation);
    let wanted = json!({"model": "own", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5,
        "p": 0.5, "k": 9, "stop_sequences": ["x"], "thinking": {"type": "enabled", "token_budget": 500},
        "stream": false});
    assert_eq!(body, wanted);
    assert_eq!(dropped, "messages.name, parallel_tool_calls, n, logprobs, user, store");
    conversation.thinking = Some(Thinking::Off);
    assert_eq!(written(&conversation).0["thinking"], json!({"type": "disabled"}));
}

#[test]
fn the_end_says_why() {
    for (word, calls, wanted) in [
        ("COMPLETE", false, Some(Finish::Stop)),
        ("COMPLETE", true, Some(Finish::ToolCalls)),
        ("STOP_SEQUENCE", false, Some(Finish::StopSequence(None))),
        ("MAX_TOKENS", true, Some(Finish::Length)),
        ("TOOL_CALL", true, Some(Finish::ToolCalls)),
        ("ERROR_TOXIC", false, Some(Finish::ContentFilter)),
        ("ERROR", false, None),
        ("TIMEOUT", false, None),
    ] {
        assert_eq!(reply::finish(Some(&Text::plain(word)), calls).ok(), wanted, "{word}");
    }
}

#[test]
fn usage_is_what_is_billed_else_what_was_counted() {
    let both = r#"{"billed_units":{"input_tokens":25.0,"output_tokens":9},"tokens":{"input_tokens":91,"output_tokens":11,"reasoning_tokens":4},"cached_tokens":80}"#;
    let wanted = Usage { prompt: 25, completion: 9, reasoning: 4, total: 34, ..Usage::default() };
    assert_eq!(reply::usage(both), Some(wanted));
    let counted = r#"{"tokens":{"input_tokens":91,"output_tokens":11},"cached_tokens":80}"#;
    let wanted = Usage { prompt: 91, completion: 11, cached: 80, total: 102, ..Usage::default() };
    assert_eq!(reply::usage(counted), Some(wanted));
    assert_eq!(reply::usage("{}"), None);
}

#[test]
fn errors_in_a_stream_are_told_from_what_is_not_readable() {
    let fault = |event: Option<&[u8]>, data| StreamReader::default().read(event, data).expect_err(data);
    assert!(matches!(fault(None, "{"), StreamFault::Malformed));
    let odd = r#"{"type":"content-delta","delta":{"message":{"content":1}}}"#;
    assert!(matches!(fault(None, odd), StreamFault::Malformed));
    for data in [
        r#"{"message":"no"}"#,
        r#"{"type":"message-end","delta":{"error":"boom"}}"#,
        r#"{"type":"message-end","delta":{"finish_reason":"ERROR"}}"#,
    ] {
        let StreamFault::Failed(UpstreamError::Refused(refusal)) = fault(None, data) else {
            panic!("{data}")
        };
        assert_eq!(refusal.message, "the provider reported an error in its answer", "{data}");
    }
    let other = StreamReader::default().read(None, r#"{"type":"debug","delta":{}}"#).expect("reads");
    assert!(other.is_empty());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(
        text in "\\PC*",
        kind in prop::sample::select(&["content-delta", "tool-call-start", "tool-call-delta", "citation-start", "message-end"][..]),
        value in prop::sample::select(&["null", "1", "{}", "[]", "\"a\"", "{\"content\":{\"text\":\"a\"}}", "{\"tool_calls\":{\"id\":\"1\",\"function\":{}}}", "{\"citations\":{}}"][..]),
    ) {
        let _ = read_reply(&text);
        let _ = read_reply(&format!("{{\"message\":{value}}}"));
        let mut reader = StreamReader::default();
        let _ = reader.read(None, &text);
        let _ = reader.read(None, &format!("{{\"type\":\"{kind}\",\"delta\":{{\"message\":{value}}}}}"));
        let _ = reader.read(None, &format!("{{\"type\":\"{kind}\",\"delta\":{value}}}"));
        let _ = embed::read_reply(&text, "\"m\"", true, &mut BytesMut::new());
    }
}
