//! The meters of one worker: rows found by borrowed labels, and counted under without a lock or an allocation.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::record::{Record, Remaining};
use super::registry::{Registry, Room};
use super::series::{Labels, Row, Words};

/// The edges of the histograms, in microseconds.
#[derive(Debug, Clone, Default)]
pub struct Edges {
    /// Of the time to the end of an exchange.
    pub e2e: Vec<u64>,
    /// Of the time to the first event of a stream.
    pub ttft: Vec<u64>,
}

/// A row of this worker, with what is the same in every line about it.
pub struct OwnRow {
    /// The counters.
    pub row: Arc<Row>,
    /// The labels of an access line; empty where the row stands for many.
    pub access: Box<[u8]>,
    /// The labels of a usage record; empty where the row stands for many.
    pub usage: Box<[u8]>,
}

/// See the module.
pub struct Meters {
    registry: Arc<Registry>,
    edges: Arc<Edges>,
    state: RandomState,
    places: HashTable<u32>,
    rows: Vec<OwnRow>,
}

impl Meters {
    /// Meters that have counted nothing.
    #[must_use]
    pub fn new(registry: Arc<Registry>, edges: Arc<Edges>) -> Self {
        Self { registry, edges, state: RandomState::default(), places: HashTable::new(), rows: Vec::new() }
    }

    /// A row by its place.
    #[must_use]
    pub fn row(&self, place: u32) -> Option<&OwnRow> {
        self.rows.get(place as usize)
    }

    /// The place of the row with these labels, or of the one that stands for it.
    ///
    /// `write` is asked for the texts of a new row.
    pub fn place(
        &mut self,
        words: &Words,
        labels: &Labels<'_>,
        write: impl FnOnce() -> (Box<[u8]>, Box<[u8]>),
    ) -> u32 {
        if let Some(place) = self.find(labels) {
            return place;
        }
        let room = self.registry.room();
        if room == Room::Full {
            let (access, usage) = write();
            return self.add(labels, access, usage);
        }
        self.registry.note_collapse();
        let collapsed = match room {
            Room::Full | Room::WithoutCaller => labels.without_caller(words),
            Room::WithoutModel => {
                let named = labels.without_caller(words);
                if let Some(place) = self.find(&named) {
                    return place;
                }
                labels.without_model(words)
            }
        };
        self.find(&collapsed).unwrap_or_else(|| self.add(&collapsed, Box::default(), Box::default()))
    }

    fn find(&self, labels: &Labels<'_>) -> Option<u32> {
        let rows = &self.rows;
        let is_it = |place: &u32| rows.get(*place as usize).is_some_and(|own| own.row.has(labels));
        self.places.find(labels.hash(&self.state), is_it).copied()
    }

    fn add(&mut self, labels: &Labels<'_>, access: Box<[u8]>, usage: Box<[u8]>) -> u32 {
        let row = Arc::new(Row::new(labels, (self.edges.e2e.len(), self.edges.ttft.len())));
        self.registry.add(Arc::clone(&row));
        let place = self.rows.len() as u32;
        self.rows.push(OwnRow { row, access, usage });
        let (rows, state) = (&self.rows, &self.state);
        let hash_of = |place: &u32| {
            rows.get(*place as usize)
                .map_or(0, |own| Labels { marks: own.row.marks, texts: own.row.texts.each_ref() }.hash(state))
        };
        self.places.insert_unique(labels.hash(state), place, hash_of);
        place
    }

    /// Counts an exchange under its row.
    pub fn count(&self, place: u32, record: &Record<'_>, now: Duration) {
        let Some(OwnRow { row, .. }) = self.row(place) else { return };
        row.count.add(1);
        if record.attempts.last().is_some_and(|attempt| attempt.is_sent) {
            row.sent.add(1);
        }
        if record.has_left() && record.times.responded.is_none() {
            row.cancelled.add(1);
        }
        if let Some(usage) = record.usage {
            row.input.add(usage.prompt);
            row.output.add(usage.completion);
            row.total.add(usage.total);
            row.spend.add(record.cost.0);
        }
        if record.remaining != Remaining::default() {
            row.standing.minute.set(now.as_secs() / 60);
            row.standing.requests.set(record.remaining.requests.map_or(0, |left| left.saturating_add(1)));
            row.standing.tokens.set(record.remaining.tokens.map_or(0, |left| left.saturating_add(1)));
        }
        if let Some(times) = &row.times {
            times.duration.note(record.handed_over());
            times.e2e.note(record.times.took, &self.edges.e2e);
            if let (Some(first), Some(event)) = (&times.first, record.first_event()) {
                first.upstream.note(event.upstream);
                first.downstream.note(event.downstream, &self.edges.ttft);
            }
        }
    }
}
