//! The events of a provider's stream: read, checked and named as the caller did, with its clocks watched.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures::{FutureExt, StreamExt, future::poll_fn};
use tokio::time::{Sleep, sleep};

use super::patience::{Patience, Watch};
use crate::dialect::sse::{Frame, Reader};
use crate::dialect::stream::{Chunk, Frames};
use crate::dialect::{Dialect, Usage};
use crate::error::UpstreamError;
use crate::upstream::UpstreamBody;

/// Comments before the first event that are kept for the caller; they only say that somebody is there.
const MAX_COMMENTS: usize = 64;

/// What a chunk says that was counted.
fn usage_of(chunk: &Chunk) -> Option<Usage> {
    match chunk {
        Chunk::Content { usage, .. } | Chunk::Last { usage, .. } => *usage,
        Chunk::Usage { usage, .. } => Some(*usage),
        Chunk::Decoded(decoded) => decoded.usage,
        Chunk::Done | Chunk::Failed(_) | Chunk::Comment | Chunk::Skipped | Chunk::Malformed => None,
    }
}

/// Whether a chunk says something, or ends an answer that says nothing.
fn is_token(frames: &Frames, chunk: &Chunk, frame: &[u8]) -> bool {
    match chunk {
        Chunk::Content { text_bytes, finish, .. } => {
            finish.is_some() || frames.says_something(&Frame { bytes: frame }, *text_bytes)
        }
        Chunk::Decoded(decoded) => decoded.text_bytes > 0 || decoded.finish.is_some() || decoded.is_last,
        Chunk::Last { .. } | Chunk::Done | Chunk::Failed(_) => true,
        Chunk::Usage { .. } | Chunk::Comment | Chunk::Skipped | Chunk::Malformed => false,
    }
}

/// How long a provider may take to end a stream after its last word.
const LINGER: Duration = Duration::from_secs(1);

/// See the module.
pub struct Events {
    body: UpstreamBody,
    reader: Reader,
    frames: Frames,
    /// The first chunk, read ahead with its frame, and the comments before it.
    ahead: VecDeque<(Chunk, Vec<u8>)>,
    /// Bytes of a frame that was read ahead, once it is read.
    replayed: Vec<u8>,
    gap: Option<Watch>,
    total: Option<(Duration, Pin<Box<Sleep>>)>,
    has_ended: bool,
    first_event: Option<Instant>,
}

impl Events {
    /// Begins to read a stream.
    #[must_use]
    pub fn new(body: UpstreamBody, frames: Frames, patience: &Patience) -> Self {
        Self {
            body,
            reader: Reader::default(),
            frames,
            ahead: VecDeque::new(),
            replayed: Vec::new(),
            gap: patience.gap.map(Watch::start),
            total: patience.stream.map(|limit| (limit, Box::pin(sleep(limit)))),
            has_ended: false,
            first_event: None,
        }
    }

    /// When the first event came; a comment is none.
    #[must_use]
    pub fn first_event(&self) -> Option<Instant> {
        self.first_event
    }

    /// Waits for the first event, which stays to be read: a stream that begins with a failure has not begun. What the
    /// provider counts meanwhile is put down.
    ///
    /// # Errors
    /// The provider's failure, or `BrokeOff` when the stream ends without an event.
    pub async fn wait_for_first(&mut self, counted: &Cell<Option<Usage>>) -> Result<(), UpstreamError> {
        // A comment says that the provider is there, not that it has an answer.
        self.read_ahead(|_, _, _| true, MAX_COMMENTS, counted).await
    }

    /// Waits for the first token, or for whatever ends an answer without one. What came before it stays to be read.
    ///
    /// # Errors
    /// As [`Self::wait_for_first`].
    pub async fn wait_for_token(&mut self, counted: &Cell<Option<Usage>>) -> Result<(), UpstreamError> {
        if self.ahead.iter().any(|(chunk, frame)| is_token(&self.frames, chunk, frame)) {
            return Ok(());
        }
        // A provider that opens an answer with so much has begun it.
        self.read_ahead(is_token, MAX_COMMENTS, counted).await
    }

