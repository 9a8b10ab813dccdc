//! The listener for administrators: probes, the collections of resources, how the five actors stand, and the playground.
//! Every error in the Admin envelope, but for those of the playground, which callers read.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::rc::Rc;

use actix_web::http::header::HOST;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use self::documents::Documents;
use self::pages::PAGES;
use super::proxy;
use crate::endpoints;
use crate::envelope::{Envelope, Failure};
use crate::error::{AccessError, AdminError, GatewayError, RequestError};
use crate::gateway::Worker;
use crate::openapi::{self, Access, Document};
use crate::pipeline::admit;

mod actors;
mod cache;
mod documents;
mod pages;
mod resources;
mod spend;

/// Largest payload of the Admin API.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What the document of this listener says of itself.
const DESCRIPTION: &str = "Resources, and how the gateway stands. What the configuration file declares can be read here, \
    and written only there.";

/// What the listener serves from.
struct Admin {
    worker: Rc<Worker>,
    documents: OnceCell<Documents>,
}

impl Admin {
    /// The documents of the API, made when they are first asked for.
    fn documents(&self) -> &Documents {
        self.documents.get_or_init(|| {
            let settings = self.worker.gateway.snapshot().settings.clone();
            Documents::new(document(), &settings)
        })
    }
}

pub(super) fn configure(worker: Rc<Worker>, routes: &mut web::ServiceConfig) {
    let admin = Rc::new(Admin { worker: worker.clone(), documents: OnceCell::new() });
    for row in PAGES {
        let admin = admin.clone();
        let answer = move |request: HttpRequest| {
            let admin = admin.clone();
            async move {
                if row.page.access == Access::Administrator {
                    authenticate(&admin.worker, &request)?;
                }
                (row.serve)(admin, request).await
            }
        };
        let resource = web::resource(row.page.path).route(web::get().to(answer));
        routes.service(resource.default_service(web::to(only_get)));
    }
    if let Some(row) = endpoints::playground() {
        routes.service(proxy::resource(&worker, endpoints::PLAYGROUND.to_owned(), row));
    }
    // After the pages, whose names would be ids otherwise.
    cache::configure(&worker, routes);
    resources::configure(&worker, routes);
    routes.default_service(web::to(unknown_path));
}

/// The document of everything that [`configure`] serves.
fn document() -> Bytes {
    let mut document = Document::new("AISIX Admin API", DESCRIPTION, &["/".to_owned()]);
    for row in PAGES {
        row.page.describe(&mut document, Envelope::Admin);
    }
    cache::describe(&mut document);
    resources::describe(&mut document);
    if let Some(row) = endpoints::playground() {
        openapi::describe(&mut document, row, endpoints::PLAYGROUND, "playground");
    }
    document.finish()
}

/// Asks for an administrator's key. Without any configured only this machine is served: the configuration makes sure that
/// the listener is on loopback then, but a reload may bring other keys than the listener was bound with.
fn authenticate(worker: &Worker, request: &HttpRequest) -> Result<(), Failure> {
    let settings = worker.gateway.snapshot().settings.clone();
    let is_allowed = match settings.admin.admin_keys.is_empty() {
        true => peer(request).is_some_and(|peer| peer.is_loopback()) && is_addressed_to_loopback(request),
        false => admit::credential(request.headers()).is_some_and(|key| settings.admin.accepts(key)),
    };
    if is_allowed {
        return Ok(());
    }
    let error = match worker.gateway.admin_failures.count(peer(request), AccessError::MissingKey) {
        throttled @ AccessError::Throttled { .. } => GatewayError::from(throttled),
        _ => AdminError::Unauthorized.into(),
    };
    Err(Failure::new(error, Envelope::Admin))
}

/// Whether the `Host` is this machine's own: a web page can lead its name to a loopback address and have a browser send
/// requests to it, but the browser then names the page's host.
fn is_addressed_to_loopback(request: &HttpRequest) -> bool {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) = named.or_else(|| request.uri().authority().map(|authority| authority.as_str())) else {
        return false;
    };
    let has_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| has_port(port)).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Reads a payload within its bound.
async fn body(mut payload: web::Payload) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| refuse(RequestError::invalid("failed to read the request body")))?;
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(refuse(RequestError::TooLarge { limit: MAX_BODY_BYTES as u64 }));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn refuse(error: RequestError) -> Failure {
    Failure::new(error, Envelope::Admin)
}

/// The peer itself: `proxy.real_ip` speaks of the proxies before the other listener.
fn peer(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}

pub(super) async fn unknown_path(request: HttpRequest) -> Result<HttpResponse, Failure> {
    let (method, path) = (request.method().to_string(), request.path().chars().take(128).collect());
    Err(Failure::new(RequestError::UnknownPath { method, path }, Envelope::Admin))
}

pub(super) async fn only_get(request: HttpRequest) -> Result<HttpResponse, Failure> {
    Err(wrong_method(&request, "GET"))
}

fn wrong_method(request: &HttpRequest, allowed: &str) -> Failure {
    refuse(RequestError::WrongMethod { method: request.method().to_string(), allowed: allowed.to_owned() })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn without_a_key_only_requests_to_this_machine_are_served() {
        for (host, is_own) in [
            ("127.0.0.1:3001", true),
            ("127.0.0.1", true),
            ("localhost:3001", true),
            ("LocalHost", true),
            ("[::1]:3001", true),
            ("[::1]", true),
            ("evil.example:3001", false),
            ("localhost.evil.example", false),
            ("10.0.0.1:3001", false),
            ("", false),
        ] {
            let request = TestRequest::default().insert_header((HOST, host)).to_http_request();
            assert_eq!(is_addressed_to_loopback(&request), is_own, "{host}");
        }
    }
}
