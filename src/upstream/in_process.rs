//! Answers of the provider in this process, with the same head, body and manners as one from the network.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::{Content, UpstreamBody, UpstreamRequest, UpstreamResponse};
use crate::error::UpstreamError;
use crate::mock::player::{BrokenOff, Player};
use crate::mock::{self, Hints, MockBody, MockRequest, Tally};

/// The requests of this process: for fresh ids, and for faults that come and go.
static TALLY: LazyLock<Arc<Tally>> = LazyLock::new(Arc::default);

/// A body of the mock provider on its way.
pub struct InProcess(Player);

pub(super) async fn send(request: &UpstreamRequest<'_>) -> Result<UpstreamResponse, UpstreamError> {
    let hints = Hints {
        seed: TALLY.next_number(),
        created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        tally: Arc::clone(&TALLY),
        ..Hints::default()
    };
    let asked = MockRequest {
        method: request.method.as_str(),
        target: request.path,
        content_type: content_type(request),
        body: &request.body.concat(),
    };
    let reply = mock::answer(&asked, &hints);
    let player = match reply.body {
        MockBody::Full(bytes) => Player::whole(bytes),
        MockBody::Stream(frames) => Player::new(frames),
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
        retry_after: header("retry-after").and_then(super::wait_of),
        request_id: header("x-request-id").and_then(|value| value.try_into().ok()),
        body: UpstreamBody::InProcess(InProcess(player)),
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
        self.0.poll_next_unpin(context).map_err(|BrokenOff| UpstreamError::BrokeOff)
    }
}
