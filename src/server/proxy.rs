//! The proxy's routes, made from the table of endpoints.

use std::rc::Rc;

use actix_web::guard::{self, GuardContext};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::endpoints::{self, ENDPOINTS, Endpoint};
use crate::envelope::Failure;
use crate::error::RequestError;
use crate::gateway::Worker;
use crate::pipeline::{self, request_id};

/// Longest part of a path that an error repeats.
const SHOWN_PATH: usize = 128;

pub(super) fn configure(worker: Rc<Worker>, routes: &mut web::ServiceConfig) {
    for (index, endpoint) in ENDPOINTS.iter().enumerate() {
        let is_first = ENDPOINTS.iter().position(|row| row.path == endpoint.path) == Some(index);
        if is_first {
            routes.service(resource(&worker, endpoint.pattern(), endpoint));
        }
    }
    let unknown = move |request: HttpRequest| {
        let refusal = unknown_path(&worker, &request);
        async move { Err::<HttpResponse, _>(refusal) }
    };
    routes.default_service(web::to(unknown));
}

/// The rows that have their path in common with `first`, served at `path`.
pub(super) fn resource(worker: &Rc<Worker>, path: String, first: &'static Endpoint) -> actix_web::Resource {
    let mut resource = web::resource(path);
    for endpoint in ENDPOINTS.iter().filter(|row| row.path == first.path) {
        let worker = worker.clone();
        let serve = move |request: HttpRequest, payload: web::Payload| {
            pipeline::serve(worker.clone(), endpoint, request, payload.into_inner())
        };
        let is_answered =
            |request: &GuardContext<'_>| endpoint.methods().any(|own| *own == request.head().method);
        resource = resource.route(web::route().guard(guard::fn_guard(is_answered)).to(serve));
    }
    let worker = worker.clone();
    let refuse = move |request: HttpRequest| {
        let refusal = wrong_method(&worker, first, &request);
        async move { Err::<HttpResponse, _>(refusal) }
    };
    resource.default_service(web::to(refuse))
}

fn unknown_path(worker: &Worker, request: &HttpRequest) -> Failure {
    let method = request.method().to_string();
    let path = request.path().chars().filter(|character| !character.is_control()).take(SHOWN_PATH).collect();
    let failure =
        Failure::new(RequestError::UnknownPath { method, path }, endpoints::envelope_of(request.path()));
    Failure { request_id: Some(request_id::of(worker, request.headers())), ..failure }
}

fn wrong_method(worker: &Worker, endpoint: &Endpoint, request: &HttpRequest) -> Failure {
    let error = RequestError::WrongMethod {
        method: request.method().to_string(),
        allowed: methods_of(endpoint.path),
    };
    Failure {
        request_id: Some(request_id::of(worker, request.headers())),
        is_call: endpoint.operation.has_call_id(),
        ..Failure::new(error, endpoint.envelope)
    }
}

/// The methods of a path, as `Allow` lists them.
fn methods_of(path: &str) -> String {
    let methods = ENDPOINTS.iter().filter(|row| row.path == path).flat_map(Endpoint::methods);
    methods.map(|method| method.as_str()).collect::<Vec<_>>().join(", ")
}
