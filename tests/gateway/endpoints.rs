//! Endpoints that are no conversations, from the caller to the provider and back: bytes stay as they are on both ways.

use serde_json::Value;

use crate::harness::*;

mod forms;
mod sound;
mod streams;

/// A model with a price, and the file that its use is written to.
const PRICE: &str = "cost = { input_per_1k = 1, output_per_1k = 1 }";

/// A JSON endpoint: its path, a request, the provider's path and its answer, and the tokens that are counted.
struct Row {
    path: &'static str,
    request: &'static str,
    answer: &'static str,
    tokens: (u64, u64),
    is_estimated: bool,
}

/// Requests as people write them: spaces, numbers as they like, members that nobody here knows.
const ROWS: [Row; 5] = [
    Row {
        path: "/completions",
        request: "{ \"prompt\" : [\"a\",\"b\"], \"vendor\":{\"b\":1,\"a\":[1.50]},\n \"model\":\"m\", \"suffix\":null }",
        answer: answers::CONTINUATION,
        tokens: (5, 7),
        is_estimated: false,
    },
    Row {
        path: "/embeddings",
        request: r#"{"input":[[1,2],[3]],"encoding_format":"base64","dimensions":1e2,"model":"m"}"#,
        answer: answers::VECTORS,
        tokens: (5, 0),
        is_estimated: false,
    },
    Row {
        path: "/rerank",
        request: r#"{"model":"m","query":"q","documents":[{"text":"a"},"b"],"top_n":1,"return_documents":true}"#,
        answer: answers::RANKING,
        // Every string of the request at four bytes a token, but for the names of members.
        tokens: (2, 0),
        is_estimated: true,
    },
    Row {
        path: "/images/generations",
        request: r#"{"model":"m","prompt":"caf\u00e9","n":1,"size":"auto","quality":"low"}"#,
        answer: answers::PICTURE,
        tokens: (5, 7),
        is_estimated: false,
    },
    Row {
        path: "/moderations",
        request: r#"{"model":"m","input":[{"type":"text","text":"hello"}]}"#,
        answer: answers::JUDGEMENT,
        tokens: (2, 0),
        is_estimated: true,
    },
];

#[test]
fn json_goes_out_with_the_providers_model_and_comes_back_as_it_is() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for row in &ROWS {
        let response = gateway.post_json(&format!("/v1{}", row.path), "sk-test", row.request).expect(200);
        assert_eq!(response.text(), row.answer, "{}", row.path);
        assert_eq!(response.header("content-type"), Some("application/json"));
        let received = upstream.received().pop().expect("it was asked");
        assert_eq!((received.method.as_str(), received.path), ("POST", format!("/v1{}", row.path)));
        let wanted = row.request.replace("\"model\":\"m\"", "\"model\":\"upstream-m\"");
        assert_eq!(String::from_utf8_lossy(&received.body), wanted);
        let header =
            |name: &str| received.headers.iter().find(|(own, _)| own == name).map(|(_, v)| v.as_str());
        assert_eq!(header("authorization"), Some("Bearer sk-upstream"));
        assert_eq!(header("content-type"), Some("application/json"));
        assert_eq!(header("x-aisix-request-id"), response.header("x-aisix-request-id"));
    }
    gateway.settled();
}

