//! Models: exactly one way to serve each, and every reference resolved to the thing itself.
//!
//! Direct models come first, because routing models are made of them.

mod direct;
mod routing;

use std::{collections::HashMap, sync::Arc, time::Duration};

use aisix_actors::{budget_ledger::BudgetScope, candidate_router::Group, rate_limiter::Layer};

use super::{Names, budgets::BudgetIndex, provider_keys::CheckedKey, rate_limit};
use crate::config::{
    cidr::{self, Cidr},
    glob::Glob,
    problem::{Place, Problems},
    resources::{Declared, shapes::ModelShape},
    snapshot::{Dispatch, Model, TimeoutRule},
    tree::Value,
};

/// What models are resolved against.
pub(super) struct Known<'a> {
    pub(super) names: &'a Names,
    pub(super) budgets: &'a BudgetIndex,
    pub(super) provider_keys: HashMap<&'a str, &'a CheckedKey>,
    pub(super) loaded_at: u64,
}

/// Resolves the models, in the order of declaration, and reports all that is wrong with them.
pub(super) fn resolve(
    declared: &[Arc<Declared<ModelShape>>],
    known: &Known<'_>,
    problems: &mut Problems,
) -> Vec<Arc<Model>> {
    let mut resolved: HashMap<&str, Arc<Model>> = HashMap::new();
    let kinds: HashMap<&str, &Declared<ModelShape>> =
        declared.iter().filter_map(|entry| Some((entry.name.as_deref()?, &**entry))).collect();
    for entry in declared.iter().filter(|entry| !is_routing(entry)) {
        let Some(shape) = &entry.shape else { continue };
        if let Some(model) = direct::resolve(entry, shape, known, problems) {
            resolved.insert(&shape.display_name, Arc::new(model));
        }
    }
    for entry in declared.iter().filter(|entry| is_routing(entry)) {
        let Some(shape) = &entry.shape else { continue };
        let members = routing::Members { declared: &kinds, resolved: &resolved };
        if let Some(model) = routing::resolve(entry, shape, &members, known, problems) {
            resolved.insert(&shape.display_name, Arc::new(model));
        }
    }
    let in_order = declared.iter().filter_map(|entry| resolved.remove(entry.name.as_deref()?));
    in_order.collect()
}

/// Whether an entry, even one that could not be read, is a choice among others.
fn is_routing(entry: &Declared<ModelShape>) -> bool {
    let is_written = || entry.node.get("routing").is_some_and(|node| !matches!(node.value, Value::Null));
    entry.shape.as_ref().is_some_and(|shape| shape.routing.is_some()) || is_written()
}

/// What direct and routing models have in common.
fn assemble(shape: &ModelShape, group: Group, dispatch: Dispatch, known: &Known<'_>) -> Model {
    let scope_id = format!("model:{}", group.id);
    Model {
        name: shape.display_name.as_str().into(),
        rate_limit: rate_limit::scope(&scope_id, Layer::Model, shape.rate_limit.as_ref()),
        timeout: after_or_none(shape.timeout),
        stream_timeout: after_or_wider(shape.stream_timeout),
        ttft_timeout: after_or_wider(shape.ttft_timeout),
        total_timeout: after_or_none(shape.total_timeout),
        // Those that are none are reported.
        allowed_cidrs: shape.allowed_cidrs.iter().filter_map(|text| Cidr::parse(text.trim())).collect(),
        is_strict: shape.strict_translation,
        budgets: known.budgets.of(BudgetScope::Model, Some(&group.id)),
        id: group.id.clone(),
        group: Arc::new(group),
        created: known.loaded_at,
        dispatch,
    }
}

/// A limit in milliseconds, of which 0 is none.
fn after_or_none(limit: Option<u64>) -> TimeoutRule {
    match limit {
        None => TimeoutRule::Inherit,
        Some(0) => TimeoutRule::None,
        Some(limit) => TimeoutRule::After(Duration::from_millis(limit)),
    }
}

/// A limit in milliseconds, of which 0 leaves it to the next wider rule.
fn after_or_wider(limit: Option<u64>) -> TimeoutRule {
    match limit {
        None | Some(0) => TimeoutRule::Inherit,
        Some(limit) => TimeoutRule::After(Duration::from_millis(limit)),
    }
}

/// Reports what is no network of callers.
fn check_networks(place: Place<'_>, shape: &ModelShape, problems: &mut Problems) {
    for (index, text) in shape.allowed_cidrs.iter().enumerate() {
        if Cidr::parse(text.trim()).is_none() {
            place.report(&format!("allowed_cidrs[{index}]"), cidr::EXPECTED, problems);
        }
    }
}

/// Whether the name stands for many; reports a name that can stand for none.
fn is_wildcard(place: Place<'_>, shape: &ModelShape, problems: &mut Problems) -> bool {
    let glob = Glob::parse(&shape.display_name);
    if glob.is_none() {
        place.report("display_name", "may hold one \"*\", not more", problems);
    }
    matches!(glob, Some(Glob::Around { .. }))
}

/// Reports members of `statuses` outside `range`.
fn check_statuses(
    place: Place<'_>,
    field: &str,
    statuses: &[u16],
    range: std::ops::RangeInclusive<u16>,
    problems: &mut Problems,
) {
    for (index, status) in statuses.iter().enumerate() {
        if !range.contains(status) {
            let message = format!("expected a status from {} to {}", range.start(), range.end());
            place.report(&format!("{field}[{index}]"), message, problems);
        }
    }
}
