//! One: one try at one target, from what it is sent to what is told of it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use aisix_actors::candidate_router::{AttemptOutcome, Candidate, InFlight};

use super::{Asked, Purpose, failed};
use crate::config::price::Price;
use crate::config::snapshot::{Direct, Dispatch, Model};
use crate::dialect::prefill::Prefill;
use crate::error::{Fault, GatewayError, UpstreamError};
use crate::pipeline::ask::{Answer, Ask};
use crate::pipeline::clock::Clock;
use crate::pipeline::count;
use crate::pipeline::engage::engage;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::patience::Patience;
use crate::pipeline::prepare::{Prepared, prepare};

/// What a target is sent, where nothing is lost that must not be.
fn prepare_for(
    exchange: &Exchange,
    asked: Asked<'_>,
    direct: &Direct,
    is_strict: bool,
) -> Result<Prepared, GatewayError> {
    let capture = exchange.model.as_ref().and_then(|model| model.capture.as_deref());
    let (operation, dialect) = (exchange.endpoint.operation, exchange.endpoint.dialect);
    let mut prepared = prepare(operation, dialect, asked.call, direct, capture)?;
    if is_strict {
        prepared.refuse_loss()?;
    }
    if asked.purpose == Purpose::GoOn && direct.prefill() == Prefill::Marked {
        prepared.mark_prefill();
    }
    Ok(prepared)
}

/// What the target costs for the name that the caller sent.
fn price(exchange: &Exchange, direct: &Direct) -> Option<Price> {
    let capture = exchange.model.as_ref().and_then(|model| model.capture.as_deref());
    direct.terms(capture).price.copied()
}

/// One try at one target.
pub(super) struct One<'a> {
    pub(super) model: &'a Arc<Model>,
    pub(super) target: &'a Arc<Model>,
    pub(super) candidate: &'a Candidate,
    pub(super) in_flight: InFlight,
    pub(super) clock: Clock,
}

impl One<'_> {
    /// Asks it, and takes note of what came of it.
    ///
    /// # Errors
    /// What kept it from being asked, or its failure.
    pub(super) async fn run(self, exchange: &mut Exchange, asked: Asked<'_>) -> Result<Answer, GatewayError> {
        let Self { model, target, candidate, in_flight, clock } = self;
        let Asked { headers, call, purpose } = asked;
        let Dispatch::Direct(direct) = &target.dispatch else {
            return Err(Fault::ProviderUnavailable(call.model.clone()).into());
        };
        let is_routed = !Arc::ptr_eq(model, target);
        if count::is_ours(exchange.endpoint, direct) {
            return count::estimate(exchange, call).map(Answer::Whole);
        }
        let prepared = prepare_for(exchange, asked, direct, model.is_strict || target.is_strict)?;
        let mut engaged = engage(exchange, call, target, direct, candidate, in_flight).await?;
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
            patience: patience.cut_to(clock.left()),
            is_rescuable: purpose.is_rescuable(),
            provider_request_id: Cell::default(),
            counted: Cell::default(),
        };
        let mut outcome = ask.run().await;
        let (provider_request_id, counted) = (ask.provider_request_id.take(), ask.counted.take());
        let took = started.elapsed();
        exchange.upstream_time += took;
        note(exchange, provider_request_id, took, &mut outcome);
        let router = &exchange.worker.actors.router;
        match outcome {
            Ok(answer) => {
                // A head alone is no answer: whoever relays the stream will tell.
                if !matches!(&answer, Answer::Stream(events) if events.first_event().is_none()) {
                    router.report(candidate, AttemptOutcome::Succeeded { latency: took }, None);
                }
                exchange.engaged = Some(engaged);
                exchange.price = price(exchange, direct);
                exchange.served_by = is_routed.then(|| target.name.clone());
                exchange.dropped = prepared.dropped;
                Ok(answer)
            }
            Err(error) => {
                let error = error.tidied(engaged.credential());
                // Time that others have used up says nothing of this target.
                let error = match (error, clock.overrun()) {
                    (UpstreamError::Late { .. }, Some(limit)) => UpstreamError::Late { after: limit },
                    (error, _) => {
                        router.report(candidate, failed(&error), engaged.in_flight.take());
                        error
                    }
                };
                exchange.forfeit(engaged, price(exchange, direct).as_ref(), counted);
                Err(error.into())
            }
        }
    }
}

/// Takes note of who answered, and how soon.
fn note(
    exchange: &mut Exchange,
    provider_request_id: Option<HeaderValue>,
    took: Duration,
    outcome: &mut Result<Answer, UpstreamError>,
) {
    exchange.last_attempt(|attempt| {
        attempt.provider_request_id = provider_request_id;
        if let Ok(Answer::Whole(reply)) = outcome {
            attempt.took = Some(took);
            attempt.provider_model = reply.model.take();
            attempt.finish_reason = reply.finish_reason;
        }
    });
}
