//! Resources that do not make sense, each with the exact report.

use crate::config::{
    Snapshot,
    tests::{assert_refused, parse_plain},
};

mod guardrails;
mod models;
mod policies;

/// Two good entries of each kind that others refer to; eleven lines.
const BASE: &str = r#"[[provider_keys]]
display_name = "mock"
provider = "mock"
[[models]]
display_name = "a"
provider_key = "mock"
model_name = "m"
[[api_keys]]
display_name = "k"
key = "sk-1"
allowed_models = []
"#;

/// Asserts what is reported about `text` when it begins in line 12.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let text = format!("{BASE}{}", text.trim_start());
    if expected.is_empty() {
        parse_plain(&text).unwrap_or_else(|problems| panic!("{problems}"));
    } else {
        assert_refused(&text, expected);
    }
}

#[test]
fn provider_keys() {
    check(
        r#"
[[provider_keys]]
display_name = "p1"
provider = "opnai"
api_key = "k"
[[provider_keys]]
display_name = "p2"
provider = "groq"
api_base = "api.groq.com"
max_in_flight = 0
[[provider_keys]]
display_name = "p3"
api_key = "k"
[[provider_keys]]
display_name = "p4"
adapter = "openai"
api_key = ""
[[provider_keys]]
display_name = "p5"
provider = "acme"
adapter = "foo"
[[provider_keys]]
display_name = "p6"
provider = "groq"
secret = "k"
api_key = "l"
"#,
        &[
            r#"config.toml:14: provider_keys[1].provider: no provider is called "opnai" (did you mean "openai"?); for an API like OpenAI's add adapter = "openai""#,
            r#"config.toml:16: provider_keys[2]: "api_key" is required"#,
            "config.toml:19: provider_keys[2].api_base: expected an address such as https://api.example.com/v1",
            "config.toml:20: provider_keys[2].max_in_flight: expected 1 or more; leave it out for no limit",
            r#"config.toml:21: provider_keys[3]: "provider" or "adapter" is required"#,
            r#"config.toml:24: provider_keys[4]: "api_base" is required: this provider has no usual address"#,
            "config.toml:27: provider_keys[4].api_key: must not be empty",
            r#"config.toml:31: provider_keys[5].adapter: there is no such adapter; there are "openai", "anthropic", "azure-openai", "gemini", "cohere""#,
            r#"config.toml:32: provider_keys[6]: "api_key" is given twice, in two spellings"#,
        ],
    );
}

#[test]
fn headers_of_provider_keys() {
    check(
        r#"
[[provider_keys]]
display_name = "p"
provider = "mock"
[provider_keys.request.default_headers]
openai-organization = "org"
Authorization = "Bearer x"
content-type = "x"
"a b" = "x"
x-two = "a\nb"
"#,
        &[
            "config.toml:17: provider_keys[1].request.default_headers.Authorization: this header is reserved",
            "config.toml:18: provider_keys[1].request.default_headers.content-type: this header is reserved",
            "config.toml:19: provider_keys[1].request.default_headers.a b: expected the name of a header",
            "config.toml:20: provider_keys[1].request.default_headers.x-two: a header must not hold line breaks or control characters",
        ],
    );
}

#[test]
fn models() {
    check(
        r#"
[[models]]
display_name = "m1"
[[models]]
display_name = "m2"
provider_key = "mock"
[[models]]
display_name = "m3"
model_name = "x"
[[models]]
display_name = "m4"
provider_key = "mok"
provider_key_id = "x"
model_name = "x-*"
provider = "No Vendor"
[[models]]
display_name = "m*5*"
provider_key = "mok"
model_name = "x"
cost = { input_per_1k = "0.00000000001", output_per_1k = -1 }
[[models]]
display_name = "a"
provider_key = "mock"
model_name = "x"
cooldown = { max_seconds = 0, trigger_statuses = [429, 9] }
rate_limit = { concurency = 3 }
"#,
        &[
            r#"config.toml:12: models[1]: either "provider_key" and "model_name", or "routing" is required"#,
            r#"config.toml:14: models[2]: "model_name" is required"#,
            r#"config.toml:17: models[3]: "provider_key" is required"#,
            "config.toml:23: models[4].provider_key_id: names the provider key a second time; keep one of the two",
            r#"config.toml:24: models[4].model_name: holds a "*", but display_name holds none to fill it with"#,
            r#"config.toml:25: models[4].provider: expected 1 to 64 lower-case letters, digits, ".", "_" or "-""#,
            r#"config.toml:30: models[5].cost.output_per_1k: expected an amount of US dollars from 0, such as 0.0025 or "0.0025""#,
            "config.toml:32: models[6].display_name: this name is already that of models[0] in line 4",
            "config.toml:35: models[6].cooldown.max_seconds: expected 1 or more",
            "config.toml:35: models[6].cooldown.trigger_statuses[1]: expected a status from 100 to 599",
            r#"config.toml:36: models[6].rate_limit.concurency: no setting is called "concurency" (did you mean "concurrency"?)"#,
        ],
    );
}

