//! What an answer means, read from its whole JSON without the codecs.

use std::collections::BTreeSet;

use aisix::dialect::Dialect;
use serde_json::{Value, json};

use super::asked::{list, text_of};

mod chat;
mod cohere;
mod others;

/// An answer's meaning.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Told {
    /// The answers: one, or as many as were asked for.
    pub answers: Vec<Answer>,
    /// What was counted.
    pub usage: Usage,
}

/// One answer.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Answer {
    /// All its words.
    pub text: String,
    /// Words with which it declines.
    pub refusal: String,
    /// All its thoughts that can be read.
    pub thoughts: String,
    /// Calls, as `[name, arguments]`.
    pub calls: Vec<Value>,
    /// Where its words come from.
    pub urls: BTreeSet<String>,
    /// Pictures, as `type;base64`.
    pub pictures: Vec<String>,
    /// Why it ended, in the words of OpenAI's chats, but `refusal` and `stop_sequence` where the dialect tells them.
    pub finish: String,
}

/// Tokens, as OpenAI counts them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Sent, with what came from a cache.
    pub prompt: u64,
    /// From a cache.
    pub cached: u64,
    /// Written, with reasoning.
    pub completion: u64,
    /// Reasoning.
    pub reasoning: u64,
}

/// Reads a whole answer.
pub fn told(dialect: Dialect, body: &Value) -> Told {
    match dialect {
        Dialect::OpenAiChat => chat::read(body),
        Dialect::OpenAiResponses => others::responses(body),
        Dialect::Anthropic => others::anthropic(body),
        Dialect::Gemini => others::gemini(body),
        Dialect::Cohere => cohere::read(body),
        Dialect::OpenAi | Dialect::Voyage => panic!("no conversation"),
    }
}

impl Answer {
    fn call(&mut self, name: &Value, arguments: &Value) {
        // Snowflake has sent a call of nothing.
        if name == "" {
            return;
        }
        let arguments = match arguments {
            Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            other => other.clone(),
        };
        // Arguments that are no object say nothing to anybody.
        let arguments = if arguments.is_object() { arguments } else { json!({}) };
        self.calls.push(json!([name, arguments]));
    }

    fn cite(&mut self, url: &Value) {
        self.urls.extend(url.as_str().filter(|url| !url.is_empty()).map(str::to_owned));
    }
}

fn count(value: &Value) -> u64 {
    value.as_f64().map_or(0, |number| number as u64)
}
