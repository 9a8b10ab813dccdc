//! Tunnel: `/passthrough/{provider}/…` reaches anything that a provider's own API has, with the gateway's credential.
//!
//! The request goes out and the answer comes back as they are, but for the headers that belong to a connection or to a
//! credential (§11.13). No dialect, no cache, no second try: nobody here knows what the request does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST,
    HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use aisix_actors::candidate_router::{AttemptFailure, AttemptOutcome};
use bytes::Bytes;
use smallvec::SmallVec;

use super::admit::credential;
use super::attempt::failed;
use super::bytes::{body, whole};
use super::engage::engage;
use super::exchange::{Engaged, Exchange, Outcome};
use super::headers;
use super::patience::{Patience, within};
use super::receive::shown;
use super::{reserve, screen};
use crate::config::snapshot::{ApiKey, Direct, Dispatch, Model, Resolved};
use crate::dialect::raw::{RawError, RawObject};
use crate::dialect::{Body, Call};
use crate::error::{AccessError, Fault, GatewayError, RequestError, UpstreamError};
use crate::telemetry::record::{Attempt, AttemptKind};
use crate::upstream::{UpstreamBody, UpstreamRequest, UpstreamResponse};

/// Headers of one connection (RFC 9110, §7.6.1), and those that are made anew.
const OF_THE_CONNECTION: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    CONTENT_LENGTH,
    HOST,
];

/// Headers with which callers authenticate here; providers must not see them.
const OF_THE_CALLER: [HeaderName; 6] = [
    AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// What a header's name begins with that is between callers and the gateway, which writes its own request id.
const OF_THE_GATEWAY: &str = "x-aisix-";

/// Finds the model whose provider key is lent to a request, and makes a call of it.
///
/// # Errors
/// 400 for a path that leads upwards; 404 where no model of the provider is configured, 403 where the key may use none of them,
/// or not from there.
pub fn receive(
    exchange: &mut Exchange,
    request: &HttpRequest,
    bytes: Bytes,
    caller: &ApiKey,
) -> Result<Call, GatewayError> {
    if has_dots(request.uri().path()) {
        return Err(RequestError::invalid("the path must not lead upwards").into());
    }
    let provider = request.match_info().get("provider").unwrap_or_default();
    let is_its = |model: &&Arc<Model>| match &model.dispatch {
        Dispatch::Direct(direct) => direct.provider_label.eq_ignore_ascii_case(provider),
        Dispatch::Routing(_) => false,
    };
    let snapshot = exchange.snapshot.clone();
    let models = || snapshot.models().filter(is_its);
    if models().next().is_none() {
        return Err(AccessError::UnknownProvider(shown(provider)).into());
    }
    let named = named_model(&bytes)?.and_then(|name| Some((snapshot.resolve(&name)?, name)));
    let named = named.filter(|(named, _)| is_its(&&named.model));
    // What is configured here has its limits and its price, and who may not use it may not by this way either.
    if let Some((_, name)) = named.as_ref().filter(|(_, name)| !caller.allows(name)) {
        return Err(AccessError::ModelNotAllowed(shown(name)).into());
    }
    let named = named.map(|(named, _)| named);
    exchange.is_model_named = named.is_some();
    let address = exchange.client.ip;
    let lenders = || models().filter(|model| caller.allows(&model.name));
    // Where none of them admits the caller, the first says so.
    let lender = lenders().find(|model| model.admits(address)).or_else(|| lenders().next()).cloned();
    let resolved = named.or_else(|| Some(Resolved { model: lender?, capture: None }));
    let resolved = resolved.ok_or_else(|| AccessError::ProviderNotAllowed(shown(provider)))?;
    let (name, admits) = (resolved.model.name.clone(), resolved.model.admits(address));
    exchange.model = Some(resolved);
    if !admits {
        return Err(AccessError::AddressNotAllowed(shown(&name)).into());
    }
    Ok(Call::opaque(Body::Opaque(bytes), &name))
}

/// The model that a body names, where it is an object that does.
///
/// # Errors
/// It names two: nobody knows which of them the provider would take.
fn named_model(body: &Bytes) -> Result<Option<String>, RequestError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Ok(None);
    }
    match RawObject::parse(body.clone()) {
        Ok(object) => Ok(object.member("model").and_then(|raw| serde_json::from_str(raw).ok())),
        Err(error @ RawError::Repeated(_)) => Err(RequestError::invalid(error.to_string())),
        Err(_) => Ok(None),
    }
}

