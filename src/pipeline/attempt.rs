//! Attempt: the one retry loop. It asks the failure what to do next and the clock what time is left, never the text.

use std::sync::Arc;
use std::time::Instant;

use aisix_actors::candidate_router::{AttemptFailure, AttemptOutcome, Candidate, Candidates};
use bytes::Bytes;
use smallvec::SmallVec;
use tokio::time::timeout;

use super::events::Events;
use super::exchange::{Engaged, Exchange};
use super::patience::{Patience, within};
use super::reserve::held_cost;
use super::retry::{Rules, Step};
use crate::config::snapshot::{Direct, Dispatch, Model};
use crate::dialect::openai_chat;
use crate::dialect::{Call, StreamOptions};
use crate::error::{BudgetError, Fault, GatewayError, LimitRefusal, UpstreamError};
use crate::upstream::{UpstreamRequest, UpstreamResponse};

/// A provider's answer, on its way to the caller.
pub enum Answer {
    /// All of it.
    Whole(openai_chat::Reply),
    /// A stream whose first event is there, or late.
    Stream(Box<Events>),
}

/// Tries the candidates in order until one answers.
///
/// # Errors
/// The first failure that no further try can mend, or the last one when all candidates failed.
pub async fn attempt(
    exchange: &mut Exchange,
    call: &Call,
    model: &Arc<Model>,
    candidates: Candidates,
) -> Result<Answer, GatewayError> {
    let mut last = GatewayError::from(Fault::AllUnavailable { model: call.model.clone(), retry_after: None });
    let count = candidates.len();
    for (place, candidate) in candidates.into_iter().enumerate() {
        let target = target_of(model, &candidate);
        let has_more = place + 1 < count;
        let mut rules = Rules::of(&exchange.snapshot.settings, model, target, has_more);
        loop {
            exchange.attempts += 1;
            let error = match try_once(exchange, call, model, target, &candidate).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            log::debug!("attempt {} at \"{}\" failed: {}", exchange.attempts, target.name, cause_of(&error));
            match rules.next(&error) {
                Step::Never => return Err(error),
                Step::SameTarget(wait) => tokio::time::sleep(wait).await,
                Step::NextCandidate => {
                    last = error;
                    break;
                }
            }
        }
    }
    Err(last)
}

/// The transport's own words where there are any: they are for the log only.
fn cause_of(error: &GatewayError) -> String {
    match error {
        GatewayError::Upstream(UpstreamError::Unreachable { cause }) => cause.clone(),
        error => error.to_string(),
    }
}

fn target_of<'a>(model: &'a Arc<Model>, candidate: &Candidate) -> &'a Arc<Model> {
    match &model.dispatch {
        Dispatch::Direct(_) => model,
        Dispatch::Routing(routing) => routing.members.get(candidate.index).unwrap_or(model),
    }
}

async fn try_once(
    exchange: &mut Exchange,
    call: &Call,
    model: &Arc<Model>,
    target: &Arc<Model>,
    candidate: &Candidate,
) -> Result<Answer, GatewayError> {
    let Dispatch::Direct(direct) = &target.dispatch else {
        return Err(Fault::ProviderUnavailable(call.model.clone()).into());
    };
    let is_routed = !Arc::ptr_eq(model, target);
    let engaged = engage(exchange, call, target, direct, candidate, is_routed).await?;
    let patience = Patience::of(&exchange.snapshot.settings, target, is_routed.then_some(&**model));
    let started = Instant::now();
    let outcome = ask(exchange, call, direct, &engaged, &patience).await;
    exchange.upstream_time += started.elapsed();
    let router = &exchange.worker.actors.router;
    match outcome {
        Ok(answer) => {
            router.report(candidate, AttemptOutcome::Succeeded { latency: started.elapsed() });
            exchange.engaged = Some(engaged);
            exchange.price = direct.price;
            exchange.served_by = is_routed.then(|| target.name.clone());
            Ok(answer)
        }
        Err(error) => {
            router.report(candidate, failed(&error));
            exchange.worker.actors.pool.give_back(engaged.lease);
            Err(error.into())
        }
    }
}

/// What the router is told of a failure.
#[must_use]
pub fn failed(error: &UpstreamError) -> AttemptOutcome {
    let (failure, retry_after) = match error {
        UpstreamError::Refused(refusal) => {
            (AttemptFailure::Status(refusal.status.unwrap_or(502)), refusal.retry_after)
        }
        UpstreamError::Late { .. } => (AttemptFailure::Timeout, None),
        UpstreamError::Unreachable { .. } | UpstreamError::BrokeOff => (AttemptFailure::Transport, None),
        UpstreamError::Undecodable { .. } => (AttemptFailure::Decode, None),
    };
    AttemptOutcome::Failed { failure, retry_after }
}

