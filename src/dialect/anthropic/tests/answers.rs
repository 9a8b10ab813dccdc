//! Whole answers and errors, by table.

use serde_json::json;

use super::super::super::Usage;
use super::super::super::chat::{
    Answer, Arguments, Citation, Finish, Origin, Part, Signature, Thought, ToolCall, Words,
};
use super::super::super::json::Text;
use super::*;

fn finish(reason: &str) -> Finish<'static> {
    let body = format!(r#"{{"type":"message","content":[],{reason}}}"#);
    let reply = read_reply(&body).expect("reads");
    reply.answers[0].finish.clone().into_owned()
}

#[test]
fn every_reason_to_stop_has_a_meaning() {
    for (reason, wanted) in [
        (r#""stop_reason":"end_turn""#, Finish::Stop),
        (r#""stop_reason":"pause_turn""#, Finish::Stop),
        (r#""stop_reason":"something_new""#, Finish::Stop),
        (r#""stop_reason":null"#, Finish::Stop),
        (r#""stop_reason":"max_tokens""#, Finish::Length),
        (r#""stop_reason":"model_context_window_exceeded""#, Finish::Length),
        (r#""stop_reason":"tool_use""#, Finish::ToolCalls),
        (r#""stop_reason":"refusal""#, Finish::Refusal),
        (
            r#""stop_reason":"stop_sequence","stop_sequence":"E\n""#,
            Finish::StopSequence(Some(Text::owned("E\n"))),
        ),
    ] {
        assert_eq!(finish(reason), wanted, "{reason}");
    }
}

/// An answer with these parts, as the caller gets it.
fn answered(parts: Vec<Part<'_>>, finish: Finish<'_>) -> Value {
    let answer = Answer { parts, finish, logprobs: None };
    replied(&Reply { answers: vec![answer], ..Reply::default() })
}

fn call(arguments: &'static str) -> Part<'static> {
    let arguments = Arguments::Text(Text::plain(arguments));
    let (id, name) = (Text::plain("call:1"), Text::plain("f"));
    Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: None }))
}

#[test]
fn every_finish_has_a_reason_to_stop() {
    for (finish, has_call, reason, sequence) in [
        (Finish::Stop, false, "end_turn", Value::Null),
        (Finish::Stop, true, "tool_use", Value::Null),
        (Finish::ToolCalls, true, "tool_use", Value::Null),
        (Finish::Length, true, "max_tokens", Value::Null),
        (Finish::ContentFilter, false, "refusal", Value::Null),
        (Finish::Refusal, false, "refusal", Value::Null),
        (Finish::StopSequence(Some(Text::plain("E"))), false, "stop_sequence", json!("E")),
    ] {
        let parts = if has_call { vec![call("")] } else { Vec::new() };
        let message = answered(parts, finish.clone());
        assert_eq!(
            (&message["stop_reason"], &message["stop_sequence"]),
            (&json!(reason), &sequence),
            "{finish:?}"
        );
    }
}

#[test]
fn an_answer_says_something_even_if_it_is_empty() {
    let wanted = json!({
        "id": "msg_0123", "type": "message", "role": "assistant", "model": "mine",
        "content": [{"type": "text", "text": ""}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    });
    assert_eq!(replied(&Reply::default()), wanted);
    assert_eq!(answered(vec![Part::Text(Words::default())], Finish::Stop), wanted);
}

#[test]
fn every_kind_of_part_has_its_block() {
    let words =
        |text: &'static str, citations| Part::Text(Words { text: Text::plain(text), citations, cache: None });
    let page = Citation { url: Some(Text::plain("u")), title: Some(Text::plain("t")), ..Citation::default() };
    let quote = Citation { quote: Some(Text::plain("né")), ..Citation::default() };
    let thought = |origin, text: &'static str, is_redacted| {
        let signature = Some(Signature { origin, data: Text::plain("s") });
        Part::Thought(Box::new(Thought { text: Text::plain(text), signature, is_redacted }))
    };
    let unsigned = Part::Thought(Box::new(Thought { text: Text::plain("b"), ..Thought::default() }));
    let message = answered(
        vec![
            thought(Origin::Anthropic, "a", false),
            thought(Origin::OpenAi, "", false),
            thought(Origin::Anthropic, "", true),
            unsigned,
            words("c", vec![page, quote]),
            Part::Refusal(Text::plain("no")),
            call(r#"{"x": "y"}"#),
            call("{broken"),
        ],
        Finish::Stop,
    );
    let wanted = json!([
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "thinking", "thinking": "", "signature": "aisix.openai.s"},
        {"type": "redacted_thinking", "data": "s"},
        {"type": "thinking", "thinking": "b", "signature": ""},
        {"type": "text", "text": "c", "citations": [
            {"type": "web_search_result_location", "cited_text": "", "url": "u", "title": "t", "encrypted_index": ""},
            {"type": "char_location", "cited_text": "né", "document_index": 0, "document_title": null,
             "start_char_index": 0, "end_char_index": 2},
        ]},
        {"type": "text", "text": "no"},
        {"type": "tool_use", "id": "call:1", "name": "f", "input": {"x": "y"}},
        {"type": "tool_use", "id": "call:1", "name": "f", "input": {}},
    ]);
    assert_eq!(message["content"], wanted);
}

#[test]
fn usage_is_told_in_the_dialects_own_terms() {
    let usage = Usage {
        prompt: 100,
        completion: 9,
        cached: 60,
        cache_write: 30,
        reasoning: 4,
        total: 109,
        ..Usage::default()
    };
    let reply = Reply { usage: Some(usage), ..Reply::default() };
    let wanted = json!({
        "input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60, "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    });
    let written = replied(&reply)["usage"].clone();
    assert_eq!(written, wanted);
    let body = format!(r#"{{"content":[],"usage":{written}}}"#);
    assert_eq!(read_reply(&body).expect("reads").usage, Some(usage));
}

#[test]
fn citations_of_every_kind_are_read() {
    for (citation, url, title) in [
        (
            r#"{"type":"web_search_result_location","cited_text":"q","url":"u","title":"t","encrypted_index":"e"}"#,
            Some("u"),
            "t",
        ),
        (
            r#"{"type":"char_location","cited_text":"q","document_index":0,"document_title":"t","start_char_index":0,"end_char_index":1}"#,
            None,
            "t",
        ),
        (
            r#"{"type":"page_location","cited_text":"q","document_title":"t","start_page_number":1}"#,
            None,
            "t",
        ),
        (r#"{"type":"content_block_location","cited_text":"q","document_title":"t"}"#, None, "t"),
        (r#"{"type":"search_result_location","cited_text":"q","source":"u","title":"t"}"#, Some("u"), "t"),
    ] {
        let body = format!(r#"{{"content":[{{"type":"text","text":"a","citations":[{citation}]}}]}}"#);
        let reply = read_reply(&body).expect("reads");
        let Part::Text(words) = &reply.answers[0].parts[0] else { panic!("words") };
        let (title, quote) = (Some(Text::plain(title)), Some(Text::plain("q")));
        assert_eq!(words.citations, [Citation { url: url.map(Text::plain), title, quote, place: None }]);
    }
}

#[test]
fn what_is_no_answer_is_said_to_be_none() {
    for body in [
        "",
        "[]",
        "null",
        "{}",
        r#"{"content":1}"#,
        r#"{"content":[{"text":"a"}]}"#,
        r#"{"content":[{"type":"text"}]}"#,
    ] {
        let error = read_reply(body).expect_err(body);
        assert!(matches!(error, UpstreamError::Undecodable { .. }), "{body}: {error:?}");
    }
}

#[test]
fn an_error_under_a_status_of_success_is_an_error() {
    for (kind, status, message, code) in [
        ("invalid_request_error", Some(400), "words", None),
        ("authentication_error", Some(401), "words", Some("invalid_api_key")),
        ("permission_error", Some(403), "words", Some("permission_denied")),
        ("not_found_error", Some(404), "words", Some("model_not_found")),
        ("request_too_large", Some(413), "words", Some("request_too_large")),
        ("rate_limit_error", Some(429), "words", Some("rate_limit_exceeded")),
        ("api_error", Some(500), "upstream returned 500", None),
        ("overloaded_error", Some(529), "upstream returned 529", None),
        ("new_error", None, "the provider reported an error in its answer", None),
    ] {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"words"}}}}"#);
        let error = read_reply(&body).expect_err(kind);
        let UpstreamError::Refused(refusal) = error else { panic!("{error:?}") };
        assert_eq!(
            (refusal.status, refusal.message.as_str(), refusal.code.as_deref()),
            (status, message, code)
        );
    }
}

#[test]
fn error_answers_are_read_in_every_shape() {
    for (status, body, message, code) in [
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"a\"b"}}"#,
            "a\"b",
            Some("rate_limit_exceeded"),
        ),
        (400, r#"{"error":"words"}"#, "words", None),
        (400, r#"{"message":"words"}"#, "words", None),
        (429, r#"[{"error":{"code":429,"message":"words","status":"RESOURCE_EXHAUSTED"}}]"#, "words", None),
        (400, "[[1]]", "[[1]]", None),
        (403, " not json ", "not json", None),
        (404, "", "upstream returned 404", None),
        (503, r#"{"error":{"type":"overloaded_error","message":"secret"}}"#, "upstream returned 503", None),
        (302, "secret", "upstream returned 302", None),
    ] {
        let refusal = read_error(status, body.as_bytes());
        assert_eq!((refusal.message.as_str(), refusal.code.as_deref()), (message, code), "{body}");
        assert_eq!((refusal.status, refusal.param), (Some(status), None), "{body}");
    }
}

#[test]
fn the_code_in_the_details_of_an_error_is_kept_for_4xx() {
    for (status, details, code) in [
        (404, r#"{"error_code":"thread_not_found","x":1}"#, Some("thread_not_found")),
        (500, r#"{"error_code":"thread_not_found"}"#, None),
        (404, r#"{"error_code":7}"#, None),
        (404, r#"["thread_not_found"]"#, None),
        (404, "null", None),
    ] {
        let body = format!(r#"{{"error":{{"type":"not_found_error","message":"w","details":{details}}}}}"#);
        let refusal = read_error(status, body.as_bytes());
        assert_eq!(refusal.error_code.as_deref(), code, "{body}");
        assert!(status == 500 || refusal.message == "w", "{refusal:?}");
    }
}
