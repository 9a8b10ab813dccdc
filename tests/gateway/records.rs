//! Usage records and the access log: whole, billed once, and never in the way of a request.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::*;

/// Longest time that an answer may take while nobody takes the records: far below any wait for a disk.
const PROMPT_TIME: Duration = Duration::from_secs(5);

const PRICE: &str = "cost = { input_per_1k = 1, output_per_1k = 1 }";

#[test]
fn an_answer_is_one_record_with_who_what_and_how_much() {
    let usage = UsageFile::new();
    let headers = [("content-type", "application/json"), ("x-request-id", "req_provider_1")];
    let upstream = Upstream::always(Answer::with_headers(200, &headers, &completion("hello", 5, 7)));
    let gateway = gateway_over(&upstream, &(model("priced", "up", PRICE) + &usage.settings()));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers =
        [("x-aisix-request-id", "my\"id"), ("user-agent", "agent\t\"x\"/1"), ("traceparent", &*parent)];
    let body = chat_body("priced", "");
    gateway.send("POST", "/v1/chat/completions", "sk-test", &headers, body.as_bytes()).expect(200);
    let record = &usage.wait_for(&gateway, 1)[0];
    let snapshot = gateway.gateway.snapshot();
    let priced = snapshot.resolve("priced").expect("a model").model;
    for (name, value) in [
        ("request_id", Value::from("my\"id")),
        ("trace_id", trace.into()),
        ("model_id", (*priced.id).into()),
        ("requested_model", "priced".into()),
        ("prompt_tokens", 5.into()),
        ("completion_tokens", 7.into()),
        ("cost_usd", 0.012.into()),
        ("cost_micro_usd", 12_000.into()),
        ("status_code", 200.into()),
        ("provider_request_id", "req_provider_1".into()),
        ("provider_model_version", "upstream-m".into()),
        ("finish_reason", "stop".into()),
        ("inbound_protocol", "openai".into()),
        ("attempt_index", 0.into()),
        ("attempt_kind", "initial".into()),
        ("provider_kind", "openai".into()),
        ("pk_label", "up".into()),
        ("client_source_ip", "127.0.0.1".into()),
        ("client_user_agent", "agent\"x\"/1".into()),
        ("guardrail_blocked", false.into()),
    ] {
        assert_eq!(record[name], value, "{name}: {record}");
    }
    assert_eq!(record["api_key_id"].as_str().map(str::len), Some(36));
    let at = record["occurred_at"].as_str().expect("a time");
    assert!(at.len() == 20 && at.ends_with('Z') && at.starts_with("20"), "{at}");
    for absent in
        ["attempt_model", "error_class", "usage_estimated", "cached_prompt_tokens", "upstream_ttft_ms"]
    {
        assert!(record.get(absent).is_none(), "{absent}: {record}");
    }
    assert!(record["downstream_latency_ms"].is_u64() && record["upstream_latency_ms"].is_u64(), "{record}");
}

#[test]
fn a_failover_is_a_record_per_attempt_and_bills_the_winner_only() {
    let usage = UsageFile::new();
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-bad") => Answer::json(503, r#"{"error":{"message":"secret words"}}"#),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let more = model("bad", "up", &format!("retries = 1\n{PRICE}"))
        + &model("good", "up", PRICE)
        + &routing("group", &["bad", "good"], "")
        + &usage.settings();
    let gateway = gateway_over(&upstream, &more);
    gateway.chat(&chat_body("group", "")).expect(200);
    let records = usage.wait_for(&gateway, 3);
    let column = |name: &str| -> Vec<Value> { records.iter().map(|record| record[name].clone()).collect() };
    assert!(records.iter().all(|record| record["request_id"] == records[0]["request_id"]));
    assert_eq!(column("attempt_index"), [0, 1, 2]);
    assert_eq!(column("attempt_kind"), ["initial", "retry", "fallback"]);
    assert_eq!(column("attempt_model"), ["bad", "bad", "good"]);
    assert_eq!(column("requested_model"), ["group", "group", "group"]);
    assert_eq!(column("status_code"), [502, 502, 200]);
    assert_eq!(column("prompt_tokens"), [0, 0, 5]);
    assert_eq!(column("completion_tokens"), [0, 0, 7]);
    assert_eq!(column("cost_micro_usd"), [0, 0, 12_000]);
    assert_eq!(column("error_class"), [Value::from("upstream_error"), "upstream_error".into(), Value::Null]);
    assert_eq!(records[0]["error_message"], "upstream returned 503");
    assert!(
        records[0].get("downstream_latency_ms").is_none() && records[2]["downstream_latency_ms"].is_u64()
    );
}

