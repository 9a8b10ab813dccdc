//! Moderations: a text is flagged for a category when it names it.
//!
//! Shape: recorded exchanges with api.openai.com.

use serde_json::{Map, Value, json};

use super::endpoints::Ask;
use super::error::{self, Failure};
use super::plain::Plain;
use super::{MockReply, fingerprint};

const CATEGORIES: [&str; 11] = [
    "sexual",
    "hate",
    "harassment",
    "self-harm",
    "sexual/minors",
    "hate/threatening",
    "violence/graphic",
    "self-harm/intent",
    "self-harm/instructions",
    "harassment/threatening",
    "violence",
];

/// Judges texts and pictures.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let plain = Plain::read(ask, &["input"])?;
    let texts = texts(&plain.members["input"]);
    if texts.is_empty() {
        return Err(error::invalid("input", "invalid_value", "'input' must not be empty.").into());
    }
    let model = plain.members.get("model").cloned().unwrap_or_else(|| json!("omni-moderation-latest"));
    let id = format!("modr-mock{:016x}", fingerprint(ask.hints.seed, ask.request.body));
    let results: Vec<_> = texts.iter().map(|text| verdict(text)).collect();
    Ok(plain.json(&json!({"id": id, "model": model, "results": results})))
}

/// One text for each result: parts with a type are one input together.
fn texts(input: &Value) -> Vec<String> {
    match input {
        Value::String(one) => vec![one.clone()],
        Value::Array(parts) if parts.first().is_some_and(Value::is_object) => {
            let words: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            vec![words.join("\n")]
        }
        Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn verdict(text: &str) -> Value {
    let text = text.to_lowercase();
    let is_named = |category: &str| text.contains(category);
    let all = |value: &dyn Fn(&str) -> Value| {
        Value::from(Map::from_iter(CATEGORIES.iter().map(|name| ((*name).to_owned(), value(name)))))
    };
    let categories = all(&|name| is_named(name).into());
    let scores = all(&|name| if is_named(name) { json!(0.99) } else { json!(0.0001) });
    let flagged = CATEGORIES.iter().any(|name| is_named(name));
    json!({"flagged": flagged, "categories": categories, "category_scores": scores})
}
