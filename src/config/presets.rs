//! Providers that are there because their credential is in the environment: `OPENAI_API_KEY` and its like.
//!
//! A preset is a provider key `<provider>` and a wildcard model `<provider>/*`, as if they were written in
//! the file. What the file declares under those names takes precedence.

use std::sync::Arc;

use super::{
    resources::{
        Declared, Kind, Resources,
        shapes::{ModelShape, ProviderKeyShape, RequestShape},
    },
    secret::Plaintext,
    tree::{Node, Origin},
    validate::id_of,
};
use crate::providers::{self, Provider};

/// Adds the presets that `environment` switches on to the declared resources.
pub(super) fn add(resources: &mut Resources, environment: &dyn Fn(&str) -> Option<String>) {
    for provider in providers::names().into_iter().filter_map(|name| providers::find(name, None)) {
        let Some(variable) = provider.credential_env() else {
            continue;
        };
        let Some(credential) = environment(variable).filter(|value| !value.trim().is_empty()) else {
            continue;
        };
        if provider.api_base().is_none() || is_declared(&resources.provider_keys, provider.name()) {
            continue;
        }
        let origin = Origin::Variable(variable.into());
        let key = provider_key(provider, credential);
        resources.provider_keys.push(declared(Kind::ProviderKeys, provider.name(), key, origin.clone()));
        let name = format!("{}/*", provider.name());
        if !is_declared(&resources.models, &name) {
            let model = model(&name, provider);
            resources.models.push(declared(Kind::Models, &name, model, origin));
        }
    }
}

fn is_declared<T>(list: &[Arc<Declared<T>>], name: &str) -> bool {
    list.iter().any(|entry| entry.name.as_deref() == Some(name))
}

fn declared<T>(kind: Kind, name: &str, shape: T, origin: Origin) -> Arc<Declared<T>> {
    Arc::new(Declared {
        node: Node::empty_table(origin),
        path: format!("preset {name}"),
        id: id_of(kind, name),
        name: Some(name.into()),
        revision: 0,
        shape: Some(shape),
    })
}

fn provider_key(provider: &dyn Provider, credential: String) -> ProviderKeyShape {
    ProviderKeyShape {
        display_name: provider.name().into(),
        api_key: Some(Plaintext::new(credential)),
        api_base: None,
        provider: Some(provider.name().into()),
        adapter: None,
        tls: None,
        max_in_flight: None,
        request: RequestShape::default(),
    }
}

fn model(name: &str, provider: &dyn Provider) -> ModelShape {
    ModelShape {
        display_name: name.into(),
        provider: None,
        model_name: Some("*".into()),
        provider_key: Some(provider.name().into()),
        provider_key_id: None,
        timeout: None,
        stream_timeout: None,
        ttft_timeout: None,
        total_timeout: None,
        allowed_cidrs: Vec::new(),
        retries: None,
        rate_limit: None,
        cost: None,
        strict_translation: false,
        cooldown: None,
        context_window: None,
        max_output_tokens: None,
        prefill: None,
        background_model_check: None,
        routing: None,
    }
}
