//! How the models stand, in a number each and in one word (§12.4 of the behaviour reference).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value;

use crate::harness::*;

/// The word for all, and the number of a model.
fn health(gateway: &Gateway, name: &str) -> (String, u64) {
    let page = gateway.admin().ask("GET", "/admin/v1/health", "").expect(200).json();
    let models = page["models"].as_array().expect("a list");
    let row = models.iter().find(|row| row["name"] == name).expect("a model");
    (page["status"].as_str().expect("a word").to_owned(), row["health"].as_u64().expect("a number"))
}

/// A gateway over a provider that fails with this status while a test says so, and never cools.
fn gateway(is_ill: &Arc<AtomicBool>, status: u16) -> (Upstream, Gateway) {
    let is_failing = is_ill.clone();
    let upstream = Upstream::start(move |_, _| match is_failing.load(SeqCst) {
        true => Answer::json(status, "{}"),
        false => Answer::json(200, &completion("hello", 5, 7)),
    });
    let more =
        model("a", "up", "retries = 0\ncooldown = { enabled = false }") + &routing("group", &["a", "m"], "");
    let gateway = gateway_over(&upstream, &more);
    (upstream, gateway)
}

#[test]
fn four_failures_one_after_the_other_degrade_a_model_and_eight_take_it_down() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let (_upstream, gateway) = gateway(&is_ill, 500);
    let ask = || {
        let reports = || gateway.books().router.failed + gateway.books().router.succeeded;
        let before = reports();
        gateway.chat(&chat_body("a", ""));
        until("it is reported", || reports() > before);
    };
    for (count, word, number) in [
        (0, "ok", 0),
        (3, "ok", 0),
        (4, "degraded", 1),
        (7, "degraded", 1),
        (8, "unhealthy", 2),
        (9, "unhealthy", 2),
    ] {
        while gateway.books().router.failed < count {
            ask();
        }
        assert_eq!(health(&gateway, "a"), (word.to_owned(), number), "after {count}");
    }
    // A routing model is as well as the best of its targets, and degraded while another is not well.
    assert_eq!(health(&gateway, "m").1, 0);
    assert_eq!(health(&gateway, "group").1, 1);
    is_ill.store(false, SeqCst);
    ask();
    assert_eq!(health(&gateway, "a"), ("ok".to_owned(), 0));
    assert_eq!(health(&gateway, "group").1, 0);
}

#[test]
fn a_callers_mistakes_are_no_failures_of_the_model() {
    let (_upstream, gateway) = gateway(&Arc::new(AtomicBool::new(true)), 400);
    for _ in 0..8 {
        gateway.chat(&chat_body("a", "")).expect(400);
    }
    until("all are reported", || gateway.books().router.failed == 8);
    assert_eq!(health(&gateway, "a"), ("ok".to_owned(), 0));
}

#[test]
fn the_status_page_tells_when_a_model_was_checked_and_what_was_ignored() {
    let upstream = Upstream::always(Answer::json(429, "{}"));
    let check = "background_model_check = { enabled = true, interval_seconds = 5, timeout_seconds = 2, prompt = \"p\", \
                 max_tokens = 1, stale_after_seconds = 9, ignore_statuses = [429] }";
    let gateway = gateway_over(&upstream, &model("a", "up", check));
    let row = || -> Value {
        let rows = gateway.admin().ask("GET", "/admin/v1/models/status", "").expect(200).json();
        rows.as_array()
            .expect("a list")
            .iter()
            .find(|row| row["display_name"] == "a")
            .expect("a model")
            .clone()
    };
    until("a verdict", || row()["last_checked_at"].is_object());
    let row = row();
    let time = &row["last_checked_at"];
    assert!(
        time["secs_since_epoch"].as_u64() > Some(1_700_000_000) && time["nanos_since_epoch"].is_u64(),
        "{row}"
    );
    assert_eq!((&row["status"], &row["last_check_status"]), (&"healthy".into(), &429.into()));
    assert_eq!(row["status_reason"], "ignored_transient_error");
}
