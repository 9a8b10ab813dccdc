//! Whole answers, rule by rule.

use serde_json::{Value, json};

use super::*;
use crate::dialect::Usage;
use crate::dialect::chat::{
    Answer, Arguments, Citation, Finish, Origin, Part, Signature, Thought, ToolCall, Words,
};
use crate::dialect::json::Text;
use crate::error::UpstreamError;

fn reply(parts: Vec<Part<'_>>, finish: Finish<'static>) -> Value {
    let usage = Usage {
        prompt: 9,
        completion: 5,
        cached: 3,
        cache_write: 2,
        cache_write_hour: 0,
        reasoning: 1,
        total: 14,
        is_estimated: false,
    };
    let answers = vec![Answer { parts, finish, logprobs: None }];
    reply_written(&Reply { id: Some(Text::plain("msg_01")), answers, usage: Some(usage), ..Reply::default() })
}

fn words(text: &str) -> Part<'_> {
    Part::Text(Words { text: Text::plain(text), ..Words::default() })
}

fn call(id: &str) -> Part<'_> {
    let arguments = Arguments::Object("{\"a\":1}".into());
    Part::ToolCall(Box::new(ToolCall { id: Text::plain(id), name: Text::plain("f"), arguments, cache: None }))
}

fn thought(origin: Origin, data: &'static str, is_redacted: bool) -> Part<'static> {
    let signature = Some(Signature { origin, data: Text::plain(data) });
    let text = if is_redacted { Text::default() } else { Text::plain("hm") };
    Part::Thought(Box::new(Thought { text, signature, is_redacted }))
}

#[test]
fn an_answer_has_what_the_sdk_asks_for() {
    let back =
        reply(vec![words("a\n"), Part::Refusal(Text::plain("no")), call("toolu_1")], Finish::ToolCalls);
    assert_eq!(
        (&back["id"], &back["object"], &back["model"]),
        (&json!("resp_0a1b"), &json!("response"), &json!("the-model"))
    );
    assert_eq!((&back["created_at"], &back["status"]), (&json!(1_700_000_000), &json!("completed")));
    for null in
        ["error", "incomplete_details", "instructions", "temperature", "top_p", "previous_response_id"]
    {
        assert!(back.get(null).is_some_and(Value::is_null), "{null}");
    }
    assert_eq!(
        (&back["metadata"], &back["tools"], &back["tool_choice"]),
        (&json!({}), &json!([]), &json!("auto"))
    );
    assert_eq!(
        (&back["parallel_tool_calls"], &back["text"]),
        (&json!(true), &json!({"format": {"type": "text"}}))
    );
    assert_eq!(
        back["usage"],
        json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 14})
    );
    assert_eq!(
        back["output"],
        json!([
            {"id": "msg_0a1b_0", "type": "message", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": "a\n", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "no"}]},
            {"id": "fc_0a1b_1", "type": "function_call", "status": "completed", "call_id": "toolu_1", "name": "f",
                "arguments": "{\"a\":1}"},
        ])
    );
}

#[test]
fn how_an_answer_ended_is_its_status() {
    for (finish, parts, status, reason) in [
        (Finish::Stop, vec![], "completed", Value::Null),
        (Finish::StopSequence(None), vec![words("a")], "completed", Value::Null),
        (Finish::ToolCalls, vec![call("c")], "completed", Value::Null),
        (Finish::Length, vec![words("a")], "incomplete", json!("max_output_tokens")),
        (Finish::ContentFilter, vec![words("a")], "incomplete", json!("content_filter")),
        (Finish::Refusal, vec![Part::Refusal(Text::plain("no"))], "completed", Value::Null),
        (Finish::Refusal, vec![words("a")], "incomplete", json!("content_filter")),
    ] {
        let back = reply(parts, finish.clone());
        assert_eq!(
            (&back["status"], &back["incomplete_details"]["reason"]),
            (&json!(status), &reason),
            "{finish:?}"
        );
        for item in back["output"].as_array().expect("items") {
            assert_eq!(item["status"], status, "{finish:?}");
        }
    }
}

#[test]
fn calls_of_one_answer_have_ids_of_their_own() {
    let back = reply(vec![call("c"), call("c"), call("")], Finish::ToolCalls);
    let ids: Vec<_> = (0..3).map(|place| back["output"][place]["call_id"].clone()).collect();
    assert_eq!(ids, [json!("c"), json!("c_1"), json!("call_0a1b_2")]);
}

