//! Whole answers and errors, in both directions.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::stamp;
use crate::dialect::Usage;
use crate::dialect::chat::{
    Answer, Arguments, Citation, Finish, Origin, Part, Reply, Signature, Thought, ToolCall, Words,
};
use crate::dialect::gemini::{read_count, read_error, read_reply, write_reply};
use crate::dialect::json::Text;
use crate::error::UpstreamError;

fn again(reply: &Reply<'_>) -> Value {
    let mut out = BytesMut::new();
    write_reply(reply, &stamp(), &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

fn one(parts: Vec<Part<'_>>, finish: Finish<'static>) -> Value {
    let answers = vec![Answer { parts, finish, logprobs: None }];
    again(&Reply { answers, ..Reply::default() })["candidates"][0].clone()
}

#[test]
fn every_reason_to_finish_has_its_meaning() {
    for (word, finish) in [
        ("STOP", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::ContentFilter),
        ("RECITATION", Finish::ContentFilter),
        ("BLOCKLIST", Finish::ContentFilter),
        ("PROHIBITED_CONTENT", Finish::ContentFilter),
        ("SPII", Finish::ContentFilter),
        ("IMAGE_SAFETY", Finish::ContentFilter),
        ("LANGUAGE", Finish::ContentFilter),
        ("MALFORMED_FUNCTION_CALL", Finish::Stop),
        ("OTHER", Finish::Stop),
    ] {
        let body = json!({"candidates": [{"finishReason": word}]}).to_string();
        assert_eq!(read_reply(&body).expect("reads").answers[0].finish, finish, "{word}");
        let part = json!({"functionCall": {"name": "f", "args": {}}});
        let body = json!({"candidates": [{"content": {"parts": [part]}, "finishReason": word}]}).to_string();
        let expected = if finish == Finish::Stop { Finish::ToolCalls } else { finish };
        assert_eq!(read_reply(&body).expect("reads").answers[0].finish, expected, "{word} with a call");
    }
}

#[test]
fn a_refused_prompt_is_an_answer_and_nothing_is_none() {
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}});
    let text = blocked.to_string();
    let reply = read_reply(&text).expect("reads");
    assert_eq!(reply.answers.len(), 1);
    assert_eq!(
        (&reply.answers[0].finish, reply.usage.map(|usage| usage.prompt)),
        (&Finish::ContentFilter, Some(4))
    );
    for text in ["{}", "[]", "nonsense", r#"{"candidates":7}"#] {
        assert!(matches!(read_reply(text), Err(UpstreamError::Undecodable { .. })), "{text}");
    }
}

#[test]
fn vertex_says_when_an_answer_was_made() {
    // The time of the recording `vertex-gemini-plain-c7d0e0a`.
    for (time, created) in [("2025-11-18T02:35:30.890654Z", Some(1_763_433_330)), ("yesterday", None)] {
        let text = json!({"candidates": [{}], "createTime": time}).to_string();
        assert_eq!(read_reply(&text).expect("reads").created, created);
    }
}

#[test]
fn calls_get_ids_from_the_answers_id() {
    let call = |id: Value| json!({"functionCall": {"name": "f", "id": id}});
    let body = json!({"responseId": "a/b-1", "candidates": [{"content": {"parts": [call(Value::Null), call(json!("own")), call(Value::Null)]}}]});
    let text = body.to_string();
    let reply = read_reply(&text).expect("reads");
    let ids: Vec<_> = reply.answers[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolCall(call) => call.id.decode().into_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, ["call_ab-1_0", "own", "call_ab-1_2"]);
}

#[test]
fn places_of_sources_are_characters_here_and_bytes_there() {
    let text = "Größe: 3 m. Ende";
    let body = json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP", "groundingMetadata": {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {"text": "q"}}],
        "groundingSupports": [{"segment": {"startIndex": 9, "endIndex": 13}, "groundingChunkIndices": [0, 1, 7]}],
    }}]});
    let raw = body.to_string();
    let reply = read_reply(&raw).expect("reads");
    let Part::Text(words) = &reply.answers[0].parts[0] else { panic!("no words") };
    // Two letters of `Größe` take two bytes each.
    let place = Some((7, 11));
    let (url, title) = (Some(Text::plain("https://a")), Some(Text::plain("A")));
    let quoted = Citation { quote: Some(Text::plain("q")), place, ..Citation::default() };
    assert_eq!(words.citations, [Citation { url, title, quote: None, place }, quoted]);
    let grounding = &again(&reply)["candidates"][0]["groundingMetadata"];
    assert_eq!(grounding["groundingChunks"], body["candidates"][0]["groundingMetadata"]["groundingChunks"]);
    let segment = json!({"startIndex": 9, "endIndex": 13, "text": "3 m."});
    assert_eq!(grounding["groundingSupports"][0], json!({"segment": segment, "groundingChunkIndices": [0]}));
    assert_eq!(grounding["groundingSupports"][1]["groundingChunkIndices"], json!([1]));
}