/// Takes what one attempt needs: the target's own limits and budgets, a credential and a connection slot.
async fn engage(
    exchange: &Exchange,
    call: &Call,
    target: &Model,
    direct: &Direct,
    candidate: &Candidate,
    is_routed: bool,
) -> Result<Engaged, GatewayError> {
    let operation = exchange.endpoint.operation;
    if !exchange.endpoint.is_spoken_by(direct.provider) {
        return Err(Fault::NotImplemented { provider: direct.provider.name(), operation }.into());
    }
    let actors = &exchange.worker.actors;
    let own: &[_] = if is_routed { &target.budgets } else { &[] };
    let budgets: SmallVec<[_; 4]> = direct.provider_key_budgets.iter().chain(own).cloned().collect();
    let budgets = if budgets.is_empty() {
        None
    } else {
        let estimate = direct.price.as_ref().map(|price| held_cost(call, price)).unwrap_or_default();
        let hold = actors.ledger.hold(budgets, estimate).await;
        Some(hold.map_err(|refusal| BudgetError::Exceeded(Box::new(refusal)))?)
    };
    let limits = match &target.rate_limit {
        Some(scope) if is_routed => {
            let scopes = SmallVec::from_iter([scope.clone()]);
            Some(actors.limiter.acquire(scopes, call.held_tokens()).await.map_err(LimitRefusal)?)
        }
        _ => None,
    };
    let lease = actors.pool.lease(direct.provider_key.clone()).await;
    let lease = lease.map_err(|_| Fault::ProviderUnavailable(call.model.clone()))?;
    Ok(Engaged { limits, budgets, lease, in_flight: candidate.begin(), candidate: candidate.clone() })
}

async fn ask(
    exchange: &Exchange,
    call: &Call,
    direct: &Direct,
    engaged: &Engaged,
    patience: &Patience,
) -> Result<Answer, UpstreamError> {
    if call.is_stream {
        return ask_for_stream(exchange, call, direct, engaged, patience).await;
    }
    let whole = async {
        let response = within(patience.head, send(exchange, call, direct, engaged)).await?;
        read_whole(exchange, call, response).await
    };
    within(patience.whole, whole).await.map(Answer::Whole)
}

async fn read_whole(
    exchange: &Exchange,
    call: &Call,
    response: UpstreamResponse,
) -> Result<openai_chat::Reply, UpstreamError> {
    let body = response.body.read_all(exchange.snapshot.settings.upstream.max_response_bytes).await?;
    openai_chat::read_reply(body, call.body.member("model").unwrap_or_default())
}

async fn ask_for_stream(
    exchange: &Exchange,
    call: &Call,
    direct: &Direct,
    engaged: &Engaged,
    patience: &Patience,
) -> Result<Answer, UpstreamError> {
    let response = within(patience.stream_head(), send(exchange, call, direct, engaged)).await?;
    if response.is_json {
        within(patience.gap, read_whole(exchange, call, response)).await?;
        return Err(UpstreamError::Undecodable {
            reason: "a stream was asked for and a JSON body came".into(),
        });
    }
    let model = call.body.member("model").unwrap_or_default();
    let mut events = Box::new(Events::new(response.body, model.into(), patience));
    let first = within(patience.first_event, events.wait_for_first());
    if let Ok(first) = timeout(patience.withheld, first).await {
        first?;
    }
    // Without a first event in time the caller's 200 goes out now; a failure from here on is a frame of the stream.
    Ok(Answer::Stream(events))
}

/// Sends the request; an error answer becomes the error that it is (§3.6).
async fn send(
    exchange: &Exchange,
    call: &Call,
    direct: &Direct,
    engaged: &Engaged,
) -> Result<UpstreamResponse, UpstreamError> {
    let worker = &exchange.worker;
    let capture = exchange.model.as_ref().and_then(|model| model.capture.as_deref());
    let authorization = match &engaged.lease.credential {
        Some(credential) => direct.provider.authorize(credential.expose()),
        None => None,
    };
    let request = UpstreamRequest {
        provider: direct.provider,
        base_url: &engaged.lease.base_url,
        path: direct.provider.path(exchange.endpoint.operation),
        tls: engaged.lease.tls,
        authorization,
        extra_headers: &direct.default_headers,
        request_id: &exchange.request_id,
        is_stream: call.is_stream,
        body: body_for(call, direct, capture),
    };
    let mut response = worker.upstream.send(&exchange.snapshot, &worker.gateway.tls, request).await?;
    if (200..300).contains(&response.status) {
        return Ok(response);
    }
    let text = response.error_text().await;
    Err(openai_chat::read_error(response.status, response.retry_after, &text))
}

/// The caller's body with the target's own name for the model, and the wish for usage where nobody said otherwise.
fn body_for(call: &Call, direct: &Direct, capture: Option<&str>) -> Bytes {
    let wants_usage =
        call.is_stream && call.stream_options == StreamOptions::Unset && direct.provider.streams_usage();
    let upstream_model = direct.upstream_model_for(capture);
    let model = serde_json::Value::from(&*upstream_model).to_string();
    call.body.patched("model", &model, wants_usage.then_some(openai_chat::INCLUDE_USAGE))
}
