//! Reserve: a plan of candidates, then money, then limits. What a later one refuses takes nothing from an earlier one.
//!
//! The order is that of the specification: an unavailable group costs no slot, a refused budget takes no limit. Money
//! comes first because a hold of the ledger is undone without a trace.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use aisix_actors::budget_ledger::Budget;
use aisix_actors::candidate_router::Candidates;
use aisix_actors::types::MicroUsd;
use smallvec::SmallVec;

use super::exchange::Exchange;
use super::route::Wish;
use crate::config::price::Price;
use crate::config::settings::Unpriced;
use crate::config::snapshot::{ApiKey, Dispatch, Model};
use crate::dialect::Call;
use crate::endpoints::{Answer, Endpoint};
use crate::error::{BudgetError, Fault, GatewayError, LimitRefusal};
use crate::providers;

/// Plans the candidates and takes the holds of the caller and the model that it named.
///
/// # Errors
/// 501 when no provider of the model can answer, 503 when every target is out, 429 when a budget or a limit refuses.
pub async fn reserve(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    caller: &ApiKey,
    call: &Call,
    model: &Model,
) -> Result<Candidates, GatewayError> {
    if let Some(provider) = mute_provider(exchange.endpoint, model) {
        return Err(Fault::NotImplemented { provider, operation: exchange.endpoint.operation }.into());
    }
    let wish = Wish { endpoint: exchange.endpoint, headers, caller, address: exchange.client.ip };
    let context = wish.context(model)?;
    let planned = exchange.worker.actors.router.plan(model.group.clone(), context).await;
    let candidates = planned
        .map_err(|out| Fault::AllUnavailable { model: call.model.clone(), retry_after: out.retry_after })?;
    hold(exchange, caller, call, model).await?;
    let is_named = exchange.is_model_named;
    let scopes: SmallVec<[_; 2]> =
        caller.rate_limit.iter().chain(model.rate_limit.iter().filter(|_| is_named)).cloned().collect();
    if !scopes.is_empty() {
        let permit = exchange.worker.actors.limiter.acquire(scopes, call.held_tokens()).await;
        exchange.limits = Some(permit.map_err(LimitRefusal)?);
    }
    Ok(candidates)
}

/// Holds what the call may cost in the budgets of the caller and of the model that it named.
///
/// # Errors
/// 429 when a budget refuses.
pub async fn hold(
    exchange: &mut Exchange,
    caller: &ApiKey,
    call: &Call,
    model: &Model,
) -> Result<(), GatewayError> {
    let is_tunnel = exchange.endpoint.answer == Answer::Tunnel;
    let is_named = exchange.is_model_named;
    let model_budgets = model.budgets.iter().filter(|_| is_named);
    let budgets: SmallVec<[_; 4]> = caller.budgets.iter().chain(model_budgets).cloned().collect();
    if !budgets.is_empty() {
        // What a tunnel carries costs what nobody here can know: a budget that is used up refuses it, no more.
        let estimate = if is_tunnel { Some(MicroUsd(0)) } else { estimate(call, model) };
        refuse_unpriced(exchange, call, &budgets, estimate)?;
        let hold = exchange.worker.actors.ledger.hold(budgets, estimate.unwrap_or_default()).await;
        exchange.budgets = Some(hold.map_err(|refusal| BudgetError::Exceeded(Box::new(refusal)))?);
    }
    Ok(())
}

/// Refuses a call whose cost nobody can know where a hard budget applies, unless the operator allows it.
///
/// # Errors
/// 429 naming the budget.
pub fn refuse_unpriced(
    exchange: &Exchange,
    call: &Call,
    budgets: &[Arc<Budget>],
    estimate: Option<MicroUsd>,
) -> Result<(), GatewayError> {
    if estimate.is_some() || exchange.snapshot.settings.budget.unpriced == Unpriced::Allow {
        return Ok(());
    }
    match budgets.iter().find(|budget| budget.hard_stop) {
        None => Ok(()),
        Some(budget) => {
            Err(BudgetError::Unpriced { model: call.model.clone(), budget: budget.clone() }.into())
        }
    }
}

/// A provider of the model, when none of its providers can answer this endpoint.
pub fn mute_provider(endpoint: &Endpoint, model: &Model) -> Option<&'static str> {
    match &model.dispatch {
        Dispatch::Direct(_) if endpoint.answer == Answer::Tunnel => None,
        Dispatch::Direct(direct) => {
            (!providers::answers(direct.provider, endpoint.operation, endpoint.dialect))
                .then(|| direct.provider.name())
        }
        Dispatch::Routing(routing) => {
            let mut mute = None;
            for member in &routing.members {
                mute = Some(mute_provider(endpoint, member)?);
            }
            mute
        }
    }
}

/// What the call may cost at the dearest target; `None` when a target has no price.
fn estimate(call: &Call, model: &Model) -> Option<MicroUsd> {
    match &model.dispatch {
        Dispatch::Direct(direct) => direct.price.as_ref().map(|price| held_cost(call, price)),
        Dispatch::Routing(routing) => routing
            .members
            .iter()
            .map(|member| estimate(call, member))
            .try_fold(MicroUsd(0), |dearest, cost| cost.map(|cost| MicroUsd(cost.0.max(dearest.0)))),
    }
}

/// What the call may cost at one target.
pub fn held_cost(call: &Call, price: &Price) -> MicroUsd {
    price.cost(call.prompt_tokens, call.held_output_tokens(), 0, 0)
}
