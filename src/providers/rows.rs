//! The providers known by name: where each is, how it authenticates, and what it answers in which dialect.
//!
//! Addresses, paths and headers: each vendor's own API reference, and recorded exchanges.

use actix_web::http::header::{HeaderName, HeaderValue};

use super::row::{Auth, Root, Row};
use super::way::Way;
use crate::dialect::Dialect as D;
use crate::dialect::openai_chat::neutral::Manners;
use crate::dialect::prefill::Prefill;
use crate::operation::Task as T;

const CHAT: Way = Way::new(T::Converse, D::OpenAiChat, "/chat/completions");
const RESPONSES: Way = Way::new(T::Converse, D::OpenAiResponses, "/responses");
const COMPLETE: Way = Way::new(T::Complete, D::OpenAi, "/completions");
const EMBED: Way = Way::new(T::Embed, D::OpenAi, "/embeddings");
const RERANK: Way = Way::new(T::Rerank, D::Cohere, "/rerank");
const IMAGE: Way = Way::new(T::Image, D::OpenAi, "/images/generations");
const EDIT_IMAGE: Way = Way::new(T::EditImage, D::OpenAi, "/images/edits");
const TRANSCRIBE: Way = Way::new(T::Transcribe, D::OpenAi, "/audio/transcriptions");
const TRANSLATE: Way = Way::new(T::Translate, D::OpenAi, "/audio/translations");
const SPEAK: Way = Way::new(T::Speak, D::OpenAi, "/audio/speech");
const MODERATE: Way = Way::new(T::Moderate, D::OpenAi, "/moderations");

/// All that OpenAI's API has and this gateway serves; rerank is for servers that are configured as `openai`.
const OPENAI: &[Way] =
    &[CHAT, RESPONSES, COMPLETE, EMBED, RERANK, IMAGE, EDIT_IMAGE, TRANSCRIBE, TRANSLATE, SPEAK, MODERATE];

/// The same without Responses: few of those who are like OpenAI have it, and it can be translated.
const LIKE_OPENAI: &[Way] =
    &[CHAT, COMPLETE, EMBED, RERANK, IMAGE, EDIT_IMAGE, TRANSCRIBE, TRANSLATE, SPEAK, MODERATE];

const ANTHROPIC: &[Way] = &[
    Way::new(T::Converse, D::Anthropic, "/v1/messages"),
    Way::new(T::CountTokens, D::Anthropic, "/v1/messages/count_tokens"),
];

