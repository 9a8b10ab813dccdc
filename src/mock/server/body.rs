//! Frames as the body of a response, which the server counts.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures::Stream;
use tokio::time::{Sleep, sleep};

use crate::mock::MockFrame;
use crate::mock::player::{BrokenOff, Player};

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
    player: Player,
    /// The pause before the connection breaks.
    flush: Option<Pin<Box<Sleep>>>,
    streams: Arc<Streams>,
    is_over: bool,
}

impl FrameBody {
    pub(super) fn new(frames: Vec<MockFrame>, streams: Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Ordering::Relaxed);
        Self { player: Player::new(frames), flush: None, streams, is_over: false }
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
        if self.flush.is_none() {
            match ready!(Pin::new(&mut self.player).poll_next(cx)) {
                Some(Ok(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Some(Err(BrokenOff)) => self.flush = Some(Box::pin(sleep(FLUSH))),
                None => {
                    self.is_over = true;
                    return Poll::Ready(None);
                }
            }
        }
        if let Some(flush) = &mut self.flush {
            ready!(flush.as_mut().poll(cx));
        }
        self.is_over = true;
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}
