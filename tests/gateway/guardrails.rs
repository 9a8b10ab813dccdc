//! Guardrails end to end: what is refused, what goes on in other words, and what is told of it (§10).

use aisix::envelope::Envelope;
use serde_json::{Value, json};

use crate::harness::*;
use crate::matrix;

mod frames;
mod tunnel;

/// One that blocks a word.
fn keyword(name: &str, word: &str, more: &str) -> String {
    guardrail(name, "keyword", &format!("patterns = [{{ kind = \"literal\", value = \"{word}\" }}]\n{more}"))
}

/// One that masks e-mail addresses.
fn email(name: &str, more: &str) -> String {
    guardrail(name, "pii", &format!("detectors = [{{ type = \"email\" }}]\n{more}"))
}

/// One that asks a judge.
fn webhook(name: &str, judge: &Upstream, more: &str) -> String {
    guardrail(
        name,
        "webhook",
        &format!("url = \"{}\"\nheaders = {{ x-judge = \"secret\" }}\n{more}", judge.url()),
    )
}

/// An attachment; `scope` is what it aims at.
fn attached(guardrail: &str, scope: &str, priority: i32) -> String {
    format!(
        "[[guardrail_attachments]]\nname = \"{guardrail} {scope}\"\nguardrail = \"{guardrail}\"\n{}\n\
         priority = {priority}\n",
        match scope.split_once(' ') {
            Some((kind, of)) => format!("scope_type = \"{kind}\"\nscope_ref = \"{of}\""),
            None => format!("scope_type = \"{scope}\""),
        }
    )
}

/// A chat request with these words.
fn saying(words: &str) -> String {
    json!({"model": "m", "messages": [{"role": "user", "content": words}]}).to_string()
}

/// A provider that always answers this.
fn answering(words: &str) -> Upstream {
    Upstream::always(Answer::json(200, &completion(words, 5, 7)))
}

/// A judge that answers this.
fn judging(answer: &Value) -> Upstream {
    Upstream::always(Answer::json(200, &answer.to_string()))
}

/// What the provider was sent as the first message.
fn heard(upstream: &Upstream) -> String {
    let received = upstream.received();
    let body = received.last().expect("it was asked").json();
    body["messages"][0]["content"].as_str().expect("words").to_owned()
}

/// The words of the answer.
fn said(response: &Response) -> String {
    response.json()["choices"][0]["message"]["content"].as_str().expect("words").to_owned()
}

/// Asserts a refusal by a guardrail, which has no code and names nobody but itself.
#[track_caller]
fn refused(response: &Response, subject: &str, name: &str) {
    let words = format!("{subject} blocked by content policy (guardrail '{name}')");
    assert_eq!(
        (response.status, response.text()),
        (
            422,
            json!({"error": {
                "message": words, "type": "content_filter",
            }})
            .to_string()
        )
    );
    matrix::assert_refused(Envelope::OpenAi, response, 422, "content_filter");
}

#[test]
fn a_word_in_a_request_is_refused_before_anything_is_taken() {
    let upstream = answering("fine");
    let more = keyword("no swearing", "darn", "") + &budget("b", "scope = \"org\"", "0.000001", "");
    let gateway = gateway_over(&upstream, &more);
    refused(&gateway.chat(&saying("oh DARN it")), "request", "no swearing");
    let nested = r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"1","type":"function",
        "function":{"name":"f","arguments":"{\"a\":[\"\\u0064arn\"]}"}}]},{"role":"user","content":"hi"}]}"#;
    refused(&gateway.chat(nested), "request", "no swearing");
    assert_eq!(upstream.count(), 0, "nobody is asked");
    assert_eq!(gateway.books().limiter.held, 0);
    gateway.settled();
}

#[test]
fn each_envelope_has_its_own_refusal() {
    let upstream = answering("fine");
    let gateway = gateway_over(&upstream, &keyword("k", "darn", ""));
    let body = r#"{"model":"m","max_tokens":9,"system":"darn","messages":[{"role":"user","content":"hi"}]}"#;
    let response = gateway.post_json("/v1/messages", "sk-test", body).expect(422);
    matrix::assert_refused(Envelope::Anthropic, &response, 422, "content_filter");
    let error = &response.json()["error"];
    assert_eq!(error["type"], "invalid_request_error");
    assert_eq!(error["message"], "request blocked by content policy (guardrail 'k')");
    let counted = gateway.post_json("/v1/messages/count_tokens", "sk-test", body);
    assert_ne!(counted.status, 422, "counting tokens is not judged");
}

