//! What a change of the configuration does to checks.

use futures::executor::block_on;

use super::*;

fn reload(gateway: &Gateway, text: &str) {
    gateway.folder.write("config.toml", text);
    block_on(gateway.gateway.registry().expect("it runs").reload()).expect("a good file");
}

#[test]
fn a_check_begins_with_the_configuration_that_asks_for_it_and_ends_with_it() {
    let upstream = failing_while(&Arc::new(AtomicBool::new(true)), Answer::json(500, "{}"));
    let (key, caller) = (provider_key("up", &upstream.url()), api_key("sk-test", "\"*\"", ""));
    let text = |models: &str| [key.as_str(), models, &caller].concat();
    let gateway = Gateway::start(&text(&model("a", "up", "")));
    assert_eq!(row(&gateway, "a")["status"], "healthy");
    reload(&gateway, &text(&checked("a", 2, "")));
    wait_for(&gateway, "a", "unhealthy");
    // Another question is asked at once, and not when the time of the old one comes.
    reload(&gateway, &text(&checked("a", 2, "").replace("max_tokens = 3", "max_tokens = 4")));
    upstream.wait_for_requests(2);
    assert_eq!(upstream.received()[1].json()["max_completion_tokens"], 4);
    until("the second verdict", || gateway.books().pool.in_flight == 0);
    reload(&gateway, &text(&model("a", "up", "")));
    wait_for(&gateway, "a", "healthy");
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_model_of_the_store_is_checked_as_soon_as_it_is_written() {
    let upstream = failing_while(&Arc::new(AtomicBool::new(true)), Answer::json(500, "{}"));
    let gateway = gateway_over(&upstream, "");
    let body = json!({
        "display_name": "stored", "provider_key": "up", "model_name": "upstream-stored",
        "background_model_check": {
            "enabled": true, "interval_seconds": 3600, "timeout_seconds": 2, "prompt": PROMPT, "max_tokens": 1,
            "stale_after_seconds": 7200,
        },
    });
    gateway.admin().put(aisix::config::Kind::Models, "stored", &body).expect(201);
    wait_for(&gateway, "stored", "unhealthy");
    gateway.admin().delete(aisix::config::Kind::Models, "stored").expect_any(&[200, 204]);
    until("it is gone", || gateway.books().router.targets == 0);
    assert_eq!(upstream.count(), 1);
}
