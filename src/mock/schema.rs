//! The smallest value that satisfies a JSON schema.
//!
//! Covers what tool parameters and structured outputs use: types, enums, required members, references, alternatives
//! and bounds. A `pattern` is not solved; a schema that contradicts itself gets some value of the right type.

use serde_json::{Map, Value, json};

/// References and nesting deeper than this end in `null`: schemas may refer to themselves.
const MAX_DEPTH: usize = 32;
/// The most elements and characters produced for a lower bound.
const MAX_REPEATS: u64 = 1024;

/// Returns a value that satisfies `schema`, always the same.
pub(super) fn sample(schema: &Value) -> Value {
    build(schema, schema, MAX_DEPTH)
}

fn build(root: &Value, schema: &Value, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else {
        return Value::Null;
    };
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(value) = schema["enum"].as_array().and_then(|values| values.first()) {
        return value.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let found = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, |target| build(root, target, depth));
    }
    for alternatives in ["anyOf", "oneOf"] {
        if let Some(first) = schema[alternatives].as_array().and_then(|list| list.first()) {
            return build(root, first, depth);
        }
    }
    let own = of_type(root, schema, depth);
    match schema["allOf"].as_array() {
        Some(parts) => parts.iter().map(|part| build(root, part, depth)).fold(own, merge),
        None => own,
    }
}

fn merge(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            left.extend(right);
            Value::Object(left)
        }
        (Value::Object(left), _) if !left.is_empty() => Value::Object(left),
        (_, right) => right,
    }
}

fn of_type(root: &Value, schema: &Value, depth: usize) -> Value {
    let named = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match named {
        Some("string") => text(schema),
        Some("integer") => number(schema, true),
        Some("number") => number(schema, false),
        Some("boolean") => Value::Bool(true),
        Some("null") => Value::Null,
        Some("array") => array(root, schema, depth),
        _ => object(root, schema, depth),
    }
}

fn object(root: &Value, schema: &Value, depth: usize) -> Value {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let member = |name: &Value| {
        let name = name.as_str()?;
        Some((name.to_owned(), build(root, &schema["properties"][name], depth)))
    };
    Value::Object(required.iter().filter_map(member).collect::<Map<_, _>>())
}

fn array(root: &Value, schema: &Value, depth: usize) -> Value {
    let fixed = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
    let wanted = schema["minItems"].as_u64().unwrap_or(0).min(MAX_REPEATS);
    let mut values: Vec<_> = fixed.iter().map(|item| build(root, item, depth)).collect();
    while (values.len() as u64) < wanted {
        values.push(build(root, &schema["items"], depth));
    }
    Value::Array(values)
}

fn text(schema: &Value) -> Value {
    let example = match schema["format"].as_str() {
        Some("date") => "2026-01-01",
        Some("time") => "12:00:00Z",
        Some("date-time") => "2026-01-01T12:00:00Z",
        Some("duration") => "PT1S",
        Some("email") => "mock@example.com",
        Some("hostname") => "example.com",
        Some("uri") => "https://example.com/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        _ => "mock",
    };
    let least = schema["minLength"].as_u64().unwrap_or(0).min(MAX_REPEATS) as usize;
    let most = schema["maxLength"].as_u64().map_or(usize::MAX, |most| most as usize);
    let padding = "x".repeat(least.saturating_sub(example.len()));
    Value::String(example.chars().take(most).collect::<String>() + &padding)
}

fn number(schema: &Value, whole: bool) -> Value {
    let bound = |name: &str| schema[name].as_f64();
    let step = bound("multipleOf").filter(|step| *step > 0.0).unwrap_or(1.0);
    let mut value = bound("minimum").or(bound("exclusiveMinimum")).unwrap_or(1.0);
    value = (value / step).ceil() * step;
    if bound("exclusiveMinimum").is_some_and(|least| value <= least) {
        value += step;
    }
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|most| most - step));
    if let Some(most) = most.filter(|most| value > *most) {
        value = if bound("minimum").is_some() { most } else { (most / step).floor() * step };
    }
    if whole || value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expected: Value) {
        assert_eq!(sample(&schema), expected, "{schema}");
    }

    #[test]
    fn a_value_has_the_type_that_the_schema_names() {
        check(json!({"type": "string"}), json!("mock"));
        check(json!({"type": "integer"}), json!(1));
        check(json!({"type": "boolean"}), json!(true));
        check(json!({"type": ["number", "null"]}), json!(1));
        check(json!({"type": "array", "items": {"type": "string"}}), json!([]));
        check(json!({"type": "null"}), json!(null));
        check(json!({}), json!({}));
    }

    #[test]
    fn an_object_has_its_required_members_and_no_others() {
        let schema = json!({
            "type": "object",
            "properties": {
                "unit": {"enum": ["celsius", "kelvin"]},
                "city": {"type": "string"},
                "note": {"type": "string"},
            },
            "required": ["city", "unit"],
        });
        check(schema, json!({"city": "mock", "unit": "celsius"}));
    }

    #[test]
    fn bounds_are_kept() {
        check(json!({"type": "integer", "minimum": 5}), json!(5));
        check(json!({"type": "integer", "exclusiveMinimum": 5}), json!(6));
        check(json!({"type": "integer", "maximum": -3}), json!(-3));
        check(json!({"type": "integer", "minimum": 4, "multipleOf": 3}), json!(6));
        check(json!({"type": "number", "minimum": 0.5, "maximum": 0.7}), json!(0.7));
        check(json!({"type": "string", "minLength": 6}), json!("mockxx"));
        check(json!({"type": "string", "maxLength": 2}), json!("mo"));
        check(json!({"type": "array", "minItems": 2, "items": {"type": "integer"}}), json!([1, 1]));
    }

    #[test]
    fn references_and_alternatives_are_followed() {
        let schema = json!({
            "$defs": {"Day": {"type": "string", "format": "date"}},
            "allOf": [{"type": "object", "properties": {"on": {"$ref": "#/$defs/Day"}}, "required": ["on"]}],
        });
        check(schema, json!({"on": "2026-01-01"}));
        check(json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), json!(1));
        check(json!({"const": 7}), json!(7));
    }

    #[test]
    fn a_schema_that_requires_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        assert!(sample(&schema).is_object());
    }
}
