//! What the request path reads: everything resolved, nothing to parse or to look up twice.
//!
//! A request keeps the snapshot that it started with. A reload builds another one and swaps it; nothing in
//! here changes.

mod access;
mod model;
mod warnings;

use std::{fmt, sync::Arc, time::Duration};

use foldhash::{HashMap, HashMapExt as _};

use aisix_actors::{
    budget_ledger::{Budget, BudgetScope},
    provider_pool::{ProviderKey, TlsProfileId},
};

pub use self::{
    access::{ApiKey, AppliesTo, CachePolicy, CacheScope},
    model::{
        BackgroundCheck, DefaultHeaders, Direct, Dispatch, FallbackOn, HashOn, MidStream, Model, Routing,
        Tariff, Terms, TimeoutRule,
    },
};
use super::{
    Config,
    glob::Glob,
    identity::Identities,
    resources::{Kind, Resources},
    settings::{Backend, Settings},
    tls::TlsProfile,
};
use crate::{guardrails::Guardrails, policies::Policies};

/// One whole configuration.
pub struct Snapshot {
    /// What is set once for the whole gateway.
    pub settings: Arc<Settings>,
    /// The first enabled policy that applies is the one that counts.
    pub cache_policies: Vec<CachePolicy>,
    /// The certificates of the listeners.
    pub identities: Identities,
    /// What the provider pool is given.
    pub provider_keys: Vec<ProviderKey>,
    /// Whom connections trust.
    pub tls_profiles: std::collections::HashMap<TlsProfileId, TlsProfile>,
    /// Every budget, by name.
    pub budgets: Vec<Arc<Budget>>,
    /// Which limits hold for which requests.
    pub policies: Policies,
    /// What may be asked and answered, and by whom.
    pub guardrails: Guardrails,
    /// What was declared and stored, for administrators.
    pub resources: Resources,
    /// How many times a file was applied in this process.
    pub generation: u64,
    api_keys: HashMap<[u8; 32], (Arc<ApiKey>, Option<Duration>)>,
    models: Vec<Arc<Model>>,
    by_name: HashMap<Arc<str>, Arc<Model>>,
    /// Most particular pattern first, then in order of declaration.
    wildcards: Vec<(Glob, Arc<Model>)>,
}

/// A model that a caller's name stands for.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The declared model.
    pub model: Arc<Model>,
    /// What the `*` of its name stands for, where it has one.
    pub capture: Option<Box<str>>,
}

impl Snapshot {
    /// Builds the lookups over a checked configuration.
    pub fn build(config: Config) -> Self {
        let resolved = config.resolved;
        let mut by_name = HashMap::new();
        let mut wildcards = Vec::new();
        for model in &resolved.models {
            match Glob::parse(&model.name) {
                Some(glob @ Glob::Around { .. }) => wildcards.push((glob, model.clone())),
                _ => {
                    by_name.insert(model.name.clone(), model.clone());
                }
            }
        }
        wildcards.sort_by_key(|(glob, _)| std::cmp::Reverse(glob.literal_len()));
        let api_keys = resolved.api_keys.into_iter();
        Self {
            settings: config.settings,
            cache_policies: resolved.cache_policies,
            identities: resolved.identities,
            provider_keys: resolved.provider_keys,
            tls_profiles: resolved.tls_profiles,
            budgets: resolved.budgets,
            policies: resolved.policies,
            guardrails: resolved.guardrails,
            resources: config.resources,
            generation: config.generation,
            api_keys: api_keys.map(|known| (known.hash.0, (known.key, known.until))).collect(),
            models: resolved.models,
            by_name,
            wildcards,
        }
    }

    /// Takes over the API keys that are the same as before. There may be very many, and a long stream keeps the snapshot
    /// that it began with.
    pub fn share_with(&mut self, before: &Self) {
        for (hash, (key, _)) in &mut self.api_keys {
            if let Some((old, _)) = before.api_keys.get(hash)
                && old == key
            {
                *key = old.clone();
            }
        }
    }

