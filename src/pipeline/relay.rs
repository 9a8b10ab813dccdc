//! Relay: a provider's answer becomes the caller's response. Streams go through frame by frame as they arrive.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use aisix_actors::cache::Entry;
use bytes::{Bytes, BytesMut};

use super::attempt::failed;
use super::events::Events;
use super::exchange::{Exchange, Outcome};
use super::patience::Watch;
use crate::dialect::openai_chat::Chunk;
use crate::dialect::raw::RawObject;
use crate::dialect::{Call, StreamOptions, Usage};
use crate::envelope::JSON;
use crate::error::{GatewayError, UpstreamError};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// The comment that keeps a silent stream open (§14.5).
const KEEPALIVE: Bytes = Bytes::from_static(b":\n\n");
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");
/// Frames that are already there go out together, up to about this size.
const BATCH_BYTES: usize = 64 << 10;

/// A whole body as a response.
pub fn whole(body: Bytes) -> HttpResponse {
    let mut response = HttpResponse::with_body(actix_web::http::StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.map_into_boxed_body()
}

/// A remembered answer, as of now.
pub fn remembered(entry: &Entry) -> HttpResponse {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let body = match RawObject::parse(entry.body.clone()) {
        Ok(object) if object.member("created").is_some() => {
            object.patched("created", itoa::Buffer::new().format(now), None)
        }
        _ => entry.body.clone(),
    };
    whole(body)
}

/// The head of a streamed response.
pub fn event_stream() -> HttpResponse<()> {
    let mut response = HttpResponse::with_body(actix_web::http::StatusCode::OK, ());
    response.headers_mut().insert(CONTENT_TYPE, EVENT_STREAM);
    response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    response
}

/// The body of a streamed response; the exchange lives in it.
pub fn stream(exchange: Exchange, call: &Call, events: Box<Events>) -> StreamBody {
    let keepalive = exchange.snapshot.settings.downstream.sse_keepalive_interval();
    StreamBody {
        events,
        hides_usage: call.stream_options == StreamOptions::Unset,
        prompt_tokens: call.prompt_tokens,
        delivered_bytes: 0,
        has_finished: false,
        is_over: false,
        keepalive: keepalive.map(Watch::start),
        exchange,
    }
}

/// The body of a streamed response. Dropping it drops the provider's stream and closes the exchange.
pub struct StreamBody {
    events: Box<Events>,
    /// The caller did not ask for the usage chunk that the gateway asked for.
    hides_usage: bool,
    prompt_tokens: u64,
    delivered_bytes: u64,
    /// A choice has ended: the stream may close without `[DONE]`.
    has_finished: bool,
    is_over: bool,
    keepalive: Option<Watch>,
    exchange: Exchange,
}

impl StreamBody {
    /// What the caller gets for one chunk; `None` for nothing.
    fn pass(&mut self, chunk: Chunk) -> Option<Bytes> {
        match chunk {
            Chunk::Content { bytes, usage, finished, text_bytes } => {
                self.exchange.usage = usage.or(self.exchange.usage);
                self.has_finished |= finished;
                self.delivered_bytes = self.delivered_bytes.saturating_add(text_bytes);
                Some(bytes)
            }
            Chunk::Usage { bytes, usage } => {
                self.exchange.usage = Some(usage);
                (!self.hides_usage).then_some(bytes)
            }
            Chunk::Comment(bytes) => Some(bytes),
            Chunk::Done(bytes) => {
                self.complete();
                Some(bytes)
            }
            Chunk::Failed(error) => Some(self.break_off(error)),
            Chunk::Malformed => {
                self.exchange.malformed_events = self.exchange.malformed_events.saturating_add(1);
                None
            }
        }
    }

    fn complete(&mut self) {
        self.is_over = true;
        self.events.run_out();
        self.exchange.conclude(Outcome::Answered(200));
    }

    /// The provider's stream is at its end without `[DONE]`.
    fn close(&mut self) -> Bytes {
        if self.has_finished {
            self.complete();
            DONE
        } else {
            self.break_off(UpstreamError::BrokeOff)
        }
    }

    /// An unfinished answer is never presented as finished: an error frame ends it.
    fn break_off(&mut self, error: UpstreamError) -> Bytes {
        self.is_over = true;
        if let Some(engaged) = &self.exchange.engaged {
            self.exchange.worker.actors.router.report(&engaged.candidate, failed(&error));
        }
        let error = GatewayError::from(error);
        self.exchange.fail(&error);
        self.exchange.endpoint.envelope.stream_frame(&error)
    }

    fn poll_keepalive(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        match &mut self.keepalive {
            Some(watch) => watch.poll_silence(context).map(|()| Some(Ok(KEEPALIVE))),
            None => Poll::Pending,
        }
    }
}

impl MessageBody for StreamBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = &mut *self;
        let mut batch = Batch::default();
        while !this.is_over && batch.len() < BATCH_BYTES {
            let passed = match this.events.poll_chunk(context) {
                Poll::Ready(Some(chunk)) => this.pass(chunk),
                Poll::Ready(None) => Some(this.close()),
                Poll::Pending => break,
            };
            if let Some(bytes) = passed {
                batch.push(bytes);
            }
        }
        match batch.take() {
            Some(bytes) => {
                if let Some(watch) = &mut this.keepalive {
                    watch.touch(Instant::now());
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            None if this.is_over => Poll::Ready(None),
            None => this.poll_keepalive(context),
        }
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let delivered = self.delivered_bytes;
        self.exchange.usage.get_or_insert_with(|| Usage::estimated(self.prompt_tokens, delivered));
    }
}

/// Frames on their way out: one goes as it is, several are joined.
#[derive(Default)]
enum Batch {
    #[default]
    Empty,
    One(Bytes),
    Several(BytesMut),
}

impl Batch {
    fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(bytes) => bytes.len(),
            Self::Several(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        *self = match std::mem::take(self) {
            Self::Empty => Self::One(bytes),
            Self::One(first) => {
                let mut joined = BytesMut::with_capacity((first.len() + bytes.len()).max(2048));
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&bytes);
                Self::Several(joined)
            }
            Self::Several(mut joined) => {
                joined.extend_from_slice(&bytes);
                Self::Several(joined)
            }
        };
    }

    fn take(self) -> Option<Bytes> {
        match self {
            Self::Empty => None,
            Self::One(bytes) => Some(bytes),
            Self::Several(bytes) => Some(bytes.freeze()),
        }
    }
}

/// Milliseconds with one decimal, for `Server-Timing`.
pub fn server_timing(total: Duration, upstream: Duration) -> String {
    let gateway = total.saturating_sub(upstream);
    format!("gateway;dur={:.1}, upstream;dur={:.1}", millis(gateway), millis(upstream))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
