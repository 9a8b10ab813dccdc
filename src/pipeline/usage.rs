//! Usage: what a caller has used of its limits and budgets (`GET /v1/usage`); budgets stand for administrators in the
//! same words (`GET /admin/v1/spend`).
//!
//! A caller sees its key's limits and every budget that its key pays into, those of its team and of the organisation
//! included: a refusal would tell it the same figures, and it is better off knowing before.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use aisix_actors::Actors;
use aisix_actors::budget_ledger::Budget;
use aisix_actors::rate_limiter::{Layer, Scope, Scopes, Use};
use aisix_actors::types::Now;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::exchange::Exchange;
use super::relay;
use crate::config::snapshot::{ApiKey, Snapshot};
use crate::gateway::Gateway;
use crate::policies::{Phase, Subject};

/// What a key has used.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyUsage")]
pub struct Usage<'a> {
    /// Always `usage`.
    object: &'static str,
    /// Whose it is.
    api_key: Key<'a>,
    /// Where the figures come from.
    source: Source,
    /// The limits of the key, and of the policies in force that go by who calls. What goes by the model is not among
    /// them.
    limits: Vec<LimitStanding>,
    /// The budgets that the key pays into.
    budgets: Vec<BudgetStanding<'a>>,
}

/// Where figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "FigureSource")]
pub enum Source {
    /// This gateway: it shares nothing, or cannot ask at the moment and tells what it knows.
    Local,
    /// All gateways that share a Redis.
    Redis,
}

impl Source {
    /// Whether everything that is shared was said by Redis.
    #[must_use]
    pub fn of(parts: &[(bool, bool)]) -> Self {
        let mut shared = parts.iter().filter(|(is_shared, _)| *is_shared).peekable();
        let is_any = shared.peek().is_some();
        if is_any && shared.all(|(_, is_told)| *is_told) { Self::Redis } else { Self::Local }
    }
}

/// A key, as its holder may know it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsingKey")]
struct Key<'a> {
    /// Its id.
    id: &'a str,
    /// Its name.
    name: &'a str,
    /// The team that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<&'a str>,
    /// The person behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
}

/// Limits that stand in one place of the configuration.
#[derive(Serialize, JsonSchema)]
struct LimitStanding {
    /// Where they stand: `api_key` or `policy`.
    layer: String,
    /// The name of the rate limit policy, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Arc<str>>,
    /// What is counted together: requests with the same scope share its limits.
    scope: Arc<str>,
    /// Each of them.
    dimensions: Vec<DimensionStanding>,
}

/// One limit.
#[derive(Serialize, JsonSchema)]
struct DimensionStanding {
    /// `rps`, `rpm`, `rph`, `rpd`, `tpm`, `tpd` or `concurrency`.
    dimension: &'static str,
    /// The most that is allowed.
    limit: u64,
    /// What is used; absent for a steady rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    /// Tokens held for requests in progress.
    held: u64,
    /// What is left; absent for a steady rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    /// When it begins at zero again; absent for what no clock resets.
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_in_seconds: Option<u64>,
}

impl From<Use> for DimensionStanding {
    fn from(used: Use) -> Self {
        let left = |spent: u64| used.limit.saturating_sub(spent).saturating_sub(used.held);
        Self {
            dimension: used.dimension.as_str(),
            limit: used.limit,
            used: used.used,
            held: used.held,
            remaining: used.used.map(left),
            resets_in_seconds: used.resets_in.map(|wait| wait.as_secs()),
        }
    }
}

