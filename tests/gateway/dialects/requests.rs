//! What goes out: the provider's path, its way to authenticate, and its words for what the caller said.

use super::*;

/// A provider that answers nothing of use.
fn deaf() -> Upstream {
    Upstream::always(Answer::json(400, "{}"))
}

fn asked(caller: Caller, provider: Provider, is_stream: bool) -> Received {
    let upstream = deaf();
    let gateway = provider.gateway(&upstream, "");
    let mut connection = caller.ask(&gateway, "m", is_stream, "");
    let response = connection.response().expect(400);
    let received = upstream.received().pop().expect("it was asked");
    assert_eq!(received.header("x-aisix-request-id"), response.header("x-aisix-request-id"));
    assert!(!format!("{received:?}").contains("sk-test"), "{received:?}");
    assert_eq!(
        (received.method.as_str(), received.header("content-type")),
        ("POST", Some("application/json"))
    );
    received
}

#[test]
fn openais_family_is_asked_on_its_path_with_a_bearer_token() {
    for caller in CALLERS {
        for is_stream in [false, true] {
            let received = asked(caller, Provider::OpenAi, is_stream);
            assert_eq!(received.path, "/v1/chat/completions", "{caller:?}");
            assert_eq!(received.header("authorization"), Some("Bearer sk-upstream"));
            let body = received.json();
            assert_eq!(body["model"], "upstream-m", "{caller:?}: {body}");
            let turns = body["messages"].as_array().expect("messages");
            assert_eq!(turns.len(), 2, "{caller:?}: {body}");
            let words = |turn: &Value| match &turn["content"] {
                Value::Array(parts) => parts.iter().map(|part| text_of(&part["text"])).collect(),
                text => text_of(text),
            };
            assert!(["system", "developer"].contains(&turns[0]["role"].as_str().expect("a role")), "{body}");
            assert_eq!((words(&turns[0]), words(&turns[1])), ("be kind".to_owned(), "hello".to_owned()));
            let limits = [&body["max_tokens"], &body["max_completion_tokens"]];
            assert!(limits.iter().any(|limit| **limit == 64), "{caller:?}: {body}");
            assert_eq!(body["stream"] == true, is_stream, "{caller:?}: {body}");
            assert_eq!(body["stream_options"]["include_usage"] == true, is_stream, "{caller:?}: {body}");
        }
    }
}

#[test]
fn anthropic_is_asked_on_its_path_with_its_own_headers() {
    for caller in CALLERS {
        for is_stream in [false, true] {
            let received = asked(caller, Provider::Anthropic, is_stream);
            assert_eq!(received.path, "/v1/messages", "{caller:?}");
            assert_eq!(received.header("x-api-key"), Some("sk-upstream"));
            assert_eq!(received.header("anthropic-version"), Some("2023-06-01"));
            assert_eq!(received.header("authorization"), None, "{caller:?}");
            let body = received.json();
            assert_eq!(body["model"], "upstream-m", "{caller:?}: {body}");
            assert!(body["system"].to_string().contains("be kind"), "{caller:?}: {body}");
            let turns = body["messages"].as_array().expect("messages");
            assert_eq!((turns.len(), &turns[0]["role"]), (1, &"user".into()), "{caller:?}: {body}");
            assert!(turns[0]["content"].to_string().contains("hello"), "{caller:?}: {body}");
            assert_eq!(body["max_tokens"], 64, "{caller:?}: {body}");
            assert_eq!(body["stream"] == true, is_stream, "{caller:?}: {body}");
        }
    }
}

#[test]
fn gemini_is_asked_with_the_model_in_the_path() {
    for caller in CALLERS {
        for (is_stream, path) in [
            (false, "/v1beta/models/upstream-m:generateContent"),
            (true, "/v1beta/models/upstream-m:streamGenerateContent?alt=sse"),
        ] {
            let received = asked(caller, Provider::Gemini, is_stream);
            assert_eq!(received.path, path, "{caller:?}");
            assert_eq!(received.header("x-goog-api-key"), Some("sk-upstream"));
            assert_eq!(received.header("authorization"), None, "{caller:?}");
            let body = received.json();
            assert!(body.get("model").is_none() && body.get("stream").is_none(), "{caller:?}: {body}");
            assert_eq!(body["systemInstruction"]["parts"][0]["text"], "be kind", "{caller:?}: {body}");
            assert_eq!(body["contents"][0]["role"], "user", "{caller:?}: {body}");
            assert_eq!(body["contents"][0]["parts"][0]["text"], "hello", "{caller:?}: {body}");
            assert_eq!(body["generationConfig"]["maxOutputTokens"], 64, "{caller:?}: {body}");
        }
    }
}

#[test]
fn the_same_dialect_on_both_sides_keeps_the_callers_bytes() {
    for (caller, provider) in pairs().filter(|(caller, provider)| caller.own() == Some(*provider)) {
        let upstream = deaf();
        let gateway = provider.gateway(&upstream, "");
        let more = r#","vendor_extra" : {"b":1,"a":[1.50, 1e2]}"#;
        caller.ask(&gateway, "m", false, more).response();
        let body = String::from_utf8(upstream.received()[0].body.clone()).expect("text");
        assert!(body.ends_with(&format!("{more}}}")), "{caller:?}: {body}");
    }
}

#[test]
fn openai_itself_answers_responses_in_its_own_dialect() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let response = Caller::Responses.ask(&gateway, "m", false, "").response().expect(200);
    assert_eq!(upstream.received()[0].path, "/v1/responses");
    assert_eq!(response.text(), answers::RESPONSE);
    let text = Caller::Responses.ask(&gateway, "m", true, "").stream().rest().to_owned();
    assert_eq!(text, answers::events("/responses").concat());
    gateway.settled();
}

#[test]
fn a_provider_that_has_only_the_older_name_of_the_limit_gets_it_under_that() {
    let body =
        r#"{"model": "m", "messages":[{"role":"user","content":"a"}],"max_completion_tokens":7,"x":1.0}"#;
    for (provider, name) in
        [("deepseek", "max_tokens"), ("mistral", "max_tokens"), ("groq", "max_completion_tokens")]
    {
        let upstream = deaf();
        let key = provider_key("up", &upstream.url())
            .replace("provider = \"openai\"", &format!("provider = \"{provider}\""));
        let more = model("m", "up", "retries = 0") + &api_key("sk-test", "\"*\"", "");
        Gateway::start(&(key + &more)).post_json("/v1/chat/completions", "sk-test", body).expect(400);
        let received = upstream.received().pop().expect("it was asked");
        let wanted = body.replace("max_completion_tokens", name).replace("\"m\"", "\"upstream-m\"");
        assert_eq!(String::from_utf8_lossy(&received.body), wanted, "{provider}");
    }
}

#[test]
fn what_a_provider_could_only_refuse_is_refused_here() {
    for (provider, messages, words) in [
        (Provider::Anthropic, r#"{"role":"user","content":""}"#, "say nothing"),
        (
            Provider::Gemini,
            r#"{"role":"user","content":"a"},{"role":"tool","tool_call_id":"c9","content":"b"}"#,
            "c9",
        ),
    ] {
        let upstream = deaf();
        let gateway = provider.gateway(&upstream, "");
        let body = format!(r#"{{"model":"m","messages":[{messages}]}}"#);
        let response = gateway.post_json("/v1/chat/completions", "sk-test", &body).expect(400);
        assert!(response.error_message().contains(words), "{}", response.error_message());
        assert_eq!(upstream.count(), 0);
    }
}
