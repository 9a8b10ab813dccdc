//! The same answers in the other dialects, held against the shapes that their providers send.

use super::*;

pub(super) const TALKS: [(&str, &str); 5] = [
    ("/v1/responses", r#"{"model":"MODEL","input":"Hello there","stream":STREAM}"#),
    (
        "/v1/messages",
        r#"{"model":"MODEL","max_tokens":99,"messages":[{"role":"user","content":"Hello there"}],"stream":STREAM}"#,
    ),
    ("/v1beta/models/MODEL:GENERATE", r#"{"contents":[{"role":"user","parts":[{"text":"Hello there"}]}]}"#),
    ("/v2/chat", r#"{"model":"MODEL","messages":[{"role":"user","content":"Hello there"}],"stream":STREAM}"#),
    (
        "/v1/chat/completions",
        r#"{"model":"MODEL","messages":[{"role":"user","content":"Hello there"}],"stream":STREAM}"#,
    ),
];

pub(super) const DIALECTS: [Dialect; 5] =
    [Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Cohere, Dialect::OpenAiChat];

pub(super) fn talk(place: usize, model: &str, is_stream: bool) -> MockReply {
    talk_with(place, model, is_stream, &Hints::default())
}

pub(super) fn talk_with(place: usize, model: &str, is_stream: bool, hints: &Hints) -> MockReply {
    let (path, request) = TALKS[place];
    let operation = if is_stream { "streamGenerateContent" } else { "generateContent" };
    let path = path.replace("MODEL", model).replace("GENERATE", operation);
    let request = request.replace("MODEL", model).replace("STREAM", &is_stream.to_string());
    post(&path, request.as_bytes(), hints)
}

fn last_data(reply: MockReply) -> Value {
    let frames = frames(reply);
    let texts = frames.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned());
    let data: Vec<_> = texts
        .filter(|text| !text.contains("[DONE]"))
        .map(|text| text.split_once("data: ").expect("data").1.to_owned())
        .collect();
    serde_json::from_str(data.last().expect("an event")).expect("JSON")
}

#[test]
fn each_dialect_gets_the_same_words_in_its_own_shape() {
    let whole = |place| body(talk(place, "demo", false));
    let words = [
        whole(0)["output"][0]["content"][0]["text"].clone(),
        whole(1)["content"][0]["text"].clone(),
        whole(2)["candidates"][0]["content"]["parts"][0]["text"].clone(),
        whole(3)["message"]["content"][0]["text"].clone(),
    ];
    let chat = said(ask(json!({}), json!({})));
    assert_eq!(words, [chat.clone(), chat.clone(), chat.clone(), chat].map(Value::from));
    assert_eq!(whole(1)["stop_reason"], "end_turn");
    assert_eq!(whole(2)["candidates"][0]["finishReason"], "STOP");
    assert_eq!(whole(3)["finish_reason"], "COMPLETE");
}

#[test]
fn a_stream_ends_as_its_dialect_ends() {
    assert_eq!(last_data(talk(0, "demo", true))["type"], "response.completed");
    assert_eq!(last_data(talk(1, "demo", true))["type"], "message_stop");
    assert_eq!(last_data(talk(2, "demo", true))["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last_data(talk(3, "demo", true))["type"], "message-end");
    assert_eq!(last_data(talk(3, "demo", true))["delta"]["usage"]["tokens"]["input_tokens"], 3);
}

#[test]
fn anthropic_counts_the_prompt_in_its_first_event() {
    let first = &frames(talk(1, "demo", true))[0];
    let text = String::from_utf8_lossy(&first.bytes).into_owned();
    let data: Value = serde_json::from_str(text.split_once("data: ").expect("data").1).expect("JSON");
    assert_eq!(data["message"]["usage"]["input_tokens"], 3);
}

#[test]
fn a_failure_has_the_shape_of_its_dialect() {
    let fails = |place| {
        let reply = talk(place, "fail-429", false);
        assert_eq!((reply.status, &reply.headers[1]), (429, &("retry-after", "1".to_owned())));
        body(reply)
    };
    assert_eq!(fails(0)["error"]["code"], "rate_limit_exceeded");
    assert_eq!(
        (&fails(1)["type"], &fails(1)["error"]["type"]),
        (&json!("error"), &json!("rate_limit_error"))
    );
    assert_eq!(fails(2)["error"]["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(names(&fails(3)), ["id", "message"]);
    assert_eq!(body(talk(1, "fail-529", false))["error"]["type"], "overloaded_error");
    assert_eq!(post("/v1/messages", br#"{"model":"m"}"#, &Hints::default()).status, 400);
}

#[test]
fn cohere_calls_tools_and_reads_their_results() {
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}});
    let user = json!({"role": "user", "content": "weather?"});
    let ask = |messages: Value, stream: bool| {
        let request = json!({"model": "demo", "messages": messages, "tools": [tool], "stream": stream});
        post("/v2/chat", request.to_string().as_bytes(), &Hints::default())
    };
    let first = body(ask(json!([user]), false));
    assert_eq!(first["finish_reason"], "TOOL_CALL");
    assert_eq!(first["message"]["tool_calls"][0]["function"]["name"], "weather");
    let kinds: Vec<_> = frames(ask(json!([user]), true))
        .iter()
        .filter_map(|frame| String::from_utf8_lossy(&frame.bytes).lines().next().map(str::to_owned))
        .collect();
    assert_eq!(kinds[1..4], ["event: tool-plan-delta", "event: tool-call-start", "event: tool-call-delta"]);
    let documents = json!([{"type": "document", "document": {"data": "17 degrees"}}]);
    let result = json!({"role": "tool", "tool_call_id": "a", "content": documents});
    let second = body(ask(json!([user, first["message"], result]), false));
    assert_eq!(second["message"]["content"][0]["text"], "The tool says: \"17 degrees\".");
}

#[test]
fn tokens_are_counted_as_an_answer_counts_them() {
    let anthropic = body(post(
        "/v1/messages/count_tokens",
        TALKS[3].1.replace("STREAM", "false").as_bytes(),
        &Hints::default(),
    ));
    assert_eq!(anthropic, json!({"input_tokens": 3}));
    let request = format!(r#"{{"generateContentRequest":{}}}"#, TALKS[2].1);
    let gemini = body(post("/v1beta/models/demo:countTokens", request.as_bytes(), &Hints::default()));
    assert_eq!(gemini["totalTokens"], 3);
}
