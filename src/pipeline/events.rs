//! The events of a provider's stream: read, checked and named as the caller did, with its clocks watched.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt, future::poll_fn};
use tokio::time::{Sleep, sleep};

use super::patience::{Patience, Watch};
use crate::dialect::openai_chat::{self, Chunk};
use crate::dialect::sse::Reader;
use crate::error::UpstreamError;
use crate::upstream::UpstreamBody;

/// How long a provider may take to end a stream after its last word.
const LINGER: Duration = Duration::from_secs(1);

/// See the module.
pub struct Events {
    body: UpstreamBody,
    reader: Reader,
    /// The model that the caller named, as raw JSON.
    model: Arc<str>,
    first: Option<Chunk>,
    gap: Option<Watch>,
    total: Option<(Duration, Pin<Box<Sleep>>)>,
    has_ended: bool,
}

impl Events {
    /// Begins to read a stream.
    #[must_use]
    pub fn new(body: UpstreamBody, model: Arc<str>, patience: &Patience) -> Self {
        Self {
            body,
            reader: Reader::default(),
            model,
            first: None,
            gap: patience.gap.map(Watch::start),
            total: patience.stream.map(|limit| (limit, Box::pin(sleep(limit)))),
            has_ended: false,
        }
    }

    /// Waits for the first event, which stays to be read: a stream that begins with a failure has not begun.
    ///
    /// # Errors
    /// The provider's failure, or `BrokeOff` when the stream ends without an event.
    pub async fn wait_for_first(&mut self) -> Result<(), UpstreamError> {
        loop {
            match poll_fn(|context| self.poll_chunk(context)).await {
                // A comment says that the provider is there, not that it has an answer.
                Some(Chunk::Comment(_)) => {}
                Some(Chunk::Failed(error)) => return Err(error),
                None => return Err(UpstreamError::BrokeOff),
                Some(chunk) => {
                    self.first = Some(chunk);
                    return Ok(());
                }
            }
        }
    }

    /// The next chunk; `None` at the end of the body. A failure is a chunk, and the last one.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        loop {
            match self.reader.next() {
                Ok(Some(frame)) => return Poll::Ready(Some(openai_chat::read_frame(&frame, &self.model))),
                Ok(None) if self.has_ended => {
                    let last = self.reader.finish();
                    return Poll::Ready(last.map(|frame| openai_chat::read_frame(&frame, &self.model)));
                }
                Ok(None) => {}
                Err(error) => {
                    let reason = error.to_string().into();
                    return self.fail(UpstreamError::Undecodable { reason });
                }
            }
            match self.body.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(bytes))) => {
                    if let Some(gap) = &mut self.gap {
                        gap.touch(Instant::now());
                    }
                    self.reader.push(bytes);
                }
                Poll::Ready(Some(Err(error))) => return self.fail(error),
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending => return self.poll_clocks(context),
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

    fn fail(&mut self, error: UpstreamError) -> Poll<Option<Chunk>> {
        self.has_ended = true;
        self.reader = Reader::default();
        Poll::Ready(Some(Chunk::Failed(error)))
    }

    fn poll_clocks(&mut self, context: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if let Some(gap) = &mut self.gap
            && gap.poll_silence(context).is_ready()
        {
            let after = gap.period;
            return self.fail(UpstreamError::Late { after });
        }
        if let Some((after, timer)) = &mut self.total
            && timer.poll_unpin(context).is_ready()
        {
            let after = *after;
            return self.fail(UpstreamError::Late { after });
        }
        Poll::Pending
    }
}