#[test]
fn names_prices_and_cooldowns_of_models() {
    check(
        r#"
[[models]]
display_name = "m*5*"
provider_key = "mok"
model_name = "*-*"
cost = { input_per_1k = "0.00000000001", output_per_1k = 1 }
cooldown = { max_seconds = 0, trigger_statuses = [429, 9] }
"#,
        &[
            r#"config.toml:13: models[1].display_name: may hold one "*", not more"#,
            r#"config.toml:14: models[1].provider_key: no provider key is called "mok" (did you mean "mock"?)"#,
            r#"config.toml:15: models[1].model_name: holds a "*", but display_name holds none to fill it with"#,
            "config.toml:16: models[1].cost.input_per_1k: expected at most nine decimal places and a reasonable amount",
            "config.toml:17: models[1].cooldown.max_seconds: expected 1 or more",
            "config.toml:17: models[1].cooldown.trigger_statuses[1]: expected a status from 100 to 599",
        ],
    );
}

#[test]
fn routing_models() {
    check(
        r#"
[[models]]
display_name = "w/*"
provider_key = "mock"
model_name = "*"
[[models]]
display_name = "r1"
provider_key = "mock"
cost = { input_per_1k = 1, output_per_1k = 1 }
retries = 1
[models.routing]
strategy = "round_robbin"
targets = [{ model = "a" }]
[[models]]
display_name = "r2"
retries = 1
provider = "x"
[models.routing]
targets = [
  { model = "a" },
  { model = "b" },
  { model = "r1" },
  { model = "w/*" },
  { model = "a" },
]
fallback_on_statuses = [200]
[[models]]
display_name = "r3"
routing = { targets = [] }
[[models]]
display_name = "r/*"
routing = { targets = [{ model = "a", wait = 2 }] }
"#,
        &[
            r#"config.toml:18: models[2].provider_key: has no meaning beside "routing"; it belongs to the targets"#,
            r#"config.toml:19: models[2].cost: has no meaning beside "routing"; it belongs to the targets"#,
            r#"config.toml:20: models[2].retries: has no meaning beside "routing"; write routing.retries"#,
            r#"config.toml:22: models[2].routing.strategy: expected one of "failover", "round_robin", "weighted", "consistent_hash", "least_cost", "least_latency", "least_busy", found "round_robbin" (did you mean "round_robin"?)"#,
            r#"config.toml:26: models[3].retries: has no meaning beside "routing"; write routing.retries"#,
            r#"config.toml:27: models[3].provider: has no meaning beside "routing"; it belongs to the targets"#,
            r#"config.toml:31: models[3].routing.targets[1].model: no model is called "b""#,
            "config.toml:32: models[3].routing.targets[2].model: is a routing model itself; a target must be a direct model",
            "config.toml:33: models[3].routing.targets[3].model: stands for many models; a target must be one of them, declared by its own name",
            "config.toml:34: models[3].routing.targets[4].model: this model is a target already",
            "config.toml:36: models[3].routing.fallback_on_statuses[0]: expected a status from 400 to 599",
            "config.toml:39: models[4].routing.targets: expected at least one target",
            r#"config.toml:42: models[5].routing.targets[0].wait: no setting is called "wait"; known here: model, weight, priority, tags"#,
        ],
    );
}

