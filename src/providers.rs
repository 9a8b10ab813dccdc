//! Providers: who is asked, where, and with which credential. Pure: no I/O, no clock, no shared state.
//!
//! A provider is a row of data: its address, how it authenticates, and the ways in which it answers. Nothing outside this
//! module compares a provider's name.

use std::borrow::Cow;

use actix_web::http::header::{HeaderName, HeaderValue};

use crate::dialect::Dialect;
use crate::dialect::openai_chat::neutral::Manners;
use crate::dialect::prefill::Prefill;
use crate::operation::{Operation, Task};

mod azure;
mod mock;
mod row;
mod rows;
mod way;

pub use row::Auth;
pub use way::Way;

/// What is particular to one provider.
pub trait Provider: Send + Sync + 'static {
    /// The vendor id, as configuration spells it.
    fn name(&self) -> &'static str;

    /// The provider whose row of the price table holds for it.
    fn priced_as(&self) -> &'static str {
        self.name()
    }

    /// The ways in which it answers; the first of a task is its own, others are there for callers of that dialect.
    fn ways(&self) -> &'static [Way];

    /// The API's root, for provider keys that name none; `None` where the operator must.
    fn api_base(&self) -> Option<&'static str>;

    /// The API's root in what an operator wrote, who may have pasted an endpoint.
    fn root<'a>(&self, written: &'a str) -> Cow<'a, str> {
        root_of(written).into()
    }

    /// The environment variable that holds the credential by custom.
    fn credential_env(&self) -> Option<&'static str>;

    /// Whether it answers in this process, without a network.
    fn is_in_process(&self) -> bool {
        false
    }

    /// Whether a provider key must bring a credential.
    fn needs_credential(&self) -> bool {
        true
    }

    /// The header that authenticates; `None` for a credential that no header can carry.
    fn authorize(&self, credential: &str) -> Option<(HeaderName, HeaderValue)> {
        Auth::Bearer.header(credential)
    }

    /// How a credential is exchanged for a token first; `None` where it authenticates by itself.
    fn grant(&self, _credential: &str) -> Option<Grant> {
        None
    }

    /// What it understands of OpenAI's chat dialect, for requests that are written in it.
    fn manners(&self) -> Manners {
        Manners::USUAL
    }

    /// Whether it goes on with an answer that is begun for it.
    fn prefill(&self) -> Prefill {
        Prefill::Never
    }

    /// Further headers of every request.
    fn headers(&self) -> &'static [(HeaderName, HeaderValue)] {
        &[]
    }
}

/// A request for a token (OAuth 2.0, client credentials): a form that is posted. Holds a secret and is not printed.
pub struct Grant {
    /// Where to.
    pub url: String,
    /// The form, encoded.
    pub form: String,
}

/// How a provider answers an operation for a caller of a dialect: in that dialect where it can, otherwise in one that is
/// translated; `None` is the endpoint's 501.
#[must_use]
pub fn way(provider: &dyn Provider, operation: Operation, caller: Dialect) -> Option<&'static Way> {
    let task = operation.task()?;
    let ways = || provider.ways().iter().filter(move |way| way.task == task);
    let same = ways().find(|way| way.dialect == caller);
    same.or_else(|| ways().find(|way| caller.translates(task, way.dialect)))
}

/// Whether a provider answers an endpoint at all. Tokens are counted by the gateway where a provider does not.
#[must_use]
pub fn answers(provider: &dyn Provider, operation: Operation, caller: Dialect) -> bool {
    let is_estimated =
        operation == Operation::CountTokens && provider.ways().iter().any(|way| way.task == Task::Converse);
    is_estimated || way(provider, operation, caller).is_some()
}

/// The provider that knows a vendor, or the one that speaks the named protocol family for vendors nobody knows.
#[must_use]
pub fn find(provider: &str, adapter: Option<&str>) -> Option<&'static dyn Provider> {
    let known = all().find(|row| row.name() == provider);
    known.or_else(|| {
        rows::FAMILIES.iter().find(|(name, _)| adapter == Some(name)).map(|(_, row)| *row as &dyn Provider)
    })
}

/// The protocol families that a vendor nobody knows may speak.
#[must_use]
pub fn adapters() -> Vec<&'static str> {
    rows::FAMILIES.iter().map(|(name, _)| *name).collect()
}

/// Every vendor id that is known by name.
#[must_use]
pub fn names() -> Vec<&'static str> {
    all().map(Provider::name).collect()
}

/// Every provider that is known by name.
pub fn all() -> impl Iterator<Item = &'static dyn Provider> {
    rows::ROWS.iter().map(|row| *row as &dyn Provider).chain([&mock::MOCK as &dyn Provider])
}

