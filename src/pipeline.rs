//! The pipeline: every endpoint goes through it, and it reads like its table of contents.
//!
//! `serve` opens the exchange and answers for every way to fail; `answer` is the stages in order. No stage knows which
//! endpoint it serves.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::bytes::Bytes;
use actix_web::dev::Payload;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse};
use futures::FutureExt;
use tokio::task::{JoinError, JoinHandle};

pub mod admit;
mod ask;
mod attempt;
mod bytes;
mod client;
pub mod client_ip;
pub(crate) mod clock;
pub(crate) mod count;
mod engage;
mod estimate;
mod events;
pub mod exchange;
pub mod headers;
mod held;
mod keep;
pub(crate) mod measure;
pub(crate) mod outlay;
pub mod own;
pub(crate) mod patience;
pub mod prepare;
pub(crate) mod recall;
mod receive;
pub(crate) mod relay;
pub mod request_id;
pub(crate) mod reserve;
pub(crate) mod retry;
pub(crate) mod route;
pub mod screen;
mod sound;
mod take;
mod tunnel;
pub(crate) mod usage;

use ask::Answer;
use attempt::{Asked, Purpose, Trial};
use estimate::Prompt;
use exchange::{Exchange, Outcome};
use keep::Keeper;
use recall::Recall;

use crate::config::snapshot::ApiKey;
use crate::dialect::{Call, Usage};
use crate::endpoints::{self, Endpoint};
use crate::envelope::{Failure, REQUEST_ID};
use crate::error::{Fault, GatewayError};
use crate::gateway::Worker;
use crate::tokens;
use crate::upstream::UpstreamResponse;

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
    let id = request_id::of(&worker, request.headers());
    if endpoint.answer == endpoints::Answer::Probe {
        let mut exchange = Exchange::open(&worker, endpoint, id.clone(), client::of(&request));
        let is_verbose = own::is_verbose(&request);
        let mut response = own::probe(endpoint.operation, &worker.gateway, is_verbose);
        response.headers_mut().insert(REQUEST_ID, id);
        exchange.conclude(Outcome::Answered(response.status().as_u16()));
        return Ok(response);
    }
    let work = answer(worker, endpoint, id.clone(), request, payload);
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|_| Err(Fault::Panic.into())).map_err(|error| Failure {
        error,
        envelope: endpoint.envelope,
        request_id: Some(id),
        is_call: endpoint.operation.has_call_id(),
    })
}

/// A task that ends with its handle: a caller who leaves takes everything along.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn answer(
    worker: Rc<Worker>,
    endpoint: &'static Endpoint,
    id: HeaderValue,
    request: HttpRequest,
    mut payload: Payload,
) -> Result<HttpResponse, GatewayError> {
    let mut exchange = Exchange::open(&worker, endpoint, id, client::of(&request));
    exchange.client.ip = client_ip::of(&exchange.snapshot.settings.proxy.real_ip, &request);
    let (caller, call) = match take_in(&mut exchange, &request, &mut payload).await {
        Ok(taken) => taken,
        Err(error) => {
            exchange.fail(&error);
            return Err(error);
        }
    };
    let Some(call) = call else {
        let mut response = own::answer(&exchange, &caller).await;
        headers::write(&exchange, None, response.headers_mut());
        exchange.conclude(Outcome::Answered(200));
        return Ok(response);
    };
    // A task of its own: what the actors and the provider have to say wakes it, and not the whole connection with it.
    // Boxed first: spawning moves what it is given several times.
    let is_tunnel = endpoint.answer == endpoints::Answer::Tunnel;
    let task = match is_tunnel {
        true => actix_rt::spawn(Box::pin(tunnel::tunnel(exchange, request, caller, call))),
        false => actix_rt::spawn(Box::pin(respond(exchange, request, caller, call))),
    };
    Task(task).await.unwrap_or_else(|_| Err(Fault::Panic.into()))
}

