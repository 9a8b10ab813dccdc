//! What the response cache leaves alone: requests whose meaning lies elsewhere, and answers that are none; and what it
//! must not lose of the answers that it keeps.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::*;

const POLICY: &str = "[[cache_policies]]\nname = \"policy\"\n";
const RESPONSES: &str = "/v1/responses";

/// Asks twice, and checks what the cache says to each.
#[track_caller]
fn twice(gateway: &Gateway, path: &str, body: &Value, said: [Option<&str>; 2]) {
    for cache in said {
        let response = gateway.post_json(path, "sk-test", &body.to_string()).expect(200);
        assert_eq!(response.header("x-aisix-cache"), cache, "{body}");
        gateway.settled();
    }
}

fn response(status: &str, more: Value) -> Value {
    let mut response = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "up-m",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "hello", "annotations": []}]}],
        "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    });
    for (name, value) in more.as_object().expect("an object") {
        response[name] = value.clone();
    }
    response
}

#[test]
fn a_request_that_leans_on_what_the_provider_keeps_is_not_covered() {
    let upstream = Upstream::start(|_, _| Answer::json(200, &response("completed", json!({})).to_string()));
    let gateway = gateway_over(&upstream, POLICY);
    let with = |more: Value| {
        let mut body = json!({"model": "m", "input": "again"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    for more in [
        json!({"conversation": "conv_1"}),
        json!({"conversation": {"id": "conv_1"}}),
        json!({"previous_response_id": "resp_0"}),
        json!({"background": true}),
        json!({"prompt": {"id": "pmpt_1"}}),
    ] {
        twice(&gateway, RESPONSES, &with(more), [None, None]);
    }
    assert_eq!(upstream.count(), 10);
    let nothing = json!({"conversation": null, "previous_response_id": null, "background": false});
    twice(&gateway, RESPONSES, &with(nothing), [Some("miss"), Some("hit")]);
}

#[test]
fn what_a_provider_was_not_told_is_named_with_every_hit() {
    let upstream = Upstream::always(Answer::json(200, &completion("hello", 5, 7)));
    let gateway = gateway_over(&upstream, POLICY);
    let body = r#"{"model":"m","max_tokens":9,"top_k":3,"messages":[{"role":"user","content":"hi"}]}"#;
    for cache in ["miss", "hit"] {
        let response = gateway.post_json("/v1/messages", "sk-test", body).expect(200);
        assert_eq!(response.header("x-aisix-cache"), Some(cache));
        assert_eq!(response.header("x-aisix-dropped-fields"), Some("top_k"), "{cache}");
        gateway.settled();
    }
}

#[test]
fn an_answer_that_a_filter_cut_is_not_kept() {
    let filtered = |text: String| text.replace("\"stop\"", "\"content_filter\"");
    let whole = filtered(completion("hel", 5, 7));
    let end = filtered(finish());
    assert!(whole.contains("content_filter") && end.contains("content_filter"));
    let upstream = Upstream::start(move |request, _| match request.json()["stream"] == true {
        true => Answer::stream(&[&delta("hel"), &end, "data: [DONE]\n\n"]),
        false => Answer::json(200, &whole),
    });
    let gateway = gateway_over(&upstream, POLICY);
    for is_stream in [true, false] {
        let body =
            json!({"model": "m", "stream": is_stream, "messages": [{"role": "user", "content": "hi"}]});
        twice(&gateway, "/v1/chat/completions", &body, [Some("miss"), Some("miss")]);
    }
    assert_eq!(upstream.count(), 4);
}

#[test]
fn an_answer_that_is_only_announced_or_that_a_filter_cut_is_not_kept_by_responses() {
    for (status, more, second) in [
        ("queued", json!({"output": [], "usage": null}), "miss"),
        ("incomplete", json!({"incomplete_details": {"reason": "content_filter"}}), "miss"),
        ("incomplete", json!({"incomplete_details": {"reason": "max_output_tokens"}}), "hit"),
        ("completed", json!({}), "hit"),
    ] {
        let answer = response(status, more).to_string();
        let upstream = Upstream::always(Answer::json(200, &answer));
        let gateway = gateway_over(&upstream, POLICY);
        let body = json!({"model": "m", "input": "again"});
        twice(&gateway, RESPONSES, &body, [Some("miss"), Some(second)]);
    }
}

#[test]
fn a_response_that_is_given_again_was_made_now() {
    let upstream =
        Upstream::always(Answer::json(200, &response("completed", json!({"completed_at": 2})).to_string()));
    let gateway = gateway_over(&upstream, POLICY);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let body = json!({"model": "m", "input": "again"});
    twice(&gateway, RESPONSES, &body, [Some("miss"), Some("hit")]);
    let whole = gateway.post_json(RESPONSES, "sk-test", &body.to_string()).expect(200).json();
    for name in ["created_at", "completed_at"] {
        assert!(whole[name].as_u64().expect("a time") >= now, "{whole}");
    }
    let streamed = json!({"model": "m", "input": "again", "stream": true});
    let events = gateway.post_json(RESPONSES, "sk-test", &streamed.to_string()).expect(200).text();
    assert!(events.contains("response.completed") && !events.contains("\"created_at\":1,"), "{events}");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn what_anthropic_says_at_the_end_of_a_stream_is_in_what_is_kept() {
    let named = |name: &str, data: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{data}}}\n\n");
    let head = r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"up-m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}"#;
    let edits = r#""context_management":{"applied_edits":[{"type":"clear","cleared":7}]}"#;
    let frames = [
        named("message_start", head),
        named("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
        named("content_block_delta", r#","index":0,"delta":{"type":"text_delta","text":"hello"}"#),
        named("content_block_stop", r#","index":0"#),
        named(
            "message_delta",
            &format!(
                r#","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"output_tokens":7}},{edits}"#
            ),
        ),
        named("message_stop", ""),
    ];
    let upstream = Upstream::always(Answer::stream(&frames.iter().map(String::as_str).collect::<Vec<_>>()));
    let key = provider_key("up", &upstream.url()).replace("\"openai\"", "\"anthropic\"");
    let gateway =
        Gateway::start(&[&key, &model("m", "up", ""), &api_key("sk-test", "\"*\"", ""), POLICY].concat());
    let ask = |is_stream: bool, cache: &str| {
        let body = json!({"model": "m", "max_tokens": 9, "stream": is_stream, "messages": [{"role": "user", "content": "hi"}]});
        let response = gateway.post_json("/v1/messages", "sk-test", &body.to_string()).expect(200);
        assert_eq!(response.header("x-aisix-cache"), Some(cache), "{}", response.text());
        gateway.settled();
        response.text()
    };
    ask(true, "miss");
    assert!(ask(false, "hit").contains(edits));
    let again = ask(true, "hit");
    let end = again.split("event: ").find(|frame| frame.starts_with("message_delta")).expect("an end");
    assert!(end.contains(edits) && again.matches(edits).count() == 1, "{again}");
}
