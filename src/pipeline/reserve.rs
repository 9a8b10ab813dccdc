//! Reserve: a plan of candidates, then money, then limits. What a later one refuses takes nothing from an earlier one.
//!
//! The order is that of the specification: an unavailable group costs no slot, a refused budget takes no limit.

use actix_web::http::header::HeaderMap;
use aisix_actors::budget_ledger::{Budget, Budgets, Estimate};
use aisix_actors::candidate_router::{Candidate, Candidates};
use aisix_actors::rate_limiter::Scopes;
use aisix_actors::types::Now;

use super::exchange::Exchange;
use super::route::Wish;
use super::take::{Claim, Taken, take};
use super::{measure, outlay};
use crate::config::snapshot::{ApiKey, Dispatch, Model};
use crate::dialect::Call;
use crate::endpoints::{Answer, Endpoint};
use crate::error::{Fault, GatewayError, RequestError};
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
    call: &mut Call,
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
    measure(exchange, caller, call, model).await;
    call.usual_output_tokens = candidates.first().and_then(Candidate::usual_output);
    let claim = Claim { scopes, ..money(exchange, caller, call, model)? };
    let Taken { hold, permit } = take(exchange, call, claim).await?;
    exchange.budgets = hold;
    exchange.limits = permit;
    Ok(candidates)
}

/// What the price needs to know of the call. How long a recording is matters before the answer only where that is paid for,
/// or where the most is to be held.
async fn measure(exchange: &mut Exchange, caller: &ApiKey, call: &Call, model: &Model) {
    let task = exchange.endpoint.operation.task();
    exchange.measures = measure::of(task, call);
    if !measure::has_recording(task) {
        return;
    }
    let capture = exchange.model.as_ref().and_then(|named| named.capture.as_deref());
    if measure::is_charged_by_length(model, capture) || is_bounded(caller, model) {
        measure::listen(exchange, call).await;
    }
}

/// Whether a budget wants to know the most.
fn is_bounded(caller: &ApiKey, model: &Model) -> bool {
    fn of(model: &Model) -> bool {
        let others = match &model.dispatch {
            Dispatch::Direct(direct) => direct.provider_key_budgets.iter().any(|budget| budget.worst_case),
            Dispatch::Routing(routing) => routing.members.iter().any(|member| of(member)),
        };
        others || model.budgets.iter().any(|budget| budget.worst_case)
    }
    caller.budgets.iter().any(|budget| budget.worst_case) || of(model)
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
    exchange.budgets = take(exchange, call, money(exchange, caller, call, model)?).await?.hold;
    Ok(())
}

/// Charges what attempts have cost that failed, if anything, and holds anew what the next one may cost: a hold is for one
/// answer, and what is spent must leave room for another.
///
/// # Errors
/// As [`hold`].
pub async fn again(exchange: &mut Exchange, call: &Call) -> Result<(), GatewayError> {
    if !exchange.charge_earlier() {
        return Ok(());
    }
    let (Some(caller), model) = (exchange.caller.clone(), exchange.named_model()?) else {
        return Err(Fault::Panic.into());
    };
    hold(exchange, &caller, call, &model).await
}

/// What the call may cost, and the budgets that pay for it whoever serves it. The provider key of a direct model is
/// known by now; those of a routing model's targets pay for their attempts.
fn money(exchange: &Exchange, caller: &ApiKey, call: &Call, model: &Model) -> Result<Claim, GatewayError> {
    let named = model.budgets.iter().filter(|_| exchange.is_model_named);
    let of_key: &[_] = match &model.dispatch {
        Dispatch::Direct(direct) => &direct.provider_key_budgets,
        Dispatch::Routing(_) => &[],
    };
    let budgets: Budgets = caller.budgets.iter().chain(named).chain(of_key).cloned().collect();
    let estimate = estimate(exchange, call, model, &budgets)?;
    Ok(Claim { budgets, estimate, ..Claim::default() })
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

/// What a claim of the call needs to know of its cost: what a model may cost, and for budgets with `worst_case` at most.
/// `None` when a target has no price.
///
/// # Errors
/// 400 when a budget wants to know the most, and there is none.
pub fn estimate(
    exchange: &Exchange,
    call: &Call,
    model: &Model,
    budgets: &Budgets,
) -> Result<Option<Estimate>, GatewayError> {
    // What a tunnel carries costs what nobody here can know: a budget that is used up refuses it, no more.
    if exchange.endpoint.answer == Answer::Tunnel {
        return Ok(Some(Estimate::default()));
    }
    if budgets.is_empty() {
        return Ok(None);
    }
    if call.is_background()
        && let Some(budget) = budgets.iter().find(|budget| budget.hard_stop)
    {
        return Err(unseen(budget).into());
    }
    let capture = exchange.model.as_ref().and_then(|named| named.capture.as_deref());
    let worst = budgets.iter().find(|budget| budget.worst_case);
    let Some(outlay) = outlay::of(call, model, capture, &exchange.measures, worst.is_some()) else {
        return Ok(None);
    };
    match (worst, outlay.most) {
        (Some(budget), None) if budget.hard_stop => Err(endless(call, budget).into()),
        (_, most) => Ok(Some(Estimate { likely: outlay.likely, most: most.unwrap_or(outlay.likely) })),
    }
}

/// What a provider answers when nobody waits for it passes the gateway by, and so does what it costs.
fn unseen(budget: &Budget) -> RequestError {
    let message = format!(
        "a background response is fetched later, where nobody sees what it costs, and the budget {:?} has to: leave out \
         \"background\", or use \"stream\"",
        budget.name
    );
    RequestError::member("background", message)
}

/// Asking again does not help, and asking otherwise may: so it is the request that is refused, and not for want of money.
fn endless(call: &Call, budget: &Budget) -> RequestError {
    if let Some(member) = call.dearer_by() {
        let message = format!(
            "the price of this request's \"{member}\" is not known, and the budget {:?} holds the most that a request can \
             cost: leave it out, or set it to what costs as usual",
            budget.name
        );
        return RequestError::member(member, message);
    }
    let member = if call.writes_text && call.max_output_tokens.is_none() { "max_tokens" } else { "model" };
    let message = format!(
        "the most that this request can cost is not known, and the budget {:?} holds it: set a limit of output tokens \
         (such as max_tokens), and leave out what its size does not bound, such as tools that the provider runs",
        budget.name
    );
    RequestError::member(member, message)
}
