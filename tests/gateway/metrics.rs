//! Metrics and status, scraped from a running gateway.

use std::collections::BTreeSet;

use aisix::config::Kind;
use aisix::endpoints::{Answer as Answers, ENDPOINTS};

use serde_json::json;

use crate::harness::*;

/// The labels of a request (§13.1).
const REQUEST: [&str; 15] = [
    "endpoint",
    "inbound_protocol",
    "provider",
    "model",
    "upstream_model",
    "provider_key_id",
    "provider_key_name",
    "api_key_id",
    "team_id",
    "user_id",
    "user_name",
    "stream",
    "is_fallback",
    "status",
    "outcome",
];

/// The labels of a family, in words.
fn labels_of(family: &str) -> Vec<&'static str> {
    let words = match family {
        "aisix_requests_total" => "provider model status outcome",
        "aisix_request_duration_seconds" => "provider model status",
        "aisix_llm_tokens_by_client_total" => "client_type model token_type",
        "aisix_tokens_consumed_total" => "provider model",
        "aisix_proxy_in_flight_requests" => "endpoint inbound_protocol",
        "aisix_proxy_client_cancelled_requests_total" => "endpoint model provider_key_id provider_key_name",
        "aisix_proxy_request_body_limit_rejections_total" => "endpoint inbound_protocol outcome",
        "aisix_request_e2e_latency_seconds" | "aisix_request_ttft_seconds" => {
            "env_id endpoint model provider status_class streaming"
        }
        "aisix_ratelimit_rejections_total" => "scope layer policy_id",
        "aisix_ratelimit_remaining_requests" | "aisix_ratelimit_remaining_tokens" => "api_key_id model",
        "aisix_auth_decisions_total" => "method result reason",
        "aisix_routing_successful_fallbacks_total" | "aisix_routing_failed_fallbacks_total" => {
            "model fallback_model"
        }
        "aisix_cache_requests_total" => "policy outcome",
        "aisix_usage_events_emitted_total" => {
            "handler status_code inbound_protocol model provider_key_id provider_key_name"
        }
        "aisix_usage_event_drops_total" => "reason model provider_key_id provider_key_name",
        "aisix_build_info" => "version service_name",
        "aisix_log_lines_dropped_total" | "aisix_metrics_collapsed_total" => "",
        name if name.starts_with("aisix_ledger_journal_") => "",
        name if name.starts_with("aisix_budget_") => "api_key_id team_id user_id budget",
        name if name.starts_with("aisix_deployment_") => "provider model upstream_model provider_key_id",
        name if name.ends_with("_duration_seconds") => {
            return REQUEST.into_iter().filter(|label| *label != "is_fallback").collect();
        }
        name if name.ends_with("_requests_total") => return REQUEST.to_vec(),
        _ => return REQUEST[..11].to_vec(),
    };
    words.split_whitespace().collect()
}

