//! The provider in this process: answers without a key and without a network, for first steps and for tests.

use super::{Provider, Way};
use crate::dialect::Dialect;
use crate::operation::Task;

const WAYS: &[Way] = &[
    Way::new(Task::Converse, Dialect::OpenAiChat, "/chat/completions"),
    Way::new(Task::Embed, Dialect::OpenAi, "/embeddings"),
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

    fn is_in_process(&self) -> bool {
        true
    }

    fn needs_credential(&self) -> bool {
        false
    }
}
