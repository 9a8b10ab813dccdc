//! What models say of callers' addresses and of background checks, and how routing models choose.

use super::*;

#[test]
fn background_checks_and_windows() {
    check(
        r#"
[[provider_keys]]
display_name = "vectors"
provider = "voyage"
api_key = "k"
[[models]]
display_name = "m1"
provider_key = "mock"
model_name = "x"
context_window = 0
[models.background_model_check]
enabled = true
interval_seconds = 4
timeout_seconds = 0
prompt = ""
max_tokens = 0
stale_after_seconds = 0
ignore_statuses = [429, 600]
[[models]]
display_name = "m2"
provider_key = "mock"
model_name = "x"
background_model_check = { enabled = false, interval_seconds = 1 }
[[models]]
display_name = "m3"
provider_key = "vectors"
model_name = "x"
[models.background_model_check]
enabled = true
interval_seconds = 5
timeout_seconds = 1
prompt = "hi"
max_tokens = 1
stale_after_seconds = 7
[[models]]
display_name = "m4"
provider_key = "mock"
model_name = "x"
background_model_check = { enabled = true, interval_seconds = 60, timeout_seconds = 5, prompt = "hi", max_tokens = 1, stale_after_seconds = 65 }
"#,
        &[
            "config.toml:20: models[1].context_window: expected 1 or more",
            "config.toml:23: models[1].background_model_check.interval_seconds: expected 5 or more",
            "config.toml:24: models[1].background_model_check.timeout_seconds: expected 1 or more",
            "config.toml:25: models[1].background_model_check.prompt: must not be empty",
            "config.toml:26: models[1].background_model_check.max_tokens: expected 1 or more",
            "config.toml:27: models[1].background_model_check.stale_after_seconds: expected more than interval_seconds and timeout_seconds together (4)",
            "config.toml:28: models[1].background_model_check.ignore_statuses[1]: expected a status from 100 to 599",
            r#"config.toml:33: models[2].background_model_check: "timeout_seconds" is required"#,
            r#"config.toml:33: models[2].background_model_check: "prompt" is required"#,
            r#"config.toml:33: models[2].background_model_check: "max_tokens" is required"#,
            r#"config.toml:33: models[2].background_model_check: "stale_after_seconds" is required"#,
            "config.toml:33: models[2].background_model_check.interval_seconds: expected 5 or more",
            "config.toml:38: models[3].background_model_check: this provider answers no conversations",
            "config.toml:49: models[4].background_model_check.stale_after_seconds: expected more than interval_seconds and timeout_seconds together (65)",
        ],
    );
}

#[test]
fn addresses_of_callers() {
    check(
        r#"
[[models]]
display_name = "m1"
provider_key = "mock"
model_name = "x"
allowed_cidrs = ["10.0.0.0/8", "10.0.0.0/33", "localhost", "::1", ""]
[[models]]
display_name = "r1"
allowed_cidrs = ["10.0.0"]
routing = { targets = [{ model = "a" }] }
"#,
        &[
            "config.toml:16: models[1].allowed_cidrs[1]: expected an IP address or a network, such as \"10.0.0.0/8\"",
            "config.toml:16: models[1].allowed_cidrs[2]: expected an IP address or a network, such as \"10.0.0.0/8\"",
            "config.toml:16: models[1].allowed_cidrs[4]: expected an IP address or a network, such as \"10.0.0.0/8\"",
            "config.toml:19: models[2].allowed_cidrs[0]: expected an IP address or a network, such as \"10.0.0.0/8\"",
        ],
    );
}

#[test]
fn what_belongs_to_the_targets() {
    check(
        r#"
[[models]]
display_name = "r"
context_window = 5
prefill = true
background_model_check = { enabled = false, interval_seconds = 5, timeout_seconds = 1, prompt = "x", max_tokens = 1, stale_after_seconds = 1 }
routing = { targets = [{ model = "a" }] }
"#,
        &[
            r#"config.toml:14: models[1].context_window: has no meaning beside "routing"; it belongs to the targets"#,
            r#"config.toml:15: models[1].prefill: has no meaning beside "routing"; it belongs to the targets"#,
            r#"config.toml:16: models[1].background_model_check: has no meaning beside "routing"; it belongs to the targets"#,
        ],
    );
}

#[test]
fn tags_and_reasons_of_routing_models() {
    check(
        r#"
[[models]]
display_name = "r"
[models.routing]
fallback_on = ["context_length", "contentpolicy"]
mid_stream = "go on"
targets = [{ model = "a", weight = -1, tags = ["eu", "", " ", "a,b"] }]
"#,
        &[
            r#"config.toml:15: models[1].routing.fallback_on[1]: expected one of "context_length", "content_policy", found "contentpolicy" (did you mean "content_policy"?)"#,
            r#"config.toml:16: models[1].routing.mid_stream: expected one of "error", "continue", found "go on""#,
            "config.toml:17: models[1].routing.targets[0].weight: expected a whole number from 0 to 4294967295, found a number out of range",
        ],
    );
    check(
        r#"
[[models]]
display_name = "r"
[models.routing]
targets = [{ model = "a", tags = ["eu", "", " ", "a,b"] }]
"#,
        &[
            "config.toml:15: models[1].routing.targets[0].tags[1]: must not be empty or hold a comma",
            "config.toml:15: models[1].routing.targets[0].tags[2]: must not be empty or hold a comma",
            "config.toml:15: models[1].routing.targets[0].tags[3]: must not be empty or hold a comma",
        ],
    );
}

#[test]
fn what_consistent_hashing_goes_by() {
    let routing = |hash_on: &str| {
        format!(
            "[[models]]\ndisplay_name = \"r\"\n[models.routing]\nstrategy = \"consistent_hash\"\n\
             targets = [{{ model = \"a\" }}]\nhash_on = {hash_on}\n"
        )
    };
    let at =
        |place: &str, message: &str| format!("config.toml:17: models[1].routing.hash_on{place}: {message}");
    for (hash_on, place, message) in [
        ("[]", "", "expected at least one property of a request"),
        (r#"[{ type = "header" }]"#, "[0]", r#""name" is required for a header"#),
        (r#"[{ type = "api_key" }, { type = "cookie" }]"#, "[1]", r#""name" is required for a cookie"#),
        (r#"[{ type = "api_key", name = "x" }]"#, "[0].name", "has a meaning only for a header or a cookie"),
        (r#"[{ type = "header", name = "a b" }]"#, "[0].name", "expected the name of a header"),
        (r#"[{ type = "cookie", name = "a;b" }]"#, "[0].name", "expected the name of a cookie"),
        (r#"[{ type = "header", name = "Authorization" }]"#, "[0].name", "this header is reserved"),
        (r#"[{ type = "header", name = "x-api-key" }]"#, "[0].name", "this header is reserved"),
        (
            r#"[{ type = "ip" }]"#,
            "[0].type",
            r#"expected one of "header", "cookie", "api_key", "client_ip", found "ip""#,
        ),
    ] {
        check(&routing(hash_on), &[&at(place, message)]);
    }
    check(&routing(r#"[{ type = "header", name = "X-User" }, { type = "client_ip" }]"#), &[]);
    check(
        &routing(r#"[{ type = "api_key" }]"#).replace("consistent_hash", "failover"),
        &[&at("", r#"has a meaning only with strategy = "consistent_hash""#)],
    );
}
