//! The mock's answers, held against the shapes that api.openai.com sends.

use serde_json::{Value, json};

use super::*;

mod dialects;
mod endpoints;
mod faults;
mod prefill;
mod timing;

fn ask(mut request: Value, more: Value) -> MockReply {
    let members = request.as_object_mut().expect("an object");
    members.entry("model").or_insert_with(|| json!("demo"));
    members.entry("messages").or_insert_with(|| json!([{"role": "user", "content": "Hello there"}]));
    members.extend(more.as_object().cloned().unwrap_or_default());
    post("/v1/chat/completions", request.to_string().as_bytes(), &Hints::default())
}

fn post(target: &str, body: &[u8], hints: &Hints) -> MockReply {
    answer(&MockRequest { method: "POST", target, content_type: JSON, body }, hints)
}

fn body(reply: MockReply) -> Value {
    match reply.body {
        MockBody::Full(bytes) => serde_json::from_slice(&bytes).expect("JSON"),
        other => panic!("no whole body: {other:?}"),
    }
}

fn frames(reply: MockReply) -> Vec<MockFrame> {
    match reply.body {
        MockBody::Stream(frames) => frames,
        other => panic!("no stream: {other:?}"),
    }
}

/// The chunks of a stream that ends in `[DONE]`.
fn chunks(reply: MockReply) -> Vec<Value> {
    let mut events: Vec<_> = frames(reply).iter().map(data).collect();
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    events.iter().map(|event| serde_json::from_str(event).expect("a chunk")).collect()
}

fn data(frame: &MockFrame) -> String {
    let text = std::str::from_utf8(&frame.bytes).expect("text");
    text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n")).expect("one event").to_owned()
}

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn said(reply: MockReply) -> String {
    body(reply)["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
}

#[test]
fn a_completion_has_the_members_of_the_real_one() {
    let answer = body(ask(json!({}), json!({})));
    let members =
        ["choices", "created", "id", "model", "object", "service_tier", "system_fingerprint", "usage"];
    assert_eq!(names(&answer), members);
    let choice = &answer["choices"][0];
    assert_eq!(names(choice), ["finish_reason", "index", "logprobs", "message"]);
    assert_eq!(names(&choice["message"]), ["annotations", "content", "refusal", "role"]);
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("demo")));
    assert_eq!(choice["finish_reason"], "stop");
}

#[test]
fn usage_counts_four_bytes_to_a_token() {
    let answer =
        body(ask(json!({"messages": [{"role": "user", "content": "12345678"}]}), json!({"max_tokens": 3})));
    let usage = &answer["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(2), &json!(3)));
    assert_eq!(usage["total_tokens"], 5);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let whole = said(ask(json!({}), json!({})));
    let chunks = chunks(ask(json!({}), json!({"stream": true})));
    let first = &chunks[0]["choices"][0];
    assert_eq!(first["delta"], json!({"role": "assistant", "content": "", "refusal": null}));
    let last = &chunks[chunks.len() - 1]["choices"][0];
    assert_eq!((&last["delta"], &last["finish_reason"]), (&json!({}), &json!("stop")));
    let content = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(content.collect::<String>(), whole);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"])
    );
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn the_usage_chunk_comes_last_without_choices_and_only_when_wanted() {
    let chunks = chunks(ask(json!({}), json!({"stream": true, "stream_options": {"include_usage": true}})));
    let (last, others) = chunks.split_last().expect("chunks");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        last["usage"],
        body(ask(json!({}), json!({"stream_options": {"include_usage": true}})))["usage"]
    );
    assert!(others.iter().all(|chunk| chunk["usage"] == Value::Null && chunk.get("usage").is_some()));
}

