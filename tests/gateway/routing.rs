//! Routing, retries and cooldown (§6 of the behaviour reference), and what a provider is sent (§5.5).

use std::time::{Duration, Instant};

use aisix_actors::Now;
use aisix_actors::candidate_router::Check;

use crate::harness::*;

/// What every member of a group answers, by name.
type Members = &'static [(&'static str, fn() -> Answer)];

fn good() -> Answer {
    Answer::json(200, &completion("hello", 5, 7))
}

fn failing() -> Answer {
    Answer::json(500, "{}")
}

fn limited() -> Answer {
    Answer::json(429, r#"{"error":{"message":"slow down"}}"#)
}

fn refusing() -> Answer {
    Answer::json(400, r#"{"error":{"message":"no"}}"#)
}

fn missing() -> Answer {
    Answer::json(404, r#"{"error":{"message":"gone"}}"#)
}

fn silent() -> Answer {
    Answer::silence()
}

fn broken() -> Answer {
    Answer::default().reset()
}

fn garbled() -> Answer {
    Answer::json(200, "garbled")
}

/// One provider that plays all members, and a gateway with the routing model `group` over them.
struct Group {
    upstream: Upstream,
    gateway: Gateway,
}

impl Group {
    /// `routing_rules` are lines of the group's `routing` table, `member_rules` of every member.
    fn start(members: Members, routing_rules: &str, member_rules: &str) -> Self {
        let upstream = Upstream::start(move |request, _| {
            let name = request.json()["model"].as_str().expect("a model").to_owned();
            let member = members.iter().find(|(own, _)| name == format!("upstream-{own}"));
            (member.expect("a member").1)()
        });
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        let models: String = names.iter().map(|name| model(name, "up", member_rules)).collect();
        let gateway = gateway_over(&upstream, &(models + &routing("group", &names, routing_rules)));
        Self { upstream, gateway }
    }

    fn ask(&self) -> Response {
        let response = self.gateway.chat(&chat_body("group", ""));
        self.gateway.settled();
        response
    }

    /// Who was asked so far, in order, in one letter each.
    fn asked(&self) -> String {
        let received = self.upstream.received();
        let name =
            |body: serde_json::Value| body["model"].as_str().expect("a model").replace("upstream-", "");
        received.iter().map(|request| name(request.json())).collect()
    }
}

/// A group's rules and members, the status that the caller must get, and who must have been asked for it.
#[track_caller]
fn check(members: Members, rules: &str, member_rules: &str, status: u16, asked: &str) {
    let group = Group::start(members, rules, member_rules);
    let response = group.ask();
    assert_eq!(
        (response.status, group.asked().as_str()),
        (status, asked),
        "{rules} {member_rules}: {}",
        response.text()
    );
    let winner = asked.chars().last().map(String::from).filter(|_| status == 200);
    assert_eq!(response.header("x-aisix-served-by"), winner.as_deref(), "{rules} {member_rules}");
    if status == 200 {
        assert_eq!(response.json()["model"], "group");
    }
}

#[test]
fn targets_are_tried_in_order_until_one_answers() {
    check(&[("a", good), ("b", good)], "", "", 200, "a");
    check(&[("a", failing), ("b", good), ("c", good)], "", "", 200, "ab");
    check(&[("a", failing), ("b", broken), ("c", good)], "", "", 200, "abc");
    check(&[("a", garbled), ("b", good)], "", "", 200, "ab");
}

#[test]
fn a_429_moves_on_and_other_4xx_end_the_request() {
    check(&[("a", limited), ("b", good)], "", "", 200, "ab");
    check(&[("a", refusing), ("b", good)], "", "", 400, "a");
    check(&[("a", refusing), ("b", good)], "retries = 3", "retries = 3", 400, "a");
    check(&[("a", missing), ("b", good)], "", "", 404, "a");
    check(&[("a", missing), ("b", good)], "fallback_on_statuses = [404]\nretries = 0", "", 200, "ab");
    check(&[("a", limited)], "retries = 2", "", 429, "a");
    check(&[("a", limited)], "retries = 1\nretry_on_429 = true", "", 429, "aa");
}

#[test]
fn the_last_error_is_the_one_that_the_caller_gets() {
    check(&[("a", failing), ("b", refusing)], "", "", 400, "ab");
    check(&[("a", limited), ("b", failing)], "retries = 0", "", 502, "ab");
    check(&[("a", failing), ("b", silent)], "retries = 0", "timeout = 150", 504, "ab");
}

#[test]
fn as_many_targets_are_tried_as_the_group_allows() {
    check(&[("a", failing), ("b", failing), ("c", good)], "max_fallbacks = 0\nretries = 0", "", 502, "a");
    check(&[("a", failing), ("b", failing), ("c", good)], "max_fallbacks = 1\nretries = 0", "", 502, "ab");
    check(&[("a", failing), ("b", failing), ("c", good)], "max_fallbacks = 9\nretries = 0", "", 200, "abc");
}

#[test]
fn a_target_is_tried_again_as_often_as_somebody_said() {
    // Nobody said: only where no other target is left, twice.
    check(&[("a", failing), ("b", failing)], "", "", 502, "abbb");
    check(&[("a", failing), ("b", failing)], "retries = 1", "", 502, "aabb");
    check(&[("a", failing), ("b", failing)], "retries = 2", "retries = 0", 502, "ab");
}

#[test]
fn a_slow_target_is_left_and_asked_again_only_where_somebody_said_so() {
    check(&[("a", silent), ("b", good)], "", "timeout = 150", 200, "ab");
    check(&[("a", silent)], "", "timeout = 150", 504, "a");
    check(&[("a", silent), ("b", good)], "retries = 1", "timeout = 150", 200, "aab");
}

/// A direct model's rules, and how often it must be asked when the provider fails with a status.
#[track_caller]
fn check_direct(rules: &str, status: u16, count: usize, least_time: Duration) {
    let upstream = Upstream::always(Answer::json(status, "{}"));
    let gateway = gateway_over(&upstream, &model("direct", "up", rules));
    let began = Instant::now();
    let response = gateway.chat(&chat_body("direct", ""));
    assert!(response.status >= 400);
    assert_eq!(response.header("x-aisix-served-by"), None);
    assert_eq!(upstream.count(), count, "{rules} {status}");
    assert!(began.elapsed() >= least_time, "{rules} {status}: {:?}", began.elapsed());
    gateway.settled();
}

#[test]
fn a_direct_model_is_tried_again_after_longer_and_longer_waits() {
    check_direct("", 500, 3, Duration::from_millis(750));
    check_direct("retries = 0", 500, 1, Duration::ZERO);
    check_direct("retries = 1", 503, 2, Duration::from_millis(250));
    for status in [400, 401, 403, 404, 409, 422, 429] {
        check_direct("retries = 2", status, 1, Duration::ZERO);
    }
}

#[test]
fn a_providers_hint_is_waited_for_before_the_next_try() {
    let late = Answer::with_headers(503, &[("retry-after", "1")], "");
    let upstream = Upstream::in_turn(vec![late, good()]);
    let gateway = gateway_over(&upstream, "");
    let began = Instant::now();
    gateway.chat(&chat_body("m", "")).expect(200);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_retry_sends_the_same_body() {
    let upstream = Upstream::in_turn(vec![failing(), good()]);
    let gateway = gateway_over(&upstream, "");
    gateway.chat(&chat_body("m", r#","seed":7"#)).expect(200);
    let received = upstream.received();
    assert_eq!(received[0].body, received[1].body);
    let id = |number: usize| received[number].header("x-aisix-request-id").map(str::to_owned);
    assert_eq!(id(0), id(1));
}

#[test]
fn a_groups_timeout_holds_for_targets_without_their_own() {
    let upstream = Upstream::always(Answer::silence());
    let routing = "[models.routing]\ntargets = [{ model = \"m\" }]\n";
    let group = format!("[[models]]\ndisplay_name = \"group\"\ntimeout = 150\n{routing}");
    let gateway = gateway_over(&upstream, &group);
    let response = gateway.chat(&chat_body("group", "")).expect(504);
    assert_eq!(response.error_message(), "upstream request timed out after 150ms");
    gateway.settled();
}

#[test]
fn a_target_that_failed_is_not_asked_while_a_healthy_one_exists() {
    for members in
        [&[("a", failing as fn() -> Answer), ("b", good)], &[("a", limited), ("b", good)]] as [Members; 2]
    {
        let group = Group::start(members, "", "");
        for _ in 0..3 {
            group.ask().expect(200);
        }
        assert_eq!(group.asked(), "abbb");
        assert_eq!(group.gateway.books().router.cooled, 1);
    }
}

#[test]
fn a_cooldown_ends_when_the_provider_said_so() {
    let upstream = Upstream::start(|request, number| match (request.json()["model"].as_str(), number) {
        (Some("upstream-a"), 0) => Answer::with_headers(429, &[("retry-after", "1")], ""),
        _ => good(),
    });
    let more = model("a", "up", "") + &model("b", "up", "") + &routing("group", &["a", "b"], "");
    let gateway = gateway_over(&upstream, &more);
    let served_by =
        || gateway.chat(&chat_body("group", "")).expect(200).header("x-aisix-served-by").map(str::to_owned);
    assert_eq!(served_by().as_deref(), Some("b"));
    assert_eq!(served_by().as_deref(), Some("b"));
    until("the first target is back", || served_by().as_deref() == Some("a"));
}

#[test]
fn what_does_not_cool_is_asked_every_time() {
    let group = Group::start(&[("a", failing), ("b", good)], "", "cooldown = { enabled = false }");
    group.ask().expect(200);
    group.ask().expect(200);
    assert_eq!(group.asked(), "abab");

    let group = Group::start(&[("a", failing), ("b", good)], "", "cooldown = { trigger_statuses = [429] }");
    group.ask().expect(200);
    group.ask().expect(200);
    assert_eq!(group.asked(), "abab");
}

#[test]
fn when_all_targets_cool_they_are_tried_all_the_same() {
    let group = Group::start(&[("a", failing), ("b", failing)], "retries = 0", "");
    group.ask().expect(502);
    group.ask().expect(502);
    assert_eq!(group.asked(), "abab");
}

#[test]
fn a_direct_model_is_asked_however_it_stands() {
    let upstream = Upstream::in_turn(vec![failing(), good()]);
    let gateway = gateway_over(&upstream, &model("direct", "up", "retries = 0"));
    gateway.chat(&chat_body("direct", "")).expect(502);
    gateway.chat(&chat_body("direct", "")).expect(200);
}

#[test]
fn a_group_whose_targets_are_all_unhealthy_is_refused_or_tried_anyway() {
    for (rule, status, asked) in [("fail", 503, ""), ("try_anyway", 200, "a")] {
        let group =
            Group::start(&[("a", good), ("b", good)], &format!("when_all_unavailable = \"{rule}\""), "");
        let model = group.gateway.gateway.snapshot().resolve("group").expect("declared").model;
        for member in &model.group.members {
            group.gateway.gateway.books.health.record_check(
                &member.target.id,
                Check::Failed(Some(500)),
                Now::read(),
            );
        }
        let response = group.ask();
        assert_eq!((response.status, group.asked().as_str()), (status, asked), "{rule}");
        if status == 503 {
            assert_eq!(response.error_type(), "all_candidates_unavailable");
            assert_eq!(response.header("retry-after"), Some("30"));
        }
    }
}

#[test]
fn a_provider_key_without_a_free_slot_is_passed_over() {
    let (busy, spare) = (Upstream::always(Answer::silence()), Upstream::well());
    let config = provider_key("busy", &busy.url())
        + "max_in_flight = 1\n"
        + &provider_key("spare", &spare.url())
        + &model("a", "busy", "")
        + &model("b", "spare", "")
        + &routing("group", &["a", "b"], "")
        + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start(&config);
    let mut first = gateway.connect();
    first.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], chat_body("a", "").as_bytes()));
    busy.wait_for_requests(1);
    for stream in ["", r#","stream":true"#] {
        let refusal = gateway.chat(&chat_body("a", stream)).expect(503);
        assert_eq!(refusal.error_type(), "provider_unavailable");
        assert_eq!(refusal.header("retry-after"), Some("1"), "a slot is free any moment");
    }
    assert_eq!(busy.count(), 1, "the key has one slot");
    let response = gateway.chat(&chat_body("group", "")).expect(200);
    assert_eq!(response.header("x-aisix-served-by"), Some("b"));
    first.leave();
    gateway.settled();
}

#[test]
fn the_answer_names_the_model_as_the_caller_did_and_stays_as_it_came_otherwise() {
    let upstream = Upstream::well();
    let more = routing("group", &["m"], "")
        + "[[models]]\ndisplay_name = \"open/*\"\nprovider_key = \"up\"\nmodel_name = \"*\"\n";
    let gateway = gateway_over(&upstream, &more);
    for (named, sent, served_by) in [
        ("m", "upstream-m", None),
        ("group", "upstream-m", Some("m")),
        ("open/some:model-7", "some:model-7", None),
    ] {
        let response = gateway.chat(&chat_body(named, "")).expect(200);
        let expected = completion("hello", 5, 7).replace("\"upstream-m\"", &format!("\"{named}\""));
        assert_eq!(response.text(), expected);
        assert_eq!(response.header("x-aisix-served-by"), served_by);
        assert_eq!(upstream.received().last().expect("asked").json()["model"], sent);
        let streamed = gateway.stream(&chat_body(named, r#","stream":true"#)).rest().to_owned();
        assert!(
            streamed.contains(&format!("\"model\":\"{named}\"")) && !streamed.contains("upstream-m"),
            "{streamed}"
        );
    }
}

#[test]
fn a_provider_gets_the_callers_body_and_never_the_callers_key() {
    let upstream = Upstream::well();
    let more = provider_key("dressed", &upstream.url())
        + "request = { default_headers = { openai-project = \"proj_1\" } }\n"
        + &model("dressed", "dressed", "");
    let gateway = gateway_over(&upstream, &more);
    let messages = r#""messages":[{"role":"user","content":"\u00e9","x":{}}]"#;
    let body = format!(r#"{{ "zeta":1.50, {messages},  "model":"dressed","tools":[{{"b":1,"a":2}}] }}"#);
    let headers = [
        ("x-aisix-request-id", "abc-1"),
        ("accept-encoding", "gzip, br"),
        ("cookie", "session=1"),
        ("x-api-key", "sk-test"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    gateway.send("POST", "/v1/chat/completions", "sk-test", &headers, body.as_bytes()).expect(200);
    let received = &upstream.received()[0];
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(String::from_utf8_lossy(&received.body), body.replace("\"dressed\"", "\"upstream-dressed\""));
    assert_eq!(received.header("authorization"), Some("Bearer sk-upstream"));
    assert_eq!(received.header("x-aisix-request-id"), Some("abc-1"));
    assert_eq!(received.header("openai-project"), Some("proj_1"));
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert!(
        received.header("user-agent").is_some_and(|agent| agent.starts_with("aisix/0.1")),
        "{received:?}"
    );
    // The gateway asks for bytes that it can read; what the caller would unpack is the caller's affair.
    assert_eq!(received.header("accept-encoding"), Some("identity"));
    let count = received.headers.iter().filter(|(name, _)| name == "accept-encoding").count();
    assert_eq!(count, 1, "{received:?}");
    for name in ["cookie", "x-api-key", "traceparent"] {
        assert_eq!(received.header(name), None, "{name}");
    }
    assert!(!format!("{:?}", received.headers).contains("sk-test"), "{received:?}");
}

#[test]
fn time_that_others_have_used_up_cools_nobody() {
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-a") => Answer::silence(),
        _ => Answer::default().pause(Duration::from_millis(900)).then(good()),
    });
    let models = model("a", "up", "timeout = 300") + &model("b", "up", "");
    let group = routing("group", &["a", "b"], "")
        .replace("[models.routing]", "total_timeout = 600\n[models.routing]");
    let gateway = gateway_over(&upstream, &(models + &group));
    let refusal = gateway.chat(&chat_body("group", "")).expect(504);
    assert!(refusal.text().contains("600ms"), "it names the limit that passed: {}", refusal.text());
    gateway.settled();
    let health = &gateway.gateway.books.health;
    let status = |name: &str| {
        let model = gateway.gateway.snapshot().resolve(name).expect("declared").model;
        health.status(&model.id, Now::read()).reason.map(|reason| reason.as_str())
    };
    assert_eq!((status("a"), status("b")), (Some("request_timeout"), None));
}

#[test]
fn a_head_alone_is_no_answer() {
    let gate = Gate::default();
    let answer = Answer::events().wait(&gate).event(&delta("x")).event(&finish()).end();
    let upstream = Upstream::always(answer);
    let gateway = gateway_over(&upstream, "[downstream]\nsse_keepalive_interval_secs = 1\n");
    let mut stream = gateway.stream(&chat_body("m", r#","stream":true"#));
    stream.until(":\n\n");
    assert_eq!(gateway.books().router.succeeded, 0);
    gate.open();
    stream.rest();
    gateway.settled();
    assert_eq!(gateway.books().router.succeeded, 1);
}