#[test]
fn personal_data_goes_to_the_provider_and_to_the_caller_in_other_words() {
    let upstream = answering("ask bob@x.example, he knows");
    let gateway = gateway_over(&upstream, &email("mask", ""));
    let response = gateway.chat(&saying("I am ann@x.example")).expect(200);
    assert_eq!(heard(&upstream), "I am [EMAIL_REDACTED]");
    assert_eq!(said(&response), "ask [EMAIL_REDACTED], he knows");
    let plain = completion("ask [EMAIL_REDACTED], he knows", 5, 7).replace("upstream-m", "m");
    assert_eq!(response.text(), plain, "the rest stays as it was");
}

#[test]
fn an_answer_that_is_refused_is_paid_for_all_the_same() {
    let folder = Folder::new();
    let path = folder.path().join("usage.jsonl");
    let answers = ["well, darn", "darn it", "fine"].map(|words| Answer::json(200, &completion(words, 5, 7)));
    let upstream = Upstream::in_turn(answers.into());
    let more = keyword("k", "darn", "hook_point = \"output\"")
        + "[[cache_policies]]\nname = \"all\"\n"
        + &format!("[observability.usage_records]\ntarget = \"file\"\npath = \"{}\"\n", path.display());
    let more = api_key("sk-limited", "\"*\"", "rate_limit = { tpm = 100_000 }") + &more;
    away_from_the_turn_of_the_minute();
    let gateway = gateway_over(&upstream, &more);
    for _ in 0..2 {
        let response = gateway.post_json("/v1/chat/completions", "sk-limited", &saying("darn is fine here"));
        refused(&response, "response", "k");
    }
    assert_eq!(upstream.count(), 2, "what was refused is not remembered");
    let fine = gateway.post_json("/v1/chat/completions", "sk-limited", &saying("fine")).expect(200);
    assert_eq!(fine.header("x-ratelimit-remaining-tokens"), Some("99964"), "three answers of 12 tokens");
    // Each worker writes its own records, so they are not in the order of the requests.
    let mut written = records(&gateway, &path, 3);
    written.retain(|record| record["status_code"] != 200);
    assert_eq!(written.len(), 2, "{written:?}");
    for record in &written {
        assert_eq!(record["guardrail_blocked"], true, "{record}");
        assert_eq!(
            (&record["prompt_tokens"], &record["completion_tokens"]),
            (&json!(5), &json!(7)),
            "{record}"
        );
        assert_eq!((&record["status_code"], &record["error_class"]), (&json!(422), &json!("content_filter")));
        let hit = &record["guardrail_enforced_hits"][0];
        assert_eq!(
            (&hit["guardrail_name"], &hit["hook"], &hit["action"]),
            (&json!("k"), &json!("output"), &json!("blocked"))
        );
    }
}

/// Waits for so many usage records.
#[track_caller]
fn records(gateway: &Gateway, path: &std::path::Path, count: usize) -> Vec<Value> {
    gateway.settled();
    let lines = || std::fs::read_to_string(path).unwrap_or_default();
    until("usage records", || lines().lines().count() >= count && !gateway.gateway.telemetry.has_buffered());
    let records: Vec<Value> = lines().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(records.len(), count, "{records:#?}");
    records
}

