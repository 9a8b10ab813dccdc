//! Replies, chunks and errors, by table.

use super::*;
use crate::error::UpstreamRefusal;

fn frame(text: &str) -> Frame<'_> {
    Frame { bytes: text.as_bytes() }
}

fn read(frame: &Frame<'_>, model: &str) -> Chunk {
    FrameReader::new(model.into()).read(frame)
}

/// The frame as the caller gets it.
fn passed(text: &str, chunk: &Chunk, model: &str) -> String {
    let (Chunk::Content { pass, .. } | Chunk::Usage { pass, .. }) = chunk else {
        panic!("nothing passes: {chunk:?}")
    };
    match pass {
        Pass::AsItIs => text.to_owned(),
        Pass::Renamed(own) => format!("{}{model}{}", &text[..own.start], &text[own.end..]),
        Pass::Rewritten(bytes) => String::from_utf8(bytes.clone()).expect("text"),
    }
}

fn refused(error: UpstreamError) -> UpstreamRefusal {
    match error {
        UpstreamError::Refused(refusal) => *refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[test]
fn a_reply_changes_its_model_only() {
    let body = r#"{"id":"x", "model":"gpt-4o-2024","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}},"new":1.0}"#;
    let reply = read_reply(Bytes::from(body), "\"mine\"").expect("reads");
    assert_eq!(reply.body, body.replace("\"gpt-4o-2024\"", "\"mine\"").as_bytes());
    let usage = Usage { prompt: 3, completion: 4, cached: 2, reasoning: 1, total: 7, ..Usage::default() };
    assert_eq!(reply.usage, Some(usage));
}

#[test]
fn an_error_under_a_status_of_success_is_an_error() {
    let error = read_reply(Bytes::from_static(br#"{"error":{"message":"slow down","code":429}}"#), "\"m\"");
    let refusal = refused(error.expect_err("an error"));
    assert_eq!((refusal.status, refusal.message.as_str(), refusal.in_band), (Some(429), "slow down", false));
}

#[test]
fn a_chunk_keeps_its_bytes_but_for_the_model() {
    for end in ["null", "\"stop\""] {
        let text = format!(
            "data: {{\"id\":\"1\",\"model\":\"a\",\"choices\":[{{\"delta\":{{\"content\":\"hi\"}},\"finish_reason\":{end}}}]}}\r\n\r\n"
        );
        let chunk = read(&frame(&text), "\"mine\"");
        assert_eq!(passed(&text, &chunk, "\"mine\""), text.replace("\"model\":\"a\"", "\"model\":\"mine\""));
        let Chunk::Content { finish, text_bytes, .. } = chunk else { panic!("content") };
        assert_eq!((finish.is_some(), text_bytes), (end != "null", 2));
    }
}

#[test]
fn frames_are_told_apart() {
    type Is = fn(&Chunk) -> bool;
    let cases: [(&str, Is); 8] = [
        (": ping\n\n", |chunk| matches!(chunk, Chunk::Comment)),
        ("data: [DONE]\n\n", |chunk| matches!(chunk, Chunk::Done)),
        ("data: {not json\n\n", |chunk| matches!(chunk, Chunk::Malformed)),
        ("data: {\"error\":{\"message\":\"x\"}}\n\n", |chunk| matches!(chunk, Chunk::Failed(_))),
        ("event: error\ndata: {\"message\":\"x\"}\n\n", |chunk| matches!(chunk, Chunk::Failed(_))),
        ("data: {\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n", |chunk| {
            matches!(chunk, Chunk::Usage { .. })
        }),
        ("data: {\"choices\":[],\"usage\":null}\n\n", |chunk| matches!(chunk, Chunk::Content { .. })),
        ("data: {\"choices\":\"odd\"}\n\n", |chunk| matches!(chunk, Chunk::Content { .. })),
    ];
    for (text, is) in cases {
        let chunk = read(&frame(text), "\"m\"");
        assert!(is(&chunk), "{text}: {chunk:?}");
    }
}

#[test]
fn data_over_several_lines_stays_one_event() {
    let text = "data: {\"model\":\"a\",\ndata: \"choices\":[]}\n\n";
    let chunk = read(&frame(text), "\"b\"");
    assert_eq!(passed(text, &chunk, "\"b\""), "data: {\"model\":\"b\", \"choices\":[]}\n\n");
}

#[test]
fn error_bodies_of_any_shape_give_their_words_for_4xx_and_nothing_for_5xx() {
    for (status, body, message, code, param) in [
        (
            400,
            r#"{"error":{"message":"bad","type":"x","param":"n","code":"c"}}"#,
            "bad",
            Some("c"),
            Some("n"),
        ),
        (401, r#"{"error":{"message":"bad","code":401}}"#, "bad", None, None),
        (404, r#"{"error":{"message":"bad","code":"404"}}"#, "bad", Some("404"), None),
        (404, r#"{"error":"model missing"}"#, "model missing", None, None),
        (422, r#"{"message":"bad","code":"c"}"#, "bad", Some("c"), None),
        (422, r#"{"detail":"bad"}"#, "bad", None, None),
        (400, r#"[{"error":{"message":"bad"}}]"#, "bad", None, None),
        (403, "<html>no</html>", "<html>no</html>", None, None),
        (429, "", "upstream returned 429", None, None),
        (
            500,
            r#"{"error":{"message":"secret host","code":"c","param":"p"}}"#,
            "upstream returned 500",
            None,
            None,
        ),
        (302, "moved to http://internal", "upstream returned 302", None, None),
    ] {
        let refusal = refused(read_error(status, None, body.as_bytes()));
        assert_eq!(refusal.message, message, "{body}");
        assert_eq!((refusal.code.as_deref(), refusal.param.as_deref()), (code, param), "{body}");
    }
}

#[test]
fn what_only_opens_an_answer_says_nothing() {
    let chunk = |choice: &str| says_something(format!(r#"{{"choices":[{choice}]}}"#).as_bytes());
    for silent in [
        r#"{"delta":{"role":"assistant","content":"","refusal":null}}"#,
        r#"{"delta":{}}"#,
        r#"{"delta":{"role":"assistant","tool_calls":[]}}"#,
        r#"{"text":"","index":0}"#,
    ] {
        assert!(!chunk(silent), "{silent}");
    }
    for said in [
        r#"{"delta":{"content":" "}}"#,
        r#"{"delta":{"reasoning_content":"hm"}}"#,
        r#"{"delta":{"tool_calls":[{"index":0,"id":"a"}]}}"#,
        r#"{"text":"a","index":0}"#,
    ] {
        assert!(chunk(said), "{said}");
    }
}