/// Every family of §13.1 that this gateway has something to tell of, with its type.
const FAMILIES: [(&str, &str); 42] = [
    ("aisix_requests_total", "counter"),
    ("aisix_request_duration_seconds", "summary"),
    ("aisix_proxy_requests_total", "counter"),
    ("aisix_proxy_failed_requests_total", "counter"),
    ("aisix_proxy_request_duration_seconds", "summary"),
    ("aisix_llm_requests_total", "counter"),
    ("aisix_llm_request_duration_seconds", "summary"),
    ("aisix_llm_time_to_first_token_seconds", "summary"),
    ("aisix_llm_input_tokens_total", "counter"),
    ("aisix_llm_output_tokens_total", "counter"),
    ("aisix_llm_total_tokens_total", "counter"),
    ("aisix_llm_spend_micro_usd_total", "counter"),
    ("aisix_llm_tokens_by_client_total", "counter"),
    ("aisix_tokens_consumed_total", "counter"),
    ("aisix_proxy_in_flight_requests", "gauge"),
    ("aisix_proxy_client_cancelled_requests_total", "counter"),
    ("aisix_proxy_request_body_limit_rejections_total", "counter"),
    ("aisix_request_e2e_latency_seconds", "histogram"),
    ("aisix_request_ttft_seconds", "histogram"),
    ("aisix_ratelimit_rejections_total", "counter"),
    ("aisix_ratelimit_remaining_requests", "gauge"),
    ("aisix_ratelimit_remaining_tokens", "gauge"),
    ("aisix_budget_limit_usd", "gauge"),
    ("aisix_budget_spent_usd", "gauge"),
    ("aisix_budget_remaining_usd", "gauge"),
    ("aisix_budget_reset_seconds", "gauge"),
    ("aisix_budget_details_present", "gauge"),
    ("aisix_ledger_journal_healthy", "gauge"),
    ("aisix_ledger_journal_commits_total", "counter"),
    ("aisix_ledger_journal_committed_charges_total", "counter"),
    ("aisix_ledger_journal_failures_total", "counter"),
    ("aisix_ledger_journal_corrupt_rows", "gauge"),
    ("aisix_ledger_journal_pending_micro_usd", "gauge"),
    ("aisix_auth_decisions_total", "counter"),
    ("aisix_deployment_requests_total", "counter"),
    ("aisix_deployment_success_responses_total", "counter"),
    ("aisix_deployment_failure_responses_total", "counter"),
    ("aisix_deployment_state", "gauge"),
    ("aisix_deployment_cooled_down_total", "counter"),
    ("aisix_cache_requests_total", "counter"),
    ("aisix_routing_failed_fallbacks_total", "counter"),
    ("aisix_usage_event_drops_total", "counter"),
];

/// Asks for everything that has a family of its own.
fn busy_gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start(|request, _| match request.json()["model"].as_str() {
        Some("upstream-bad") => Answer::json(500, "{}"),
        Some("upstream-silent") => Answer::silence(),
        _ if request.json()["stream"] == true => {
            Answer::stream(&[&delta("hello"), &finish(), &usage_event(5, 7), "data: [DONE]\n\n"])
        }
        _ => Answer::json(200, &completion("hello", 5, 7)),
    });
    let price = "cost = { input_per_1k = 1, output_per_1k = 1 }";
    let more = [
        model("bad", "up", "retries = 0"),
        model("silent", "up", ""),
        model("priced", "up", price),
        routing("group", &["bad", "bad2", "m"], ""),
        model("bad2", "up", "retries = 0").replace("upstream-bad2", "upstream-bad"),
        api_key("sk-limited", "\"*\"", "rate_limit = { rpm = 2, tpm = 100000 }\nteam_id = \"t\""),
        budget("all", "scope = \"org\"", "100", ""),
        "[[cache_policies]]\nname = \"priced\"\napplies_to = \"model:priced\"\n".to_owned(),
        "[proxy]\nrequest_body_limit_bytes = 1000\n[budget]\nunpriced = \"allow\"\n".to_owned(),
    ];
    let gateway = gateway_over(&upstream, &more.concat());
    (upstream, gateway)
}

