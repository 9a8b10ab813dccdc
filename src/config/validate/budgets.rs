//! Budgets: their amounts and periods, and which of them a request falls under.

use std::sync::Arc;

use aisix_actors::{
    budget_ledger::{Budget, BudgetScope, timezone},
    types::MicroUsd,
};

use super::{Names, id_of};
use crate::config::{
    problem::{Place, Problems, did_you_mean},
    resources::{Declared, shapes::BudgetShape},
};

/// Time zones that a misspelt one is compared with.
const WELL_KNOWN_ZONES: [&str; 12] = [
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

/// Every budget, to be found by what it limits.
pub(super) struct BudgetIndex(Vec<Arc<Budget>>);

impl BudgetIndex {
    /// Resolves the budgets and reports all that is wrong with them.
    pub(super) fn resolve(
        declared: &[Declared<BudgetShape>],
        names: &Names,
        problems: &mut Problems,
    ) -> Self {
        let resolved = declared.iter().filter_map(|entry| {
            let shape = entry.shape.as_ref()?;
            resolve_one(entry.place(), shape, names, problems)
        });
        Self(resolved.map(Arc::new).collect())
    }

    /// Every budget, in the order of declaration.
    pub(super) fn into_list(self) -> Vec<Arc<Budget>> {
        self.0
    }

    /// The budgets of one scope, for the thing with this reference.
    pub(super) fn of(&self, scope: BudgetScope, reference: Option<&str>) -> Vec<Arc<Budget>> {
        let of_scope = self.0.iter().filter(|budget| budget.scope == scope);
        of_scope.filter(|budget| budget.scope_ref.as_deref() == reference).cloned().collect()
    }
}

fn resolve_one(
    place: Place<'_>,
    shape: &BudgetShape,
    names: &Names,
    problems: &mut Problems,
) -> Option<Budget> {
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
        id: id_of("budgets", &shape.name),
        name: shape.name.as_str().into(),
        scope: shape.scope,
        scope_ref: scope_ref?,
        limit: limit?,
        period: shape.period,
        timezone: zone?,
        hard_stop: shape.hard_stop,
        alert_at: shape.alert_at.clone(),
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