/// Asks the provider and hands its answer on.
///
/// # Errors
/// What the gateway itself refuses, and failures to reach the provider; whatever the provider says is its answer.
pub async fn tunnel(
    mut exchange: Exchange,
    request: HttpRequest,
    caller: Arc<ApiKey>,
    call: Call,
) -> Result<HttpResponse, GatewayError> {
    match ask(&mut exchange, &request, &caller, call).await {
        Ok(Asked::Judged(response)) => {
            let settled = exchange.settle().await;
            exchange.note_standing(settled.as_ref());
            exchange.conclude(Outcome::Answered(response.status().as_u16()));
            Ok(response)
        }
        Ok(Asked::Live(upstream, gap)) => {
            let response = head(&exchange, &upstream);
            let upstream = without_body(request.method(), upstream);
            Ok(response.map_body(|_, ()| body(exchange, upstream, gap)).map_into_boxed_body())
        }
        Err(error) => {
            exchange.fail(&error);
            exchange.settle().await;
            Err(error)
        }
    }
}

/// A provider's answer.
enum Asked {
    /// Read and judged.
    Judged(HttpResponse),
    /// To be handed on as it comes, with the longest silence in it.
    Live(UpstreamResponse, Option<Duration>),
}

async fn ask(
    exchange: &mut Exchange,
    request: &HttpRequest,
    caller: &ApiKey,
    mut call: Call,
) -> Result<Asked, GatewayError> {
    screen::request(exchange, caller, &mut call).await?;
    screen::around(exchange, request.uri().query(), request.headers().get(CONTENT_ENCODING)).await?;
    let (upstream, gap) = reach(exchange, request, caller, &mut call).await?;
    if !screen::judges_answers(exchange) {
        return Ok(Asked::Live(upstream, gap));
    }
    let response = head(exchange, &upstream);
    let upstream = without_body(request.method(), upstream);
    let limit = exchange.snapshot.settings.upstream.max_response_bytes;
    let bytes = whole(upstream.body, gap, limit).await.map_err(|error| exchange.broke_off(error))?;
    let encoding = response.headers().get(CONTENT_ENCODING);
    screen::opaque_answer(exchange, &bytes, encoding).await?;
    Ok(Asked::Judged(response.map_body(|_, ()| bytes).map_into_boxed_body()))
}

type Reached = (UpstreamResponse, Option<Duration>);

async fn reach(
    exchange: &mut Exchange,
    request: &HttpRequest,
    caller: &ApiKey,
    call: &mut Call,
) -> Result<Reached, GatewayError> {
    let model = exchange.named_model()?;
    let Dispatch::Direct(direct) = &model.dispatch else {
        return Err(Fault::ProviderUnavailable(call.model.clone()).into());
    };
    let candidates = reserve::reserve(exchange, request.headers(), caller, call, &model).await?;
    let Some(candidate) = candidates.into_iter().next() else {
        return Err(Fault::AllUnavailable { model: call.model.clone(), retry_after: None }.into());
    };
    exchange.attempts.push(Attempt::begin(&model, AttemptKind::Initial, false));
    let engaged = engage(exchange, call, &model, direct, &candidate, candidate.begin_anyway()).await?;
    let patience = Patience::of(&exchange.snapshot.settings, &model, None);
    exchange.last_attempt(|attempt| attempt.is_sent = true);
    let started = Instant::now();
    let sent = within(patience.stream_head(), send(exchange, request, call, direct, &engaged)).await;
    let router = &exchange.worker.actors.router;
    match sent {
        Ok(mut response) => {
            let latency = started.elapsed();
            if let Some(outcome) = came_to(&response, latency).filter(|_| exchange.is_model_named) {
                router.report(&candidate, outcome, None);
            }
            exchange.upstream_time = latency;
            let id = response.request_id.take();
            exchange.last_attempt(|attempt| attempt.provider_request_id = id);
            exchange.responded = Some(exchange.opened.elapsed());
            exchange.engaged = Some(engaged);
            Ok((response, patience.gap))
        }
        Err(error) => {
            let error = error.tidied(engaged.credential());
            router.report(&candidate, failed(&error), engaged.in_flight);
            exchange.worker.actors.pool.give_back(engaged.lease);
            let error = GatewayError::from(error);
            exchange.last_attempt(|attempt| attempt.fail(&error));
            Err(error)
        }
    }
}

