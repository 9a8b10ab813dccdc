//! The meters of one worker: rows found by borrowed labels, and counted under without a lock or an allocation.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::record::{Record, Remaining};
use super::refusals::Refusals;
use super::registry::{Registry, Room};
use super::series::{Fate, Labels, Row, Words};

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
    refusals: Refusals,
    /// What the registry had to tell when rows were last looked through.
    changes: u64,
}

impl Meters {
    /// Meters that have counted nothing.
    #[must_use]
    pub fn new(registry: Arc<Registry>, edges: Arc<Edges>) -> Self {
        Self {
            registry,
            edges,
            state: RandomState::default(),
            places: HashTable::new(),
            rows: Vec::new(),
            refusals: Refusals::default(),
            changes: 0,
        }
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
        if let Some(place) = self.add(labels, Room::Full, write) {
            return place;
        }
        self.registry.note_collapse();
        self.place_among_many(words, labels, Room::WithoutCaller)
    }

    /// The place of the row that stands for these labels and others; with neither caller nor model where it must be.
    fn place_among_many(&mut self, words: &Words, labels: &Labels<'_>, room: Room) -> u32 {
        if room == Room::WithoutCaller {
            let named = labels.without_caller(words);
            let place = self.find(&named).or_else(|| self.add(&named, room, Default::default));
            if let Some(place) = place {
                return place;
            }
        }
        let all = labels.without_model(words);
        let place = self.find(&all).or_else(|| self.add(&all, Room::WithoutModel, Default::default));
        // There is always room for that one, and a place that nothing is at does no harm.
        place.unwrap_or(u32::MAX)
    }

    fn find(&self, labels: &Labels<'_>) -> Option<u32> {
        let rows = &self.rows;
        let is_it = |place: &u32| rows.get(*place as usize).is_some_and(|own| own.row.has(labels));
        self.places.find(labels.hash(&self.state), is_it).copied()
    }

    /// A new row, where there is room; `write` is asked for its texts.
    fn add(
        &mut self,
        labels: &Labels<'_>,
        room: Room,
        write: impl FnOnce() -> (Box<[u8]>, Box<[u8]>),
    ) -> Option<u32> {
        let hash = labels.hash(&self.state);
        if self.refusals.has(hash) {
            return None;
        }
        let Some(row) = self.registry.add(labels, room, (self.edges.e2e.len(), self.edges.ttft.len())) else {
            self.refusals.add(hash);
            return None;
        };
        let (access, usage) = write();
        Some(self.keep(OwnRow { row, access, usage }))
    }

    fn keep(&mut self, own: OwnRow) -> u32 {
        let hash = own.row.labels().hash(&self.state);
        let place = self.rows.len() as u32;
        self.rows.push(own);
        let (rows, state) = (&self.rows, &self.state);
        let hash_of = |place: &u32| rows.get(*place as usize).map_or(0, |own| own.row.labels().hash(state));
        self.places.insert_unique(hash, place, hash_of);
        place
    }

