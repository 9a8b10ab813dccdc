//! OpenAI, and everyone who speaks OpenAI's chat dialect: a row each.
//!
//! API roots: each vendor's own reference, in the section on OpenAI compatibility or chat completions.

use super::Provider;
use crate::dialect::Dialect;
use crate::operation::Operation;

/// The protocol family, as `provider_keys[].adapter` spells it.
pub(super) const ADAPTER: &str = "openai";

/// A provider that speaks OpenAI's dialect.
pub(super) struct Row {
    name: &'static str,
    api_base: Option<&'static str>,
    credential_env: Option<&'static str>,
    /// Servers that people run themselves, mostly without a key.
    is_local: bool,
}

const fn hosted(name: &'static str, api_base: &'static str, credential_env: &'static str) -> Row {
    Row { name, api_base: Some(api_base), credential_env: Some(credential_env), is_local: false }
}

const fn local(name: &'static str, api_base: Option<&'static str>) -> Row {
    Row { name, api_base, credential_env: None, is_local: true }
}

/// Whoever nobody knows by name: the operator says where.
pub(super) static COMPATIBLE: Row = local("openai-compatible", None);

/// The vendors known by name.
pub(super) static ROWS: [Row; 13] = [
    hosted("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    hosted("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    hosted("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    hosted("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    hosted("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    hosted("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    hosted("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    hosted("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    hosted("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    hosted("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    hosted("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN"),
    local("ollama", Some("http://127.0.0.1:11434/v1")),
    local("vllm", Some("http://127.0.0.1:8000/v1")),
];

impl Provider for Row {
    fn name(&self) -> &'static str {
        self.name
    }

    fn dialect(&self, operation: Operation) -> Option<Dialect> {
        (operation == Operation::Chat).then_some(Dialect::OpenAiChat)
    }

    fn path(&self, operation: Operation) -> &'static str {
        if operation == Operation::Chat { "/chat/completions" } else { "" }
    }

    fn api_base(&self) -> Option<&'static str> {
        self.api_base
    }

    fn credential_env(&self) -> Option<&'static str> {
        self.credential_env
    }

    fn needs_credential(&self) -> bool {
        !self.is_local
    }
}
