//! Which strings of real bodies are texts, and what becomes of a body whose texts are masked.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn request(body: &str) -> Slots {
    Slots::of_request(&RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).expect(body))
}

/// The texts of a request in which every text that is told apart is in capitals.
#[track_caller]
fn check(body: &str, texts: &[&str]) {
    let slots = request(body);
    let parts = slots.texts.iter().zip(&slots.places).filter(|(_, place)| !place.is_whole());
    assert_eq!(parts.map(|(text, _)| text).collect::<Vec<_>>(), texts, "{body}");
}

/// A body in which every `bad` has become `***`.
fn masked(mut slots: Slots) -> String {
    let mut passages = slots.passages();
    for passage in passages.iter_mut().filter(|passage| !passage.is_whole) {
        let text = passage.current().replace("bad", "*\"*");
        passage.replace_whole(&text);
    }
    let body = slots.rewrite(&passages).unwrap_or_else(|| slots.body.clone());
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

#[test]
fn words_are_found_in_every_dialect() {
    for (body, texts) in [
        (
            r#"{"model":"m","user":"u","messages":[{"role":"system","content":"A"},{"role":"user","name":"N","content":
               [{"type":"text","text":"B\n"},{"type":"image_url","image_url":{"url":"https://x"}},
                {"type":"file","file":{"filename":"F","file_data":"QUJD"}}]},
               {"role":"tool","tool_call_id":"c1","content":"C"}]}"#,
            &["u", "A", "N", "B\n", "F", "C"][..],
        ),
        (
            r#"{"system":[{"type":"text","text":"A","cache_control":{"type":"ephemeral"}}],"messages":[
               {"role":"user","content":[{"type":"document","title":"T","source":
                 {"data":"D","type":"text","media_type":"text/plain"}},
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}},
                {"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"R"}]}]},
               {"role":"assistant","content":[{"type":"thinking","thinking":"H","signature":"s"},
                {"type":"tool_use","id":"t","name":"W","input":{"type":"X","n":1234567,"few":12}}]}]}"#,
            &["A", "T", "D", "R", "H", "W", "type", "X", "n", "1234567", "few"],
        ),
        (
            r#"{"instructions":"A","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"B"}]},
               {"type":"function_call","call_id":"c","name":"F","arguments":"{\"id\":\"V\"}"},
               {"type":"reasoning","encrypted_content":"e","summary":[{"type":"summary_text","text":"S"}]}]}"#,
            &["A", "B", "F", "id", "V", "S"],
        ),
        (
            r#"{"systemInstruction":{"parts":[{"text":"A"}]},"contents":[{"role":"user","parts":[{"text":"B"},
               {"inlineData":{"mimeType":"image/png","data":"QUJD"}},{"fileData":{"fileUri":"gs://x"}},
               {"functionCall":{"name":"F","args":{"q":["V"]}}},{"functionResponse":{"name":"F","response":{"r":"W"}}}]}]}"#,
            &["A", "B", "F", "q", "V", "F", "r", "W"],
        ),
        (r#"{"prompt":["A","B"],"suffix":"C","stop":"s"}"#, &["A", "B", "C", "s"]),
        (r#"{"input":"A"}"#, &["A"]),
        (r#"{"input":["A",["B"],[1234567]]}"#, &["A", "B"]),
        (r#"{"query":"A","documents":["B",{"text":"C"}],"top_n":1}"#, &["A", "B", "C"]),
        (r#"{"messages":[{"c\u006fntent":"A","\u0072ole":"user","content":""}]}"#, &["A"]),
        (r#"{"messages":[{"content":"data:image/png;base64,QUJD"},{"content":"data: A"}]}"#, &["data: A"]),
        (
            r#"{"messages":[{"tool_calls":[{"id":"1","function":{"name":"F","arguments":"not JSON"}}]}]}"#,
            &["F", "not JSON"],
        ),
    ] {
        check(body, texts);
    }
}

#[test]
fn no_name_hides_what_a_tool_answered_or_what_is_ranked() {
    check(
        r#"{"contents":[{"parts":[{"functionResponse":{"id":"x","name":"F","response":{"status":"A","url":["B"]}}}]}]}"#,
        &["F", "status", "A", "url", "B"],
    );
    check(r#"{"documents":[{"url":"A","id":"B","data":"C"}],"metadata":{"id":"D"}}"#, &["A", "B", "C", "D"]);
}

#[test]
fn tools_and_schemas_are_looked_at_and_only_their_words_are_masked() {
    let body = r#"{"tools":[{"type":"function","function":{"name":"bad","description":"so bad","parameters":
        {"properties":{"bad":{"type":"string","enum":["bad"]}},"required":["bad"]}}}],
        "response_format":{"json_schema":{"name":"bad"}},"text":{"format":{"title":"bad"}},"stop":["bad"],
        "generationConfig":{"responseSchema":{"description":"bad"},"stopSequences":["bad"]}}"#;
    check(body, &["so bad", "bad", "bad", "bad", "bad", "bad"]);
    let kept = ["\"name\":\"bad\"", "\"bad\":{\"type\"", "\"required\":[\"bad\"]", "{\"name\":\"bad\"}"];
    let after = masked(request(body));
    assert!(kept.iter().all(|kept| after.contains(kept)), "{after}");
    assert_eq!(after.matches("*\\\"*").count(), 6, "{after}");
    let whole = request(body).passages().into_iter().filter(|passage| passage.is_whole);
    assert_eq!(whole.filter(|passage| passage.original() == "bad").count(), 4, "names are judged");
}

#[test]
fn of_pictures_the_prompt_is_looked_at() {
    let body = r#"{"data":[{"b64_json":"QUJD","revised_prompt":"bad"},{"embedding":"QUJD"}]}"#;
    let after = masked(Slots::of_answer(&Bytes::from(body)).expect("an object"));
    assert_eq!(after, body.replace("bad", "*\\\"*"));
}

#[test]
fn a_mask_changes_its_text_and_not_a_byte_more() {
    let body = r#" {"a" : 1.50,"messages":[ {"content":"bad\u0020é","x":[1e5, null]}],"z":{"bad":"bad"} }"#;
    let expected = r#" {"a" : 1.50,"messages":[ {"content":"*\"* é","x":[1e5, null]}],"z":{"bad":"bad"} }"#;
    assert_eq!(masked(request(body)), expected);
    assert_eq!(masked(request(r#"{"prompt":"good"}"#)), r#"{"prompt":"good"}"#);
}

#[test]
fn arguments_stay_json_whatever_is_masked() {
    let body = r#"{"messages":[{"tool_calls":[{"function":{"arguments":"{\"a\": \"so bad\",\"bad\":[\"bad\",1]}"}}]}]}"#;
    let body: Value = serde_json::from_str(&masked(request(body))).expect("JSON");
    let arguments = body["messages"][0]["tool_calls"][0]["function"]["arguments"].as_str().expect("a string");
    assert_eq!(arguments, r#"{"a": "so *\"*","*\"*":["*\"*",1]}"#);
    assert!(serde_json::from_str::<Value>(arguments).is_ok());
    let mut slots =
        request(r#"{"messages":[{"content":[{"type":"tool_use","input":{"card":4111111111111111}}]}]}"#);
    let mut passages = slots.passages();
    passages[1].replace_whole("[X]");
    let body = slots.rewrite(&passages).expect("changed");
    assert_eq!(body, r#"{"messages":[{"content":[{"type":"tool_use","input":{"card":"[X]"}}]}]}"#);
}

#[test]
fn tokens_that_repeat_a_masked_answer_go_with_it() {
    let answer = |text: &str| {
        let body = format!(
            r#"{{"choices":[{{"message":{{"content":"{text}"}},"logprobs":{{"content":[{{"token":"{text}"}}]}}}}]}}"#
        );
        masked(Slots::of_answer(&Bytes::from(body)).expect("an object"))
    };
    assert_eq!(answer("bad"), r#"{"choices":[{"message":{"content":"*\"*"},"logprobs":null}]}"#);
    assert!(answer("good").contains("token"));
    assert!(Slots::of_answer(&Bytes::from("[]")).is_err());
}

#[test]
fn arguments_are_looked_at_as_they_are_written_too() {
    for arguments in [r#""{\"amount\": 12}""#, r#"{"amount": 12}"#] {
        let body = format!(r#"{{"messages":[{{"function":{{"arguments":{arguments}}}}}]}}"#);
        let passages = request(&body).passages();
        let whole: Vec<_> =
            passages.iter().filter(|passage| passage.is_whole).map(Passage::original).collect();
        assert_eq!(whole, [r#"{"amount": 12}"#], "{arguments}");
    }
}

#[test]
fn arguments_that_are_nested_without_end_are_a_text() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let slots = request(&format!(r#"{{"messages":[{{"arguments":"{deep}"}}]}}"#));
    assert_eq!((slots.texts.len(), slots.texts[0].len()), (1, deep.len()));
    assert!(in_arguments(&deep).is_none());
}

/// Any JSON, with the names that matter and others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "\\PC{0,6}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        Just(Value::from("{\"a\":[\"x\",{\"b\":1234567}]}")),
    ];
    let names = prop::sample::select(vec![
        "content",
        "data",
        "type",
        "arguments",
        "input",
        "args",
        "logprobs",
        "text",
        "url",
        "media_type",
        "",
    ]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let members = prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn a_body_stays_json_whatever_is_masked_in_it(json in any_json()) {
        let body = serde_json::json!({"messages": [json], "other": "x"}).to_string();
        let mut slots = request(&body);
        let mut passages = slots.passages();
        for passage in passages.iter_mut().filter(|passage| !passage.is_whole) {
            let quoted = format!("\"{}\\", passage.current());
            passage.replace_whole(&quoted);
        }
        if let Some(after) = slots.rewrite(&passages) {
            let after: Value = serde_json::from_slice(&after).expect("stays JSON");
            prop_assert_eq!(&after["other"], "x");
            prop_assert_ne!(after.to_string(), body);
        }
    }

    #[test]
    fn any_string_below_the_messages_is_found_and_masked(texts in prop::collection::vec("\\PC{0,4}bad\\PC{0,4}", 1..5)) {
        let quoted: Vec<Value> = texts.iter().map(|text| {
            serde_json::json!({"content": [{"text": text}], "arguments": serde_json::json!({"k": text}).to_string()})
        }).collect();
        let body = serde_json::json!({"messages": quoted, "model": "bad"}).to_string();
        let after: Value = serde_json::from_str(&masked(request(&body))).expect("stays JSON");
        prop_assert!(!after["messages"].to_string().contains("bad"), "{after}");
        prop_assert_eq!(&after["model"], "bad");
    }
}