#[test]
fn every_family_is_told_with_its_type_and_its_labels() {
    away_from_the_turn_of_the_minute();
    let (upstream, gateway) = busy_gateway();
    for name in ["m", "priced", "priced", "group"] {
        gateway.chat(&chat_body(name, "")).expect(200);
    }
    let mut stream = gateway.stream(&chat_body("m", ",\"stream\":true"));
    stream.rest();
    for status in [200, 200, 429] {
        gateway.post_json("/v1/chat/completions", "sk-limited", &chat_body("m", "")).expect(status);
    }
    gateway.send("POST", "/v1/chat/completions", "sk-test", &[], &[b' '; 1001]).expect(413);
    let mut connection = gateway.connect();
    let asked = upstream.count();
    let body = chat_body("silent", "");
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
    upstream.wait_for_requests(asked + 1);
    connection.leave();
    gateway.settled();
    let metrics = gateway.metrics();
    for (family, kind) in FAMILIES {
        assert_eq!(metrics.types.get(family).map(String::as_str), Some(kind), "{family}");
        let ending = match kind {
            "histogram" => "_bucket",
            _ => "",
        };
        let own: &[&str] = match kind {
            "histogram" => &["le"],
            "summary" => &["quantile"],
            _ => &[],
        };
        let wanted: BTreeSet<&str> = labels_of(family).into_iter().chain(own.iter().copied()).collect();
        let samples = metrics.all(&format!("{family}{ending}"), &[]);
        assert!(!samples.is_empty(), "{family} has no sample");
        for sample in samples {
            let labels: BTreeSet<&str> = sample.labels.keys().map(String::as_str).collect();
            assert_eq!(labels, wanted, "{family}");
        }
    }
    let chat = ("endpoint", "/v1/chat/completions");
    assert_eq!(metrics.sum("aisix_proxy_client_cancelled_requests_total", &[chat, ("model", "silent")]), 1.0);
    let rejected = [chat, ("outcome", "completed")];
    assert_eq!(metrics.one("aisix_proxy_request_body_limit_rejections_total", &rejected).value, 1.0);
    let refused = [("scope", "requests"), ("layer", "api_key")];
    assert_eq!(metrics.one("aisix_ratelimit_rejections_total", &refused).value, 1.0);
    let hit = [("policy", "priced"), ("outcome", "hit_exact")];
    assert_eq!(metrics.one("aisix_cache_requests_total", &hit).value, 1.0);
    // 5 and 7 tokens at a dollar per thousand; the hit cost nothing.
    let priced = [("model", "priced")];
    assert_eq!(metrics.one("aisix_llm_spend_micro_usd_total", &priced).value, 12_000.0);
    assert_eq!(metrics.one("aisix_budget_spent_usd", &[("budget", "all")]).value, 0.012);
    assert_eq!(metrics.sum("aisix_proxy_in_flight_requests", &[]), 0.0);
}

#[test]
fn every_endpoint_is_counted_with_every_ending() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for row in &ENDPOINTS {
        let sample = Sample::of(row, "m");
        let (answered, refused) = (sample.send(&gateway, "sk-test"), sample.send(&gateway, "sk-wrong"));
        gateway.settled();
        let metrics = gateway.metrics();
        let of = |status: u16| {
            metrics
                .sum("aisix_proxy_requests_total", &[("endpoint", row.path), ("status", &status.to_string())])
        };
        let wanted = if row.answer == Answers::Probe { (2.0, 2.0) } else { (1.0, 1.0) };
        assert_eq!((of(answered.status), of(refused.status)), wanted, "{}", row.path);
        let llm = metrics.sum("aisix_llm_requests_total", &[("endpoint", row.path)]);
        // Nobody knows whether a tunnel leads to a model (§13.1).
        assert_eq!(llm > 0.0, row.answer == Answers::Provider, "{}", row.path);
    }
}

#[test]
fn counters_are_sums_over_all_workers() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    // Connections are dealt out in turn, so every worker has some.
    for _ in 0..10 {
        gateway.chat(&chat_body("m", "")).expect(200);
    }
    gateway.settled();
    let metrics = gateway.metrics();
    let m = [("model", "m")];
    assert_eq!(metrics.one("aisix_proxy_requests_total", &m).value, 10.0);
    assert_eq!(metrics.one("aisix_llm_input_tokens_total", &m).value, 50.0);
    assert_eq!(metrics.one("aisix_llm_output_tokens_total", &m).value, 70.0);
    assert_eq!(metrics.one("aisix_llm_total_tokens_total", &m).value, 120.0);
    assert_eq!(metrics.one("aisix_request_e2e_latency_seconds_count", &m).value, 10.0);
    let everything = [("model", "m"), ("le", "+Inf")];
    assert_eq!(metrics.one("aisix_request_e2e_latency_seconds_bucket", &everything).value, 10.0);
    assert_eq!(metrics.one("aisix_proxy_request_duration_seconds_count", &m).value, 10.0);
    let tokens = [("client_type", "unknown"), ("token_type", "total")];
    assert_eq!(metrics.one("aisix_llm_tokens_by_client_total", &tokens).value, 120.0);
}

