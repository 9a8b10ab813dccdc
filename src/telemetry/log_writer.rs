//! The log: `env_logger`'s lines and the access log, written to stderr by a thread of its own.
//!
//! A worker that writes to a pipe nobody reads would stop serving. So lines go through a bounded queue; what does not
//! fit is dropped and counted, and the count is written when there is room again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use env_logger::{Env, Target, WriteStyle};

use super::queue::{Entry, Queue, bounded};

/// Entries in the queue: about two seconds of a busy gateway that logs line by line.
const QUEUE_ENTRIES: usize = 16 << 10;
/// Bytes in the queue: some two hundred thousand lines of the access log in the worst case would be too many.
const QUEUE_BYTES: usize = 16 << 20;
/// Longest wait at the end of the process for a stderr that nobody reads.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Access to the log, beside the macros of `log`.
#[derive(Clone)]
pub struct Log {
    queue: Queue,
    dropped: Arc<Dropped>,
}

#[derive(Default)]
struct Dropped {
    total: AtomicU64,
    /// Those that the log has not told of yet.
    untold: AtomicU64,
}

impl Log {
    /// Blocks until every line so far is written; used at the end of the process.
    pub fn wait(&self) {
        self.queue.flush(FLUSH_TIME);
    }

    /// Writes whole lines as they are, without waiting.
    pub fn write_lines(&self, bytes: Vec<u8>, count: u32) {
        if self.queue.send(bytes, count).is_err() {
            self.dropped.total.fetch_add(u64::from(count), Relaxed);
            self.dropped.untold.fetch_add(u64::from(count), Relaxed);
        }
    }

    /// Lines that found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.total.load(Relaxed)
    }
}

/// What libraries have to say below this is not an operator's concern.
const QUIET: &str = "actix_server=warn,actix_http=warn,rustls=warn";

/// Starts the log at `level` unless `RUST_LOG` says otherwise.
///
/// # Errors
/// The thread cannot be started, or a log is already running.
pub fn start(level: &str) -> io::Result<Log> {
    let (queue, entries) = bounded(QUEUE_ENTRIES, QUEUE_BYTES);
    let log = Log { queue, dropped: Arc::default() };
    let dropped = log.dropped.clone();
    std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&entries, &dropped))?;
    let style =
        if io::IsTerminal::is_terminal(&io::stderr()) { WriteStyle::Always } else { WriteStyle::Never };
    let started = env_logger::Builder::from_env(Env::default().default_filter_or(format!("{level},{QUIET}")))
        .write_style(style)
        .format_timestamp_millis()
        .target(Target::Pipe(Box::new(log.clone())))
        .try_init();
    started.map_err(io::Error::other)?;
    Ok(log)
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_lines(line.to_vec(), 1);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(entries: &Receiver<Entry>, dropped: &Dropped) {
    let mut out = io::BufWriter::with_capacity(32 << 10, io::stderr());
    while let Ok(entry) = entries.recv() {
        let mut entry = Some(entry);
        // Everything that is already there goes out in one write. A closed stderr is not worth a crash.
        while let Some(next) = entry {
            match next {
                Entry::Lines(lines) => drop(out.write_all(&lines.bytes)),
                Entry::Flush(done) => {
                    let _ = out.flush();
                    let _ = done.send(());
                }
            }
            entry = entries.try_recv().ok();
        }
        let lost = dropped.untold.swap(0, Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{lost} log lines were dropped because the log is read too slowly");
        }
        let _ = out.flush();
    }
}
