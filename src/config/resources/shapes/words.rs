//! The words of the shapes: how the file and the Admin API spell what the actors have as types.

use aisix_actors::{
    budget_ledger::{BudgetScope, Period},
    candidate_router::{Strategy, WhenAllUnavailable},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the file spells a [`Strategy`].
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "Strategy", rename_all = "snake_case")]
#[schemars(rename = "Strategy", description = "The order in which targets are tried.")]
pub(crate) enum StrategyShape {
    /// As listed.
    Failover,
    /// In turn, each by its weight, then on from there.
    RoundRobin,
    /// First one at random by weight, then on from there.
    Weighted,
    /// The same key meets the same target; see `hash_on`.
    ConsistentHash,
    /// The cheapest first; those without a price last.
    LeastCost,
    /// The fastest first; those that nobody has asked yet before them.
    LeastLatency,
    /// The one with the fewest requests in progress, by its weight.
    LeastBusy,
}

/// How the file spells a [`WhenAllUnavailable`].
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "WhenAllUnavailable", rename_all = "snake_case")]
#[schemars(
    rename = "WhenAllUnavailable",
    description = "What happens while every target fails its background checks."
)]
pub(crate) enum WhenAllUnavailableShape {
    /// The request is answered 503.
    Fail,
    /// The targets are tried all the same.
    TryAnyway,
}

/// How the file spells a [`BudgetScope`].
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "BudgetScope", rename_all = "snake_case")]
#[schemars(rename = "BudgetScope", description = "Whose spending a budget limits.")]
pub(super) enum BudgetScopeShape {
    /// Everybody together.
    Org,
    /// The keys of a team.
    Team,
    /// The keys of a member.
    Member,
    /// One API key.
    ApiKey,
    /// One model.
    Model,
    /// One provider key.
    ProviderKey,
}

/// How the file spells a [`Period`].
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "Period", rename_all = "snake_case")]
#[schemars(rename = "Period", description = "The time after which a budget begins anew.")]
pub(super) enum PeriodShape {
    /// At midnight.
    Day,
    /// On Monday.
    Week,
    /// On the first.
    Month,
    /// Never.
    Total,
}
