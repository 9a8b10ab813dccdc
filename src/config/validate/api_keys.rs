//! API keys: one way to recognise each, and the limits and budgets that hold for its caller.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aisix_actors::{
    budget_ledger::{Budget, BudgetScope},
    rate_limiter::Layer,
};

use super::{budgets::BudgetIndex, rate_limit, whereabouts};
use crate::config::{
    problem::{Place, Problems},
    resources::{Declared, shapes::ApiKeyShape},
    secret::KeyHash,
    snapshot::ApiKey,
};

/// Most earlier keys of one caller that are still good.
pub const MAX_RETIRING: usize = 8;

/// One way to recognise a caller.
pub(in crate::config) struct KnownKey {
    /// The hash of what the caller presents.
    pub(in crate::config) hash: KeyHash,
    /// The last instant at which it is recognised, where there is one.
    pub(in crate::config) until: Option<Duration>,
    /// Whose key it is.
    pub(in crate::config) key: Arc<ApiKey>,
}

/// Resolves the API keys and reports all that is wrong with them.
pub(super) fn resolve(
    declared: &[Arc<Declared<ApiKeyShape>>],
    budgets: &BudgetIndex,
    problems: &mut Problems,
) -> Vec<KnownKey> {
    let mut first: HashMap<KeyHash, &Declared<ApiKeyShape>> = HashMap::new();
    let mut resolved = Vec::with_capacity(declared.len());
    for entry in declared {
        let Some(shape) = &entry.shape else { continue };
        let place = entry.place();
        let Some((field, hash)) = key_hash(place, shape, problems) else {
            continue;
        };
        if shape.retiring.len() > MAX_RETIRING {
            place.report("retiring", format!("expected at most {MAX_RETIRING}"), problems);
        }
        let key = Arc::new(api_key(entry, shape, budgets));
        let mut add = |field: &str, hash, until| {
            if let Some(earlier) = first.insert(hash, entry) {
                let message = format!("this is also the key of {}", whereabouts(earlier));
                place.report_conflict(field, message, problems);
            }
            resolved.push(KnownKey { hash, until, key: key.clone() });
        };
        add(field, hash, None);
        for (index, earlier) in shape.retiring.iter().enumerate() {
            add(&format!("retiring[{index}].key_hash"), earlier.key_hash, Some(earlier.until.0));
        }
    }
    resolved
}

/// The hash, and the field that it comes from.
fn key_hash(
    place: Place<'_>,
    shape: &ApiKeyShape,
    problems: &mut Problems,
) -> Option<(&'static str, KeyHash)> {
    match (shape.key, shape.key_hash) {
        (Some(hash), None) => return Some(("key", hash)),
        (None, Some(hash)) => return Some(("key_hash", hash)),
        (Some(_), Some(_)) => {
            place.report("key_hash", "gives the key a second time; keep one of the two", problems);
        }
        (None, None) => place.report("", "\"key\" or \"key_hash\" is required", problems),
    }
    None
}

fn api_key(entry: &Declared<ApiKeyShape>, shape: &ApiKeyShape, budgets: &BudgetIndex) -> ApiKey {
    let id = entry.id.clone();
    ApiKey {
        rate_limit: rate_limit::scope(&id, Layer::ApiKey, shape.rate_limit.as_ref()),
        budgets: budgets_of(shape, &id, budgets),
        id,
        name: entry.name.clone().unwrap_or_default(),
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
