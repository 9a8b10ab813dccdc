//! Ask: one request to one target, within its time limits, and its answer as far as it decides what happens next.

use std::cell::Cell;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::timeout;

use super::events::Events;
use super::exchange::{Engaged, Exchange};
use super::patience::{Patience, within};
use super::prepare::Prepared;
use super::screen;
use crate::config::headers::is_forwardable;
use crate::config::snapshot::Direct;
use crate::dialect::codec::{self, Reply};
use crate::dialect::stream::Frames;
use crate::dialect::{Call, Dialect, Usage};
use crate::error::UpstreamError;
use crate::operation::Task;
use crate::upstream::{Content, UpstreamRequest, UpstreamResponse};

/// A provider's answer, on its way to the caller.
pub enum Answer {
    /// All of it.
    Whole(Reply),
    /// A stream whose first event is there, or late.
    Stream(Box<Events>),
    /// Bytes that are handed on as they come: sound, or a text that is no JSON; and the longest silence in them.
    Bytes(Box<UpstreamResponse>, Option<Duration>),
}

/// One request to one target.
pub struct Ask<'a> {
    /// What it is part of.
    pub exchange: &'a Exchange,
    /// The caller's headers.
    pub headers: &'a HeaderMap,
    /// What the caller wants.
    pub call: &'a Call,
    /// The target.
    pub direct: &'a Direct,
    /// What it is sent.
    pub prepared: &'a Prepared,
    /// What was taken for it.
    pub engaged: &'a Engaged,
    /// Its time limits.
    pub patience: Patience,
    /// Whether another target may take the answer up, so that it has to be read and written anew.
    pub is_rescuable: bool,
    /// What the provider has counted so far of a stream that has not begun for the caller.
    pub counted: Cell<Option<Usage>>,
    /// What the provider calls the request, once it has answered.
    pub provider_request_id: Cell<Option<HeaderValue>>,
}

impl Ask<'_> {
    /// Asks, and reads the answer: all of it, or a stream's first event.
    ///
    /// # Errors
    /// The provider's failure.
    pub async fn run(&self) -> Result<Answer, UpstreamError> {
        let task = self.prepared.way.task;
        if self.call.is_stream && task != Task::Speak {
            // Head, first event and first token have limits of their own; this one is for all of them together.
            return within(self.patience.beginning, self.stream()).await;
        }
        let head = within(self.patience.head, self.send());
        if task == Task::Speak {
            return within(self.patience.whole, head).await.map(|response| self.bytes(response));
        }
        let whole = async {
            let response = head.await?;
            // Transcripts come as plain text or subtitles where the caller wants them so.
            match response.content {
                Content::Json => self.read_whole(response).await.map(Answer::Whole),
                _ if matches!(task, Task::Transcribe | Task::Translate) => Ok(self.bytes(response)),
                _ => self.read_whole(response).await.map(Answer::Whole),
            }
        };
        within(self.patience.whole, whole).await
    }

    async fn stream(&self) -> Result<Answer, UpstreamError> {
        let (patience, asked) = (&self.patience, Instant::now());
        let response = within(patience.stream_head(), self.send()).await?;
        if response.content == Content::Json {
            let whole = within(patience.whole, self.read_whole(response)).await?;
            // Those who cannot stream an operation that they have answer it whole; conversations are promised as streams.
            return match self.prepared.way.task {
                Task::Converse | Task::Complete => Err(not_a_stream("a JSON body")),
                _ => Ok(Answer::Whole(whole)),
            };
        }
        if response.content == Content::Html {
            return Err(not_a_stream("a web page (is api_base right?)"));
        }
        let way = self.prepared.way;
        let stamp = self.exchange.stamp(self.call, way.dialect);
        let frames = if screen::judges_answers(self.exchange) || self.is_rescuable {
            let may_mask = screen::may_mask(self.exchange) || self.call.is_array || self.is_rescuable;
            Frames::decoded(way.task, way.dialect, self.caller(), stamp, may_mask)
        } else if self.call.is_array {
            Frames::as_array(way.dialect, stamp)
        } else {
            Frames::new(way.task, way.dialect, self.caller(), stamp)
        };
        let mut events = Box::new(Events::new(response.body, frames, patience));
        let begin = async {
            within(patience.first_event, events.wait_for_first(&self.counted)).await?;
            let Some(limit) = patience.first_token else { return Ok(()) };
            match timeout(limit.saturating_sub(asked.elapsed()), events.wait_for_token(&self.counted)).await {
                Ok(begun) => begun,
                Err(_) => Err(UpstreamError::Late { after: limit }),
            }
        };
        if let Ok(begun) = timeout(patience.withheld(), begin).await {
            begun?;
        }
        // Without a first event in time the caller's 200 goes out now; a failure from here on is a frame of the stream.
        Ok(Answer::Stream(events))
    }

    fn bytes(&self, response: UpstreamResponse) -> Answer {
        Answer::Bytes(Box::new(response), self.patience.gap)
    }

    fn caller(&self) -> Dialect {
        self.exchange.endpoint.dialect
    }

    async fn read_whole(&self, response: UpstreamResponse) -> Result<Reply, UpstreamError> {
        let limit = self.exchange.snapshot.settings.upstream.max_response_bytes;
        let body = response.body.read_all(limit).await?;
        let way = self.prepared.way;
        match way.dialect == self.caller() {
            true => codec::own_reply(way.task, way.dialect, body, &self.call.model_json),
            false => {
                let stamp = self.exchange.stamp(self.call, way.dialect);
                codec::translated_reply(way.task, way.dialect, self.caller(), &body, &stamp)
            }
        }
    }

    /// Sends the request; an error answer becomes the error that it is (§3.6).
    async fn send(&self) -> Result<UpstreamResponse, UpstreamError> {
        let Self { exchange, direct, engaged, prepared, .. } = self;
        let credential = engaged.credential();
        let request = UpstreamRequest {
            method: Method::POST,
            provider: direct.provider,
            base_url: &engaged.key.base_url,
            path: &prepared.path,
            tls: engaged.key.tls,
            credential,
            auth: prepared.way.auth,
            extra_headers: &direct.default_headers,
            content_type: &prepared.content_type,
            forwarded: None,
            handed_on: handed_on(direct, self.headers),
            request_id: &exchange.request_id,
            is_stream: self.call.is_stream,
            body: prepared.body.clone(),
        };
        let worker = &exchange.worker;
        let mut response = worker.upstream.send(&exchange.snapshot, &worker.gateway.tls, request).await?;
        self.provider_request_id.set(response.request_id.take());
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        let text = response.error_text().await;
        Err(codec::refusal(prepared.way.dialect, response.status, response.retry_after, &text))
    }
}

/// The caller's headers that the operator wants to reach the provider: the first value of each.
fn handed_on(direct: &Direct, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    if direct.forwarded_headers.is_empty() {
        return Vec::new();
    }
    let is_wanted = |name: &HeaderName| {
        is_forwardable(name.as_str())
            && direct.forwarded_headers.iter().any(|glob| glob.is_match(name.as_str()))
    };
    let names = headers.keys().filter(|name| is_wanted(name));
    names.filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

fn not_a_stream(came: &str) -> UpstreamError {
    UpstreamError::Undecodable { reason: format!("a stream was asked for and {came} came").into() }
}