#[test]
fn a_reply_of_another_provider_is_said_in_geminis_words() {
    let arguments = Arguments::Text(Text::plain("broken {"));
    let call = ToolCall { id: Text::plain("toolu_1"), name: Text::plain("f"), arguments, cache: None };
    let signature = Some(Signature { origin: Origin::Anthropic, data: Text::plain("s") });
    let thought = Thought { text: Text::plain("hm"), signature, is_redacted: false };
    let parts = vec![
        Part::Thought(Box::new(thought)),
        Part::Text(Words { text: Text::plain("a"), ..Words::default() }),
        Part::ToolCall(Box::new(call)),
    ];
    let candidate = one(parts, Finish::ToolCalls);
    let signed = &candidate["content"]["parts"][0]["thoughtSignature"];
    // Base64 of `aisix.anthropic.s`.
    assert_eq!(signed, "YWlzaXguYW50aHJvcGljLnM=");
    assert_eq!(candidate["content"]["parts"][0]["thought"], true);
    assert_eq!(candidate["content"]["parts"][1], json!({"text": "a"}));
    assert_eq!(
        candidate["content"]["parts"][2],
        json!({"functionCall": {"id": "toolu_1", "name": "f", "args": {}}})
    );
    assert_eq!(
        (&candidate["finishReason"], &candidate["index"], &candidate["content"]["role"]),
        (&json!("STOP"), &json!(0), &json!("model"))
    );
    assert_eq!(
        one(vec![], Finish::Length),
        json!({"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0})
    );
    assert_eq!(one(vec![Part::Refusal(Text::plain("no"))], Finish::Refusal)["finishReason"], "SAFETY");
}

#[test]
fn usage_is_counted_as_gemini_counts() {
    let usage = Usage { prompt: 10, completion: 7, cached: 4, reasoning: 5, total: 17, ..Usage::default() };
    let reply = again(&Reply { usage: Some(usage), ..Reply::default() });
    let expected = json!({"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 5, "cachedContentTokenCount": 4, "totalTokenCount": 17});
    assert_eq!(reply["usageMetadata"], expected);
    assert_eq!((&reply["modelVersion"], &reply["responseId"]), (&json!("our-model"), &json!("stamped")));
    assert_eq!(read_count(r#"{"totalTokens":9,"promptTokensDetails":[]}"#), Some(9));
    assert_eq!(read_count(r#"{"total":9}"#), None);
}

#[test]
fn codes_of_errors_follow_the_table() {
    for (status, word, code) in [
        (429, "RESOURCE_EXHAUSTED", Some("rate_limit_exceeded")),
        (403, "PERMISSION_DENIED", Some("permission_denied")),
        (401, "UNAUTHENTICATED", Some("invalid_api_key")),
        (404, "NOT_FOUND", Some("model_not_found")),
        (503, "UNAVAILABLE", Some("overloaded")),
        (504, "DEADLINE_EXCEEDED", Some("timeout")),
        (400, "INVALID_ARGUMENT", None),
    ] {
        let body = json!({"error": {"code": status, "message": "words", "status": word}}).to_string();
        let refusal = read_error(status, body.as_bytes());
        assert_eq!(refusal.code.as_deref(), code, "{word}");
        let hidden = format!("upstream returned {status}");
        let message = if status < 500 { "words" } else { hidden.as_str() };
        assert_eq!(refusal.message, message);
    }
    assert_eq!(read_error(400, b"<html>").message, "<html>");
    assert_eq!(read_error(400, b"").message, "upstream returned 400");
    assert_eq!(read_error(502, b"<html>").message, "upstream returned 502");
}