#[test]
fn records_and_counters_tell_who_judged_and_never_what() {
    let folder = Folder::new();
    let path = folder.path().join("usage.jsonl");
    let judge = judging(&json!({"action": "block", "reason": "toxic"}));
    let upstream = answering("for bob@x.example");
    let more = email("mask", "")
        + &keyword("watch", "secret plan", "enforcement_mode = \"monitor\"\nhook_point = \"input\"")
        + &webhook("judge", &judge, "enforcement_mode = \"monitor\"\nhook_point = \"output\"")
        + &format!("[observability.usage_records]\ntarget = \"file\"\npath = \"{}\"\n", path.display());
    let gateway = gateway_over(&upstream, &more);
    gateway.chat(&saying("secret plan of ann@x.example and bob@x.example")).expect(200);
    let record = records(&gateway, &path, 1).remove(0);
    assert_eq!(record["guardrail_blocked"], false);
    let applied = json!([
        {"kind": "pii", "hook": "input"}, {"kind": "keyword", "hook": "input"},
        {"kind": "pii", "hook": "output"}, {"kind": "webhook", "hook": "output"},
    ]);
    assert_eq!(record["applied_guardrails"], applied);
    assert_eq!(record["redacted_entity_counts"], json!({"email": 3}));
    let watched = json!([
        {"guardrail_name": "watch", "hook": "input", "action": "would_block"},
        {"guardrail_name": "judge", "hook": "output", "action": "would_block", "reason": "toxic"},
    ]);
    assert_eq!(record["guardrail_monitor_hits"], watched);
    let enforced = record["guardrail_enforced_hits"].as_array().expect("a list");
    let counts: Vec<_> = enforced.iter().map(|hit| (&hit["hook"], &hit["action"], &hit["counts"])).collect();
    let two = json!({"email": 2});
    let one = json!({"email": 1});
    assert_eq!(
        counts,
        [(&json!("input"), &json!("masked"), &two), (&json!("output"), &json!("masked"), &one)]
    );
    assert!(enforced.iter().all(|hit| hit["duration_us"].is_u64()), "{record}");
    assert!(record.get("guardrail_bypassed_reason").is_none());
    for words in ["secret", "@x"] {
        assert!(!record.to_string().contains(words), "{record}");
    }
    let metrics = gateway.metrics();
    let decided = |labels: &[(&str, &str)]| metrics.sum("aisix_guardrail_decisions_total", labels);
    assert_eq!(decided(&[("guardrail", "mask"), ("hook", "output"), ("outcome", "masked")]), 1.0);
    assert_eq!(decided(&[("kind", "keyword"), ("outcome", "would_block"), ("error_type", "")]), 1.0);
    let took = [("guardrail", "judge"), ("phase", "output"), ("result", "would_block")];
    assert_eq!(metrics.sum("aisix_guardrail_latency_seconds_count", &took), 1.0);
    assert_eq!(metrics.sum("aisix_guardrail_blocks_total", &[]), 0.0);
}

#[test]
fn a_monitor_lets_everything_through_as_it_is() {
    let broken = Upstream::always(Answer::json(500, "{}"));
    let upstream = answering("darn bob@x.example");
    let watching = "enforcement_mode = \"monitor\"\nmandatory = true";
    let more = keyword("k", "darn", watching) + &email("p", watching) + &webhook("w", &broken, watching);
    let gateway = gateway_over(&upstream, &more);
    let response = gateway.chat(&saying("darn ann@x.example")).expect(200);
    assert_eq!(
        (heard(&upstream).as_str(), said(&response).as_str()),
        ("darn ann@x.example", "darn bob@x.example")
    );
    assert_eq!(broken.count(), 2, "it watches both");
}

#[test]
fn attachments_decide_who_is_judged_and_in_which_order() {
    let upstream = answering("fine");
    let more = [
        model("free", "up", ""),
        api_key("sk-red", "\"*\"", "team_id = \"red\""),
        keyword("all", "one", ""),
        keyword("team", "two", ""),
        keyword("model", "three", ""),
        keyword("key", "four", ""),
        keyword("off", "five", ""),
        attached("team", "team red", 0),
        attached("model", "model m", 0),
        attached("key", "api_key sk-red", 5),
        attached("key", "api_key sk-test", -5),
        attached("off", "env", 0).replace("priority", "enabled = false\npriority"),
    ];
    let gateway = gateway_over(&upstream, &more.concat());
    let everything = "one two three four five";
    for (key, model, words, name) in [
        ("sk-red", "m", everything, Some("key")),
        ("sk-red", "m", "one two three", Some("team")),
        ("sk-red", "free", "three two one", Some("team")),
        ("sk-test", "m", everything, Some("model")),
        ("sk-test", "free", "four one", Some("all")),
        ("sk-test", "free", "four", Some("key")),
        ("sk-test", "free", "two three five", None),
    ] {
        let body = saying(words).replace("\"m\"", &format!("\"{model}\""));
        let response = gateway.post_json("/v1/chat/completions", key, &body);
        match name {
            Some(name) => refused(&response, "request", name),
            None => drop(response.expect(200)),
        }
    }
}

