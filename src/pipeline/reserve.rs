//! Reserve: a plan of candidates, then money, then limits. What a later one refuses takes nothing from an earlier one.
//!
//! The order is that of the specification: an unavailable group costs no slot, a refused budget takes no limit.

use actix_web::http::header::HeaderMap;
use aisix_actors::budget_ledger::Estimate;
use aisix_actors::candidate_router::Candidates;
use aisix_actors::rate_limiter::Scopes;
use aisix_actors::types::Now;

use super::exchange::Exchange;
use super::route::Wish;
use super::take::{Claim, Taken, take};
use crate::config::price::Price;
use crate::config::snapshot::{ApiKey, Dispatch, Model};
use crate::dialect::Call;
use crate::endpoints::{Answer, Endpoint};
use crate::error::{Fault, GatewayError};
use crate::policies::{Phase, Subject};
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
    let is_named = exchange.is_model_named;
    let mut scopes: Scopes =
        caller.rate_limit.iter().chain(model.rate_limit.iter().filter(|_| is_named)).cloned().collect();
    let subject = Subject::at_gate(caller, model, &call.model, is_named);
    exchange.snapshot.policies.add(Phase::Gate, &subject, || Now::read().unix, &mut scopes);
    let claim = Claim { scopes, ..money(exchange, caller, call, model) };
    let Taken { hold, permit } = take(exchange, call, claim).await?;
    exchange.budgets = hold;
    exchange.limits = permit;
    Ok(candidates)
}

/// Holds anew what the call may cost, in the budgets of the caller and of the model that it named.
///
/// # Errors
/// 429 when a budget refuses.
pub async fn hold(
    exchange: &mut Exchange,
    caller: &ApiKey,
    call: &Call,
    model: &Model,
) -> Result<(), GatewayError> {
    exchange.budgets = take(exchange, call, money(exchange, caller, call, model)).await?.hold;
    Ok(())
}

/// What the call may cost, and the budgets that pay for it whoever serves it. The provider key of a direct model is
/// known by now; those of a routing model's targets pay for their attempts.
fn money(exchange: &Exchange, caller: &ApiKey, call: &Call, model: &Model) -> Claim {
    let named = model.budgets.iter().filter(|_| exchange.is_model_named);
    let of_key: &[_] = match &model.dispatch {
        Dispatch::Direct(direct) => &direct.provider_key_budgets,
        Dispatch::Routing(_) => &[],
    };
    let budgets = caller.budgets.iter().chain(named).chain(of_key).cloned().collect();
    // What a tunnel carries costs what nobody here can know: a budget that is used up refuses it, no more.
    let is_tunnel = exchange.endpoint.answer == Answer::Tunnel;
    let estimate = if is_tunnel { Some(Estimate::default()) } else { estimate(call, model) };
    Claim { budgets, estimate, ..Claim::default() }
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
pub fn estimate(call: &Call, model: &Model) -> Option<Estimate> {
    match &model.dispatch {
        Dispatch::Direct(direct) => direct.price.as_ref().map(|price| held_cost(call, price)),
        Dispatch::Routing(routing) => {
            let mut costs = routing.members.iter().map(|member| estimate(call, member));
            costs.try_fold(Estimate::default(), |dearest, cost| {
                let cost = cost?;
                Some(Estimate { likely: cost.likely.max(dearest.likely), most: cost.most.max(dearest.most) })
            })
        }
    }
}

/// What the call may cost at one target.
fn held_cost(call: &Call, price: &Price) -> Estimate {
    price.cost(call.prompt_tokens, call.held_output_tokens(), 0, 0).into()
}