#[test]
fn a_stream_is_recorded_at_its_end_and_one_that_is_left_as_499() {
    let usage = UsageFile::new();
    let gate = Gate::default();
    let begun = Answer::events().event(&delta("hello")).event(&delta("hello again and again"));
    let whole = Answer::stream(&[&delta("hello"), &finish(), &usage_event(5, 7), "data: [DONE]\n\n"]);
    let upstream = Upstream::in_turn(vec![whole, begun.wait(&gate)]);
    let gateway = gateway_over(&upstream, &(model("priced", "up", PRICE) + &usage.settings()));
    gateway.stream(&chat_body("priced", ",\"stream\":true")).rest();
    let record = &usage.wait_for(&gateway, 1)[0];
    assert_eq!((&record["status_code"], &record["finish_reason"]), (&200.into(), &"stop".into()));
    assert_eq!((&record["prompt_tokens"], &record["completion_tokens"]), (&5.into(), &7.into()));
    assert_eq!(record["provider_model_version"], "upstream-m");
    assert!(record["upstream_ttft_ms"].is_u64(), "{record}");
    let mut stream = gateway.stream(&chat_body("priced", ",\"stream\":true"));
    stream.until("again");
    stream.leave();
    let record = &usage.wait_for(&gateway, 2)[1];
    assert_eq!(
        (&record["status_code"], &record["error_class"]),
        (&499.into(), &"client_disconnected".into())
    );
    assert_eq!(record["usage_estimated"], true);
    assert!(
        record["completion_tokens"].as_u64() > Some(0) && record["cost_micro_usd"].as_u64() > Some(0),
        "{record}"
    );
}

