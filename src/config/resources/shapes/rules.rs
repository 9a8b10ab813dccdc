//! What the schemas of the shapes say beyond the types: the part of `validate` that JSON Schema can express.

use serde_json::{Value, json};

/// A name: no control characters, and something that can be seen.
pub(super) const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$";

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
            "retries": absent, "cost": absent, "cooldown": absent,
        },
    })
}
