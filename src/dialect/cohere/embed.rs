//! Embeddings: OpenAI's request and answer for callers, Cohere's `/v2/embed` for the provider.

use std::borrow::Cow;

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::call::optional;
use crate::dialect::chat::Dropped;
use crate::dialect::json::shape::TextOr;
use crate::dialect::json::{Text, Writer};
use crate::dialect::raw::RawObject;
use crate::dialect::whole::Whole;
use crate::dialect::{Usage, base64};
use crate::error::{RequestError, UpstreamError};

/// Appends the provider's request for a caller's; `model` is the provider's own name for the model.
///
/// `input_type` and `truncate` are the provider's own members, for callers who know them.
///
/// # Errors
/// Names the member that cannot be used.
pub fn write_request(
    body: &RawObject,
    model: &str,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) -> Result<(), RequestError> {
    let input = body.member("input").filter(|raw| *raw != "null");
    let input = input.ok_or_else(|| RequestError::member("input", "the member \"input\" is missing"))?;
    let texts = texts(input)?;
    let is_base64 = match optional::<Text<'_>>(body, "encoding_format", "a string")? {
        Some(word) if word == *"base64" => true,
        Some(word) if word != *"float" => {
            let message = "the member \"encoding_format\" must be \"float\" or \"base64\"";
            return Err(RequestError::member("encoding_format", message));
        }
        _ => false,
    };
    let dimensions = optional::<Whole>(body, "dimensions", "a whole number")?;
    let input_type = optional::<Text<'_>>(body, "input_type", "a string")?;
    let truncate = optional::<Text<'_>>(body, "truncate", "a string")?;
    Writer::new(out).object(|w| {
        w.name("model").string(model);
        w.name("texts").array(|w| texts.iter().for_each(|text| w.text(text)));
        w.name("input_type").text(&input_type.unwrap_or(Text::from_escaped("search_document")));
        w.name("embedding_types").array(|w| w.string(if is_base64 { "base64" } else { "float" }));
        if let Some(Whole(dimensions)) = dimensions {
            w.name("output_dimension").number(dimensions);
        }
        w.text_member("truncate", truncate.as_ref());
    });
    const KNOWN: [&str; 6] = ["model", "input", "encoding_format", "dimensions", "input_type", "truncate"];
    for (name, _) in body.members().filter(|(name, raw)| !KNOWN.contains(name) && *raw != "null") {
        dropped.add(name.to_owned());
    }
    Ok(())
}

/// The texts to embed. Tokens are another model's: they mean nothing here.
fn texts(raw: &str) -> Result<Vec<Text<'_>>, RequestError> {
    let wrong =
        || RequestError::member("input", "the member \"input\" must be a string or an array of strings");
    let texts = match serde_json::from_str(raw).map_err(|_| wrong())? {
        TextOr::Text(text) => vec![text],
        TextOr::List(texts) => texts,
    };
    match texts.is_empty() {
        true => Err(RequestError::member("input", "the member \"input\" must not be empty")),
        false => Ok(texts),
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    embeddings: Embeddings<'a>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow, default)]
    float: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    base64: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    billed_units: Option<Billed>,
}

#[derive(Deserialize)]
struct Billed {
    #[serde(default)]
    input_tokens: Option<f64>,
}

/// Appends the caller's answer for the provider's; `model_json` is the caller's name for the model, as raw JSON.
///
/// # Errors
/// It holds no embeddings that were asked for.
pub fn read_reply(
    body: &str,
    model_json: &str,
    wants_base64: bool,
    out: &mut BytesMut,
) -> Result<Option<Usage>, UpstreamError> {
    let undecodable = |reason| UpstreamError::Undecodable { reason: Cow::Borrowed(reason) };
    let body: Body<'_> = serde_json::from_str(body).map_err(|_| undecodable("it holds no embeddings"))?;
    let (vectors, is_float) = match (body.embeddings.base64, body.embeddings.float) {
        (Some(vectors), _) => (vectors, false),
        (None, Some(vectors)) => (vectors, true),
        (None, None) => return Err(undecodable("it holds no embeddings that were asked for")),
    };
    let encoded: Vec<String> = match is_float && wants_base64 {
        true => vectors.iter().map(|vector| in_base64(vector)).collect::<Option<_>>(),
        false => Some(Vec::new()),
    }
    .ok_or_else(|| undecodable("its embeddings are not numbers"))?;
    let billed = body.meta.and_then(|meta| meta.billed_units).and_then(|billed| billed.input_tokens);
    let tokens = billed.map_or(0, |tokens| tokens.max(0.0) as u64);
    Writer::new(out).object(|w| {
        w.name("object").string("list");
        w.name("data").array(|w| {
            for (index, vector) in vectors.iter().enumerate() {
                w.object(|w| {
                    w.name("object").string("embedding");
                    w.name("index").number(index as u64);
                    match encoded.get(index) {
                        Some(encoded) => w.name("embedding").string(encoded),
                        None => w.name("embedding").raw(vector.get()),
                    }
                });
            }
        });
        w.name("model").raw(model_json);
        w.name("usage").object(|w| {
            w.name("prompt_tokens").number(tokens);
            w.name("total_tokens").number(tokens);
        });
    });
    Ok((tokens > 0).then(|| Usage { prompt: tokens, total: tokens, ..Usage::default() }))
}

/// A vector as OpenAI encodes it: numbers of 32 bits, the lowest byte first. For providers who answer in floats all the
/// same.
fn in_base64(vector: &RawValue) -> Option<String> {
    let numbers: Vec<f32> = serde_json::from_str(vector.get()).ok()?;
    let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
    Some(base64::encode(&bytes))
}