#[test]
fn a_hit_costs_nothing_and_tells_what_it_saved() {
    let usage = UsageFile::new();
    let upstream = Upstream::well();
    let more = model("priced", "up", PRICE) + "[[cache_policies]]\nname = \"all\"\n" + &usage.settings();
    let gateway = gateway_over(&upstream, &more);
    gateway.chat(&chat_body("priced", "")).expect(200);
    usage.wait_for(&gateway, 1);
    gateway.chat(&chat_body("priced", "")).expect(200);
    let records = usage.wait_for(&gateway, 2);
    assert_eq!((&records[0]["cache_status"], &records[0]["prompt_tokens"]), (&"miss".into(), &5.into()));
    let hit = &records[1];
    assert_eq!(hit["cache_status"], "hit");
    assert_eq!(
        (&hit["prompt_tokens"], &hit["completion_tokens"], &hit["cost_micro_usd"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!(
        (&hit["cache_hit_saved_input_tokens"], &hit["cache_hit_saved_output_tokens"]),
        (&5.into(), &7.into())
    );
    assert!(hit.get("attempt_kind").is_none(), "{hit}");
}

#[test]
fn a_refusal_is_one_record_and_an_unknown_caller_none() {
    let usage = UsageFile::new();
    let upstream = Upstream::well();
    let limited = api_key("sk-limited", "\"*\"", "rate_limit = { rpd = 0 }");
    let gateway = gateway_over(&upstream, &(limited + &usage.settings()));
    gateway.post_json("/v1/chat/completions", "sk-wrong", &chat_body("m", "")).expect(401);
    gateway.send("GET", "/v1/models", "sk-test", &[], b"").expect(200);
    gateway.chat(&chat_body("nobody", "")).expect(404);
    gateway.post_json("/v1/chat/completions", "sk-limited", &chat_body("m", "")).expect(429);
    let records = usage.wait_for(&gateway, 2);
    let mut seen: Vec<(u64, &str)> = records
        .iter()
        .map(|record| {
            (
                record["status_code"].as_u64().expect("a status"),
                record["error_class"].as_str().expect("a class"),
            )
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(404, "model_not_found"), (429, "rate_limit_exceeded")]);
    assert!(records.iter().all(|record| record["attempt_index"] == 0 && record["upstream_latency_ms"] == 0));
}

#[test]
fn records_never_hold_a_prompt_an_answer_or_a_credential() {
    let usage = UsageFile::new();
    let refusal = r#"{"error":{"message":"quoting PROMPTWORD and sk-upstream","code":"bad_thing"}}"#;
    let upstream = Upstream::in_turn(vec![
        Answer::json(200, &completion("ANSWERWORD", 5, 7)),
        Answer::json(400, refusal),
        Answer::stream(&[&delta("ANSWERWORD"), "data: {\"error\":{\"message\":\"PROMPTWORD\"}}\n\n"]),
    ]);
    let gateway = gateway_over(&upstream, &usage.settings());
    let body = |more: &str| chat_body("m", more).replace("hello", "PROMPTWORD");
    gateway.chat(&body("")).expect(200);
    gateway.chat(&body("")).expect(400);
    gateway.stream(&body(",\"stream\":true")).rest();
    usage.wait_for(&gateway, 3);
    let text = fs::read_to_string(usage.path()).expect("records");
    for secret in ["PROMPTWORD", "ANSWERWORD", "sk-upstream", "sk-test"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn a_full_disk_loses_records_and_no_request() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &UsageFile::settings_for(std::path::Path::new("/dev/full")));
    for _ in 0..3 {
        gateway.chat(&chat_body("m", "")).expect(200);
    }
    gateway.settled();
    let dropped =
        |reason: &str| gateway.metrics().sum("aisix_usage_event_drops_total", &[("reason", reason)]);
    until("records are counted as lost", || dropped("sink_failed") == 3.0);
    assert_eq!(gateway.metrics().sum("aisix_usage_events_emitted_total", &[]), 3.0);
    assert_eq!(dropped("sink_disabled"), 0.0);
}

#[test]
fn a_sink_that_takes_nothing_delays_no_request() {
    let usage = UsageFile::new();
    let made = Command::new("mkfifo").arg(usage.path()).status().expect("mkfifo");
    assert!(made.success());
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &usage.settings());
    let began = Instant::now();
    let mut connection = gateway.connect();
    for _ in 0..200 {
        let body = chat_body("m", "");
        connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
        connection.response().expect(200);
    }
    assert!(began.elapsed() < PROMPT_TIME, "{:?}", began.elapsed());
    gateway.settled();
    assert_eq!(gateway.metrics().sum("aisix_usage_events_emitted_total", &[]), 200.0);
}

#[test]
fn a_drain_writes_the_last_record() {
    let usage = UsageFile::new();
    let upstream = Upstream::well();
    let mut gateway = gateway_over(&upstream, &usage.settings());
    for _ in 0..5 {
        gateway.chat(&chat_body("m", "")).expect(200);
    }
    gateway.drain(Duration::ZERO);
    gateway.wait_for_end();
    assert_eq!(usage.records().len(), 5);
}

/// What the program logs of two requests, one of them refused.
fn access_lines(more: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let upstream = Upstream::start(|_, _| Answer::json(200, &completion("ANSWERWORD", 5, 7)));
    let mut process = Process::start_with(&upstream, more, variables);
    let mut connection = Connection::open(process.addr);
    let body = chat_body("m", "");
    for (key, status) in [("sk-test", 200), ("sk-wrong", 401)] {
        let headers = [("x-aisix-request-id", "abc-15")];
        connection.send(&request_text("POST", "/v1/chat/completions", key, &headers, body.as_bytes()));
        connection.response().expect(status);
    }
    drop(connection);
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let log = process.log();
    assert!(!log.contains("ANSWERWORD") && !log.contains("sk-test"), "{log}");
    log.lines().filter(|line| line.contains("aisix::access")).map(str::to_owned).collect()
}

#[test]
fn an_access_line_tells_of_an_exchange_in_names_and_values() {
    let lines = access_lines("", &[]);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with("[20") && lines[0].contains("Z INFO  aisix::access] proxy request completed ")
    );
    for part in [
        " method=POST path=/v1/chat/completions status=200 provider=openai model=m api_key_id=",
        " request_id=abc-15 latency_ms=",
        " prompt_tokens=5 completion_tokens=7 total_tokens=12 cost_usd=0",
    ] {
        assert!(lines[0].contains(part), "{part} in {lines:#?}");
    }
    assert!(
        lines[1].contains(" status=401 ")
            && lines[1].contains(" error_kind=invalid_api_key error=\"invalid API key\"")
    );
}

#[test]
fn access_lines_are_json_where_that_is_asked_for() {
    let lines = access_lines("[observability]\naccess_log_format = \"json\"\n", &[]);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["status"], &lines[0]["total_tokens"]), (&200.into(), &12.into()));
    assert_eq!((&lines[1]["status"], &lines[1]["error_kind"]), (&401.into(), &"invalid_api_key".into()));
    assert!(lines.iter().all(|line| line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z'))));
}

#[test]
fn access_lines_can_be_switched_off() {
    assert_eq!(access_lines("", &[("RUST_LOG", "info,aisix::access=off")]).len(), 0);
    assert_eq!(access_lines("[observability]\naccess_log = false\n", &[]).len(), 0);
}
