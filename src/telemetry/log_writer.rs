//! The log: `env_logger`'s lines, written to stderr by a thread of their own.
//!
//! A worker that writes to a pipe nobody reads would stop serving. So lines go through a bounded queue; what does not
//! fit is dropped and counted, and the count is written when there is room again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use env_logger::{Env, Target, WriteStyle};

/// Lines in the queue: about two seconds of a busy gateway, a few megabytes at worst.
const QUEUE_LINES: usize = 16 << 10;

enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Waits until every line so far is written; used at the end of the process.
#[derive(Clone)]
pub struct Flush(SyncSender<Entry>);

impl Flush {
    /// Blocks until the queue is empty.
    pub fn wait(&self) {
        let (sender, receiver) = sync_channel(1);
        if self.0.send(Entry::Flush(sender)).is_ok() {
            let _ = receiver.recv();
        }
    }
}

/// What libraries have to say below this is not an operator's concern.
const QUIET: &str = "actix_server=warn,actix_http=warn,rustls=warn";

/// Starts the log at `level` unless `RUST_LOG` says otherwise.
///
/// # Errors
/// The thread cannot be started, or a log is already running.
pub fn start(level: &str) -> io::Result<Flush> {
    let (sender, receiver) = sync_channel(QUEUE_LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let queue = Queue { sender: sender.clone(), dropped: dropped.clone() };
    std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&receiver, &dropped))?;
    let style =
        if io::IsTerminal::is_terminal(&io::stderr()) { WriteStyle::Always } else { WriteStyle::Never };
    let started = env_logger::Builder::from_env(Env::default().default_filter_or(format!("{level},{QUIET}")))
        .write_style(style)
        .format_timestamp_millis()
        .target(Target::Pipe(Box::new(queue)))
        .try_init();
    started.map_err(io::Error::other)?;
    Ok(Flush(sender))
}

struct Queue {
    sender: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Entry::Line(line.to_vec())) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(receiver: &Receiver<Entry>, dropped: &AtomicU64) {
    let mut out = io::BufWriter::with_capacity(64 << 10, io::stderr());
    while let Ok(entry) = receiver.recv() {
        let mut entry = Some(entry);
        // Everything that is already there goes out in one write. A closed stderr is not worth a crash.
        while let Some(next) = entry {
            match next {
                Entry::Line(line) => drop(out.write_all(&line)),
                Entry::Flush(done) => {
                    let _ = out.flush();
                    let _ = done.send(());
                }
            }
            entry = receiver.try_recv().ok();
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{lost} log lines were dropped because the log is read too slowly");
        }
        let _ = out.flush();
    }
}
