//! A stream that breaks off and is taken up by another target: what the caller sees, and what is left behind.

use serde_json::Value;

use crate::harness::*;

/// The beginning of an answer that breaks off.
fn begun(texts: &[&str]) -> Answer {
    texts.iter().fold(Answer::events(), |answer, text| answer.event(&delta(text))).close()
}

/// The rest of an answer.
fn rest(texts: &[&str], usage: (u64, u64)) -> Answer {
    let answer = texts.iter().fold(Answer::events(), |answer, text| answer.event(&delta(text)));
    answer.event(&finish()).event(&usage_event(usage.0, usage.1)).event("data: [DONE]\n\n").end()
}

/// A group of targets at one provider that marks the beginning of an answer; the first is asked first.
fn group_over(upstream: &Upstream, count: usize, more: &str) -> Gateway {
    let key = provider_key("up", &upstream.url()).replace("provider = \"openai\"", "provider = \"mistral\"");
    let names = ["a", "b", "c"].get(..count).expect("at most three");
    let models: String = names.iter().map(|name| model(name, "up", "")).collect();
    let group = routing("group", names, "mid_stream = \"continue\"");
    Gateway::start(&(key + &models + &group + &api_key("sk-test", "\"*\"", "") + more))
}

const STREAM: &str = r#","stream":true,"stream_options":{"include_usage":true}"#;

fn words(text: &str) -> String {
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let chunks = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks.filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
}

/// Asks the group for a stream.
fn ask(gateway: &Gateway) -> String {
    gateway.chat(&chat_body("group", STREAM)).expect(200).text()
}

#[test]
fn the_next_target_is_given_what_was_said_and_goes_on() {
    let usage = UsageFile::new();
    let upstream = Upstream::in_turn(vec![begun(&["one ", "two "]), rest(&[" ", "three"], (21, 1))]);
    let gateway = group_over(&upstream, 2, &usage.settings());
    let text = ask(&gateway);
    assert_eq!(words(&text), "one two three", "{text}");
    assert_eq!(text.matches("\"role\":\"assistant\"").count(), 1, "{text}");
    assert_eq!(text.matches("\"finish_reason\":\"stop\"").count(), 1, "{text}");
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("event: error"), "{text}");
    let asked = upstream.received()[1].json();
    let last = asked["messages"].as_array().and_then(|turns| turns.last().cloned()).expect("a turn");
    let wanted = serde_json::json!({"role": "assistant", "content": "one two", "prefix": true});
    assert_eq!((last, &asked["model"]), (wanted, &"upstream-b".into()));
    let records = usage.wait_for(&gateway, 2);
    let is_whole = |record: &Value| (record["status_code"].clone(), record["attempt_model"].clone());
    assert_eq!(is_whole(&records[0]), (502.into(), "a".into()));
    assert_eq!(is_whole(&records[1]), (200.into(), "b".into()));
    let sum = |name: &str| records.iter().map(|record| record[name].as_u64().expect(name)).sum::<u64>();
    let told = format!(
        r#""prompt_tokens":{},"completion_tokens":{}"#,
        sum("prompt_tokens"),
        sum("completion_tokens")
    );
    assert!(text.contains(&told) && records[0]["completion_tokens"].as_u64() > Some(0), "{told}: {text}");
    gateway.settled();
}

#[test]
fn an_answer_without_a_word_is_begun_anew() {
    let opening = r#"data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    let silent = Answer::events().event(&format!("{opening}\n\n")).close();
    let upstream = Upstream::in_turn(vec![silent, rest(&["hello"], (5, 1))]);
    let gateway = group_over(&upstream, 2, "");
    let text = ask(&gateway);
    assert_eq!(words(&text), "hello");
    assert_eq!(upstream.received()[1].json()["messages"].as_array().map(Vec::len), Some(1));
    gateway.settled();
}

#[test]
fn an_answer_that_breaks_off_twice_is_taken_up_twice() {
    let answers = vec![begun(&["one "]), begun(&["two "]), rest(&["three"], (5, 1))];
    let upstream = Upstream::in_turn(answers);
    let gateway = group_over(&upstream, 3, "");
    assert_eq!(words(&ask(&gateway)), "one two three");
    let asked = upstream.received()[2].json();
    assert_eq!(asked["messages"][1]["content"], "one two");
    gateway.settled();
}

