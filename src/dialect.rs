//! Dialects: the wire formats, as pure code. No `await`, no clock, no socket below this file.
//!
//! Same dialect on both sides: the bytes are patched and everything that the gateway does not know survives.

use serde::Deserialize;

use crate::error::RequestError;

pub mod canonical;
pub mod chat;
pub mod cohere;
pub mod json;
pub mod openai_chat;
pub mod raw;
pub mod sse;
pub mod voyage;
pub mod whole;

use raw::RawObject;
use whole::Whole;

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions.
    OpenAiChat,
    /// Anthropic's Messages.
    Anthropic,
}

/// Tokens of one exchange, as OpenAI counts them: `prompt` includes `cached` and `cache_write`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens sent.
    pub prompt: u64,
    /// Tokens received, reasoning included.
    pub completion: u64,
    /// The part of `prompt` that the provider read from its cache.
    pub cached: u64,
    /// The part of `prompt` that the provider wrote to its cache.
    pub cache_write: u64,
    /// The part of `completion` that was reasoning.
    pub reasoning: u64,
    /// The provider's own sum.
    pub total: u64,
    /// Whether the gateway guessed because the provider said nothing.
    pub is_estimated: bool,
}

impl Usage {
    /// A guess from the request's size and the bytes of text delivered.
    #[must_use]
    pub fn estimated(prompt: u64, delivered_bytes: u64) -> Self {
        let completion = tokens_of_bytes(delivered_bytes);
        Self {
            prompt,
            completion,
            total: prompt.saturating_add(completion),
            is_estimated: true,
            ..Self::default()
        }
    }
}

impl Usage {
    /// With a guess for what the provider left at zero (§5.3).
    #[must_use]
    pub fn filled(self, prompt: u64, delivered_bytes: u64) -> Self {
        if self.prompt > 0 && self.completion > 0 {
            return self;
        }
        let guess = Self::estimated(prompt, delivered_bytes);
        let prompt = if self.prompt > 0 { self.prompt } else { guess.prompt };
        let completion = if self.completion > 0 { self.completion } else { guess.completion };
        let total = self.total.max(prompt.saturating_add(completion));
        let is_estimated = (prompt, completion) != (self.prompt, self.completion);
        Self { prompt, completion, total, is_estimated, ..self }
    }
}

/// The usual rule of thumb: a token is about four bytes of text.
#[must_use]
pub fn tokens_of_bytes(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// One request to a model, read as far as the gateway needs to.
#[derive(Debug)]
pub struct Call {
    /// The body as it came, member by member.
    pub body: RawObject,
    /// The model that the caller named.
    pub model: Box<str>,
    /// Whether the answer is to be a stream.
    pub is_stream: bool,
    /// Whether the caller set `stream_options`, and asked for usage there.
    pub stream_options: StreamOptions,
    /// A guess of the tokens sent.
    pub prompt_tokens: u64,
    /// The most tokens that the caller lets the model write.
    pub max_output_tokens: Option<u64>,
    /// How many answers the caller wants.
    pub answers: u64,
}

/// What the caller said of `stream_options`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOptions {
    /// Nothing: the gateway asks for usage and hides it.
    Unset,
    /// Something, without asking for usage: the caller's word stands.
    WithoutUsage,
    /// The caller wants the usage chunk.
    WithUsage,
}

/// Output tokens held for a call that names no maximum, until it settles.
const ASSUMED_OUTPUT_TOKENS: u64 = 1024;
/// Most output tokens held per answer, whatever the caller names: a hold keeps others out, and few answers are longer.
const MAX_HELD_OUTPUT_TOKENS: u64 = 32_768;
/// Most answers that a call is held for; OpenAI accepts up to 128.
const MAX_ANSWERS: u64 = 128;

impl Call {
    /// Tokens to set aside until the true figure is known.
    #[must_use]
    pub fn held_tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.held_output_tokens())
    }

    /// The output part of [`Call::held_tokens`].
    #[must_use]
    pub fn held_output_tokens(&self) -> u64 {
        let each = self.max_output_tokens.unwrap_or(ASSUMED_OUTPUT_TOKENS).min(MAX_HELD_OUTPUT_TOKENS);
        each.saturating_mul(self.answers.clamp(1, MAX_ANSWERS))
    }
}

