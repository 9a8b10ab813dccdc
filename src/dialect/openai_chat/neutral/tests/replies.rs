//! Whole replies: each rule, by table.

use super::*;
use crate::dialect::Usage;
use crate::dialect::chat::{
    Answer, Arguments, CacheFor, Citation, Finish, Origin, Part, Reply, Signature, Thought, ToolCall, Words,
};
use crate::error::UpstreamError;

const NO_CACHE: Option<CacheFor> = None;

fn reply(parts: Vec<Part<'static>>, finish: Finish<'static>) -> Reply<'static> {
    let answers = vec![Answer { parts, finish, logprobs: None }];
    Reply { answers, ..Reply::default() }
}

fn said(words: &'static str) -> Part<'static> {
    Part::Text(Words { text: text(words), ..Words::default() })
}

fn call(id: &'static str) -> Part<'static> {
    let arguments = Arguments::Object("{\"a\":\"b\"}".into());
    Part::ToolCall(Box::new(ToolCall { id: text(id), name: text("f"), arguments, cache: NO_CACHE }))
}

fn thought(words: &'static str, origin: Origin, is_redacted: bool) -> Part<'static> {
    let signature = Some(Signature { origin, data: text("s") });
    Part::Thought(Box::new(Thought { text: text(words), signature, is_redacted }))
}

fn out(reply: &Reply<'_>) -> Value {
    let mut out = BytesMut::new();
    write_reply(reply, &stamp(), &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

#[test]
fn a_reply_has_everything_that_the_dialect_asks_for() {
    let usage = Usage { prompt: 5, completion: 4, cached: 3, reasoning: 2, total: 9, ..Usage::default() };
    let reply =
        Reply { usage: Some(usage), ..reply(vec![said("a"), said("b"), call("1")], Finish::ToolCalls) };
    let wanted = serde_json::json!({
        "id": "chatcmpl-abc", "object": "chat.completion", "created": 7, "model": "mine",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ab", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"b\"}"}},
        ]}, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2}},
    });
    assert_eq!(out(&reply), wanted);
}

#[test]
fn content_is_null_where_only_tools_are_called_or_the_model_declines() {
    let message = |parts, finish| out(&reply(parts, finish))["choices"][0].clone();
    assert_eq!(message(vec![call("1")], Finish::ToolCalls)["message"]["content"], Value::Null);
    assert_eq!(message(vec![], Finish::Stop)["message"]["content"], "");
    let declined = message(vec![Part::Refusal(text("no"))], Finish::Refusal);
    assert_eq!((&declined["message"]["refusal"], &declined["finish_reason"]), (&"no".into(), &"stop".into()));
    assert_eq!(message(vec![said("a")], Finish::Refusal)["finish_reason"], "content_filter");
    assert_eq!(message(vec![said("a")], Finish::Length)["finish_reason"], "length");
}

#[test]
fn an_id_of_this_dialect_stays() {
    let with = |id| Reply { id: Some(text(id)), ..reply(vec![said("a")], Finish::Stop) };
    assert_eq!(out(&with("chatcmpl-9"))["id"], "chatcmpl-9");
    assert_eq!(out(&with("msg_9"))["id"], "chatcmpl-abc");
}

#[test]
fn signatures_come_home_in_the_next_request() {
    for parts in [
        vec![thought("t", Origin::Anthropic, false), said("w"), call("1")],
        vec![thought("", Origin::Anthropic, true), thought("t", Origin::Anthropic, false), said("w")],
        vec![thought("t", Origin::OpenAi, false), said("w")],
        vec![
            said("w"),
            thought("", Origin::Google, false),
            call("1"),
            thought("", Origin::Google, false),
            call("2"),
        ],
        vec![thought("", Origin::Google, false), said("w")],
    ] {
        let answer = out(&reply(parts.clone(), Finish::Stop));
        let message = &answer["choices"][0]["message"];
        let details = message["reasoning_details"].as_array().expect("details");
        let sealed: Vec<&Value> = details
            .iter()
            .map(|detail| if detail["data"].is_null() { &detail["signature"] } else { &detail["data"] })
            .filter(|text| !text.is_null())
            .collect();
        assert!(sealed.iter().all(|text| text.as_str().expect("text").starts_with("aisix.")), "{details:?}");
        let object = object(&serde_json::json!({"messages": [message]}).to_string());
        let again = read_request(&object, &mut Dropped::default()).expect("reads");
        let wanted = parts.iter().filter(|part| matches!(part, Part::Thought(_)));
        let found: Vec<&Part<'_>> =
            again.turns[0].parts.iter().filter(|part| matches!(part, Part::Thought(_))).collect();
        assert_eq!(found, wanted.collect::<Vec<_>>());
        let kinds = |parts: &[Part<'_>]| {
            parts.iter().map(std::mem::discriminant).map(|kind| format!("{kind:?}")).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&again.turns[0].parts), kinds(&parts), "{message}");
    }
}

