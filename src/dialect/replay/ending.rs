//! How an answer ended: a provider's filter, or its trouble, may say something else the next time.
//!
//! Endings that nobody has heard of are none of these.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::Dialect;
use crate::operation::Task;

/// It had said all, may not say more, or waits for tools; `model_length` is Mistral's word, `eos` that of others.
const CHAT: [&str; 6] = ["stop", "length", "tool_calls", "function_call", "model_length", "eos"];
const ANTHROPIC: [&str; 5] =
    ["end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"];
const GEMINI: [&str; 2] = ["STOP", "MAX_TOKENS"];

/// Whether all of a whole answer, in its caller's dialect, ended as answers should.
#[must_use]
pub fn is_proper(task: Task, dialect: Dialect, body: &[u8]) -> bool {
    match (task, dialect) {
        (Task::Complete, _) | (Task::Converse, Dialect::OpenAiChat) => read::<Chat<'_>>(body)
            .is_some_and(|reply| all(reply.choices.iter().map(|choice| &choice.finish_reason), &CHAT)),
        (Task::Converse, Dialect::Anthropic) => {
            read::<Message<'_>>(body).is_some_and(|message| all([&message.stop_reason], &ANTHROPIC))
        }
        (Task::Converse, Dialect::Gemini) => read::<Gemini<'_>>(body).is_some_and(|reply| {
            all(reply.candidates.iter().map(|candidate| &candidate.finish_reason), &GEMINI)
        }),
        (Task::Converse, Dialect::OpenAiResponses) => {
            read::<Response<'_>>(body).is_some_and(|response| response.is_proper())
        }
        // These do not end, they are there.
        _ => true,
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// Whether there are reasons, and all of them known.
fn all<'a>(reasons: impl IntoIterator<Item = &'a Word<'a>>, known: &[&str]) -> bool {
    let mut reasons = reasons.into_iter().peekable();
    reasons.peek().is_some() && reasons.all(|reason| reason.is_one_of(known))
}

/// A member that is a word, or is not there.
#[derive(Deserialize, Default)]
struct Word<'a>(#[serde(borrow)] Option<Cow<'a, str>>);

impl Word<'_> {
    fn is_one_of(&self, known: &[&str]) -> bool {
        self.0.as_deref().is_some_and(|word| known.contains(&word))
    }
}

#[derive(Deserialize)]
struct Chat<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    finish_reason: Word<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    stop_reason: Word<'a>,
}

#[derive(Deserialize)]
struct Gemini<'a> {
    #[serde(borrow)]
    candidates: Vec<Candidate<'a>>,
}

#[derive(Deserialize)]
struct Candidate<'a> {
    #[serde(borrow, default, rename = "finishReason")]
    finish_reason: Word<'a>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    status: Word<'a>,
    #[serde(borrow)]
    incomplete_details: Option<Incomplete<'a>>,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow, default)]
    reason: Word<'a>,
}

impl Response<'_> {
    /// One that is queued, or goes on in the background, is only announced.
    fn is_proper(&self) -> bool {
        let is_cut = || {
            self.incomplete_details.as_ref().is_some_and(|cut| cut.reason.is_one_of(&["max_output_tokens"]))
        };
        self.status.is_one_of(&["completed"]) || self.status.is_one_of(&["incomplete"]) && is_cut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_ended_otherwise_than_they_should_are_told() {
        use Dialect::{Anthropic, Gemini, OpenAi, OpenAiChat, OpenAiResponses};
        use Task::{Complete, Converse, Embed};
        for (task, dialect, body, is_well) in [
            (Converse, OpenAiChat, r#"{"choices":[{"finish_reason":"stop"}]}"#, true),
            (
                Converse,
                OpenAiChat,
                r#"{"choices":[{"finish_reason":"tool_calls"},{"finish_reason":"length"}]}"#,
                true,
            ),
            (
                Converse,
                OpenAiChat,
                r#"{"choices":[{"finish_reason":"stop"},{"finish_reason":"content_filter"}]}"#,
                false,
            ),
            (
                Converse,
                OpenAiChat,
                r#"{"choices":[{"finish_reason":"insufficient_system_resource"}]}"#,
                false,
            ),
            (Converse, OpenAiChat, r#"{"choices":[{"finish_reason":null}]}"#, false),
            (Converse, OpenAiChat, r#"{"choices":[]}"#, false),
            (Complete, OpenAi, r#"{"choices":[{"text":"x","finish_reason":"length"}]}"#, true),
            (Complete, OpenAi, r#"{"choices":[{"text":"x","finish_reason":"content_filter"}]}"#, false),
            (Converse, Anthropic, r#"{"stop_reason":"end_turn"}"#, true),
            (Converse, Anthropic, r#"{"stop_reason":"refusal"}"#, false),
            (Converse, Anthropic, r#"{"stop_reason":"pause_turn"}"#, false),
            (Converse, Gemini, r#"{"candidates":[{"finishReason":"MAX_TOKENS"}]}"#, true),
            (Converse, Gemini, r#"{"candidates":[{"finishReason":"SAFETY"}]}"#, false),
            (Converse, Gemini, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#, false),
            (Converse, OpenAiResponses, r#"{"status":"completed","incomplete_details":null}"#, true),
            (Converse, OpenAiResponses, r#"{"status":"queued"}"#, false),
            (
                Converse,
                OpenAiResponses,
                r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
                true,
            ),
            (
                Converse,
                OpenAiResponses,
                r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}"#,
                false,
            ),
            (Embed, OpenAi, r#"{"data":[]}"#, true),
        ] {
            assert_eq!(is_proper(task, dialect, body.as_bytes()), is_well, "{body}");
        }
    }
}
