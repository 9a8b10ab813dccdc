//! Explanations of requests to routing models.

use serde_json::{Value, json};

use super::*;
use crate::config;

const BASE: &str = r#"
[upstream]
retries = 2
ttft_timeout_ms = 9000
[[provider_keys]]
display_name = "o"
provider = "openai"
api_key = "sk-o"
[[provider_keys]]
display_name = "a"
provider = "anthropic"
api_key = "sk-a"
[[models]]
display_name = "one"
provider_key = "o"
model_name = "gpt"
retries = 1
timeout = 7000
cost = { input_per_1k = "0.003", output_per_1k = "0.003" }
[[models]]
display_name = "two"
provider_key = "o"
model_name = "gpt"
stream_timeout = 4000
ttft_timeout = 3000
cost = { input_per_1k = "0.001", output_per_1k = "0.001" }
[[models]]
display_name = "claude"
provider_key = "a"
model_name = "claude"
allowed_cidrs = ["192.0.2.0/24"]
[[api_keys]]
display_name = "me"
key = "sk-me"
allowed_models = ["*"]
[[models]]
display_name = "smart"
"#;
const CHAT: &str = r#"{"model": "smart", "messages": [{"role": "user", "content": "Hi"}]}"#;
const STREAM: &str = r#"{"model": "smart", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}"#;
const EMBED: &str = r#"{"model": "smart", "input": "Hi", "encoding_format": "float"}"#;

/// What is explained of a request to the model "smart", as JSON and as text.
fn explained(smart: &str, body: &'static str, headers: &[&str], address: &str) -> (Value, String) {
    let text = format!("{BASE}{smart}");
    let config = config::parse("config.toml", &text, &|_| None, &[]);
    let snapshot = Snapshot::build(config.unwrap_or_else(|problems| panic!("{problems}")));
    let body = RawObject::parse(Bytes::from_static(body.as_bytes())).expect("an object");
    let (endpoint, _) = endpoint(None, &body).expect("an endpoint");
    let call = Call::read(endpoint.operation, endpoint.dialect, Body::Json(body), None).expect("a call");
    let headers: HeaderMap = headers.iter().map(|text| header(text).expect("a header")).collect();
    let caller = snapshot.api_keys().next().expect("a key").clone();
    let address = Some(address.parse().expect("an address"));
    let wish = Wish { endpoint, headers: &headers, caller: &caller, address };
    let explanation = Explanation::of(&snapshot, &wish, &call);
    (serde_json::to_value(&explanation).expect("JSON"), text::of(&explanation))
}

fn routing(rest: &str) -> String {
    let targets = r#"[{ model = "one" }, { model = "two" }, { model = "claude" }]"#;
    format!("[models.routing]\ntargets = {targets}\n{rest}\n")
}

/// The targets and their places.
fn places((explanation, _): &(Value, String)) -> Value {
    assert_eq!(explanation["refusal"], Value::Null);
    let targets = explanation["targets"].as_array().expect("targets");
    targets.iter().map(|target| json!([target["name"], target["place"]])).collect()
}

#[test]
fn a_settled_order_is_that_of_the_router() {
    let explain = |rest: &str| places(&explained(&routing(rest), CHAT, &[], "192.0.2.7"));
    let expected = json!([["one", {"at": 1}], ["two", {"at": 2}], ["claude", {"at": 3}]]);
    assert_eq!(explain(""), expected);
    let expected = json!([["two", {"at": 1}], ["one", {"at": 2}], ["claude", {"at": 3}]]);
    assert_eq!(explain("strategy = \"least_cost\""), expected, "no price comes last");
    let left_out = json!({"left_out": "max_fallbacks is 1"});
    let expected = json!([["one", {"at": 1}], ["two", {"at": 2}], ["claude", left_out]]);
    assert_eq!(explain("max_fallbacks = 1"), expected);
}

