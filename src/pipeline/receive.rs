//! Receive: the body, read within its bounds, and the model that it names, resolved and allowed.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::{HttpMessage, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::timeout;

use super::exchange::Exchange;
use super::tunnel;
use crate::config::snapshot::ApiKey;
use crate::dialect::form::Form;
use crate::dialect::raw::RawObject;
use crate::dialect::{Body, Call};
use crate::endpoints::{Answer, Intake};
use crate::error::{AccessError, GatewayError, RequestError};
use crate::operation::Operation;
use crate::telemetry::record::Drained;

/// Most bytes of an oversized body that are read and thrown away so that the caller can read the refusal (§14.2).
const DRAIN_BYTES: usize = 32 << 20;
/// Longest time spent on that.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// First allocation for a body of many chunks.
const FIRST_BYTES: usize = 64 << 10;

/// Refuses a body that is declared larger than the limit, before anybody is authenticated.
///
/// # Errors
/// 413 naming the limit.
pub async fn refuse_oversized(
    exchange: &mut Exchange,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<(), GatewayError> {
    let Some(limit) = exchange.snapshot.settings.proxy.request_body_limit() else { return Ok(()) };
    if declared_length(request.headers()).is_none_or(|length| length <= limit) {
        return Ok(());
    }
    let drain = async {
        let mut drained = 0;
        while let Some(chunk) = payload.next().await {
            let Ok(chunk) = chunk else { return Drained::ClientReadError };
            drained += chunk.len();
            if drained >= DRAIN_BYTES {
                return Drained::CapReached;
            }
        }
        Drained::Completed
    };
    // Whether it was drained or not, the answer is the same.
    exchange.drained = Some(timeout(DRAIN_TIME, drain).await.unwrap_or(Drained::Timeout));
    Err(RequestError::TooLarge { limit }.into())
}

/// Reads the body and the call in it, and resolves the model that it names.
///
/// # Errors
/// 400 for a body that cannot be used, 408 for one that does not come, 413 for one that is too large; 404 for an
/// unknown model, 403 for one that the key may not use, or not from there.
pub async fn receive(
    exchange: &mut Exchange,
    request: &HttpRequest,
    payload: &mut Payload,
    caller: &ApiKey,
) -> Result<Call, GatewayError> {
    let intake = exchange.endpoint.intake;
    if intake == Intake::Json && !is_json(request) {
        return Err(RequestError::invalid("the Content-Type must be application/json").into());
    }
    let bytes = read_body(exchange, request, payload).await?;
    if exchange.endpoint.answer == Answer::Tunnel {
        return tunnel::receive(exchange, request, bytes, caller);
    }
    let invalid = |error: String| RequestError::invalid(error);
    let body = match intake {
        Intake::Json => Body::Json(RawObject::parse(bytes).map_err(|error| invalid(error.to_string()))?),
        Intake::Form => {
            let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let form = Form::parse(bytes, kind.unwrap_or_default());
            Body::Form(form.map_err(|error| invalid(error.to_string()))?)
        }
        Intake::Anything | Intake::Nothing => Body::Opaque(bytes),
    };
    let (operation, dialect) = (exchange.endpoint.operation, exchange.endpoint.dialect);
    let mut call = Call::read(operation, dialect, body, path_model(request).as_deref())?;
    let wants_events = || request.query_string().split('&').any(|part| part == "alt=sse");
    call.is_array = operation == Operation::StreamGenerate && !wants_events();
    exchange.is_stream = call.is_stream;
    let resolved = exchange
        .snapshot
        .resolve(&call.model)
        .ok_or_else(|| AccessError::UnknownModel(shown(&call.model)))?;
    let admits = resolved.model.admits(exchange.client.ip);
    exchange.model = Some(resolved);
    if !caller.allows(&call.model) {
        return Err(AccessError::ModelNotAllowed(shown(&call.model)).into());
    }
    if !admits {
        return Err(AccessError::AddressNotAllowed(shown(&call.model)).into());
    }
    Ok(call)
}

/// The model in the path, for dialects that name it there.
fn path_model(request: &HttpRequest) -> Option<Cow<'_, str>> {
    let written = request.match_info().get("model")?;
    Some(percent_encoding::percent_decode_str(written).decode_utf8_lossy())
}

/// A name that a caller sent, short enough to be sent back.
pub fn shown(name: &str) -> Box<str> {
    name.chars().filter(|character| !character.is_control()).take(128).collect()
}

fn is_json(request: &HttpRequest) -> bool {
    match request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes()) {
        Some(b"application/json") => true,
        Some(_) => {
            let essence = request.content_type();
            essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
        }
        None => false,
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read_body(
    exchange: &Exchange,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Bytes, GatewayError> {
    let settings = &exchange.snapshot.settings.proxy;
    let limit = settings.request_body_limit().unwrap_or(u64::MAX);
    let patience = settings.request_body_timeout();
    let declared = declared_length(request.headers()).and_then(|length| usize::try_from(length).ok());
    let Some(first) = next_chunk(payload, patience).await? else { return Ok(Bytes::new()) };
    if declared == Some(first.len()) && first.len() as u64 <= limit {
        return Ok(first);
    }
    let mut body = BytesMut::with_capacity(declared.map_or(FIRST_BYTES, |length| length.min(1 << 20)));
    let mut chunk = Some(first);
    while let Some(bytes) = chunk {
        if (body.len() + bytes.len()) as u64 > limit {
            return Err(RequestError::TooLarge { limit }.into());
        }
        body.extend_from_slice(&bytes);
        chunk = next_chunk(payload, patience).await?;
    }
    Ok(body.freeze())
}

async fn next_chunk(
    payload: &mut Payload,
    patience: Option<Duration>,
) -> Result<Option<Bytes>, GatewayError> {
    let chunk = match patience {
        None => payload.next().await,
        Some(patience) => match timeout(patience, payload.next()).await {
            Ok(chunk) => chunk,
            Err(_) => return Err(RequestError::Late { waited: patience }.into()),
        },
    };
    chunk.transpose().map_err(|_| RequestError::invalid("failed to read the request body").into())
}
