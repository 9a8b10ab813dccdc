//! A provider as a row of data.

use std::borrow::Cow;

use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::{Grant, Provider, Way, azure, root_of};
use crate::dialect::openai_chat::neutral::Manners;
use crate::dialect::prefill::Prefill;

/// How a credential travels.
#[derive(Debug, Clone, Copy)]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer,
    /// The credential alone in a header of this name.
    Header(&'static str),
}

impl Auth {
    /// The header for a credential; `None` where it cannot stand in one.
    #[must_use]
    pub fn header(self, credential: &str) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self {
            Self::Bearer => (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {credential}")).ok()?),
            Self::Header(name) => (HeaderName::from_static(name), HeaderValue::try_from(credential).ok()?),
        };
        let mut value = value;
        value.set_sensitive(true);
        Some((name, value))
    }
}

/// See the module.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) api_base: Option<&'static str>,
    pub(super) credential_env: Option<&'static str>,
    /// Servers that people run themselves, mostly without a key.
    pub(super) is_local: bool,
    pub(super) auth: Auth,
    pub(super) headers: &'static [(HeaderName, HeaderValue)],
    pub(super) ways: &'static [Way],
    pub(super) manners: Manners,
    pub(super) prefill: Prefill,
    pub(super) root: Root,
}

/// What belongs to an API's root.
pub(super) enum Root {
    /// All that is written, but for an endpoint.
    AsWritten,
    /// The version belongs to the paths: it is cut off.
    Without(&'static [&'static str]),
    /// This host needs a version where only it is written.
    Versioned(&'static str),
    /// Azure: an origin, or only the name of the resource.
    Resource,
}

impl Row {
    /// A service on the network that speaks OpenAI's dialects in these ways.
    pub(super) const fn hosted(
        name: &'static str,
        api_base: &'static str,
        credential_env: &'static str,
        ways: &'static [Way],
    ) -> Self {
        Self {
            name,
            api_base: Some(api_base),
            credential_env: Some(credential_env),
            is_local: false,
            auth: Auth::Bearer,
            headers: &[],
            ways,
            manners: Manners::USUAL,
            prefill: Prefill::Never,
            root: Root::AsWritten,
        }
    }

    /// A server that people run themselves.
    pub(super) const fn local(
        name: &'static str,
        api_base: Option<&'static str>,
        ways: &'static [Way],
    ) -> Self {
        Self {
            name,
            api_base,
            credential_env: None,
            is_local: true,
            auth: Auth::Bearer,
            headers: &[],
            ways,
            manners: Manners::USUAL,
            prefill: Prefill::Never,
            root: Root::AsWritten,
        }
    }
}

impl Row {
    /// With other manners.
    pub(super) const fn with(self, manners: Manners) -> Self {
        Self { manners, ..self }
    }

    /// One that goes on with an answer that is begun for it.
    pub(super) const fn prefilled(self, prefill: Prefill) -> Self {
        Self { prefill, ..self }
    }
}

impl Provider for Row {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Azure charges for a deployment what OpenAI does for the model that it is named after.
    fn priced_as(&self) -> &'static str {
        if matches!(self.root, Root::Resource) { "openai" } else { self.name }
    }

    fn ways(&self) -> &'static [Way] {
        self.ways
    }

    fn api_base(&self) -> Option<&'static str> {
        self.api_base
    }

    fn root<'a>(&self, written: &'a str) -> Cow<'a, str> {
        let root = root_of(written);
        match self.root {
            Root::AsWritten => root.into(),
            Root::Without(versions) => {
                let cut = versions.iter().find_map(|version| root.strip_suffix(version));
                cut.unwrap_or(root).into()
            }
            Root::Versioned(host) if root == host => format!("{root}/v1").into(),
            Root::Versioned(_) => root.into(),
            Root::Resource => match root.split_once("://") {
                Some((scheme, rest)) => {
                    let host = rest.split('/').next().unwrap_or_default();
                    root.get(..scheme.len() + 3 + host.len()).unwrap_or(root).into()
                }
                None => format!("https://{root}.openai.azure.com").into(),
            },
        }
    }

    fn manners(&self) -> Manners {
        self.manners
    }

    fn prefill(&self) -> Prefill {
        self.prefill
    }

    fn credential_env(&self) -> Option<&'static str> {
        self.credential_env
    }

    fn needs_credential(&self) -> bool {
        !self.is_local
    }

    fn authorize(&self, credential: &str) -> Option<(HeaderName, HeaderValue)> {
        self.auth.header(credential)
    }

    fn grant(&self, credential: &str) -> Option<Grant> {
        matches!(self.root, Root::Resource).then(|| azure::grant(credential)).flatten()
    }

    fn headers(&self) -> &'static [(HeaderName, HeaderValue)] {
        self.headers
    }
}
