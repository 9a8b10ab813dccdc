//! Mutants of the bodies of the Admin API: the same promise, for JSON.

use aisix::config::{Kind, Snapshot, Source, check_json};
use aisix::error::AdminError;
use aisix::registry::{Action, Book, Write};
use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::Loaded;
use crate::harness::{Folder, model, provider_key};

const MUTANTS_OF_EACH: u64 = 200;

/// A resource of each kind that says all that it can say, and nothing that is so by default.
fn whole(kind: Kind) -> Value {
    let limit = json!({"rps": 1, "rpm": 2, "rph": 3, "rpd": 4, "tpm": 5, "tpd": 6, "concurrency": 7});
    match kind {
        Kind::ProviderKeys => json!({
            "display_name": "one", "provider": "openai", "api_key": "k1", "api_base": "http://h/v2", "max_in_flight": 3,
            "tls": {"verify": false}, "request": {"default_headers": {"x-a": "b"}},
        }),
        Kind::Models => json!({
            "display_name": "one", "provider": "label", "model_name": "x", "provider_key": "up", "timeout": 1,
            "stream_timeout": 2, "ttft_timeout": 4, "total_timeout": 5, "allowed_cidrs": ["10.0.0.0/8", "::1"],
            "context_window": 9, "prefill": true, "retries": 3, "rate_limit": limit,
            "cost": {"input_per_1k": "0.5", "output_per_1k": 1.5, "cached_input_per_1k": 2, "cache_write_per_1k": 3},
            "cooldown": {
                "enabled": false, "default_seconds": 1, "max_seconds": 2, "honor_retry_after": false,
                "trigger_statuses": [500, 503], "trigger_on_timeout": false, "trigger_on_transport": false,
            },
            "background_model_check": {
                "enabled": true, "interval_seconds": 60, "timeout_seconds": 7, "prompt": "hi", "max_tokens": 2,
                "stale_after_seconds": 80, "ignore_statuses": [429],
            },
        }),
        Kind::ApiKeys => json!({
            "display_name": "one", "key_hash": "ab".repeat(32), "allowed_models": ["m", "n*"], "rate_limit": limit,
            "team_id": "t", "user_id": "u", "user_name": "v", "expires_at": "2030-01-31T12:00:00Z", "disabled": true,
            "retiring": [{"key_hash": "cd".repeat(32), "until": "2030-01-31T12:00:00Z"}],
        }),
        Kind::Budgets => json!({
            "name": "one", "scope": "model", "scope_ref": "m", "limit_usd": "5.25", "period": "week",
            "timezone": "Europe/Berlin", "hard_stop": false, "alert_at": [0.5, 0.75],
        }),
        Kind::RateLimitPolicies => json!({
            "name": "one", "limits": limit, "action": "reject", "group_by": ["team", "model"],
            "conditions": [
                {"dimension": "model", "operator": "in", "value": ["m", "n"], "negate": true},
                {"logic": "or", "children": [{"dimension": "provider", "operator": "~*", "value": "^open"}]},
            ],
            "schedules": [{
                "timezone": "Europe/Berlin", "days_of_week": ["mon", "sun"], "start_time": "22:00", "end_time": "06:00",
            }],
        }),
        Kind::CachePolicies => json!({
            "name": "one", "enabled": false, "ttl_seconds": 60, "applies_to": "model:m", "scope": "env",
            "purge_generation": 3,
        }),
        Kind::Guardrails => json!({
            "name": "one", "enabled": false, "kind": "pii", "hook_point": "input", "fail_open": false, "mandatory": true,
            "enforcement_mode": "monitor", "direction": "output", "created_at": "2030-01-31T12:00:00Z",
            "detectors": [{"type": "email"}, {"type": "jwt", "action": "block"}], "default_action": "block",
            "custom_patterns": [{"name": "badge", "regex": "b[0-9]", "action": "mask", "replacement": "-"}],
            "stream_processing_mode": "window", "max_buffer_bytes": 4096, "on_buffer_exceeded": "fail_open",
            "window_size": 300, "window_overlap": 20,
        }),
        Kind::GuardrailAttachments => json!({
            "name": "one", "enabled": false, "guardrail": "g", "scope_type": "model", "scope_ref": "m", "priority": 7,
        }),
    }
}

/// A judge over HTTP, which has members of its own.
fn webhook() -> Value {
    json!({
        "name": "one", "kind": "webhook", "url": "http://h/judge", "headers": {"x-a": "b"}, "timeout_ms": 70,
        "output_fail_open": true, "max_text_bytes": 5000, "hook_point": "output", "fail_open": false,
    })
}

/// A routing model, which has members of its own.
fn routing() -> Value {
    json!({
        "display_name": "one", "timeout": 1, "allowed_cidrs": ["10.0.0.0/8"],
        "routing": {
            "strategy": "consistent_hash", "hash_on": [{"type": "header", "name": "x-b"}, {"type": "client_ip"}],
            "fallback_on": ["context_length"], "mid_stream": "continue",
            "targets": [{"model": "m", "weight": 2, "priority": 3, "tags": ["a", "b"]}, {"model": "n"}], "retries": 1, "max_fallbacks": 1, "retry_on_429": true,
            "fallback_on_statuses": [404], "when_all_unavailable": "try_anyway",
        },
    })
}

