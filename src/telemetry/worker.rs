//! The telemetry of one worker: what it has counted, and lines that wait in buffers of their own.
//!
//! Lines are handed to the threads that write when a buffer is full and a few times a second, so a request pays for
//! formatting and for nothing else.

use std::cell::RefCell;
use std::mem;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use aisix_actors::rate_limiter::Layer;

use super::board::{Board, place_of, refusing, scope_of};
use super::client_type::Clients;
use super::clock::Clock;
use super::guards::Guards;
use super::meters::{Meters, OwnRow};
use super::queue::Refused;
use super::record::{Attempt, AttemptKind, CacheStatus, Record};
use super::series::{Labels, Marks, Part, Words};
use super::tallies::{Tallies, What};
use super::usage_record::UsageLine;
use super::{Telemetry, access_log, usage_record};

/// A buffer is handed over when it holds so many bytes: every time, a thread has to be woken.
const FLUSH_BYTES: usize = 32 << 10;
/// Room beyond that for the line that fills it.
const SPARE_BYTES: usize = 4 << 10;
/// How long a line waits at most.
const FLUSH_TIME: Duration = Duration::from_millis(100);

/// See the module.
pub struct WorkerTelemetry {
    shared: Arc<Telemetry>,
    board: Arc<Board>,
    own: RefCell<Own>,
}

struct Own {
    shared: Arc<Telemetry>,
    clock: Clock,
    words: Words,
    meters: Meters,
    tallies: Tallies,
    guards: Guards,
    clients: Clients,
    access: Buffer,
    usage: Buffer,
    /// The rows of the records in `usage`, for when they are lost.
    usage_rows: Vec<u32>,
    /// Labels of rows that stand for many.
    scratch: Vec<u8>,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    count: u32,
}

impl Buffer {
    fn take(&mut self) -> (Vec<u8>, u32) {
        let next = Vec::with_capacity(FLUSH_BYTES + SPARE_BYTES);
        (mem::replace(&mut self.bytes, next), mem::take(&mut self.count))
    }
}

impl WorkerTelemetry {
    /// Starts the telemetry of the current thread; it hands over its lines until it is dropped.
    #[must_use]
    pub fn start(shared: &Arc<Telemetry>) -> Rc<Self> {
        let registry = &shared.registry;
        let own = Own {
            shared: Arc::clone(shared),
            clock: Clock::start(),
            words: Words::default(),
            meters: Meters::new(Arc::clone(registry), Arc::clone(&shared.edges)),
            tallies: Tallies::new(Arc::clone(registry)),
            guards: Guards::new(Arc::clone(&shared.guards)),
            clients: Clients::new(Arc::clone(&shared.client_rules)),
            access: Buffer::default(),
            usage: Buffer::default(),
            usage_rows: Vec::new(),
            scratch: Vec::new(),
        };
        let this =
            Rc::new(Self { shared: Arc::clone(shared), board: shared.new_board(), own: RefCell::new(own) });
        if shared.is_on() {
            actix_rt::spawn(hand_over(Rc::downgrade(&this)));
        }
        this
    }

    /// What is open on this worker.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Takes note of an exchange that is over.
    pub fn close(&self, record: &Record<'_>) {
        if !self.shared.is_on() {
            return;
        }
        // A panic in here must not become a second one when the next exchange closes.
        let Ok(mut own) = self.own.try_borrow_mut() else { return };
        let place = place_of(record.endpoint);
        self.board.count(place, record);
        own.close(place as u8, record);
        self.board.buffered.set(own.buffered());
    }

    fn flush(&self) {
        if let Ok(mut own) = self.own.try_borrow_mut() {
            own.clock.set();
            own.flush_access();
            own.flush_usage();
            // Only now: records that wait know their rows by place.
            let Own { meters, words, .. } = &mut *own;
            meters.tidy(words);
            self.board.buffered.set(0);
        }
    }
}

impl Drop for WorkerTelemetry {
    fn drop(&mut self) {
        self.flush();
    }
}

async fn hand_over(telemetry: Weak<WorkerTelemetry>) {
    let mut interval = tokio::time::interval(FLUSH_TIME);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match telemetry.upgrade() {
            Some(telemetry) => telemetry.flush(),
            None => return,
        }
    }
}

impl Own {
    fn close(&mut self, place: u8, record: &Record<'_>) {
        let now = self.clock.move_to(record.times.closed());
        let count = record.attempts.len();
        for (index, attempt) in record.attempts.iter().take(count.saturating_sub(1)).enumerate() {
            let marks = Marks {
                part: Part::Attempt,
                place,
                is_asked: true,
                is_stream: record.is_stream,
                is_fallback: attempt.is_fallback,
                status: attempt.failure.as_ref().map_or(record.status, |failure| failure.status),
            };
            let row = self.place(record, Some(attempt), marks);
            self.count_attempt(row, attempt);
            self.write_usage(row, record, Some((index, attempt)), marks);
        }
        let last = record.attempts.last();
        let marks = Marks {
            part: Part::Exchange,
            place,
            is_asked: count > 0,
            is_stream: record.is_stream,
            is_fallback: record.is_fallback(),
            status: record.status,
        };
        let row = self.place(record, last, marks);
        self.meters.count(row, record, now);
        self.count_tallies(record);
        if let Some(audit) = record.guard {
            self.guards.count(audit);
        }
        self.write_access(row, record, marks);
        self.write_usage(row, record, last.map(|last| (count - 1, last)), marks);
    }

