//! Attempt: the one retry loop. It asks the failure what to do next and the clock what time is left, never the text.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::HeaderMap;
use aisix_actors::candidate_router::{AttemptFailure, AttemptOutcome, Candidate, Candidates};

use super::ask::{Answer, Ask};
use super::count;
use super::engage::engage;
use super::exchange::Exchange;
use super::patience::Patience;
use super::prepare::{Prepared, prepare};
use super::retry::{Rules, Step};
use crate::config::snapshot::{Direct, Dispatch, Model};
use crate::dialect::Call;
use crate::error::{Fault, GatewayError, UpstreamError};
use crate::telemetry::record::{Attempt, AttemptKind};

/// Tries the candidates in order until one answers.
///
/// # Errors
/// The first failure that no further try can mend, or the last one when all candidates failed.
pub async fn attempt(
    exchange: &mut Exchange,
    headers: &HeaderMap,
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
        let mut kind = if place == 0 { AttemptKind::Initial } else { AttemptKind::Fallback };
        loop {
            exchange.attempts.push(Attempt::begin(target, kind, place > 0));
            kind = AttemptKind::Retry;
            let error = match try_once(exchange, Request { headers, call }, model, target, &candidate).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            exchange.last_attempt(|attempt| attempt.fail(&error));
            warn(exchange, target, &error);
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

/// One line per failed attempt: which target, over which key, and why.
fn warn(exchange: &Exchange, target: &Model, error: &GatewayError) {
    let (id, attempt) = (exchange.request_id.to_str().unwrap_or_default(), exchange.attempts.len());
    let key = match &target.dispatch {
        Dispatch::Direct(direct) => &*direct.provider_key_name,
        Dispatch::Routing(_) => "",
    };
    let cause = error.for_log();
    let kind = error.kind().openai_type();
    log::warn!(
        "attempt failed: request_id={id} attempt={attempt} target={} provider_key={key} kind={kind}: {cause:?}",
        target.name
    );
    // The provider's words may repeat a prompt: only for those who ask for them.
    log::debug!("attempt failed: request_id={id} attempt={attempt} words={:?}", error.to_string());
}

fn target_of<'a>(model: &'a Arc<Model>, candidate: &Candidate) -> &'a Arc<Model> {
    match &model.dispatch {
        Dispatch::Direct(_) => model,
        Dispatch::Routing(routing) => routing.members.get(candidate.index).unwrap_or(model),
    }
}

/// What the caller sent.
#[derive(Clone, Copy)]
struct Request<'a> {
    headers: &'a HeaderMap,
    call: &'a Call,
}

/// What a target is sent, where nothing is lost that must not be.
fn prepare_for(
    exchange: &Exchange,
    call: &Call,
    direct: &Direct,
    is_strict: bool,
) -> Result<Prepared, GatewayError> {
    let capture = exchange.model.as_ref().and_then(|model| model.capture.as_deref());
    let (operation, dialect) = (exchange.endpoint.operation, exchange.endpoint.dialect);
    let prepared = prepare(operation, dialect, call, direct, capture)?;
    if is_strict {
        prepared.refuse_loss()?;
    }
    Ok(prepared)
}

async fn try_once(
    exchange: &mut Exchange,
    Request { headers, call }: Request<'_>,
    model: &Arc<Model>,
    target: &Arc<Model>,
    candidate: &Candidate,
) -> Result<Answer, GatewayError> {
    let Dispatch::Direct(direct) = &target.dispatch else {
        return Err(Fault::ProviderUnavailable(call.model.clone()).into());
    };
    let is_routed = !Arc::ptr_eq(model, target);
    if count::is_ours(exchange, direct) {
        return count::estimate(exchange, call).map(Answer::Whole);
    }
    let prepared = prepare_for(exchange, call, direct, model.is_strict || target.is_strict)?;
    let engaged = engage(exchange, call, target, direct, candidate).await?;
    let patience = Patience::of(&exchange.snapshot.settings, target, is_routed.then_some(&**model));
    let started = Instant::now();
    exchange.last_attempt(|attempt| attempt.is_sent = true);
    let ask = Ask {
        exchange,
        headers,
        call,
        direct,
        prepared: &prepared,
        engaged: &engaged,
        patience,
        provider_request_id: Cell::default(),
    };
    let mut outcome = ask.run().await;
    let provider_request_id = ask.provider_request_id.take();
    let took = started.elapsed();
    exchange.upstream_time += took;
    exchange.last_attempt(|attempt| {
        attempt.provider_request_id = provider_request_id;
        if let Ok(Answer::Whole(reply)) = &mut outcome {
            attempt.took = Some(took);
            attempt.provider_model = reply.model.take();
            attempt.finish_reason = reply.finish_reason;
        }
    });
    let router = &exchange.worker.actors.router;
    match outcome {
        Ok(answer) => {
            router.report(candidate, AttemptOutcome::Succeeded { latency: took });
            exchange.engaged = Some(engaged);
            exchange.price = direct.price;
            exchange.served_by = is_routed.then(|| target.name.clone());
            exchange.dropped = prepared.dropped;
            Ok(answer)
        }
        Err(error) => {
            let error = error.tidied(engaged.credential());
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
