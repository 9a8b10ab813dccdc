//! Streams: each rule of reading and writing, by table.

use super::*;
use crate::dialect::Usage;
use crate::dialect::chat::{Citation, Events, Finish, Origin, Signature, StreamFault};
use crate::error::UpstreamError;

/// What the chunks of one stream mean.
fn read(chunks: &[&str]) -> String {
    let mut reader = StreamReader::default();
    let mut all = Vec::new();
    for chunk in chunks {
        let events: Events<'_> =
            reader.read(None, chunk).unwrap_or_else(|fault| panic!("{chunk}: {fault:?}"));
        all.extend(events.iter().map(show));
    }
    all.join(" ")
}

fn show(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, .. } => format!("start:{}", id.as_ref().map(Text::decode).unwrap_or_default()),
        Event::Text { answer, text } => format!("text{answer}:{}", text.decode()),
        Event::Citation { citation, .. } => {
            format!("cited:{}", citation.url.as_ref().map(Text::decode).unwrap_or_default())
        }
        Event::Thought { text, .. } => format!("thought:{}", text.decode()),
        Event::Signature { signature, is_redacted, .. } => {
            format!("signed:{:?}:{is_redacted}", signature.origin)
        }
        Event::ToolCall { call, id, name, .. } => format!("call{call}:{}:{}", id.decode(), name.decode()),
        Event::Arguments { call, fragment, .. } => format!("more{call}:{}", fragment.decode()),
        Event::Refusal { text, .. } => format!("refusal:{}", text.decode()),
        Event::Logprobs { .. } => "logprobs".to_owned(),
        Event::Finish { answer, reason } => format!("finish{answer}:{}", reason.label()),
        Event::Usage(usage) => format!("usage:{}", usage.total),
        Event::End => "end".to_owned(),
    }
}