#[test]
fn a_judge_is_told_who_says_what_and_its_word_counts() {
    let judge = Upstream::start(|request, _| {
        let texts = request.json()["texts"].clone();
        let masked: Vec<String> = texts
            .as_array()
            .expect("a list")
            .iter()
            .map(|text| text.as_str().expect("words").replace("ugly", "\"\""))
            .collect();
        Answer::json(200, &json!({"action": "mask", "texts": masked}).to_string())
    });
    let upstream = answering("ugly too");
    let gateway =
        gateway_over(&upstream, &(email("mask", "hook_point = \"input\"") + &webhook("judge", &judge, "")));
    let response = gateway.chat(&saying("ugly ann@x.example")).expect(200);
    assert_eq!((heard(&upstream).as_str(), said(&response).as_str()), ("\"\" [EMAIL_REDACTED]", "\"\" too"));
    let received = judge.received();
    let snapshot = gateway.gateway.snapshot();
    let caller =
        snapshot.resources.entries(aisix::config::Kind::ApiKeys).next().expect("a key").id().to_string();
    for (question, hook, text) in
        [(&received[0], "input", "ugly [EMAIL_REDACTED]"), (&received[1], "output", "ugly too")]
    {
        let id = question.header("x-aisix-request-id").expect("an id").to_owned();
        assert_eq!(question.header("x-judge"), Some("secret"));
        assert_eq!(
            question.json(),
            json!({
                "hook": hook, "guardrail": "judge", "model": "m", "api_key_id": caller, "team_id": null,
                "request_id": id, "texts": [text],
            })
        );
    }
}

/// What becomes of a request and of an answer when a judge fails so; the tag is the one of the failure.
fn check_failure(judge: &Upstream, more: &str, tag: &str) {
    let upstream = answering("fine");
    for (rules, hook, goes_on) in [
        ("", "input", true),
        ("fail_open = false", "input", false),
        ("mandatory = true", "input", false),
        ("", "output", false),
        ("output_fail_open = true", "output", true),
        ("output_fail_open = true\nmandatory = true", "output", false),
    ] {
        let rules = format!("{rules}\nhook_point = \"{hook}\"\n{more}");
        let gateway = gateway_over(&upstream, &webhook("w", judge, &rules));
        let response = gateway.chat(&saying("hi"));
        let outcome = if goes_on { "bypassed" } else { "blocked_unavailable" };
        if goes_on {
            assert_eq!(said(&response.expect(200)), "fine", "{tag} {rules}");
        } else {
            refused(&response, if hook == "input" { "request" } else { "response" }, "w");
        }
        gateway.settled();
        let labels = [("hook", hook), ("outcome", outcome), ("error_type", tag)];
        assert_eq!(gateway.metrics().sum("aisix_guardrail_decisions_total", &labels), 1.0, "{tag} {rules}");
    }
}