#[test]
fn api_keys() {
    check(
        r#"
[[api_keys]]
display_name = "same"
key_hash = "3f0f6b4a3c5b4c7f4c4e9d0ee0c9a77a5c4d1b1c1f6f7f5c7f0a9d3e2b1a0c9d"
allowed_models = ["a*b*"]
[[api_keys]]
display_name = "two"
key = "sk-1"
allowed_models = []
[[api_keys]]
display_name = "three"
key = "sk-3"
key_hash = "3f0f6b4a3c5b4c7f4c4e9d0ee0c9a77a5c4d1b1c1f6f7f5c7f0a9d3e2b1a0c9d"
allowed_models = []
[[api_keys]]
display_name = "four"
allowed_models = []
expires_at = 2030-01-01
[[api_keys]]
display_name = "five"
key_hash = "ABC"
allowed_models = []
[[api_keys]]
display_name = ""
key = ""
allowed_models = []
"#,
        &[
            r#"config.toml:15: api_keys[1].allowed_models[0]: expected a name or a pattern with one "*""#,
            "config.toml:18: api_keys[2].key: this is also the key of api_keys[0] in line 8",
            "config.toml:23: api_keys[3].key_hash: gives the key a second time; keep one of the two",
            "config.toml:28: api_keys[4].expires_at: expected a date with a time zone, such as 2027-01-31T12:00:00Z",
            "config.toml:31: api_keys[5].key_hash: expected 64 lower-case hexadecimal digits",
            "config.toml:34: api_keys[6].display_name: must not be empty or hold control characters",
            "config.toml:35: api_keys[6].key: must not be empty",
        ],
    );
}

#[test]
fn budgets() {
    check(
        r#"
[[budgets]]
name = "b1"
scope = "org"
scope_ref = "x"
limit_usd = "1e3"
period = "day"
[[budgets]]
name = "b2"
scope = "team"
limit_usd = "99999999999999999999"
period = "daily"
[[budgets]]
name = "b3"
scope = "model"
scope_ref = "b"
limit_usd = 1
period = "total"
timezone = "Europe/Berln"
alert_at = [0.5, 2]
[[budgets]]
name = "b4"
scope = "team"
limit_usd = "99999999999999999999"
period = "week"
[[budgets]]
name = "b4"
scope = "api_key"
scope_ref = "kk"
limit_usd = 0.5
period = "week"
"#,
        &[
            r#"config.toml:16: budgets[0].limit_usd: expected an amount of US dollars from 0, such as 0.0025 or "0.0025""#,
            r#"config.toml:22: budgets[1].period: expected one of "day", "week", "month", "total", found "daily" (did you mean "day"?)"#,
            r#"config.toml:26: budgets[2].scope_ref: no model is called "b""#,
            "config.toml:29: budgets[2].timezone: no time zone of the IANA database has this name (did you mean \"Europe/Berlin\"?)",
            "config.toml:30: budgets[2].alert_at[1]: expected a fraction of the limit, such as 0.8",
            r#"config.toml:31: budgets[3].scope_ref: is required, except for scope "org""#,
            "config.toml:34: budgets[3].limit_usd: the amount is too large",
            "config.toml:37: budgets[4].name: this name is already that of budgets[3] in line 31",
            r#"config.toml:39: budgets[4].scope_ref: no API key is called "kk" (did you mean "k"?)"#,
        ],
    );
}

#[test]
fn a_member_of_the_wrong_type_hides_no_other_problem_and_makes_none() {
    check(
        r#"
[[provider_keys]]
display_name = "up"
provider = "acme"
adapter = 5
api_base = "nowhere"
[[models]]
display_name = 7
provider_key = "upp"
model_name = "*"
retries = "x"
[[models]]
display_name = "group"
routing = 5
[[models]]
display_name = "other"
provider_key = 5
model_name = ""
timeout = 1
[[budgets]]
name = "b"
scope = "model"
scope_ref = 5
limit_usd = "99999999999999999999999"
period = "day"
"#,
        &[
            "config.toml:15: provider_keys[1].adapter: expected a string, found a whole number",
            "config.toml:18: models[1].display_name: expected a string, found a whole number",
            r#"config.toml:19: models[1].provider_key: no provider key is called "upp" (did you mean "up"?)"#,
            "config.toml:21: models[1].retries: expected a whole number from 0 to 4294967295, found a string",
            "config.toml:24: models[2].routing: expected a table, found a whole number",
            "config.toml:27: models[3].provider_key: expected a string, found a whole number",
            "config.toml:28: models[3].model_name: must not be empty",
            "config.toml:33: budgets[0].scope_ref: expected a string, found a whole number",
            "config.toml:34: budgets[0].limit_usd: the amount is too large",
        ],
    );
}

