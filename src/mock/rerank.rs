//! Rerank in Cohere's shape: a document scores by the share of the query's words that it holds.
//!
//! Shape: recorded exchanges with api.cohere.com.

use serde_json::{Value, json};

use super::endpoints::Ask;
use super::error::{self, Failure};
use super::plain::Plain;
use super::request::positive;
use super::{MockReply, fingerprint};

/// Sorts documents.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let plain = Plain::read(ask, &["model", "query", "documents"])?;
    let documents: Vec<_> =
        plain.members["documents"].as_array().into_iter().flatten().map(text_of).collect();
    if documents.is_empty() {
        let message = "invalid request: list of documents must not be empty";
        return Err(error::invalid("documents", "invalid_value", message).into());
    }
    let most = positive(&plain.members, "top_n")?.unwrap_or(usize::MAX);
    let query = plain.text("query").to_lowercase();
    let mut scored: Vec<_> =
        documents.iter().enumerate().map(|(index, text)| (index, score(&query, text))).collect();
    // Stable: equal scores keep the caller's order.
    scored.sort_by(|left, right| right.1.total_cmp(&left.1));
    let shows_documents = plain.is_set("return_documents");
    let result = |(index, score): (usize, f64)| {
        let mut result = json!({"index": index, "relevance_score": score});
        if shows_documents {
            result["document"] = json!({"text": documents[index]});
        }
        result
    };
    let results: Vec<_> = scored.into_iter().take(most).map(result).collect();
    let id = format!("mock{:016x}", fingerprint(ask.hints.seed, ask.request.body));
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"search_units": 1}});
    Ok(plain.json(&json!({"id": id, "results": results, "meta": meta})))
}

fn text_of(document: &Value) -> String {
    document.as_str().or(document["text"].as_str()).map_or_else(|| document.to_string(), str::to_owned)
}

fn score(query: &str, document: &str) -> f64 {
    let document = document.to_lowercase();
    let words: Vec<_> = query.split_whitespace().collect();
    let found = words.iter().filter(|word| document.contains(**word)).count();
    found as f64 / words.len().max(1) as f64
}