#[test]
fn a_judge_that_fails_is_passed_over_or_blocks_as_its_row_says() {
    let large = format!(r#"{{"action":"allow","texts":["{}"]}}"#, "x".repeat(1 << 20));
    let elsewhere = Answer::with_headers(302, &[("location", "http://127.0.0.1:1/")], "");
    for (answer, tag) in [
        (Answer::json(503, "{}"), "webhook_5xx"),
        (Answer::json(429, "{}"), "webhook_throttled"),
        (Answer::json(404, "{}"), "webhook_config_error"),
        (elsewhere, "webhook_config_error"),
        (Answer::json(200, r#"{"action":"shrug"}"#), "webhook_config_error"),
        (Answer::json(200, r#"{"action":"mask","texts":[]}"#), "webhook_config_error"),
        (Answer::json(200, &large), "webhook_config_error"),
        (Answer::default().reset(), "webhook_timeout"),
    ] {
        let judge = Upstream::always(answer);
        check_failure(&judge, "", tag);
        assert_eq!(judge.count(), 6, "asked once each: {tag}");
    }
}

#[test]
fn a_judge_that_is_slow_or_may_not_be_asked_fails_too() {
    let slow = Upstream::always(Answer::silence());
    check_failure(&slow, "timeout_ms = 50", "webhook_timeout");
    let judge = judging(&json!({"action": "allow"}));
    check_failure(&judge, "timeout_ms = 0", "webhook_timeout");
    check_failure(&judge, "max_text_bytes = 1", "webhook_config_error");
    assert_eq!(judge.count(), 0, "it is not asked");
}

#[test]
fn an_answer_from_the_cache_is_judged_again() {
    let upstream = answering("darn bob@x.example");
    let allow = Answer::json(200, &json!({"action": "allow"}).to_string());
    let block = Answer::json(200, &json!({"action": "block"}).to_string());
    let judge = Upstream::in_turn(vec![allow.clone(), allow, block]);
    let more = "[[cache_policies]]\nname = \"all\"\n".to_owned()
        + &email("mask", "")
        + &webhook("judge", &judge, "hook_point = \"output\"");
    let gateway = gateway_over(&upstream, &more);
    for _ in 0..2 {
        assert_eq!(said(&gateway.chat(&saying("hi")).expect(200)), "darn [EMAIL_REDACTED]");
    }
    refused(&gateway.chat(&saying("hi")), "response", "judge");
    assert_eq!(upstream.count(), 1, "the others are from the cache");
}

#[test]
fn other_rules_leave_kept_answers_behind() {
    let upstream = answering("darn bob@x.example");
    let more = "[admin]\nadmin_keys = [\"sk-admin\"]\n[[cache_policies]]\nname = \"all\"\n".to_owned()
        + &email("mask", "");
    let gateway = gateway_over(&upstream, &more);
    for _ in 0..2 {
        assert_eq!(said(&gateway.chat(&saying("hi")).expect(200)), "darn [EMAIL_REDACTED]");
    }
    assert_eq!(upstream.count(), 1, "the second is from the cache");
    let mut rule = json!({
        "name": "new", "kind": "keyword", "patterns": [{"kind": "literal", "value": "never"}], "hook_point": "output",
    });
    let created = gateway.admin().post(aisix::config::Kind::Guardrails, &rule).expect(201).json();
    assert_eq!(said(&gateway.chat(&saying("hi")).expect(200)), "darn [EMAIL_REDACTED]");
    assert_eq!(upstream.count(), 2, "what was judged by other rules is not given again");
    rule["patterns"][0]["value"] = "darn".into();
    let id = created["id"].as_str().expect("an id");
    gateway.admin().put(aisix::config::Kind::Guardrails, id, &rule).expect(200);
    refused(&gateway.chat(&saying("hi")), "response", "new");
    assert_eq!(upstream.count(), 3);
}

#[test]
fn the_log_names_the_guardrail_and_not_the_words() {
    let upstream = answering("fine");
    let judge = judging(&json!({"action": "block", "reason": "they said swordfish"}));
    let more = keyword("k", "swordfish", "") + &webhook("w", &judge, "");
    let mut process = Process::start_with(&upstream, &more, &[]);
    for words in ["swordfish", "sword fish"] {
        process.chat(&saying(words)).expect(422);
    }
    process.signal("TERM");
    let log = process.log();
    assert!(log.contains("guardrail \"k\" blocked: hook=input model=\"m\" reason=match"), "{log}");
    assert!(log.contains("guardrail \"w\" blocked: hook=input model=\"m\" reason=match"), "{log}");
    assert!(!log.contains("swordfish") && !log.contains("sword fish"), "{log}");
}

/// A provider that streams these pieces of text.
fn streaming(pieces: &[&str]) -> Upstream {
    let events: Vec<String> =
        pieces.iter().map(|piece| delta(piece)).chain([finish(), usage_event(5, 7)]).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).chain(["data: [DONE]\n\n"]).collect();
    Upstream::always(Answer::stream(&events))
}

/// The words of a streamed answer.
fn words_of(stream: &str) -> String {
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
    events.filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
}

#[test]
fn a_stream_is_masked_across_its_pieces() {
    for mode in ["", "stream_processing_mode = \"window\"\nwindow_size = 12\nwindow_overlap = 10"] {
        let upstream = streaming(&["ask b", "ob@x.", "ex", "ample, he knows", " all about it"]);
        let gateway = gateway_over(&upstream, &email("mask", mode));
        let body = saying("hi").replace("{\"m", "{\"stream\":true,\"m");
        let mut stream = gateway.stream(&body);
        let text = stream.rest().to_owned();
        assert_eq!(words_of(&text), "ask [EMAIL_REDACTED], he knows all about it", "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        gateway.settled();
        let labels = [("hook", "output"), ("outcome", "masked")];
        assert_eq!(gateway.metrics().sum("aisix_guardrail_decisions_total", &labels), 1.0);
    }
}

#[test]
fn a_stream_that_is_refused_ends_with_an_error_and_nothing_of_it_goes_out() {
    let judge = judging(&json!({"action": "block"}));
    for rule in [keyword("k", "darn", ""), webhook("k", &judge, "hook_point = \"output\"")] {
        let upstream = streaming(&["oh ", "da", "rn it"]);
        let gateway = gateway_over(&upstream, &rule);
        let body = saying("hi").replace("{\"m", "{\"stream\":true,\"m");
        let text = gateway.chat(&body).text();
        assert_eq!(words_of(&text), "", "{text}");
        assert!(text.contains("response blocked by content policy (guardrail 'k')"), "{text}");
        assert!(text.contains("content_filter") && !text.contains("[DONE]"), "{text}");
        gateway.settled();
        let labels = [("hook", "output"), ("outcome", "blocked")];
        assert_eq!(gateway.metrics().sum("aisix_guardrail_decisions_total", &labels), 1.0);
    }
}
