//! Cache policies: what they apply to, and for how long.

use std::{sync::Arc, time::Duration};

use super::Names;
use crate::config::{
    glob::Glob,
    problem::{Place, Problems},
    resources::{Declared, shapes::CachePolicyShape},
    snapshot::{AppliesTo, CachePolicy},
};

/// Longest name of a policy.
const MAX_NAME: usize = 120;

/// Longest life of an entry: a week.
const MAX_TTL_SECONDS: u64 = 604_800;

/// Resolves the cache policies and reports all that is wrong with them.
pub(super) fn resolve(
    declared: &[Arc<Declared<CachePolicyShape>>],
    names: &Names,
    problems: &mut Problems,
) -> Vec<CachePolicy> {
    let resolved = declared.iter().filter_map(|entry| {
        let shape = entry.shape.as_ref()?;
        resolve_one(entry, shape, names, problems)
    });
    resolved.collect()
}

fn resolve_one(
    entry: &Declared<CachePolicyShape>,
    shape: &CachePolicyShape,
    names: &Names,
    problems: &mut Problems,
) -> Option<CachePolicy> {
    let place = entry.place();
    if shape.name.chars().count() > MAX_NAME {
        place.report("name", format!("expected at most {MAX_NAME} characters"), problems);
    }
    if !(1..=MAX_TTL_SECONDS).contains(&shape.ttl_seconds) {
        let message = format!("expected a whole number from 1 to {MAX_TTL_SECONDS}");
        place.report("ttl_seconds", message, problems);
    }
    Some(CachePolicy {
        id: entry.id.clone(),
        name: shape.name.as_str().into(),
        enabled: shape.enabled,
        backend: shape.backend,
        streaming: shape.streaming,
        ttl: Duration::from_secs(shape.ttl_seconds),
        applies_to: applies_to(place, shape, names, problems)?,
        scope: shape.scope,
        purge_generation: shape.purge_generation,
    })
}

fn applies_to(
    place: Place<'_>,
    shape: &CachePolicyShape,
    names: &Names,
    problems: &mut Problems,
) -> Option<AppliesTo> {
    let text = shape.applies_to.as_str();
    if text == "all" {
        return Some(AppliesTo::All);
    }
    if let Some(model) = text.strip_prefix("model:") {
        return model_name(place, model, names, problems).map(AppliesTo::Model);
    }
    if let Some(key) = text.strip_prefix("api_key:") {
        return names.api_keys.look_up(place, "applies_to", key, problems).map(AppliesTo::ApiKey);
    }
    let message = "expected \"all\", \"model:<name>\" or \"api_key:<name>\"";
    place.report("applies_to", message, problems);
    None
}

/// A name that callers can send: a declared one, or one that a wildcard stands for.
fn model_name(place: Place<'_>, name: &str, names: &Names, problems: &mut Problems) -> Option<Arc<str>> {
    let is_known =
        names.models.names().any(|known| Glob::parse(known).is_some_and(|glob| glob.is_match(name)));
    if !is_known {
        place.report("applies_to", names.models.unknown(place, "applies_to", name), problems);
    }
    is_known.then(|| name.into())
}
