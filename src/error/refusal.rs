//! What a provider said when it refused, and how much of that a caller may read.
//!
//! Its words about a request are the caller's own business; about a failure of its own it may speak of accounts and
//! machines (§3.6).

use std::time::Duration;

use derive_more::Display;

/// What a provider said when it refused.
#[derive(Debug, Clone, Default, Display)]
#[display("{message}")]
pub struct UpstreamRefusal {
    /// The provider's status; `None` where an error inside a stream names none.
    pub status: Option<u16>,
    /// What the caller may read: the provider's words for 4xx, nothing of them otherwise.
    pub message: String,
    /// The member at fault, in the provider's words.
    pub param: Option<String>,
    /// The provider's code.
    pub code: Option<String>,
    /// Anthropic's code in the details of an error, by which its clients find a way out.
    pub error_code: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// What a provider behind the provider said: it may name accounts, so that it is looked at and never told.
    pub behind: Option<String>,
    /// Whether it came inside a stream of which the caller has a part already.
    pub in_band: bool,
}

impl UpstreamRefusal {
    /// The longest wait that is believed of a provider, and told to callers.
    pub const LONGEST_WAIT: Duration = Duration::from_hours(24);

    /// What the caller gets for the provider's status: 4xx as it is, everything else 502.
    #[must_use]
    pub fn caller_status(&self) -> u16 {
        self.status.filter(|status| (400..=499).contains(status)).unwrap_or(502)
    }

    /// What is left of a refusal that nobody may read.
    #[must_use]
    pub fn hidden(status: Option<u16>) -> Self {
        let message = status.map_or_else(
            || "the provider reported an error in its answer".to_owned(),
            |status| format!("upstream returned {status}"),
        );
        Self { status, message, ..Self::default() }
    }

    /// As the answer with this status: its words, param and codes for 4xx, nothing of the provider's otherwise.
    #[must_use]
    pub fn answered(self, status: u16) -> Self {
        let mut refusal = Self { status: Some(status), ..self }.embedded();
        if refusal.message.is_empty() {
            refusal.message = Self::hidden(Some(status)).message;
        }
        refusal
    }

    /// As an error where an answer belongs (§3.7): the status in it decides what the caller gets.
    #[must_use]
    pub fn embedded(self) -> Self {
        match self.status {
            Some(400..=499) => self,
            status => Self { retry_after: self.retry_after, ..Self::hidden(status) },
        }
    }
}

/// Why a provider refused, as far as another target may see it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalClass {
    /// The conversation is longer than the model's context.
    ContextLength,
    /// A filter of the provider's does not like it.
    ContentPolicy,
    /// Anything else.
    Other,
}

/// Codes that say that a conversation is too long: OpenAI, Azure and those who are like them.
const TOO_LONG_CODES: [&str; 2] = ["context_length_exceeded", "context_window_exceeded"];

/// What providers without such a code write, in lower case: Anthropic, Gemini, Bedrock, Cohere, vLLM and DeepSeek, xAI, Mistral.
const TOO_LONG_WORDS: [&str; 10] = [
    "prompt is too long",
    "input token count",
    "input tokens exceeded",
    "too many tokens",
    "maximum context length",
    "maximum prompt length",
    "too large for model with",
    "context window",
    "exceed context limit",
    "reduce the length of the messages",
];

/// Codes of filters: OpenAI, Azure.
const FILTER_CODES: [&str; 3] = ["content_policy_violation", "content_filter", "moderation_blocked"];

/// What providers without such a code write, in lower case: Anthropic, Azure, OpenRouter, xAI.
const FILTER_WORDS: [&str; 5] = [
    "content filtering policy",
    "content management policy",
    "content policy",
    "requires moderation",
    "content violates usage guidelines",
];

impl UpstreamRefusal {
    /// Why it was refused: by the provider's code, otherwise by its words.
    #[must_use]
    pub fn class(&self) -> RefusalClass {
        if !matches!(self.status, Some(400 | 403 | 413 | 422)) {
            return RefusalClass::Other;
        }
        let code = self.code.as_deref().unwrap_or_default();
        let [message, behind] = [Some(&self.message), self.behind.as_ref()]
            .map(|words| words.map(|words| words.to_ascii_lowercase()).unwrap_or_default());
        let says =
            |words: &[&str]| words.iter().any(|words| message.contains(words) || behind.contains(words));
        if TOO_LONG_CODES.contains(&code) || (code != "rate_limit_exceeded" && says(&TOO_LONG_WORDS)) {
            RefusalClass::ContextLength
        } else if FILTER_CODES.contains(&code) || says(&FILTER_WORDS) {
            RefusalClass::ContentPolicy
        } else {
            RefusalClass::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_sorted_by_its_code_and_otherwise_by_its_words() {
        let cases = [
            (400, Some("context_length_exceeded"), "whatever", RefusalClass::ContextLength),
            (400, None, "prompt is too long: 210000 tokens > 200000 maximum", RefusalClass::ContextLength),
            (
                400,
                None,
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                RefusalClass::ContextLength,
            ),
            (400, None, "This model's maximum context length is 8192 tokens.", RefusalClass::ContextLength),
            (400, Some("content_filter"), "filtered", RefusalClass::ContentPolicy),
            (400, None, "Output blocked by content filtering policy", RefusalClass::ContentPolicy),
            (400, Some("invalid_value"), "max_tokens is too large", RefusalClass::Other),
            (429, None, "too many tokens per minute", RefusalClass::Other),
            (500, None, "prompt is too long", RefusalClass::Other),
        ];
        for (status, code, message, class) in cases {
            let refusal = UpstreamRefusal {
                status: Some(status),
                code: code.map(str::to_owned),
                message: message.to_owned(),
                ..UpstreamRefusal::default()
            };
            assert_eq!(refusal.class(), class, "{message}");
        }
    }
}
