//! The pipeline: every endpoint goes through it, and it reads like its table of contents.
//!
//! `serve` opens the exchange and answers for every way to fail; `answer` is the stages in order. No stage knows which
//! endpoint it serves.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse};
use aisix_actors::cache::Entry;
use aisix_actors::types::Now;
use futures::FutureExt;

mod admit;
mod attempt;
mod events;
pub mod exchange;
mod headers;
pub mod own;
mod patience;
mod recall;
mod receive;
mod relay;
pub mod request_id;
mod reserve;
mod retry;

use attempt::Answer;
use exchange::{Exchange, Outcome};
use recall::Recall;

use crate::config::snapshot::ApiKey;
use crate::dialect::{Call, Usage, openai_chat};
use crate::endpoints::{self, Endpoint};
use crate::envelope::Failure;
use crate::error::{Fault, GatewayError};
use crate::gateway::Worker;

/// Answers one request to one endpoint.
///
/// # Errors
/// Every failure, with the envelope of the endpoint; a panic counts as one.
pub async fn serve(
    worker: Rc<Worker>,
    endpoint: &'static Endpoint,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Failure> {
    if endpoint.answer == endpoints::Answer::Probe {
        let is_draining = worker.gateway.is_draining();
        return Ok(own::probe(endpoint.operation, is_draining, own::is_verbose(&request)));
    }
    let id = request_id::resolve(&worker.gateway.snapshot().settings.proxy.request_id, request.headers());
    let work = answer(&worker, endpoint, id.clone(), &request, payload);
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|_| Err(Fault::Panic.into())).map_err(|error| Failure {
        error,
        envelope: endpoint.envelope,
        request_id: Some(id),
        is_call: endpoint.operation.has_call_id(),
    })
}

async fn answer(
    worker: &Rc<Worker>,
    endpoint: &'static Endpoint,
    id: HeaderValue,
    request: &HttpRequest,
    mut payload: Payload,
) -> Result<HttpResponse, GatewayError> {
    let mut exchange = Exchange::open(worker, endpoint, id);
    let admitted = async {
        receive::refuse_oversized(&exchange, request, &mut payload).await?;
        admit::admit(&mut exchange, request)
    };
    let caller = match admitted.await {
        Ok(caller) => caller,
        Err(error) => {
            exchange.fail(&error);
            return Err(error);
        }
    };
    if endpoint.answer == endpoints::Answer::Gateway {
        let mut response = own::models(&exchange, &caller);
        headers::write(&exchange, None, response.headers_mut());
        exchange.conclude(Outcome::Answered(200));
        return Ok(response);
    }
    match ask_provider(&mut exchange, request, &mut payload, &caller).await {
        Ok(Ready::Whole(response)) => Ok(response),
        Ok(Ready::Stream(call, events)) => {
            let standing = exchange.peek().await;
            let mut response = relay::event_stream();
            headers::write(&exchange, standing.as_ref(), response.headers_mut());
            Ok(response.map_body(|_, ()| relay::stream(exchange, &call, events)).map_into_boxed_body())
        }
        Err(error) => {
            exchange.fail(&error);
            Err(error)
        }
    }
}

/// A response, or a stream that takes the exchange with it.
enum Ready {
    Whole(HttpResponse),
    Stream(Box<Call>, Box<events::Events>),
}

async fn ask_provider(
    exchange: &mut Exchange,
    request: &HttpRequest,
    payload: &mut Payload,
    caller: &ApiKey,
) -> Result<Ready, GatewayError> {
    let call = receive::receive(exchange, request, payload, caller).await?;
    let model = exchange.named_model()?;
    let candidates = reserve::reserve(exchange, caller, &call, &model).await?;
    let recalled = recall::recall(exchange, request, caller, &call).await;
    if let Recall::Hit(entry) = recalled {
        return Ok(Ready::Whole(finish(exchange, relay::remembered(&entry)).await));
    }
    match attempt::attempt(exchange, &call, &model, candidates).await? {
        Answer::Stream(events) => Ok(Ready::Stream(Box::new(call), events)),
        Answer::Whole(reply) => {
            let delivered = reply.body.len() as u64;
            let usage = reply.usage.unwrap_or_else(|| Usage::estimated(call.prompt_tokens, delivered));
            exchange.usage = Some(usage);
            remember(exchange, recalled, &call, &reply, usage);
            Ok(Ready::Whole(finish(exchange, relay::whole(reply.body)).await))
        }
    }
}

/// Settles first, so that the headers tell how the limits stand after this answer.
async fn finish(exchange: &mut Exchange, mut response: HttpResponse) -> HttpResponse {
    let standing = exchange.settle().await;
    headers::write(exchange, standing.as_ref(), response.headers_mut());
    exchange.conclude(Outcome::Answered(response.status().as_u16()));
    response
}

fn remember(exchange: &Exchange, recalled: Recall, call: &Call, reply: &openai_chat::Reply, usage: Usage) {
    if let Recall::Fill(fill, ttl) = recalled {
        let entry = Entry {
            body: reply.body.clone(),
            input_tokens: usage.prompt,
            output_tokens: usage.completion,
            model: Arc::from(&*call.model),
            stored_at: Now::read().unix,
        };
        exchange.worker.actors.cache.store(fill, entry, ttl);
    }
}