#[test]
fn a_key_of_the_request_decides_the_order_of_consistent_hash() {
    let smart =
        routing("strategy = \"consistent_hash\"\nhash_on = [{ type = \"header\", name = \"x-session\" }]");
    let first = |key: usize| {
        let found = explained(&smart, CHAT, &[&format!("x-session: {key}")], "192.0.2.7");
        assert_eq!(found.0["route"]["ordered_by"], "by hash of the header x-session");
        places(&found)[0][0].clone()
    };
    for name in ["one", "two", "claude"] {
        assert!((0..64).any(|key| first(key) == name), "{name}");
    }
    assert_eq!(first(1), first(1));
    let (without, _) = explained(&smart, CHAT, &[], "192.0.2.7");
    assert_eq!(without["route"]["ordered_by"], "by hash of nothing: the request has no property of hash_on");
}

#[test]
fn what_only_a_running_gateway_knows_is_left_open() {
    let smart = r#"[models.routing]
        strategy = "round_robin"
        targets = [{ model = "two", priority = -1 }, { model = "one", weight = 3 }, { model = "claude" }]"#;
    let explain = |rest: &str| places(&explained(&format!("{smart}\n{rest}"), CHAT, &[], "192.0.2.7"));
    assert_eq!(explain(""), json!([["one", "among"], ["claude", "among"], ["two", "among"]]));
    let left_out = json!({"left_out": "max_fallbacks is 1"});
    let expected = json!([["one", "among"], ["claude", "among"], ["two", left_out]]);
    assert_eq!(explain("max_fallbacks = 1"), expected, "the lower priority is not reached");
    let (json, text) = explained(smart, CHAT, &[], "192.0.2.7");
    assert_eq!(json["route"]["strategy"], "round_robin");
    assert_eq!((&json["targets"][0]["weight"], &json["targets"][2]["priority"]), (&json!(3), &json!(-1)));
    assert!(text.contains("round_robin: in turn by weight, then on from there as listed\n"), "{text}");
    assert!(text.contains("\n*  one at openai (key \"o\")\n   priority 0, weight 3\n"), "{text}");
}

#[test]
fn targets_are_left_out_for_their_tags_their_networks_and_their_providers() {
    let (address, tags) =
        ("198.51.100.1 lies in none of its allowed_cidrs", "its tags are not those of the request");
    let out = |reason: &str| json!({"left_out": reason});
    let found = explained(&routing(""), CHAT, &[], "198.51.100.1");
    assert_eq!(places(&found)[2], json!(["claude", out(address)]));
    let found = explained(&routing(""), EMBED, &[], "192.0.2.7");
    assert_eq!(places(&found)[2], json!(["claude", out("anthropic cannot answer /v1/embeddings")]));
    let smart = r#"[models.routing]
        targets = [{ model = "one", tags = ["default"] }, { model = "two", tags = ["eu"] }, { model = "claude" }]"#;
    let found = explained(smart, CHAT, &["x-aisix-routing-tags: eu, us"], "192.0.2.7");
    assert_eq!(places(&found), json!([["two", {"at": 1}], ["one", out(tags)], ["claude", out(tags)]]));
    assert!(
        found.1.contains(&format!("\n-  one at openai (key \"o\")\n   left out: {tags}\n")),
        "{}",
        found.1
    );
    let found = explained(smart, CHAT, &[], "192.0.2.7");
    assert_eq!(places(&found)[0], json!(["one", {"at": 1}]));
}

#[test]
fn a_request_that_no_target_may_serve_is_refused_as_while_serving() {
    let tagged = "[models.routing]\ntargets = [{ model = \"one\", tags = [\"eu\"] }]";
    let fenced = "[models.routing]\ntargets = [{ model = \"claude\" }]";
    for (smart, body, headers, status) in [
        (tagged, CHAT, &["x-aisix-routing-tags: us"][..], 400),
        (fenced, CHAT, &[], 403),
        (fenced, EMBED, &[], 501),
    ] {
        let (explanation, text) = explained(smart, body, headers, "198.51.100.1");
        assert_eq!(explanation["refusal"][0], status, "{text}");
        assert_eq!(explanation["targets"], json!([]));
        assert!(text.contains(&format!("refused     {status}: ")), "{text}");
    }
}