fn delta(delta: &str) -> String {
    format!(r#"{{"id":"r","choices":[{{"index":0,"delta":{delta}}}]}}"#)
}

/// Reads deltas of one answer.
fn check(cases: &[(&[&str], &str)]) {
    for (deltas, wanted) in cases {
        let chunks: Vec<String> = deltas.iter().map(|piece| delta(piece)).collect();
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        assert_eq!(read(&chunks), *wanted);
    }
}

#[test]
fn words_and_thoughts_are_read_in_every_vendors_form() {
    check(&[
        (&[r#"{"role":"assistant","content":""}"#, r#"{"content":"a"}"#], "start:r text0:a"),
        (&[r#"{"reasoning":"t","reasoning_content":"t"}"#], "start:r thought:t"),
        (
            // As this gateway writes thoughts that another provider signed.
            &[
                r#"{"reasoning_content":"t"}"#,
                r#"{"reasoning_content":"u"}"#,
                r#"{"reasoning_details":[{"type":"reasoning.text","text":"tu","signature":"s"}]}"#,
            ],
            "start:r thought:t thought:u signed:Anthropic:false",
        ),
        (
            &[r#"{"reasoning":"t","reasoning_details":[{"type":"reasoning.text","text":"t"}]}"#],
            "start:r thought:t",
        ),
        (
            &[r#"{"reasoning_details":[{"type":"reasoning.text","text":"t","signature":"s"}]}"#],
            "start:r thought:t signed:Anthropic:false",
        ),
        (
            &[
                r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"s","format":"anthropic-claude-v1"}]}"#,
            ],
            "start:r signed:Anthropic:true",
        ),
        (&[r#"{"refusal":"no"}"#], "start:r refusal:no"),
        (
            &[r#"{"annotations":[{"type":"url_citation","url_citation":{"url":"https://a"}}]}"#],
            "start:r cited:https://a",
        ),
    ]);
}

#[test]
fn tool_calls_are_told_apart_whatever_a_provider_repeats() {
    check(&[
        // The name and the id again with every piece.
        (
            &[
                r#"{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}}]}"#,
            ],
            "start:r call0:1:f more0:{}",
        ),
        // Every call is number 0.
        (
            &[
                r#"{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"2","function":{"name":"f","arguments":"{}"}}]}"#,
            ],
            "start:r call0:1:f more0:{} call1:2:f more1:{}",
        ),
        // No numbers at all.
        (
            &[
                r#"{"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"function":{"arguments":"}"}}]}"#,
                r#"{"tool_calls":[{"id":"2","function":{"name":"g"}}]}"#,
                r#"{"tool_calls":[{"function":{"name":"h","arguments":{"a":1}}}]}"#,
            ],
            "start:r call0:1:f more0:{ more0:} call1:2:g call2:call_r_0_2:h more2:{\"a\":1}",
        ),
        // Numbers with gaps, and interleaved.
        (
            &[
                r#"{"tool_calls":[{"index":1,"id":"1","function":{"name":"f"}}]}"#,
                r#"{"tool_calls":[{"index":5,"id":"2","function":{"name":"g"}}]}"#,
                r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#,
            ],
            "start:r call0:1:f call1:2:g more0:{}",
        ),
        // The name after the first arguments.
        (
            &[
                r#"{"tool_calls":[{"index":0,"id":"1","function":{"arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"}"}}]}"#,
            ],
            "start:r call0:1:f more0:{ more0:}",
        ),
        (
            &[r#"{"function_call":{"name":"f","arguments":""}}"#, r#"{"function_call":{"arguments":"{}"}}"#],
            "start:r call0:call_r_0_0:f more0:{}",
        ),
        (
            &[
                r#"{"tool_calls":[{"id":"1","function":{"name":"f"},"extra_content":{"google":{"thought_signature":"s"}}}]}"#,
            ],
            "start:r signed:Google:false call0:1:f",
        ),
    ]);
}

#[test]
fn a_stream_begins_and_finishes_once() {
    let finish = r#"{"id":"r","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage =
        r#"{"id":"r","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let filters = r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#;
    assert_eq!(read(&[filters, finish, finish, usage, "[DONE]"]), "start:r finish0:stop usage:3 end");
    assert_eq!(read(&[&delta("{\"content\":\"a\"}"), "[DONE]"]), "start:r text0:a finish0:stop end");
    let empty = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":""}]}"#;
    assert_eq!(read(&[empty]), "start: text0:a");
    let second = r#"{"id":"r","choices":[{"index":1,"delta":{"content":"b"},"finish_reason":"length"}]}"#;
    assert_eq!(read(&[&delta("{\"content\":\"a\"}"), second]), "start:r text0:a text1:b finish1:length");
}

#[test]
fn a_stream_that_makes_up_answers_and_calls_is_kept_small() {
    let mut reader = StreamReader::default();
    let mut told = [0; 2];
    for number in 0..2000 {
        let answer = format!(r#"{{"choices":[{{"index":{number},"delta":{{"content":"a"}}}}]}}"#);
        told[0] += reader
            .read(None, &answer)
            .expect("reads")
            .iter()
            .filter(|one| show(one).contains("text"))
            .count();
        let call = format!(r#"{{"tool_calls":[{{"index":{number},"function":{{"name":"f"}}}}]}}"#);
        let call = delta(&call);
        told[1] +=
            reader.read(None, &call).expect("reads").iter().filter(|one| show(one).contains("call")).count();
    }
    assert_eq!(told, [128, 1024]);
}

#[test]
fn sources_that_are_repeated_are_passed_on_once() {
    let chunk = |urls: &str| format!(r#"{{"id":"r","citations":[{urls}],"choices":[{{"delta":{{}}}}]}}"#);
    let (one, two) = (chunk(r#""https://a""#), chunk(r#""https://a","https://b""#));
    assert_eq!(read(&[&one, &one, &two]), "start:r cited:https://a cited:https://b");
}

#[test]
fn errors_in_a_stream_are_told_from_what_is_not_readable() {
    let fault = |event: Option<&[u8]>, data| StreamReader::default().read(event, data).expect_err(data);
    assert!(matches!(fault(None, "{"), StreamFault::Malformed));
    assert!(matches!(fault(None, r#"{"choices":1}"#), StreamFault::Malformed));
    for (event, data, status, message) in [
        (None, r#"{"error":{"message":"slow","code":"429"}}"#, Some(429), "slow"),
        (None, r#"{"error":{"message":"host","code":500},"choices":[]}"#, Some(500), "upstream returned 500"),
        (None, r#"{"error":"odd"}"#, None, "the provider reported an error in its answer"),
        (Some(&b"error"[..]), r#"{"message":"no","code":400}"#, Some(400), "no"),
    ] {
        let StreamFault::Failed(UpstreamError::Refused(refusal)) = fault(event, data) else {
            panic!("{data}")
        };
        assert_eq!((refusal.status, refusal.message.as_str()), (status, message), "{data}");
    }
}

#[test]
fn a_stream_is_written_with_role_first_and_usage_last() {
    let usage = Usage { prompt: 1, completion: 2, total: 3, ..Usage::default() };
    let call = Event::ToolCall { answer: 0, call: 4, id: text("1"), name: text("f") };
    let all = stream(&[
        Event::Start { id: Some(text("chatcmpl-1")), model: None },
        Event::Text { answer: 0, text: text("a") },
        call.clone(),
        call,
        Event::Arguments { answer: 0, call: 4, fragment: text("{}") },
        Event::Arguments { answer: 0, call: 9, fragment: text("lost") },
        Event::Finish { answer: 0, reason: Finish::ToolCalls },
        Event::Usage(usage),
        Event::End,
    ]);
    let choice = |delta: Value, finish: Value| {
        serde_json::json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "mine",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let open = serde_json::json!({"tool_calls": [
        {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]});
    let more = serde_json::json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]});
    let mut last = choice(Value::Null, Value::Null);
    last["choices"] = serde_json::json!([]);
    last["usage"] = serde_json::json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let wanted = [
        choice(serde_json::json!({"role": "assistant", "content": ""}), Value::Null),
        choice(serde_json::json!({"content": "a"}), Value::Null),
        choice(open, Value::Null),
        choice(more, Value::Null),
        choice(serde_json::json!({}), "tool_calls".into()),
        last,
    ];
    assert_eq!(all, wanted);
}

#[test]
fn usage_is_only_written_for_who_asked() {
    let mut writer = StreamWriter::new(Stamp { wants_usage: false, ..stamp() });
    let mut out = BytesMut::new();
    writer.write(&Event::Usage(Usage { total: 3, ..Usage::default() }), &mut out);
    writer.close(&mut out);
    let all = chunks(&out);
    assert!(all.iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(all.last().expect("a chunk")["choices"][0]["finish_reason"], "stop");
}

#[test]
fn signatures_of_a_stream_are_written_with_what_they_belong_to() {
    let signed = |origin, is_redacted| Event::Signature {
        answer: 0,
        signature: Signature { origin, data: text("s") },
        is_redacted,
    };
    let thought = |words| Event::Thought { answer: 0, text: text(words) };
    let details = |events: &[Event<'_>]| {
        let all = stream(events);
        let lists =
            all.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["reasoning_details"].as_array());
        lists.flatten().cloned().collect::<Vec<Value>>()
    };
    let found = details(&[thought("a"), thought("b"), signed(Origin::Anthropic, false), thought("c")]);
    let wanted = serde_json::json!([{"type": "reasoning.text", "text": "ab", "signature": "aisix.anthropic.s",
        "format": "anthropic-claude-v1", "index": 0}]);
    assert_eq!(Value::from(found), wanted);
    let call = Event::ToolCall { answer: 0, call: 0, id: text("c1"), name: text("f") };
    let beside = |first: Event<'static>| {
        let chunks = stream(&[first, call.clone()]);
        let calls = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]);
        calls.filter_map(|call| call.get("extra_content").cloned()).collect::<Vec<_>>()
    };
    let own = serde_json::json!({"google": {"thought_signature": "s"}});
    assert_eq!(beside(signed(Origin::Google, false)), [own]);
    assert_eq!(beside(signed(Origin::Anthropic, false)), [] as [Value; 0]);
    let found = details(&[signed(Origin::Google, false), call]);
    assert_eq!(
        (found.len(), &found[0]["id"], &found[0]["data"]),
        (1, &"c1".into(), &"aisix.google.s".into())
    );
    let found = details(&[signed(Origin::Google, false)]);
    assert_eq!((found.len(), &found[0]["id"]), (1, &Value::Null));
    let found = details(&[thought("a"), signed(Origin::OpenAi, false), signed(Origin::Anthropic, true)]);
    let kinds: Vec<_> = found.iter().map(|detail| detail["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds, ["reasoning.summary", "reasoning.encrypted", "reasoning.encrypted"]);
}

#[test]
fn sources_of_a_stream_have_the_words_before_them() {
    let words = |words| Event::Text { answer: 0, text: text(words) };
    let cited = || Event::Citation {
        answer: 0,
        citation: Box::new(Citation { url: Some(text("https://a")), ..Citation::default() }),
    };
    let all = stream(&[words("abc"), cited(), cited(), words("de"), cited()]);
    let places: Vec<_> = all
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["annotations"][0]["url_citation"].as_object())
        .map(|page| (page["start_index"].as_u64(), page["end_index"].as_u64()))
        .collect();
    assert_eq!(places, [(Some(0), Some(3)), (Some(0), Some(3)), (Some(3), Some(5))]);
    let indexes =
        all.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["annotations"][0]["index"].as_u64());
    assert_eq!(indexes.collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn log_probabilities_stay_on_one_line() {
    let all = stream(&[Event::Logprobs { answer: 0, json: "{\"content\":\n[]}".into() }]);
    assert_eq!(all[1]["choices"][0]["logprobs"], serde_json::json!({"content": []}));
}
