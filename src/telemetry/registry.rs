//! What the whole process counts: the rows of all workers, kept for whoever scrapes.
//!
//! The lock is taken when a row is born and when somebody scrapes, never on the way of a request. Each worker has a row
//! of its own for a set of labels; the bound is on the sets.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::series::{Fate, Labels, Row};
use super::tallies::{Tally, What};

/// See the module.
#[derive(Debug, Default)]
pub struct Registry {
    book: Mutex<Book>,
    state: RandomState,
    /// Grows when rows are to go and when sets are gone: what a worker has been refused, it may ask for again.
    changes: AtomicU64,
    /// Read while rows are added up, written while counts move from one row to another: neither twice nor not at all.
    moves: RwLock<()>,
    tallies: Mutex<TallyBook>,
    max_series: usize,
    set_count: AtomicUsize,
    collapsed: AtomicU64,
}

#[derive(Debug, Default)]
struct Book {
    rows: Vec<Arc<Row>>,
    sets: HashTable<Set>,
}

/// A set of labels.
#[derive(Debug)]
struct Set {
    /// One of its rows.
    row: Arc<Row>,
    /// How many workers have a row.
    rows: usize,
}

#[derive(Debug, Default)]
struct TallyBook {
    all: Vec<Arc<Tally>>,
    sets: HashSet<(What, [Arc<str>; 2])>,
}

/// How much of a row's labels are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// All of them.
    Full,
    /// All but the caller.
    WithoutCaller,
    /// Neither caller nor model.
    WithoutModel,
}

/// All rows; while it lives, no counts move between them.
pub struct Rows<'a> {
    rows: Vec<Arc<Row>>,
    _still: RwLockReadGuard<'a, ()>,
}

impl Deref for Rows<'_> {
    type Target = [Arc<Row>];

    fn deref(&self) -> &[Arc<Row>] {
        &self.rows
    }
}

impl Registry {
    /// An empty registry for so many sets of labels.
    #[must_use]
    pub fn new(max_series: usize) -> Self {
        Self { max_series, ..Self::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new row for a worker; `None` where there are too many sets, or this one is to go.
    ///
    /// Sets without a caller are as many as there are models, so they have as much room again.
    #[must_use]
    pub fn add(&self, labels: &Labels<'_>, room: Room, edges: (usize, usize)) -> Option<Arc<Row>> {
        let hash = labels.hash(&self.state);
        let max = match room {
            Room::Full => self.max_series,
            Room::WithoutCaller => self.max_series.saturating_mul(2),
            Room::WithoutModel => usize::MAX,
        };
        let mut book = self.book();
        let Book { rows, sets } = &mut *book;
        let is_full = sets.len() >= max;
        let row = match sets.find_mut(hash, |set| set.row.has(labels)) {
            Some(set) if set.row.fate() == Fate::Stays => {
                set.rows += 1;
                Arc::new(Row { fate: Arc::clone(&set.row.fate), ..Row::new(labels, edges) })
            }
            Some(_) => return None,
            None if is_full => return None,
            None => {
                let row = Arc::new(Row::new(labels, edges));
                let set = Set { row: Arc::clone(&row), rows: 1 };
                sets.insert_unique(hash, set, |set| set.row.labels().hash(&self.state));
                self.set_count.store(sets.len(), Ordering::Relaxed);
                row
            }
        };
        rows.push(Arc::clone(&row));
        Some(row)
    }

    /// Forgets rows whose counts move to others, and the sets that have no row any more.
    pub fn remove(&self, gone: &[Arc<Row>]) {
        let mut book = self.book();
        let addresses: HashSet<*const Row> = gone.iter().map(Arc::as_ptr).collect();
        book.rows.retain(|row| !addresses.contains(&Arc::as_ptr(row)));
        for row in gone {
            let labels = row.labels();
            let found = book.sets.find_entry(labels.hash(&self.state), |set| set.row.has(&labels));
            if let Ok(mut set) = found {
                set.get_mut().rows -= 1;
                if set.get().rows == 0 {
                    set.remove();
                }
            }
        }
        self.set_count.store(book.sets.len(), Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Whether the next set of labels is refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.set_count.load(Ordering::Relaxed) >= self.max_series
    }

    /// Decides which sets are to go; the workers that own their rows move the counts.
    pub fn sweep(&self, fate: impl Fn(&Row) -> Fate) {
        let book = self.book();
        let staying = book.sets.iter().filter(|set| set.row.fate() == Fate::Stays);
        let going: Vec<_> = staying.map(|set| (set, fate(&set.row))).collect();
        let mut has_changed = false;
        for (set, fate) in going.into_iter().filter(|(_, fate)| *fate != Fate::Stays) {
            set.row.fate.store(fate as u8, Ordering::Relaxed);
            has_changed = true;
        }
        if has_changed {
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Grows when a worker has something to do about rows.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Leave to move counts between rows; `None` while somebody adds them up.
    #[must_use]
    pub fn try_move(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        self.moves.try_write().ok()
    }

    /// Counts something that gets no row of its own.
    pub fn note_collapse(&self) {
        self.collapsed.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something got no row of its own.
    #[must_use]
    pub fn collapsed(&self) -> u64 {
        self.collapsed.load(Ordering::Relaxed)
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> Rows<'_> {
        let _still = self.moves.read().unwrap_or_else(PoisonError::into_inner);
        Rows { rows: self.book().rows.clone(), _still }
    }

    /// Keeps a new tally; false where there are too many sets of labels, unless it stands for those.
    pub fn add_tally(&self, tally: &Arc<Tally>, is_last: bool) -> bool {
        let mut book = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let set = (tally.what, tally.texts.clone());
        if !is_last && book.sets.len() >= self.max_series && !book.sets.contains(&set) {
            return false;
        }
        book.sets.insert(set);
        book.all.push(Arc::clone(tally));
        true
    }

    /// All tallies.
    #[must_use]
    pub fn tallies(&self) -> Vec<Arc<Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }
}