#[test]
fn a_calls_signature_of_gemini_stands_beside_the_call_and_comes_back_alone() {
    let parts = vec![
        thought("", Origin::Google, false),
        call("1"),
        thought("t", Origin::Anthropic, false),
        call("2"),
    ];
    let answer = out(&reply(parts, Finish::ToolCalls));
    let mut message = answer["choices"][0]["message"].clone();
    let own =
        message["reasoning_details"][0]["data"].as_str().and_then(|data| data.strip_prefix("aisix.google."));
    let beside = |place: usize| &message["tool_calls"][place]["extra_content"];
    assert_eq!(beside(0), &serde_json::json!({"google": {"thought_signature": own.expect("a signature")}}));
    assert_eq!(beside(1), &Value::Null);
    message.as_object_mut().expect("an object").remove("reasoning_details");
    let object = object(&serde_json::json!({"messages": [message]}).to_string());
    let again = read_request(&object, &mut Dropped::default()).expect("reads");
    let place = |wanted: fn(&Part<'_>) -> bool| again.turns[0].parts.iter().position(wanted);
    let signed = place(|part| matches!(part, Part::Thought(own) if own.signature.is_some()));
    let call = place(|part| matches!(part, Part::ToolCall(_)));
    assert_eq!(signed.map(|place| place + 1), call);
}

#[test]
fn sources_have_their_place_in_the_joined_text() {
    let cited = |words, place| {
        let citation = Citation { url: Some(text("https://a")), place, ..Citation::default() };
        Part::Text(Words { text: text(words), citations: vec![citation], cache: None })
    };
    let answer = out(&reply(vec![said("ä\"c"), cited("def", Some((1, 2))), cited("gh", None)], Finish::Stop));
    let places: Vec<_> = answer["choices"][0]["message"]["annotations"]
        .as_array()
        .expect("annotations")
        .iter()
        .map(|one| (one["url_citation"]["start_index"].as_u64(), one["url_citation"]["end_index"].as_u64()))
        .collect();
    assert_eq!(places, [(Some(4), Some(5)), (Some(6), Some(8))]);
}

#[test]
fn vendors_forms_of_replies_are_read() {
    let read = |message: &str| {
        let body = format!(r#"{{"id":"r-1","choices":[{{"message":{message},"finish_reason":"stop"}}]}}"#);
        let reply = read_reply(&body).expect("reads");
        let parts = reply.answers[0].parts.iter().map(|part| match part {
            Part::Text(words) => format!("text:{}", words.text.decode()),
            Part::Thought(own) => format!("thought:{}:{}", own.text.decode(), own.signature.is_some()),
            Part::ToolCall(call) => {
                format!("call:{}:{}:{}", call.id.decode(), call.name.decode(), call.arguments.as_object())
            }
            Part::Refusal(text) => format!("refusal:{}", text.decode()),
            Part::Media(media) => format!("media:{:?}", media.kind),
            Part::ToolResult(_) => panic!("a result"),
        });
        parts.collect::<Vec<_>>().join(" ")
    };
    for (message, wanted) in [
        (r#"{"content":"a","reasoning":"b"}"#, "thought:b:false text:a"),
        (r#"{"content":"a","reasoning":"b","reasoning_content":"b"}"#, "thought:b:false text:a"),
        (
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"b"}]},{"type":"text","text":"a"}]}"#,
            "thought:b:false text:a",
        ),
        (
            r#"{"content":"","tool_calls":[{"id":"","function":{"name":"f","arguments":"{}"}}]}"#,
            "call:call_r1_0_0:f:{}",
        ),
        (r#"{"tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a":1}}}]}"#, "call:1:f:{\"a\":1}"),
        (r#"{"function_call":{"name":"f","arguments":"{}"}}"#, "call:call_r1_0_0:f:{}"),
        (r#"{"content":"a","function_call":{"name":"","arguments":""}}"#, "text:a"),
        (
            r#"{"tool_calls":[{"id":"1","extra_content":{"google":{"thought_signature":"s"}},"function":{"name":"f","arguments":"{}"}}]}"#,
            "thought::true call:1:f:{}",
        ),
        (r#"{"content":null,"refusal":"no"}"#, "refusal:no"),
        (
            r#"{"content":"a","images":[{"image_url":{"url":"data:image/png;base64,QQ=="}}]}"#,
            "text:a media:Image",
        ),
    ] {
        assert_eq!(read(message), wanted, "{message}");
    }
}

#[test]
fn what_is_no_reply_is_an_error() {
    let refused = |body| read_reply(body).expect_err(body);
    assert!(matches!(refused("[]"), UpstreamError::Undecodable { .. }));
    assert!(matches!(refused("{}"), UpstreamError::Undecodable { .. }));
    assert!(matches!(refused(r#"{"choices":1}"#), UpstreamError::Undecodable { .. }));
    let UpstreamError::Refused(refusal) = refused(r#"{"error":{"message":"slow","code":429}}"#) else {
        panic!("refused")
    };
    assert_eq!((refusal.status, refusal.message.as_str()), (Some(429), "slow"));
}

#[test]
fn usage_is_found_where_groq_puts_it_and_sources_where_perplexity_does() {
    let body = r#"{"choices":[{"message":{"content":"a"}}],"citations":["https://a"],
        "x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}"#;
    let reply = read_reply(body).expect("reads");
    assert_eq!(reply.usage.map(|usage| (usage.prompt, usage.completion)), Some((1, 2)));
    let Part::Text(words) = &reply.answers[0].parts[0] else { panic!("words") };
    assert_eq!(words.citations[0].url, Some(text("https://a")));
}
