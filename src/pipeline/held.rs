//! Held: a stream that waits for guardrails before it goes out (§10.6).
//!
//! [`HoldBack`] knows what may go; this puts frames into it and writes what comes out: the frames as they are, with masks
//! in their places, or their events anew in the caller's dialect. A judge elsewhere is asked while the provider waits.

use std::borrow::Cow;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;

use super::exchange::Exchange;
use super::screen;
use crate::dialect::chat::Event;
use crate::dialect::codec::Writer;
use crate::dialect::json::Text;
use crate::dialect::sse::Frame;
use crate::dialect::stream::{Decoded, Pass};
use crate::dialect::{Call, Dialect, StreamOptions};
use crate::guardrails::hold::{HoldBack, Need, Released, SlotKey, Words};
use crate::guardrails::webhook::Opinion;
use crate::guardrails::{Blocked, Guardrail, Hook};

mod asides;

use asides::Asides;

/// One frame that waits.
#[derive(Debug)]
enum Waiting {
    /// As it came, with the model's name to be put in, and where each of its pieces stands.
    Frame { bytes: Vec<u8>, model: Option<Range<usize>>, pieces: Vec<Option<Range<usize>>> },
    /// To be written anew.
    Events(Vec<Event<'static>>),
}

/// What a look at a stream comes to.
#[derive(Debug)]
pub enum Verdict {
    /// What could go out has gone; the provider may go on.
    More,
    /// All has gone out.
    Over,
    /// Nothing more may go out.
    Blocked(Blocked),
}

type Asking = Pin<Box<dyn Future<Output = Opinion>>>;

/// See the module.
pub struct Held {
    hold: HoldBack<Waiting>,
    asides: Asides,
    writer: Writer,
    /// The model that the caller named, as raw JSON.
    model: Arc<str>,
    asking: Option<(Asking, Instant)>,
    hides_usage: bool,
    has_ended: bool,
}

impl Held {
    /// Begins to hold a stream, where somebody judges answers.
    #[must_use]
    pub fn new(exchange: &Exchange, call: &Call, provider: Dialect) -> Option<Self> {
        let hold = HoldBack::new(&exchange.guard.as_ref()?.chain)?;
        let stamp = exchange.stamp(call, provider);
        let hides_usage = call.stream_options == StreamOptions::Unset;
        let asides = Asides::new(screen::may_mask(exchange), hold.policy().max_buffer_bytes);
        let model = stamp.model.clone();
        let caller: Dialect = exchange.endpoint.dialect;
        let writer = if call.is_array { Writer::array(stamp) } else { Writer::of(caller, stamp) };
        Some(Self { hold, asides, writer, model, asking: None, hides_usage, has_ended: false })
    }

    /// Takes a frame in.
    pub fn push(&mut self, frame: Frame<'_>, decoded: Decoded) {
        let Decoded { events, pass, places, is_usage_only, .. } = decoded;
        if is_usage_only && self.hides_usage {
            return;
        }
        let mut said: Vec<(SlotKey, String, Option<Range<usize>>)> = events
            .iter()
            .zip(places)
            .filter_map(|(event, place)| key_of(event).map(|(key, text)| (key, text.into_owned(), place)))
            .collect();
        let waiting = match pass {
            None => Waiting::Events(events),
            Some(pass) => {
                let pieces = said.iter().map(|(key, text, _)| (*key, &**text));
                let asides = match &pass {
                    Pass::Rewritten(bytes) => self.asides.of(&Frame { bytes }, pieces),
                    Pass::AsItIs | Pass::Renamed(_) => self.asides.of(&frame, pieces),
                };
                said.extend(asides.into_iter().map(|(key, text)| (key, text, None)));
                as_it_is(frame, pass, &said)
            }
        };
        self.hold.push(waiting, said.iter().map(|(key, text, _)| (*key, &**text)));
    }

    /// Says that the stream is complete.
    pub fn end(&mut self) {
        self.has_ended = true;
        self.hold.end();
    }

    /// Whether it was told that the stream is complete.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Lets the guardrails judge, and writes what may go out. Pending while a judge elsewhere is asked.
    pub fn poll(
        &mut self,
        exchange: &mut Exchange,
        out: &mut BytesMut,
        context: &mut Context<'_>,
    ) -> Poll<Verdict> {
        let mut began = Instant::now();
        loop {
            if let Some((asking, since)) = &mut self.asking {
                let opinion = futures::ready!(asking.as_mut().poll(context));
                let since = *since;
                self.asking = None;
                if let Some(finding) = self.hold.take(opinion) {
                    screen::note(exchange, &finding, Hook::Output, since);
                }
            }
            match self.hold.need() {
                Need::Ask(member, texts) => {
                    self.asking = Some((ask(exchange, member, texts), Instant::now()));
                }
                Need::Judged(finding) => {
                    screen::note(exchange, &finding, Hook::Output, began);
                    began = Instant::now();
                }
                Need::Release(frames) => {
                    for frame in frames {
                        self.write(frame, out);
                    }
                }
                Need::Block(blocked) => {
                    close_audit(exchange);
                    screen::log_refusal(exchange, &blocked);
                    return Poll::Ready(Verdict::Blocked(blocked));
                }
                Need::More => return Poll::Ready(Verdict::More),
                Need::Over => {
                    close_audit(exchange);
                    return Poll::Ready(Verdict::Over);
                }
            }
        }
    }

    /// The number of the caller's next event, in dialects that count them.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.writer.next_sequence()
    }

    /// Writes what closes a stream that is written anew.
    pub fn close(&mut self, out: &mut BytesMut) {
        self.writer.close(out);
    }

