//! Provider keys: which code serves them, where they point to, what they authenticate with and whom they
//! trust.

use std::sync::Arc;

use aisix_actors::{
    budget_ledger::{Budget, BudgetScope},
    provider_pool::{ProviderKey, Secret, TlsProfileId},
};

use super::budgets::BudgetIndex;
use crate::{
    config::{
        glob::Glob,
        headers,
        problem::{Place, Problems, did_you_mean},
        resources::{
            Declared,
            shapes::{ProviderKeyShape, TlsShape},
        },
        snapshot::DefaultHeaders,
        tls::{Profiles, TlsProfile, roots_from_file, roots_from_pem},
        tree::Origin,
    },
    providers::{self, Provider},
};

/// A resolved provider key, with what its models take from it.
pub(super) struct CheckedKey {
    /// What the provider pool is given.
    pub(super) key: Arc<ProviderKey>,
    /// The code that knows the provider's API.
    pub(super) provider: &'static dyn Provider,
    /// The provider id, for labels.
    pub(super) label: Arc<str>,
    /// Headers that every request carries.
    pub(super) default_headers: DefaultHeaders,
    /// Names of callers' headers that are handed on.
    pub(super) forwarded_headers: Arc<[Glob]>,
    /// Budgets of this key.
    pub(super) budgets: Vec<Arc<Budget>>,
}

/// Resolves the provider keys and reports all that is wrong with them.
pub(super) fn resolve(
    declared: &[Arc<Declared<ProviderKeyShape>>],
    budgets: &BudgetIndex,
    profiles: &mut Profiles,
    problems: &mut Problems,
) -> Vec<CheckedKey> {
    let resolved = declared.iter().filter_map(|entry| {
        let (place, shape) = (entry.place(), entry.shape.as_ref()?);
        let tls = tls_profile(place, shape.tls.as_ref(), profiles, problems);
        resolve_one(entry, shape, tls, problems).map(|mut checked| {
            checked.budgets = budgets.of(BudgetScope::ProviderKey, Some(&checked.key.id));
            checked
        })
    });
    resolved.collect()
}

fn resolve_one(
    entry: &Declared<ProviderKeyShape>,
    shape: &ProviderKeyShape,
    tls: Option<TlsProfileId>,
    problems: &mut Problems,
) -> Option<CheckedKey> {
    let place = entry.place();
    if shape.max_in_flight == Some(0) {
        place.report("max_in_flight", "expected 1 or more; leave it out for no limit", problems);
    }
    let default_headers = default_headers(place, shape, problems);
    let forwarded_headers = forwarded_headers(place, shape, problems);
    let provider = provider(place, shape, problems)?;
    let base_url = base_url(place, shape, provider, problems);
    let credential = credential(place, shape, provider, problems);
    Some(CheckedKey {
        key: Arc::new(ProviderKey {
            id: entry.id.clone(),
            name: shape.display_name.as_str().into(),
            base_url: base_url?,
            credential: credential?,
            tls: tls?,
            max_in_flight: shape.max_in_flight,
        }),
        provider,
        label: shape.provider.as_deref().unwrap_or_else(|| provider.name()).into(),
        default_headers,
        forwarded_headers,
        budgets: Vec::new(),
    })
}

fn provider(
    place: Place<'_>,
    shape: &ProviderKeyShape,
    problems: &mut Problems,
) -> Option<&'static dyn Provider> {
    let name = shape.provider.as_deref().unwrap_or_default();
    let adapter = shape.adapter.as_deref();
    if let Some(written) = adapter.filter(|adapter| !providers::adapters().contains(adapter)) {
        let hint = match place.is_quotable("adapter") {
            true => did_you_mean(written, providers::adapters()),
            false => String::new(),
        };
        let known = providers::adapters().join("\", \"");
        let message = format!("there is no such adapter{hint}; there are \"{known}\"");
        place.report("adapter", message, problems);
        return None;
    }
    let found = providers::find(name, adapter);
    if found.is_some() {
        return found;
    }
    match (name, adapter) {
        // It may have been the one that counts.
        (_, None) if !place.is_known("adapter") => {}
        ("", _) => place.report("", "\"provider\" or \"adapter\" is required", problems),
        (name, _) if place.is_quotable("provider") => {
            let hint = did_you_mean(name, providers::names());
            let message = format!(
                "no provider is called \"{name}\"{hint}; for an API like OpenAI's add adapter = \"openai\""
            );
            place.report("provider", message, problems);
        }
        _ => place.report("provider", "no provider is called what this variable says", problems),
    }
    None
}

