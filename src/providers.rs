//! Providers: who is asked, where, and with which credential. Pure: no I/O, no clock, no shared state.
//!
//! Most providers speak OpenAI's chat dialect, so most are a row of data. Nothing outside this module compares a
//! provider's name.

use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::dialect::Dialect;
use crate::operation::Operation;

mod mock;
mod openai;

/// What is particular to one provider.
pub trait Provider: Send + Sync + 'static {
    /// The vendor id, as configuration spells it.
    fn name(&self) -> &'static str;

    /// The dialect spoken for an operation; `None` is the endpoint's 501.
    fn dialect(&self, operation: Operation) -> Option<Dialect>;

    /// The path of an operation below the API's root; empty where there is none.
    fn path(&self, operation: Operation) -> &'static str;

    /// The API's root, for provider keys that name none; `None` where the operator must.
    fn api_base(&self) -> Option<&'static str>;

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

    /// Whether a stream may be asked for usage by `stream_options.include_usage`.
    fn streams_usage(&self) -> bool {
        true
    }

    /// The header that authenticates; `None` for a credential that no header can carry.
    fn authorize(&self, credential: &str) -> Option<(HeaderName, HeaderValue)> {
        bearer(credential)
    }
}

/// Whether a provider answers an endpoint in the caller's own dialect.
#[must_use]
pub fn is_spoken(provider: &dyn Provider, operation: Operation, dialect: Dialect) -> bool {
    provider.dialect(operation) == Some(dialect)
}

fn bearer(credential: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::try_from(format!("Bearer {credential}")).ok()?;
    value.set_sensitive(true);
    Some((AUTHORIZATION, value))
}

/// The provider that knows a vendor, or the one that speaks the named protocol family for vendors nobody knows.
#[must_use]
pub fn find(provider: &str, adapter: Option<&str>) -> Option<&'static dyn Provider> {
    let known = openai::ROWS.iter().find(|row| row.name() == provider).map(|row| row as &dyn Provider);
    let known = known.or_else(|| (provider == mock::MOCK.name()).then_some(&mock::MOCK as &dyn Provider));
    known.or_else(|| (adapter == Some(openai::ADAPTER)).then_some(&openai::COMPATIBLE as &dyn Provider))
}

/// The protocol families that a vendor nobody knows may speak.
pub const ADAPTERS: &[&str] = &[openai::ADAPTER];

/// Every vendor id that is known by name.
#[must_use]
pub fn names() -> Vec<&'static str> {
    openai::ROWS.iter().map(Provider::name).chain([mock::MOCK.name()]).collect()
}

/// Every provider that is known by name.
pub fn all() -> impl Iterator<Item = &'static dyn Provider> {
    openai::ROWS.iter().map(|row| row as &dyn Provider).chain([&mock::MOCK as &dyn Provider])
}

/// Strips what people paste along with an API's root: trailing slashes and an endpoint's path.
#[must_use]
pub fn root_of(pasted: &str) -> &str {
    const ENDPOINTS: [&str; 5] =
        ["/chat/completions", "/completions", "/embeddings", "/responses", "/messages"];
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
        assert_eq!(find("groq", Some("openai")).map(Provider::name), Some("groq"));
        assert_eq!(find("acme", Some("openai")).map(Provider::name), Some("openai-compatible"));
        assert!(find("acme", None).is_none());
    }

    #[test]
    fn names_are_unique_and_every_row_says_where_to_go() {
        let names = names();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[index + 1..].contains(name), "{name} twice");
        }
        for provider in all().filter(|provider| !provider.is_in_process()) {
            assert!(provider.dialect(Operation::Chat).is_some(), "{}", provider.name());
            assert!(provider.path(Operation::Chat).starts_with('/'), "{}", provider.name());
        }
    }

    #[test]
    fn a_pasted_endpoint_is_cut_back_to_its_root() {
        for (pasted, root) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            (" https://h/v1/chat/completions/ ", "https://h/v1"),
            ("http://localhost:11434/v1/", "http://localhost:11434/v1"),
        ] {
            assert_eq!(root_of(pasted), root);
        }
    }
}
