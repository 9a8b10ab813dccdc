//! Take: the one place where money and requests are taken, for the caller as for a target: all of it or nothing.
//!
//! Money comes first because a hold of the ledger is undone without a trace. Where both lie in the same Redis, both are
//! asked for in the same breath.

use std::sync::Arc;

use aisix_actors::Untaken;
use aisix_actors::budget_ledger::{Budget, BudgetHold, Budgets, Estimate, HoldRefused};
use aisix_actors::rate_limiter::{AcquireRefused, Permit, Scopes};

use super::exchange::Exchange;
use crate::config::settings::Verdict;
use crate::dialect::Call;
use crate::error::{BudgetError, GatewayError, LimitRefusal};

/// What a request, or an attempt of it, falls under.
#[derive(Default)]
pub struct Claim {
    /// The budgets that pay for it.
    pub budgets: Budgets,
    /// The limits that it counts towards.
    pub scopes: Scopes,
    /// What it may cost; nothing where nobody can know.
    pub estimate: Option<Estimate>,
}

/// What was taken; nothing where nothing applies.
#[derive(Default)]
pub struct Taken {
    /// Money set aside.
    pub hold: Option<BudgetHold>,
    /// A request counted, and tokens set aside.
    pub permit: Option<Permit>,
}

/// Takes everything, or nothing.
///
/// # Errors
/// 429 of the budget or the limit that refuses.
pub async fn take(exchange: &Exchange, call: &Call, claim: Claim) -> Result<Taken, GatewayError> {
    let actors = &exchange.worker.actors;
    if !claim.budgets.is_empty() {
        refuse_unpriced(exchange, call, &claim)?;
    }
    let Claim { budgets, scopes, estimate } = claim;
    let (estimate, tokens) = (estimate.unwrap_or_default(), call.held_tokens());
    if let Some(taken) = actors.take(&budgets, estimate, &scopes, tokens).await {
        let (hold, permit) = taken.map_err(|untaken| match untaken {
            Untaken::Money(refusal) => refused(refusal).into(),
            Untaken::Limit(refusal) => limited(refusal),
        })?;
        return Ok(Taken { hold: Some(hold), permit: Some(permit) });
    }
    let mut taken = Taken::default();
    if !budgets.is_empty() {
        taken.hold = Some(actors.ledger.hold(budgets, estimate).await.map_err(refused)?);
    }
    if !scopes.is_empty() {
        taken.permit = Some(actors.limiter.acquire(scopes, tokens).await.map_err(limited)?);
    }
    Ok(taken)
}

fn limited(refusal: AcquireRefused) -> GatewayError {
    match refusal {
        AcquireRefused::Exceeded(exceeded) => LimitRefusal(exceeded).into(),
        AcquireRefused::Uncounted | AcquireRefused::NoHold => GatewayError::Uncounted,
    }
}

fn refused(refusal: HoldRefused) -> BudgetError {
    match refusal {
        HoldRefused::Exceeded(refusal) => BudgetError::Exceeded(refusal),
        HoldRefused::Unkept => BudgetError::Unkept,
    }
}

/// Refuses a call whose cost nobody can know where a hard budget applies, unless the operator allows it.
fn refuse_unpriced(exchange: &Exchange, call: &Call, claim: &Claim) -> Result<(), GatewayError> {
    if claim.estimate.is_some() || exchange.snapshot.settings.budget.unpriced == Verdict::Allow {
        return Ok(());
    }
    let hard: Option<&Arc<Budget>> = claim.budgets.iter().find(|budget| budget.hard_stop);
    match hard {
        None => Ok(()),
        Some(budget) => {
            Err(BudgetError::Unpriced { model: call.model.clone(), budget: budget.clone() }.into())
        }
    }
}
