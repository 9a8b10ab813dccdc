//! The collections of the Admin API: the same routes for every kind of resource.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{authenticate, body, wrong_method};
use crate::config::{Entry, Kind, Origin, Snapshot, check_json};
use crate::dialect::whole::Whole;
use crate::envelope::{Envelope, Failure};
use crate::error::{AdminError, GatewayError};
use crate::gateway::Worker;
use crate::registry::{Action, Expected, Write, Written};

mod described;

pub(super) use described::describe;

/// Longest time for which a rotated key stays good: 30 days.
pub const MAX_GRACE_SECONDS: u64 = 30 * 24 * 3600;

/// Adds the routes of every kind, under each of its spellings.
pub(super) fn configure(worker: &Rc<Worker>, routes: &mut web::ServiceConfig) {
    for kind in Kind::ALL.iter().copied() {
        for path in paths_of(kind) {
            let one = worker.clone();
            let collection = move |request: HttpRequest, payload: web::Payload| {
                collection(one.clone(), kind, request, payload)
            };
            routes.service(web::resource(path.as_str()).to(collection));
            let one = worker.clone();
            let item =
                move |request: HttpRequest, payload: web::Payload| item(one.clone(), kind, request, payload);
            routes.service(web::resource(format!("{path}/{{id}}")).to(item));
            if kind == Kind::ApiKeys {
                let one = worker.clone();
                let rotate =
                    move |request: HttpRequest, payload: web::Payload| rotate(one.clone(), request, payload);
                routes.service(web::resource(format!("{path}/{{id}}/rotate")).to(rotate));
            }
        }
    }
}

/// The paths of a collection; API keys have two spellings.
fn paths_of(kind: Kind) -> Vec<String> {
    let alias = (kind == Kind::ApiKeys).then_some("apikeys");
    let names = std::iter::once(kind.collection()).chain(alias);
    names.map(|name| format!("/admin/v1/{name}")).collect()
}

/// One resource, as administrators see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Entry")]
struct EntryBody<'a> {
    /// The id.
    id: &'a str,
    /// What it says, with secrets masked.
    #[schemars(with = "serde_json::Value")]
    value: Box<RawValue>,
    /// How often a stored one was written; for others, how often the file was loaded.
    revision: u64,
    /// Where it comes from: `file` and `environment` are read-only here.
    #[schemars(extend("enum" = ["file", "environment", "store"]))]
    source: &'static str,
}

impl<'a> EntryBody<'a> {
    fn of(entry: &'a dyn Entry, snapshot: &Snapshot) -> Result<Self, Failure> {
        let value = entry.to_json().map_err(|error| failure(AdminError::Store(error.to_string())))?;
        let (source, revision) = match entry.origin() {
            Origin::Stored(_) => ("store", entry.revision()),
            Origin::Variable(_) => ("environment", snapshot.generation),
            Origin::Line(_) | Origin::Unknown => ("file", snapshot.generation),
        };
        Ok(Self { id: entry.id(), value, revision, source })
    }
}

async fn collection(
    worker: Rc<Worker>,
    kind: Kind,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    authenticate(&worker, &request)?;
    match request.method().as_str() {
        "GET" => {
            let snapshot = worker.gateway.snapshot();
            let entries = snapshot.resources.entries(kind);
            let entries: Result<Vec<_>, _> = entries.map(|entry| EntryBody::of(entry, &snapshot)).collect();
            Ok(HttpResponse::Ok().json(entries?))
        }
        "POST" => {
            let body = read_json(&request, payload).await?;
            submit(&worker, &request, kind, Action::Create(body)).await
        }
        _ => Err(wrong_method(&request, "GET, POST")),
    }
}

async fn item(
    worker: Rc<Worker>,
    kind: Kind,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    authenticate(&worker, &request)?;
    let id = request.match_info().get("id").unwrap_or_default().to_owned();
    let action = match request.method().as_str() {
        "GET" => return read(&worker, kind, &id),
        "PUT" => Action::Put(id, read_json(&request, payload).await?),
        "PATCH" => Action::Patch(id, read_json(&request, payload).await?),
        "DELETE" => Action::Delete(id),
        _ => return Err(wrong_method(&request, "GET, PUT, PATCH, DELETE")),
    };
    submit(&worker, &request, kind, action).await
}

fn read(worker: &Worker, kind: Kind, id: &str) -> Result<HttpResponse, Failure> {
    let snapshot = worker.gateway.snapshot();
    let entry = snapshot.resources.find(kind, id).ok_or_else(|| failure(AdminError::NotFound))?;
    let body = EntryBody::of(entry, &snapshot)?;
    Ok(HttpResponse::Ok().insert_header((ETAG, etag(body.revision))).json(body))
}

/// What a rotation may say.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    /// How long the old key stays good, in seconds; at most 30 days.
    #[schemars(with = "u64", range(max = MAX_GRACE_SECONDS))]
    grace_seconds: Whole,
}

