//! Any input to every reader, any order of events to the writer.

use proptest::prelude::*;

use super::*;
use crate::dialect::Usage;
use crate::dialect::chat::{Citation, Finish, Origin, Signature};

/// Names that the readers know, so that random objects reach far into them.
const NAMES: &[&str] = &[
    "messages",
    "role",
    "content",
    "type",
    "text",
    "tool_calls",
    "id",
    "index",
    "function",
    "name",
    "arguments",
    "choices",
    "delta",
    "message",
    "finish_reason",
    "reasoning_details",
    "usage",
    "error",
    "tools",
    "image_url",
    "url",
    "file",
    "file_data",
    "annotations",
    "url_citation",
    "citations",
    "thinking",
    "cache_control",
    "signature",
    "data",
    "format",
    "extra_content",
    "google",
    "thought_signature",
    "response_format",
    "stop",
];
const TEXTS: &[&str] = &[
    "user",
    "assistant",
    "tool",
    "system",
    "text",
    "image_url",
    "file",
    "thinking",
    "data:,",
    "data:image/png;base64,",
    "\\",
    "\"",
    "",
    "reasoning.text",
    "reasoning.encrypted",
    "stop",
    "é\u{1f600}",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(NAMES), inner), 0..5).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

fn words() -> impl Strategy<Value = Text<'static>> {
    prop::sample::select(TEXTS).prop_map(Text::plain)
}

fn event() -> impl Strategy<Value = Event<'static>> {
    let answer = || 0..3_u32;
    let origin = prop::sample::select(&[Origin::Anthropic, Origin::OpenAi, Origin::Google][..]);
    prop_oneof![
        prop::option::of(words()).prop_map(|id| Event::Start { id, model: None }),
        (answer(), words()).prop_map(|(answer, text)| Event::Text { answer, text }),
        (answer(), words()).prop_map(|(answer, text)| Event::Thought { answer, text }),
        (answer(), words()).prop_map(|(answer, text)| Event::Refusal { answer, text }),
        (answer(), origin, words(), any::<bool>()).prop_map(|(answer, origin, data, is_redacted)| {
            Event::Signature { answer, signature: Signature { origin, data }, is_redacted }
        }),
        (answer(), words(), prop::option::of((0..9_u64, 0..9_u64))).prop_map(|(answer, url, place)| {
            Event::Citation {
                answer,
                citation: Box::new(Citation { url: Some(url), place, ..Citation::default() }),
            }
        }),
        (answer(), 0..4_u32, words(), words()).prop_map(|(answer, call, id, name)| Event::ToolCall {
            answer,
            call,
            id,
            name
        }),
        (answer(), 0..4_u32, words()).prop_map(|(answer, call, fragment)| Event::Arguments {
            answer,
            call,
            fragment
        }),
        answer().prop_map(|answer| Event::Logprobs { answer, json: "{}".into() }),
        answer().prop_map(|answer| Event::Finish { answer, reason: Finish::Length }),
        (0..9_u64).prop_map(|total| Event::Usage(Usage { total, ..Usage::default() })),
        Just(Event::End),
    ]
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(value in json(), messages in prop::collection::vec(json(), 0..3)) {
        let text = value.to_string();
        let _ = read_reply(&text);
        let mut reader = StreamReader::default();
        let _ = reader.read(None, &text);
        let _ = reader.read(Some(b"error"), &text);
        let _ = read_error(400, text.as_bytes());
        let choices = serde_json::json!({"id": "r", "choices": [{"message": &value, "delta": &value}]}).to_string();
        let _ = read_reply(&choices);
        let _ = reader.read(None, &choices);
        let _ = reader.read(None, &choices);
        let body = serde_json::json!({"messages": messages, "tools": [&value], "stop": &value}).to_string();
        if let Ok(conversation) = read_request(&object(&body), &mut Dropped::default()) {
            written(&conversation, &Manners::default());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = read_reply(&text);
        let _ = StreamReader::default().read(None, &text);
        let _ = read_error(500, text.as_bytes());
    }

    #[test]
    fn any_events_make_a_stream(events in prop::collection::vec(event(), 0..24)) {
        let all = stream(&events);
        let (usage, rest) = all.split_last().expect("a chunk");
        prop_assert!(usage["usage"].is_object() && usage["choices"] == serde_json::json!([]));
        let mut finished = Vec::new();
        let mut begun = Vec::new();
        let mut calls = std::collections::HashMap::new();
        for chunk in rest {
            prop_assert_eq!(&chunk["id"], &all[0]["id"]);
            let choice = &chunk["choices"][0];
            let number = choice["index"].as_u64().expect("an index");
            prop_assert!(!finished.contains(&number), "more after the finish");
            if choice["delta"]["role"] == "assistant" {
                prop_assert!(!begun.contains(&number));
                begun.push(number);
            }
            prop_assert!(begun.contains(&number), "the role comes first");
            if let Some(call) = choice["delta"]["tool_calls"][0].as_object() {
                let known = calls.entry(number).or_insert(0_u64);
                let index = call["index"].as_u64().expect("an index");
                if call.contains_key("id") {
                    prop_assert_eq!(index, *known);
                    *known += 1;
                }
                prop_assert!(index < *known);
            }
            if choice["finish_reason"].is_string() {
                finished.push(number);
            }
        }
        prop_assert_eq!(finished.len(), begun.len());
    }
}
