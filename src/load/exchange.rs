//! One request and its answer, measured.

use std::fmt;
use std::time::{Duration, Instant};

use actix_web::error::ParseError;
use actix_web::http::header::CONTENT_TYPE;
use awc::ClientResponse;
use awc::error::{ConnectError, SendRequestError};
use futures::StreamExt as _;

use super::client::{Client, Target};
use super::events::EventReader;
use super::meter::SharedMeter;

/// The most of an error body that is read for its type.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Why a request failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// No connection.
    Connect,
    /// No complete answer in time.
    Timeout,
    /// The connection broke before the head of the answer.
    ConnectionLost,
    /// An answer with an error status, and the type in its body.
    Http(u16, String),
    /// The body of an answer ended before it was complete.
    CutBody,
    /// A stream ended before it said that it was complete.
    CutStream,
    /// A stream carried an error.
    StreamError,
    /// An answer that is not HTTP.
    BadAnswer,
    /// An actor of this process refused.
    Refused(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Timeout => f.write_str("timeout"),
            Self::ConnectionLost => f.write_str("connection lost"),
            Self::Http(status, r#type) if r#type.is_empty() => write!(f, "http {status}"),
            Self::Http(status, r#type) => write!(f, "http {status} {}", r#type),
            Self::CutBody => f.write_str("cut body"),
            Self::CutStream => f.write_str("cut stream"),
            Self::StreamError => f.write_str("stream error"),
            Self::BadAnswer => f.write_str("bad answer"),
            Self::Refused(actor) => write!(f, "refused by the {actor}"),
        }
    }
}

/// Sends one request and reads its answer to the end; what arrives on the way goes to `seen`.
pub(super) async fn exchange(
    target: &Target,
    client: &Client,
    intended: Instant,
    seen: Option<&SharedMeter>,
) -> Result<(), Failure> {
    let whole = async {
        let response = client.send_body(target.next_body()).await.map_err(|error| failure(&error))?;
        read(response, intended, seen).await
    };
    actix_rt::time::timeout(target.timeout, whole).await.unwrap_or(Err(Failure::Timeout))
}

fn failure(error: &SendRequestError) -> Failure {
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => Failure::ConnectionLost,
        SendRequestError::Connect(_) | SendRequestError::Url(_) => Failure::Connect,
        SendRequestError::Timeout => Failure::Timeout,
        SendRequestError::Response(ParseError::Io(_) | ParseError::Incomplete) => Failure::ConnectionLost,
        SendRequestError::Response(_) => Failure::BadAnswer,
        _ => Failure::ConnectionLost,
    }
}

async fn read(
    response: ClientResponse,
    intended: Instant,
    seen: Option<&SharedMeter>,
) -> Result<(), Failure> {
    let status = response.status();
    let is_stream = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    if !status.is_success() {
        return Err(Failure::Http(status.as_u16(), error_type(response).await));
    }
    if is_stream { read_stream(response, intended, seen).await } else { read_body(response, seen).await }
}

async fn read_body(mut response: ClientResponse, seen: Option<&SharedMeter>) -> Result<(), Failure> {
    while let Some(chunk) = response.next().await {
        let chunk = chunk.map_err(|_| Failure::CutBody)?;
        if let Some(meter) = seen {
            meter.bytes(chunk.len());
        }
    }
    Ok(())
}

async fn read_stream(
    mut response: ClientResponse,
    intended: Instant,
    seen: Option<&SharedMeter>,
) -> Result<(), Failure> {
    let mut reader = EventReader::default();
    let mut last: Option<Instant> = None;
    while let Some(chunk) = response.next().await {
        let chunk = chunk.map_err(|_| Failure::CutStream)?;
        let events = reader.push(&chunk);
        let Some(meter) = seen else { continue };
        meter.bytes(chunk.len());
        if events > 0 {
            let now = Instant::now();
            match last {
                Some(last) => meter.gap(now - last),
                None => meter.first_event(now.saturating_duration_since(intended)),
            }
            // Events of one piece arrived together.
            (1..events).for_each(|_| meter.gap(Duration::ZERO));
            last = Some(now);
        }
    }
    match (reader.is_error(), reader.is_whole()) {
        (true, _) => Err(Failure::StreamError),
        (false, true) => Ok(()),
        (false, false) => Err(Failure::CutStream),
    }
}

/// The `error.type` of an error body; empty when there is none.
async fn error_type(mut response: ClientResponse) -> String {
    let body = response.body().limit(MAX_ERROR_BYTES).await.unwrap_or_default();
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    value["error"]["type"].as_str().unwrap_or_default().to_owned()
}
