//! API keys: one way to recognise each, and the limits and budgets that hold for its caller.

use std::{collections::HashMap, sync::Arc};

use aisix_actors::{
    budget_ledger::{Budget, BudgetScope},
    rate_limiter::Layer,
};

use super::{budgets::BudgetIndex, id_of, rate_limit, whereabouts};
use crate::config::{
    problem::{Place, Problems},
    resources::{Declared, shapes::ApiKeyShape},
    secret::KeyHash,
    snapshot::ApiKey,
};

/// Resolves the API keys and reports all that is wrong with them.
pub(super) fn resolve(
    declared: &[Declared<ApiKeyShape>],
    budgets: &BudgetIndex,
    problems: &mut Problems,
) -> Vec<(KeyHash, Arc<ApiKey>)> {
    let mut first: HashMap<KeyHash, &Declared<ApiKeyShape>> = HashMap::new();
    let mut resolved = Vec::new();
    for entry in declared {
        let Some(shape) = &entry.shape else { continue };
        let Some((field, hash)) = key_hash(entry.place(), shape, problems) else {
            continue;
        };
        if let Some(earlier) = first.insert(hash, entry) {
            let message = format!("this is also the key of {}", whereabouts(earlier));
            entry.place().report(field, message, problems);
        }
        resolved.push((hash, Arc::new(api_key(shape, budgets))));
    }
    resolved
}

/// The hash, and the field that it comes from.
fn key_hash(
    place: Place<'_>,
    shape: &ApiKeyShape,
    problems: &mut Problems,
) -> Option<(&'static str, KeyHash)> {
    match (&shape.key, &shape.key_hash) {
        (Some(key), None) if key.expose().is_empty() => {
            place.report("key", "must not be empty", problems);
        }
        (Some(key), None) => return Some(("key", key.hash())),
        (None, Some(hex)) => match KeyHash::from_hex(hex.expose()) {
            Some(hash) => return Some(("key_hash", hash)),
            None => place.report("key_hash", "expected 64 lower-case hexadecimal digits", problems),
        },
        (Some(_), Some(_)) => {
            place.report("key_hash", "gives the key a second time; keep one of the two", problems);
        }
        (None, None) => place.report("", "\"key\" or \"key_hash\" is required", problems),
    }
    None
}

fn api_key(shape: &ApiKeyShape, budgets: &BudgetIndex) -> ApiKey {
    let id = id_of("api_keys", &shape.display_name);
    ApiKey {
        rate_limit: rate_limit::scope(&id, Layer::ApiKey, shape.rate_limit.as_ref()),
        budgets: budgets_of(shape, &id, budgets),
        id,
        name: shape.display_name.as_str().into(),
        allowed_models: shape.allowed_models.clone(),
        team_id: shape.team_id.as_deref().map(Into::into),
        user_id: shape.user_id.as_deref().map(Into::into),
        user_name: shape.user_name.as_deref().map(Into::into),
        expires_at: shape.expires_at.map(|expiry| expiry.0),
        disabled: shape.disabled,
    }
}

fn budgets_of(shape: &ApiKeyShape, id: &str, budgets: &BudgetIndex) -> Vec<Arc<Budget>> {
    let mut all = budgets.of(BudgetScope::Org, None);
    if let Some(team) = shape.team_id.as_deref() {
        all.extend(budgets.of(BudgetScope::Team, Some(team)));
    }
    if let Some(member) = shape.user_id.as_deref() {
        all.extend(budgets.of(BudgetScope::Member, Some(member)));
    }
    all.extend(budgets.of(BudgetScope::ApiKey, Some(id)));
    all
}
