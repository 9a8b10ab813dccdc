//! The listener for metrics and status, and the pages that it shares with the one for administrators (§1.4, §12.4).
//!
//! It asks for no key: it tells of models, targets and callers by name, never what they said.

use std::rc::Rc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpResponse, web};
use aisix_actors::types::Now;
use schemars::JsonSchema;
use serde::Serialize;

use super::admin::{only_get, unknown_path};
use crate::config::snapshot::{Dispatch, Model};
use crate::gateway::{Gateway, Worker};
use crate::telemetry::exposition;

/// A page that only looks.
type Page = fn(&Gateway) -> HttpResponse;

pub(super) fn configure(worker: Rc<Worker>, routes: &mut web::ServiceConfig) {
    let metrics_path = worker.gateway.snapshot().settings.observability.metrics.prometheus.path();
    let pages: [(&str, Page); 4] = [
        ("/status/ready", ready),
        ("/status/models", models),
        ("/status/config", config),
        (&metrics_path, metrics),
    ];
    for (path, page) in pages {
        let gateway = worker.gateway.clone();
        let answer = move || std::future::ready(page(&gateway));
        let resource = web::resource(path).route(web::get().to(answer));
        routes.service(resource.default_service(web::to(only_get)));
    }
    routes.default_service(web::to(unknown_path));
}

/// `GET /metrics`.
fn metrics(gateway: &Gateway) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(exposition::CONTENT_TYPE)))
        .body(exposition::of(gateway))
}

/// `GET /status/ready`: a process that serves has a configuration.
fn ready(_: &Gateway) -> HttpResponse {
    HttpResponse::build(StatusCode::OK).content_type("text/plain; charset=utf-8").body("ok")
}

/// `GET /status/config`: what is applied, and what was refused (§12.5).
fn config(gateway: &Gateway) -> HttpResponse {
    HttpResponse::Ok().json(gateway.status.load().to_json())
}

/// Where a model stands.
#[derive(Serialize, JsonSchema)]
pub(super) struct ModelStatus<'a> {
    /// Its id.
    id: &'a str,
    /// The name that callers send.
    display_name: &'a str,
    /// `direct` or `routing`.
    kind: &'static str,
    /// `healthy`, `unhealthy` or `cooldown`; `not_applicable` where it has no target of its own.
    status: &'static str,
    /// Until when it is not preferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown_until: Option<Time>,
    /// When it was last checked in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_checked_at: Option<Time>,
    /// The status that its last failed background check saw; 408: no answer in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_check_status: Option<u16>,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<&'static str>,
}

/// A time as the specification spells it.
#[derive(Serialize, JsonSchema)]
struct Time {
    /// Whole seconds since 1970.
    secs_since_epoch: u64,
    /// And nanoseconds.
    nanos_since_epoch: u32,
}

impl From<Duration> for Time {
    fn from(unix: Duration) -> Self {
        Self { secs_since_epoch: unix.as_secs(), nanos_since_epoch: unix.subsec_nanos() }
    }
}

/// Where every model stands; a model without a target of its own is not applicable.
pub(super) fn models(gateway: &Gateway) -> HttpResponse {
    let (now, snapshot) = (Now::read(), gateway.snapshot());
    let row = |model: &Model| -> (&'static str, &'static str, Option<_>) {
        match &model.dispatch {
            Dispatch::Routing(_) => ("routing", "not_applicable", None),
            Dispatch::Direct(_) => {
                let status = gateway.books.health.status(&model.id, now);
                ("direct", status.condition.as_str(), Some(status))
            }
        }
    };
    let rows = snapshot.models().map(|model| {
        let (kind, status, details) = row(model);
        ModelStatus {
            id: &model.id,
            display_name: &model.name,
            kind,
            status,
            cooldown_until: details.as_ref().and_then(|status| status.cooldown_until).map(Time::from),
            last_checked_at: details.as_ref().and_then(|status| status.last_checked_at).map(Time::from),
            last_check_status: details.as_ref().and_then(|status| status.last_check_status),
            status_reason: details.and_then(|status| status.reason).map(|reason| reason.as_str()),
        }
    });
    HttpResponse::Ok().json(rows.collect::<Vec<_>>())
}

/// How the gateway stands.
#[derive(Serialize, JsonSchema)]
pub(super) struct Health<'a> {
    /// `ok`, `degraded` or `unhealthy`.
    status: &'static str,
    /// Every model.
    models: Vec<ModelHealth<'a>>,
}

/// How a model stands.
#[derive(Serialize, JsonSchema)]
struct ModelHealth<'a> {
    /// Its id.
    id: &'a str,
    /// The name that callers send.
    name: &'a str,
    /// 0: well; 1: degraded, by 4 failures one after the other; 2: down, by 8. A routing model is as well as the best of its
    /// targets, and degraded while one of them is.
    health: u8,
}

/// How the gateway stands: as the worst of its models.
pub(super) fn health(gateway: &Gateway) -> HttpResponse {
    let (now, snapshot) = (Now::read(), gateway.snapshot());
    let models: Vec<_> = snapshot
        .models()
        .map(|model| ModelHealth { id: &model.id, name: &model.name, health: grade(gateway, model, now) })
        .collect();
    // A file that was refused, a store that cannot be used and a Redis that is away are no model's fault, and ask for an operator.
    let is_in_sync = matches!(gateway.status.load().state(), "synced" | "empty")
        && gateway.journal.health() == crate::journal::Health::Well
        && crate::redis::health(gateway).is_none_or(|health| health == crate::journal::Health::Well);
    let status = match models.iter().map(|model| model.health).max() {
        Some(2..) => "unhealthy",
        Some(1) => "degraded",
        _ if !is_in_sync => "degraded",
        _ => "ok",
    };
    HttpResponse::Ok().json(Health { status, models })
}

/// Failures one after the other from which a model is degraded, and from which it is down (§6.8).
const DEGRADED_FROM: u32 = 4;
const DOWN_FROM: u32 = 8;

/// 0 for well, 1 for degraded or for a choice of which a part is, 2 for down.
fn grade(gateway: &Gateway, model: &Model, now: Now) -> u8 {
    match &model.dispatch {
        Dispatch::Direct(_) => match gateway.books.health.status(&model.id, now).consecutive_failures {
            DOWN_FROM.. => 2,
            DEGRADED_FROM.. => 1,
            _ => 0,
        },
        Dispatch::Routing(routing) => {
            let grades = || routing.members.iter().map(|member| grade(gateway, member, now));
            let (best, worst) = (grades().min().unwrap_or(2), grades().max().unwrap_or(2));
            if best == 0 { worst.min(1) } else { best }
        }
    }
}