#[test]
fn what_a_caller_says_never_becomes_a_label() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &model("open/*", "up", "").replace("upstream-open/*", "*"));
    let headers = [("user-agent", "chosen-agent"), ("x-aisix-request-id", "chosen-id")];
    for name in ["chosen-name", "open/chosen-part"] {
        let body = chat_body(name, r#","user":"chosen-user""#);
        gateway.send("POST", "/v1/chat/completions", "sk-test", &headers, body.as_bytes());
    }
    gateway.send("POST", "/v1/chosen-path", "sk-test", &[], b"{}");
    gateway.settled();
    let metrics = gateway.metrics();
    assert!(!metrics.values().any(|value| value.contains("chosen")), "{metrics:#?}");
    assert_eq!(metrics.sum("aisix_llm_requests_total", &[("model", "unresolved"), ("status", "404")]), 1.0);
    let row = metrics.one("aisix_llm_requests_total", &[("model", "open/*")]);
    assert_eq!(row.labels["upstream_model"], "*");
    assert_eq!(metrics.sum("aisix_llm_tokens_by_client_total", &[("client_type", "other")]), 24.0);
}

#[test]
fn too_many_series_collapse_into_other() {
    let upstream = Upstream::well();
    let keys: String = (0..9).map(|number| api_key(&format!("sk-{number}"), "\"*\"", "")).collect();
    let gateway = gateway_over(&upstream, &(keys + "[observability.metrics]\nmax_series = 3\n"));
    for number in 0..9 {
        let key = format!("sk-{number}");
        gateway.post_json("/v1/chat/completions", &key, &chat_body("m", "")).expect(200);
    }
    gateway.settled();
    let metrics = gateway.metrics();
    let m = [("model", "m")];
    let rows = metrics.all("aisix_proxy_requests_total", &m);
    assert_eq!(rows.len(), 4, "{rows:#?}");
    assert_eq!(metrics.sum("aisix_proxy_requests_total", &m), 9.0);
    let other = [("model", "m"), ("api_key_id", "other")];
    assert_eq!(metrics.one("aisix_proxy_requests_total", &other).value, 6.0);
    assert!(metrics.one("aisix_metrics_collapsed_total", &[]).value >= 6.0);
}

#[test]
fn keys_that_are_gone_make_room_for_fresh_ones_and_no_count_is_lost() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[observability.metrics]\nmax_series = 4\n");
    let mut admin = gateway.admin();
    let (mut sent, mut seen) = (0.0, 0.0);
    for round in 0..12 {
        let (id, key) = (format!("id-{round}"), format!("sk-{round}"));
        let caller = json!({"display_name": id, "key": key, "allowed_models": ["m"]});
        admin.put(Kind::ApiKeys, &id, &caller).expect(201);
        until("the fresh key has a series of its own", || {
            gateway.post_json("/v1/chat/completions", &key, &chat_body("m", "")).expect(200);
            sent += 1.0;
            gateway.settled();
            let metrics = gateway.metrics();
            let sum = metrics.sum("aisix_proxy_requests_total", &[("model", "m")]);
            assert!(sum >= seen, "{sum} after {seen}");
            seen = sum;
            !metrics.all("aisix_proxy_requests_total", &[("api_key_id", &id)]).is_empty()
        });
        admin.delete(Kind::ApiKeys, &id).expect(200);
    }
    assert_eq!(gateway.metrics().sum("aisix_proxy_requests_total", &[("model", "m")]), sent);
}