    /// The API key with this SHA-256, expired and disabled ones included. One that another has taken the place of is
    /// not known any more once its time is over; `now` counts since the Unix epoch.
    pub fn api_key(&self, sha256: &[u8; 32], now: Duration) -> Option<&Arc<ApiKey>> {
        let (key, until) = self.api_keys.get(sha256)?;
        until.is_none_or(|until| now <= until).then_some(key)
    }

    /// Every API key, in no order, without those that another has taken the place of.
    pub fn api_keys(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.api_keys.values().filter(|(_, until)| until.is_none()).map(|(key, _)| key)
    }

    /// The model that a name stands for: the exact name first, then the wildcard with the longest literal
    /// part.
    pub fn resolve(&self, name: &str) -> Option<Resolved> {
        if let Some(model) = self.by_name.get(name) {
            return Some(Resolved { model: model.clone(), capture: None });
        }
        self.wildcards.iter().find_map(|(glob, model)| {
            glob.capture(name).map(|capture| Resolved { model: model.clone(), capture: Some(capture.into()) })
        })
    }

    /// Every model in order of declaration, wildcards included.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.iter()
    }

    /// What is declared, in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} models, {} API keys, {} provider keys",
            self.models.len(),
            self.resources.count(Kind::ApiKeys),
            self.provider_keys.len()
        )
    }

    /// The name of what a budget is for, where it is declared: budgets go by ids.
    pub fn scope_name(&self, budget: &Budget) -> Option<Arc<str>> {
        let id = budget.scope_ref.as_deref()?;
        match budget.scope {
            BudgetScope::ApiKey => Some(self.api_keys().find(|key| *key.id == *id)?.name.clone()),
            BudgetScope::Model => Some(self.models().find(|model| *model.id == *id)?.name.clone()),
            BudgetScope::ProviderKey => {
                Some(self.provider_keys.iter().find(|key| *key.id == *id)?.name.clone())
            }
            BudgetScope::Org | BudgetScope::Team | BudgetScope::Member => None,
        }
    }

    /// What is not wrong and still serves nobody, or does not do what it says.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.models.is_empty() {
            warnings.push("no model is declared: every request will be answered 404".to_owned());
        }
        if self.api_keys.is_empty() {
            warnings.push("no API key is declared: every request will be answered 401".to_owned());
        }
        let idle = self.models().filter_map(|model| Some((model, model.why_nobody_goes_on()?)));
        warnings.extend(idle.map(|(model, why)| {
            format!("the model {:?} has mid_stream = \"continue\", but {why}", model.name)
        }));
        let is_shared = |policy: &&CachePolicy| policy.backend == Some(Backend::Redis) && policy.enabled;
        let homeless = self.cache_policies.iter().filter(is_shared);
        warnings.extend(homeless.filter(|_| self.settings.cache_redis().is_none()).map(|policy| {
            let name = &policy.name;
            format!("the cache policy {name:?} keeps nothing: it wants Redis, and there is no table [redis] or [cache.redis]")
        }));
        self.warn_of_money(&mut warnings);
        warnings
    }

    /// Whether a policy keeps answers in Redis.
    #[must_use]
    pub fn is_cache_shared(&self) -> bool {
        let backend = |policy: &CachePolicy| policy.backend.unwrap_or(self.settings.cache.backend);
        self.cache_policies.iter().any(|policy| policy.enabled && backend(policy) == Backend::Redis)
    }

    /// The policy under which a request for `model` (the name that was sent) is cached.
    pub fn cache_policy(&self, model: &str, api_key: &ApiKey) -> Option<&CachePolicy> {
        self.cache_policies.iter().find(|policy| policy.enabled && policy.applies_to.is_match(model, api_key))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("models", &self.models.len())
            .field("api_keys", &self.api_keys.len())
            .field("provider_keys", &self.provider_keys.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
