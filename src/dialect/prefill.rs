//! Prefill: a conversation that ends with the beginning of the answer, for a model that goes on from there.
//!
//! Who honours it is a matter of the provider. Anthropic API reference, "Prefill Claude's response"; Mistral API
//! reference, "Chat Completion", `prefix`; Groq documentation, "Assistant message prefilling". Who sells models of others
//! (OpenRouter) goes on with some and begins anew with others.

use std::cell::OnceCell;

use bytes::Bytes;

use super::Dialect;
use super::call::{Body, Call};
use super::json::Text;
use super::raw::RawObject;

/// Whether a provider goes on with an answer that is begun for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prefill {
    /// It begins a new one.
    #[default]
    Never,
    /// A last turn of the assistant's is enough.
    Turn,
    /// That turn says `"prefix": true`.
    Marked,
}

/// The part of a begun answer that may be put before a model: Anthropic refuses space at its end.
#[must_use]
pub fn kept(said: &str) -> &str {
    said.trim_end()
}

/// The call with the beginning of its answer at the end, and so many tokens less to be written; `None` where it has no
/// conversation that can be gone on with, or where nothing is left to be written.
#[must_use]
pub fn begun(call: &Call, dialect: Dialect, said: &str, tokens: u64) -> Option<Call> {
    let body = &shortened(call.json()?, dialect, tokens)?;
    let said = Text::plain(kept(said));
    let said = said.escaped();
    let (member, turn) = match dialect {
        Dialect::OpenAiChat | Dialect::Anthropic => {
            ("messages", format!(r#"{{"role":"assistant","content":"{said}"}}"#))
        }
        Dialect::OpenAiResponses => (
            "input",
            format!(
                r#"{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"{said}"}}]}}"#
            ),
        ),
        Dialect::Gemini => ("contents", format!(r#"{{"role":"model","parts":[{{"text":"{said}"}}]}}"#)),
        Dialect::Cohere | Dialect::OpenAi | Dialect::Voyage => return None,
    };
    let turns = body.member(member)?.trim();
    let turns = match turns.strip_prefix('[') {
        Some(rest) => {
            let inner = rest.strip_suffix(']')?.trim();
            let comma = if inner.is_empty() { "" } else { "," };
            format!("[{inner}{comma}{turn}]")
        }
        // The Responses API takes a bare text for a user's message.
        None => format!(r#"[{{"role":"user","content":{turns}}},{turn}]"#),
    };
    let object = RawObject::parse(body.with(&[(member, &turns)])).ok()?;
    let (model, model_json) = (call.model.clone(), call.model_json.clone());
    Some(Call { body: Body::Json(object), model, model_json, marks: OnceCell::new(), ..*call })
}

/// The request with so many tokens less to be written; `None` where none are left.
fn shortened(body: &RawObject, dialect: Dialect, tokens: u64) -> Option<RawObject> {
    let names: &[&str] = match dialect {
        Dialect::OpenAiChat => &["max_tokens", "max_completion_tokens"],
        Dialect::OpenAiResponses => &["max_output_tokens"],
        Dialect::Anthropic => &["max_tokens"],
        Dialect::Gemini => return shortened_inside(body, tokens),
        Dialect::Cohere | Dialect::OpenAi | Dialect::Voyage => return None,
    };
    let mut body = body.clone();
    for name in names {
        body = less(&body, name, tokens)?;
    }
    Some(body)
}

/// Gemini's limit stands in an object of its own, under either spelling.
fn shortened_inside(body: &RawObject, tokens: u64) -> Option<RawObject> {
    let mut body = body.clone();
    for name in ["generationConfig", "generation_config"] {
        let Some(raw) = body.member(name) else { continue };
        let Ok(config) = RawObject::parse(Bytes::copy_from_slice(raw.as_bytes())) else { continue };
        let mut config = config;
        for name in ["maxOutputTokens", "max_output_tokens"] {
            config = less(&config, name, tokens)?;
        }
        let config = std::str::from_utf8(config.bytes()).ok()?.to_owned();
        body = RawObject::parse(body.with(&[(name, &config)])).ok()?;
    }
    Some(body)
}

/// With a smaller number under a name, where there is one; `None` where nothing of it is left.
fn less(body: &RawObject, name: &str, by: u64) -> Option<RawObject> {
    let Some(limit) = body.member(name).and_then(|raw| raw.trim().parse::<u64>().ok()) else {
        return Some(body.clone());
    };
    let left = limit.checked_sub(by).filter(|left| *left > 0)?;
    RawObject::parse(body.with(&[(name, &left.to_string())])).ok()
}

/// A request in OpenAI's chat dialect whose last turn says that it is a beginning; as it is where it has none.
#[must_use]
pub fn marked(body: Bytes) -> Bytes {
    let mark = |body: &Bytes| {
        let object = RawObject::parse(body.clone()).ok()?;
        let turns = object.member("messages")?.trim_end().strip_suffix(']')?.trim_end().strip_suffix('}')?;
        Some(object.with(&[("messages", &format!("{turns},\"prefix\":true}}]"))]))
    };
    mark(&body).unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;

    fn begun_body(operation: Operation, dialect: Dialect, body: &'static str, path: Option<&str>) -> String {
        let object = RawObject::parse(Bytes::from_static(body.as_bytes())).expect("an object");
        let call = Call::read(operation, dialect, Body::Json(object), path).expect("a call");
        let begun = begun(&call, dialect, "one \"two\" \n", 5).expect("a conversation");
        String::from_utf8(begun.json().expect("JSON").bytes().to_vec()).expect("text")
    }

    #[test]
    fn the_beginning_is_the_last_turn_in_every_dialect() {
        let cases = [
            (
                Operation::Chat,
                Dialect::OpenAiChat,
                r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"n":1}"#,
                None,
                r#"{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"one \"two\""}],"n":1}"#,
            ),
            (
                Operation::Responses,
                Dialect::OpenAiResponses,
                r#"{"model":"m","input":"hi"}"#,
                None,
                r#"{"model":"m","input":[{"role":"user","content":"hi"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"one \"two\""}]}]}"#,
            ),
            (
                Operation::Generate,
                Dialect::Gemini,
                r#"{"contents":[{"parts":[{"text":"hi"}]} ]}"#,
                Some("m"),
                r#"{"contents":[{"parts":[{"text":"hi"}]},{"role":"model","parts":[{"text":"one \"two\""}]}]}"#,
            ),
        ];
        for (operation, dialect, body, path, wanted) in cases {
            assert_eq!(begun_body(operation, dialect, body, path), wanted);
        }
    }

    #[test]
    fn what_was_written_is_written_off() {
        let cases = [
            (
                Operation::Chat,
                Dialect::OpenAiChat,
                r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":9}"#,
                None,
                Some("\"max_tokens\":4"),
            ),
            (
                Operation::Chat,
                Dialect::OpenAiChat,
                r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":5}"#,
                None,
                None,
            ),
            (
                Operation::Messages,
                Dialect::Anthropic,
                r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":6}"#,
                None,
                Some("\"max_tokens\":1"),
            ),
            (
                Operation::Responses,
                Dialect::OpenAiResponses,
                r#"{"model":"m","input":"a","max_output_tokens":2}"#,
                None,
                None,
            ),
            (
                Operation::Generate,
                Dialect::Gemini,
                r#"{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":8,"topK":1}}"#,
                Some("m"),
                Some("{\"maxOutputTokens\":3,\"topK\":1}"),
            ),
        ];
        for (operation, dialect, body, path, wanted) in cases {
            let object = RawObject::parse(Bytes::from_static(body.as_bytes())).expect("an object");
            let call = Call::read(operation, dialect, Body::Json(object), path).expect("a call");
            let begun = begun(&call, dialect, "a", 5);
            let text = begun
                .as_ref()
                .map(|call| String::from_utf8_lossy(call.json().expect("JSON").bytes()).into_owned());
            assert_eq!(text.is_some(), wanted.is_some(), "{body}");
            assert!(wanted.is_none_or(|wanted| text.is_some_and(|text| text.contains(wanted))), "{body}");
        }
    }

    #[test]
    fn a_mark_stands_on_the_last_turn_only() {
        let body = r#"{"messages":[{"role":"user","content":"}]"},{"role":"assistant","content":"a"} ],"model":"m"}"#;
        let wanted = r#"{"messages":[{"role":"user","content":"}]"},{"role":"assistant","content":"a","prefix":true}],"model":"m"}"#;
        assert_eq!(marked(Bytes::from_static(body.as_bytes())), wanted);
        assert_eq!(marked(Bytes::from_static(b"{}")), "{}");
    }
}