#[derive(Deserialize)]
struct StreamOptionsMember {
    #[serde(default)]
    include_usage: Option<bool>,
}

impl Dialect {
    /// The name of the protocol in metrics and records: that of whoever defined it.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// Reads a request body as far as the gateway needs to.
    ///
    /// # Errors
    /// Names the member that is missing or of the wrong type.
    pub fn read_call(self, body: RawObject) -> Result<Call, RequestError> {
        let model: Box<str> = match body.member("model") {
            None => return Err(RequestError::member("model", "the member \"model\" is missing")),
            Some(raw) => serde_json::from_str(raw)
                .map_err(|_| RequestError::member("model", "the member \"model\" must be a string"))?,
        };
        let messages = body
            .member("messages")
            .ok_or_else(|| RequestError::member("messages", "the member \"messages\" is missing"))?;
        check_messages(messages)?;
        let is_stream = optional::<bool>(&body, "stream", "a boolean")?.unwrap_or(false);
        let stream_options = match optional::<StreamOptionsMember>(
            &body,
            "stream_options",
            "an object with a boolean include_usage",
        )? {
            None => StreamOptions::Unset,
            Some(StreamOptionsMember { include_usage: Some(true) }) => StreamOptions::WithUsage,
            Some(_) => StreamOptions::WithoutUsage,
        };
        let max_output_tokens = match self {
            Self::OpenAiChat => match whole(&body, "max_completion_tokens")? {
                None => whole(&body, "max_tokens")?,
                some => some,
            },
            Self::Anthropic => whole(&body, "max_tokens")?,
        };
        let answers = whole(&body, "n")?.unwrap_or(1);
        let prompt_tokens = tokens_of_bytes(body.text_bytes());
        Ok(Call { body, model, is_stream, stream_options, prompt_tokens, max_output_tokens, answers })
    }
}

fn check_messages(raw: &str) -> Result<(), RequestError> {
    let Some(inside) = raw.strip_prefix('[') else {
        return Err(RequestError::member("messages", "the member \"messages\" must be an array"));
    };
    if inside.trim_start().starts_with(']') {
        return Err(RequestError::member("messages", "the member \"messages\" must not be empty"));
    }
    Ok(())
}

fn whole(body: &RawObject, name: &'static str) -> Result<Option<u64>, RequestError> {
    Ok(optional(body, name, "a whole number")?.map(|Whole(number)| number))
}

fn optional<'a, T: Deserialize<'a>>(
    body: &'a RawObject,
    name: &'static str,
    wanted: &'static str,
) -> Result<Option<T>, RequestError> {
    match body.member(name) {
        None | Some("null") => Ok(None),
        Some(raw) => serde_json::from_str(raw)
            .map(Some)
            .map_err(|_| RequestError::member(name, format!("the member \"{name}\" must be {wanted}"))),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(body: &str) -> Result<Call, String> {
        let object =
            RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).map_err(|error| error.to_string())?;
        Dialect::OpenAiChat.read_call(object).map_err(|error| error.to_string())
    }

    #[test]
    fn a_call_is_read_as_far_as_needed() {
        let call =
            read(r#"{"stream":true,"x":[1],"model":"m","messages":[{}],"max_tokens":7}"#).expect("reads");
        assert_eq!((&*call.model, call.is_stream, call.max_output_tokens), ("m", true, Some(7)));
        assert_eq!(call.stream_options, StreamOptions::Unset);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (body, word) in [
            (r#"{"messages":[{}]}"#, "\"model\" is missing"),
            (r#"{"model":1,"messages":[{}]}"#, "\"model\" must be a string"),
            (r#"{"model":"m"}"#, "\"messages\" is missing"),
            (r#"{"model":"m","messages":{}}"#, "must be an array"),
            (r#"{"model":"m","messages":[ ]}"#, "must not be empty"),
            (r#"{"model":"m","messages":[1],"stream":"yes"}"#, "\"stream\" must be a boolean"),
            (r#"{"model":"m","messages":[1],"max_tokens":-1}"#, "\"max_tokens\" must be a whole number"),
        ] {
            let error = read(body).expect_err(body);
            assert!(error.contains(word), "{body}: {error}");
        }
    }
}