    fn write(&mut self, released: Released<Waiting>, out: &mut BytesMut) {
        match &released.payload {
            Waiting::Frame { bytes, model, pieces } => {
                if let Some(text) = spliced(bytes, model.clone(), &self.model, pieces, &released) {
                    out.extend_from_slice(&text);
                    if (Frame { bytes }).is_cut() {
                        out.extend_from_slice(b"\n\n");
                    }
                }
            }
            Waiting::Events(events) => {
                let mut piece = 0;
                // Probabilities repeat the words, token by token.
                let tells_words = |event: &&Event<'_>| matches!(event, Event::Logprobs { .. });
                for event in events.iter().filter(|event| released.masks.is_empty() || !tells_words(event)) {
                    let masked = key_of(event).and_then(|(_, text)| {
                        piece += 1;
                        let is_masked = released.masks.iter().any(|mask| mask.piece == piece - 1);
                        is_masked.then(|| released.masked(piece - 1, &text))
                    });
                    match masked {
                        // A source in other words is none.
                        Some(_) if matches!(event, Event::Citation { .. }) => {}
                        Some(text) => self.writer.write(&with_words(event, &text), out),
                        None => self.writer.write(event, out),
                    }
                }
            }
        }
    }
}

/// A frame that goes out as it is, but for its masks.
fn as_it_is(frame: Frame<'_>, pass: Pass, said: &[(SlotKey, String, Option<Range<usize>>)]) -> Waiting {
    let pieces = said.iter().map(|(_, _, place)| place.clone()).collect();
    match pass {
        Pass::Rewritten(bytes) => Waiting::Frame { bytes, model: None, pieces: vec![None; said.len()] },
        Pass::Renamed(own) => Waiting::Frame { bytes: frame.bytes.to_vec(), model: Some(own), pieces },
        Pass::AsItIs => Waiting::Frame { bytes: frame.bytes.to_vec(), model: None, pieces },
    }
}

/// The frame with its masks and the caller's name of the model; nothing where a mask has no place in it.
fn spliced(
    bytes: &[u8],
    model: Option<Range<usize>>,
    name: &str,
    pieces: &[Option<Range<usize>>],
    released: &Released<Waiting>,
) -> Option<Vec<u8>> {
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    changes.extend(model.map(|own| (own, name.to_owned())));
    for (place, range) in pieces.iter().enumerate() {
        if !released.masks.iter().any(|mask| mask.piece == place) {
            continue;
        }
        let range = range.clone()?;
        let escaped = std::str::from_utf8(bytes.get(range.clone())?).ok()?;
        let masked = released.masked(place, &Text::from_escaped(escaped).decode());
        changes.push((range, Text::plain(&masked).escaped().to_owned()));
    }
    changes.sort_by_key(|(range, _)| range.start);
    let mut text = Vec::with_capacity(bytes.len() + 32);
    let mut copied = 0;
    for (range, with) in changes {
        text.extend_from_slice(bytes.get(copied..range.start)?);
        text.extend_from_slice(with.as_bytes());
        copied = range.end;
    }
    text.extend_from_slice(bytes.get(copied..)?);
    Some(text)
}

/// Which text an event goes on with, and by what.
fn key_of<'a>(event: &'a Event<'_>) -> Option<(SlotKey, Cow<'a, str>)> {
    let (answer, words, text) = match event {
        Event::Text { answer, text } => (*answer, Words::Text, text),
        Event::Thought { answer, text } => (*answer, Words::Thought, text),
        Event::Refusal { answer, text } => (*answer, Words::Refusal, text),
        Event::ToolCall { answer, call, name, .. } => (*answer, Words::Name(*call), name),
        Event::Arguments { answer, call, fragment } => (*answer, Words::Arguments(*call), fragment),
        Event::Citation { answer, citation } => {
            let parts = [&citation.title, &citation.quote, &citation.url].into_iter().flatten();
            let words = parts.map(Text::decode).collect::<Vec<_>>().join("\n");
            return Some((SlotKey { answer: *answer, words: Words::Aside }, words.into()));
        }
        _ => return None,
    };
    Some((SlotKey { answer, words }, text.decode()))
}

/// The event with other words.
fn with_words<'a>(event: &'a Event<'static>, plain: &'a str) -> Event<'a> {
    let text = Text::plain(plain);
    match event {
        Event::Text { answer, .. } => Event::Text { answer: *answer, text },
        Event::Thought { answer, .. } => Event::Thought { answer: *answer, text },
        Event::Refusal { answer, .. } => Event::Refusal { answer: *answer, text },
        Event::ToolCall { answer, call, id, .. } => {
            Event::ToolCall { answer: *answer, call: *call, id: id.borrow(), name: text }
        }
        Event::Arguments { answer, call, .. } => {
            Event::Arguments { answer: *answer, call: *call, fragment: text }
        }
        // Nothing else has words.
        other => other.clone(),
    }
}

fn close_audit(exchange: &mut Exchange) {
    if let Some(guard) = &mut exchange.guard {
        guard.audit.apply(&guard.chain, Hook::Output);
        guard.audit.close(Hook::Output);
    }
}

/// The question to a judge elsewhere, as a future that outlives the look at the exchange.
fn ask(exchange: &Exchange, member: Arc<Guardrail>, texts: Vec<String>) -> Asking {
    let (worker, snapshot) = (exchange.worker.clone(), exchange.snapshot.clone());
    let request_id = exchange.request_id.clone();
    let body = screen::question(exchange, &member, Hook::Output, &texts);
    Box::pin(async move { screen::put(&worker, &snapshot, &request_id, &member, body, texts.len()).await })
}