/// What the router is told of an answer to a request that names its model: a status of failure is the caller's to read,
/// and may cool the model all the same.
///
/// Whom a provider does not let in tells nothing: callers' headers go out as they are, and may be the reason.
fn came_to(response: &UpstreamResponse, latency: Duration) -> Option<AttemptOutcome> {
    let UpstreamResponse { status, retry_after, .. } = *response;
    match status {
        ..=399 => Some(AttemptOutcome::Succeeded { latency }),
        401 | 403 => None,
        _ => Some(AttemptOutcome::Failed { failure: AttemptFailure::Status(status), retry_after }),
    }
}

async fn send(
    exchange: &Exchange,
    request: &HttpRequest,
    call: &Call,
    direct: &Direct,
    engaged: &Engaged,
) -> Result<UpstreamResponse, UpstreamError> {
    let Body::Opaque(bytes) = &call.body else { return Err(UpstreamError::BrokeOff) };
    let path = path(&engaged.key.base_url, request);
    let credential = engaged.credential();
    let mut forwarded = forwarded(request.headers());
    if screen::judges_answers(exchange) {
        // Nobody can judge what is packed.
        forwarded.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let upstream = UpstreamRequest {
        method: request.method().clone(),
        provider: direct.provider,
        base_url: &engaged.key.base_url,
        path: &path,
        tls: engaged.key.tls,
        credential,
        auth: None,
        extra_headers: &direct.default_headers,
        content_type: "",
        handed_on: Vec::new(),
        forwarded: Some(forwarded),
        request_id: &exchange.request_id,
        is_stream: false,
        body: SmallVec::from_iter((!bytes.is_empty()).then(|| bytes.clone())),
    };
    let worker = &exchange.worker;
    worker.upstream.send(&exchange.snapshot, &worker.gateway.tls, upstream).await
}

/// The path below the provider's root, as the caller wrote it, with its query. A version that both name stands once.
fn path(base_url: &str, request: &HttpRequest) -> String {
    let whole = request.uri().path();
    // Behind "/passthrough/<provider>"; what is behind the name may be nothing.
    let rest = whole.split('/').skip(3).collect::<Vec<_>>().join("/");
    let version = base_url.trim_end_matches('/').rsplit('/').next().filter(|segment| is_version(segment));
    let doubled = version
        .and_then(|version| rest.strip_prefix(version))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let rest = doubled.map_or(rest.as_str(), |rest| rest.trim_start_matches('/'));
    // Some clients write their key there as well.
    let own = credential(request.headers()).unwrap_or_default();
    let is_theirs = |part: &&str| own.is_empty() || !decoded(part).contains(own);
    let parts = request.uri().query().unwrap_or_default().split('&').filter(is_theirs);
    let query = parts.collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/{rest}{mark}{query}")
}

/// Whether a path holds `.` or `..`, however written: the provider's root may be one tenant's among others.
fn has_dots(path: &str) -> bool {
    decoded(path).split(['/', '\\']).any(|segment| matches!(segment, "." | ".."))
}

fn decoded(text: &str) -> std::borrow::Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a header is about one connection: by its nature, or because `Connection` names it.
fn is_of_the_connection(name: &HeaderName, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONNECTION).filter_map(|value| value.to_str().ok());
    let is_named = |value: &str| value.split(',').any(|own| own.trim().eq_ignore_ascii_case(name.as_str()));
    OF_THE_CONNECTION.contains(name) || values.any(is_named)
}

