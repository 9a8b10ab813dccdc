//! Streams in the response cache (decision 6): they share entries with whole answers, and only what ended well is kept.

use serde_json::{Value, json};

use crate::harness::*;

const CHAT: &str = "/v1/chat/completions";
const POLICY: &str = "[[cache_policies]]\nname = \"policy\"\n";
const DONE: &str = "data: [DONE]\n\n";

/// A provider that says the same as a stream and whole, with what it counted.
fn both() -> Upstream {
    Upstream::start(|request, _| match request.json()["stream"] == true {
        true => Answer::stream(&[&delta("hel"), &delta("lo"), &finish(), &usage_event(5, 7), DONE]),
        false => Answer::json(200, &completion("hello", 5, 7)),
    })
}

/// One request, and what the cache must say to it.
#[track_caller]
fn ask(gateway: &Gateway, path: &str, body: &str, cache: Option<&str>) -> Response {
    let response = gateway.post_json(path, "sk-test", body).expect(200);
    assert_eq!(response.header("x-aisix-cache"), cache, "{body}");
    gateway.settled();
    response
}

fn chat(more: &str) -> String {
    chat_body("m", more)
}

/// The events of a stream as JSON, without OpenAI's last word.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

/// What the deltas of a chat's stream say.
fn said(text: &str) -> String {
    assert!(text.ends_with(DONE), "{text}");
    let words =
        |event: &Value| event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned();
    events(text).iter().map(words).collect()
}

