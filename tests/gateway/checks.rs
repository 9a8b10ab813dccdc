//! Background checks (§6.8 of the behaviour reference): what a model is asked, and what follows from its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

mod reloads;

const PROMPT: &str = "are you well?";

/// A model that is checked every five seconds; `more` is further members of its check.
fn checked(name: &str, timeout: u64, more: &str) -> String {
    let check = format!(
        "enabled = true, interval_seconds = 5, timeout_seconds = {timeout}, prompt = \"{PROMPT}\", max_tokens = 3, \
         stale_after_seconds = 600{more}"
    );
    model(name, "up", &format!("retries = 0\nbackground_model_check = {{ {check} }}"))
}

fn is_check(request: &Received) -> bool {
    String::from_utf8_lossy(&request.body).contains(PROMPT)
}

/// A provider that answers checks in one way while a test says so, and everything else well.
fn failing_while(is_ill: &Arc<AtomicBool>, answer: Answer) -> Upstream {
    let is_ill = is_ill.clone();
    Upstream::start(move |request, _| match is_check(request) && is_ill.load(SeqCst) {
        true => answer.clone(),
        false => Answer::json(200, &completion("hello", 5, 7)),
    })
}

/// The row of a model on the status page.
fn row(gateway: &Gateway, name: &str) -> Value {
    let rows = gateway.admin().ask("GET", "/admin/v1/models/status", "").expect(200).json();
    rows.as_array().expect("a list").iter().find(|row| row["display_name"] == name).expect("a model").clone()
}

fn wait_for(gateway: &Gateway, name: &str, status: &str) -> Value {
    until(status, || row(gateway, name)["status"] == status);
    row(gateway, name)
}

#[test]
fn routing_leaves_a_model_that_fails_its_check_until_it_is_well_again() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let upstream = failing_while(&is_ill, Answer::json(503, r#"{"error":{"message":"secret words"}}"#));
    let more = checked("a", 2, "") + &model("b", "up", "") + &routing("group", &["a", "b"], "");
    let gateway = gateway_over(&upstream, &more);
    let about = wait_for(&gateway, "a", "unhealthy");
    assert_eq!(about["status_reason"], "background_check_failed");
    assert_eq!(about["last_check_status"], 503);
    assert!(about.get("cooldown_until").is_none(), "{about}");
    let served_by = || {
        let response = gateway.chat(&chat_body("group", "")).expect(200);
        response.header("x-aisix-served-by").map(str::to_owned)
    };
    assert_eq!(served_by().as_deref(), Some("b"));
    gateway.chat(&chat_body("a", "")).expect(200);
    assert_eq!(row(&gateway, "a")["status"], "unhealthy", "a caller's success does not clear it");
    is_ill.store(false, SeqCst);
    let about = wait_for(&gateway, "a", "healthy");
    assert!(about.get("status_reason").is_none(), "{about}");
    assert_eq!(served_by().as_deref(), Some("a"));
    gateway.settled();
    let metrics = gateway.metrics();
    assert_eq!(metrics.sum("aisix_requests_total", &[]), 3.0, "a check is no request of anybody");
}

#[test]
fn the_log_tells_of_a_verdict_that_changes_in_names_and_a_status() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let upstream = failing_while(&is_ill, Answer::json(503, r#"{"error":{"message":"secret words"}}"#));
    let mut process = Process::start_with(&upstream, &checked("a", 2, ""), &[]);
    let is = |status: &str| {
        let rows = process.admin().ask("GET", "/admin/v1/models/status", "").expect(200).json();
        rows.as_array()
            .expect("a list")
            .iter()
            .any(|row| row["display_name"] == "a" && row["status"] == status)
    };
    until("it fails", || is("unhealthy"));
    is_ill.store(false, SeqCst);
    until("it is well", || is("healthy"));
    process.signal("INT");
    let log = process.log();
    let lines: Vec<&str> =
        log.lines().filter_map(|line| line.find("background check").map(|at| &line[at..])).collect();
    let expected = [
        "background check failed: target=a provider_key=up status=503 kind=upstream_error",
        "background check passed again: target=a provider_key=up",
    ];
    assert_eq!(lines, expected, "{log}");
    assert!(!log.contains("secret words"), "{log}");
}

#[test]
fn a_check_is_a_small_chat_with_the_keys_credential() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &checked("a", 2, ""));
    upstream.wait_for_requests(1);
    let check = upstream.received().remove(0);
    assert_eq!((&*check.method, &*check.path), ("POST", "/v1/chat/completions"));
    assert_eq!(check.header("authorization"), Some("Bearer sk-upstream"));
    let expected = json!({
        "model": "upstream-a", "messages": [{"role": "user", "content": PROMPT}], "max_completion_tokens": 3,
        "stream": false,
    });
    assert_eq!(check.json(), expected);
    gateway.settled();
}

#[test]
fn a_status_that_says_nothing_of_the_model_changes_nothing() {
    let upstream = failing_while(&Arc::new(AtomicBool::new(true)), Answer::json(429, "{}"));
    let gateway = gateway_over(&upstream, &checked("a", 2, ", ignore_statuses = [429]"));
    until("a verdict", || row(&gateway, "a")["last_check_status"] == 429);
    assert_eq!(row(&gateway, "a")["status"], "healthy");
}

