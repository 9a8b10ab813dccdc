//! What the response cache leaves alone: requests whose meaning lies elsewhere, and answers that are none.

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
