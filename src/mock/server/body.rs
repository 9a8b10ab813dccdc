//! A response body that sends frames in time, and breaks off or falls silent where they say so.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec::IntoIter;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::time::{Sleep, sleep};

use crate::mock::{MockFrame, Then};

/// The pause before a cut, in which the server writes out what it has.
const FLUSH: Duration = Duration::from_millis(2);

/// How the streams of a server stand.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Those under way.
    pub(super) open: AtomicU64,
    /// Those that their callers left in the middle.
    pub(super) left: AtomicU64,
}

/// The frames of a [`super::MockBody::Stream`] as a body.
pub(super) struct FrameBody {
    frames: IntoIter<MockFrame>,
    /// The frame that waits for its time.
    waiting: Option<MockFrame>,
    timer: Option<Pin<Box<Sleep>>>,
    then: Then,
    streams: Arc<Streams>,
    is_over: bool,
}

impl FrameBody {
    pub(super) fn new(frames: Vec<MockFrame>, streams: Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Ordering::Relaxed);
        let frames = frames.into_iter();
        Self { frames, waiting: None, timer: None, then: Then::Continue, streams, is_over: false }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
        Poll::Ready(())
    }

    fn wait(&mut self, delay: Duration) {
        self.timer = (!delay.is_zero()).then(|| Box::pin(sleep(delay)));
    }
}

impl Drop for FrameBody {
    fn drop(&mut self) {
        self.streams.open.fetch_sub(1, Ordering::Relaxed);
        self.streams.left.fetch_add(u64::from(!self.is_over), Ordering::Relaxed);
    }
}

impl MessageBody for FrameBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        loop {
            ready!(self.poll_timer(cx));
            if let Some(frame) = self.waiting.take() {
                self.then = frame.then;
                if frame.then == Then::Cut {
                    self.wait(FLUSH);
                }
                return Poll::Ready(Some(Ok(frame.bytes)));
            }
            match self.then {
                Then::Continue => {}
                Then::Cut => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
                }
                Then::Hang => return Poll::Pending,
            }
            let Some(frame) = self.frames.next() else {
                self.is_over = true;
                return Poll::Ready(None);
            };
            self.wait(frame.delay);
            self.waiting = Some(frame);
        }
    }
}