#[test]
fn what_the_provider_counted_is_settled_and_guessed_where_it_did_not_count() {
    let upstream = Upstream::well();
    let usage = UsageFile::new();
    let limited = api_key("sk-limited", "\"*\"", "rate_limit = { tpm = 1000000 }");
    let gateway = gateway_over(&upstream, &(model("priced", "up", PRICE) + &limited + &usage.settings()));
    let mut left = 1_000_000;
    for (place, row) in ROWS.iter().enumerate() {
        away_from_the_turn_of_the_minute();
        let request = row.request.replace("\"model\":\"m\"", "\"model\":\"priced\"");
        let response = gateway.post_json(&format!("/v1{}", row.path), "sk-limited", &request).expect(200);
        let record = usage.wait_for(&gateway, place + 1).pop().expect("one");
        let count = |name: &str| record[name].as_u64().expect("a number");
        let (prompt, completion) = (count("prompt_tokens"), count("completion_tokens"));
        assert_eq!(record.get("usage_estimated").is_some(), row.is_estimated, "{record}");
        if row.is_estimated {
            assert!((1..=40).contains(&prompt) && completion == 0, "{record}");
        } else {
            assert_eq!((prompt, completion), row.tokens, "{record}");
        }
        assert_eq!(count("cost_micro_usd"), (prompt + completion) * 1000, "{record}");
        let remaining = response.header("x-ratelimit-remaining-tokens").and_then(|text| text.parse().ok());
        left -= prompt + completion;
        // A minute may have turned between two requests.
        let fresh = 1_000_000 - prompt - completion;
        assert!(
            remaining == Some(left) || remaining == Some(fresh),
            "{remaining:?}, not {left}: {response:?}"
        );
        left = remaining.expect("a number");
    }
}

#[test]
fn another_target_answers_where_the_first_fails() {
    for row in &ROWS {
        let answer = row.answer;
        let upstream = Upstream::start(move |request, _| match request.json()["model"].as_str() {
            Some("upstream-bad") => Answer::json(500, "{}"),
            _ => Answer::json(200, answer),
        });
        let more = model("bad", "up", "retries = 0") + &routing("group", &["bad", "m"], "");
        let gateway = gateway_over(&upstream, &more);
        let request = row.request.replace("\"model\":\"m\"", "\"model\":\"group\"");
        let response = gateway.post_json(&format!("/v1{}", row.path), "sk-test", &request).expect(200);
        assert_eq!(response.text(), row.answer);
        assert_eq!(upstream.count(), 2, "{}", row.path);
        gateway.settled();
    }
}

#[test]
fn texts_and_vectors_are_remembered_and_pictures_are_not() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[[cache_policies]]\nname = \"all\"\n");
    for row in &ROWS {
        let ask = || gateway.post_json(&format!("/v1{}", row.path), "sk-test", row.request).expect(200);
        let (first, second) = (ask(), ask());
        let is_kept = ["/completions", "/embeddings"].contains(&row.path);
        let told = |response: &Response| response.header("x-aisix-cache").map(str::to_owned);
        let wanted = |word: &str| is_kept.then(|| word.to_owned());
        assert_eq!((told(&first), told(&second)), (wanted("miss"), wanted("hit")), "{}", row.path);
        let value = |response: &Response| {
            let mut value = response.json();
            // The hour of an answer that is told again is that of the telling.
            value["created"].take();
            value
        };
        assert_eq!(value(&first), value(&second));
    }
}

#[test]
fn a_moderation_may_leave_its_model_out() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &model("omni-moderation-latest", "up", ""));
    let response = gateway.post_json("/v1/moderations", "sk-test", r#"{"input":"hello"}"#).expect(200);
    assert_eq!(response.text(), answers::JUDGEMENT);
    assert_eq!(upstream.received()[0].json()["model"], "upstream-omni-moderation-latest");
}

#[test]
fn a_member_that_is_missing_is_named() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for (path, body, param) in [
        ("/completions", r#"{"model":"m"}"#, "prompt"),
        ("/embeddings", r#"{"model":"m","input":null}"#, "input"),
        ("/rerank", r#"{"model":"m","documents":["a"]}"#, "query"),
        ("/rerank", r#"{"model":"m","query":"q","documents":[]}"#, "documents"),
        ("/images/generations", r#"{"model":"m"}"#, "prompt"),
        ("/audio/speech", r#"{"model":"m"}"#, "input"),
        ("/moderations", r#"{"model":"m"}"#, "input"),
        ("/embeddings", r#"{"input":"a"}"#, "model"),
    ] {
        let response = gateway.post_json(&format!("/v1{path}"), "sk-test", body).expect(400);
        let error: Value = response.error();
        assert_eq!((&error["type"], &error["param"]), (&"invalid_request_error".into(), &param.into()));
    }
    assert_eq!(upstream.count(), 0);
}
