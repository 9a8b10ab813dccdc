//! Screen: is this fit to be asked, and fit to be answered? Runs the caller's guardrails over a request and over a whole
//! answer.
//!
//! A request is screened before anything is taken for it. An answer is screened after its tokens are charged, which were
//! spent whatever it says, and before it is remembered. One from the cache is screened again: it was fit when it was
//! stored, perhaps for another caller and by other rules.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::HeaderValue;
use bytes::Bytes;

use super::exchange::Exchange;
use crate::config::snapshot::{ApiKey, Snapshot};
use crate::dialect::form::Form;
use crate::dialect::raw::RawObject;
use crate::dialect::{Body, Call};
use crate::error::{Fault, GatewayError, RequestError, UpstreamError};
use crate::gateway::Worker;
use crate::guardrails::audit::Audit;
use crate::guardrails::chain::Subject;
use crate::guardrails::opaque;
use crate::guardrails::passage::Passage;
use crate::guardrails::screening::{Finding, Screening, Step};
use crate::guardrails::slots::Slots;
use crate::guardrails::webhook::{self, Opinion};
use crate::guardrails::{Blocked, Chain, Guardrail, Hook, Judge};
use crate::upstream::webhook::Question;

/// The guardrails that govern an exchange, and what they did.
#[derive(Debug)]
pub struct Guard {
    /// Who judges.
    pub chain: Chain,
    /// What they said.
    pub audit: Audit,
}

/// Finds the guardrails of a call, and screens it. Masked, the call has other words.
///
/// # Errors
/// 422 naming the guardrail that blocks.
pub async fn request(exchange: &mut Exchange, caller: &ApiKey, call: &mut Call) -> Result<(), GatewayError> {
    // The usual case costs no more than this.
    if exchange.snapshot.guardrails.is_empty() || !exchange.endpoint.operation.is_screened() {
        return Ok(());
    }
    let Some(model) = &exchange.model else { return Ok(()) };
    let subject =
        Subject { model_id: &model.model.id, api_key_id: &caller.id, team_id: caller.team_id.as_deref() };
    let chain = exchange.snapshot.guardrails.chain(&subject);
    if chain.is_empty() {
        return Ok(());
    }
    let has_input = chain.has(Hook::Input);
    exchange.guard = Some(Box::new(Guard { chain, audit: Audit::default() }));
    if !has_input {
        return Ok(());
    }
    match &call.body {
        Body::Json(object) => {
            let mut slots = Slots::of_request(object);
            let passages = slots.passages();
            let passages = screen(exchange, Hook::Input, passages).await?;
            if let Some(body) = slots.rewrite(&passages) {
                // What was an object stays one.
                call.rewrite(Body::Json(RawObject::parse(body).map_err(|_| Fault::Panic)?));
            }
        }
        Body::Form(form) => {
            // All fields are judged, and the prompt is what is masked.
            let fields: Vec<_> = form.texts().filter(|(name, _)| *name != "model").collect();
            let prompt = fields.iter().position(|(name, _)| *name == "prompt");
            let passages = fields.into_iter().map(|(_, text)| Passage::new(text.into_owned())).collect();
            let passages = screen(exchange, Hook::Input, passages).await?;
            let prompt = prompt.and_then(|place| passages.get(place));
            if let Some(passage) = prompt.filter(|passage| passage.is_changed()) {
                let changed = form.with("prompt", passage.current()).concat();
                let form = Form::parse(changed.into(), form.content_type());
                call.rewrite(Body::Form(form.map_err(|_| Fault::Panic)?));
            }
        }
        // All of it is judged, and none of it masked: nobody here knows what it means (§11.14).
        Body::Opaque(bytes) => {
            let passages = match opaque::passages(bytes) {
                None if blocker(exchange, Hook::Input).is_some() => return Err(unreadable()),
                passages => passages.unwrap_or_default(),
            };
            screen(exchange, Hook::Input, passages).await?;
        }
    }
    Ok(())
}

/// Screens a text that is no JSON, and gives what of it may go out.
///
/// # Errors
/// 422 naming the guardrail that blocks.
pub async fn text(exchange: &mut Exchange, body: Bytes) -> Result<Bytes, GatewayError> {
    let passages = vec![Passage::new(String::from_utf8_lossy(&body).into_owned())];
    let passages = screen(exchange, Hook::Output, passages).await?;
    let changed = passages.first().filter(|passage| passage.is_changed());
    Ok(changed.map_or(body, |passage| Bytes::copy_from_slice(passage.current().as_bytes())))
}

/// Screens what goes with a request that nobody here knows: its query, and how its body is packed.
///
/// # Errors
/// 422 naming the guardrail that blocks; 400 for a body that cannot be read.
pub async fn around(
    exchange: &mut Exchange,
    query: Option<&str>,
    encoding: Option<&HeaderValue>,
) -> Result<(), GatewayError> {
    if !exchange.guard.as_ref().is_some_and(|guard| guard.chain.has(Hook::Input)) {
        return Ok(());
    }
    if encoding.is_some_and(is_packed) && blocker(exchange, Hook::Input).is_some() {
        return Err(unreadable());
    }
    if let Some(query) = query {
        let passages = opaque::passages(query.as_bytes()).ok_or_else(unreadable)?;
        screen(exchange, Hook::Input, passages).await?;
    }
    Ok(())
}

/// Screens an answer that nobody here knows; it goes out as it is.
///
/// # Errors
/// 422 naming the guardrail that blocks, or the first of those that could not read it.
pub async fn opaque_answer(
    exchange: &mut Exchange,
    body: &Bytes,
    encoding: Option<&HeaderValue>,
) -> Result<(), GatewayError> {
    let passages = opaque::passages(body).filter(|_| body.is_empty() || !encoding.is_some_and(is_packed));
    if let Some(passages) = passages {
        return screen(exchange, Hook::Output, passages).await.map(drop);
    }
    let Some(guardrail) = blocker(exchange, Hook::Output) else { return Ok(()) };
    let blocked = Blocked { hook: Hook::Output, guardrail };
    log_refusal(exchange, &blocked);
    Err(blocked.into())
}

