//! Prefill: a conversation that ends with the beginning of the answer, for a model that goes on from there.
//!
//! Who honours it is a matter of the provider. Anthropic API reference, "Prefill Claude's response"; Mistral API
//! reference, "Chat Completion", `prefix`; Groq and OpenRouter documentation, "Assistant message prefilling".

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

/// The call with the beginning of its answer at the end; `None` where it has no conversation that can be gone on with.
#[must_use]
pub fn begun(call: &Call, dialect: Dialect, said: &str) -> Option<Call> {
    let body = call.json()?;
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
    Some(Call { body: Body::Json(object), model, model_json, ..*call })
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
        let begun = begun(&call, dialect, "one \"two\" \n").expect("a conversation");
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
    fn a_mark_stands_on_the_last_turn_only() {
        let body = r#"{"messages":[{"role":"user","content":"}]"},{"role":"assistant","content":"a"} ],"model":"m"}"#;
        let wanted = r#"{"messages":[{"role":"user","content":"}]"},{"role":"assistant","content":"a","prefix":true}],"model":"m"}"#;
        assert_eq!(marked(Bytes::from_static(body.as_bytes())), wanted);
        assert_eq!(marked(Bytes::from_static(b"{}")), "{}");
    }
}
