//! Plays the frames of an answer in time, and breaks off or falls silent where they say so.
//!
//! One piece for both ways out of the mock: the body of a response, and the body that never leaves the process.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec::IntoIter;

use bytes::Bytes;
use futures::{FutureExt, Stream};
use tokio::time::{Sleep, sleep};

use super::{MockFrame, Then};

/// A connection that broke in the middle of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BrokenOff;

/// Frames on their way. After [`BrokenOff`] nothing more comes.
#[derive(Debug)]
pub(crate) struct Player {
    frames: IntoIter<MockFrame>,
    /// The frame that waits for its time.
    waiting: Option<MockFrame>,
    pause: Option<Pin<Box<Sleep>>>,
    then: Then,
}

impl Player {
    pub(crate) fn new(frames: Vec<MockFrame>) -> Self {
        Self { frames: frames.into_iter(), waiting: None, pause: None, then: Then::Continue }
    }

    /// A body that comes at once.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::new(vec![MockFrame { delay: Duration::ZERO, bytes, then: Then::Continue }])
    }
}

impl Stream for Player {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.then {
            Then::Continue => {}
            Then::Cut => {
                self.frames = Vec::new().into_iter();
                self.then = Then::Continue;
                return Poll::Ready(Some(Err(BrokenOff)));
            }
            // Only the reader's own time limits wake it again.
            Then::Hang => return Poll::Pending,
        }
        if self.waiting.is_none() {
            self.waiting = self.frames.next();
            let delay = self.waiting.as_ref().map_or(Duration::ZERO, |frame| frame.delay);
            self.pause = (!delay.is_zero()).then(|| Box::pin(sleep(delay)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.poll_unpin(context));
            self.pause = None;
        }
        let Some(frame) = self.waiting.take() else { return Poll::Ready(None) };
        self.then = frame.then;
        Poll::Ready(Some(Ok(frame.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use futures::executor::block_on;

    use super::*;

    fn frame(then: Then) -> MockFrame {
        MockFrame { delay: Duration::ZERO, bytes: Bytes::from_static(b"a"), then }
    }

    #[test]
    fn a_body_ends_after_its_last_frame() {
        let mut player = Player::new(vec![frame(Then::Continue), frame(Then::Continue)]);
        let played: Vec<_> = block_on(player.by_ref().collect());
        assert_eq!(played, [Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"a"))]);
        assert_eq!(block_on(player.next()), None);
    }

    #[test]
    fn nothing_follows_a_cut() {
        let player = Player::new(vec![frame(Then::Cut), frame(Then::Continue)]);
        let played: Vec<_> = block_on(player.collect());
        assert_eq!(played, [Ok(Bytes::from_static(b"a")), Err(BrokenOff)]);
    }

    #[test]
    fn a_hang_is_silent_after_its_frame() {
        let mut player = Player::new(vec![frame(Then::Hang), frame(Then::Continue)]);
        assert!(block_on(player.next()).is_some());
        assert_eq!(player.next().now_or_never(), None);
    }

    #[actix_web::test]
    async fn a_frame_waits_for_its_time() {
        let late = MockFrame { delay: Duration::from_millis(20), ..frame(Then::Continue) };
        let mut player = Player::new(vec![frame(Then::Continue), late]);
        assert!(player.next().now_or_never().is_some_and(|played| played.is_some()));
        assert_eq!(player.next().now_or_never(), None);
        assert_eq!(player.next().await, Some(Ok(Bytes::from_static(b"a"))));
    }
}
