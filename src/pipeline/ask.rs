//! Ask: one request to one target, within its time limits, and its answer as far as it decides what happens next.

use bytes::Bytes;
use tokio::time::timeout;

use super::events::Events;
use super::exchange::{Engaged, Exchange};
use super::patience::{Patience, within};
use crate::config::snapshot::Direct;
use crate::dialect::{Call, StreamOptions, openai_chat};
use crate::error::UpstreamError;
use crate::upstream::{Content, UpstreamRequest, UpstreamResponse};

/// A provider's answer, on its way to the caller.
pub enum Answer {
    /// All of it.
    Whole(openai_chat::Reply),
    /// A stream whose first event is there, or late.
    Stream(Box<Events>),
}

/// Asks one target and reads its answer: all of it, or a stream's first event.
///
/// # Errors
/// The provider's failure.
pub async fn ask(
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
    if response.content == Content::Json {
        within(patience.gap, read_whole(exchange, call, response)).await?;
        return Err(not_a_stream("a JSON body"));
    }
    if response.content == Content::Html {
        return Err(not_a_stream("a web page (is api_base right?)"));
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

fn not_a_stream(came: &str) -> UpstreamError {
    UpstreamError::Undecodable { reason: format!("a stream was asked for and {came} came").into() }
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
    let changes = [("model", &*model), openai_chat::INCLUDE_USAGE];
    call.body.with(if wants_usage { &changes } else { &changes[..1] })
}
