//! Bodies of the dialects, as far as the gateway reads and writes them. Members that stand nowhere here pass it as they
//! are, in both directions.
//!
//! `Dialect::read_call` reads members one by one, so that the rest of a body stays untouched; these types say for the
//! document which, and `tests/api` holds the gateway against them.

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// A conversation in OpenAI's dialect.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "examples" = [
        { "model": "demo", "messages": [{ "role": "user", "content": "Hello" }] },
        { "model": "demo", "messages": [{ "role": "user", "content": "Hello" }], "stream": true },
    ],
))]
#[expect(dead_code, reason = "read by the derive only")]
pub(super) struct ChatRequest {
    /// The model: a name that `GET /v1/models` lists, or one that a pattern stands for.
    model: String,
    /// The conversation so far: objects with `role` and `content`, which are the provider's to check.
    #[schemars(length(min = 1))]
    messages: Vec<Value>,
    /// Whether the answer comes in parts, as server-sent events.
    stream: Option<bool>,
    /// Only with `stream`.
    stream_options: Option<StreamOptions>,
    /// The most tokens that the model may write; until the answer is there, they are held against limits and budgets.
    max_completion_tokens: Option<u64>,
    /// The older name of `max_completion_tokens`, read where that is missing.
    max_tokens: Option<u64>,
    /// How many answers are wanted.
    n: Option<u64>,
}

/// What a stream carries beside the answer.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the derive only")]
pub(super) struct StreamOptions {
    /// Whether a last event says how many tokens there were.
    include_usage: Option<bool>,
}

/// An answer in OpenAI's dialect: the provider's own, with the model's name as the caller sent it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the derive only")]
pub(super) struct ChatCompletion {
    /// The model, as the caller named it.
    model: String,
    /// The answers.
    choices: Vec<Map<String, Value>>,
    /// How many tokens there were, where the provider counts.
    #[schemars(skip_serializing_if = "Option::is_none")]
    usage: Option<Map<String, Value>>,
}

/// A conversation in Anthropic's dialect.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the derive only")]
pub(super) struct MessagesRequest {
    /// The model: a name that `GET /v1/models` lists, or one that a pattern stands for.
    model: String,
    /// The conversation so far: objects with `role` and `content`, which are the provider's to check.
    #[schemars(length(min = 1))]
    messages: Vec<Value>,
    /// The most tokens that the model may write.
    max_tokens: Option<u64>,
    /// Whether the answer comes in parts, as server-sent events.
    stream: Option<bool>,
}

/// An answer in Anthropic's dialect.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "read by the derive only")]
pub(super) struct MessagesReply {
    /// The model, as the caller named it.
    model: String,
    /// The parts of the answer.
    content: Vec<Map<String, Value>>,
}