/// The stages that read from the connection. No call where the gateway answers itself.
async fn take_in(
    exchange: &mut Exchange,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<(Arc<ApiKey>, Option<Call>), GatewayError> {
    receive::refuse_oversized(exchange, request, payload).await?;
    let caller = admit::admit(exchange, request)?;
    let call = match exchange.endpoint.answer {
        endpoints::Answer::Provider | endpoints::Answer::Tunnel => {
            Some(receive::receive(exchange, request, payload, &caller).await?)
        }
        endpoints::Answer::Gateway | endpoints::Answer::Probe => None,
    };
    Ok((caller, call))
}

async fn respond(
    mut exchange: Exchange,
    request: HttpRequest,
    caller: Arc<ApiKey>,
    mut call: Call,
) -> Result<HttpResponse, GatewayError> {
    match ask_provider(&mut exchange, &request, &caller, &mut call).await {
        Ok(Ready::Whole(response)) => Ok(response),
        Ok(Ready::Stream(events, trial, keeper)) => {
            let standing = exchange.peek().await;
            exchange.note_standing(standing.as_ref());
            exchange.responded = Some(exchange.opened.elapsed());
            let mut response = relay::event_stream(call.is_array);
            headers::write(&exchange, standing.as_ref(), response.headers_mut());
            let trial = trial.map(|trial| (*trial, request));
            let body = relay::stream(exchange, call, events, trial, keeper);
            Ok(response.map_body(|_, ()| body).map_into_boxed_body())
        }
        Ok(Ready::Bytes(upstream, gap)) => {
            let standing = exchange.peek().await;
            exchange.note_standing(standing.as_ref());
            exchange.usage = Some(Usage::estimated(call.prompt_tokens, 0));
            exchange.responded = Some(exchange.opened.elapsed());
            let mut response = bytes::head(&upstream);
            headers::write(&exchange, standing.as_ref(), response.headers_mut());
            Ok(response.map_body(|_, ()| bytes::body(exchange, *upstream, gap)).map_into_boxed_body())
        }
        Err(error) => {
            exchange.fail(&error);
            // Given back before the answer goes out: the caller's next request must not meet this one.
            exchange.settle().await;
            Err(error)
        }
    }
}

/// A response, or a stream that takes the exchange with it.
enum Ready {
    Whole(HttpResponse),
    /// With the targets that may go on with it, and who keeps it.
    Stream(Box<events::Events>, Option<Box<Trial>>, Option<Box<Keeper>>),
    Bytes(Box<UpstreamResponse>, Option<Duration>),
}

/// The stages that ask: the actors, and then a provider.
async fn ask_provider(
    exchange: &mut Exchange,
    request: &HttpRequest,
    caller: &ApiKey,
    call: &mut Call,
) -> Result<Ready, GatewayError> {
    let model = exchange.named_model()?;
    screen::request(exchange, caller, call).await?;
    let candidates = reserve::reserve(exchange, request.headers(), caller, call, &model).await?;
    let recalled = recall::recall(exchange, request, caller, call).await;
    if let Recall::Hit(entry) = &recalled {
        let body = screen::answer(exchange, entry.body.clone()).await?;
        if let Some(response) = again(exchange, call, body) {
            return Ok(Ready::Whole(finish(exchange, response).await));
        }
    }
    let has_others = candidates.len() > 1;
    let mut trial = Trial::new(exchange, &model, candidates);
    // Where there is nobody else, frames stay as they are.
    let may_be_rescued = has_others && relay::may_be_rescued(exchange.endpoint, &model, call);
    let purpose = if may_be_rescued { Purpose::Rescuable } else { Purpose::Answer };
    let asked = Asked { headers: request.headers(), call, purpose };
    match trial.answer(exchange, asked).await? {
        Answer::Stream(events) => {
            measure::listen(exchange, call).await;
            let keeper = recalled.filling().map(|filling| Box::new(Keeper::new(exchange, filling, call)));
            Ok(Ready::Stream(events, may_be_rescued.then(|| Box::new(trial)), keeper))
        }
        Answer::Bytes(response, gap) => {
            measure::listen(exchange, call).await;
            judged(exchange, call, response, gap).await
        }
        Answer::Whole(mut reply) => {
            let prompt = Prompt::of(exchange.endpoint.dialect, call, false);
            let words = || reply.words.as_deref().map_or(0, tokens::count);
            let usage = match reply.usage {
                // Only promised yet: charged as it was held for, as nobody here sees what comes of it.
                None if call.is_background() => Usage::guessed(call.prompt_tokens, call.held_output_tokens()),
                counted => estimate::filled(counted.unwrap_or_default(), &prompt, words),
            };
            // Counting costs nothing.
            exchange.usage = call.costs_tokens.then_some(usage);
            measure::answered(&mut exchange.measures, exchange.endpoint.operation.task(), &reply.body);
            measure::listen(exchange, call).await;
            reply.body = screen::answer(exchange, reply.body).await?;
            if let Some(filling) = recalled.filling() {
                keep::whole(exchange, filling, call, &reply, usage);
            }
            Ok(Ready::Whole(finish(exchange, relay::whole(reply.body)).await))
        }
    }
}

/// Bytes, which only guardrails have to read: a transcript is held back until it is judged.
async fn judged(
    exchange: &mut Exchange,
    call: &Call,
    response: Box<UpstreamResponse>,
    gap: Option<Duration>,
) -> Result<Ready, GatewayError> {
    if !exchange.endpoint.operation.answers_words() || !screen::judges_answers(exchange) {
        return Ok(Ready::Bytes(response, gap));
    }
    exchange.usage = Some(Usage::estimated(call.prompt_tokens, 0));
    let head = bytes::head(&response);
    let limit = exchange.snapshot.settings.upstream.max_response_bytes;
    let text = bytes::whole(response.body, gap, limit).await.map_err(|error| exchange.broke_off(error))?;
    let text = screen::text(exchange, text).await?;
    Ok(Ready::Whole(finish(exchange, head.map_body(|_, ()| text).map_into_boxed_body()).await))
}

/// Settles first, so that the headers tell how the limits stand after this answer.
async fn finish(exchange: &mut Exchange, mut response: HttpResponse) -> HttpResponse {
    let standing = exchange.settle().await;
    exchange.note_standing(standing.as_ref());
    headers::write(exchange, standing.as_ref(), response.headers_mut());
    exchange.conclude(Outcome::Answered(response.status().as_u16()));
    response
}

/// A kept answer as this call wants it; `None` where it cannot be given so.
fn again(exchange: &mut Exchange, call: &Call, body: Bytes) -> Option<HttpResponse> {
    if !call.is_stream {
        return Some(relay::whole(relay::renewed(body)));
    }
    let frames = recall::played(exchange, call, &body)?;
    Some(relay::event_stream(call.is_array).map_body(|_, ()| frames).map_into_boxed_body())
}