    /// Reads until an event is the one that is waited for, or so many others came before it.
    async fn read_ahead(
        &mut self,
        is_it: impl Fn(&Frames, &Chunk, &[u8]) -> bool,
        most: usize,
        counted: &Cell<Option<Usage>>,
    ) -> Result<(), UpstreamError> {
        let mut events = 0;
        loop {
            let read = poll_fn(|context| {
                self.poll_fresh(context).map(|read| read.map(|(chunk, frame)| (chunk, frame.bytes.to_vec())))
            });
            match read.await {
                Some(comment @ (Chunk::Comment, _)) => {
                    if self.ahead.len() < MAX_COMMENTS {
                        self.ahead.push_back(comment);
                    }
                }
                Some((Chunk::Skipped, _)) => {}
                Some((Chunk::Failed(error), _)) => return Err(error),
                None => return Err(UpstreamError::BrokeOff),
                Some(event) => {
                    let is_over = is_it(&self.frames, &event.0, &event.1);
                    counted.set(usage_of(&event.0).or(counted.get()));
                    self.ahead.push_back(event);
                    events += 1;
                    if is_over || events == most {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next chunk with its frame; `None` at the end of the body. A failure is a chunk, and the last one.
    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<(Chunk, Frame<'_>)>> {
        if let Some((chunk, bytes)) = self.ahead.pop_front() {
            self.replayed = bytes;
            return Poll::Ready(Some((chunk, Frame { bytes: &self.replayed })));
        }
        self.poll_fresh(context)
    }

    /// The number of the caller's next event, in dialects that count them.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.frames.next_sequence()
    }

    /// Whether the frames are held back and written anew.
    #[must_use]
    pub fn is_written_anew(&self) -> bool {
        self.frames.is_written_anew()
    }

    /// The provider's dialect.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.frames.dialect()
    }

    /// Writes what closes the stream for the caller; `has_last_word` tells whether the provider said its own.
    pub fn close(&mut self, has_last_word: bool, out: &mut BytesMut) {
        self.frames.close(has_last_word, out);
    }

    /// The next chunk off the network.
    fn poll_fresh(&mut self, context: &mut Context<'_>) -> Poll<Option<(Chunk, Frame<'_>)>> {
        if let Err(failure) = futures::ready!(self.poll_whole_frame(context)) {
            self.has_ended = true;
            self.reader = Reader::default();
            return Poll::Ready(Some((Chunk::Failed(failure), Frame { bytes: &[] })));
        }
        let frame =
            if self.has_ended { self.reader.finish() } else { self.reader.next_frame().ok().flatten() };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let chunk = self.frames.read(&frame);
        if self.first_event.is_none() && !matches!(chunk, Chunk::Comment | Chunk::Skipped) {
            self.first_event = Some(Instant::now());
        }
        Poll::Ready(Some((chunk, frame)))
    }

    /// Ready when the reader holds a whole frame, or the body has ended.
    fn poll_whole_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        loop {
            match self.reader.has_frame() {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) if self.has_ended => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(error) => {
                    return Poll::Ready(Err(UpstreamError::Undecodable { reason: error.to_string().into() }));
                }
            }
            match self.body.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(bytes))) => {
                    if let Some(gap) = &mut self.gap {
                        gap.touch(Instant::now());
                    }
                    self.reader.push(bytes);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending => return self.poll_clocks(context).map(Err),
            }
        }
    }

    /// The stream has said its last word: what follows is read to its end, so that the connection can be used again.
    ///
    /// The caller does not wait for it.
    pub fn run_out(&mut self) {
        if self.has_ended {
            return;
        }
        let mut body = std::mem::replace(&mut self.body, UpstreamBody::Ended);
        let end = body.next().now_or_never();
        if !matches!(end, Some(None)) {
            let rest = async move { while let Some(Ok(_)) = body.next().await {} };
            actix_rt::spawn(tokio::time::timeout(LINGER, rest));
        }
    }

    /// Leaves the provider at once.
    pub fn leave(&mut self) {
        self.has_ended = true;
        self.body = UpstreamBody::Ended;
    }

    /// Ready with a failure when the provider was silent, or talked, for too long.
    fn poll_clocks(&mut self, context: &mut Context<'_>) -> Poll<UpstreamError> {
        if let Some(gap) = &mut self.gap
            && gap.poll_silence(context).is_ready()
        {
            return Poll::Ready(UpstreamError::Late { after: gap.period });
        }
        if let Some((after, timer)) = &mut self.total
            && timer.poll_unpin(context).is_ready()
        {
            return Poll::Ready(UpstreamError::Late { after: *after });
        }
        Poll::Pending
    }
}
