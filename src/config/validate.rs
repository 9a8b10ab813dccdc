//! From declared to resolved: names are looked up, combinations and ranges are checked, defaults are filled
//! in.
//!
//! Whatever leaves here can be used without asking again. An entry with a problem is left out; what refers to
//! it is left out in silence, because the report already has the cause.

mod api_keys;
mod budgets;
mod cache_policies;
mod guardrails;
mod models;
mod policies;
mod provider_keys;
mod rate_limit;

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use aisix_actors::{
    budget_ledger::Budget,
    provider_pool::{ProviderKey, TlsProfileId},
};
use uuid::Uuid;

pub use self::api_keys::MAX_RETIRING;
use self::{api_keys::KnownKey, budgets::BudgetIndex};
use super::{
    identity::{self, Identities, Named},
    problem::{Place, Problems, did_you_mean},
    resources::{Entry, Kind, Resources, shapes::ProviderKeyShape},
    settings::{ListenerTls, Settings},
    snapshot::{CachePolicy, Model},
    tls::{Profiles, TlsProfile, roots_from_file},
    tree::{Node, Origin, Value},
};
use crate::{guardrails::Guardrails, policies::Policies};

/// Ids of declared resources are UUIDv5 in this namespace, so that they survive restarts and replicas agree.
const NAMESPACE: Uuid = Uuid::from_u128(0x63e5_0ab2_677a_54d3_8d1e_c0cb_29ce_ae94);

/// Every resource, ready for use, in the order of declaration.
pub(super) struct Resolved {
    pub(super) identities: Identities,
    pub(super) tls_profiles: HashMap<TlsProfileId, TlsProfile>,
    pub(super) provider_keys: Vec<ProviderKey>,
    pub(super) models: Vec<Arc<Model>>,
    pub(super) api_keys: Vec<KnownKey>,
    pub(super) cache_policies: Vec<CachePolicy>,
    pub(super) budgets: Vec<Arc<Budget>>,
    pub(super) guardrails: Guardrails,
    pub(super) policies: Policies,
}

/// What stands around the resources while they are resolved.
pub(super) struct Surroundings<'a> {
    /// The settings of the same file.
    pub(super) settings: &'a Settings,
    /// The root of the file, for the places of settings.
    pub(super) root: &'a Node,
    /// The folder of the file.
    pub(super) folder: &'a Path,
    /// When the file was first read, in seconds since the Unix epoch.
    pub(super) loaded_at: u64,
}

/// Resolves every resource and reports all that is wrong with them; also tells which files were read for it.
pub(super) fn resolve(
    resources: &Resources,
    around: &Surroundings<'_>,
    problems: &mut Problems,
) -> (Resolved, Vec<PathBuf>) {
    let names = Names::of(resources, problems);
    let budgets = BudgetIndex::resolve(&resources.budgets, &names, problems);
    let mut profiles = Profiles::new(around.folder, upstream_profile(around, problems));
    let provider_keys = provider_keys::resolve(&resources.provider_keys, &budgets, &mut profiles, problems);
    let by_id = provider_keys.iter().map(|checked| (&*checked.key.id, checked)).collect();
    let known =
        models::Known { names: &names, budgets: &budgets, provider_keys: by_id, loaded_at: around.loaded_at };
    let models = models::resolve(&resources.models, &known, problems);
    let api_keys = api_keys::resolve(&resources.api_keys, &budgets, problems);
    let cache_policies = cache_policies::resolve(&resources.cache_policies, &names, problems);
    let guardrails = guardrails::resolve(resources, &names, profiles.upstream(), problems);
    let policies = policies::resolve(resources, &names, problems);
    let files = files(resources, around);
    let resolved = Resolved {
        identities: identities(around, problems),
        tls_profiles: profiles.into_map(),
        provider_keys: provider_keys.into_iter().map(|checked| ProviderKey::clone(&checked.key)).collect(),
        models,
        api_keys,
        cache_policies,
        budgets: budgets.all(),
        guardrails,
        policies,
    };
    (resolved, files)
}

/// The files that the resources and settings name.
fn files(resources: &Resources, around: &Surroundings<'_>) -> Vec<PathBuf> {
    let of_key = |shape: &ProviderKeyShape| shape.tls.as_ref().and_then(|tls| tls.ca_file.clone());
    let of_keys = resources.provider_keys.iter().filter_map(|entry| entry.shape.as_ref().and_then(of_key));
    let (tls, settings) = (&around.settings.upstream.tls, around.settings);
    let upstream = [&tls.ca_file, &tls.client_cert_file, &tls.client_key_file];
    let listeners = [&settings.proxy.tls, &settings.admin.tls].map(|tls| [&tls.cert_file, &tls.key_file]);
    let of_settings = upstream.into_iter().chain(listeners.into_iter().flatten()).flatten().cloned();
    of_settings.chain(of_keys).map(|file| around.folder.join(file)).collect()
}