#[test]
fn where_nobody_goes_on_the_failure_of_the_first_ends_the_stream() {
    let refusal = Answer::json(400, r#"{"error":{"message":"no beginnings here"}}"#);
    for (answers, count) in [
        (vec![begun(&["one"]), refusal.clone()], 2),
        (vec![begun(&["one"]), refusal, Answer::json(500, "{}")], 3),
        (vec![begun(&["one"])], 1),
    ] {
        let asked = answers.len();
        let upstream = Upstream::in_turn(answers);
        let gateway = group_over(&upstream, count, "");
        let text = ask(&gateway);
        assert_eq!(words(&text), "one");
        assert!(text.contains("event: error\n") && text.contains("\"type\":\"stream_aborted\""), "{text}");
        assert!(!text.contains("[DONE]") && !text.contains("\"finish_reason\":\"stop\""), "{text}");
        assert_eq!(upstream.count(), asked);
        gateway.settled();
    }
}

#[test]
fn a_tool_call_is_never_gone_on_with() {
    let call = r#"{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":"{\"a\":"}}"#;
    let call = format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}}}}]}}"#);
    let broken = Answer::events().event(&delta("one")).event(&format!("data: {call}\n\n")).close();
    let upstream = Upstream::in_turn(vec![broken, rest(&["two"], (5, 1))]);
    let gateway = group_over(&upstream, 2, "");
    let text = ask(&gateway);
    assert!(text.contains("event: error\n") && words(&text) == "one", "{text}");
    assert_eq!(upstream.count(), 1);
    gateway.settled();
}

#[test]
fn guardrails_judge_both_parts_as_one() {
    let upstream = Upstream::in_turn(vec![begun(&["the sec"]), rest(&["ret is out"], (5, 1))]);
    let rule = guardrail(
        "k",
        "keyword",
        "patterns = [{ kind = \"literal\", value = \"secret\" }]\nhook_point = \"output\"",
    );
    let gateway = group_over(&upstream, 2, &rule);
    let text = ask(&gateway);
    assert!(text.contains("event: error\n") && text.contains("content_filter"), "{text}");
    assert!(!words(&text).contains("secret"), "{text}");
    gateway.settled();
}

#[test]
fn a_caller_who_leaves_while_another_target_is_asked_takes_everything_along() {
    let upstream = Upstream::in_turn(vec![begun(&["one"]), Answer::silence()]);
    let gateway = group_over(&upstream, 2, "");
    let mut stream = gateway.stream(&chat_body("group", STREAM));
    stream.until("one");
    upstream.wait_for_requests(2);
    drop(stream);
    upstream.wait_for_hang_up();
    gateway.settled();
}

#[test]
fn the_next_target_may_write_what_is_left_of_the_callers_limit() {
    let upstream = Upstream::in_turn(vec![begun(&["one two three"]), rest(&[" four"], (5, 1))]);
    let gateway = group_over(&upstream, 2, "");
    let body = chat_body("group", &format!("{STREAM},\"max_tokens\":9"));
    assert_eq!(words(&gateway.chat(&body).expect(200).text()), "one two three four");
    assert_eq!(upstream.received()[1].json()["max_tokens"], 6, "three words are three tokens");
    gateway.settled();

    let upstream = Upstream::in_turn(vec![begun(&["one two three"])]);
    let gateway = group_over(&upstream, 2, "");
    let body = chat_body("group", &format!("{STREAM},\"max_tokens\":3"));
    let text = gateway.chat(&body).expect(200).text();
    assert!(text.contains("event: error\n"), "nothing is left to be written: {text}");
    gateway.settled();
}

#[test]
fn what_the_first_part_has_used_up_keeps_the_second_from_being_asked() {
    let upstream = Upstream::in_turn(vec![begun(&["one two three"])]);
    let key = provider_key("up", &upstream.url()).replace("provider = \"openai\"", "provider = \"mistral\"");
    let cost = "cost = { input_per_1k = 1000, output_per_1k = 1000 }";
    let config = key
        + &model("a", "up", cost)
        + &model("b", "up", cost)
        + &routing("group", &["a", "b"], "mid_stream = \"continue\"")
        + &budget("all", "scope = \"org\"", "9", "")
        + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start(&config);
    let text = gateway.chat(&chat_body("group", &format!("{STREAM},\"max_tokens\":4"))).expect(200).text();
    assert!(text.contains("event: error\n") && words(&text) == "one two three", "{text}");
    assert_eq!(upstream.count(), 1);
    gateway.settled();
    let ledger = gateway.books().ledger;
    assert_eq!((ledger.admitted, ledger.refused), (1, 1), "{ledger:?}");
}

#[test]
fn thoughts_are_not_thought_a_second_time() {
    let thought = r#"{"id":"c","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#;
    let broken = Answer::events().event(&format!("data: {thought}\n\n")).close();
    let upstream = Upstream::in_turn(vec![broken, rest(&["two"], (5, 1))]);
    let gateway = group_over(&upstream, 2, "");
    let text = ask(&gateway);
    assert!(text.contains("event: error\n"), "{text}");
    assert_eq!(upstream.count(), 1);
    gateway.settled();
}
