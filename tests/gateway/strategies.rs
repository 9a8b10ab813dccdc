//! The order in which targets are asked, seen from outside: tags, networks, abilities, keys, shares (§6.1 to §6.3).

use std::collections::HashMap;

use crate::harness::*;

/// A routing model over targets with further members of their own; `rules` are lines of its `routing` table.
fn group(targets: &[(&str, &str)], rules: &str) -> String {
    let targets: Vec<String> =
        targets.iter().map(|(name, more)| format!("{{ model = \"{name}\"{more} }}")).collect();
    format!(
        "[[models]]\ndisplay_name = \"group\"\n[models.routing]\ntargets = [{}]\n{rules}\n",
        targets.join(", ")
    )
}

/// A gateway with three targets that are all well.
fn three(upstream: &Upstream, targets: &[(&str, &str)], rules: &str) -> Gateway {
    let models: String = ["a", "b", "c"].iter().map(|name| model(name, "up", "")).collect();
    gateway_over(upstream, &(models + &group(targets, rules)))
}

/// Asks the group with these headers.
fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Response {
    gateway.send("POST", "/v1/chat/completions", "sk-test", headers, chat_body("group", "").as_bytes())
}

/// Who answers a request with these headers.
fn served(gateway: &Gateway, headers: &[(&str, &str)]) -> String {
    ask(gateway, headers).expect(200).header("x-aisix-served-by").expect("a target").to_owned()
}

/// How often each target answers so many requests.
fn shares(gateway: &Gateway, count: usize) -> HashMap<String, usize> {
    let mut shares = HashMap::new();
    for _ in 0..count {
        *shares.entry(served(gateway, &[])).or_default() += 1;
    }
    shares
}

#[test]
fn a_request_goes_to_targets_with_one_of_its_tags() {
    let upstream = Upstream::well();
    let tags = "x-aisix-routing-tags";
    let tagged = [("a", ", tags = [\"eu\"]"), ("b", ", tags = [\"us\", \"fast\"]"), ("c", "")];
    let gateway = three(&upstream, &tagged, "");
    for (wanted, served_by) in
        [(Some("us"), "b"), (Some("mars, fast"), "b"), (Some("eu,us"), "a"), (None, "a")]
    {
        let headers: Vec<(&str, &str)> = wanted.map(|wanted| (tags, wanted)).into_iter().collect();
        assert_eq!(served(&gateway, &headers), served_by, "{wanted:?}");
    }
    for lists in [["mars", "us"], ["us", "mars"], ["", "mars, us"]] {
        assert_eq!(served(&gateway, &lists.map(|list| (tags, list))), "b", "{lists:?}");
    }
    let refusal = ask(&gateway, &[(tags, "mars")]).expect(400);
    assert_eq!(refusal.error_type(), "invalid_request_error");
    let asked = upstream.received();
    assert!(asked.iter().all(|request| request.header(tags).is_none()), "it stays with the gateway");

    let with_default = [("a", ", tags = [\"eu\"]"), ("b", ", tags = [\"default\"]"), ("c", "")];
    let gateway = three(&upstream, &with_default, "");
    for (wanted, served_by) in [(None, "b"), (Some("mars"), "b"), (Some("eu"), "a")] {
        let headers: Vec<(&str, &str)> = wanted.map(|wanted| (tags, wanted)).into_iter().collect();
        assert_eq!(served(&gateway, &headers), served_by, "{wanted:?}");
    }
    let untagged = three(&upstream, &[("a", ""), ("b", "")], "");
    assert_eq!(served(&untagged, &[(tags, "mars")]), "a", "nobody has tags");
}