#[test]
fn a_failover_is_counted_by_target_and_the_winner_alone_has_tokens() {
    let (_upstream, gateway) = busy_gateway();
    gateway.chat(&chat_body("group", "")).expect(200);
    gateway.settled();
    let metrics = gateway.metrics();
    for (target, [all, good, bad]) in
        [("bad", [1.0, 0.0, 1.0]), ("bad2", [1.0, 0.0, 1.0]), ("m", [1.0, 1.0, 0.0])]
    {
        let of = |family: &str| metrics.sum(family, &[("model", target)]);
        assert_eq!(of("aisix_deployment_requests_total"), all, "{target}");
        assert_eq!(of("aisix_deployment_success_responses_total"), good, "{target}");
        assert_eq!(of("aisix_deployment_failure_responses_total"), bad, "{target}");
        assert_eq!(of("aisix_deployment_state"), if bad > 0.0 { 2.0 } else { 0.0 }, "{target}");
        assert_eq!(of("aisix_deployment_cooled_down_total"), bad, "{target}");
    }
    let row = metrics.one("aisix_proxy_requests_total", &[("model", "group")]);
    assert_eq!(
        (row.labels["is_fallback"].as_str(), row.labels["upstream_model"].as_str()),
        ("true", "upstream-m")
    );
    assert_eq!(metrics.sum("aisix_tokens_consumed_total", &[]), 12.0);
    let fallback =
        |family: &str, target: &str| metrics.sum(family, &[("model", "group"), ("fallback_model", target)]);
    assert_eq!(fallback("aisix_routing_failed_fallbacks_total", "bad2"), 1.0);
    assert_eq!(fallback("aisix_routing_successful_fallbacks_total", "m"), 1.0);
    assert_eq!(metrics.sum("aisix_usage_events_emitted_total", &[("model", "group")]), 3.0);
    assert_eq!(metrics.sum("aisix_usage_event_drops_total", &[("reason", "sink_disabled")]), 3.0);
}

#[test]
fn decisions_on_callers_are_counted_by_their_reason() {
    let upstream = Upstream::well();
    let keys = api_key("sk-old", "\"*\"", "expires_at = 2020-01-01T00:00:00Z")
        + &api_key("sk-off", "\"*\"", "disabled = true");
    let gateway = gateway_over(&upstream, &keys);
    for key in ["sk-test", "sk-old", "sk-off", "sk-nobody", ""] {
        gateway.send("GET", "/v1/models", key, &[], b"");
    }
    gateway.settled();
    let metrics = gateway.metrics();
    for (method, result, reason) in [
        ("api_key", "allowed", "valid_key"),
        ("api_key", "denied", "expired_key"),
        ("api_key", "denied", "disabled_key"),
        ("api_key", "denied", "unknown_key"),
        ("none", "denied", "missing_credential"),
    ] {
        let labels = [("method", method), ("result", result), ("reason", reason)];
        assert_eq!(metrics.one("aisix_auth_decisions_total", &labels).value, 1.0);
    }
}

fn page(addr: std::net::SocketAddr, path: &str, key: &str) -> Response {
    let mut connection = Connection::open(addr);
    connection.send(&request_text("GET", path, key, &[], b""));
    connection.response()
}

