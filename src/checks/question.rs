//! One question to one model, made and judged as the pipeline makes and judges a caller's.

use std::sync::Arc;

use actix_web::http::Method;
use aisix_actors::candidate_router::Check;
use aisix_actors::provider_pool::Secret;
use bytes::Bytes;
use serde_json::Value;
use tokio::time::timeout;

use crate::config::snapshot::{BackgroundCheck, Direct, Model, Snapshot};
use crate::dialect::chat::Stamp;
use crate::dialect::codec;
use crate::dialect::raw::RawObject;
use crate::dialect::{Body, Call, Dialect};
use crate::error::{RequestError, UpstreamError};
use crate::gateway::Gateway;
use crate::operation::Operation;
use crate::pipeline::prepare::{Prepared, prepare};
use crate::pipeline::request_id;
use crate::upstream::{Upstream, UpstreamRequest};

/// What is asked, and in whose words: any chat will do.
const OPERATION: Operation = Operation::Chat;
const DIALECT: Dialect = Dialect::OpenAiChat;

/// Most bytes of an answer that are read. It holds `max_tokens` tokens, and few of them.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// The status that stands for no answer in time.
const TOO_LATE: u16 = 408;

/// What a check came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// What the router is told.
    pub(super) check: Check,
    /// The type of the error, for the log.
    pub(super) kind: &'static str,
}

/// Asks, and judges the answer; nothing where the model cannot be asked, which says nothing of it.
pub(super) async fn ask(
    gateway: &Gateway,
    upstream: &Upstream,
    model: &Model,
    direct: &Direct,
) -> Option<Outcome> {
    let check = direct.background_check.as_deref()?;
    let call = call(&model.name, direct, check).ok()?;
    let prepared = prepare(OPERATION, DIALECT, &call, direct, None).ok()?;
    // As many requests as the key allows are under way, or the key is gone.
    let lease = gateway.books.pool.lease(&direct.provider_key).ok()?;
    let snapshot = gateway.snapshot();
    let question = Question { gateway, snapshot, direct, call: &call, prepared };
    let answer = timeout(check.timeout, question.put(upstream)).await;
    drop(lease);
    Some(match answer.unwrap_or(Err(UpstreamError::Late { after: check.timeout })) {
        Ok(()) => Outcome { check: Check::Passed, kind: "" },
        Err(error) => Outcome { check: judged(status_of(&error), check), kind: error.kind().openai_type() },
    })
}

/// The question as a caller would send it, with the limit under the name that the provider has for it.
fn call(model: &str, direct: &Direct, check: &BackgroundCheck) -> Result<Call, RequestError> {
    let (model, prompt) = (Value::from(model), Value::from(&*check.prompt));
    let (limit, most) = (direct.provider.manners().max_tokens, check.max_tokens);
    let body = format!(
        r#"{{"model":{model},"messages":[{{"role":"user","content":{prompt}}}],"{limit}":{most},"stream":false}}"#
    );
    let object =
        RawObject::parse(Bytes::from(body)).map_err(|error| RequestError::invalid(error.to_string()))?;
    Call::read(OPERATION, DIALECT, Body::Json(object), None)
}

/// The status that a failure counts as.
fn status_of(error: &UpstreamError) -> Option<u16> {
    match error {
        UpstreamError::Refused(refusal) => refusal.status,
        UpstreamError::Late { .. } => Some(TOO_LATE),
        UpstreamError::Unreachable { .. } | UpstreamError::Undecodable { .. } | UpstreamError::BrokeOff => {
            None
        }
    }
}

fn judged(status: Option<u16>, check: &BackgroundCheck) -> Check {
    match status {
        Some(status) if check.ignore_statuses.contains(&status) => Check::Ignored(status),
        status => Check::Failed(status),
    }
}

struct Question<'a> {
    gateway: &'a Gateway,
    snapshot: Arc<Snapshot>,
    direct: &'a Direct,
    call: &'a Call,
    prepared: Prepared,
}

impl Question<'_> {
    /// Sends it, and reads the answer: an error answer, and an error in place of one, is the failure that it is.
    async fn put(self, upstream: &Upstream) -> Result<(), UpstreamError> {
        let Self { gateway, snapshot, direct, call, prepared } = self;
        let id = request_id::fresh();
        let request = UpstreamRequest {
            method: Method::POST,
            provider: direct.provider,
            base_url: &direct.key.base_url,
            path: &prepared.path,
            tls: direct.key.tls,
            credential: direct.key.credential.as_ref().map(Secret::expose),
            auth: prepared.way.auth,
            extra_headers: &direct.default_headers,
            content_type: &prepared.content_type,
            forwarded: None,
            handed_on: Vec::new(),
            request_id: &id,
            is_stream: false,
            body: prepared.body,
        };
        let mut response = upstream.send(&snapshot, &gateway.tls, request).await?;
        let way = prepared.way;
        if !(200..300).contains(&response.status) {
            let text = response.error_text().await;
            return Err(codec::refusal(way.dialect, response.status, response.retry_after, &text));
        }
        let body = response.body.read_all(MAX_ANSWER_BYTES).await?;
        match way.dialect == DIALECT {
            true => codec::own_reply(way.task, way.dialect, body, &call.model_json).map(drop),
            false => codec::translated_reply(way.task, way.dialect, DIALECT, &body, &stamp(call)).map(drop),
        }
    }
}

/// What a translated answer is marked with, which nobody sees.
fn stamp(call: &Call) -> Stamp {
    Stamp {
        model: call.model_json.clone(),
        id: "check".into(),
        created: 0,
        wants_usage: false,
        wants_base64: false,
        echo: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::UpstreamRefusal;

    #[test]
    fn a_status_that_says_nothing_is_ignored_and_no_answer_in_time_is_one() {
        let check = BackgroundCheck {
            interval: std::time::Duration::from_secs(5),
            timeout: std::time::Duration::from_secs(1),
            prompt: "p".into(),
            max_tokens: 1,
            stale_after: std::time::Duration::from_secs(1),
            ignore_statuses: vec![408, 429],
        };
        let refused = |status| {
            UpstreamError::Refused(Box::new(UpstreamRefusal { status, ..UpstreamRefusal::default() }))
        };
        for (error, expected) in [
            (refused(Some(503)), Check::Failed(Some(503))),
            (refused(Some(429)), Check::Ignored(429)),
            (refused(None), Check::Failed(None)),
            (UpstreamError::Late { after: check.timeout }, Check::Ignored(408)),
            (UpstreamError::BrokeOff, Check::Failed(None)),
        ] {
            assert_eq!(judged(status_of(&error), &check), expected, "{error:?}");
        }
    }
}