fn two_tools() -> Value {
    let tool = |name: &str, of: &str| {
        let parameters = json!({"type": "object", "properties": {of: {"type": "string"}}, "required": [of]});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    json!([tool("get_weather", "city"), tool("get_time", "zone")])
}

#[test]
fn a_user_message_with_tools_gets_a_call() {
    let calls = |request: Value| {
        let answer = body(ask(json!({"tools": two_tools()}), request));
        let choice = &answer["choices"][0];
        assert_eq!(
            (&choice["finish_reason"], &choice["message"]["content"]),
            (&json!("tool_calls"), &Value::Null)
        );
        let calls = choice["message"]["tool_calls"].as_array().expect("calls").clone();
        calls
            .iter()
            .map(|call| call["function"]["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    let both = json!([{"role": "user", "content": "use get_time and get_weather"}]);
    assert_eq!(calls(json!({})), ["get_weather"]);
    assert_eq!(calls(json!({"messages": both})), ["get_weather", "get_time"]);
    assert_eq!(calls(json!({"messages": both, "parallel_tool_calls": false})), ["get_weather"]);
    let chosen = json!({"type": "function", "function": {"name": "get_time"}});
    assert_eq!(calls(json!({"tool_choice": chosen})), ["get_time"]);
    assert!(!said(ask(json!({"tools": two_tools(), "tool_choice": "none"}), json!({}))).is_empty());
}

#[test]
fn a_streamed_call_opens_with_its_name_and_brings_its_arguments_in_pieces() {
    let chunks = chunks(ask(json!({"tools": two_tools(), "stream": true}), json!({})));
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": null}));
    let calls: Vec<_> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    assert_eq!(names(calls[0]), ["function", "id", "index", "type"]);
    assert_eq!(calls[0]["function"], json!({"name": "get_weather", "arguments": ""}));
    assert!(calls[1..].iter().all(|call| names(call) == ["function", "index"]));
    let arguments: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, r#"{"city":"mock"}"#);
    assert_eq!(chunks[chunks.len() - 1]["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn tool_results_are_quoted() {
    let messages = json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": null, "tool_calls": []},
        {"role": "tool", "tool_call_id": "a", "content": "21 degrees"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "noon"}]},
    ]);
    let text = said(ask(json!({"messages": messages, "tools": two_tools()}), json!({})));
    assert_eq!(text, "The tool says: \"21 degrees\"; \"noon\".");
}

#[test]
fn json_is_answered_where_json_is_asked_for() {
    let schema = json!({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "Person", "schema": schema}});
    assert_eq!(said(ask(json!({"response_format": format}), json!({}))), r#"{"age":1}"#);
    let object = said(ask(json!({"response_format": {"type": "json_object"}}), json!({})));
    assert!(serde_json::from_str::<Value>(&object).expect("JSON").is_object());
}

#[test]
fn images_are_counted_and_a_refusal_refuses() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}});
    let content = json!([{"type": "text", "text": "see"}, image, image]);
    assert!(
        said(ask(json!({"messages": [{"role": "user", "content": content}]}), json!({})))
            .contains("2 images")
    );
    let message = &body(ask(json!({"messages": [{"role": "user", "content": "please refuse"}]}), json!({})))
        ["choices"][0];
    assert_eq!(message["message"]["content"], Value::Null);
    assert!(message["message"]["refusal"].is_string());
}

#[test]
fn choices_and_stop_sequences_are_obeyed() {
    let answer = body(ask(json!({"n": 2, "stop": ["there"]}), json!({})));
    assert_eq!(answer["choices"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["choices"][1]["index"], 1);
    assert_eq!(answer["choices"][1]["message"]["content"], "You said: \"Hello ");
    let finishes = chunks(ask(json!({"n": 2, "stream": true}), json!({})));
    assert_eq!(finishes.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count(), 2);
}

#[test]
fn a_bad_request_is_refused_in_the_providers_words() {
    let check = |request: &[u8], param: Value| {
        let reply = post("/chat/completions", request, &Hints::default());
        assert_eq!(reply.status, 400);
        let error = body(reply)["error"].clone();
        assert_eq!(names(&error), ["code", "message", "param", "type"]);
        assert_eq!((&error["type"], &error["param"]), (&json!("invalid_request_error"), &param));
    };
    check(b"{", Value::Null);
    check(br#"{"messages":[]}"#, json!("model"));
    check(br#"{"model":"demo"}"#, json!("messages"));
    check(br#"{"model":"demo","messages":[]}"#, json!("messages"));
    check(br#"{"model":"demo","messages":[{}],"n":0}"#, json!("n"));
    assert_eq!(post("/v1/nothing", b"{}", &Hints::default()).status, 404);
}

#[test]
fn names_choose_the_behaviour() {
    assert_eq!(ask(json!({"model": "flaky"}), json!({})).status, 500);
    let limited = ask(json!({"model": "fail-429"}), json!({}));
    assert!(limited.headers.contains(&("retry-after", "1".into())));
    assert_eq!(body(limited)["error"]["code"], "rate_limit_exceeded");
    assert!(matches!(ask(json!({"model": "stall"}), json!({})).body, MockBody::Stall));
    assert!(matches!(ask(json!({"model": "reset"}), json!({})).body, MockBody::Reset));
    assert_eq!(said(ask(json!({"model": "fat-1000"}), json!({}))).len(), 1000);
    assert_eq!(said(ask(json!({"model": "words-3"}), json!({}))), "word1 word2 word3");
    let request = r#"{"model":"echo","messages":[{"role":"user"}],"x": 1.50}"#;
    assert_eq!(said(post("/chat/completions", request.as_bytes(), &Hints::default())), request);
    let slow = frames(ask(json!({"model": "slow", "stream": true}), json!({})));
    assert!(slow[0].delay.is_zero() && slow[1..].iter().all(|frame| frame.delay.as_millis() == 50));
}

#[test]
fn an_answer_repeats_for_equal_hints_and_gets_its_own_id_otherwise() {
    let id = |seed| {
        let request = br#"{"model":"demo","messages":[{"role":"user","content":"a"}]}"#;
        body(post("/chat/completions", request, &Hints { seed, ..Hints::default() }))["id"].clone()
    };
    assert_eq!(id(1), id(1));
    assert_ne!(id(1), id(2));
}
