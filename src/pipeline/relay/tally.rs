//! Tally: what is known of a stream so far, and the exchange that it belongs to.

use std::sync::Arc;
use std::time::Instant;

use aisix_actors::candidate_router::AttemptOutcome;
use bytes::BytesMut;

use crate::dialect::Usage;
use crate::dialect::sse::Frame;
use crate::dialect::stream::{Chunk, Decoded, Pass};
use crate::error::{GatewayError, UpstreamError};
use crate::pipeline::estimate::{Delivered, Prompt, filled};
use crate::pipeline::events::Events;
use crate::pipeline::exchange::{Exchange, Outcome};

/// See the module.
pub struct Tally {
    /// The model that the caller named, as raw JSON.
    pub(super) model: Arc<str>,
    /// The caller did not ask for the usage chunk that the gateway asked for.
    pub(super) hides_usage: bool,
    pub(super) prompt: Prompt,
    pub(super) delivered: Delivered,
    /// A choice has ended: the stream may close without `[DONE]`.
    pub(super) has_finished: bool,
    pub(super) is_over: bool,
    /// It is over because the provider had said all.
    pub(super) is_complete: bool,
    /// Whether a stream that is a JSON array has begun; `None` for events.
    pub(super) array: Option<bool>,
    /// The provider has said its last word.
    pub(super) has_last_word: bool,
    /// The number of the caller's next event, in dialects that count them.
    pub(super) sequence: u64,
    /// The first chunk has told what the provider calls the model.
    pub(super) knows_model: bool,
    /// Whether the head has come from the target in use, and nothing after it.
    pub(super) is_unproven: bool,
    /// Whether a target's stream is under way, of which nobody has taken leave.
    pub(super) is_open: bool,
    pub(super) exchange: Exchange,
}

/// What a target leaves behind whose stream broke off.
pub(super) struct Parted {
    /// Why, as the caller may read it.
    pub(super) error: UpstreamError,
    /// What it delivered.
    pub(super) usage: Usage,
}

impl Tally {
    /// Takes note of one chunk and writes what the caller gets of it.
    pub(super) fn pass(&mut self, chunk: Chunk, frame: Frame<'_>, out: &mut BytesMut) {
        match chunk {
            Chunk::Content { pass, usage, finish, text_bytes } => {
                self.has_finished |= finish.is_some();
                self.note(&pass, frame, finish);
                self.count(usage, frame, text_bytes);
                self.write(&pass, frame, out);
            }
            Chunk::Usage { pass, usage } => {
                self.count(Some(usage), frame, 0);
                if !self.hides_usage {
                    self.write(&pass, frame, out);
                }
            }
            Chunk::Comment if self.array.is_none() => self.write(&Pass::AsItIs, frame, out),
            Chunk::Last { pass, usage, finish, text_bytes } => {
                self.note(&pass, frame, finish);
                self.count(usage, frame, text_bytes);
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

    /// Takes note of what a frame delivers, and of what the provider has counted up to its end.
    fn count(&mut self, usage: Option<Usage>, frame: Frame<'_>, text_bytes: u64) {
        self.delivered.add(frame.bytes, text_bytes);
        if usage.is_some() {
            self.exchange.usage = usage;
            self.delivered.note_count();
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
    pub(super) fn hear(&mut self, decoded: &Decoded, frame: Frame<'_>) {
        self.has_finished |= decoded.finish.is_some();
        self.has_last_word |= decoded.is_last;
        self.count(decoded.usage, frame, decoded.text_bytes);
        self.note(decoded.pass.as_ref().unwrap_or(&Pass::AsItIs), frame, decoded.finish);
    }

    /// Ends the stream with an error of the gateway's own.
    pub(super) fn refuse(&mut self, error: &GatewayError, out: &mut BytesMut) {
        self.is_over = true;
        self.exchange.fail(error);
        self.write_failure(error, out);
    }

    pub(super) fn complete(&mut self) {
        self.is_over = true;
        self.is_complete = true;
        self.exchange.conclude(Outcome::Answered(200));
    }

    /// An unfinished answer is never presented as finished: an error frame ends it.
    pub(super) fn break_off(&mut self, error: UpstreamError, out: &mut BytesMut) {
        self.is_over = true;
        let error = self.exchange.broke_off(error);
        self.refuse(&GatewayError::from(error), out);
    }

    /// The target has answered: a head alone was none.
    pub(super) fn prove(&mut self) {
        self.is_unproven = false;
        let Some(engaged) = &self.exchange.engaged else { return };
        let Some(attempt) = self.exchange.attempts.last() else { return };
        let outcome = AttemptOutcome::Succeeded { latency: attempt.started.elapsed() };
        self.exchange.worker.actors.router.report(&engaged.candidate, outcome, None);
    }

    /// Takes leave of a target whose stream broke off: what it delivered is paid for, and another one may go on.
    pub(super) fn part(&mut self, error: UpstreamError, first_event: Option<Instant>) -> Parted {
        let error = self.exchange.broke_off(error);
        let failure = GatewayError::from(error.clone());
        self.exchange.last_attempt(|attempt| {
            attempt.first_event = first_event;
            attempt.fail(&failure);
        });
        let usage = self.usage();
        self.exchange.part(usage);
        self.is_open = false;
        Parted { error, usage }
    }

    /// Another target goes on.
    pub(super) fn resume(&mut self, prompt: Prompt, events: &Events) {
        self.prompt = prompt;
        self.delivered = Delivered::new(events.dialect());
        self.is_unproven = events.first_event().is_none();
        self.has_last_word = false;
        self.knows_model = false;
        self.is_open = true;
    }

    /// What the target in use has delivered, counted where it did not.
    pub(super) fn usage(&self) -> Usage {
        let counted = self.exchange.usage.unwrap_or_default();
        let counted = if self.has_finished { counted } else { self.delivered.completed(counted) };
        filled(counted, &self.prompt, || self.delivered.tokens())
    }

    /// The end of a stream under way, however it came: what was delivered is what is paid for.
    pub(super) fn end(&mut self, first_event: Option<Instant>) {
        if self.is_open {
            self.exchange.last_attempt(|attempt| attempt.first_event = first_event);
            self.exchange.usage = Some(self.usage());
        }
    }

    /// Takes note that something was written, other than by this.
    pub(super) fn note_written(&mut self) {
        self.array = self.array.map(|_| true);
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
