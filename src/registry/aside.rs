//! Work that has time: on a thread of its own that gives way to the others.

use std::future::Future;
use std::thread;

use tokio::sync::oneshot;

/// How far such work gives way: to about a tenth of a core that is busy with requests, so that it still comes to an end.
const NICENESS: i32 = 10;

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
