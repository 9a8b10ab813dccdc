//! From declared to resolved: names are looked up, combinations and ranges are checked, defaults are filled
//! in.
//!
//! Whatever leaves here can be used without asking again. An entry with a problem is left out; what refers to
//! it is left out in silence, because the report already has the cause.

mod api_keys;
mod budgets;
mod cache_policies;
mod models;
mod provider_keys;
mod rate_limit;

use std::{collections::HashMap, path::Path, sync::Arc};

use aisix_actors::{budget_ledger::Budget, provider_pool::ProviderKey};
use uuid::Uuid;

use self::budgets::BudgetIndex;
use super::{
    problem::{Place, Problems, did_you_mean},
    resources::{Declared, Resources},
    secret::KeyHash,
    settings::Settings,
    snapshot::{ApiKey, CachePolicy, Model},
    tls::{Profiles, TlsProfile, roots_from_file},
    tree::{Node, Origin, Value},
};

/// Ids of declared resources are UUIDv5 in this namespace, so that they survive restarts and replicas agree.
const NAMESPACE: Uuid = Uuid::from_u128(0x63e5_0ab2_677a_54d3_8d1e_c0cb_29ce_ae94);

/// Every resource, ready for use, in the order of declaration.
pub(super) struct Resolved {
    pub(super) tls_profiles: Vec<TlsProfile>,
    pub(super) provider_keys: Vec<ProviderKey>,
    pub(super) models: Vec<Arc<Model>>,
    pub(super) api_keys: Vec<(KeyHash, Arc<ApiKey>)>,
    pub(super) cache_policies: Vec<CachePolicy>,
    pub(super) budgets: Vec<Arc<Budget>>,
}

/// What stands around the resources while they are resolved.
pub(super) struct Surroundings<'a> {
    /// The settings of the same file.
    pub(super) settings: &'a Settings,
    /// The root of the file, for the places of settings.
    pub(super) root: &'a Node,
    /// The folder of the file.
    pub(super) folder: &'a Path,
    /// When the file was read, in seconds since the Unix epoch.
    pub(super) loaded_at: u64,
}

/// Resolves every resource and reports all that is wrong with them.
pub(super) fn resolve(resources: &Resources, around: &Surroundings<'_>, problems: &mut Problems) -> Resolved {
    let names = Names {
        provider_keys: Directory::of("provider_keys", "provider key", &resources.provider_keys, problems),
        models: Directory::of("models", "model", &resources.models, problems),
        api_keys: Directory::of("api_keys", "API key", &resources.api_keys, problems),
    };
    Directory::of("budgets", "budget", &resources.budgets, problems);
    Directory::of("cache_policies", "cache policy", &resources.cache_policies, problems);

    let budgets = BudgetIndex::resolve(&resources.budgets, &names, problems);
    let mut profiles = Profiles::new(around.folder, upstream_profile(around, problems));
    let provider_keys = provider_keys::resolve(&resources.provider_keys, &budgets, &mut profiles, problems);
    let known = models::Known {
        names: &names,
        budgets: &budgets,
        provider_keys: &provider_keys,
        loaded_at: around.loaded_at,
    };
    let models = models::resolve(&resources.models, &known, problems);
    let api_keys = api_keys::resolve(&resources.api_keys, &budgets, problems);
    let cache_policies = cache_policies::resolve(&resources.cache_policies, &names, problems);
    Resolved {
        tls_profiles: profiles.into_list(),
        provider_keys: provider_keys.into_iter().map(|checked| checked.key).collect(),
        models,
        api_keys,
        cache_policies,
        budgets: budgets.into_list(),
    }
}

fn upstream_profile(around: &Surroundings<'_>, problems: &mut Problems) -> TlsProfile {
    let tls = &around.settings.upstream.tls;
    let roots = match &tls.ca_file {
        Some(file) => roots_from_file(around.folder, file).unwrap_or_else(|message| {
            let place = Place { node: around.root, path: "" };
            place.report("upstream.tls.ca_file", message, problems);
            Vec::new()
        }),
        None => Vec::new(),
    };
    TlsProfile { roots, verify: tls.verify }
}

/// The id of a declared resource.
fn id_of(kind: &str, name: &str) -> Arc<str> {
    Uuid::new_v5(&NAMESPACE, format!("{kind}/{name}").as_bytes()).to_string().into()
}

/// The names to which references are possible.
struct Names {
    provider_keys: Directory,
    models: Directory,
    api_keys: Directory,
}

/// The names of one kind, those of entries with problems included.
struct Directory {
    noun: &'static str,
    /// Ids by name, in the order of declaration.
    entries: Vec<(String, Arc<str>)>,
}

impl Directory {
    /// Collects the names, and reports those that are empty, unprintable or taken.
    fn of<T>(kind: &str, noun: &'static str, declared: &[Declared<T>], problems: &mut Problems) -> Self {
        let identity = if matches!(kind, "budgets" | "cache_policies") { "name" } else { "display_name" };
        let mut first: HashMap<&str, &Declared<T>> = HashMap::new();
        let mut entries = Vec::new();
        for entry in declared {
            let Some(name) = entry.name.as_deref() else {
                continue;
            };
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                let message = "must not be empty or hold control characters";
                entry.place().report(identity, message, problems);
            }
            if let Some(earlier) = first.get(name) {
                let message = format!("this name is already that of {}", whereabouts(earlier));
                entry.place().report(identity, message, problems);
                continue;
            }
            first.insert(name, entry);
            entries.push((name.to_owned(), id_of(kind, name)));
        }
        Self { noun, entries }
    }

    /// The names, in the order of declaration.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The id behind a reference, which is a name or an id.
    fn find(&self, reference: &str) -> Option<&Arc<str>> {
        let by_name = self.entries.iter().find(|(name, _)| name == reference);
        let found = by_name.or_else(|| self.entries.iter().find(|(_, id)| **id == *reference));
        found.map(|(_, id)| id)
    }

    /// The id behind the reference in `field`; reports a reference to nothing.
    fn look_up(
        &self,
        place: Place<'_>,
        field: &str,
        reference: &str,
        problems: &mut Problems,
    ) -> Option<Arc<str>> {
        let found = self.find(reference);
        if found.is_none() {
            place.report(field, self.unknown(place, field, reference), problems);
        }
        found.cloned()
    }

    fn unknown(&self, place: Place<'_>, field: &str, reference: &str) -> String {
        let noun = self.noun;
        if !place.is_quotable(field) {
            return format!("no {noun} is called what this variable says");
        }
        format!("no {noun} is called \"{reference}\"{}", did_you_mean(reference, self.names()))
    }
}

/// Names another entry in a message: `models[0] in line 12`.
fn whereabouts<T>(entry: &Declared<T>) -> String {
    match entry.node.origin {
        Origin::Line(line) => format!("{} in line {line}", entry.path),
        Origin::Variable(_) | Origin::Unknown => entry.path.clone(),
    }
}

impl Place<'_> {
    /// Whether the text in `field` may be quoted in a message.
    fn is_quotable(&self, field: &str) -> bool {
        let value = self.node.at(field).map(|node| &node.value);
        matches!(value, Some(Value::Str { is_quotable: true, .. }))
    }
}

#[cfg(test)]
mod tests;
