//! Answers that the caller has begun: who goes on, who begins anew, and who refuses.

use super::*;

/// A request in a dialect whose last message is the beginning of an answer.
fn begun(dialect: Dialect, model: &str, beginning: &str, is_stream: bool) -> MockReply {
    let user = json!({"role": "user", "content": "go"});
    let assistant = json!({"role": "assistant", "content": beginning});
    let stream =
        json!({"model": model, "max_tokens": 4096, "messages": [user, assistant], "stream": is_stream});
    let (path, request) = match dialect {
        Dialect::Anthropic => ("/v1/messages".to_owned(), stream),
        Dialect::Cohere => ("/v2/chat".to_owned(), stream),
        Dialect::Gemini => {
            let operation = if is_stream { "streamGenerateContent" } else { "generateContent" };
            let content = |role: &str, text: &str| json!({"role": role, "parts": [{"text": text}]});
            let contents = json!([content("user", "go"), content("model", beginning)]);
            (format!("/v1beta/models/{model}:{operation}"), json!({"contents": contents}))
        }
        Dialect::OpenAiResponses => (
            "/v1/responses".to_owned(),
            json!({"model": model, "input": [user, assistant], "stream": is_stream}),
        ),
        Dialect::OpenAiChat | Dialect::OpenAi | Dialect::Voyage => {
            ("/v1/chat/completions".to_owned(), stream)
        }
    };
    post(&path, request.to_string().as_bytes(), &Hints::default())
}

/// The same as Mistral has it.
fn begun_by_prefix(model: &str, beginning: &str) -> MockReply {
    let messages = json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": beginning, "prefix": true},
    ]);
    ask(json!({"model": model, "messages": messages}), json!({}))
}

fn words(from: usize, to: usize) -> String {
    (from..=to).map(|number| format!(" word{number}")).collect()
}

#[test]
fn a_begun_answer_is_continued_where_the_dialect_has_that() {
    let beginning = words(1, 40).trim_start().to_owned();
    let (rest, whole) = (words(41, 60), words(1, 60).trim_start().to_owned());
    assert_eq!(said(begun_by_prefix("words-60", &beginning)), rest);
    assert_eq!(said(begun_by_prefix("words-60", "something else")), whole);
    let anthropic = |beginning: &str| {
        body(begun(Dialect::Anthropic, "words-60", beginning, false))["content"][0]["text"].clone()
    };
    assert_eq!((anthropic(&beginning), anthropic("x")), (rest.clone().into(), whole.clone().into()));
    let gemini = body(begun(Dialect::Gemini, "words-60", &beginning, false));
    assert_eq!(gemini["candidates"][0]["content"]["parts"][0]["text"], rest);
    // OpenAI and Cohere begin a new answer.
    assert_eq!(said(begun(Dialect::OpenAiChat, "words-60", &beginning, false)), whole);
    let responses = body(begun(Dialect::OpenAiResponses, "words-60", &beginning, false));
    assert_eq!(responses["output"][0]["content"][0]["text"], whole);
    let cohere = body(begun(Dialect::Cohere, "words-60", &beginning, false));
    assert_eq!(cohere["message"]["content"][0]["text"], whole);
}

#[test]
fn a_stream_that_was_cut_and_its_continuation_read_as_one() {
    for dialect in [Dialect::Anthropic, Dialect::Gemini] {
        let events = frames(begun(dialect, "words-60", words(1, 40).trim_start(), true));
        let said: String =
            events.iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect();
        assert_eq!(
            (said.matches(" word").count(), said.contains(" word41")),
            (20, true),
            "{dialect:?}: {said}"
        );
    }
}

#[test]
fn space_at_the_end_of_a_beginning_does_not_count() {
    assert_eq!(said(begun_by_prefix("words-4", "word1 word2 \n")), " word3 word4");
    assert_eq!(said(begun_by_prefix("words-4", "word1 word2 ")), "word3 word4");
    assert_eq!(said(begun_by_prefix("words-4", "word1 word2")), " word3 word4");
    assert_eq!(said(begun_by_prefix("words-4", "word1 wor")), "d2 word3 word4");
}

#[test]
fn every_known_text_is_continued() {
    let whole = said(ask(json!({"messages": [{"role": "user", "content": "go"}]}), json!({})));
    let (beginning, rest) = whole.split_at(9);
    assert_eq!(said(begun_by_prefix("demo", beginning)), rest);
    assert_eq!(said(begun_by_prefix("fat-30", "The quick")), " brown fox jumps over");
    let cut = begun_by_prefix("s08", words(1, 59).trim_start());
    assert!(matches!(&cut.body, MockBody::Stream(frames) if frames[0].then == Then::Cut));
}

#[test]
fn a_model_without_prefill_refuses_it_and_answers_otherwise() {
    for dialect in [Dialect::Anthropic, Dialect::Gemini] {
        for is_stream in [false, true] {
            let refused = begun(dialect, "s14", "word1", is_stream);
            assert_eq!(refused.status, 400, "{dialect:?}");
            let message = body(refused)["error"]["message"].clone();
            let words = "This model does not support assistant message prefill.";
            assert!(message.as_str().is_some_and(|message| message.starts_with(words)), "{message}");
        }
    }
    assert_eq!(begun_by_prefix("s14", "word1").status, 400);
    assert_eq!(begun(Dialect::OpenAiChat, "s14", "word1", false).status, 200);
    assert_eq!(ask(json!({"model": "s14"}), json!({})).status, 200);
}
