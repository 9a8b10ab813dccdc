//! Answers of the provider in this process, with the same head, body and manners as one from the network.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures::{FutureExt, Stream};
use tokio::time::Sleep;

use super::{Content, UpstreamBody, UpstreamRequest, UpstreamResponse};
use crate::error::UpstreamError;
use crate::mock::{self, Hints, MockBody, MockFrame, MockRequest, Then};

/// Fresh ids for the answers of this process; it only counts.
static ANSWERS: AtomicU64 = AtomicU64::new(1);

/// A body of the mock provider on its way.
pub struct InProcess {
    frames: std::vec::IntoIter<MockFrame>,
    next: Option<MockFrame>,
    pause: Option<Pin<Box<Sleep>>>,
    then: Then,
}

pub(super) async fn send(request: &UpstreamRequest<'_>) -> Result<UpstreamResponse, UpstreamError> {
    let hints = Hints {
        seed: ANSWERS.fetch_add(1, Ordering::Relaxed),
        created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        ..Hints::default()
    };
    let asked = MockRequest {
        method: request.method.as_str(),
        target: request.path,
        content_type: content_type(request),
        body: &request.body.concat(),
    };
    let reply = mock::answer(&asked, &hints);
    let frames = match reply.body {
        MockBody::Full(bytes) => vec![MockFrame { delay: Duration::ZERO, bytes, then: Then::Continue }],
        MockBody::Stream(frames) => frames,
        MockBody::Stall => return std::future::pending().await,
        MockBody::Reset => {
            return Err(UpstreamError::Unreachable {
                cause: "the mock provider closed the connection".into(),
            });
        }
    };
    let header =
        |name: &str| reply.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
    Ok(UpstreamResponse {
        status: reply.status,
        content: match header("content-type") {
            Some(kind) if kind.starts_with(mock::JSON) => Content::Json,
            _ => Content::Other,
        },
        content_type: header("content-type").and_then(|value| value.try_into().ok()),
        content_length: None,
        retry_after: header("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs),
        request_id: header("x-request-id").and_then(|value| value.try_into().ok()),
        body: UpstreamBody::InProcess(InProcess {
            frames: frames.into_iter(),
            next: None,
            pause: None,
            then: Then::Continue,
        }),
    })
}

/// What the body is: in the request's words or, through the tunnel, in the caller's.
fn content_type<'a>(request: &'a UpstreamRequest<'_>) -> &'a str {
    let forwarded = || request.forwarded.as_ref()?.get(CONTENT_TYPE)?.to_str().ok();
    match request.content_type {
        "" => forwarded().unwrap_or_default(),
        own => own,
    }
}

impl Stream for InProcess {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.then {
            Then::Continue => {}
            Then::Cut => return Poll::Ready(Some(Err(UpstreamError::BrokeOff))),
            // Only the reader's own time limits wake it again.
            Then::Hang => return Poll::Pending,
        }
        if self.next.is_none() {
            self.next = self.frames.next();
            self.pause = match &self.next {
                Some(frame) if !frame.delay.is_zero() => Some(Box::pin(tokio::time::sleep(frame.delay))),
                _ => None,
            };
        }
        if let Some(pause) = &mut self.pause {
            futures::ready!(pause.poll_unpin(context));
            self.pause = None;
        }
        let Some(frame) = self.next.take() else { return Poll::Ready(None) };
        self.then = frame.then;
        Poll::Ready(Some(Ok(frame.bytes)))
    }
}
