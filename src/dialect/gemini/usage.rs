//! What Google counts, and why it stops, in both directions.

use serde::Deserialize;

use crate::dialect::Usage;
use crate::dialect::chat::Finish;
use crate::dialect::json::Writer;

/// `usageMetadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Counts {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    total_token_count: Option<u64>,
}

impl Counts {
    /// As OpenAI counts; `None` where everything is zero: Vertex sends an empty object while it has not counted.
    pub(super) fn usage(&self) -> Option<Usage> {
        let tools = self.tool_use_prompt_token_count.unwrap_or(0);
        let prompt = self.prompt_token_count.unwrap_or(0).saturating_add(tools);
        let reasoning = self.thoughts_token_count.unwrap_or(0);
        let completion = self.candidates_token_count.unwrap_or(0).saturating_add(reasoning);
        let sum = prompt.saturating_add(completion);
        let usage = Usage {
            prompt,
            completion,
            cached: self.cached_content_token_count.unwrap_or(0).min(prompt),
            cache_write: 0,
            cache_write_hour: 0,
            reasoning,
            total: self.total_token_count.unwrap_or(sum),
            is_estimated: false,
        };
        (usage.total > 0).then_some(usage)
    }
}

/// Writes the value of `usageMetadata`.
pub(super) fn write(usage: &Usage, w: &mut Writer<'_>) {
    let reasoning = usage.reasoning.min(usage.completion);
    w.object(|w| {
        w.name("promptTokenCount").number(usage.prompt);
        w.name("candidatesTokenCount").number(usage.completion - reasoning);
        if reasoning > 0 {
            w.name("thoughtsTokenCount").number(reasoning);
        }
        if usage.cached > 0 {
            w.name("cachedContentTokenCount").number(usage.cached);
        }
        w.name("totalTokenCount").number(usage.total);
    });
}

/// Reads the answer of `countTokens`.
#[must_use]
pub fn read_count(body: &str) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Counted {
        total_tokens: u64,
    }
    serde_json::from_str::<Counted>(body).ok().map(|counted| counted.total_tokens)
}

/// What a `finishReason` means (§11.8); Gemini has no word for an answer that calls tools.
pub(super) fn finish(word: &str, has_calls: bool) -> Finish<'static> {
    match word {
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => Finish::ContentFilter,
        _ if has_calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// Google's word for a reason.
pub(super) fn finish_word(finish: &Finish<'_>) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter | Finish::Refusal => "SAFETY",
    }
}
