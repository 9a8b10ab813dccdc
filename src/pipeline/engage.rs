//! Engage: what one attempt needs, taken so that a refusal of the last takes nothing from the ones before.

use aisix_actors::budget_ledger::Budgets;
use aisix_actors::candidate_router::{Candidate, InFlight};
use aisix_actors::provider_pool::LeaseRefused;
use aisix_actors::rate_limiter::Scopes;
use aisix_actors::types::Now;

use super::exchange::{Engaged, Exchange};
use super::reserve::estimate;
use super::take::{Claim, Taken, take};
use crate::config::snapshot::{Direct, Model};
use crate::dialect::Call;
use crate::error::{Fault, GatewayError};
use crate::policies::{Phase, Subject};

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
    let claim = if is_routed { claim(exchange, call, target, direct)? } else { Claim::default() };
    let Taken { hold, permit } = take(exchange, call, claim).await?;
    let key = direct.key.clone();
    let in_flight = Some(in_flight);
    Ok(Engaged { limits: permit, budgets: hold, lease, key, in_flight, candidate: candidate.clone() })
}

/// What an attempt at a target of a routing model falls under by itself.
fn claim(exchange: &Exchange, call: &Call, target: &Model, direct: &Direct) -> Result<Claim, GatewayError> {
    let mut scopes: Scopes = target.rate_limit.iter().cloned().collect();
    if let (Some(caller), Some(named)) = (&exchange.caller, &exchange.model) {
        let subject = Subject::at_target(caller, &named.model, &call.model, target);
        exchange.snapshot.policies.add(Phase::Target, &subject, || Now::read().unix, &mut scopes);
    }
    let budgets: Budgets = direct.provider_key_budgets.iter().chain(&target.budgets).cloned().collect();
    let estimate = estimate(exchange, call, target, &budgets)?;
    Ok(Claim { budgets, scopes, estimate })
}