#[test]
fn no_answer_in_time_is_a_408() {
    let upstream = failing_while(&Arc::new(AtomicBool::new(true)), Answer::silence());
    let gateway = gateway_over(&upstream, &checked("a", 1, ""));
    let about = wait_for(&gateway, "a", "unhealthy");
    assert_eq!(about["last_check_status"], 408);
    upstream.wait_for_hang_up();
    gateway.settled();
}

#[test]
fn an_error_in_place_of_an_answer_and_an_unreadable_one_are_failures() {
    for (answer, status) in [
        (Answer::json(200, r#"{"error":{"message":"no","code":500}}"#), None),
        (Answer::json(200, "garbled"), None),
        (Answer::default().reset(), None),
        (Answer::json(401, "{}"), Some(401)),
    ] {
        let upstream = failing_while(&Arc::new(AtomicBool::new(true)), answer);
        let gateway = gateway_over(&upstream, &checked("a", 2, ""));
        let about = wait_for(&gateway, "a", "unhealthy");
        let seen = about["last_check_status"].as_u64();
        assert!(status.is_none() || seen == status, "{about}");
    }
}

#[test]
fn a_check_speaks_the_providers_dialect() {
    let good = r#"{"id":"msg_1","type":"message","role":"assistant","model":"upstream-a","content":[{"type":"text","text":"yes"}],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":1}}"#;
    let upstream = Upstream::in_turn(vec![
        Answer::json(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#),
        Answer::json(200, good),
    ]);
    let key = provider_key("up", &upstream.url()).replace("\"openai\"", "\"anthropic\"");
    let gateway = Gateway::start(&(key + &checked("a", 2, "") + &api_key("sk-test", "\"*\"", "")));
    assert_eq!(wait_for(&gateway, "a", "unhealthy")["last_check_status"], 529);
    let check = upstream.received().remove(0);
    assert_eq!((&*check.path, check.header("x-api-key")), ("/v1/messages", Some("sk-upstream")));
    let body = check.json();
    assert_eq!((&body["model"], &body["max_tokens"]), (&"upstream-a".into(), &3.into()));
    assert_eq!(body["messages"][0]["role"], "user");
    assert!(body["messages"].to_string().contains(PROMPT) && body["stream"] != true, "{body}");
    wait_for(&gateway, "a", "healthy");
}

#[test]
fn four_models_are_asked_at_a_time_and_no_slot_of_a_key_is_taken_beyond_its_limit() {
    let gate = Gate::default();
    let held = Answer::default().wait(&gate).then(Answer::json(200, &completion("yes", 1, 1)));
    let upstream = Upstream::start(move |request, _| match is_check(request) {
        true => held.clone(),
        false => Answer::json(200, &completion("hello", 5, 7)),
    });
    let models: String = ["a", "b", "c", "d", "e", "f"].map(|name| checked(name, 9, "")).concat();
    let gateway = gateway_over(&upstream, &models);
    until("four questions", || gateway.books().pool.in_flight == 4);
    gateway.chat(&chat_body("m", "")).expect(200);
    let checks = || upstream.received().iter().filter(|request| is_check(request)).count();
    until("four at the provider", || checks() == 4);
    gate.open();
    until("the other two", || checks() >= 6);
    let key = provider_key("up", &upstream.url()) + "max_in_flight = 1\n";
    let gate = Gate::default();
    let stuck = gate.clone();
    let other = Upstream::start(move |_, _| Answer::default().wait(&stuck).then(Answer::json(200, "{}")));
    let key = key.replace(&upstream.url(), &other.url());
    let full = Gateway::start(&(key + &checked("a", 9, "") + &checked("b", 9, "")));
    until("one question", || full.books().pool.in_flight == 1);
    other.wait_for_requests(1);
    assert_eq!(row(&full, "b")["status"], "healthy", "what could not be asked is not known");
    gate.open();
    full.settled();
}

#[test]
fn a_model_whose_name_callers_complete_is_not_checked() {
    let upstream = Upstream::well();
    let wild = checked("w", 2, "").replace("\"w\"", "\"w/*\"").replace("upstream-w", "*");
    let gateway = gateway_over(&upstream, &(wild + &checked("z", 2, "")));
    upstream.wait_for_requests(1);
    gateway.settled();
    let names: Vec<Value> = upstream.received().iter().map(|check| check.json()["model"].clone()).collect();
    assert_eq!(names, ["upstream-z"]);
}

#[test]
fn a_drain_stops_the_checks_at_once() {
    let upstream = failing_while(&Arc::new(AtomicBool::new(true)), Answer::silence());
    let mut gateway = gateway_over(&upstream, &checked("a", 60, ""));
    upstream.wait_for_requests(1);
    gateway.drain(Duration::from_secs(2));
    upstream.wait_for_hang_up();
    assert!(!gateway.has_ended(), "callers are still served");
    gateway.settled();
    gateway.wait_for_end();
}
