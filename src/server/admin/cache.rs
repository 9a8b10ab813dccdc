//! The response cache: what it holds, and away with it.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use aisix_actors::cache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{authenticate, body, wrong_method};
use crate::config::problem::did_you_mean;
use crate::config::snapshot::{CachePolicy, Snapshot};
use crate::config::{Kind, check_json};
use crate::envelope::{Envelope, Failure};
use crate::error::{AdminError, GatewayError};
use crate::gateway::Worker;
use crate::openapi::{Access, Described, Document, Stage, ok};

const PURGE: &str = "/admin/v1/cache/purge";

/// The response cache of this gateway.
#[derive(Serialize, JsonSchema)]
pub(super) struct Cache {
    /// Answers kept in this process.
    entries: u64,
    /// What they weigh, in bytes.
    bytes: u64,
    /// What they may weigh together.
    max_bytes: u64,
    /// Misses that are being filled.
    filling: usize,
    /// Requests that wait for one of them.
    waiting: usize,
    /// Requests answered from what was kept.
    hits: u64,
    /// Misses that were given to somebody to fill.
    fills: u64,
    /// Requests that waited for another one's answer.
    waits: u64,
    /// Answers kept so far.
    stored: u64,
    /// Answers thrown out for newer ones.
    evicted: u64,
    /// Answers that were larger than the cache.
    oversized: u64,
    /// Answers forgotten by purges.
    purged: u64,
}

impl Cache {
    /// Looks at the cache of a process.
    pub(super) fn inspect(worker: &Worker) -> Self {
        let gateway = &worker.gateway;
        gateway.books.cache.settle();
        let counters = gateway.books.cache.counters();
        Self {
            entries: counters.entries,
            bytes: counters.bytes,
            max_bytes: gateway.books.cache.max_bytes(),
            filling: counters.filling,
            waiting: counters.waiting,
            hits: counters.hits,
            fills: counters.fills,
            waits: counters.waits,
            stored: counters.stored,
            evicted: counters.evicted,
            oversized: counters.oversized,
            purged: counters.purged,
        }
    }
}

/// What is to be forgotten.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Purge")]
struct Purge {
    /// The name or the id of a cache policy; without it, everything.
    policy: Option<String>,
}

/// What was forgotten.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Purged")]
struct Purged {
    /// Answers in this process.
    entries: u64,
    /// What they weighed, in bytes.
    bytes: u64,
    /// Answers in Redis, where there is one for the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis_entries: Option<u64>,
}

/// Adds the routes that are no pages.
pub(super) fn configure(worker: &Rc<Worker>, routes: &mut web::ServiceConfig) {
    let worker = worker.clone();
    let serve = move |request: HttpRequest, payload: web::Payload| purge(worker.clone(), request, payload);
    routes.service(web::resource(PURGE).to(serve));
}

/// Adds them to the document.
pub(super) fn describe(document: &mut Document) {
    let schema = document.schemas.input::<Purge>();
    let described = Described {
        id: "purge_cache".to_owned(),
        tag: "status",
        summary: "Forgets the answers that are kept, all of them or those of one policy.".to_owned(),
        access: Access::Administrator,
        envelope: Envelope::Admin,
        parameters: Vec::new(),
        body: Some(json!({ "required": false, "content": { "application/json": { "schema": schema } } })),
        answers: vec![ok::<Purged>(&mut document.schemas, "What was forgotten.")],
        stages: &[Stage::Body, Stage::Resource, Stage::Write],
    };
    document.add(&Method::POST, PURGE, described);
}

async fn purge(
    worker: Rc<Worker>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    authenticate(&worker, &request)?;
    if request.method() != Method::POST {
        return Err(wrong_method(&request, "POST"));
    }
    let wish = read(&body(payload).await?)?;
    let snapshot = worker.gateway.snapshot();
    let policy = wish.policy.as_deref().map(|name| named(&snapshot, name)).transpose()?;
    // First here: what is asked from now on is not answered by what was kept before.
    let books = &worker.gateway.books;
    let forgotten = books.cache.purge(policy.as_ref());
    let redis_entries = match &books.redis.cache {
        None => None,
        Some(server) => {
            let purged = cache::purge(server, policy.as_deref()).await;
            Some(purged.map_err(|why| failure(AdminError::Store(format!("Redis: {why}"))))?)
        }
    };
    let what = wish.policy.as_deref().unwrap_or("everything");
    log::info!("admin: {} purge of {what:?}: {} entries", Kind::CachePolicies.noun(), forgotten.entries);
    let body = Purged { entries: forgotten.entries, bytes: forgotten.bytes, redis_entries };
    Ok(HttpResponse::Ok().json(body))
}

/// Reads what is to be forgotten; nothing at all means everything.
fn read(text: &[u8]) -> Result<Purge, Failure> {
    if text.is_empty() {
        return Ok(Purge::default());
    }
    let value = check_json(text).map_err(|message| invalid(&format!("the payload {message}")))?;
    let wrong = |at: &str, what: &str| invalid(&format!("schema validation failed at {at}: {what}"));
    let Some(members) = value.as_object() else { return Err(wrong("/", "expected an object")) };
    if let Some(name) = members.keys().find(|name| *name != "policy") {
        let hint = did_you_mean(name, ["policy"]);
        return Err(wrong(name, &format!("no member is called {name:?}{hint}; known here: policy")));
    }
    serde_json::from_value(value)
        .map_err(|_| wrong("policy", "expected the name or id of a cache policy, or nothing for all of them"))
}

/// The id of the policy with this name or id.
fn named(snapshot: &Snapshot, name: &str) -> Result<Arc<str>, Failure> {
    let policies = &snapshot.cache_policies;
    let is_it = |policy: &&CachePolicy| *policy.name == *name || *policy.id == *name;
    let found = policies.iter().find(is_it).map(|policy| policy.id.clone());
    found.ok_or_else(|| {
        let hint = did_you_mean(name, policies.iter().map(|policy| &*policy.name));
        failure(AdminError::NobodyCalled(format!("no cache policy is called {name:?}{hint}")))
    })
}

fn invalid(message: &str) -> Failure {
    failure(AdminError::Invalid(message.to_owned()))
}

fn failure(error: AdminError) -> Failure {
    Failure::new(GatewayError::from(error), Envelope::Admin)
}