#[test]
fn limits_retries_and_rules_are_those_in_force() {
    let rest = r#"fallback_on = ["context_length"]
        fallback_on_statuses = [404]
        retry_on_429 = true
        mid_stream = "continue""#;
    let smart = format!("timeout = 50000\ntotal_timeout = 6000\n{}", routing(rest));
    let (whole, _) = explained(&smart, CHAT, &[], "192.0.2.7");
    let (stream, text) = explained(&smart, STREAM, &[], "192.0.2.7");
    let limits = |explanation: &Value, index: usize| explanation["targets"][index]["time_limits_ms"].clone();
    assert_eq!(limits(&whole, 0)["timeout"], 6000, "the request has no more");
    assert_eq!(limits(&stream, 0)["stream_timeout"], 7000, "its timeout holds for its streams");
    assert_eq!(limits(&stream, 0)["ttft_timeout"], 9000, "the deployment's");
    assert_eq!(limits(&stream, 1)["stream_timeout"], 4000, "its own");
    assert_eq!(limits(&stream, 1)["ttft_timeout"], 3000, "its own");
    assert_eq!(limits(&stream, 2)["stream_timeout"], 50000, "the group's");
    assert_eq!(stream["total_timeout_ms"], 6000);
    let retries = |index: usize| {
        let target = &stream["targets"][index];
        (target["retries"].clone(), target["retries_when_last"].clone())
    };
    assert_eq!((retries(0), retries(1)), ((json!(1), json!(1)), (json!(0), json!(2))));
    assert_eq!(
        (&whole["route"]["is_rescued"], &stream["route"]["is_rescued"]),
        (&json!(false), &json!(true))
    );
    let rules = "on failure  all other targets; 429 is retried; also after 404, context_length; \
                 mid_stream continue (this answer too); when all are out fail\n";
    assert!(text.contains(rules), "{text}");
    assert!(text.contains("   retries: 0, or 2 where no other target is left\n"), "{text}");
}

#[test]
fn a_header_needs_a_name() {
    assert!(header("x-aisix-routing-tags: eu").is_ok());
    assert!(header("eu").is_err() && header(": eu").is_err());
}

#[test]
fn policies_are_named_where_they_count_and_suspended_ones_too() {
    let policy = |name: &str, rest: &str| format!("[[rate_limit_policies]]\nname = \"{name}\"\n{rest}\n");
    let always = "schedules = [{ days_of_week = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"], \
                  start_time = \"00:00\", end_time = \"24:00\" }]";
    let rest = [
        routing(""),
        policy("mine", "scope = \"api_key\"\nscope_ref = \"me\"\nwindow = \"minute\"\nmax_requests = 7"),
        policy("off", &format!("limits = {{ rpd = 9, concurrency = 3 }}\n{always}")),
        policy(
            "others",
            "limits = { rpm = 1 }\nconditions = [{ dimension = \"team\", operator = \"==\", value = \"red\" }]",
        ),
        policy("one", "scope = \"model\"\nscope_ref = \"one\"\nwindow = \"day\"\nmax_tokens = 5"),
    ];
    let (explanation, text) = explained(&rest.concat(), CHAT, &[], "192.0.2.7");
    let limits = explanation["limits"].as_array().expect("limits");
    let limits: Vec<_> = limits.iter().map(|limit| limit.as_str().expect("a text")).collect();
    assert_eq!(limits.len(), 2, "{limits:?}");
    assert!(limits[0].starts_with("policy \"mine\": rpm 7 (bucket policy:api_key:"), "{limits:?}");
    assert!(limits[1].starts_with("policy \"off\": rpd 9, concurrency 3 (bucket policy:v2:"), "{limits:?}");
    assert!(limits[1].ends_with("), suspended now"), "{limits:?}");
    let of_target = |index: usize| explanation["targets"][index]["limits"].clone();
    let one = of_target(0)[0].as_str().expect("a text").to_owned();
    assert!(one.starts_with("policy \"one\": tpd 5 (bucket policy:model:"), "{one}");
    assert_eq!(of_target(1), json!([]));
    assert!(
        text.contains(&format!("limits      {}", limits[0])) && text.contains(&format!("   limits: {one}\n")),
        "{text}"
    );
}