    fn place(&mut self, record: &Record<'_>, attempt: Option<&Attempt>, marks: Marks) -> u32 {
        let labels = Labels::of(&self.words, record, attempt, marks);
        let format = self.shared.access_format;
        let has_usage = self.shared.usage.is_some();
        self.meters.place(&self.words, &labels, || {
            let (mut access, mut usage) = (Vec::new(), Vec::new());
            if let Some(format) = format.filter(|_| marks.part == Part::Exchange) {
                access_log::write_labels(record, &labels, format, &mut access);
            }
            if has_usage {
                usage_record::write_labels(record, &labels, &mut usage);
            }
            (access.into(), usage.into())
        })
    }

    fn count_attempt(&self, row: u32, attempt: &Attempt) {
        if let Some(OwnRow { row, .. }) = self.meters.row(row) {
            row.count.add(1);
            if attempt.is_sent {
                row.sent.add(1);
            }
            if let Some((usage, cost)) = &attempt.delivered {
                row.add_tokens(usage, *cost);
            }
        }
    }

    fn count_tallies(&mut self, record: &Record<'_>) {
        for (layer, dimension) in refusing(record) {
            if let Layer::Policy(policy) = layer {
                let mut counts = [0; 3];
                counts[scope_of(*dimension)] = 1;
                self.tallies.add(What::Refusals, [&policy.id, &self.words.none], counts);
            }
        }
        let Some(named) = record.model.map(|resolved| &resolved.model) else { return };
        let delivered = record.attempts.iter().filter_map(|attempt| attempt.delivered.as_ref());
        for usage in delivered.map(|(usage, _)| usage).chain(record.usage) {
            let header = record.client.user_agent.as_ref().map_or(&b""[..], |agent| agent.as_bytes());
            let kind = self.clients.kind(header);
            let counts = [usage.prompt, usage.completion, usage.total];
            self.tallies.add(What::Tokens, [&kind.label, &named.name], counts);
        }
        if let Some(cache) = record.cache {
            let counts = match cache.status {
                CacheStatus::Hit => [1, 0, 0],
                CacheStatus::Miss => [0, 1, 0],
                CacheStatus::Bypass => [0, 0, 1],
            };
            self.tallies.add(What::Cache, [&cache.policy, &self.words.none], counts);
        }
        for attempt in record.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Fallback) {
            let has_failed =
                attempt.failure.is_some() || (record.failure.is_some() && is_last(record, attempt));
            let counts = if has_failed { [0, 1, 0] } else { [1, 0, 0] };
            self.tallies.add(What::Fallbacks, [&named.name, &attempt.target.name], counts);
        }
    }

    fn write_access(&mut self, row: u32, record: &Record<'_>, marks: Marks) {
        let Some(format) = self.shared.access_format else { return };
        if record.endpoint.answer == crate::endpoints::Answer::Probe {
            return;
        }
        let own = self.meters.row(row).map_or(&b""[..], |own| &*own.access);
        self.scratch.clear();
        if own.is_empty() {
            let labels = Labels::of(&self.words, record, record.attempts.last(), marks);
            access_log::write_labels(record, &labels, format, &mut self.scratch);
        }
        let labels = if own.is_empty() { &self.scratch } else { own };
        let line = access_log::Line { record, labels, format };
        line.write(&self.clock, &mut self.access.bytes);
        self.access.count += 1;
        if self.access.bytes.len() >= FLUSH_BYTES {
            self.flush_access();
        }
    }

    fn write_usage(
        &mut self,
        row: u32,
        record: &Record<'_>,
        attempt: Option<(usize, &Attempt)>,
        marks: Marks,
    ) {
        if !record.is_usage() {
            return;
        }
        let Some(own) = self.meters.row(row) else { return };
        own.row.events.add(1);
        if self.shared.usage.is_none() {
            return;
        }
        self.scratch.clear();
        if own.usage.is_empty() {
            let labels = Labels::of(&self.words, record, attempt.map(|(_, attempt)| attempt), marks);
            usage_record::write_labels(record, &labels, &mut self.scratch);
        }
        let labels = if own.usage.is_empty() { &self.scratch } else { &*own.usage };
        let header = record.client.user_agent.as_ref().map_or(&b""[..], |agent| agent.as_bytes());
        let user_agent = &self.clients.kind(header).json;
        let line = UsageLine { record, attempt, labels, user_agent };
        line.write(&self.clock, &mut self.usage.bytes);
        self.usage.count += 1;
        self.usage_rows.push(row);
        if self.usage.bytes.len() >= FLUSH_BYTES {
            self.flush_usage();
        }
    }

    fn buffered(&self) -> u64 {
        (self.access.bytes.len() + self.usage.bytes.len()) as u64
    }

    fn flush_access(&mut self) {
        if let Some(log) = self.shared.log.as_ref().filter(|_| !self.access.bytes.is_empty()) {
            let (bytes, count) = self.access.take();
            log.write_lines(bytes, count);
        }
    }

    fn flush_usage(&mut self) {
        let Some(usage) = self.shared.usage.as_ref().filter(|_| !self.usage.bytes.is_empty()) else { return };
        let (bytes, count) = self.usage.take();
        let refused = usage.send(bytes, count).err();
        let lost = self.usage_rows.drain(..).filter(|_| refused.is_some());
        for OwnRow { row, .. } in lost.filter_map(|row| self.meters.row(row)) {
            match refused {
                Some(Refused::Closed) => row.drops_closed.add(1),
                _ => row.drops_full.add(1),
            }
        }
    }
}

fn is_last(record: &Record<'_>, attempt: &Attempt) -> bool {
    record.attempts.last().is_some_and(|last| std::ptr::eq(last, attempt))
}
