//! What the schema of rate limit policies says beyond the types.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::super::policies::{LogicShape, OperatorShape};
use crate::policies::Dimension;

/// Most leaves of a policy's conditions, and so most conditions next to each other.
pub(crate) const MAX_LEAVES: usize = 16;
/// How deep conditions go: those of the list are at the first level.
pub(crate) const MAX_LEVELS: usize = 3;
/// Most values of `in`.
pub(crate) const MAX_VALUES: usize = 64;
/// Most characters of a pattern.
pub(crate) const MAX_PATTERN: usize = 256;

/// The form for one thing and one window.
pub(in super::super) fn by_scope() -> Value {
    let absent = json!({ "type": "null" });
    let number = json!({ "type": "integer" });
    json!({
        "required": ["scope", "scope_ref", "window"],
        "properties": {
            "scope": { "type": "string" },
            "scope_ref": { "type": "string", "minLength": 1 },
            "window": { "type": "string" },
            "limits": absent,
            "conditions": { "maxItems": 0 },
            "group_by": { "maxItems": 0 },
            "action": absent,
        },
        "allOf": [
            { "anyOf": [
                { "required": ["max_requests"], "properties": { "max_requests": number } },
                { "required": ["max_tokens"], "properties": { "max_tokens": number } },
            ] },
            { "anyOf": [
                { "properties": { "window": { "enum": ["minute", "day"] } } },
                { "properties": { "max_tokens": absent } },
            ] },
        ],
    })
}

/// The form for conditions and several windows.
pub(in super::super) fn by_limits() -> Value {
    let absent = json!({ "type": "null" });
    let names = ["rps", "rpm", "rph", "rpd", "tpm", "tpd", "concurrency"];
    let given: Vec<_> = names
        .iter()
        .map(|name| json!({ "required": [name], "properties": { *name: { "type": "integer" } } }))
        .collect();
    json!({
        "required": ["limits"],
        "properties": {
            "limits": { "type": "object", "anyOf": given },
            "scope": absent, "scope_ref": absent, "window": absent, "max_requests": absent, "max_tokens": absent,
        },
    })
}

/// Conditions, level by level: those of the last one are leaves.
pub(in super::super) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let leaf = leaf(generator);
    let logic = generator.subschema_for::<LogicShape>().to_value();
    let mut level = leaf.clone();
    for _ in 1..MAX_LEVELS {
        let group = json!({
            "type": "object",
            "required": ["logic", "children"],
            "properties": {
                "logic": logic,
                "children": { "type": "array", "items": level, "minItems": 1, "maxItems": MAX_LEAVES },
                "negate": { "type": "boolean" },
                "dimension": { "type": "null" }, "operator": { "type": "null" }, "value": { "type": "null" },
            },
            "additionalProperties": false,
        });
        level = json!({ "oneOf": [leaf, group] });
    }
    json_schema!({ "type": "array", "items": level, "maxItems": MAX_LEAVES })
}

fn leaf(generator: &mut SchemaGenerator) -> Value {
    let dimension = generator.subschema_for::<Dimension>().to_value();
    let operator = generator.subschema_for::<OperatorShape>().to_value();
    let one = json!({ "type": "string", "minLength": 1 });
    let several = json!({ "type": "array", "items": one, "minItems": 1, "maxItems": MAX_VALUES });
    let pattern = json!({ "type": "string", "minLength": 1, "maxLength": MAX_PATTERN });
    json!({
        "type": "object",
        "required": ["dimension", "operator", "value"],
        "properties": {
            "dimension": dimension,
            "operator": operator,
            "value": { "type": ["string", "array"] },
            "negate": { "type": "boolean" },
            "logic": { "type": "null" }, "children": { "type": "null" },
        },
        "oneOf": [
            { "properties": { "operator": { "enum": ["==", "~="] }, "value": one } },
            { "properties": { "operator": { "const": "in" }, "value": several } },
            { "properties": {
                "operator": { "enum": ["~~", "~*"] },
                "dimension": { "enum": ["model_name", "provider"] },
                "value": pattern,
            } },
        ],
        "additionalProperties": false,
    })
}