#[test]
fn cache_policies() {
    let long = "n".repeat(121);
    check(
        &format!(
            r#"
[[cache_policies]]
name = "{long}"
applies_to = "team:x"
ttl_seconds = 0
backend = "memcached"
[[cache_policies]]
name = "{long}"
applies_to = "model:b"
ttl_seconds = 700000
[[cache_policies]]
name = "c"
applies_to = "api_key:z"
"#
        ),
        &[
            "config.toml:13: cache_policies[0].name: expected at most 120 characters",
            r#"config.toml:14: cache_policies[0].applies_to: expected "all", "model:<name>" or "api_key:<name>""#,
            "config.toml:15: cache_policies[0].ttl_seconds: expected a whole number from 1 to 604800",
            r#"config.toml:16: cache_policies[0].backend: expected one of "memory", "redis", found "memcached""#,
            "config.toml:18: cache_policies[1].name: this name is already that of cache_policies[0] in line 12",
            "config.toml:18: cache_policies[1].name: expected at most 120 characters",
            r#"config.toml:19: cache_policies[1].applies_to: no model is called "b""#,
            "config.toml:20: cache_policies[1].ttl_seconds: expected a whole number from 1 to 604800",
            r#"config.toml:23: cache_policies[2].applies_to: no API key is called "z""#,
        ],
    );
}

#[test]
fn a_semantic_cache_is_refused_in_plain_words() {
    let policy =
        "[[cache_policies]]\nname = \"p\"\nsemantic = { embedding_model = \"m\", threshold = 0.9 }\n";
    let told = "config.toml:14: cache_policies[0].semantic: answers to requests that only mean the same are not supported: \
                the cache has no semantic layer";
    check(policy, &[told]);
}

#[test]
fn a_broken_entry_is_no_second_problem_for_those_that_refer_to_it() {
    check(
        r#"
[[provider_keys]]
display_name = "broken"
provider = "mock"
retrys = 1
[[models]]
display_name = "d"
provider_key = "broken"
model_name = "m"
[[models]]
display_name = "r"
routing = { targets = [{ model = "d" }] }
[[budgets]]
name = "b"
scope = "provider_key"
scope_ref = "broken"
limit_usd = 1
period = "day"
"#,
        &[
            r#"config.toml:15: provider_keys[1].retrys: no setting is called "retrys"; known here: display_name, api_key, secret, api_base, provider, adapter, tls, max_in_flight, request"#,
        ],
    );
}

#[test]
fn a_list_must_be_a_list() {
    assert_refused(
        "[models]\ndisplay_name = \"x\"\n",
        &["config.toml:1: models: expected a list, written as [[models]]"],
    );
}

#[test]
fn certificates_are_checked_and_equal_profiles_are_shared() {
    check(
        "[[provider_keys]]\ndisplay_name = \"p\"\nprovider = \"mock\"\ntls = { ca_cert = \"x\" }\n\
         [[provider_keys]]\ndisplay_name = \"q\"\nprovider = \"mock\"\ntls = { ca_cert = \"x\", ca_file = \"y\" }\n",
        &[
            "config.toml:15: provider_keys[1].tls.ca_cert: holds no PEM certificate",
            "config.toml:19: provider_keys[2].tls: expected ca_cert or ca_file, not both",
        ],
    );
    let key = |name: &str, rest: &str| {
        format!("[[provider_keys]]\ndisplay_name = \"{name}\"\nprovider = \"mock\"\n{rest}\n")
    };
    let text = [
        key("usual", ""),
        key("same", "tls = { verify = true }"),
        key("lax", "tls = { verify = false }"),
        key("lax too", "tls = { verify = false }"),
    ];
    let snapshot = Snapshot::build(parse_plain(&text.concat()).unwrap());
    let ids: Vec<_> = snapshot.provider_keys.iter().map(|key| key.tls).collect();
    assert!(ids[0] == ids[1] && ids[2] == ids[3] && ids[1] != ids[2]);
    assert_eq!(snapshot.tls_profiles.len(), 2);
    assert!(!snapshot.tls_profiles[&ids[2]].verify);
}
