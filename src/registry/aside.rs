//! Work that has time: on a thread of its own that gives way to every other.

use std::future::Future;
use std::thread;

use tokio::sync::oneshot;

/// How far such work gives way: as far as there is.
const NICENESS: i32 = 19;

/// Does `work` aside; nothing when no thread can be had. The work is done whether its outcome is waited for or not.
pub(super) fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> + 'static {
    let (done, outcome) = oneshot::channel();
    let thread = thread::Builder::new().name("aside".into()).spawn(move || {
        // On Linux this is about the thread alone. Without it the work is done all the same.
        let _ = rustix::process::nice(NICENESS);
        // Nobody may be waiting.
        let _ = done.send(work());
    });
    async move {
        thread.ok()?;
        outcome.await.ok()
    }
}