    /// Moves the counts of rows that are to go to those that stand for many, which changes places. Not while somebody
    /// adds rows up: then the next time.
    pub fn tidy(&mut self, words: &Words) {
        let registry = Arc::clone(&self.registry);
        let changes = registry.changes();
        if changes == self.changes {
            return;
        }
        let Some(_moving) = registry.try_move() else { return };
        self.changes = changes;
        self.refusals.clear();
        let stays = |own: &OwnRow| own.row.fate() == Fate::Stays;
        if self.rows.iter().all(stays) {
            return;
        }
        let (kept, gone): (Vec<_>, Vec<_>) = mem::take(&mut self.rows).into_iter().partition(stays);
        self.places.clear();
        for own in kept {
            self.keep(own);
        }
        let gone: Vec<_> = gone.into_iter().map(|own| own.row).collect();
        registry.remove(&gone);
        for row in gone {
            let room = match row.fate() {
                Fate::Stays | Fate::LosesCaller => Room::WithoutCaller,
                Fate::LosesModel => Room::WithoutModel,
            };
            let place = self.place_among_many(words, &row.labels(), room);
            if let Some(heir) = self.row(place) {
                heir.row.absorb(&row);
            }
        }
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
            row.add_tokens(usage, record.cost);
        }
        // Another target was to take its answer up, and none could.
        if let Some((usage, cost)) = record.attempts.last().and_then(|attempt| attempt.delivered.as_ref()) {
            row.add_tokens(usage, *cost);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::series::{Marks, Part, TEXTS, Text};
    use crate::telemetry::spread::SpreadSum;

    const MARKS: Marks = Marks {
        part: Part::Exchange,
        place: 0,
        is_asked: true,
        is_stream: true,
        is_fallback: false,
        status: 200,
    };

    struct Process {
        registry: Arc<Registry>,
        words: Words,
        workers: Vec<Meters>,
    }

    impl Process {
        fn new(max_series: usize, workers: usize) -> Self {
            let registry = Arc::new(Registry::new(max_series));
            let meters = |_| Meters::new(Arc::clone(&registry), Arc::default());
            Self { workers: (0..workers).map(meters).collect(), words: Words::default(), registry }
        }

        fn count(&mut self, worker: usize, key: &str) {
            let (model, key): (Arc<str>, Arc<str>) = ("m".into(), key.into());
            let mut texts = [&model; TEXTS];
            texts[Text::ApiKeyId as usize..].fill(&key);
            let labels = Labels { marks: MARKS, texts };
            let meters = &mut self.workers[worker];
            let place = meters.place(&self.words, &labels, Default::default);
            let row = &meters.row(place).expect("a row").row;
            row.count.add(1);
            row.times.as_ref().expect("times").duration.note(Duration::from_millis(1));
        }

        fn tidy(&mut self) {
            self.workers.iter_mut().for_each(|meters| meters.tidy(&self.words));
        }

        fn counted(&self, key: &str) -> u64 {
            let rows = self.registry.rows();
            rows.iter().filter(|row| row.text(Text::ApiKeyId) == key).map(|row| row.count.read()).sum()
        }

        fn forget(&self, is_gone: impl Fn(&str) -> bool) {
            let fate = |row: &Row| match row.text(Text::ApiKeyId) {
                "other" => Fate::Stays,
                key if is_gone(key) => Fate::LosesCaller,
                _ => Fate::Stays,
            };
            self.registry.sweep(fate);
        }
    }

    #[test]
    fn a_set_of_labels_counts_once_however_many_workers_have_it() {
        let mut process = Process::new(4, 16);
        for worker in 0..16 {
            ["a", "b", "c", "d"].iter().for_each(|key| process.count(worker, key));
        }
        assert_eq!(["a", "b", "c", "d"].map(|key| process.counted(key)), [16; 4]);
        assert_eq!(process.registry.collapsed(), 0);
        process.count(0, "e");
        process.count(0, "e");
        process.count(9, "a");
        assert_eq!(["a", "e", "other"].map(|key| process.counted(key)), [17, 0, 2]);
    }

    #[test]
    fn rows_that_go_make_room_and_their_counts_stay() {
        let mut process = Process::new(2, 2);
        for round in 0u64..100 {
            let key = format!("key-{round}");
            process.count(0, &key);
            process.count(1, &key);
            assert_eq!(process.counted(&key), 2, "{key} has a series of its own");
            process.forget(|gone| gone == key);
            process.tidy();
            process.tidy();
            assert_eq!((process.counted(&key), process.counted("other")), (0, 2 * round + 2));
        }
        assert_eq!(process.registry.rows().len(), 2, "each worker has one for all of them");
        let mut sum = SpreadSum::default();
        for row in process.registry.rows().iter() {
            sum.add(&row.times.as_ref().expect("times").duration);
        }
        assert_eq!(sum.count(), 200);
    }

    #[test]
    fn what_was_refused_gets_its_row_when_there_is_room() {
        let mut process = Process::new(1, 2);
        process.count(0, "old");
        process.count(1, "new");
        assert_eq!((process.counted("new"), process.counted("other")), (0, 1));
        process.forget(|key| key == "old");
        process.count(1, "old");
        assert_eq!(process.counted("old"), 1, "what is to go gets no further row");
        process.tidy();
        assert_eq!((process.counted("old"), process.counted("other")), (0, 3));
    }

    #[test]
    fn counts_do_not_move_while_somebody_adds_them_up() {
        let mut process = Process::new(1, 1);
        process.count(0, "old");
        process.forget(|_| true);
        let registry = Arc::clone(&process.registry);
        let rows = registry.rows();
        process.tidy();
        assert_eq!(registry.rows().len(), 1);
        assert_eq!(rows[0].count.read(), 1);
        drop(rows);
        process.tidy();
        assert_eq!((process.counted("old"), process.counted("other")), (0, 1));
    }
}