/// Strips what people paste along with an API's root: trailing slashes and an endpoint's path.
#[must_use]
pub fn root_of(pasted: &str) -> &str {
    const ENDPOINTS: [&str; 14] = [
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/responses",
        "/messages",
        "/rerank",
        "/audio/transcriptions",
        "/audio/translations",
        "/audio/speech",
        "/images/generations",
        "/images/edits",
        "/moderations",
        "/chat",
        "/embed",
    ];
    let trimmed = pasted.trim().trim_end_matches('/');
    let root = ENDPOINTS.iter().find_map(|endpoint| trimmed.strip_suffix(endpoint)).unwrap_or(trimmed);
    root.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_found_by_name_and_otherwise_by_its_protocol() {
        assert_eq!(find("groq", None).map(Provider::name), Some("groq"));
        assert_eq!(find("groq", Some("anthropic")).map(Provider::name), Some("groq"));
        assert_eq!(find("acme", Some("openai")).map(Provider::name), Some("openai-compatible"));
        assert_eq!(find("acme", Some("anthropic")).map(Provider::name), Some("anthropic"));
        assert!(find("acme", None).is_none());
        assert!(find("acme", Some("x")).is_none());
    }

    #[test]
    fn names_are_unique_and_every_path_begins_at_the_root() {
        let names = names();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[index + 1..].contains(name), "{name} twice");
        }
        for provider in all() {
            assert!(!provider.ways().is_empty(), "{}", provider.name());
            for way in provider.ways() {
                assert!(way.path("m", true).starts_with('/'), "{} {:?}", provider.name(), way.task);
            }
        }
    }

    #[test]
    fn a_caller_is_answered_in_its_own_dialect_where_the_provider_speaks_it() {
        let dialect = |name, operation, caller| {
            way(find(name, None).expect("known"), operation, caller).map(|way| way.dialect)
        };
        use {Dialect as D, Operation as O};
        for (name, operation, caller, spoken) in [
            ("openai", O::Chat, D::OpenAiChat, Some(D::OpenAiChat)),
            ("openai", O::Responses, D::OpenAiResponses, Some(D::OpenAiResponses)),
            ("openai", O::Messages, D::Anthropic, Some(D::OpenAiChat)),
            ("anthropic", O::Chat, D::OpenAiChat, Some(D::Anthropic)),
            ("groq", O::Generate, D::Gemini, Some(D::OpenAiChat)),
            ("gemini", O::StreamGenerate, D::Gemini, Some(D::Gemini)),
            ("cohere", O::Embed, D::OpenAi, Some(D::Cohere)),
            ("anthropic", O::Embed, D::OpenAi, None),
            ("voyage", O::Rerank, D::Cohere, Some(D::Voyage)),
            ("jina", O::Rerank, D::Cohere, Some(D::Cohere)),
            ("jina", O::Chat, D::OpenAiChat, None),
        ] {
            assert_eq!(dialect(name, operation, caller), spoken, "{name} {operation}");
        }
    }

    #[test]
    fn tokens_are_counted_for_whoever_converses() {
        let openai = find("openai", None).expect("known");
        assert!(way(openai, Operation::CountTokens, Dialect::Anthropic).is_none());
        assert!(answers(openai, Operation::CountTokens, Dialect::Anthropic));
        assert!(!answers(find("jina", None).expect("known"), Operation::CountTokens, Dialect::Anthropic));
    }

    #[test]
    fn a_pasted_endpoint_is_cut_back_to_its_root() {
        for (name, pasted, root) in [
            ("openai", "https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("openai", "https://api.openai.com/", "https://api.openai.com/v1"),
            ("openai", " https://h/v1/chat/completions/ ", "https://h/v1"),
            ("ollama", "http://localhost:11434/v1/", "http://localhost:11434/v1"),
            ("anthropic", "https://api.anthropic.com/v1/messages", "https://api.anthropic.com"),
            ("anthropic", "https://proxy.example.com/a/v1/", "https://proxy.example.com/a"),
            (
                "gemini",
                "https://generativelanguage.googleapis.com/v1beta/openai/",
                "https://generativelanguage.googleapis.com",
            ),
            ("cohere", "https://api.cohere.com/v2/chat", "https://api.cohere.com"),
            ("azure-openai", "https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com"),
            ("azure-openai", "my-resource", "https://my-resource.openai.azure.com"),
        ] {
            assert_eq!(find(name, None).expect("known").root(pasted), root, "{name}");
        }
    }
}
