//! The listener for administrators: probes, and how the five actors stand. Every error in the Admin envelope.

use std::rc::Rc;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse, web};
use aisix_actors::Inspection;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::status;
use crate::envelope::{Envelope, Failure};
use crate::error::{AccessError, RequestError};
use crate::gateway::{Gateway, Worker};
use crate::operation::Operation;
use crate::pipeline::own;

/// A page for administrators.
type Page = fn(&Gateway) -> HttpResponse;

/// The pages that only look.
const PAGES: [(&str, Page); 2] =
    [("/admin/v1/health", status::health), ("/admin/v1/models/status", status::models)];

pub(super) fn configure(worker: Rc<Worker>, routes: &mut web::ServiceConfig) {
    for (path, operation) in [("/livez", Operation::Livez), ("/readyz", Operation::Readyz)] {
        let worker = worker.clone();
        let answer = move |request: HttpRequest| {
            let response = own::probe(operation, worker.gateway.is_draining(), own::is_verbose(&request));
            async move { response }
        };
        routes
            .service(web::resource(path).route(web::get().to(answer)).default_service(web::to(wrong_method)));
    }
    for (path, page) in PAGES {
        let worker = worker.clone();
        let answer = move |request: HttpRequest| {
            let worker = worker.clone();
            async move {
                authenticate(&worker, &request)?;
                Ok::<_, Failure>(page(&worker.gateway))
            }
        };
        let resource = web::resource(path).route(web::get().to(answer));
        routes.service(resource.default_service(web::to(wrong_method)));
    }
    let actors = move |request: HttpRequest| actors(worker.clone(), request);
    let resource = web::resource("/admin/v1/actors");
    routes.service(resource.route(web::get().to(actors)).default_service(web::to(wrong_method)));
    routes.default_service(web::to(unknown_path));
}

/// `GET /admin/v1/actors`: the counters of the five actors' books, and how many exchanges are open.
async fn actors(worker: Rc<Worker>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    authenticate(&worker, &request)?;
    let Inspection { limiter, ledger, cache, router, pool } = worker.actors.inspect().await;
    let body = json!({
        "open_exchanges": worker.gateway.open_exchanges(),
        "rate_limiter": {
            "scopes": limiter.scopes,
            "held": limiter.held,
            "admitted": limiter.admitted,
            "refused": limiter.refused,
        },
        "budget_ledger": {
            "budgets": ledger.budgets,
            "holds": ledger.holds,
            "held_usd": ledger.held.to_usd_exact(),
            "admitted": ledger.admitted,
            "refused": ledger.refused,
        },
        "cache": {
            "entries": cache.entries,
            "bytes": cache.bytes,
            "filling": cache.filling,
            "waiting": cache.waiting,
            "hits": cache.hits,
        },
        "candidate_router": {
            "targets": router.targets,
            "in_flight": router.in_flight,
            "planned": router.planned,
            "succeeded": router.succeeded,
            "failed": router.failed,
            "cooled": router.cooled,
        },
        "provider_pool": {
            "keys": pool.keys,
            "in_flight": pool.in_flight,
            "leased": pool.leased,
            "refused": pool.refused,
        },
    });
    Ok(HttpResponse::Ok().json(body))
}

/// Compares digests, so that the time it takes tells nothing about the key.
fn authenticate(worker: &Worker, request: &HttpRequest) -> Result<(), Failure> {
    let settings = worker.gateway.snapshot().settings.clone();
    let keys = &settings.admin.admin_keys;
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let offered =
        header.and_then(|value| value.strip_prefix("Bearer ")).map(|token| Sha256::digest(token.trim()));
    // Without a key the listener is on loopback only: the configuration makes sure of it.
    let is_known = offered.is_some_and(|digest| keys.iter().any(|key| key.0 == <[u8; 32]>::from(digest)));
    if keys.is_empty() || is_known {
        Ok(())
    } else {
        Err(Failure::new(AccessError::MissingKey, Envelope::Admin))
    }
}

pub(super) async fn unknown_path(request: HttpRequest) -> Result<HttpResponse, Failure> {
    let (method, path) = (request.method().to_string(), request.path().chars().take(128).collect());
    Err(Failure::new(RequestError::UnknownPath { method, path }, Envelope::Admin))
}

pub(super) async fn wrong_method(request: HttpRequest) -> Result<HttpResponse, Failure> {
    let error = RequestError::WrongMethod { method: request.method().to_string(), allowed: "GET".to_owned() };
    Err(Failure::new(error, Envelope::Admin))
}