/// What a body says: nulls are absent, and amounts have one spelling.
fn meaning(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let present = members.iter().filter(|(_, value)| !value.is_null());
            present.map(|(name, value)| (name.clone(), meaning(name, value))).collect::<Map<_, _>>().into()
        }
        Value::Array(elements) => elements.iter().map(|value| meaning(name, value)).collect(),
        Value::String(text) if name.ends_with("_per_1k") || name == "limit_usd" => {
            text.parse::<f64>().map_or_else(|_| value.clone(), |number| json!(number))
        }
        // The value of a header is a secret, which nobody sees again.
        Value::String(_) if name == "x-a" => Value::Null,
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

fn mutant(number: u64, body: &Value) -> String {
    let mut random = Rng::with_seed(number);
    if number.is_multiple_of(2) {
        let mut value = body.clone();
        change(&mut value, &mut random);
        return value.to_string();
    }
    let mut text: Vec<char> = body.to_string().chars().collect();
    let at = random.usize(..text.len());
    match random.u8(..5) {
        0 => drop(text.remove(at)),
        1 => text.insert(at, random.char(' '..='~')),
        2 => text[at] = random.char(' '..='~'),
        3 if at > 0 => text.swap(at - 1, at),
        _ => text.truncate(at),
    }
    text.into_iter().collect()
}

fn change(value: &mut Value, random: &mut Rng) {
    match value {
        Value::Object(members) if !members.is_empty() && random.u8(..8) > 0 => {
            let name = members.keys().nth(random.usize(..members.len())).expect("it is there").clone();
            match random.u8(..6) {
                0 => drop(members.remove(&name)),
                1 => {
                    let value = members.remove(&name).expect("it is there");
                    members.insert(format!("{name}s"), value);
                }
                2 => {
                    members.insert(format!("{name}_"), Value::Null);
                }
                _ => change(&mut members[&name], random),
            }
        }
        Value::Array(elements) if !elements.is_empty() && random.bool() => {
            let at = random.usize(..elements.len());
            if random.bool() { drop(elements.remove(at)) } else { change(&mut elements[at], random) }
        }
        other => *other = replacement(other, random),
    }
}

fn replacement(value: &Value, random: &mut Rng) -> Value {
    let strange = [
        Value::Null,
        json!(true),
        json!(false),
        json!(-1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(0),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!("a\u{0}"),
        json!("\u{202e}é"),
        json!("…"),
        json!("${HOME}"),
        json!([]),
        json!({}),
        json!([value]),
        json!({ "x": value }),
        json!(value.to_string()),
    ];
    strange[random.usize(..strange.len())].clone()
}

/// What a body becomes: a configuration, or the words of a refusal.
fn put(book: &mut Book, kind: Kind, text: &str) -> Result<Snapshot, String> {
    let body = check_json(text.as_bytes())?;
    let (mut outcomes, snapshot) =
        book.write(vec![Write { kind, action: Action::Put("x".into(), body), if_match: None }]);
    match outcomes.remove(0) {
        Ok(_) => Ok(snapshot.expect("a write makes a configuration")),
        Err(AdminError::Invalid(words) | AdminError::Conflict(words)) => Err(words),
        Err(other) => panic!("{text}: {other}"),
    }
}

fn judge(kind: Kind, body: &Value) {
    let folder = Folder::new();
    let guardrail = "[[guardrails]]\nname = \"g\"\nkind = \"keyword\"\n";
    let config =
        provider_key("up", "http://127.0.0.1:1") + &model("m", "up", "") + &model("n", "up", "") + guardrail;
    let path = folder.write("config.toml", &config);
    let (mut book, _) = Book::load(Source::with_variables(path, &[])).expect("a good file");
    let original = Loaded::of(&put(&mut book, kind, &body.to_string()).expect("a good body"));
    let (mut refused, mut differ) = (0, 0);
    for number in 0..MUTANTS_OF_EACH {
        let text = mutant(number, body);
        match put(&mut book, kind, &text) {
            Err(words) => {
                assert!(!words.is_empty(), "{kind:?} {number}: {text}");
                refused += 1;
            }
            Ok(snapshot) => {
                let said: Value = serde_json::from_str(&text).expect("it was taken for JSON");
                let says_the_same = meaning("", &said) == meaning("", body);
                let means_the_same = Loaded::of(&snapshot) == original;
                assert!(says_the_same || !means_the_same, "{kind:?} {number} is ignored in part: {text}");
                differ += usize::from(!means_the_same);
            }
        }
    }
    assert!(refused > 50 && differ > 0, "the mutants are too tame: {refused} refused, {differ} differ");
}

#[test]
fn a_thousand_mutants_of_bodies_are_taken_as_they_are_or_refused() {
    for kind in Kind::ALL.iter().copied() {
        judge(kind, &whole(kind));
    }
    judge(Kind::Models, &routing());
    judge(Kind::Guardrails, &webhook());
}
