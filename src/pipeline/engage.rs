//! Engage: what one attempt needs, taken so that a refusal of the last takes nothing from the ones before.

use aisix_actors::candidate_router::{Candidate, InFlight};
use aisix_actors::provider_pool::LeaseRefused;
use aisix_actors::types::MicroUsd;
use smallvec::SmallVec;

use super::exchange::{Engaged, Exchange};
use super::reserve::{held_cost, refuse_unpriced};
use crate::config::snapshot::{Direct, Model};
use crate::dialect::Call;
use crate::endpoints::Answer;
use crate::error::{BudgetError, Fault, GatewayError, LimitRefusal};

/// Takes a credential and a connection slot, and the target's own budgets and limits.
///
/// A lease and a hold are undone without a trace, so they come first; counted requests come last.
///
/// # Errors
/// What keeps this target from being asked; another may still be.
pub async fn engage(
    exchange: &Exchange,
    call: &Call,
    target: &Model,
    direct: &Direct,
    candidate: &Candidate,
    in_flight: InFlight,
) -> Result<Engaged, GatewayError> {
    let actors = &exchange.worker.actors;
    let lease = actors.pool.lease(direct.provider_key.clone()).await.map_err(|refused| match refused {
        LeaseRefused::Unknown => Fault::ProviderUnavailable(call.model.clone()),
        LeaseRefused::Saturated { .. } => Fault::ProviderBusy(call.model.clone()),
    })?;
    // The model that the caller named has had its own taken already.
    let is_routed = exchange.model.as_ref().is_some_and(|named| named.model.id != target.id);
    let own: &[_] = if is_routed { &target.budgets } else { &[] };
    let budgets: SmallVec<[_; 4]> = direct.provider_key_budgets.iter().chain(own).cloned().collect();
    let mut hold = None;
    if !budgets.is_empty() {
        let is_tunnel = exchange.endpoint.answer == Answer::Tunnel;
        let estimate = match is_tunnel {
            true => Some(MicroUsd(0)),
            false => direct.price.as_ref().map(|price| held_cost(call, price)),
        };
        refuse_unpriced(exchange, call, &budgets, estimate)?;
        let held = actors.ledger.hold(budgets, estimate.unwrap_or_default()).await;
        hold = Some(held.map_err(|refusal| BudgetError::Exceeded(Box::new(refusal)))?);
    }
    let mut limits = None;
    if let Some(scope) = target.rate_limit.as_ref().filter(|_| is_routed) {
        let scopes = SmallVec::from_iter([scope.clone()]);
        limits = Some(actors.limiter.acquire(scopes, call.held_tokens()).await.map_err(LimitRefusal)?);
    }
    let key = direct.key.clone();
    let in_flight = Some(in_flight);
    Ok(Engaged { limits, budgets: hold, lease, key, in_flight, candidate: candidate.clone() })
}
