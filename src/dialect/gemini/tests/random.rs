//! Anything at all, into every reader and writer.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde_json::Value;

use super::{stamp, written};
use crate::dialect::chat::{Citation, Dropped, Event, Finish, Origin, Signature};
use crate::dialect::gemini::{
    StreamReader, StreamWriter, read_count, read_error, read_reply, read_request, write_reply,
};
use crate::dialect::json::Text;
use crate::dialect::raw::RawObject;

/// Names and values that the dialect knows, so that random JSON gets somewhere.
const NAMES: &[&str] = &[
    "contents",
    "parts",
    "role",
    "text",
    "thought",
    "thoughtSignature",
    "inlineData",
    "data",
    "mimeType",
    "fileData",
    "fileUri",
    "functionCall",
    "functionResponse",
    "name",
    "id",
    "args",
    "response",
    "result",
    "error",
    "code",
    "message",
    "status",
    "details",
    "candidates",
    "content",
    "finishReason",
    "index",
    "usageMetadata",
    "promptTokenCount",
    "groundingMetadata",
    "groundingChunks",
    "groundingSupports",
    "segment",
    "startIndex",
    "endIndex",
    "web",
    "uri",
    "groundingChunkIndices",
    "tools",
    "functionDeclarations",
    "parameters",
    "type",
    "properties",
    "anyOf",
    "nullable",
    "generationConfig",
    "thinkingConfig",
    "thinkingLevel",
    "responseSchema",
    "stopSequences",
    "systemInstruction",
    "partialArgs",
    "jsonPath",
    "stringValue",
    "willContinue",
    "promptFeedback",
    "blockReason",
    "responseId",
    "toolConfig",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_i64..300).prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        prop::sample::select(
            &["user", "model", "STOP", "OBJECT", "YWlzaXgub3BlbmFpLng=", "$.a[1].b", "é\u{1F600}"][..]
        )
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 6, |inner| {
        let member = (prop::sample::select(NAMES), inner.clone());
        prop_oneof![
            2 => prop::collection::vec(inner, 0..4).prop_map(Value::from),
            5 => prop::collection::vec(member, 0..6)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A body that gets as far as its parts.
fn body() -> impl Strategy<Value = Value> {
    let parts = prop::collection::vec(json(), 0..4);
    let content = |parts: Vec<Value>| serde_json::json!({"role": "model", "parts": parts});
    (parts, json(), prop::sample::select(NAMES)).prop_map(move |(parts, other, name)| {
        let content = content(parts);
        let candidate = serde_json::json!({"content": content, name: other});
        serde_json::json!({"contents": [content], "candidates": [candidate], name: other})
    })
}

fn event() -> impl Strategy<Value = Event<'static>> {
    let text = || "[a\u{e9}\"\\\\\n{}:1]{0,5}".prop_map(|text| Text::owned(&text));
    let origin = prop::sample::select(&[Origin::Google, Origin::Anthropic, Origin::OpenAi][..]);
    let reason =
        prop::sample::select(&[Finish::Stop, Finish::Length, Finish::ToolCalls, Finish::Refusal][..]);
    (0_u32..3, 0_u32..3, text(), origin, reason, 0..13, any::<(u8, u8)>()).prop_map(
        |(answer, call, text, origin, reason, kind, place)| match kind {
            0 => Event::Start { id: Some(text), model: None },
            1..=3 => Event::Text { answer, text },
            4 => Event::Thought { answer, text },
            5 => {
                let signature = Signature { origin, data: text };
                Event::Signature { answer, signature, is_redacted: call == 0 }
            }
            6 => Event::ToolCall { answer, call, id: text.clone(), name: text },
            7 | 8 => Event::Arguments { answer, call, fragment: text },
            9 => Event::Refusal { answer, text },
            10 => Event::Finish { answer, reason },
            11 => {
                let place = Some((u64::from(place.0), u64::from(place.1)));
                let citation = Citation { url: Some(text), place, ..Citation::default() };
                Event::Citation { answer, citation: Box::new(citation) }
            }
            _ => Event::End,
        },
    )
}

/// Reads a body with everything, and writes what was understood.
fn through(text: &str) {
    if let Ok(raw) = RawObject::parse(Bytes::copy_from_slice(text.as_bytes())) {
        let mut dropped = Dropped::default();
        if let Ok(conversation) = read_request(&raw, &mut dropped) {
            for model in ["gemini-2.5-pro", "gemini-3-flash"] {
                let (request, _) = written(&conversation, model);
                let contents = request["contents"].as_array().expect("contents");
                assert!(!contents.is_empty());
                assert!(
                    contents
                        .iter()
                        .all(|content| content["parts"].as_array().is_some_and(|parts| !parts.is_empty()))
                );
            }
        }
    }
    if let Ok(reply) = read_reply(text) {
        let mut out = BytesMut::new();
        write_reply(&reply, &stamp(), &mut out);
        let _: Value = serde_json::from_slice(&out).expect("JSON");
    }
    let mut reader = StreamReader::default();
    for _ in 0..2 {
        let _ = reader.read(None, text);
    }
    let _ = (read_count(text), read_error(400, text.as_bytes()));
}

proptest! {
    #[test]
    fn any_json_is_read_or_refused(value in prop_oneof![json(), body()]) {
        through(&value.to_string());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "\\PC{0,60}") {
        let _ = read_error(500, &bytes);
        through(&text);
    }

    #[test]
    fn any_order_of_pieces_is_a_stream_of_chunks(events in prop::collection::vec(event(), 0..30), is_array: bool) {
        let writer = StreamWriter::new(stamp());
        let mut writer = if is_array { writer.as_array() } else { writer };
        let mut out = BytesMut::new();
        for event in &events {
            writer.write(event, &mut out);
        }
        writer.close(&mut out);
        let text = String::from_utf8(out.to_vec()).expect("UTF-8");
        let chunks: Vec<Value> = match is_array {
            true => serde_json::from_str(&text).expect("an array"),
            false => {
                let frames = text.strip_suffix("\n\n").expect("an end").split("\n\n");
                frames.map(|frame| serde_json::from_str(frame.strip_prefix("data: ").expect("data")).expect("JSON")).collect()
            }
        };
        let (last, before) = chunks.split_last().expect("a last chunk");
        for candidate in before.iter().flat_map(|chunk| chunk["candidates"].as_array().expect("candidates")) {
            prop_assert!(candidate["finishReason"].is_null());
            prop_assert!(!candidate["content"]["parts"].as_array().expect("parts").is_empty());
        }
        let last = last["candidates"].as_array().expect("candidates");
        prop_assert!(last.iter().all(|candidate| candidate["finishReason"].is_string()));
        let calls = |chunk: &Value| {
            let candidates = chunk["candidates"].as_array().cloned().unwrap_or_default();
            let parts = candidates.into_iter().flat_map(|candidate| candidate["content"]["parts"].as_array().cloned().unwrap_or_default());
            parts.filter(|part| part["functionCall"]["args"].is_object()).count()
        };
        let begun = events.iter().filter(|event| matches!(event, Event::ToolCall { .. })).count();
        prop_assert_eq!(chunks.iter().map(calls).sum::<usize>(), begun);
    }
}