#[test]
fn the_status_pages_tell_how_the_models_stand() {
    let (_upstream, gateway) = busy_gateway();
    gateway.chat(&chat_body("group", "")).expect(200);
    gateway.settled();
    assert_eq!(page(gateway.metrics_addr(), "/status/ready", "").expect(200).text(), "ok");
    let public = page(gateway.metrics_addr(), "/status/models", "").expect(200).json();
    let models = public.as_array().expect("a list").clone();
    let of = |name: &str| models.iter().find(|row| row["display_name"] == name).expect("a model").clone();
    assert_eq!((&of("m")["status"], &of("m")["kind"]), (&"healthy".into(), &"direct".into()));
    assert!(of("m").get("cooldown_until").is_none());
    assert_eq!(of("bad")["status"], "cooldown");
    assert_eq!(of("bad")["status_reason"], "upstream_server_error");
    assert!(of("bad")["cooldown_until"]["secs_since_epoch"].is_u64());
    assert_eq!((&of("group")["status"], &of("group")["kind"]), (&"not_applicable".into(), &"routing".into()));
    let private = page(gateway.admin_addr(), "/admin/v1/models/status", "").expect(200).json();
    let names = |list: &serde_json::Value| -> Vec<serde_json::Value> {
        list.as_array().expect("a list").iter().map(|row| row["id"].clone()).collect()
    };
    assert_eq!(names(&private), names(&public));
    let health = page(gateway.admin_addr(), "/admin/v1/health", "").expect(200).json();
    assert_eq!(health["status"], "ok", "one failure is none of many");
    assert_eq!(health["models"].as_array().map(Vec::len), Some(models.len()));
}

#[test]
fn the_pages_of_administrators_ask_for_their_key_and_the_status_listener_for_none() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[admin]\nadmin_keys = [\"root\"]\n");
    for path in ["/admin/v1/health", "/admin/v1/models/status"] {
        let refused = page(gateway.admin_addr(), path, "wrong").expect(401);
        assert!(refused.json()["error_msg"].is_string());
        page(gateway.admin_addr(), path, "root").expect(200);
    }
    assert!(page(gateway.metrics_addr(), "/nowhere", "").expect(404).json()["error_msg"].is_string());
    page(gateway.metrics_addr(), "/admin/v1/health", "root").expect(404);
}

#[test]
fn metrics_have_the_path_the_edges_and_the_name_that_the_operator_chose() {
    let upstream = Upstream::well();
    let more = "[observability]\nservice_name = \"east \\\"1\\\"\"\n[observability.metrics.buckets]\ne2e = [0.5, 60]\n[observability.metrics.prometheus]\npath = \"scrape\"\n";
    let gateway = gateway_over(&upstream, more);
    gateway.chat(&chat_body("m", "")).expect(200);
    gateway.settled();
    page(gateway.metrics_addr(), "/metrics", "").expect(404);
    let metrics = Metrics::read(&page(gateway.metrics_addr(), "/scrape", "").expect(200).text());
    let buckets = metrics.all("aisix_request_e2e_latency_seconds_bucket", &[("model", "m")]);
    let edges: Vec<&str> = buckets.iter().map(|sample| sample.labels["le"].as_str()).collect();
    assert_eq!(edges, ["0.5", "60", "+Inf"]);
    assert_eq!(metrics.one("aisix_build_info", &[]).labels["service_name"], "east \"1\"");
}

#[test]
fn what_a_target_delivered_counts_also_where_no_other_can_go_on_from_there() {
    let upstream = Upstream::always(Answer::events().event(&delta("one two three")).end());
    let more = model("first", "up", "") + &model("second", "up", "prefill = false");
    let group = routing("group", &["first", "second"], "mid_stream = \"continue\"");
    let usage = UsageFile::new();
    let gateway = gateway_over(&upstream, &(more + &group + &usage.settings()));
    assert!(gateway.chat(&chat_body("group", ",\"stream\":true")).text().contains("stream_aborted"));
    let records = usage.wait_for(&gateway, 1);
    let metrics = gateway.metrics();
    for (family, member) in [
        ("aisix_llm_input_tokens_total", "prompt_tokens"),
        ("aisix_llm_output_tokens_total", "completion_tokens"),
    ] {
        assert_eq!(Some(metrics.sum(family, &[])), records[0][member].as_f64(), "{family}");
        assert!(metrics.sum(family, &[]) > 0.0, "{family}");
    }
}
