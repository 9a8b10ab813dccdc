//! A bounded queue of lines to a thread that writes them: whoever sends never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Between two tries to put a wish to flush into a full queue.
const POLL: Duration = Duration::from_millis(5);

/// Why lines were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no room.
    Full,
    /// Nobody reads any more.
    Closed,
}

/// What comes out of the queue.
pub enum Entry {
    /// Whole lines.
    Lines(Lines),
    /// Everything before this is to be written before this is answered.
    Flush(SyncSender<()>),
}

/// Whole lines; they make room when they are dropped.
pub struct Lines {
    /// The text.
    pub bytes: Vec<u8>,
    /// How many lines it is.
    pub count: u32,
    /// The place in the journal of budgets that has to be kept first; 0 for none.
    pub after: u64,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes.len(), Relaxed);
    }
}

/// The end that lines are put into.
#[derive(Clone)]
pub struct Queue {
    sender: SyncSender<Entry>,
    waiting: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// A queue for so many entries and so many bytes.
#[must_use]
pub fn bounded(max_entries: usize, max_bytes: usize) -> (Queue, Receiver<Entry>) {
    let (sender, receiver) = sync_channel(max_entries);
    (Queue { sender, waiting: Arc::default(), max_bytes }, receiver)
}

impl Queue {
    /// Puts lines into the queue, without waiting.
    ///
    /// # Errors
    /// There is no room, or nobody reads any more; the lines are gone.
    pub fn send(&self, bytes: Vec<u8>, count: u32) -> Result<(), Refused> {
        self.send_after(0, bytes, count)
    }

    /// The same, for lines that are to be written once the journal of budgets is at a place.
    ///
    /// # Errors
    /// There is no room, or nobody reads any more; the lines are gone.
    pub fn send_after(&self, after: u64, bytes: Vec<u8>, count: u32) -> Result<(), Refused> {
        let length = bytes.len();
        let lines = Lines { bytes, count, after, waiting: Arc::clone(&self.waiting) };
        // What does not fit is dropped, and gives its bytes back again.
        if self.waiting.fetch_add(length, Relaxed) + length > self.max_bytes {
            return Err(Refused::Full);
        }
        self.sender.try_send(Entry::Lines(lines)).map_err(|refused| match refused {
            TrySendError::Full(_) => Refused::Full,
            TrySendError::Disconnected(_) => Refused::Closed,
        })
    }

    /// Blocks until everything so far is written, or for so long; tells whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (done, is_done) = sync_channel(1);
        let mut entry = Entry::Flush(done);
        loop {
            match self.sender.try_send(entry) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if Instant::now() < deadline => entry = back,
                Err(_) => return false,
            }
            std::thread::sleep(POLL);
        }
        is_done.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_no_trace() {
        let (queue, receiver) = bounded(8, 10);
        assert_eq!(queue.send(vec![b'x'; 8], 1), Ok(()));
        assert_eq!(queue.send(vec![b'x'; 3], 1), Err(Refused::Full));
        assert_eq!(queue.send(vec![b'x'; 2], 1), Ok(()));
        drop(receiver.recv());
        assert_eq!(queue.send(vec![b'x'; 8], 1), Ok(()));
    }

    #[test]
    fn a_queue_nobody_reads_is_closed_and_flushes_nothing() {
        let (queue, receiver) = bounded(1, 10);
        assert_eq!(queue.send(vec![b'x'], 1), Ok(()));
        assert!(!queue.flush(Duration::from_millis(20)), "nobody answers");
        drop(receiver);
        assert_eq!(queue.send(vec![b'x'], 1), Err(Refused::Closed));
        assert!(!queue.flush(Duration::from_secs(9)), "nobody will answer");
    }
}
