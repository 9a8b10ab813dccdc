//! Anything at all: no input makes a reader panic, no order of events a stream that the official SDK refuses.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::Usage;
use crate::dialect::chat::{Citation, Finish, Origin, Signature};
use crate::dialect::json::Text;

/// Names and words of the dialect, from which JSON is made that looks like it.
const WORDS: &[&str] = &[
    "type",
    "role",
    "content",
    "text",
    "input",
    "output",
    "item",
    "id",
    "call_id",
    "name",
    "arguments",
    "summary",
    "encrypted_content",
    "message",
    "user",
    "assistant",
    "system",
    "reasoning",
    "function_call",
    "function",
    "function_call_output",
    "input_text",
    "output_text",
    "input_image",
    "image_url",
    "input_file",
    "file_data",
    "data:a/b;base64,QQ==",
    "refusal",
    "annotations",
    "url",
    "tools",
    "tool_choice",
    "parameters",
    "instructions",
    "response",
    "delta",
    "output_index",
    "error",
    "code",
    "status",
    "incomplete",
    "usage",
    "input_tokens",
    "logprobs",
    "response.completed",
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.function_call_arguments.delta",
    "response.output_text.annotation.added",
    "response.reasoning_summary_text.delta",
    "response.failed",
    "include",
    "effort",
    "format",
    "json_schema",
    "a:b",
];

fn json_like() -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(WORDS);
    let leaf = prop_oneof![
        6 => word().prop_map(|word| json!(word)),
        1 => Just(json!(null)),
        1 => any::<bool>().prop_map(|truth| json!(truth)),
        1 => prop_oneof![Just(0_i64), Just(-1), Just(i64::MAX), Just(3)].prop_map(|number| json!(number)),
        1 => Just(json!(1.5)),
        1 => "\\PC{0,6}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::hash_map(word().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Reads a text by every reader of the dialect.
fn read_everywhere(text: &str) {
    if let Ok(body) = RawObject::parse(Bytes::copy_from_slice(text.as_bytes())) {
        let mut dropped = Dropped::default();
        if let Ok(conversation) = read_request(&body, &mut dropped) {
            written(&conversation, &mut dropped);
        }
    }
    if let Ok(reply) = read_reply(text) {
        reply_written(&reply);
    }
    let _ = read_error(400, text.as_bytes());
    let mut reader = StreamReader::default();
    for event in [None, Some(b"error".as_slice()), Some(b"\xff")] {
        let _ = reader.read(event, text);
    }
}

fn event() -> impl Strategy<Value = Event<'static>> {
    let answer = || prop_oneof![9 => Just(0_u32), 1 => Just(1)];
    let words =
        || prop::sample::select(&["", "a", "\"\\\n", "é😀", "{\"a\":", "1}"][..]).prop_map(Text::plain);
    let origin = prop::sample::select(&[Origin::Anthropic, Origin::OpenAi, Origin::Google][..]);
    let finish = prop_oneof![
        Just(Finish::Stop),
        Just(Finish::Length),
        Just(Finish::ToolCalls),
        Just(Finish::Refusal),
        Just(Finish::ContentFilter),
        words().prop_map(|text| Finish::StopSequence(Some(text))),
    ];
    let logprobs = prop::sample::select(
        &[
            r#"{"content":[{"token":"a","bytes":[97],"logprob":-1,"top_logprobs":[]}]}"#,
            r#"{"content":null}"#,
            "[]",
            "{",
        ][..],
    );
    let ids = || prop::sample::select(&["c", "d", "", "rs_1:x", ":x"][..]).prop_map(Text::plain);
    prop_oneof![
        1 => words().prop_map(|id| Event::Start { id: Some(id), model: None }),
        4 => (answer(), words()).prop_map(|(answer, text)| Event::Text { answer, text }),
        2 => (answer(), words()).prop_map(|(answer, text)| Event::Refusal { answer, text }),
        4 => (answer(), words()).prop_map(|(answer, text)| Event::Thought { answer, text }),
        2 => (answer(), prop::option::of(words()), prop::option::of(words())).prop_map(|(answer, url, title)| {
            Event::Citation { answer, citation: Box::new(Citation { url, title, quote: None, place: None }) }
        }),
        2 => (answer(), origin, ids(), any::<bool>()).prop_map(|(answer, origin, data, is_redacted)| {
            Event::Signature { answer, signature: Signature { origin, data }, is_redacted }
        }),
        3 => (answer(), 0_u32..4, ids(), words()).prop_map(|(answer, call, id, name)| Event::ToolCall { answer, call, id, name }),
        4 => (answer(), 0_u32..4, words()).prop_map(|(answer, call, fragment)| Event::Arguments { answer, call, fragment }),
        1 => (answer(), logprobs).prop_map(|(answer, json)| Event::Logprobs { answer, json: json.into() }),
        1 => (answer(), finish).prop_map(|(answer, reason)| Event::Finish { answer, reason }),
        1 => any::<u32>().prop_map(|prompt| Event::Usage(Usage { prompt: u64::from(prompt), ..Usage::default() })),
        1 => Just(Event::End),
    ]
}

proptest! {
    #[test]
    fn any_json_of_the_dialects_words_is_read_or_refused(value in json_like()) {
        read_everywhere(&value.to_string());
        read_everywhere(&json!({"model": "m", "input": [value]}).to_string());
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in "\\PC*|[\\[\\]{}:,\"\\\\a1 ]{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        read_everywhere(&text);
        let _ = read_error(404, &bytes);
    }

    #[test]
    fn any_order_of_events_is_a_stream_that_the_sdk_accepts(events in prop::collection::vec(event(), 0..24)) {
        let last = meaning::check_stream(&stream_written(&events));
        let said = |kind: &str| events.iter().any(|event| match event {
            Event::Text { answer: 0, text } => kind == "text" && !text.is_empty(),
            // A source has to stand beside words, be they none.
            Event::Citation { answer: 0, citation } => kind == "source" && citation.url.is_some(),
            Event::ToolCall { answer: 0, .. } => kind == "call",
            _ => false,
        });
        let output = last["output"].to_string();
        let has_text = output.contains("\"output_text\"");
        prop_assert!(has_text || !said("text"), "words are there");
        prop_assert!(!has_text || said("text") || said("source"), "nothing else looks like words");
        prop_assert_eq!(output.contains("\"function_call\""), said("call"));
        let mut ids: Vec<_> = last["output"].as_array().expect("items").iter().map(|item| item["id"].to_string()).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), all, "ids are unique");
    }
}
