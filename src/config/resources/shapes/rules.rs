//! What the schemas of the shapes say beyond the types: the part of `validate` that JSON Schema can express.

use serde_json::{Value, json};

use crate::providers;

pub(crate) mod policies;

pub(super) use self::policies::{by_limits, by_scope, conditions};

/// A name: no control characters, and something that can be seen.
pub(super) const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$";

/// The name of a header.
pub(super) const HEADER: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

/// A tag: no comma, which stands between two of them, and something that can be seen.
pub(super) const TAG: &str = r"^[^,]*[^,\s][^,]*$";

/// A decimal number up to 255.
const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

/// The protocol families, or none.
pub(super) fn adapters() -> Vec<Option<&'static str>> {
    providers::adapters().into_iter().map(Some).chain([None]).collect()
}

/// A provider to stand in an example: one that needs a network.
pub(super) fn remote() -> Option<&'static str> {
    providers::all().find(|provider| !provider.is_in_process()).map(|provider| provider.name())
}

/// A provider key to stand in an example: the shipped one of the provider that needs no network, called like it.
pub(super) fn local() -> Option<&'static str> {
    providers::all().find(|provider| provider.is_in_process()).map(|provider| provider.name())
}

/// A direct model that names its provider key in one of the two ways.
pub(super) fn by_key(field: &str, other: &str) -> Value {
    json!({
        "required": ["model_name", field],
        "properties": {
            "model_name": { "type": "string" },
            field: { "type": "string" },
            other: { "type": "null" },
            "routing": { "type": "null" },
        },
    })
}

/// A routing model, which has nothing of a direct one.
pub(super) fn by_routing() -> Value {
    let absent = json!({ "type": "null" });
    json!({
        "required": ["routing"],
        "properties": {
            "routing": { "type": "object" },
            "provider": absent, "model_name": absent, "provider_key": absent, "provider_key_id": absent,
            "retries": absent, "cost": absent, "cooldown": absent, "context_window": absent, "prefill": absent,
            "background_model_check": absent,
        },
    })
}

/// An address or a network.
pub(super) fn network() -> Value {
    let v4 = format!(r"^({OCTET}\.){{3}}{OCTET}(/(3[0-2]|[12]?[0-9]))?$");
    let group = "[0-9A-Fa-f]{1,4}";
    let shortened = (1..=6).map(|before| format!("({group}:){{1,{before}}}(:{group}){{1,{}}}", 7 - before));
    let whole = format!("({group}:){{7}}{group}");
    let ends = [format!("({group}:){{1,7}}:"), format!(":((:{group}){{1,7}}|:)")];
    let v6: Vec<String> = [whole].into_iter().chain(shortened).chain(ends).collect();
    let v6 = format!("^({})(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?$", v6.join("|"));
    json!({ "type": "string", "anyOf": [{ "pattern": v4 }, { "pattern": v6 }], "examples": ["10.0.0.0/8", "::1"] })
}

/// Only one strategy goes by properties of requests.
pub(super) fn hashed() -> Value {
    json!([
        { "properties": { "hash_on": { "type": "null" } } },
        { "required": ["strategy"], "properties": { "strategy": { "const": "consistent_hash" } } },
    ])
}

/// Headers and cookies have a name, other properties none.
pub(super) fn named_properties() -> Value {
    json!([
        {
            "required": ["name"],
            "properties": { "type": { "enum": ["header", "cookie"] }, "name": { "type": "string" } },
        },
        { "properties": { "type": { "enum": ["api_key", "client_ip"] }, "name": { "type": "null" } } },
    ])
}

/// A guardrail of a kind: without members of other kinds, lists and others. A webhook says where it is.
pub(super) fn of_guardrail(kind: &str, lists: &[&str], others: &[&str]) -> Value {
    let mut properties = serde_json::Map::from_iter([("kind".to_owned(), json!({ "const": kind }))]);
    properties.extend(lists.iter().map(|list| ((*list).to_owned(), json!({ "maxItems": 0 }))));
    properties.extend(others.iter().map(|other| ((*other).to_owned(), json!({ "type": "null" }))));
    let mut schema = json!({});
    if kind == "webhook" {
        properties.insert("url".to_owned(), json!({ "type": "string" }));
        schema["required"] = json!(["url"]);
    }
    schema["properties"] = properties.into();
    schema
}

/// Exactly one of two members that name the same thing.
pub(super) fn either(name: &str, id: &str) -> Value {
    let one = |is: &str, is_not: &str| json!({ "required": [is], "properties": { is: { "type": "string" }, is_not: { "type": "null" } } });
    json!({ "oneOf": [one(name, id), one(id, name)] })
}

/// An attachment aims at everything, or names what it aims at in one of two ways.
pub(super) fn scoped() -> Value {
    let absent = json!({ "type": "null" });
    let by = |is: &str, is_not: &str| {
        json!({
            "required": [is],
            "properties": {
                "scope_type": { "enum": ["model", "api_key", "team"] },
                is: { "type": "string", "minLength": 1 },
                is_not: absent,
            },
        })
    };
    json!({
        "oneOf": [
            { "properties": { "scope_type": { "const": "env" }, "scope_id": absent, "scope_ref": absent } },
            by("scope_id", "scope_ref"),
            by("scope_ref", "scope_id"),
        ],
    })
}