/// The name of the first guardrail that may block.
fn blocker(exchange: &Exchange, hook: Hook) -> Option<Arc<str>> {
    let chain = &exchange.guard.as_ref()?.chain;
    chain.at(hook).find(|member| !member.is_monitor()).map(|member| member.name.clone())
}

fn is_packed(encoding: &HeaderValue) -> bool {
    !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")
}

fn unreadable() -> GatewayError {
    RequestError::invalid("a body that is judged must be UTF-8, without a content-encoding").into()
}

/// Whether what is judged may go out in other words.
#[must_use]
pub fn may_mask(exchange: &Exchange) -> bool {
    let masks = |member: &Arc<Guardrail>| {
        !member.is_monitor() && matches!(member.judge, Judge::Pii(_) | Judge::Webhook(_))
    };
    exchange.guard.as_ref().is_some_and(|guard| guard.chain.at(Hook::Output).any(masks))
}

/// Whether an answer is judged before it goes out.
#[must_use]
pub fn judges_answers(exchange: &Exchange) -> bool {
    exchange.guard.as_ref().is_some_and(|guard| guard.chain.has(Hook::Output))
}

/// Screens a whole answer, and gives what of it may go out.
///
/// # Errors
/// 422 naming the guardrail that blocks; 502 for an answer that cannot be screened.
pub async fn answer(exchange: &mut Exchange, body: Bytes) -> Result<Bytes, GatewayError> {
    if !judges_answers(exchange) {
        return Ok(body);
    }
    let undecodable = |_| UpstreamError::Undecodable { reason: "it is no JSON object".into() };
    let mut slots = Slots::of_answer(&body).map_err(undecodable)?;
    let passages = slots.passages();
    let passages = screen(exchange, Hook::Output, passages).await?;
    Ok(slots.rewrite(&passages).unwrap_or(body))
}

/// Lets the chain judge, and asks those of it that are elsewhere.
async fn screen(
    exchange: &mut Exchange,
    hook: Hook,
    passages: Vec<Passage>,
) -> Result<Vec<Passage>, GatewayError> {
    let Some(guard) = &mut exchange.guard else { return Ok(passages) };
    guard.audit.apply(&guard.chain, hook);
    let mut screening = Screening::begin(&guard.chain, hook, passages);
    loop {
        let began = Instant::now();
        let finding = match screening.step() {
            Step::Over => break,
            Step::Judged(finding) => Some(finding),
            Step::Ask(member) => {
                let opinion = ask(exchange, &member, hook, &screening.texts()).await;
                screening.take(opinion)
            }
        };
        if let Some(finding) = finding {
            note(exchange, &finding, hook, began);
        }
    }
    if let Some(guard) = &mut exchange.guard {
        guard.audit.close(hook);
    }
    screening.end().map_err(|blocked| {
        log_refusal(exchange, &blocked);
        blocked.into()
    })
}

/// Takes note of what one member said; the log is told of a refusal.
pub fn note(exchange: &mut Exchange, finding: &Finding, hook: Hook, began: Instant) {
    let Some(guard) = &mut exchange.guard else { return };
    guard.audit.note(finding, hook, began.elapsed());
}

/// Says in the log that a guardrail has refused; no word of what it refused.
pub fn log_refusal(exchange: &Exchange, blocked: &Blocked) {
    let reason = exchange.guard.as_ref().and_then(|guard| {
        let last = guard.audit.verdicts.last()?;
        let failure = last.failure.map(|failure| failure.as_str().to_owned());
        failure.or_else(|| last.reason.as_ref().map(ToString::to_string))
    });
    log::warn!(
        "guardrail \"{}\" blocked: hook={} model={:?} reason={} request_id={}",
        blocked.guardrail,
        blocked.hook.as_str(),
        exchange.model.as_ref().map_or("", |resolved| &resolved.model.name),
        reason.as_deref().unwrap_or("match"),
        exchange.request_id.to_str().unwrap_or_default(),
    );
}

/// Asks a judge that is elsewhere.
pub async fn ask(exchange: &Exchange, member: &Guardrail, hook: Hook, texts: &[String]) -> Opinion {
    let body = question(exchange, member, hook, texts);
    put(&exchange.worker, &exchange.snapshot, &exchange.request_id, member, body, texts.len()).await
}

/// The body of a question.
#[must_use]
pub fn question(exchange: &Exchange, member: &Guardrail, hook: Hook, texts: &[String]) -> Vec<u8> {
    let caller = exchange.caller.as_deref();
    let question = webhook::Question {
        hook: hook.as_str(),
        guardrail: &member.name,
        model: exchange.model.as_ref().map_or("", |resolved| &resolved.model.name),
        api_key_id: caller.map_or("", |caller| &caller.id),
        team_id: caller.and_then(|caller| caller.team_id.as_deref()),
        request_id: exchange.request_id.to_str().unwrap_or_default(),
        texts,
    };
    question.to_json()
}

/// Puts a question about so many texts to a judge.
pub async fn put(
    worker: &Worker,
    snapshot: &Snapshot,
    request_id: &HeaderValue,
    member: &Guardrail,
    body: Vec<u8>,
    texts: usize,
) -> Opinion {
    let Judge::Webhook(webhook) = &member.judge else { return Opinion::Allow };
    let question = Question { webhook, request_id, body, texts };
    worker.upstream.ask_judge(snapshot, &worker.gateway.tls, question).await
}
