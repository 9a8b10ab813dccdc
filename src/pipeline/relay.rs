//! Relay: a provider's answer becomes the caller's response. Streams go through frame by frame as they arrive.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use bytes::{Bytes, BytesMut};

use super::attempt::failed;
use super::estimate::{Delivered, Prompt, filled};
use super::events::Events;
use super::exchange::{Engaged, Exchange, Outcome};
use super::held::{Held, Verdict};
use super::patience::Watch;
use crate::dialect::raw::RawObject;
use crate::dialect::sse::Frame;
use crate::dialect::stream::{Chunk, Decoded, Pass};
use crate::dialect::{Call, StreamOptions};
use crate::envelope::JSON;
use crate::error::{GatewayError, UpstreamError};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// The comment that keeps a silent stream open (§14.5).
const KEEPALIVE: Bytes = Bytes::from_static(b":\n\n");
/// Frames that are already there go out together, up to about this size.
const BATCH_BYTES: usize = 64 << 10;

/// A whole body as a response.
pub fn whole(body: Bytes) -> HttpResponse {
    let mut response = HttpResponse::with_body(actix_web::http::StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.map_into_boxed_body()
}

/// A remembered answer, as of now.
pub fn remembered(body: Bytes) -> HttpResponse {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let body = match RawObject::parse(body.clone()) {
        Ok(object) if object.member("created").is_some() => {
            object.with(&[("created", itoa::Buffer::new().format(now))])
        }
        _ => body,
    };
    whole(body)
}

/// The head of a streamed response.
pub fn event_stream(is_array: bool) -> HttpResponse<()> {
    let mut response = HttpResponse::with_body(actix_web::http::StatusCode::OK, ());
    response.headers_mut().insert(CONTENT_TYPE, if is_array { JSON } else { EVENT_STREAM });
    response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    response
}

/// The body of a streamed response; the exchange lives in it.
pub fn stream(exchange: Exchange, call: &Call, events: Box<Events>) -> StreamBody {
    let keepalive = exchange.snapshot.settings.downstream.sse_keepalive_interval();
    // An array has no comments.
    let keepalive = keepalive.filter(|_| !call.is_array).map(Watch::start);
    let hides_usage = call.stream_options == StreamOptions::Unset;
    let held = Held::new(&exchange, call, events.dialect());
    let tally = Tally {
        model: call.model_json.clone(),
        hides_usage,
        prompt: Prompt::of(exchange.endpoint.dialect, call, true),
        delivered: Delivered::new(events.dialect()),
        has_finished: false,
        is_over: false,
        array: call.is_array.then_some(false),
        has_last_word: false,
        sequence: 0,
        knows_model: false,
        exchange,
    };
    StreamBody { events, out: BytesMut::new(), keepalive, held, tally }
}

/// The body of a streamed response. Dropping it drops the provider's stream and closes the exchange.
pub struct StreamBody {
    events: Box<Events>,
    /// Frames on their way out: those that are already there go out in one write.
    out: BytesMut,
    keepalive: Option<Watch>,
    /// What waits for guardrails.
    held: Option<Held>,
    tally: Tally,
}

/// What is known of a stream so far, and the exchange that it belongs to.
struct Tally {
    /// The model that the caller named, as raw JSON.
    model: Arc<str>,
    /// The caller did not ask for the usage chunk that the gateway asked for.
    hides_usage: bool,
    prompt: Prompt,
    delivered: Delivered,
    /// A choice has ended: the stream may close without `[DONE]`.
    has_finished: bool,
    is_over: bool,
    /// Whether a stream that is a JSON array has begun; `None` for events.
    array: Option<bool>,
    /// The provider has said its last word.
    has_last_word: bool,
    /// The number of the caller's next event, in dialects that count them.
    sequence: u64,
    /// The first chunk has told what the provider calls the model.
    knows_model: bool,
    exchange: Exchange,
}

impl Tally {
    /// Takes note of one chunk and writes what the caller gets of it.
    fn pass(&mut self, chunk: Chunk, frame: Frame<'_>, out: &mut BytesMut) {
        match chunk {
            Chunk::Content { pass, usage, finish, text_bytes } => {
                self.exchange.usage = usage.or(self.exchange.usage);
                self.has_finished |= finish.is_some();
                self.note(&pass, frame, finish);
                self.delivered.add(frame.bytes, text_bytes);
                self.write(&pass, frame, out);
            }
            Chunk::Usage { pass, usage } => {
                self.exchange.usage = Some(usage);
                if !self.hides_usage {
                    self.write(&pass, frame, out);
                }
            }
            Chunk::Comment if self.array.is_none() => self.write(&Pass::AsItIs, frame, out),
            Chunk::Last { pass, usage, finish, text_bytes } => {
                self.exchange.usage = usage.or(self.exchange.usage);
                self.note(&pass, frame, finish);
                self.delivered.add(frame.bytes, text_bytes);
                self.write(&pass, frame, out);
                self.has_last_word = true;
            }
            Chunk::Done => {
                self.write(&Pass::AsItIs, frame, out);
                self.has_last_word = true;
            }
            // Held streams take these before they get here.
            Chunk::Decoded(_) | Chunk::Skipped | Chunk::Comment => {}
            Chunk::Failed(error) => self.break_off(error.in_band(), out),
            Chunk::Malformed => {
                self.exchange.malformed_events = self.exchange.malformed_events.saturating_add(1);
            }
        }
    }

    /// Takes note of what the provider calls the model, and why it stopped.
    fn note(&mut self, pass: &Pass, frame: Frame<'_>, finish: Option<&'static str>) {
        if self.knows_model && finish.is_none() {
            return;
        }
        self.knows_model = true;
        let Some(attempt) = self.exchange.attempts.last_mut() else { return };
        attempt.finish_reason = finish.or(attempt.finish_reason);
        if let Pass::Renamed(own) = pass
            && attempt.provider_model.is_none()
        {
            let name = frame.bytes.get(own.clone()).and_then(|name| std::str::from_utf8(name).ok());
            attempt.provider_model = name.map(|name| name.trim_matches('"').into());
        }
    }

    fn write(&mut self, pass: &Pass, frame: Frame<'_>, out: &mut BytesMut) {
        match pass {
            Pass::AsItIs => out.extend_from_slice(frame.bytes),
            Pass::Renamed(own) => {
                for part in [&frame.bytes[..own.start], self.model.as_bytes(), &frame.bytes[own.end..]] {
                    out.extend_from_slice(part);
                }
            }
            Pass::Rewritten(bytes) => {
                self.array = self.array.map(|has_begun| has_begun || !bytes.is_empty());
                return out.extend_from_slice(bytes);
            }
        }
        if frame.is_cut() {
            out.extend_from_slice(b"\n\n");
        }
    }

    /// Takes note of a frame that waits.
    fn hear(&mut self, decoded: &Decoded, frame: Frame<'_>) {
        self.exchange.usage = decoded.usage.or(self.exchange.usage);
        self.has_finished |= decoded.finish.is_some();
        self.has_last_word |= decoded.is_last;
        self.delivered.add(frame.bytes, decoded.text_bytes);
        self.note(decoded.pass.as_ref().unwrap_or(&Pass::AsItIs), frame, decoded.finish);
    }

    /// Ends the stream with an error of the gateway's own.
    fn refuse(&mut self, error: &GatewayError, out: &mut BytesMut) {
        self.is_over = true;
        self.exchange.fail(error);
        self.write_failure(error, out);
    }

    fn complete(&mut self) {
        self.is_over = true;
        self.exchange.conclude(Outcome::Answered(200));
    }

    /// An unfinished answer is never presented as finished: an error frame ends it.
    fn break_off(&mut self, error: UpstreamError, out: &mut BytesMut) {
        self.is_over = true;
        let engaged = self.exchange.engaged.as_ref();
        let error = error.tidied(engaged.and_then(Engaged::credential));
        if let Some(engaged) = engaged {
            self.exchange.worker.actors.router.report(&engaged.candidate, failed(&error));
        }
        self.refuse(&GatewayError::from(error), out);
    }

    fn write_failure(&mut self, error: &GatewayError, out: &mut BytesMut) {
        let envelope = self.exchange.endpoint.envelope;
        match self.array {
            None => out.extend_from_slice(&envelope.stream_frame(error, self.sequence)),
            Some(has_begun) => {
                out.extend_from_slice(if has_begun { b",\n" } else { b"[" });
                out.extend_from_slice(&envelope.body(error));
                out.extend_from_slice(b"]");
            }
        }
    }
}

impl StreamBody {
    fn fill(&mut self, context: &mut Context<'_>) {
        while !self.tally.is_over && self.out.len() < BATCH_BYTES {
            self.tally.sequence = match self.held.as_ref().filter(|_| self.events.is_written_anew()) {
                Some(held) => held.next_sequence(),
                None => self.events.next_sequence(),
            };
            if self.judge(context).is_pending() {
                return;
            }
            if self.tally.is_over {
                break;
            }
            match self.events.poll_frame(context) {
                Poll::Ready(Some((Chunk::Decoded(decoded), frame))) => {
                    self.tally.hear(&decoded, frame);
                    if let Some(held) = &mut self.held {
                        held.push(frame, *decoded);
                    }
                }
                Poll::Ready(Some((chunk, frame))) => self.tally.pass(chunk, frame, &mut self.out),
                // Some providers never say that they are done.
                Poll::Ready(None) if self.tally.has_finished => self.close(),
                Poll::Ready(None) => self.tally.break_off(UpstreamError::BrokeOff, &mut self.out),
                Poll::Pending => return,
            }
            if self.tally.has_last_word && !self.tally.is_over {
                self.close();
            }
        }
        if self.tally.is_over {
            self.events.run_out();
        }
    }

    /// The provider has said all. What waits for guardrails is judged first.
    fn close(&mut self) {
        match &mut self.held {
            Some(held) if !held.has_ended() => held.end(),
            _ => self.finish(),
        }
    }

    fn finish(&mut self) {
        self.events.close(self.tally.has_last_word, &mut self.out);
        self.tally.complete();
    }

    /// Lets guardrails judge what is held. Pending while one elsewhere is asked: the provider waits.
    fn judge(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(held) = &mut self.held else { return Poll::Ready(()) };
        match futures::ready!(held.poll(&mut self.tally.exchange, &mut self.out, context)) {
            Verdict::More => {}
            Verdict::Over => {
                if self.events.is_written_anew() {
                    held.close(&mut self.out);
                }
                self.finish();
            }
            Verdict::Blocked(blocked) => self.tally.refuse(&blocked.into(), &mut self.out),
        }
        Poll::Ready(())
    }
}

impl MessageBody for StreamBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = &mut *self;
        this.fill(context);
        if !this.out.is_empty() {
            if let Some(watch) = &mut this.keepalive {
                watch.touch(Instant::now());
            }
            return Poll::Ready(Some(Ok(this.out.split().freeze())));
        }
        match &mut this.keepalive {
            _ if this.tally.is_over => Poll::Ready(None),
            Some(watch) => watch.poll_silence(context).map(|()| Some(Ok(KEEPALIVE))),
            None => Poll::Pending,
        }
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let Tally { exchange, prompt, delivered, .. } = &mut self.tally;
        if let Some(attempt) = exchange.attempts.last_mut() {
            attempt.first_event = self.events.first_event();
        }
        let counted = exchange.usage.unwrap_or_default();
        exchange.usage = Some(filled(counted, prompt, || delivered.tokens()));
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
