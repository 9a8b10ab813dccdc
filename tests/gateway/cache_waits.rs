//! How long one request waits for another that fetches the same answer.

use crate::harness::*;

const CHAT: &str = "/v1/chat/completions";

#[test]
fn who_waits_for_a_slow_first_caller_asks_too_before_long() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, number| match (number, request.json()["stream"] == true) {
        (0, _) => Answer::events().event(&delta("hel")).wait(&held),
        (_, true) => Answer::stream(&[&delta("own"), &finish(), "data: [DONE]\n\n"]),
        (_, false) => Answer::json(200, &completion("own", 5, 7)),
    });
    let config = [
        &provider_key("up", &upstream.url()),
        &model("m", "up", "total_timeout = 12_000"),
        &api_key("sk-test", "\"*\"", ""),
        "[[cache_policies]]\nname = \"policy\"\n",
    ];
    let gateway = Gateway::start(&config.map(ToString::to_string).concat());
    let streamed = chat_body("m", r#","stream":true"#);
    let mut first = gateway.stream(&streamed);
    first.until("hel");
    // A minute, but for the request's own clock; and a stream's few seconds.
    let mut others: Vec<Connection> = [chat_body("m", ""), streamed]
        .iter()
        .map(|body| {
            let mut caller = gateway.connect();
            caller.send(&request_text("POST", CHAT, "sk-test", &[], body.as_bytes()));
            caller
        })
        .collect();
    until("both wait", || gateway.books().cache.waiting == 2);
    for caller in &mut others {
        assert!(caller.response().expect(200).text().contains("own"));
    }
    assert_eq!(upstream.count(), 3);
    gate.open();
    first.leave();
    gateway.settled();
}
