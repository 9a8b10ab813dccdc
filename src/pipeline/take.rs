//! Take: the one place where money and requests are taken, for the caller as for a target: all of it or nothing.
//!
//! Money comes first because a hold of the ledger is undone without a trace.

use std::sync::Arc;

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
    let mut taken = Taken::default();
    if !claim.budgets.is_empty() {
        refuse_unpriced(exchange, call, &claim)?;
        let held = actors.ledger.hold(claim.budgets, claim.estimate.unwrap_or_default()).await;
        taken.hold = Some(held.map_err(refused)?);
    }
    if !claim.scopes.is_empty() {
        let permit = actors.limiter.acquire(claim.scopes, call.held_tokens()).await;
        taken.permit = Some(permit.map_err(limited)?);
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
