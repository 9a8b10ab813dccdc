//! Warnings: what of money and limits is not wrong and still does not do what it seems to say.

use std::sync::Arc;

use aisix_actors::budget_ledger::{Budget, BudgetScope};

use super::{AppliesTo, Direct, Dispatch, Model, Snapshot};
use crate::config::problem::did_you_mean;
use crate::config::settings::Verdict;
use crate::policies::Dimension;

/// Models without a price that are named one by one.
const MOST_NAMED: usize = 5;

impl Snapshot {
    /// Appends them.
    pub(super) fn warn_of_money(&self, warnings: &mut Vec<String>) {
        self.warn_of_prices(warnings);
        self.warn_of_budgets(warnings);
        self.warn_of_policies(warnings);
        self.warn_of_cache(warnings);
    }

    /// Models that a hard budget refuses, because nobody knows what they cost.
    fn warn_of_prices(&self, warnings: &mut Vec<String>) {
        if self.settings.budget.unpriced == Verdict::Allow {
            return;
        }
        let refused: Vec<_> = self
            .models()
            .filter_map(|model| Some((model, unpriced(model)?)))
            .filter_map(|(model, direct)| Some((model, self.hard_budget(model, direct)?)))
            .collect();
        warnings.extend(refused.iter().take(MOST_NAMED).map(|(model, budget)| {
            format!(
                "the model {:?} has no price, so the budget {:?} refuses it: set cost, or budget.unpriced = \"allow\"",
                model.name, budget.name
            )
        }));
        if let Some(more) = refused.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            warnings.push(format!("and {more} more models have no price under a hard budget"));
        }
    }

    /// A hard budget that pays for a model: its own, its provider key's, or that of a key which may call it.
    fn hard_budget<'a>(&'a self, model: &'a Model, direct: &'a Direct) -> Option<&'a Arc<Budget>> {
        let has_target = |group: &&Arc<Model>| match &group.dispatch {
            Dispatch::Routing(routing) => routing.members.iter().any(|member| member.id == model.id),
            Dispatch::Direct(_) => false,
        };
        let mut names: Vec<&str> = self.models().filter(has_target).map(|group| &*group.name).collect();
        names.push(&model.name);
        let callers = self.api_keys().filter(|key| names.iter().any(|name| key.allows(name)));
        let own = model.budgets.iter().chain(&direct.provider_key_budgets);
        own.chain(callers.flat_map(|key| &key.budgets)).find(|budget| budget.hard_stop)
    }

    /// Budgets of teams and members that nobody belongs to.
    fn warn_of_budgets(&self, warnings: &mut Vec<String>) {
        for budget in &self.budgets {
            let dimension = match budget.scope {
                BudgetScope::Team => Dimension::Team,
                BudgetScope::Member => Dimension::Member,
                _ => continue,
            };
            let named = budget.scope_ref.as_deref();
            if let Some(hint) = named.and_then(|id| self.stranger(dimension, id)) {
                warnings.push(format!("the budget {:?} counts nothing: {hint}", budget.name));
            }
        }
    }

    /// Policies that go by what there is not.
    fn warn_of_policies(&self, warnings: &mut Vec<String>) {
        for policy in self.policies.all() {
            for (dimension, value) in policy.reach.names() {
                if let Some(hint) = self.stranger(dimension, value) {
                    warnings.push(format!("the rate limit policy {:?}: {hint}", policy.label.name));
                }
            }
        }
    }

    /// What is wrong with a name that nothing has; `None` where something has it.
    fn stranger(&self, dimension: Dimension, name: &str) -> Option<String> {
        let labels = self.models().filter_map(|model| match &model.dispatch {
            Dispatch::Direct(direct) => Some(&*direct.provider_label),
            Dispatch::Routing(_) => None,
        });
        let (what, known): (_, Vec<&str>) = match dimension {
            Dimension::Team => (
                "API key has the team_id",
                self.api_keys().filter_map(|key| key.team_id.as_deref()).collect(),
            ),
            Dimension::Member => (
                "API key has the user_id",
                self.api_keys().filter_map(|key| key.user_id.as_deref()).collect(),
            ),
            Dimension::ModelName if self.resolve(name).is_some() => return None,
            Dimension::ModelName => ("model is called", self.models().map(|model| &*model.name).collect()),
            Dimension::Provider => ("model is of the provider", labels.collect()),
            // These were looked up when the file was read.
            Dimension::ApiKey | Dimension::Model => return None,
        };
        (!known.contains(&name)).then(|| format!("no {what} {name:?}{}", did_you_mean(name, known)))
    }

    /// Cache policies that come after one for everything.
    fn warn_of_cache(&self, warnings: &mut Vec<String>) {
        let mut enabled = self.cache_policies.iter().filter(|policy| policy.enabled);
        let Some(first) = enabled.by_ref().find(|policy| policy.applies_to == AppliesTo::All) else { return };
        warnings.extend(enabled.map(|policy| {
            let (name, first) = (&policy.name, &first.name);
            format!("the cache policy {name:?} is never reached: {first:?} stands before it and is for all requests")
        }));
    }
}

/// The target of a model whose price nobody knows; a wildcard's depends on what is asked for.
fn unpriced(model: &Model) -> Option<&Direct> {
    match &model.dispatch {
        Dispatch::Direct(direct) if direct.upstream_model.contains('*') => None,
        Dispatch::Direct(direct) => direct.terms(None).price.is_none().then_some(direct),
        Dispatch::Routing(_) => None,
    }
}