async fn rotate(
    worker: Rc<Worker>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Failure> {
    authenticate(&worker, &request)?;
    if request.method() != actix_web::http::Method::POST {
        return Err(wrong_method(&request, "POST"));
    }
    let id = request.match_info().get("id").unwrap_or_default().to_owned();
    let text = body(payload).await?;
    let rotation: Rotation = match text.is_empty() {
        true => Rotation::default(),
        false => {
            let value = parse_json(&request, &text)?;
            let rotation = value.is_object().then(|| serde_json::from_value(value).ok()).flatten();
            rotation.ok_or_else(|| {
                invalid("schema validation failed at grace_seconds: expected whole seconds, and nothing else")
            })?
        }
    };
    if rotation.grace_seconds.0 > MAX_GRACE_SECONDS {
        let message =
            format!("schema validation failed at grace_seconds: expected at most {MAX_GRACE_SECONDS}");
        return Err(invalid(&message));
    }
    let action = Action::Rotate(id, Duration::from_secs(rotation.grace_seconds.0));
    let mut written = ask(&worker, &request, Kind::ApiKeys, action).await?;
    let plaintext = written.plaintext.take();
    let body = RotatedBody { entry: StoredBody::of(&written), plaintext: plaintext.as_deref() };
    Ok(HttpResponse::Ok().insert_header((ETAG, etag(written.revision))).json(body))
}

async fn submit(
    worker: &Worker,
    request: &HttpRequest,
    kind: Kind,
    action: Action,
) -> Result<HttpResponse, Failure> {
    let written = ask(worker, request, kind, action).await?;
    if written.value.is_none() {
        return Ok(HttpResponse::Ok().json(DeletedBody { deleted: true, id: &written.id }));
    }
    let status = if written.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    response.insert_header((ETAG, etag(written.revision)));
    if written.is_new {
        response.insert_header((LOCATION, format!("/admin/v1/{}/{}", kind.collection(), written.id)));
    }
    Ok(response.json(StoredBody::of(&written)))
}

/// A stored resource after it was written.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Stored")]
struct StoredBody<'a> {
    #[serde(flatten)]
    written: &'a Written,
    /// Always `store`.
    #[schemars(extend("const" = "store"))]
    source: &'static str,
}

/// A resource that is gone.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Deleted")]
struct DeletedBody<'a> {
    /// Always `true`.
    deleted: bool,
    /// Its id.
    id: &'a str,
}

/// An API key with a new secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rotated")]
struct RotatedBody<'a> {
    /// The API key.
    entry: StoredBody<'a>,
    /// The new key, which is shown only here.
    plaintext: Option<&'a str>,
}

impl<'a> StoredBody<'a> {
    fn of(written: &'a Written) -> Self {
        Self { written, source: "store" }
    }
}

async fn ask(worker: &Worker, request: &HttpRequest, kind: Kind, action: Action) -> Result<Written, Failure> {
    let if_match = expected(request)?;
    let registry = worker.gateway.registry();
    let registry =
        registry.ok_or_else(|| failure(AdminError::Store("the registry is not running".into())))?;
    let verb = request.method().as_str().to_owned();
    let written = registry.submit(Write { kind, action, if_match }).await.map_err(failure)?;
    log::info!("admin: {verb} {}/{} revision {}", kind.collection(), written.id, written.revision);
    Ok(written)
}

/// What `If-Match` expects: a revision, with or without quotes, or `*`; and `If-None-Match: *`, that there is nothing.
fn expected(request: &HttpRequest) -> Result<Option<Expected>, Failure> {
    if let Some(value) = request.headers().get(IF_NONE_MATCH) {
        return match value.as_bytes() {
            b"*" => Ok(Some(Expected::Nothing)),
            _ => Err(invalid("If-None-Match: only * has a meaning on a write")),
        };
    }
    let Some(value) = request.headers().get(IF_MATCH) else { return Ok(None) };
    match value.to_str().unwrap_or_default().trim() {
        "*" => Ok(Some(Expected::Any)),
        text => {
            let revision = text.strip_prefix("W/").unwrap_or(text).trim_matches('"').parse();
            let refuse = |_| invalid("If-Match: expected the revision of the resource, or *");
            revision.map(|revision| Some(Expected::Revision(revision))).map_err(refuse)
        }
    }
}

fn etag(revision: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

async fn read_json(request: &HttpRequest, payload: web::Payload) -> Result<serde_json::Value, Failure> {
    let text = body(payload).await?;
    parse_json(request, &text)
}

fn parse_json(request: &HttpRequest, text: &[u8]) -> Result<serde_json::Value, Failure> {
    let kind = request.content_type();
    if !kind.eq_ignore_ascii_case("application/json") && !kind.to_ascii_lowercase().ends_with("+json") {
        return Err(failure(AdminError::NotJson));
    }
    check_json(text).map_err(|message| invalid(&format!("the payload {message}")))
}

fn invalid(message: &str) -> Failure {
    failure(AdminError::Invalid(message.to_owned()))
}

fn failure(error: AdminError) -> Failure {
    Failure::new(GatewayError::from(error), Envelope::Admin)
}
