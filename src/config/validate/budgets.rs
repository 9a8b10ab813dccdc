//! Budgets: their amounts and periods, and which of them a request falls under.

use std::{collections::HashMap, sync::Arc};

use aisix_actors::{
    budget_ledger::{Budget, BudgetScope, timezone},
    types::MicroUsd,
};

use super::Names;
use crate::config::{
    problem::{Place, Problems, did_you_mean},
    resources::{Declared, shapes::BudgetShape},
};

/// Time zones that a misspelt one is compared with.
pub(super) const WELL_KNOWN_ZONES: [&str; 12] = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Paris",
    "Europe/Madrid",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Asia/Shanghai",
    "Asia/Kolkata",
];

/// What a budget limits.
type Limited = (BudgetScope, Option<Arc<str>>);

/// Every budget, to be found by what it limits.
pub(super) struct BudgetIndex(HashMap<Limited, Vec<Arc<Budget>>>);

impl BudgetIndex {
    /// Resolves the budgets and reports all that is wrong with them.
    pub(super) fn resolve(
        declared: &[Arc<Declared<BudgetShape>>],
        names: &Names,
        problems: &mut Problems,
    ) -> Self {
        let mut index: HashMap<_, Vec<_>> = HashMap::new();
        for entry in declared {
            let Some(shape) = &entry.shape else { continue };
            if let Some(budget) = resolve_one(entry, shape, names, problems) {
                let key = (budget.scope, budget.scope_ref.clone());
                index.entry(key).or_default().push(Arc::new(budget));
            }
        }
        Self(index)
    }

    /// The budgets of one scope, for the thing with this reference.
    pub(super) fn of(&self, scope: BudgetScope, reference: Option<&str>) -> Vec<Arc<Budget>> {
        if self.0.is_empty() {
            return Vec::new();
        }
        self.0.get(&(scope, reference.map(Into::into))).cloned().unwrap_or_default()
    }

    /// Every budget.
    pub(super) fn all(&self) -> Vec<Arc<Budget>> {
        let mut all: Vec<_> = self.0.values().flatten().cloned().collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }
}

fn resolve_one(
    entry: &Declared<BudgetShape>,
    shape: &BudgetShape,
    names: &Names,
    problems: &mut Problems,
) -> Option<Budget> {
    let place = entry.place();
    let scope_ref = scope_ref(place, shape, names, problems);
    let limit = MicroUsd::from_usd_str(shape.limit_usd.as_str());
    if limit.is_none() {
        place.report("limit_usd", "the amount is too large", problems);
    }
    let zone = timezone(&shape.timezone);
    if zone.is_none() {
        let hint = did_you_mean(&shape.timezone, WELL_KNOWN_ZONES);
        place.report("timezone", format!("no time zone of the IANA database has this name{hint}"), problems);
    }
    for (index, fraction) in shape.alert_at.iter().enumerate() {
        if !(*fraction > 0.0 && *fraction <= 1.0) {
            let field = format!("alert_at[{index}]");
            place.report(&field, "expected a fraction of the limit, such as 0.8", problems);
        }
    }
    Some(Budget {
        id: entry.id.clone(),
        name: shape.name.as_str().into(),
        scope: shape.scope,
        scope_ref: scope_ref?,
        limit: limit?,
        period: shape.period,
        timezone: zone?,
        hard_stop: shape.hard_stop,
        alert_at: shape.alert_at.clone(),
        worst_case: shape.worst_case,
    })
}

/// What the budget is for: `Some(None)` is the organisation, `None` a reported problem.
fn scope_ref(
    place: Place<'_>,
    shape: &BudgetShape,
    names: &Names,
    problems: &mut Problems,
) -> Option<Option<Arc<str>>> {
    let directory = match shape.scope {
        BudgetScope::Org => {
            if shape.scope_ref.is_some() {
                place.report("scope_ref", "a budget of the organisation refers to nothing", problems);
                return None;
            }
            return Some(None);
        }
        BudgetScope::Team | BudgetScope::Member => None,
        BudgetScope::ApiKey => Some(&names.api_keys),
        BudgetScope::Model => Some(&names.models),
        BudgetScope::ProviderKey => Some(&names.provider_keys),
    };
    match (shape.scope_ref.as_deref(), directory) {
        (None | Some(""), _) => {
            place.report("scope_ref", "is required, except for scope \"org\"", problems);
            None
        }
        (Some(reference), None) => Some(Some(reference.into())),
        (Some(reference), Some(directory)) => {
            directory.look_up(place, "scope_ref", reference, problems).map(Some)
        }
    }
}