#[test]
fn a_cache_policy_is_told_with_what_it_leaves_out() {
    let cached = |policy: &str, body: &'static str| {
        let config = format!("{}[[cache_policies]]\nname = \"p\"\n{policy}", routing(""));
        explained(&config, body, &[], "192.0.2.7").0["cache"].clone()
    };
    for (policy, body, told) in [
        ("", CHAT, "p, 3600 s, in this process, streams too, for each key"),
        ("", STREAM, "p, 3600 s, in this process, streams too, for each key"),
        (
            "scope = \"env\"\nstreaming = false",
            CHAT,
            "p, 3600 s, in this process, whole answers only, for all callers",
        ),
        ("streaming = false", STREAM, "none: p leaves streams out"),
        (
            "backend = \"redis\"",
            CHAT,
            "none: p keeps nothing, it wants Redis, and there is no [redis] or [cache.redis]",
        ),
        ("enabled = false", CHAT, "null"),
    ] {
        let found = cached(policy, body);
        assert_eq!(found.as_str().unwrap_or("null"), told, "{policy}");
    }
}

#[test]
fn budgets_of_keys_and_targets_and_what_they_hold_are_told() {
    let budget = |name: &str, rest: &str| {
        format!("[[budgets]]\nname = \"{name}\"\nlimit_usd = 9\nperiod = \"day\"\n{rest}\n")
    };
    let direct =
        "provider_key = \"o\"\nmodel_name = \"gpt\"\ncost = { input_per_1k = 0, output_per_1k = 1 }\n";
    let of_key = budget("key", "scope = \"provider_key\"\nscope_ref = \"o\"");
    let (told, text) = explained(&(direct.to_owned() + &of_key), CHAT, &[], "192.0.2.7");
    assert_eq!(told["budgets"], json!(["key: $9.00 a day"]));
    assert_eq!(told["held_money"], "about $1.024");
    assert!(text.contains("about $1.024"), "{text}");
    let worst = direct.to_owned() + &budget("o", "scope = \"org\"\nworst_case = true");
    let (told, _) = explained(&worst, CHAT, &[], "192.0.2.7");
    assert_eq!(told["held_money"], "about $1.024, and nobody knows the most (refused: budget \"o\")");
    let bounded = CHAT.replace("\"messages\"", "\"max_tokens\": 5, \"messages\"").leak();
    let (told, _) = explained(&worst, bounded, &[], "192.0.2.7");
    assert_eq!(told["held_money"], "about $0.005, at most $0.005");
    let targets =
        "[models.routing]\ntargets = [{ model = \"claude\" }, { model = \"one\" }]\n".to_owned() + &of_key;
    let (told, text) = explained(&targets, CHAT, &[], "192.0.2.7");
    let one = &told["targets"][1];
    assert_eq!((&one["budgets"], told["held_money"].as_str()), (&json!(["key: $9.00 a day"]), None));
    assert!(one["held_money"].as_str().is_some_and(|held| held.starts_with("about $0.0030")), "{one}");
    assert!(text.contains("budgets: key: $9.00 a day; holds about"), "{text}");
    let all = targets + &budget("all", "scope = \"org\"");
    let (_, text) = explained(&all, CHAT, &[], "192.0.2.7");
    assert!(text.contains("price: unknown (refused: budget \"all\")"), "{text}");
}