/// What a provider gets of a caller's headers. That it waits for permission to send is over when all of it is here.
fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let own = credential(headers).unwrap_or_default().as_bytes();
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let is_own = is_of_the_connection(name, headers) || OF_THE_CALLER.contains(name);
        let is_own = is_own || *name == EXPECT || name.as_str().starts_with(OF_THE_GATEWAY);
        // Wherever else a client writes its key.
        let is_own = is_own || (!own.is_empty() && memchr::memmem::find(value.as_bytes(), own).is_some());
        if !is_own {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// The status and the headers of the provider's answer.
fn head(exchange: &Exchange, upstream: &UpstreamResponse) -> HttpResponse<()> {
    let status = StatusCode::from_u16(upstream.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::with_body(status, ());
    if let Some(own) = upstream.headers() {
        for (name, value) in own.iter().filter(|(name, _)| !is_of_the_connection(name, own)) {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let Some(content_type) = upstream.content_type.clone().filter(|_| upstream.headers().is_none()) {
        response.headers_mut().insert(actix_web::http::header::CONTENT_TYPE, content_type);
    }
    headers::write(exchange, None, response.headers_mut());
    response
}

/// Answers that have no body by their nature, whatever length they declare; to `HEAD` it is that of another's.
fn without_body(method: &Method, mut upstream: UpstreamResponse) -> UpstreamResponse {
    let is_empty = matches!(upstream.status, 204 | 304);
    if method == Method::HEAD || is_empty {
        upstream.body = UpstreamBody::Ended;
        upstream.content_length = upstream.content_length.filter(|_| !is_empty);
    }
    upstream
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_path_keeps_its_spelling_and_a_version_stands_once() {
        for (base, uri, expected) in [
            ("https://h/v1", "/passthrough/openai/v1/files?limit=2", "/files?limit=2"),
            ("https://h/v1", "/passthrough/openai/files/a%2Fb", "/files/a%2Fb"),
            ("https://h/v1", "/passthrough/openai/v1beta/x", "/v1beta/x"),
            ("https://h", "/passthrough/OpenAI/v1/files/", "/v1/files/"),
            ("https://h", "/passthrough/openai/", "/"),
            ("https://h/v1", "/passthrough/openai/v1", "/"),
        ] {
            let request = TestRequest::with_uri(uri).to_http_request();
            assert_eq!(path(base, &request), expected, "{base} {uri}");
        }
    }

    #[test]
    fn a_callers_key_does_not_go_out_in_the_query() {
        for (query, kept) in
            [("key=sk-1", "/x"), ("a=b&key=%73k-1&c", "/x?a=b&c"), ("key=other", "/x?key=other")]
        {
            let request = TestRequest::with_uri(&format!("/passthrough/gemini/x?{query}"));
            let request = request.append_header(("authorization", "Bearer sk-1")).to_http_request();
            assert_eq!(path("https://h", &request), kept, "{query}");
        }
    }

    #[test]
    fn neither_credentials_nor_the_connections_own_headers_go_out() {
        let request = TestRequest::default()
            .append_header(("authorization", "Bearer sk-1"))
            .append_header(("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-1"))
            .append_header(("api-key", "other"))
            .append_header(("x-api-key", "sk-1"))
            .append_header(("x-goog-api-key", "sk-1"))
            .append_header(("cookie", "a=b"))
            .append_header(("connection", "close"))
            .append_header(("anthropic-beta", "one"))
            .append_header(("anthropic-beta", "two"))
            .to_http_request();
        let kept = forwarded(request.headers());
        let names: Vec<_> =
            kept.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or(""))).collect();
        assert_eq!(names, [("anthropic-beta", "one"), ("anthropic-beta", "two")]);
    }

    #[test]
    fn a_model_is_named_by_an_object_only() {
        let found = |body: &'static [u8]| named_model(&Bytes::from_static(body));
        let named = |body| found(body).expect("one model");
        assert!(found(br#"{"model":"m","model":"n"}"#).is_err());
        assert_eq!(named(br#"{"a":1,"model":"m"}"#).as_deref(), Some("m"));
        assert_eq!(named(b"\n { \"model\" : \"m\" } ").as_deref(), Some("m"));
        for body in [&b""[..], b"[]", b"{\"model\":1}", b"{broken", b"\xff"] {
            assert_eq!(named(body), None);
        }
    }
}
