//! Anything at all: no bytes make a reader panic, and no order of pieces makes a stream that clients refuse.

use proptest::prelude::*;
use serde_json::json;

use super::super::super::Usage;
use super::super::super::chat::{Citation, Event, Finish, Origin, Signature};
use super::super::super::json::Text;
use super::*;

/// Words of the dialect: more of them reach its depths than random ones.
const WORDS: &[&str] = &[
    "type",
    "text",
    "content",
    "role",
    "user",
    "assistant",
    "messages",
    "source",
    "data",
    "base64",
    "media_type",
    "id",
    "name",
    "input",
    "tool_use",
    "tool_result",
    "tool_use_id",
    "thinking",
    "signature",
    "redacted_thinking",
    "image",
    "document",
    "citations",
    "cache_control",
    "delta",
    "index",
    "message",
    "usage",
    "error",
    "system",
    "tools",
    "content_block",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_start",
    "message_delta",
    "message_stop",
    "input_json_delta",
    "partial_json",
    "citation",
    "stop_reason",
    "tool_choice",
    "output_config",
    "format",
    "json_schema",
    "schema",
    "effort",
    "enabled",
    "budget_tokens",
    "search_result",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![8 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => "\\PC{0,6}|[\\\\\"\u{0}-\u{1f}]{1,3}"]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..5).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((word(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// A block that is nearly right.
fn block() -> impl Strategy<Value = Value> {
    (proptest::sample::select(WORDS), any_json(), any_json()).prop_map(|(kind, one, other)| {
        json!({"type": kind, "text": "t", "id": "i", "name": "n", "input": {}, "tool_use_id": "i", "data": "d",
               "content": one, "source": other, "thinking": "h", "signature": "s"})
    })
}

fn piece() -> impl Strategy<Value = Event<'static>> {
    let text = || "[a-c\\\\\"{}:\n]{0,4}".prop_map(|text| Text::owned(&text));
    let origin = prop_oneof![Just(Origin::Anthropic), Just(Origin::OpenAi), Just(Origin::Google)];
    let signature = (origin, text()).prop_map(|(origin, data)| Signature { origin, data });
    let finish = prop_oneof![
        Just(Finish::Stop),
        Just(Finish::ToolCalls),
        Just(Finish::ContentFilter),
        text().prop_map(|text| Finish::StopSequence(Some(text))),
    ];
    let answer = || 0_u32..2;
    let usage = (0_u64..9, 0_u64..9, 0_u64..20).prop_map(|(prompt, completion, cached)| {
        Event::Usage(Usage { prompt, completion, cached, ..Usage::default() })
    });
    prop_oneof![
        Just(Event::Start { id: None, model: None }),
        Just(Event::End),
        usage,
        (answer(), text()).prop_map(|(answer, text)| Event::Text { answer, text }),
        (answer(), text()).prop_map(|(answer, text)| Event::Thought { answer, text }),
        (answer(), text()).prop_map(|(answer, text)| Event::Refusal { answer, text }),
        (answer(), signature, any::<bool>()).prop_map(|(answer, signature, is_redacted)| Event::Signature {
            answer,
            signature,
            is_redacted
        }),
        (answer(), 0_u32..3, text(), text()).prop_map(|(answer, call, id, name)| Event::ToolCall {
            answer,
            call,
            id,
            name
        }),
        (answer(), 0_u32..3, text()).prop_map(|(answer, call, fragment)| Event::Arguments {
            answer,
            call,
            fragment
        }),
        (answer(), text(), any::<bool>()).prop_map(|(answer, quote, has_url)| {
            let url = has_url.then(|| Text::plain("u"));
            let citation = Citation { url, quote: Some(quote), ..Citation::default() };
            Event::Citation { answer, citation: Box::new(citation) }
        }),
        answer().prop_map(|answer| Event::Logprobs { answer, json: "{}".into() }),
        (answer(), finish).prop_map(|(answer, reason)| Event::Finish { answer, reason }),
    ]
}

/// Reads a request, if it can be, and writes it again.
fn read_and_write(body: &str) {
    let Ok(raw) = RawObject::parse(Bytes::copy_from_slice(body.as_bytes())) else { return };
    let mut dropped = Dropped::default();
    if let Ok(conversation) = read_request(&raw, &mut dropped) {
        let (again, _) = written(&conversation, "claude-sonnet-4-5");
        assert!(again["messages"].is_array());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in ".{0,60}", status in 100_u16..700) {
        let _ = (read_reply(&body), read_error(status, body.as_bytes()));
        let _ = StreamReader::default().read(Some(body.as_bytes()), &body);
        read_and_write(&body);
    }

    #[test]
    fn any_json_is_read_without_a_panic(body in any_json(), status in 400_u16..500) {
        let body = body.to_string();
        let _ = read_error(status, body.as_bytes());
        let _ = StreamReader::default().read(None, &body);
        if let Ok(reply) = read_reply(&body) {
            replied(&reply);
        }
        read_and_write(&body);
    }

    #[test]
    fn requests_that_are_nearly_right_are_written_as_json(
        blocks in prop::collection::vec(block(), 0..4),
        settings in prop::collection::vec((word(), any_json()), 0..3),
    ) {
        let mut body: serde_json::Map<_, _> = settings.into_iter().collect();
        body.insert("messages".to_owned(), json!([{"role": "user", "content": blocks}]));
        read_and_write(&Value::Object(body).to_string());
    }

    #[test]
    fn events_that_are_nearly_right_are_read_without_a_panic(
        frames in prop::collection::vec((proptest::sample::select(WORDS), 0_u64..3, block(), any_json()), 0..8),
    ) {
        let mut reader = StreamReader::default();
        let mut writer = (StreamWriter::new(stamp()), BytesMut::new());
        for (kind, index, block, any) in frames {
            let data = json!({"type": kind, "index": index, "content_block": block, "delta": block, "message": any}).to_string();
            for event in reader.read(None, &data).unwrap_or_default() {
                writer.0.write(&event, &mut writer.1);
            }
        }
        writer.0.close(&mut writer.1);
        client::message(&client::frames(std::str::from_utf8(&writer.1).expect("text")));
    }

    #[test]
    fn any_order_of_pieces_is_a_stream_that_clients_take(events in prop::collection::vec(piece(), 0..20)) {
        let message = client::message(&client::frames(&streamed(&events)));
        let blocks = message["content"].as_array().expect("content");
        prop_assert!(!blocks.is_empty());
        // Whatever was said in the first answer is there, in its order.
        let said: String = events.iter().filter_map(|event| match event {
            Event::Text { answer: 0, text } | Event::Refusal { answer: 0, text } => Some(text.decode().into_owned()),
            _ => None,
        }).collect();
        let written: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        prop_assert_eq!(written, said);
    }
}