fn identities(around: &Surroundings<'_>, problems: &mut Problems) -> Identities {
    let mut read = |tls: &ListenerTls, table: &str| {
        let (certificate, key) = (format!("{table}.cert_file"), format!("{table}.key_file"));
        let certificate = Named { setting: &certificate, file: tls.cert_file.as_ref() };
        let key = Named { setting: &key, file: tls.key_file.as_ref() };
        identity::read(around.folder, &certificate, &key, Place { node: around.root, path: "" }, problems)
    };
    let settings = around.settings;
    Identities {
        proxy: read(&settings.proxy.tls, "proxy.tls"),
        admin: read(&settings.admin.tls, "admin.tls"),
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
    let certificate = Named { setting: "upstream.tls.client_cert_file", file: tls.client_cert_file.as_ref() };
    let key = Named { setting: "upstream.tls.client_key_file", file: tls.client_key_file.as_ref() };
    let place = Place { node: around.root, path: "" };
    let identity = identity::read(around.folder, &certificate, &key, place, problems);
    TlsProfile { roots, verify: tls.verify, identity }
}

/// The id of a resource that was given none.
pub(super) fn id_of(kind: Kind, name: &str) -> Arc<str> {
    let kind = kind.collection();
    Uuid::new_v5(&NAMESPACE, format!("{kind}/{name}").as_bytes()).to_string().into()
}

/// The names to which references are possible.
struct Names {
    provider_keys: Directory,
    models: Directory,
    api_keys: Directory,
    guardrails: Directory,
}

impl Names {
    /// Collects the names of every kind, and reports those that are taken.
    fn of(resources: &Resources, problems: &mut Problems) -> Self {
        let mut names = Self {
            provider_keys: Directory::new(Kind::ProviderKeys),
            models: Directory::new(Kind::Models),
            api_keys: Directory::new(Kind::ApiKeys),
            guardrails: Directory::new(Kind::Guardrails),
        };
        for kind in Kind::ALL {
            let directory = Directory::of(*kind, resources, problems);
            match kind {
                Kind::ProviderKeys => names.provider_keys = directory,
                Kind::Models => names.models = directory,
                Kind::ApiKeys => names.api_keys = directory,
                Kind::Guardrails => names.guardrails = directory,
                // Nothing refers to these.
                Kind::Budgets
                | Kind::RateLimitPolicies
                | Kind::CachePolicies
                | Kind::GuardrailAttachments => {}
            }
        }
        names
    }
}

/// The names of one kind, those of entries with problems included.
struct Directory {
    noun: &'static str,
    /// The names, in the order of declaration.
    names: Vec<Arc<str>>,
    /// Ids by name.
    ids: HashMap<Arc<str>, Arc<str>>,
    /// Every id.
    known: HashSet<Arc<str>>,
}

impl Directory {
    fn new(kind: Kind) -> Self {
        Self { noun: kind.noun(), names: Vec::new(), ids: HashMap::new(), known: HashSet::new() }
    }

    /// Collects the names and ids, and reports those that are empty, unprintable or taken.
    fn of(kind: Kind, resources: &Resources, problems: &mut Problems) -> Self {
        let identity = kind.identity();
        let mut directory = Self::new(kind);
        for entry in resources.entries(kind) {
            let Some(name) = entry.name() else {
                continue;
            };
            let place = entry.place();
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                place.report(identity, "must not be empty or hold control characters", problems);
            }
            if directory.ids.contains_key(name) {
                let holder = resources.entries(kind).find(|other| other.name() == Some(name));
                let whose = holder.map_or_else(|| "another".to_owned(), whereabouts);
                let message = format!("this name is already that of {whose}");
                place.report_conflict(identity, message, problems);
            } else if !directory.known.insert(entry.id().clone()) {
                let message = format!("the id is that of another {} already", kind.noun());
                place.report_conflict("", message, problems);
            } else {
                directory.names.push(name.clone());
                directory.ids.insert(name.clone(), entry.id().clone());
            }
        }
        directory.refuse_ambiguity(kind, resources, problems);
        directory
    }

    /// Reports a name that is the id of another: a reference may be either, and must not change what it leads to.
    fn refuse_ambiguity(&self, kind: Kind, resources: &Resources, problems: &mut Problems) {
        for entry in resources.entries(kind) {
            let Some(name) = entry.name() else { continue };
            if self.known.contains(name) && name != entry.id() {
                let message = format!("this name is the id of another {}", kind.noun());
                entry.place().report_conflict(kind.identity(), message, problems);
            }
            if self.ids.get(entry.id()).is_some_and(|other| other != entry.id()) {
                let message = format!("the id is the name of another {}", kind.noun());
                entry.place().report_conflict("", message, problems);
            }
        }
    }

    /// The names, in the order of declaration.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The id behind a reference, which is a name or an id.
    fn find(&self, reference: &str) -> Option<&Arc<str>> {
        self.ids.get(reference).or_else(|| self.known.get(reference))
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
fn whereabouts(entry: &dyn Entry) -> String {
    let path = entry.path();
    match entry.origin() {
        Origin::Line(line) => format!("{path} in line {line}"),
        Origin::Stored(address) => format!("{address} in the store"),
        Origin::Variable(_) | Origin::Unknown => path.to_owned(),
    }
}

impl Place<'_> {
    /// Whether the text in `field` may be quoted in a message.
    fn is_quotable(&self, field: &str) -> bool {
        let value = self.node.at(field).map(|node| &node.value);
        // A checked entry keeps its origin only; it came to grief through another one, which may be named.
        let is_compact = self.node.members().is_empty();
        is_compact || matches!(value, Some(Value::Str { is_quotable: true, .. }))
    }
}

#[cfg(test)]
mod tests;
