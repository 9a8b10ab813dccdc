//! Voyage's `/v1/rerank`, for callers who write the request as Cohere and Jina define it.
//!
//! Wire facts: Voyage API reference, "Rerankers"; Cohere's and Jina's, "Rerank"; recorded exchanges.

use std::borrow::Cow;

use bytes::BytesMut;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Usage;
use super::call::optional;
use super::chat::Dropped;
use super::json::shape::Number;
use super::json::{Text, Writer};
use super::raw::RawObject;
use super::whole::Whole;
use crate::error::{RequestError, UpstreamError};

pub use super::openai_chat::refusal as read_error;

/// A document: a text, or an object that holds one.
#[derive(Debug)]
struct Document<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Document<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            text: Text<'a>,
        }
        let raw = <&'de RawValue>::deserialize(source)?.get();
        match Text::from_json(raw) {
            Some(text) => Ok(Self(text)),
            None => serde_json::from_str::<Object<'de>>(raw)
                .map(|object| Self(object.text))
                .map_err(serde::de::Error::custom),
        }
    }
}

/// Appends the provider's request for a caller's; `model` is the provider's own name for the model.
///
/// # Errors
/// Names the member that cannot be used.
pub fn write_request(
    body: &RawObject,
    model: &str,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) -> Result<(), RequestError> {
    let query: Text<'_> = needed(optional(body, "query", "a string")?, "query")?;
    let documents: Vec<Document<'_>> =
        needed(optional(body, "documents", "an array of strings or of objects with a text")?, "documents")?;
    let top = optional::<Whole>(body, "top_n", "a whole number")?;
    let returns = optional::<bool>(body, "return_documents", "a boolean")?;
    let truncates = optional::<bool>(body, "truncation", "a boolean")?;
    Writer::new(out).object(|w| {
        w.name("model").string(model);
        w.name("query").text(&query);
        w.name("documents").array(|w| documents.iter().for_each(|Document(text)| w.text(text)));
        if let Some(Whole(top)) = top {
            w.name("top_k").number(top);
        }
        for (name, truth) in [("return_documents", returns), ("truncation", truncates)] {
            if let Some(truth) = truth {
                w.name(name).bool(truth);
            }
        }
    });
    const KNOWN: [&str; 6] = ["model", "query", "documents", "top_n", "return_documents", "truncation"];
    for (name, _) in body.members().filter(|(name, raw)| !KNOWN.contains(name) && *raw != "null") {
        dropped.add(name.to_owned());
    }
    Ok(())
}

fn needed<T>(member: Option<T>, name: &'static str) -> Result<T, RequestError> {
    member.ok_or_else(|| RequestError::member(name, format!("the member \"{name}\" is missing")))
}

/// Appends the caller's answer for the provider's; `model_json` is the caller's name for the model, as raw JSON.
///
/// Tokens stand where Cohere's clients look for them and where Jina's do.
///
/// # Errors
/// It holds no ranking.
pub fn read_reply(body: &str, model_json: &str, out: &mut BytesMut) -> Result<Option<Usage>, UpstreamError> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        id: Option<Text<'a>>,
        #[serde(borrow)]
        data: Vec<Ranked<'a>>,
        #[serde(default)]
        usage: Option<Counted>,
    }
    #[derive(Deserialize)]
    struct Ranked<'a> {
        index: u64,
        #[serde(borrow)]
        relevance_score: Number<'a>,
        #[serde(borrow, default)]
        document: Option<Document<'a>>,
    }
    #[derive(Deserialize)]
    struct Counted {
        #[serde(default)]
        total_tokens: Option<u64>,
    }
    let body: Body<'_> = serde_json::from_str(body)
        .map_err(|_| UpstreamError::Undecodable { reason: Cow::Borrowed("it holds no ranking") })?;
    let tokens = body.usage.and_then(|usage| usage.total_tokens).unwrap_or(0);
    Writer::new(out).object(|w| {
        w.text_member("id", body.id.as_ref());
        w.name("model").raw(model_json);
        w.name("results").array(|w| {
            for ranked in &body.data {
                w.object(|w| {
                    w.name("index").number(ranked.index);
                    w.name("relevance_score").raw(ranked.relevance_score.0);
                    if let Some(Document(text)) = &ranked.document {
                        w.name("document").object(|w| w.name("text").text(text));
                    }
                });
            }
        });
        w.name("meta").object(|w| {
            w.name("tokens").object(|w| w.name("input_tokens").number(tokens));
        });
        w.name("usage").object(|w| w.name("total_tokens").number(tokens));
    });
    Ok((tokens > 0).then(|| Usage { prompt: tokens, total: tokens, ..Usage::default() }))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn asked(body: &Value) -> Result<(Value, String), String> {
        let object = RawObject::parse(Bytes::from(body.to_string())).expect("an object");
        let (mut out, mut dropped) = (BytesMut::new(), Dropped::default());
        write_request(&object, "own", &mut dropped, &mut out).map_err(|error| error.to_string())?;
        Ok((serde_json::from_slice(&out).expect("JSON"), dropped.to_line()))
    }

    #[test]
    fn a_request_has_the_providers_names() {
        let body = json!({"model": "m", "query": "q", "documents": ["a\"", {"text": "b", "title": "t"}], "top_n": 2,
            "return_documents": true, "max_chunks_per_doc": 3, "rank_fields": null});
        let wanted = json!({"model": "own", "query": "q", "documents": ["a\"", "b"], "top_k": 2,
            "return_documents": true});
        assert_eq!(asked(&body), Ok((wanted, "max_chunks_per_doc".to_owned())));
    }

    #[test]
    fn what_cannot_be_ranked_is_refused() {
        for (body, words) in [
            (json!({"documents": []}), "\"query\" is missing"),
            (json!({"query": "q"}), "\"documents\" is missing"),
            (json!({"query": "q", "documents": [1]}), "\"documents\" must be an array"),
            (json!({"query": "q", "documents": [{"title": "t"}]}), "\"documents\" must be an array"),
            (json!({"query": "q", "documents": [], "top_n": -1}), "\"top_n\" must be a whole number"),
        ] {
            let error = asked(&body).expect_err("refused");
            assert!(error.contains(words), "{body}: {error}");
        }
    }

    #[test]
    fn a_reply_has_the_callers_names() {
        // The recorded answer, and a document as the provider gives it back.
        let body = r#"{"object":"list","data":[{"relevance_score":0.69140625,"index":0,"document":"a"},
            {"relevance_score":0.494140625,"index":2}],"model":"rerank-2-lite","usage":{"total_tokens":43}}"#;
        let mut out = BytesMut::new();
        let usage = read_reply(body, "\"mine\"", &mut out).expect("reads");
        assert_eq!(usage, Some(Usage { prompt: 43, total: 43, ..Usage::default() }));
        let wanted = json!({"model": "mine", "results": [
                {"index": 0, "relevance_score": 0.691_406_25, "document": {"text": "a"}},
                {"index": 2, "relevance_score": 0.494_140_625},
            ], "meta": {"tokens": {"input_tokens": 43}}, "usage": {"total_tokens": 43}});
        assert_eq!(serde_json::from_slice::<Value>(&out).expect("JSON"), wanted);
        for body in
            ["", "[]", "{}", r#"{"data":[{"index":0}]}"#, r#"{"data":[{"index":-1,"relevance_score":1}]}"#]
        {
            assert!(read_reply(body, "\"m\"", &mut out).is_err(), "{body}");
        }
        let refusal = read_error(400, br#"{"detail":"no such model"}"#);
        assert_eq!(refusal.message, "no such model");
    }
}
