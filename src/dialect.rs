//! Dialects: the wire formats, as pure code. No `await`, no clock, no socket below this file.
//!
//! Same dialect on both sides: the bytes are patched and everything that the gateway does not know survives.

pub mod anthropic;
mod base64;
pub mod call;
pub mod canonical;
pub mod chat;
pub mod codec;
pub mod cohere;
pub mod completions;
pub mod form;
pub mod gemini;
pub mod json;
pub mod marks;
pub mod openai_chat;
pub mod openai_responses;
pub mod plain;
pub mod prefill;
pub mod raw;
pub mod replay;
pub mod sse;
pub mod stream;
pub mod voyage;
pub mod whole;

pub use call::{Body, Call, StreamOptions};

use crate::operation::Task;

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions.
    OpenAiChat,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Cohere's second version; its rerank is that of callers and of Jina too.
    Cohere,
    /// OpenAI's other endpoints: a JSON object or a form that names a model.
    OpenAi,
    /// Voyage's rerank.
    Voyage,
}

impl Dialect {
    /// The dialects in which callers converse.
    pub const CALLERS: [Self; 4] = [Self::OpenAiChat, Self::OpenAiResponses, Self::Anthropic, Self::Gemini];

    /// The name of the protocol in metrics and records: that of whoever defined it.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses | Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
            Self::Voyage => "voyage",
        }
    }

    /// Whether a task of a caller of this dialect can be given to a provider of another.
    #[must_use]
    pub const fn translates(self, task: Task, provider: Self) -> bool {
        match task {
            Task::Converse => {
                matches!(self, Self::OpenAiChat | Self::OpenAiResponses | Self::Anthropic | Self::Gemini)
            }
            Task::Embed => matches!((self, provider), (Self::OpenAi, Self::Cohere)),
            Task::Rerank => matches!((self, provider), (Self::Cohere, Self::Voyage)),
            _ => false,
        }
    }
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
    /// The part of `cache_write` that the provider keeps for an hour, which costs more.
    pub cache_write_hour: u64,
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
        Self::guessed(prompt, tokens_of_bytes(delivered_bytes))
    }

    /// Tokens that nobody has counted.
    #[must_use]
    pub fn guessed(prompt: u64, completion: u64) -> Self {
        let total = prompt.saturating_add(completion);
        Self { prompt, completion, total, is_estimated: true, ..Self::default() }
    }
}

/// The usual rule of thumb: a token is about four bytes of text.
#[must_use]
pub fn tokens_of_bytes(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}
