//! What can be asked for: the columns of the table of endpoints and of what providers offer.

use derive_more::Display;

/// What a caller asks for, whatever the dialect it asks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display)]
pub enum Operation {
    /// Is the process up? Needs no key.
    #[display("livez")]
    Livez,
    /// May traffic be sent here? Needs no key.
    #[display("readyz")]
    Readyz,
    /// List the models that the key may call.
    #[display("models")]
    Models,
    /// A conversation in OpenAI's chat dialect.
    #[display("chat completions")]
    Chat,
    /// A conversation in Anthropic's dialect.
    #[display("messages")]
    Messages,
    /// Count the tokens of a conversation in Anthropic's dialect.
    #[display("count tokens")]
    CountTokens,
}

impl Operation {
    /// The name in metrics and log lines.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Livez => "livez",
            Self::Readyz => "readyz",
            Self::Models => "models",
            Self::Chat => "chat_completions",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
        }
    }

    /// Whether guardrails judge what is asked and answered.
    #[must_use]
    pub fn is_screened(self) -> bool {
        match self {
            Self::Chat | Self::Messages => true,
            // Nothing is said by these, or it is only counted (§10.4).
            Self::Livez | Self::Readyz | Self::Models | Self::CountTokens => false,
        }
    }

    /// Whether every answer carries `x-aisix-call-id`.
    #[must_use]
    pub fn has_call_id(self) -> bool {
        matches!(self, Self::Chat)
    }
}
