//! Embeddings from the mock: unit vectors that depend on the text alone.
//!
//! Equal texts get equal vectors, and nothing more is meant by them.

use serde_json::{Value, json};

use super::endpoints::Ask;
use super::error::{self, Failure};
use super::plain::Plain;
use super::request::tokens;
use super::{MockReply, fingerprint};

const DEFAULT_DIMENSIONS: usize = 64;
const MAX_DIMENSIONS: u64 = 4096;
/// The most inputs of one request, as at OpenAI.
const MAX_INPUTS: usize = 2048;

/// Answers an embeddings request.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let request = Plain::read(ask, &[])?;
    let inputs = request.members.get("input").map(inputs).unwrap_or_default();
    if inputs.is_empty() || inputs.len() > MAX_INPUTS {
        let message = "'input' must be a string, or an array of 1 to 2048 strings or token lists.";
        return Err(error::invalid("input", "invalid_value", message).into());
    }
    let dimensions = dimensions(request.members.get("dimensions"));
    let as_base64 = request.text("encoding_format") == "base64";
    let row = |(index, input): (usize, &String)| {
        let vector = vector(input, dimensions);
        let embedding = if as_base64 { json!(base64(&vector)) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<_> = inputs.iter().enumerate().map(row).collect();
    let used: u64 = inputs.iter().map(|input| tokens(input.len())).sum();
    let usage = json!({"prompt_tokens": used, "total_tokens": used});
    let model = request.members.get("model");
    let list = json!({"object": "list", "data": data, "model": model, "usage": usage});
    Ok(request.json(&list))
}

/// The size of vectors that is wanted.
pub(super) fn dimensions(wanted: Option<&Value>) -> usize {
    wanted.and_then(Value::as_u64).map_or(DEFAULT_DIMENSIONS, |n| n.clamp(1, MAX_DIMENSIONS) as usize)
}

/// The texts to embed; a list of tokens stands for itself as text.
fn inputs(input: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match input {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) if many.first().is_some_and(Value::is_number) => vec![input.to_string()],
        Value::Array(many) => many.iter().map(text).collect(),
        _ => Vec::new(),
    }
}

/// The vector of a text.
pub(super) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let component =
        |at: usize| (fingerprint(at as u64, text.as_bytes()) >> 40) as f32 / (1 << 24) as f32 - 0.5;
    let raw: Vec<f32> = (0..dimensions).map(component).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.iter().map(|x| x / length).collect()
}

/// Little-endian floats in base64, as the official clients ask for them.
pub(super) fn base64(vector: &[f32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let symbol = char::from(ALPHABET[bits >> (18 - 6 * place) & 63]);
            text.push(if place > group.len() { '=' } else { symbol });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Hints, MockBody, MockRequest};

    fn reply(request: Value) -> Value {
        let body = request.to_string();
        let asked =
            MockRequest { method: "POST", target: "/embeddings", content_type: "", body: body.as_bytes() };
        match crate::mock::answer(&asked, &Hints::default()).body {
            MockBody::Full(body) => serde_json::from_slice(&body).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_input_gets_a_unit_vector_of_the_wanted_size() {
        let list = reply(json!({"model": "demo", "input": ["a", "b", "a"], "dimensions": 8}));
        let vector = |at: usize| list["data"][at]["embedding"].as_array().expect("floats").clone();
        assert_eq!((vector(0).len(), vector(0) == vector(2), vector(0) == vector(1)), (8, true, false));
        let square: f64 = vector(1).iter().filter_map(Value::as_f64).map(|x| x * x).sum();
        assert!((square - 1.0).abs() < 1e-5, "{square}");
        assert_eq!(list["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    }

    #[test]
    fn base64_is_what_rfc_4648_says() {
        assert_eq!(base64(&[1.0]), "AACAPw==");
        assert_eq!(base64(&[1.0, -2.0, 0.5]), "AACAPwAAAMAAAAA/");
        let list =
            reply(json!({"model": "demo", "input": "a", "dimensions": 3, "encoding_format": "base64"}));
        assert_eq!(list["data"][0]["embedding"].as_str().map(str::len), Some(16));
    }

    #[test]
    fn no_input_is_refused() {
        assert_eq!(reply(json!({"model": "demo"}))["error"]["param"], "input");
    }
}
