//! The proxy's routes, made from the table of endpoints.

use std::rc::Rc;

use actix_web::http::header::{HeaderValue, SERVER};
use actix_web::middleware::DefaultHeaders;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::endpoints::{self, ENDPOINTS, Endpoint};
use crate::envelope::Failure;
use crate::error::RequestError;
use crate::gateway::Worker;
use crate::pipeline::{self, request_id};

/// `Server` on every response.
pub(super) const SERVER_NAME: &str = concat!("AISIX/", env!("CARGO_PKG_VERSION"));

/// Longest part of a path that an error repeats.
const SHOWN_PATH: usize = 128;

pub(super) fn server_header() -> DefaultHeaders {
    DefaultHeaders::new().add((SERVER, HeaderValue::from_static(SERVER_NAME)))
}

pub(super) fn configure(worker: Rc<Worker>, routes: &mut web::ServiceConfig) {
    for endpoint in &ENDPOINTS {
        routes.service(resource(&worker, endpoint));
    }
    let unknown = move |request: HttpRequest| {
        let refusal = unknown_path(&worker, &request);
        async move { Err::<HttpResponse, _>(refusal) }
    };
    routes.default_service(web::to(unknown));
}

fn resource(worker: &Rc<Worker>, endpoint: &'static Endpoint) -> actix_web::Resource {
    let (serving, refusing) = (worker.clone(), worker.clone());
    let serve = move |request: HttpRequest, payload: web::Payload| {
        pipeline::serve(serving.clone(), endpoint, request, payload.into_inner())
    };
    let refuse = move |request: HttpRequest| {
        let refusal = wrong_method(&refusing, endpoint, &request);
        async move { Err::<HttpResponse, _>(refusal) }
    };
    web::resource(endpoint.path)
        .route(web::method(endpoint.method.clone()).to(serve))
        .default_service(web::to(refuse))
}

fn unknown_path(worker: &Worker, request: &HttpRequest) -> Failure {
    let method = request.method().to_string();
    let path = request.path().chars().filter(|character| !character.is_control()).take(SHOWN_PATH).collect();
    let failure = Failure::new(RequestError::UnknownPath { method, path }, endpoints::envelope_of(request.path()));
    Failure { request_id: Some(request_id::of(worker, request.headers())), ..failure }
}

fn wrong_method(worker: &Worker, endpoint: &Endpoint, request: &HttpRequest) -> Failure {
    let error = RequestError::WrongMethod {
        method: request.method().to_string(),
        allowed: endpoint.method.to_string(),
    };
    let failure = Failure::new(error, endpoint.envelope);
    Failure { request_id: Some(request_id::of(worker, request.headers())), ..failure }
}
