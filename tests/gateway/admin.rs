//! The Admin API: every kind of resource by the same rules, every refusal in one envelope, every write in force.
//!
//! The shape of requests and answers is that of §12.1 and §12.2 of the behaviour reference, and of the decision on Admin
//! API writes.

use aisix::config::Kind;
use serde_json::{Value, json};

use crate::harness::*;

mod effects;
mod keys;
mod kinds;
mod names;
mod refusals;
mod restarts;

/// What asks administrators for their key, and a guardrail that never finds anything.
const ADMIN: &str =
    "[admin]\nadmin_keys = [\"sk-admin\"]\n[[guardrails]]\nname = \"g\"\nkind = \"keyword\"\n";

/// A gateway with the provider key `up`, the model `m`, the key `sk-test` and the guardrail `g` in its file.
fn gateway(upstream: &Upstream) -> Gateway {
    gateway_over(upstream, ADMIN)
}

/// A good resource of each kind, called `name`.
fn body_of(kind: Kind, name: &str) -> Value {
    match kind {
        Kind::ProviderKeys => json!({
            "display_name": name, "provider": "openai", "api_key": format!("sk-{name}-0123456789abcdef"),
        }),
        Kind::Models => json!({"display_name": name, "provider_key": "up", "model_name": "upstream"}),
        Kind::ApiKeys => json!({"display_name": name, "key": format!("sk-{name}"), "allowed_models": ["*"]}),
        Kind::Budgets => json!({"name": name, "scope": "org", "limit_usd": "5", "period": "day"}),
        Kind::RateLimitPolicies => json!({
            "name": name, "scope": "model", "scope_ref": "m", "window": "minute", "max_requests": 100_000,
        }),
        Kind::CachePolicies => json!({"name": name}),
        Kind::Guardrails => json!({
            "name": name, "kind": "webhook", "url": "http://127.0.0.1:1", "enabled": false,
            "headers": {"x-judge": format!("secret-of-{name}-0123456789abcdef")},
        }),
        Kind::GuardrailAttachments => {
            json!({"name": name, "guardrail": "g", "scope_type": "model", "scope_ref": "m", "priority": 1})
        }
    }
}

/// An optional member of each kind, with a value that is not its default.
fn change_of(kind: Kind) -> (&'static str, Value) {
    match kind {
        Kind::ProviderKeys => ("max_in_flight", json!(7)),
        Kind::Models => ("timeout", json!(1234)),
        Kind::ApiKeys => ("team_id", json!("red")),
        Kind::Budgets => ("timezone", json!("Europe/Berlin")),
        Kind::RateLimitPolicies => ("max_tokens", json!(9_000_000)),
        Kind::CachePolicies => ("ttl_seconds", json!(60)),
        Kind::Guardrails => ("timeout_ms", json!(70)),
        Kind::GuardrailAttachments => ("enabled", json!(false)),
    }
}

/// Asserts that an answer is a refusal of the Admin API, and gives its words.
#[track_caller]
fn refusal(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"), "{response:?}");
    let body = response.json();
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    body["error_msg"].as_str().expect("error_msg is a text").to_owned()
}

/// Asserts a refusal, and that it says all of this.
#[track_caller]
fn refused(response: &Response, status: u16, parts: &[&str]) {
    let words = refusal(response, status);
    for part in parts {
        assert!(words.contains(part), "{part:?} in {words:?}");
    }
}

/// The id of a resource that was created or listed.
fn id_of(entry: &Value) -> String {
    entry["id"].as_str().expect("an id").to_owned()
}