fn base_url(
    place: Place<'_>,
    shape: &ProviderKeyShape,
    provider: &dyn Provider,
    problems: &mut Problems,
) -> Option<Arc<str>> {
    match (shape.api_base.as_deref(), provider.api_base()) {
        (Some(written), _) if is_url(&provider.root(written)) => Some(provider.root(written).as_ref().into()),
        (Some(_), _) => {
            place.report("api_base", "expected an address such as https://api.example.com/v1", problems);
            None
        }
        (None, Some(usual)) => Some(usual.into()),
        (None, None) if provider.is_in_process() => Some("".into()),
        (None, None) => {
            place.report("", "\"api_base\" is required: this provider has no usual address", problems);
            None
        }
    }
}

/// Whether a text is an absolute HTTP address of a host, without a user, a query or a fragment.
pub(super) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    host.is_some_and(|host| !host.is_empty() && !host.starts_with(':') && !host.contains('@'))
        && text.bytes().all(is_plain)
}

/// The credential, if there is one: `Some(None)` is none, `None` a reported problem.
fn credential(
    place: Place<'_>,
    shape: &ProviderKeyShape,
    provider: &dyn Provider,
    problems: &mut Problems,
) -> Option<Option<Secret>> {
    match shape.api_key.as_ref().map(|key| key.expose().trim()) {
        Some("") => place.report("api_key", "must not be empty", problems),
        Some(key) if key.bytes().any(|byte| !(b' '..0x7f).contains(&byte)) => {
            place.report("api_key", "holds characters that a header cannot carry", problems);
        }
        Some(key) if key.starts_with("${") && matches!(place.node.origin, Origin::Stored(_)) => {
            place.report(
                "api_key",
                "references to the environment are for the file; give the key itself",
                problems,
            );
        }
        None if provider.needs_credential() => place.report("", "\"api_key\" is required", problems),
        None => return Some(None),
        Some(text) => return Some(Some(Secret::new(text.to_owned()))),
    }
    None
}

fn default_headers(place: Place<'_>, shape: &ProviderKeyShape, problems: &mut Problems) -> DefaultHeaders {
    let mut headers = Vec::new();
    for (written, value) in &shape.request.default_headers {
        let field = format!("request.default_headers.{written}");
        let name = written.to_ascii_lowercase();
        if !headers::is_name(&name) {
            place.report(&field, "expected the name of a header", problems);
        } else if headers::is_reserved(&name) || headers::is_owned(&name) {
            place.report(&field, "this header is reserved", problems);
        } else if !headers::is_value(value.expose()) {
            place.report(&field, "a header must not hold line breaks or control characters", problems);
        } else {
            headers.push((name.into(), value.expose().into()));
        }
    }
    DefaultHeaders(headers)
}

fn forwarded_headers(place: Place<'_>, shape: &ProviderKeyShape, problems: &mut Problems) -> Arc<[Glob]> {
    let mut globs = Vec::new();
    for (index, written) in shape.request.forward_client_headers.iter().enumerate() {
        let name = written.to_ascii_lowercase();
        match Glob::parse(&name) {
            Some(glob) if headers::is_name(&name) => globs.push(glob),
            _ => {
                let message = "expected the name of a header, with at most one \"*\"";
                place.report(&format!("request.forward_client_headers[{index}]"), message, problems);
            }
        }
    }
    globs.into()
}

fn tls_profile(
    place: Place<'_>,
    shape: Option<&TlsShape>,
    profiles: &mut Profiles,
    problems: &mut Problems,
) -> Option<TlsProfileId> {
    let Some(shape) = shape else {
        return Some(profiles.upstream());
    };
    let (field, own) = match (&shape.ca_cert, &shape.ca_file) {
        (None, None) => ("tls", Ok(Vec::new())),
        (Some(pem), None) => ("tls.ca_cert", roots_from_pem(pem.as_bytes())),
        (None, Some(file)) => ("tls.ca_file", roots_from_file(profiles.folder(), file)),
        (Some(_), Some(_)) => ("tls", Err("expected ca_cert or ca_file, not both".into())),
    };
    let mut roots = profiles.shared_roots().to_vec();
    match own {
        Ok(own) => roots.extend(own),
        Err(message) => {
            place.report(field, message, problems);
            return None;
        }
    }
    let profile = TlsProfile { roots, verify: shape.verify, identity: profiles.shared_identity() };
    let id = profiles.add(profile);
    if id.is_none() {
        place.report("tls", "there are too many different tls tables", problems);
    }
    id
}