#[test]
fn signatures_come_home_through_a_caller() {
    for (origin, data, is_redacted, id, encrypted) in [
        (Origin::OpenAi, "rs_9:xyz", false, "rs_9", "xyz"),
        (Origin::OpenAi, "xyz", false, "rs_0a1b_0", "xyz"),
        (Origin::Anthropic, "a/b+c==", false, "rs_0a1b_0", "aisix.anthropic.a/b+c=="),
        (Origin::Anthropic, "a/b+c==", true, "rs_0a1b_0", "aisix.anthropic.a/b+c==:redacted"),
        (Origin::Google, "g", false, "rs_0a1b_0", "aisix.google.g"),
    ] {
        let part = thought(origin, data, is_redacted);
        let item = reply(vec![part.clone()], Finish::Stop)["output"][0].clone();
        assert_eq!((&item["id"], &item["encrypted_content"]), (&json!(id), &json!(encrypted)));
        let body = object(&json!({"model": "m", "input": [item]}));
        let conversation = read_request(&body, &mut Dropped::default()).expect("reads");
        let Part::Thought(back) = &conversation.turns[0].parts[0] else { panic!("a thought") };
        if data == "xyz" {
            // The provider named no id, so that of the item is as good as any.
            assert_eq!(back.signature.as_ref().map(|own| own.data.escaped()), Some("rs_0a1b_0:xyz"));
        } else {
            assert_eq!(Part::Thought(back.clone()), part);
        }
    }
}

#[test]
fn sources_are_annotations_and_back() {
    let citation = |place| Citation { url: Some(Text::plain("https://x")), title: None, quote: None, place };
    let nameless = Citation { title: Some(Text::plain("t")), ..Citation::default() };
    let citations = vec![citation(Some((1, 2))), nameless, citation(None)];
    let part = Part::Text(Words { text: Text::plain("é\n!"), citations, cache: None });
    let back = reply(vec![part], Finish::Stop);
    let annotation = |start, end| json!({"type": "url_citation", "start_index": start, "end_index": end, "url": "https://x", "title": "https://x"});
    assert_eq!(back["output"][0]["content"][0]["annotations"], json!([annotation(1, 2), annotation(0, 3)]));
    let text = back.to_string();
    let reply = read_reply(&text).expect("reads");
    let Part::Text(words) = &reply.answers[0].parts[0] else { panic!("a text") };
    assert_eq!(
        words.citations.iter().map(|citation| citation.place).collect::<Vec<_>>(),
        [Some((1, 2)), Some((0, 3))]
    );
}

#[test]
fn log_probabilities_are_those_of_the_chat_dialect() {
    let list = json!([{"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}]);
    let body = json!({"id": "resp_1", "status": "completed", "output": [{"type": "message", "content":
        [{"type": "output_text", "text": "a", "annotations": [], "logprobs": list}]}]});
    let text = body.to_string();
    let reply = read_reply(&text).expect("reads");
    let logprobs: Value =
        serde_json::from_str(reply.answers[0].logprobs.as_deref().expect("some")).expect("JSON");
    assert_eq!(logprobs, json!({"content": list, "refusal": null}));
    let back = reply_written(&reply);
    assert_eq!((&back["id"], &back["output"][0]["content"][0]["logprobs"]), (&json!("resp_1"), &list));
}

#[test]
fn answers_that_are_none_are_refused() {
    let message = |error: UpstreamError| match error {
        UpstreamError::Refused(refusal) => format!("{:?} {}", refusal.status, refusal.message),
        error => error.to_string(),
    };
    let unknown = "None the provider reported an error in its answer";
    for (body, words) in [
        ("[]", "the provider's answer cannot be read: it is no response object"),
        ("{}", "the provider's answer cannot be read: it has no output"),
        (r#"{"output":{}}"#, "the provider's answer cannot be read: its output is no list of items"),
        (
            r#"{"status":"in_progress","output":[]}"#,
            "the provider's answer cannot be read: the response is not complete",
        ),
        (r#"{"status":"failed","error":{"code":"server_error","message":"host x"},"output":[]}"#, unknown),
        (r#"{"status":"failed","output":[]}"#, unknown),
        (r#"{"error":{"code":429,"message":"slow down"}}"#, "Some(429) slow down"),
        (r#"{"error":{"code":"503","message":"host x"}}"#, "Some(503) upstream returned 503"),
    ] {
        assert_eq!(message(read_reply(body).expect_err(body)), words, "{body}");
    }
}

#[test]
fn errors_of_every_form_give_their_words() {
    for (body, words, code) in [
        (r#"{"error":{"message":"m","code":"c","param":"p"}}"#, "m", Some("c")),
        (r#"{"error":"m","code":"c"}"#, "m", Some("c")),
        (r#"{"message":"m","code":7}"#, "m", None),
        (r#"{"detail":"m"}"#, "m", None),
        ("plain words", "plain words", None),
        ("", "upstream returned 404", None),
        (r#"{"error":{"error":{"error":1}}}"#, r#"{"error":{"error":1}}"#, None),
    ] {
        let refusal = read_error(404, body.as_bytes());
        assert_eq!(
            (&*refusal.message, refusal.code.as_deref(), refusal.status),
            (words, code, Some(404)),
            "{body}"
        );
    }
}
