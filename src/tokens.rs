//! Tokens counted here, where a provider does not: by OpenAI's `o200k_base` vocabulary.
//!
//! Other vocabularies come within some ten per cent of it for prose; whatever is counted here is marked as an estimate.

use crate::dialect::chat::{Arguments, Conversation, Part};

/// Longest text that is counted in full, in bytes; of longer ones the rest is taken to be like the beginning. It bounds the
/// time that a worker spends on it: some ten milliseconds.
const MAX_COUNTED_BYTES: usize = 256 << 10;
/// What a picture counts: about what providers bill for one of a thousand by a thousand pixels.
const PICTURE_TOKENS: u64 = 1_100;
/// What a piece of media counts whose length nobody knows here: a page of a document, half a minute of sound.
const MEDIA_TOKENS: u64 = 1_500;
/// What stands around each turn, each part and each tool.
const FRAME_TOKENS: u64 = 4;

/// The tokens of a text.
#[must_use]
pub fn count(text: &str) -> u64 {
    let counted = text.get(..text.floor_char_boundary(MAX_COUNTED_BYTES)).unwrap_or_default();
    let tokens = bpe_openai::o200k_base().count(counted) as u64;
    match counted.len() == text.len() {
        true => tokens,
        false => tokens.saturating_mul(text.len() as u64) / (counted.len().max(1) as u64),
    }
}

/// The tokens of a conversation, tools included.
#[must_use]
pub fn count_conversation(conversation: &Conversation<'_>) -> u64 {
    let mut words = String::new();
    let mut others = 0u64;
    for part in &conversation.system {
        add(part, &mut words, &mut others);
    }
    for turn in &conversation.turns {
        others += FRAME_TOKENS;
        for part in &turn.parts {
            add(part, &mut words, &mut others);
        }
    }
    for tool in &conversation.tools {
        others += FRAME_TOKENS;
        words.push_str(&tool.name.decode());
        words.push('\n');
        words.push_str(&tool.description.as_ref().map(|text| text.decode()).unwrap_or_default());
        words.push('\n');
        words.push_str(tool.parameters.as_deref().unwrap_or_default());
        words.push('\n');
    }
    count(&words).saturating_add(others)
}

fn add(part: &Part<'_>, words: &mut String, others: &mut u64) {
    match part {
        Part::Text(text) => words.push_str(&text.text.decode()),
        Part::Thought(thought) => words.push_str(&thought.text.decode()),
        Part::Refusal(text) => words.push_str(&text.decode()),
        Part::Media(media) => {
            *others += match (&media.source, media.kind) {
                (crate::dialect::chat::Source::Plain(text), _) => count(&text.decode()),
                (_, crate::dialect::chat::MediaKind::Image) => PICTURE_TOKENS,
                _ => MEDIA_TOKENS,
            };
        }
        Part::ToolCall(call) => {
            *others += FRAME_TOKENS;
            words.push_str(&call.name.decode());
            match &call.arguments {
                Arguments::Text(text) => words.push_str(&text.decode()),
                Arguments::Object(json) => words.push_str(json),
            }
        }
        Part::ToolResult(result) => {
            *others += FRAME_TOKENS;
            for part in &result.content {
                add(part, words, others);
            }
        }
    }
    words.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts_have_their_known_counts() {
        // Counted with OpenAI's own tokenizer for o200k_base.
        for (text, tokens) in [("", 0), ("hello world", 2), ("tiktoken is great!", 6)] {
            assert_eq!(count(text), tokens, "{text}");
        }
    }

    #[test]
    fn a_very_long_text_is_extrapolated() {
        let text = "hello world ".repeat(MAX_COUNTED_BYTES / 4);
        let expected = (MAX_COUNTED_BYTES / 4 * 2) as u64;
        let counted = count(&text);
        assert!(counted.abs_diff(expected) < expected / 100, "{counted} against {expected}");
    }
}
