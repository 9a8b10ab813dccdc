//! Pieces that several dialects share: data URLs, schemas, results of tools.

use serde_json::{Map, Value, json};

/// A list; one alone is a list too.
pub fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// A string, or nothing.
pub fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether a member is as good as absent.
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Media at an address, which may be a data URL.
pub fn address(kind: &str, url: &str) -> Value {
    match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((media_type, data)) => inline(media_type, data),
        None => json!({ "kind": kind, "url": url }),
    }
}

/// Media inside the body. Sounds have several names.
pub fn inline(media_type: &str, data: &str) -> Value {
    let media_type = match media_type {
        "audio/mp3" | "audio/mpeg3" | "audio/x-mp3" => "audio/mpeg",
        "audio/x-wav" | "audio/wave" => "audio/wav",
        other => other,
    };
    json!({ "kind": kind(media_type), "type": media_type, "data": data })
}

/// The kind of a media type.
pub fn kind(media_type: &str) -> &'static str {
    match media_type.split('/').next() {
        Some("image") => "image",
        Some("audio") => "audio",
        Some("video") => "video",
        _ => "document",
    }
}

/// The text of a document that is plain text.
pub fn plain(media: &Value) -> Option<String> {
    if let Some(text) = media["text"].as_str() {
        return Some(text.to_owned());
    }
    let is_text = media["type"].as_str().is_some_and(|name| name.starts_with("text/"));
    is_text.then(|| decoded(text_of(&media["data"]))).flatten()
}

fn decoded(base64: &str) -> Option<String> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0_u32, Vec::new());
    for letter in base64.trim_end_matches('=').bytes() {
        let six = LETTERS.iter().position(|known| *known == letter)? as u32;
        bits = (bits << 6 | six) & 0x000f_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A schema of arguments in one spelling: Google writes types in capitals; one of nothing is none.
pub fn schema(raw: &Value) -> Value {
    let lowered = lowered(raw);
    let has_fields = lowered["properties"].as_object().is_some_and(|fields| !fields.is_empty());
    let says_more = lowered
        .as_object()
        .is_some_and(|members| members.keys().any(|name| name.starts_with('$') || name.ends_with("Of")));
    if has_fields || says_more { lowered } else { Value::Null }
}

/// The same schema with its types in small letters, each at its place as a type.
pub fn lowered(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(lowered).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| match (&**name, value) {
                ("type", Value::String(kind)) => (name.clone(), kind.to_lowercase().into()),
                _ => (name.clone(), lowered(value)),
            };
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// What a tool said, in one form: JSON as JSON, and an object around nothing but words as these words.
pub fn said_by_tool(text: &str) -> Value {
    match serde_json::from_str::<Value>(text.trim()) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => unwrapped(&value),
        _ => text.trim().into(),
    }
}

/// See [`said_by_tool`].
pub fn unwrapped(value: &Value) -> Value {
    let only =
        value.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
    match only {
        Some((name, inner)) if ["result", "output", "error"].contains(&&**name) => match inner {
            Value::String(text) => said_by_tool(text),
            Value::Object(_) if name == "error" => inner.clone(),
            _ => value.clone(),
        },
        _ if value.as_object().is_some_and(Map::is_empty) => "".into(),
        _ => value.clone(),
    }
}

/// Arguments of a call: JSON in a string.
pub fn arguments(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    }
}

/// Several texts of one result.
pub fn joined(texts: &[String]) -> Value {
    said_by_tool(&texts.join("\n"))
}
