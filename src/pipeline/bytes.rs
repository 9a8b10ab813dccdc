//! Bytes: an answer that is handed on as it comes. Sound, subtitles, and whatever a provider's own API has.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::exchange::{Exchange, Outcome};
use super::patience::Watch;
use crate::error::{GatewayError, UpstreamError};
use crate::upstream::{Unbroken, UpstreamBody, UpstreamResponse, read_all};

/// The head of the response.
pub fn head(upstream: &UpstreamResponse) -> HttpResponse<()> {
    let status = StatusCode::from_u16(upstream.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::with_body(status, ());
    if let Some(content_type) = &upstream.content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    response
}

/// Chunks of a body, of which none may take longer than the longest silence.
struct Paced {
    body: Unbroken,
    gap: Option<Watch>,
}

impl Paced {
    fn new(body: UpstreamBody, gap: Option<Duration>) -> Self {
        Self { body: Unbroken(body), gap: gap.map(Watch::start) }
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { body, gap } = &mut *self;
        let polled = body.poll_next_unpin(context);
        let Some(gap) = gap else { return polled };
        if polled.is_ready() {
            gap.touch(Instant::now());
            return polled;
        }
        futures::ready!(gap.poll_silence(context));
        Poll::Ready(Some(Err(UpstreamError::Late { after: gap.period })))
    }
}

/// Reads a body that somebody has to judge before it goes out. `gap` is the longest silence in it, however long the
/// whole takes.
///
/// # Errors
/// It broke off, fell silent, or is larger than `limit` bytes.
pub async fn whole(body: UpstreamBody, gap: Option<Duration>, limit: u64) -> Result<Bytes, UpstreamError> {
    read_all(Paced::new(body, gap), limit).await
}

/// The body of the response; the exchange lives in it. `gap` is the longest silence that is waited for.
pub fn body(mut exchange: Exchange, upstream: UpstreamResponse, gap: Option<Duration>) -> ByteBody {
    let size = match (upstream.content_length, &upstream.body) {
        (Some(length), _) => BodySize::Sized(length),
        // Not so much as the end of a stream may follow an answer that has no body by its nature.
        (None, UpstreamBody::Ended) => BodySize::None,
        (None, _) => BodySize::Stream,
    };
    if matches!(size, BodySize::None | BodySize::Sized(0)) {
        // Nobody will ask for it.
        exchange.conclude(Outcome::Answered(upstream.status));
    }
    ByteBody { status: upstream.status, body: Paced::new(upstream.body, gap), size, exchange }
}

/// See [`body`]. Dropping it drops the provider's body and closes the exchange.
pub struct ByteBody {
    status: u16,
    body: Paced,
    size: BodySize,
    exchange: Exchange,
}

impl ByteBody {
    /// What has begun cannot be taken back: the connection is cut, so that nobody takes a part for the whole.
    fn break_off(&mut self, error: UpstreamError) -> UpstreamError {
        self.body = Paced::new(UpstreamBody::Ended, None);
        let error = self.exchange.broke_off(error);
        self.exchange.fail(&GatewayError::from(error.clone()));
        error
    }
}

impl MessageBody for ByteBody {
    type Error = UpstreamError;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        let this = &mut *self;
        match futures::ready!(this.body.poll_next_unpin(context)) {
            Some(Ok(bytes)) => Poll::Ready(Some(Ok(bytes))),
            Some(Err(error)) => Poll::Ready(Some(Err(this.break_off(error)))),
            None => {
                this.exchange.conclude(Outcome::Answered(this.status));
                Poll::Ready(None)
            }
        }
    }
}