#[test]
fn a_target_that_the_address_may_not_use_is_left_out() {
    let upstream = Upstream::well();
    let elsewhere = "allowed_cidrs = [\"192.0.2.0/24\"]";
    let models = model("a", "up", elsewhere) + &model("b", "up", "allowed_cidrs = [\"127.0.0.0/8\"]");
    let gateway = gateway_over(&upstream, &(models + &group(&[("a", ""), ("b", "")], "")));
    assert_eq!(served(&gateway, &[]), "b");
    let models = model("a", "up", elsewhere) + &model("b", "up", elsewhere);
    let anyway = "when_all_unavailable = \"try_anyway\"";
    let gateway = gateway_over(&upstream, &(models + &group(&[("a", ""), ("b", "")], anyway)));
    let refusal = ask(&gateway, &[]).expect(403);
    assert_eq!(refusal.error()["code"], "ip_restricted");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_higher_priority_comes_first_whatever_the_order() {
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-c") => Answer::json(500, "{}"),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let gateway = three(&upstream, &[("a", ", priority = -1"), ("b", ""), ("c", ", priority = 7")], "");
    assert_eq!(served(&gateway, &[]), "b", "the highest fails");
    let asked = upstream.received();
    let asked: Vec<_> = asked.iter().map(|request| request.json()["model"].clone()).collect();
    assert_eq!(asked, ["upstream-c", "upstream-b"]);
}

#[test]
fn turns_go_round_by_weight() {
    let upstream = Upstream::well();
    let weights = [("a", ", weight = 5"), ("b", ""), ("c", "")];
    let gateway = three(&upstream, &weights, "strategy = \"round_robin\"");
    let shares = shares(&gateway, 140);
    assert_eq!((shares["a"], shares["b"], shares["c"]), (100, 20, 20), "exact over all workers");
}

#[test]
fn chance_goes_by_weight() {
    let upstream = Upstream::well();
    let weights = [("a", ", weight = 8"), ("b", ""), ("c", "")];
    let gateway = three(&upstream, &weights, "strategy = \"weighted\"");
    let shares = shares(&gateway, 400);
    // 320 of 400 with a standard deviation of 8: five of them either way.
    assert!((280..=360).contains(&shares["a"]), "{shares:?}");
}

#[test]
fn the_same_key_meets_the_same_target_after_a_restart_too() {
    let upstream = Upstream::well();
    let rules = "strategy = \"consistent_hash\"\n\
                 hash_on = [{ type = \"header\", name = \"x-session\" }, { type = \"cookie\", name = \"sid\" }]";
    let gateway = three(&upstream, &[("a", ""), ("b", ""), ("c", "")], rules);
    let keys: Vec<String> = (0..60).map(|number| format!("session-{number}")).collect();
    let by_header = |gateway: &Gateway| -> Vec<String> {
        keys.iter().map(|key| served(gateway, &[("x-session", key)])).collect()
    };
    let first = by_header(&gateway);
    for name in ["a", "b", "c"] {
        assert!(first.iter().filter(|target| *target == name).count() > 5, "{first:?}");
    }
    let by_cookie: Vec<String> = keys
        .iter()
        .map(|key| served(&gateway, &[("x-session", ""), ("cookie", &format!("x=1; sid=\"{key}\""))]))
        .collect();
    assert_eq!(by_cookie, first, "the same text, wherever it stands");
    let gateway = gateway.restart();
    assert_eq!(by_header(&gateway), first);
}

#[test]
fn the_cheapest_target_is_first() {
    let upstream = Upstream::well();
    let cost = |price: &str| format!("cost = {{ input_per_1k = {price}, output_per_1k = {price} }}");
    let models = model("a", "up", "") + &model("b", "up", &cost("0.02")) + &model("c", "up", &cost("0.01"));
    let rules = "strategy = \"least_cost\"";
    let gateway = gateway_over(&upstream, &(models + &group(&[("a", ""), ("b", ""), ("c", "")], rules)));
    assert_eq!(served(&gateway, &[]), "c");
}

#[test]
fn the_fastest_target_is_first_once_all_were_asked() {
    let upstream = Upstream::start(|request, _| {
        let pause = match request.json()["model"].as_str() {
            Some("upstream-b") => 0,
            _ => 60,
        };
        let whole = Answer::json(200, &completion("hello", 5, 7));
        Answer::default().pause(std::time::Duration::from_millis(pause)).then(whole)
    });
    let gateway = three(&upstream, &[("a", ""), ("b", ""), ("c", "")], "strategy = \"least_latency\"");
    let mut first: Vec<String> = (0..3).map(|_| served(&gateway, &[])).collect();
    first.sort();
    assert_eq!(first, ["a", "b", "c"], "each is asked once");
    for _ in 0..5 {
        assert_eq!(served(&gateway, &[]), "b");
    }
}

#[test]
fn the_least_busy_target_is_first() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, _| {
        let whole = Answer::json(200, &completion("hello", 5, 7));
        match request.json()["messages"][0]["content"] == "wait" {
            true => Answer::default().wait(&held).then(whole),
            false => whole,
        }
    });
    let gateway = three(&upstream, &[("a", ""), ("b", "")], "strategy = \"least_busy\"");
    let waiting = chat_body("group", "").replace("hello", "wait");
    let mut first = gateway.connect();
    first.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], waiting.as_bytes()));
    upstream.wait_for_requests(1);
    assert_eq!(served(&gateway, &[]), "b");
    gate.open();
    assert_eq!(first.response().header("x-aisix-served-by"), Some("a"));
    gateway.settled();
    assert_eq!(served(&gateway, &[]), "a");
}

#[test]
fn a_target_that_cannot_answer_the_endpoint_is_not_asked() {
    let (chat, all) = (Upstream::always(Answer::json(200, r#"{"input_tokens":7}"#)), Upstream::well());
    let anthropic =
        provider_key("chat", &chat.url()).replace("provider = \"openai\"", "provider = \"anthropic\"");
    let more = anthropic
        + &provider_key("all", &all.url())
        + &model("a", "chat", "")
        + &model("b", "all", "")
        + &group(&[("a", ""), ("b", "")], "max_fallbacks = 0");
    let gateway = gateway_over(&all, &more);
    let body = r#"{"model":"group","input":"hello"}"#;
    let response = gateway.post_json("/v1/embeddings", "sk-test", body).expect(200);
    assert_eq!(response.header("x-aisix-served-by"), Some("b"));
    let body = r#"{"model":"group","messages":[{"role":"user","content":"hi"}]}"#;
    let counted = gateway.post_json("/v1/messages/count_tokens", "sk-test", body).expect(200);
    assert_eq!(counted.json()["input_tokens"], 7, "its provider counts by itself");
    assert_eq!(chat.count(), 1);
}

#[test]
fn one_dead_target_of_three_is_asked_once_in_a_while_and_no_caller_notices() {
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-b") => Answer::json(503, "{}"),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let cooling = "cooldown = { default_seconds = 1 }";
    let models: String = ["a", "b", "c"].iter().map(|name| model(name, "up", cooling)).collect();
    let rules = "strategy = \"round_robin\"";
    let gateway = gateway_over(&upstream, &(models + &group(&[("a", ""), ("b", ""), ("c", "")], rules)));
    let began = std::time::Instant::now();
    assert_ne!(served(&gateway, &[]), "b");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while began.elapsed().as_millis() < 3_500 {
                    assert_ne!(served(&gateway, &[]), "b");
                }
            });
        }
    });
    let cooldowns = began.elapsed().as_secs() as usize + 1;
    let dead = upstream.received().iter().filter(|request| request.json()["model"] == "upstream-b").count();
    assert!((2..=2 * cooldowns).contains(&dead), "{dead} requests in {cooldowns} cooldowns");
    gateway.settled();
}