/// Anthropic API reference, "Versions".
static ANTHROPIC_HEADERS: [(HeaderName, HeaderValue); 1] =
    [(HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"))];

const GEMINI: &[Way] = &[
    Way::new(T::Converse, D::Gemini, "/v1beta/models/{model}:generateContent")
        .streamed_at("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
    Way::new(T::CountTokens, D::Gemini, "/v1beta/models/{model}:countTokens"),
    Way::new(T::Embed, D::OpenAi, "/v1beta/openai/embeddings").authorized_by(Auth::Bearer),
    Way::new(T::Image, D::OpenAi, "/v1beta/openai/images/generations").authorized_by(Auth::Bearer),
];

/// Azure OpenAI reference, data plane, version 2024-10-21; Responses: the version-less `v1` API.
const AZURE: &[Way] = &[
    Way::new(
        T::Converse,
        D::OpenAiChat,
        "/openai/deployments/{model}/chat/completions?api-version=2024-10-21",
    ),
    Way::new(T::Converse, D::OpenAiResponses, "/openai/v1/responses"),
    Way::new(T::Complete, D::OpenAi, "/openai/deployments/{model}/completions?api-version=2024-10-21"),
    Way::new(T::Embed, D::OpenAi, "/openai/deployments/{model}/embeddings?api-version=2024-10-21"),
    Way::new(T::Image, D::OpenAi, "/openai/deployments/{model}/images/generations?api-version=2024-10-21"),
    Way::new(
        T::Transcribe,
        D::OpenAi,
        "/openai/deployments/{model}/audio/transcriptions?api-version=2024-10-21",
    ),
    Way::new(
        T::Translate,
        D::OpenAi,
        "/openai/deployments/{model}/audio/translations?api-version=2024-10-21",
    ),
    Way::new(T::Speak, D::OpenAi, "/openai/deployments/{model}/audio/speech?api-version=2024-10-21"),
];

const COHERE: &[Way] = &[
    Way::new(T::Converse, D::Cohere, "/v2/chat"),
    Way::new(T::Embed, D::Cohere, "/v2/embed"),
    Way::new(T::Rerank, D::Cohere, "/v2/rerank"),
];

const VOYAGE: &[Way] = &[EMBED, Way::new(T::Rerank, D::Voyage, "/rerank")];

/// OpenAI itself: its reasoning models refuse the older name of the limit.
const NEWEST: Manners = Manners { max_tokens: "max_completion_tokens", ..Manners::USUAL };

/// Knows a JSON mode and no schemas, and wants its thoughts back where tools are used.
const DEEPSEEK: Manners = Manners {
    takes_schema: false,
    takes_files: false,
    replays_reasoning: true,
    renames: &[("max_completion_tokens", "max_tokens")],
    ..Manners::USUAL
};

/// Refuses every member that it does not know. Mistral API reference, "Chat Completion".
const MISTRAL: Manners = Manners {
    takes_effort: false,
    takes_files: false,
    takes_user: false,
    takes_names: false,
    takes_logprobs: false,
    shared: Some(&["metadata"]),
    renames: &[("max_completion_tokens", "max_tokens"), ("seed", "random_seed")],
    ..Manners::USUAL
};

/// Whoever nobody knows by name: the operator says where.
static COMPATIBLE: Row = Row::local("openai-compatible", None, LIKE_OPENAI);

static ANTHROPIC_ROW: Row = Row {
    auth: Auth::Header("x-api-key"),
    headers: &ANTHROPIC_HEADERS,
    root: Root::Without(&["/v1"]),
    // Some of the newer models refuse it, which is an answer too.
    prefill: Prefill::Turn,
    ..Row::hosted("anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", ANTHROPIC)
};

static GEMINI_ROW: Row = Row {
    auth: Auth::Header("x-goog-api-key"),
    root: Root::Without(&["/v1beta/openai", "/v1beta", "/v1"]),
    ..Row::hosted("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY", GEMINI)
};

static AZURE_ROW: Row = Row {
    auth: Auth::Header("api-key"),
    root: Root::Resource,
    api_base: None,
    manners: NEWEST,
    ..Row::hosted("azure-openai", "", "AZURE_OPENAI_API_KEY", AZURE)
};

static COHERE_ROW: Row = Row {
    root: Root::Without(&["/v1", "/v2"]),
    ..Row::hosted("cohere", "https://api.cohere.com", "COHERE_API_KEY", COHERE)
};

/// The protocol families, as `provider_keys[].adapter` spells them.
pub(super) static FAMILIES: [(&str, &Row); 5] = [
    ("openai", &COMPATIBLE),
    ("anthropic", &ANTHROPIC_ROW),
    ("azure-openai", &AZURE_ROW),
    ("gemini", &GEMINI_ROW),
    ("cohere", &COHERE_ROW),
];

/// The vendors known by name.
pub(super) static ROWS: [&Row; 19] = [
    &OPENAI_ROW,
    &ANTHROPIC_ROW,
    &GEMINI_ROW,
    &AZURE_ROW,
    &COHERE_ROW,
    &Row::hosted("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", &[CHAT]).with(DEEPSEEK),
    &Row::hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        &[CHAT, EMBED, TRANSCRIBE, SPEAK, MODERATE],
    )
    .with(MISTRAL)
    .prefilled(Prefill::Marked),
    &Row::hosted(
        "groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        &[CHAT, TRANSCRIBE, TRANSLATE, SPEAK],
    )
    .prefilled(Prefill::Turn),
    &Row::hosted("xai", "https://api.x.ai/v1", "XAI_API_KEY", &[CHAT, RESPONSES, IMAGE]),
    &Row::hosted(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        &[CHAT, RESPONSES, COMPLETE, EMBED, RERANK, SPEAK],
    ),
    &Row::hosted(
        "together",
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
        &[CHAT, COMPLETE, EMBED, RERANK, IMAGE, TRANSCRIBE, TRANSLATE, SPEAK],
    ),
    &Row::hosted(
        "fireworks",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        &[CHAT, COMPLETE, EMBED, RERANK],
    ),
    &Row::hosted("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", &[CHAT, COMPLETE]),
    &Row::hosted("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", &[CHAT]),
    &Row::hosted("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN", &[CHAT]),
    &Row::hosted("jina", "https://api.jina.ai/v1", "JINA_API_KEY", &[EMBED, RERANK]),
    &Row::hosted("voyage", "https://api.voyageai.com/v1", "VOYAGE_API_KEY", VOYAGE),
    &Row::local("ollama", Some("http://127.0.0.1:11434/v1"), &[CHAT, COMPLETE, EMBED]),
    &Row::local(
        "vllm",
        Some("http://127.0.0.1:8000/v1"),
        &[CHAT, COMPLETE, EMBED, RERANK, TRANSCRIBE, TRANSLATE],
    ),
];

static OPENAI_ROW: Row = Row {
    manners: NEWEST,
    root: Root::Versioned("https://api.openai.com"),
    ..Row::hosted("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", OPENAI)
};
