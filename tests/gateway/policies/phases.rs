//! What counts once for a request, and what counts at each target of a routing model.

use super::*;

/// Two models, a group over both, and what else there is.
fn group(upstream: &Upstream, more: &str) -> Gateway {
    let group = model("a", "up", "retries = 0") + &model("b", "up", "retries = 0");
    gateway(upstream, &(group + &routing("smart", &["a", "b"], "") + more))
}

fn served_by(response: &Response) -> Option<&str> {
    response.header("x-aisix-served-by")
}

#[test]
fn a_targets_policy_moves_on_to_the_next_target() {
    for target in [
        classic("model", "a"),
        policy(
            "p",
            "limits = { rpm = 1 }\nconditions = [{ dimension = \"model\", operator = \"==\", value = \"a\" }]",
        ),
        policy(
            "p",
            "limits = { rpm = 1 }\nconditions = [{ dimension = \"model_name\", operator = \"==\", value = \"a\" }]",
        ),
    ] {
        away_from_the_turn_of_the_minute();
        let upstream = Upstream::well();
        let gateway = group(&upstream, &target);
        for target in ["a", "b", "b"] {
            let response = ask(&gateway, "sk-ada", "smart").expect(200);
            assert_eq!(served_by(&response), Some(target));
        }
        // By its own name it shares the count.
        ask(&gateway, "sk-ada", "a").expect(429);
        ask(&gateway, "sk-ada", "b").expect(200);
        gateway.settled();
    }
}

#[test]
fn targets_are_counted_apart_and_every_one_may_be_used_up() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = group(&upstream, &policy("each", "limits = { rpm = 1 }\ngroup_by = [\"model\"]"));
    for target in ["a", "b"] {
        let response = ask(&gateway, "sk-ada", "smart").expect(200);
        assert_eq!(served_by(&response), Some(target));
    }
    let refusal = ask(&gateway, "sk-eve", "smart").expect(429);
    assert!(refusal.error_message().contains("policy \"each\""), "{refusal:?}");
    assert_eq!(upstream.count(), 2);
    // The second request was refused by the first target, the third by both.
    gateway.settled();
    let name = "aisix_ratelimit_rejections_total";
    assert_eq!(gateway.metrics().sum(name, &[("layer", "policy")]), 3.0);
}

#[test]
fn a_policy_for_callers_counts_once_however_many_targets_are_asked() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-a") => Answer::json(500, "{}"),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let gateway = group(&upstream, &policy("p", "limits = { rpm = 2 }\ngroup_by = [\"team\"]"));
    for status in [200, 200, 429] {
        ask(&gateway, "sk-ada", "smart").expect(status);
    }
    gateway.settled();
}

#[test]
fn the_policy_of_a_group_counts_its_requests_and_not_those_to_its_targets() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = group(&upstream, &classic("model", "smart"));
    for (model, status) in [("a", 200), ("smart", 200), ("smart", 429), ("a", 200), ("b", 200)] {
        ask(&gateway, "sk-ada", model).expect(status);
    }
    gateway.settled();
}

#[test]
fn conditions_on_a_model_hold_for_the_group_that_the_caller_named_too() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let named = "conditions = [{ dimension = \"model\", operator = \"==\", value = \"smart\" }]";
    let gateway = group(&upstream, &policy("p", &format!("limits = {{ rpm = 1 }}\n{named}")));
    for (model, status) in [("a", 200), ("smart", 200), ("smart", 429), ("b", 200)] {
        ask(&gateway, "sk-ada", model).expect(status);
    }
    gateway.settled();
}

#[test]
fn the_winner_alone_is_charged_with_tokens_at_the_targets() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-a") => Answer::json(500, "{}"),
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let gateway = group(&upstream, &policy("p", "limits = { tpm = 11 }\ngroup_by = [\"model\"]"));
    let response = ask(&gateway, "sk-ada", "smart").expect(200);
    assert_eq!(served_by(&response), Some("b"));
    gateway.settled();
    let refusal = ask(&gateway, "sk-ada", "b").expect(429);
    assert!(refusal.error_message().starts_with("token limit exceeded"), "{refusal:?}");
    // It counted a request and no tokens: it is asked, and fails.
    ask(&gateway, "sk-ada", "a").expect(502);
}

#[test]
fn the_passthrough_falls_under_the_policies_of_callers_and_providers() {
    for more in [
        classic("team", "red"),
        policy(
            "p",
            "limits = { rpm = 1 }\nconditions = [{ dimension = \"provider\", operator = \"==\", value = \"openai\" }]",
        ),
    ] {
        away_from_the_turn_of_the_minute();
        let upstream = Upstream::well();
        let gateway = gateway(&upstream, &(more + &classic("model", "m").replace("\"p\"", "\"of m\"")));
        for status in [200, 429] {
            gateway.send("GET", "/passthrough/openai/files", "sk-ada", &[], b"").expect(status);
        }
        gateway.settled();
    }
}

#[test]
fn a_passthrough_request_is_for_a_model_only_where_it_names_one() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = gateway(&upstream, &classic("model", "m"));
    let send =
        |body: &[u8]| gateway.send("POST", "/passthrough/openai/chat/completions", "sk-ada", &[], body);
    for _ in 0..3 {
        send(b"{}").expect(200);
    }
    send(chat_body("m", "").as_bytes()).expect(200);
    send(chat_body("m", "").as_bytes()).expect(429);
    gateway.settled();
}