/// A budget. Money is an exact decimal number of US dollars.
#[derive(Serialize, JsonSchema)]
pub struct BudgetStanding<'a> {
    /// Its name.
    name: &'a str,
    /// Whose spend it bounds: `org`, `team`, `member`, `api_key`, `model` or `provider_key`.
    scope: &'static str,
    /// Which one of that kind; absent for the organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope_ref: Option<&'a str>,
    /// What it is called, where that is an API key, a model or a provider key.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope_name: Option<Arc<str>>,
    /// `day`, `week`, `month` or `total`.
    period: &'static str,
    /// The most that may be spent in a period.
    limit_usd: String,
    /// What is spent in this one.
    spent_usd: String,
    /// What is held for requests in progress.
    held_usd: String,
    /// What is left.
    remaining_usd: String,
    /// When this period began, as RFC 3339; absent for `total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    began_at: Option<String>,
    /// When the next one begins, as RFC 3339; absent for `total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<String>,
    /// Whether requests are refused at the limit, or only warned of.
    hard_stop: bool,
    /// Whether the most that a request can cost is held.
    worst_case: bool,
}

impl<'a> BudgetStanding<'a> {
    /// How a budget stands now.
    pub fn of(gateway: &Gateway, snapshot: &Snapshot, budget: &'a Arc<Budget>, now: Now) -> Self {
        let spend = gateway.books.ledger.spend(budget, now);
        let left = budget.limit.saturating_sub(spend.spent).saturating_sub(spend.held);
        Self {
            name: &budget.name,
            scope: budget.scope.as_str(),
            scope_ref: budget.scope_ref.as_deref(),
            scope_name: snapshot.scope_name(budget),
            period: budget.period.as_str(),
            limit_usd: budget.limit.to_usd_exact(),
            spent_usd: spend.spent.to_usd_exact(),
            held_usd: spend.held.to_usd_exact(),
            remaining_usd: left.to_usd_exact(),
            began_at: spend.resets_at.and_then(|_| rfc3339(spend.period_start)),
            resets_at: spend.resets_at.and_then(rfc3339),
            hard_stop: budget.hard_stop,
            worst_case: budget.worst_case,
        }
    }
}

fn rfc3339(unix: Duration) -> Option<String> {
    let instant = Timestamp::from_second(i64::try_from(unix.as_secs()).ok()?).ok()?;
    Some(instant.to_string())
}

/// The limits that bind a key whatever it asks for.
fn scopes(exchange: &Exchange, caller: &ApiKey, now: Now) -> Scopes {
    let mut scopes: Scopes = caller.rate_limit.iter().cloned().collect();
    exchange.snapshot.policies.add(Phase::Gate, &Subject::of_caller(caller), || now.unix, &mut scopes);
    scopes
}

impl LimitStanding {
    fn of(scope: &Scope, uses: Vec<Use>) -> Self {
        let policy = match &scope.layer {
            Layer::Policy(label) => Some(label.name.clone()),
            _ => None,
        };
        Self {
            layer: scope.layer.to_string(),
            policy,
            scope: scope.id.clone(),
            dimensions: uses.into_iter().map(Into::into).collect(),
        }
    }
}

/// Answers a caller.
pub async fn answer(exchange: &Exchange, caller: &ApiKey) -> HttpResponse {
    let (gateway, now) = (&exchange.worker.gateway, Now::read());
    let Actors { limiter, ledger, .. } = &exchange.worker.actors;
    let scopes = scopes(exchange, caller, now);
    let ((uses, is_counted), is_spend_told) =
        futures::join!(limiter.uses(&scopes), ledger.look(&caller.budgets));
    let source = Source::of(&[(limiter.is_shared(), is_counted), (ledger.is_shared(), is_spend_told)]);
    let now = Now::read();
    let limits = scopes.iter().zip(uses).map(|(scope, uses)| LimitStanding::of(scope, uses));
    let usage = Usage {
        object: "usage",
        api_key: Key {
            id: &caller.id,
            name: &caller.name,
            team_id: caller.team_id.as_deref(),
            user_id: caller.user_id.as_deref(),
        },
        source,
        limits: limits.collect(),
        budgets: caller
            .budgets
            .iter()
            .map(|budget| BudgetStanding::of(gateway, &exchange.snapshot, budget, now))
            .collect(),
    };
    // Strings and integers always serialise.
    relay::whole(serde_json::to_vec(&usage).unwrap_or_default().into())
}