#[test]
fn a_whole_answer_is_given_again_as_a_stream() {
    let upstream = both();
    let gateway = gateway_over(&upstream, POLICY);
    let whole = ask(&gateway, CHAT, &chat(""), Some("miss")).json();
    let stream = ask(&gateway, CHAT, &chat(r#","stream":true"#), Some("hit"));
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("x-aisix-cache-layer"), Some("exact"));
    assert_eq!(stream.header("x-aisix-served-by"), None);
    let events = events(&stream.text());
    assert_eq!(said(&stream.text()), "hello");
    assert_eq!(events.last().expect("events")["choices"][0]["finish_reason"], "stop");
    for event in &events {
        assert_eq!((&event["object"], &event["model"]), (&json!("chat.completion.chunk"), &json!("m")));
        assert_eq!(event["id"], whole["id"]);
        assert!(event["usage"].is_null(), "nobody asked for it: {event}");
    }
    assert_eq!(upstream.count(), 1);
}

#[test]
fn usage_is_told_to_who_wants_it() {
    let upstream = both();
    let gateway = gateway_over(&upstream, POLICY);
    let wish = r#","stream":true,"stream_options":{"include_usage":true}"#;
    for cache in ["miss", "hit"] {
        let stream = ask(&gateway, CHAT, &chat(wish), Some(cache)).text();
        let events = events(&stream);
        let (last, others) = events.split_last().expect("events");
        assert_eq!(last["choices"], json!([]), "{stream}");
        assert_eq!(last["usage"]["total_tokens"], 12, "{stream}");
        if cache == "hit" {
            let says_null = |event: &Value| event.get("usage") == Some(&Value::Null);
            assert!(!others.is_empty() && others.iter().all(says_null), "as OpenAI's do: {stream}");
        }
    }
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_finished_stream_is_given_again_whole_and_as_a_stream() {
    let upstream = both();
    let gateway = gateway_over(&upstream, POLICY);
    let first = ask(&gateway, CHAT, &chat(r#","stream":true"#), Some("miss"));
    assert_eq!(said(&first.text()), "hello");
    let whole = ask(&gateway, CHAT, &chat(""), Some("hit")).json();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "m");
    assert_eq!(whole["choices"][0]["message"], json!({"role": "assistant", "content": "hello"}));
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    assert_eq!(whole["usage"]["total_tokens"], 12, "what the gateway asked for, though the caller did not");
    assert_eq!(said(&ask(&gateway, CHAT, &chat(r#","stream":true"#), Some("hit")).text()), "hello");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn frames_of_a_stream_that_is_gathered_are_the_providers() {
    let frames = [delta("a"), ": a comment\n\n".to_owned(), delta("b"), finish(), DONE.to_owned()];
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let upstream = Upstream::always(Answer::stream(&frames));
    let kept = gateway_over(&upstream, POLICY);
    let plain = gateway_over(&upstream, "");
    let body = chat(r#","stream":true"#);
    assert_eq!(
        ask(&kept, CHAT, &body, Some("miss")).text(),
        ask(&plain, CHAT, &body, None).text(),
        "gathering changes nothing"
    );
}

#[test]
fn a_policy_can_leave_streams_out() {
    let upstream = both();
    let gateway = gateway_over(&upstream, &format!("{POLICY}streaming = false\n"));
    for _ in 0..2 {
        ask(&gateway, CHAT, &chat(r#","stream":true"#), None);
    }
    ask(&gateway, CHAT, &chat(""), Some("miss"));
    ask(&gateway, CHAT, &chat(r#","stream":true"#), None);
    ask(&gateway, CHAT, &chat(""), Some("hit"));
    assert_eq!(upstream.count(), 4);
}

#[test]
fn only_a_stream_that_ended_well_is_kept() {
    let cut = Answer::events().event(&delta("hel")).close();
    let failed = Answer::stream(&[&delta("hel"), "data: {\"error\":{\"message\":\"no\"}}\n\n"]);
    let unfinished = Answer::stream(&[&delta("hel"), DONE]);
    let garbled = Answer::stream(&[&delta("hel"), "data: {\"cho\n\n", &finish(), DONE]);
    let odd = Answer::stream(&[
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\",\"hologram\":{\"a\":1}}}]}\n\n",
        &finish(),
        DONE,
    ]);
    for (what, answer) in
        [("cut", cut), ("failed", failed), ("unfinished", unfinished), ("garbled", garbled), ("odd", odd)]
    {
        let good = Answer::stream(&[&delta("good"), &finish(), DONE]);
        let upstream =
            Upstream::start(move |_, number| if number == 0 { answer.clone() } else { good.clone() });
        let gateway = gateway_over(&upstream, POLICY);
        let body = chat(r#","stream":true"#);
        gateway.stream(&body).rest();
        gateway.settled();
        assert_eq!(said(&ask(&gateway, CHAT, &body, Some("miss")).text()), "good", "{what}");
        assert_eq!(said(&ask(&gateway, CHAT, &body, Some("hit")).text()), "good", "{what}");
    }
}

#[test]
fn a_caller_who_leaves_leaves_nothing_behind() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| match number {
        0 => Answer::events().event(&delta("hel")).wait(&held),
        _ => Answer::stream(&[&delta("again"), &finish(), DONE]),
    });
    let gateway = gateway_over(&upstream, POLICY);
    let body = chat(r#","stream":true"#);
    let mut stream = gateway.stream(&body);
    stream.until("hel");
    stream.leave();
    gateway.settled();
    gate.open();
    assert_eq!(said(&ask(&gateway, CHAT, &body, Some("miss")).text()), "again");
}

#[test]
fn what_a_guardrail_masks_is_masked_in_what_is_kept_and_what_it_blocks_is_not_kept() {
    let upstream = Upstream::start(|request, _| {
        let word = if request.json()["seed"] == 1 { "forbidden" } else { "mail me@example.com" };
        Answer::stream(&[&delta(word), &finish(), DONE])
    });
    let words = "patterns = [{ kind = \"literal\", value = \"forbidden\" }]\nhook_point = \"output\"";
    let mail = "detectors = [{ type = \"email\" }]\nhook_point = \"output\"";
    let more = [POLICY, &guardrail("mask", "pii", mail), &guardrail("words", "keyword", words)].concat();
    let gateway = gateway_over(&upstream, &more);
    ask(&gateway, CHAT, &chat(r#","stream":true"#), Some("miss"));
    let whole = ask(&gateway, CHAT, &chat(""), Some("hit")).text();
    assert!(!whole.contains("me@example.com") && whole.contains("mail "), "{whole}");
    for _ in 0..2 {
        let mut stream = gateway.stream(&chat(r#","stream":true,"seed":1"#));
        assert_eq!(stream.head.header("x-aisix-cache"), Some("miss"));
        assert!(!stream.rest().contains(DONE));
        gateway.settled();
    }
    assert_eq!(upstream.count(), 3);
}

#[test]
fn a_hit_as_a_stream_costs_nothing_and_is_recorded_with_what_it_saved() {
    away_from_the_turn_of_the_minute();
    let upstream = both();
    let usage = UsageFile::new();
    let more =
        [POLICY, &usage.settings(), &api_key("sk-counted", "\"*\"", "rate_limit = { rpm = 60, tpm = 1000 }")]
            .concat();
    let gateway = gateway_over(&upstream, &more);
    for (cache, tokens) in [("miss", "1000"), ("hit", "988"), ("hit", "988")] {
        let body = chat(r#","stream":true"#);
        let response = gateway.post_json(CHAT, "sk-counted", &body).expect(200);
        assert_eq!(response.header("x-aisix-cache"), Some(cache));
        gateway.settled();
        if cache == "hit" {
            assert_eq!(response.header("x-ratelimit-remaining-tokens"), Some(tokens));
        }
    }
    let records = usage.wait_for(&gateway, 3);
    let hit = &records[2];
    assert_eq!((&hit["cache_status"], &hit["status_code"]), (&json!("hit"), &json!(200)), "{hit}");
    assert_eq!(hit["cache_hit_saved_input_tokens"], 5, "{hit}");
    assert_eq!(hit["cache_hit_saved_output_tokens"], 7, "{hit}");
}

#[test]
fn identical_concurrent_requests_of_both_kinds_are_one_request() {
    for leader_streams in [true, false] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::start(move |request, _| match request.json()["stream"] == true {
            true => Answer::events()
                .event(&delta("hel"))
                .wait(&held)
                .event(&delta("lo"))
                .event(&finish())
                .event(DONE)
                .end(),
            false => Answer::default().wait(&held).then(Answer::json(200, &completion("hello", 5, 7))),
        });
        let gateway = gateway_over(&upstream, POLICY);
        let mut callers = Vec::new();
        for place in 0..32 {
            let is_stream = (place % 2 == 0) == leader_streams;
            let body = chat(if is_stream { r#","stream":true"# } else { "" });
            let mut caller = gateway.connect();
            caller.send(&request_text("POST", CHAT, "sk-test", &[], body.as_bytes()));
            callers.push((is_stream, caller));
            if place == 0 {
                upstream.wait_for_requests(1);
            }
        }
        until("everybody waits", || gateway.books().cache.waiting == 31);
        gate.open();
        for (is_stream, caller) in &mut callers {
            let response = caller.response().expect(200);
            match is_stream {
                true => assert_eq!(said(&response.text()), "hello"),
                false => assert_eq!(response.json()["choices"][0]["message"]["content"], "hello"),
            }
        }
        assert_eq!(upstream.count(), 1);
        gateway.settled();
    }
}

#[test]
fn when_a_stream_that_others_wait_for_breaks_off_the_next_one_tries() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| match number {
        0 => Answer::events().event(&delta("hel")).wait(&held).close(),
        _ => Answer::stream(&[&delta("good"), &finish(), DONE]),
    });
    let gateway = gateway_over(&upstream, POLICY);
    let body = chat(r#","stream":true"#);
    let mut first = gateway.stream(&body);
    let mut others = Vec::new();
    for _ in 0..5 {
        let mut caller = gateway.connect();
        caller.send(&request_text("POST", CHAT, "sk-test", &[], body.as_bytes()));
        others.push(caller);
    }
    until("everybody waits", || gateway.books().cache.waiting == 5);
    gate.open();
    assert!(!first.rest().contains(DONE));
    for caller in &mut others {
        assert_eq!(said(&caller.response().expect(200).text()), "good");
    }
    assert_eq!(upstream.count(), 2);
}

/// A request in a dialect, whole and as a stream: the paths and the bodies.
fn spoken(dialect: &str) -> [(String, String); 2] {
    let turn = r#""messages":[{"role":"user","content":"hello"}]"#;
    let (path, body) = match dialect {
        "messages" => ("/v1/messages", format!(r#"{{"model":"m","max_tokens":9,{turn}"#)),
        "responses" => ("/v1/responses", r#"{"model":"m","input":"hello""#.to_owned()),
        "completions" => ("/v1/completions", r#"{"model":"m","prompt":"hello""#.to_owned()),
        "gemini" | "gemini array" => {
            let body = r#"{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}"#.to_owned();
            let query = if dialect == "gemini" { "?alt=sse" } else { "" };
            let at = "/v1beta/models/m:";
            return [
                (format!("{at}generateContent"), body.clone()),
                (format!("{at}streamGenerateContent{query}"), body),
            ];
        }
        other => panic!("{other}"),
    };
    [(path.to_owned(), body.clone() + "}"), (path.to_owned(), body + r#","stream":true}"#)]
}

#[test]
fn every_dialect_shares_answers_both_ways() {
    for dialect in ["messages", "responses", "completions", "gemini", "gemini array"] {
        let [whole, stream] = spoken(dialect);
        for order in [[&whole, &stream, &stream, &whole], [&stream, &whole, &whole, &stream]] {
            let upstream = Upstream::well();
            let gateway = gateway_over(&upstream, POLICY);
            for (place, (path, body)) in order.into_iter().enumerate() {
                let cache = if place == 0 { "miss" } else { "hit" };
                let response = ask(&gateway, path, body, Some(cache));
                let text = response.text();
                assert!(text.contains("hello"), "{dialect} {place}: {text}");
                let is_events = response.header("content-type") == Some("text/event-stream");
                let wants_events = (path, body) == (&stream.0, &stream.1) && dialect != "gemini array";
                assert_eq!(is_events, wants_events, "{dialect} {place}: {text}");
                if !is_events {
                    let json = response.json();
                    assert_eq!(json.is_array(), path.contains("streamGenerate"), "{json}");
                }
            }
            assert_eq!(upstream.count(), 1, "{dialect}");
        }
    }
}
