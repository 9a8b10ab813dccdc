//! The provider in this process: answers without a key and without a network, for first steps and for tests.

use super::{Provider, Way};
use crate::dialect::Dialect;
use crate::dialect::prefill::Prefill;
use crate::operation::Task;

/// Conversations only in OpenAI's chat: callers in other dialects see translation at work.
const WAYS: &[Way] = &[
    Way::new(Task::Converse, Dialect::OpenAiChat, "/chat/completions"),
    Way::new(Task::Complete, Dialect::OpenAi, "/completions"),
    Way::new(Task::Embed, Dialect::OpenAi, "/embeddings"),
    Way::new(Task::Rerank, Dialect::Cohere, "/rerank"),
    Way::new(Task::Image, Dialect::OpenAi, "/images/generations"),
    Way::new(Task::EditImage, Dialect::OpenAi, "/images/edits"),
    Way::new(Task::Transcribe, Dialect::OpenAi, "/audio/transcriptions"),
    Way::new(Task::Translate, Dialect::OpenAi, "/audio/translations"),
    Way::new(Task::Speak, Dialect::OpenAi, "/audio/speech"),
    Way::new(Task::Moderate, Dialect::OpenAi, "/moderations"),
];

/// The mock, as configuration names it: `provider = "mock"`.
pub(super) static MOCK: Mock = Mock;

/// See the module.
pub(super) struct Mock;

impl Provider for Mock {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn ways(&self) -> &'static [Way] {
        WAYS
    }

    fn api_base(&self) -> Option<&'static str> {
        Some("mock://in-process")
    }

    fn credential_env(&self) -> Option<&'static str> {
        None
    }

    fn prefill(&self) -> Prefill {
        Prefill::Marked
    }

    fn is_in_process(&self) -> bool {
        true
    }

    fn needs_credential(&self) -> bool {
        false
    }
}
