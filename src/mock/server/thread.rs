//! A mock server with a thread of its own, for tests that block.

use std::io;
use std::ops::Deref;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::{MockOptions, MockServer, bind};

/// A mock server that needs no runtime around it, and stops when it is dropped.
#[derive(Debug)]
pub struct MockThread {
    server: MockServer,
    thread: Option<JoinHandle<()>>,
}

impl MockThread {
    /// Starts a server.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub fn start(options: MockOptions) -> io::Result<Self> {
        let (started, starting) = mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                match bind(options, false) {
                    Ok((server, running)) => {
                        // Whoever started it waits for this.
                        let _ = started.send(Ok(server));
                        // A server that fails later is one that answers nobody, which its callers notice.
                        let _ = running.await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        });
        let server = starting.recv().map_err(io::Error::other)??;
        Ok(Self { server, thread: Some(thread) })
    }
}

impl Deref for MockThread {
    type Target = MockServer;

    fn deref(&self) -> &MockServer {
        &self.server
    }
}

impl Drop for MockThread {
    fn drop(&mut self) {
        // The order is given by the call; what it returns would only wait.
        drop(self.server.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            // Its panic has been reported already.
            let _ = thread.join();
        }
    }
}
