//! Ask: one request to one target, within its time limits, and its answer as far as it decides what happens next.

use std::cell::Cell;

use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use tokio::time::timeout;

use super::events::Events;
use super::exchange::{Engaged, Exchange};
use super::patience::{Patience, within};
use crate::config::snapshot::Direct;
use crate::dialect::{Call, StreamOptions, openai_chat};
use crate::error::UpstreamError;
use crate::upstream::{Content, UpstreamRequest, UpstreamResponse};

/// A provider's answer, on its way to the caller.
pub enum Answer {
    /// All of it.
    Whole(openai_chat::Reply),
    /// A stream whose first event is there, or late.
    Stream(Box<Events>),
}

/// One request to one target.
pub struct Ask<'a> {
    /// What it is part of.
    pub exchange: &'a Exchange,
    /// What the caller wants.
    pub call: &'a Call,
    /// The target.
    pub direct: &'a Direct,
    /// What was taken for it.
    pub engaged: &'a Engaged,
    /// Its time limits.
    pub patience: Patience,
    /// What the provider calls the request, once it has answered.
    pub provider_request_id: Cell<Option<HeaderValue>>,
}

impl Ask<'_> {
    /// Asks, and reads the answer: all of it, or a stream's first event.
    ///
    /// # Errors
    /// The provider's failure.
    pub async fn run(&self) -> Result<Answer, UpstreamError> {
        if self.call.is_stream {
            return self.stream().await;
        }
        let whole = async {
            let response = within(self.patience.head, self.send()).await?;
            self.read_whole(response).await
        };
        within(self.patience.whole, whole).await.map(Answer::Whole)
    }

    async fn stream(&self) -> Result<Answer, UpstreamError> {
        let patience = &self.patience;
        let response = within(patience.stream_head(), self.send()).await?;
        if response.content == Content::Json {
            within(patience.gap, self.read_whole(response)).await?;
            return Err(not_a_stream("a JSON body"));
        }
        if response.content == Content::Html {
            return Err(not_a_stream("a web page (is api_base right?)"));
        }
        let mut events = Box::new(Events::new(response.body, self.model().into(), patience));
        let first = within(patience.first_event, events.wait_for_first());
        if let Ok(first) = timeout(patience.withheld, first).await {
            first?;
        }
        // Without a first event in time the caller's 200 goes out now; a failure from here on is a frame of the stream.
        Ok(Answer::Stream(events))
    }

    /// The model as the caller wrote it.
    fn model(&self) -> &str {
        self.call.body.member("model").unwrap_or_default()
    }

    async fn read_whole(&self, response: UpstreamResponse) -> Result<openai_chat::Reply, UpstreamError> {
        let limit = self.exchange.snapshot.settings.upstream.max_response_bytes;
        openai_chat::read_reply(response.body.read_all(limit).await?, self.model())
    }

    /// Sends the request; an error answer becomes the error that it is (§3.6).
    async fn send(&self) -> Result<UpstreamResponse, UpstreamError> {
        let Self { exchange, direct, engaged, .. } = self;
        let credential = engaged.credential();
        let request = UpstreamRequest {
            provider: direct.provider,
            base_url: &engaged.key.base_url,
            path: direct.provider.path(exchange.endpoint.operation),
            tls: engaged.key.tls,
            authorization: credential.and_then(|credential| direct.provider.authorize(credential)),
            extra_headers: &direct.default_headers,
            request_id: &exchange.request_id,
            is_stream: self.call.is_stream,
            body: self.body(),
        };
        let worker = &exchange.worker;
        let mut response = worker.upstream.send(&exchange.snapshot, &worker.gateway.tls, request).await?;
        self.provider_request_id.set(response.request_id.take());
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        let text = response.error_text().await;
        Err(openai_chat::read_error(response.status, response.retry_after, &text))
    }

    /// The caller's body with the target's own name for the model, and the wish for usage where nobody said otherwise.
    fn body(&self) -> Bytes {
        let Self { exchange, call, direct, .. } = self;
        let wants_usage =
            call.is_stream && call.stream_options == StreamOptions::Unset && direct.provider.streams_usage();
        let capture = exchange.model.as_ref().and_then(|model| model.capture.as_deref());
        let model = serde_json::Value::from(&*direct.upstream_model_for(capture)).to_string();
        let changes = [("model", &*model), openai_chat::INCLUDE_USAGE];
        call.body.with(if wants_usage { &changes } else { &changes[..1] })
    }
}

fn not_a_stream(came: &str) -> UpstreamError {
    UpstreamError::Undecodable { reason: format!("a stream was asked for and {came} came").into() }
}
