//! The thread that writes usage records, so that a slow disk delays neither a request nor the log.
//!
//! A record says that its request is settled, so it is written once the journal of budgets has kept what was charged.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::queue::{Entry, Queue, Refused, bounded};
use super::rotating_file::RotatingFile;
use crate::config::settings::{UsageRecords, UsageTarget};
use crate::journal::{Health, JournalHandle};

/// Bytes in the queue: some seconds of a busy gateway.
const QUEUE_BYTES: usize = 16 << 20;
/// Buffers in the queue; each worker sends some ten a second, or when one is full.
const QUEUE_ENTRIES: usize = 4 << 10;
/// Longest wait at the end of the process for a disk that does not answer.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Longest wait for the journal: it is longer at a commit only when its disk hangs, and says so itself.
const JOURNAL_TIME: Duration = Duration::from_secs(6);

/// Where usage records are put.
#[derive(Clone)]
pub struct UsageWriter {
    queue: Queue,
    journal: JournalHandle,
    failed: Arc<AtomicU64>,
}

enum Sink {
    Stdout,
    File(RotatingFile),
}

impl UsageWriter {
    /// Starts the thread; `None` where records go nowhere.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(settings: &UsageRecords, journal: &JournalHandle) -> io::Result<Option<Self>> {
        let UsageRecords { path, max_bytes, keep_files, .. } = settings;
        let sink = match settings.target {
            UsageTarget::Off => return Ok(None),
            UsageTarget::Stdout => Sink::Stdout,
            UsageTarget::File => Sink::File(RotatingFile::new(path.clone(), *max_bytes, *keep_files)),
        };
        let (queue, entries) = bounded(QUEUE_ENTRIES, QUEUE_BYTES);
        let failed = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&failed);
        let gate = Gate { journal: journal.clone(), stalled_at: None };
        std::thread::Builder::new()
            .name("usage".to_owned())
            .spawn(move || write_all(sink, gate, &entries, &counter))?;
        Ok(Some(Self { queue, journal: journal.clone(), failed }))
    }

    /// Hands over whole records of exchanges that are charged, without waiting.
    ///
    /// # Errors
    /// There is no room, or the thread is gone; the records are lost.
    pub fn send(&self, bytes: Vec<u8>, count: u32) -> Result<(), Refused> {
        self.queue.send_after(self.journal.position(), bytes, count)
    }

    /// Records that could not be written.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Blocks until every record so far is written; used at the end of the process.
    pub fn wait(&self) {
        if !self.queue.flush(FLUSH_TIME) {
            log::warn!("usage records are left unwritten: their target does not take them");
        }
    }
}

/// Holds records back until their charges are kept.
struct Gate {
    journal: JournalHandle,
    /// Where the journal stood when it was waited for in vain.
    stalled_at: Option<u64>,
}

impl Gate {
    /// Waits, but not for a journal that cannot be written, nor again for one that does not move.
    fn pass(&mut self, after: u64) {
        let is_stalled = self.stalled_at == Some(self.journal.committed());
        let patience = if is_stalled { Duration::ZERO } else { JOURNAL_TIME };
        let is_kept = self.journal.wait(after, patience);
        let hangs = !is_kept && self.journal.health() == Health::Well;
        self.stalled_at = hangs.then(|| self.journal.committed());
    }
}

fn write_all(mut sink: Sink, mut gate: Gate, entries: &Receiver<Entry>, failed: &AtomicU64) {
    let mut is_out = false;
    while let Ok(entry) = entries.recv() {
        match entry {
            Entry::Flush(done) => {
                let _ = done.send(());
            }
            Entry::Lines(lines) => {
                gate.pass(lines.after);
                let written = match &mut sink {
                    Sink::Stdout => write_to_stdout(&lines.bytes).map_err(Some),
                    Sink::File(file) => file.write(&lines.bytes, Instant::now()),
                };
                is_out = match written {
                    Ok(()) => false,
                    Err(error) => {
                        failed.fetch_add(u64::from(lines.count), Relaxed);
                        if let Some(error) = error.filter(|_| !is_out) {
                            log::warn!("usage records cannot be written and are dropped for now: {error}");
                        }
                        true
                    }
                };
            }
        }
    }
}

fn write_to_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
