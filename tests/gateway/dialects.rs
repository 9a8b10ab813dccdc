//! A caller of every dialect in front of a provider of every dialect: what goes out, what comes back, and what a caller
//! is told when a stream does not end well.
//!
//! The providers' answers are recorded ones. They lie beside the project; where they do not, these tests say so and
//! pass.

use serde_json::Value;

use crate::harness::*;

mod broken;
mod counting;
mod loss;
mod recorded;
mod requests;
mod translated;

use recorded::{Recording, recordings};

/// A dialect in which callers converse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Chat,
    Responses,
    Messages,
    Gemini,
}

/// A protocol family of providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    OpenAi,
    Anthropic,
    Gemini,
}

const CALLERS: [Caller; 4] = [Caller::Chat, Caller::Responses, Caller::Messages, Caller::Gemini];
const PROVIDERS: [Provider; 3] = [Provider::OpenAi, Provider::Anthropic, Provider::Gemini];

/// Every pair.
fn pairs() -> impl Iterator<Item = (Caller, Provider)> {
    CALLERS.into_iter().flat_map(|caller| PROVIDERS.into_iter().map(move |provider| (caller, provider)))
}

impl Provider {
    /// Its name as an adapter.
    fn adapter(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// A gateway with the model `m` of a vendor whom nobody knows and who speaks this protocol.
    fn gateway(self, upstream: &Upstream, more: &str) -> Gateway {
        let adapter = self.adapter();
        let key = provider_key("up", &upstream.url())
            .replace("provider = \"openai\"", &format!("provider = \"acme\"\nadapter = \"{adapter}\""));
        let models = model("m", "up", "retries = 0") + &model("strict", "up", "strict_translation = true");
        Gateway::start(&(key + &models + &api_key("sk-test", "\"*\"", "") + more))
    }
}

impl Caller {
    /// Asks with a system prompt, a turn and a maximum of tokens; `more` is further members.
    fn ask(self, gateway: &Gateway, model: &str, is_stream: bool, more: &str) -> Connection {
        let stream = if is_stream { r#","stream":true"# } else { "" };
        let turn = r#"{"role":"user","content":"hello"}"#;
        let (path, body) = match self {
            Self::Chat => (
                "/v1/chat/completions".to_owned(),
                format!(
                    r#"{{"model":"{model}","messages":[{{"role":"system","content":"be kind"}},{turn}],"max_tokens":64{stream}{more}}}"#
                ),
            ),
            Self::Responses => (
                "/v1/responses".to_owned(),
                format!(
                    r#"{{"model":"{model}","instructions":"be kind","input":"hello","max_output_tokens":64{stream}{more}}}"#
                ),
            ),
            Self::Messages => (
                "/v1/messages".to_owned(),
                format!(
                    r#"{{"model":"{model}","system":"be kind","messages":[{turn}],"max_tokens":64{stream}{more}}}"#
                ),
            ),
            Self::Gemini => {
                let method = if is_stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                let turn = r#"{"role":"user","parts":[{"text":"hello"}]}"#;
                let system = r#""systemInstruction":{"parts":[{"text":"be kind"}]}"#;
                let config = r#""generationConfig":{"maxOutputTokens":64}"#;
                (
                    format!("/v1beta/models/{model}:{method}"),
                    format!(r#"{{{system},"contents":[{turn}],{config}{more}}}"#),
                )
            }
        };
        let mut connection = gateway.connect();
        connection.send(&request_text("POST", &path, "sk-test", &[], body.as_bytes()));
        connection
    }

    /// The words of a whole answer.
    fn words(self, body: &Value) -> String {
        match self {
            Self::Chat => chat_words(&body["choices"][0]["message"]),
            Self::Messages => anthropic_words(&body["content"]),
            Self::Gemini => gemini_words(body),
            Self::Responses => {
                let items = body["output"].as_array().into_iter().flatten();
                let parts = items.flat_map(|item| item["content"].as_array().into_iter().flatten());
                parts
                    .filter(|part| part["type"] == "output_text")
                    .filter_map(|part| part["text"].as_str())
                    .collect()
            }
        }
    }

    /// The words of a stream.
    fn streamed_words(self, text: &str) -> String {
        events(text).iter().map(|event| self.words_of_event(event)).collect()
    }

    fn words_of_event(self, event: &Value) -> String {
        match self {
            Self::Chat => chat_words(&event["choices"][0]["delta"]),
            Self::Messages if event["delta"]["type"] == "text_delta" => text_of(&event["delta"]["text"]),
            Self::Gemini => gemini_words(event),
            Self::Responses if event["type"] == "response.output_text.delta" => text_of(&event["delta"]),
            Self::Messages | Self::Responses => String::new(),
        }
    }

    /// Whether a stream says that the answer is complete, in the way of its dialect.
    fn is_closed(self, text: &str) -> bool {
        match self {
            Self::Chat => text.ends_with("data: [DONE]\n\n"),
            Self::Messages => text.contains("\"type\":\"message_stop\""),
            Self::Responses => {
                text.contains("\"type\":\"response.completed\"")
                    || text.contains("\"type\":\"response.incomplete\"")
            }
            Self::Gemini => {
                events(text).iter().any(|event| event["candidates"][0]["finishReason"].is_string())
            }
        }
    }

    /// The provider whose dialect it is.
    fn own(self) -> Option<Provider> {
        match self {
            Self::Chat => Some(Provider::OpenAi),
            Self::Messages => Some(Provider::Anthropic),
            Self::Gemini => Some(Provider::Gemini),
            // Those who are only like OpenAI have no Responses.
            Self::Responses => None,
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn chat_words(message: &Value) -> String {
    text_of(&message["content"])
}

fn anthropic_words(content: &Value) -> String {
    let blocks = content.as_array().into_iter().flatten();
    blocks.filter(|block| block["type"] == "text").map(|block| text_of(&block["text"])).collect()
}

fn gemini_words(body: &Value) -> String {
    let parts = body["candidates"][0]["content"]["parts"].as_array().into_iter().flatten();
    parts.filter(|part| part["thought"] != true).map(|part| text_of(&part["text"])).collect()
}

/// The data of a stream's events, where it is JSON.
fn events(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.filter_map(|data| serde_json::from_str(data).ok()).collect()
}
