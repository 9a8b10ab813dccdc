//! A question to a judge over HTTP: one request, one deadline, no second try and no redirect.

use std::time::Duration;

use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::timeout;

use super::{AGENT, IDENTITY, Upstream, tls};
use crate::config::snapshot::Snapshot;
use crate::envelope::{JSON, REQUEST_ID};
use crate::guardrails::Failure;
use crate::guardrails::Webhook;
use crate::guardrails::webhook::Opinion;

/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What goes to a judge.
pub struct Question<'a> {
    /// Who is asked.
    pub webhook: &'a Webhook,
    /// The id of the exchange.
    pub request_id: &'a HeaderValue,
    /// The JSON body.
    pub body: Vec<u8>,
    /// How many texts it holds.
    pub texts: usize,
}

impl Upstream {
    /// Asks a judge. Whatever goes wrong is an opinion too, see [`Failure`].
    pub async fn ask_judge(
        &self,
        snapshot: &Snapshot,
        tls: &tls::TlsConfigs,
        question: Question<'_>,
    ) -> Opinion {
        let patience = question.webhook.timeout;
        if patience == Duration::ZERO {
            return Opinion::Failed(Failure::Timeout);
        }
        let texts = question.texts;
        match timeout(patience, self.judge(snapshot, tls, question)).await {
            // No answer in time.
            Err(_) => Opinion::Failed(Failure::Timeout),
            Ok(Err(opinion)) => opinion,
            Ok(Ok(body)) => Opinion::read(&body, texts),
        }
    }

    /// The body of a good answer, or what stands for a bad one.
    async fn judge(
        &self,
        snapshot: &Snapshot,
        tls: &tls::TlsConfigs,
        question: Question<'_>,
    ) -> Result<Bytes, Opinion> {
        let Question { webhook, request_id, body, .. } = question;
        let client = self.client(snapshot, tls, webhook.tls).map_err(|_| Opinion::Failed(Failure::Config))?;
        let mut outgoing = client.post(&*webhook.url).no_decompress();
        let headers = outgoing.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, JSON);
        headers.insert(ACCEPT_ENCODING, IDENTITY);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(REQUEST_ID, request_id.clone());
        for (name, value) in &webhook.headers.0 {
            // Configuration lets only legal names and values through.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
                headers.insert(name, value);
            }
        }
        // Nobody there is as good as nobody in time.
        let mut response = outgoing.send_body(body).await.map_err(|_| Opinion::Failed(Failure::Timeout))?;
        if !response.status().is_success() {
            return Err(Opinion::of_status(response.status().as_u16()));
        }
        let mut answer = BytesMut::new();
        while let Some(chunk) = response.next().await {
            let chunk = chunk.map_err(|_| Opinion::Failed(Failure::Timeout))?;
            if answer.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Opinion::Failed(Failure::Config));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer.freeze())
    }
}
