//! Relay: a provider's answer becomes the caller's response. Streams go through frame by frame as they arrive.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};

use super::attempt::Trial;
use super::estimate::{Delivered, Prompt};
use super::events::Events;
use super::exchange::Exchange;
use super::held::{Held, Verdict};
use super::keep::Keeper;
use super::patience::Watch;
use crate::config::snapshot::{Dispatch, MidStream, Model};
use crate::dialect::codec::Writer;
use crate::dialect::raw::RawObject;
use crate::dialect::stream::Chunk;
use crate::dialect::{Call, StreamOptions};
use crate::endpoints::Endpoint;
use crate::envelope::JSON;
use crate::error::UpstreamError;
use crate::operation::Task;

mod rescue;
mod tally;

use rescue::{Rescue, Seam};
use tally::Tally;

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

/// A remembered answer as of now.
pub fn renewed(body: Bytes) -> Bytes {
    let Ok(object) = RawObject::parse(body.clone()) else { return body };
    let is_time =
        |name: &&str| object.member(name).is_some_and(|raw| raw.starts_with(|c: char| c.is_ascii_digit()));
    let times: Vec<&str> = ["created", "created_at", "completed_at"].into_iter().filter(is_time).collect();
    if times.is_empty() {
        return body;
    }
    let mut text = itoa::Buffer::new();
    let now = text.format(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    object.with(&times.into_iter().map(|name| (name, &*now)).collect::<Vec<_>>())
}

/// The head of a streamed response.
pub fn event_stream(is_array: bool) -> HttpResponse<()> {
    let mut response = HttpResponse::with_body(actix_web::http::StatusCode::OK, ());
    response.headers_mut().insert(CONTENT_TYPE, if is_array { JSON } else { EVENT_STREAM });
    response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    response
}

/// Whether another target may go on with the answer when its stream breaks off.
pub fn may_be_rescued(endpoint: &Endpoint, model: &Model, call: &Call) -> bool {
    let Dispatch::Routing(routing) = &model.dispatch else { return false };
    let is_conversation = endpoint.operation.task() == Some(Task::Converse);
    routing.mid_stream == MidStream::Continue && is_conversation && call.is_stream && call.answers == 1
}

/// The body of a streamed response; the exchange lives in it. `trial` has the targets that may go on with it, and
/// `keeper` gathers it for the cache.
pub fn stream(
    exchange: Exchange,
    call: Call,
    events: Box<Events>,
    trial: Option<(Trial, HttpRequest)>,
    keeper: Option<Box<Keeper>>,
) -> StreamBody {
    let keepalive = exchange.snapshot.settings.downstream.sse_keepalive_interval();
    // An array has no comments.
    let keepalive = keepalive.filter(|_| !call.is_array).map(Watch::start);
    let held = Held::new(&exchange, &call, events.dialect());
    // What another target may go on with has one writer from its beginning to its end.
    let is_plain = held.is_none() && events.is_written_anew();
    let writer = is_plain.then(|| {
        let stamp = exchange.stamp(&call, events.dialect());
        match call.is_array {
            true => Writer::array(stamp),
            false => Writer::of(exchange.endpoint.dialect, stamp),
        }
    });
    let tally = Tally {
        model: call.model_json.clone(),
        hides_usage: call.stream_options == StreamOptions::Unset,
        prompt: Prompt::of(exchange.endpoint.dialect, &call, true),
        delivered: Delivered::new(events.dialect()),
        has_finished: false,
        is_over: false,
        is_complete: false,
        array: call.is_array.then_some(false),
        has_last_word: false,
        sequence: 0,
        knows_model: false,
        is_open: true,
        is_unproven: events.first_event().is_none(),
        exchange,
    };
    let rescue = trial.map(|(trial, request)| Box::new(Rescue::new(trial, call, request)));
    let (out, broken, seam) = (BytesMut::new(), None, None);
    let flow = Flow { events, out, held, writer, tally, rescue, broken, seam, keeper };
    StreamBody { flow: Some(flow), rescuing: None, keepalive }
}

/// The body of a streamed response. Dropping it drops the provider's stream and closes the exchange.
pub struct StreamBody {
    /// Away while another target is asked to go on.
    flow: Option<Flow>,
    rescuing: Option<Rescuing>,
    keepalive: Option<Watch>,
}

type Rescuing = Pin<Box<dyn Future<Output = Box<Flow>>>>;

/// A provider's stream on its way to the caller.
struct Flow {
    events: Box<Events>,
    /// Frames on their way out: those that are already there go out in one write.
    out: BytesMut,
    /// What waits for guardrails.
    held: Option<Held>,
    /// Who writes the events where nobody holds them and the frames do not go out as they are.
    writer: Option<Writer>,
    tally: Tally,
    /// What another target needs to go on; nothing where none may.
    rescue: Option<Box<Rescue>>,
    /// Why the stream broke off, where another target is to be asked.
    broken: Option<UpstreamError>,
    /// Where another target has gone on.
    seam: Option<Seam>,
    /// Who gathers the answer for the cache.
    keeper: Option<Box<Keeper>>,
}

impl Flow {
    fn fill(&mut self, context: &mut Context<'_>) {
        while !self.tally.is_over && self.broken.is_none() && self.out.len() < BATCH_BYTES {
            if self.tally.is_unproven && self.events.first_event().is_some() {
                self.tally.prove();
            }
            self.tally.sequence = match (&self.held, &self.writer) {
                (_, Some(writer)) => writer.next_sequence(),
                (Some(held), None) if self.events.is_written_anew() => held.next_sequence(),
                _ => self.events.next_sequence(),
            };
            if self.judge(context).is_pending() {
                return;
            }
            if self.tally.is_over {
                break;
            }
            match self.events.poll_frame(context) {
                Poll::Ready(Some((Chunk::Decoded(mut decoded), frame))) => {
                    self.tally.hear(&decoded, frame);
                    if let Some(seam) = &mut self.seam {
                        seam.join(&mut decoded);
                    }
                    if self.rescue.as_mut().is_some_and(|rescue| !rescue.hear(&decoded.events)) {
                        self.rescue = None;
                    }
                    match (&mut self.held, &mut self.writer) {
                        (Some(held), _) => held.push(frame, *decoded),
                        (None, Some(writer)) => {
                            for event in &decoded.events {
                                writer.write(event, &mut self.out);
                            }
                            if !self.out.is_empty() {
                                self.tally.note_written();
                            }
                        }
                        (None, None) => {}
                    }
                }
                Poll::Ready(Some((Chunk::Failed(error), _))) => self.break_off(error.in_band()),
                Poll::Ready(Some((chunk, frame))) => self.tally.pass(chunk, frame, &mut self.out),
                // Some providers never say that they are done.
                Poll::Ready(None) if self.tally.has_finished => self.close(),
                Poll::Ready(None) => self.break_off(UpstreamError::BrokeOff),
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

    /// The stream has failed: another target goes on with it where one may.
    fn break_off(&mut self, error: UpstreamError) {
        match &self.rescue {
            Some(rescue) if rescue.has_more() && !self.tally.has_finished => self.broken = Some(error),
            _ => self.tally.break_off(error, &mut self.out),
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
        match &mut self.writer {
            Some(writer) => writer.close(&mut self.out),
            None => self.events.close(self.tally.has_last_word, &mut self.out),
        }
        self.tally.complete();
    }

    /// What goes out now. It is gathered where somebody keeps the answer, unless it came in part from elsewhere or
    /// something of it is missing.
    fn take_out(&mut self) -> Option<Bytes> {
        let piece = (!self.out.is_empty()).then(|| self.out.split().freeze());
        let Some(keeper) = &mut self.keeper else { return piece };
        let is_whole = self.seam.is_none() && self.tally.exchange.malformed_events == 0;
        if !is_whole || !keeper.hear(piece.as_deref().unwrap_or_default()) {
            self.keeper = None;
        } else if self.tally.is_over
            && let Some(keeper) = self.keeper.take()
            && self.tally.is_complete
        {
            keeper.finish(&self.tally.exchange, self.tally.usage());
        }
        piece
    }

    /// Lets guardrails judge what is held. Pending while one elsewhere is asked: the provider waits.
    fn judge(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(held) = &mut self.held else { return Poll::Ready(()) };
        let written = self.out.len();
        let verdict = held.poll(&mut self.tally.exchange, &mut self.out, context);
        if self.out.len() > written {
            self.tally.note_written();
        }
        match futures::ready!(verdict) {
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

impl Drop for Flow {
    fn drop(&mut self) {
        // First: counting takes its time, and the provider talks on meanwhile.
        self.events.leave();
        self.tally.end(self.events.first_event());
    }
}

impl StreamBody {
    /// Ready with a piece, or when all is said; pending while there is nothing to say.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(rescuing) = &mut self.rescuing {
                self.flow = Some(*futures::ready!(rescuing.as_mut().poll(context)));
                self.rescuing = None;
            }
            let Some(flow) = &mut self.flow else { return Poll::Ready(None) };
            flow.fill(context);
            if let Some(piece) = flow.take_out() {
                return Poll::Ready(Some(piece));
            }
            match flow.broken.take() {
                None if flow.tally.is_over => return Poll::Ready(None),
                None => return Poll::Pending,
                Some(error) => {
                    let flow = self.flow.take().map(Box::new);
                    self.rescuing = flow.map(|flow| -> Rescuing { Box::pin(rescue::go_on(flow, error)) });
                }
            }
        }
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
        let polled = this.poll_piece(context);
        match (&mut this.keepalive, polled) {
            (Some(watch), Poll::Ready(Some(piece))) => {
                watch.touch(Instant::now());
                Poll::Ready(Some(Ok(piece)))
            }
            (Some(watch), Poll::Pending) => watch.poll_silence(context).map(|()| Some(Ok(KEEPALIVE))),
            (_, polled) => polled.map(|piece| piece.map(Ok)),
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
