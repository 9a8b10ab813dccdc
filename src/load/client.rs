//! The HTTP client of one worker thread.
//!
//! It must cost little, because it shares the machine with what it measures: one frozen request is sent again and
//! again, without redirects, decompression, limits or timers of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_service::ServiceExt;
use actix_tls::connect::{ConnectInfo, ConnectorService};
use actix_web::http::Uri;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use awc::FrozenClientRequest;
use bytes::Bytes;

use super::LoadOptions;
use crate::upstream::without_delay;

/// Connections are kept for the whole test.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Where requests go, and what they carry.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) authorization: HeaderValue,
    body: Bytes,
    /// Counts the requests, where each is to be another.
    count: Option<Arc<AtomicU64>>,
    pub(super) timeout: Duration,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A request that can be sent many times.
pub(super) type Client = FrozenClientRequest;

impl Target {
    /// Checks that requests can be made of the options.
    pub(super) fn new(options: &LoadOptions) -> Result<Self, String> {
        let uri: Uri = options.url.parse().map_err(|error| format!("{}: {error}", options.url))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(format!("{}: not an http or https URL", options.url));
        }
        let authorization = HeaderValue::from_str(&format!("Bearer {}", options.key))
            .map_err(|_| "the key holds characters that a header cannot carry".to_owned())?;
        let count = options.vary.then(Arc::default);
        let headers = options.headers.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
        Ok(Self { uri, authorization, body: options.body.clone(), count, timeout: options.timeout, headers })
    }

    /// The body of the next request.
    pub(super) fn next_body(&self) -> Bytes {
        let Some(count) = &self.count else { return self.body.clone() };
        let number = count.fetch_add(1, Ordering::Relaxed);
        let open = self.body.strip_suffix(b"}").unwrap_or(&self.body);
        [open, format!(",\"user\":\"load-{number}\"}}").as_bytes()].concat().into()
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parts = text.split_once(':').map(|(name, value)| (name.trim().parse(), value.trim().parse()));
    match parts {
        Some((Ok(name), Ok(value))) => Ok((name, value)),
        _ => Err(format!("{text:?} is not a header; write \"name: value\"")),
    }
}

/// Makes the client of this thread.
pub(super) fn connect(target: &Target) -> Client {
    let nodelay = ServiceExt::<ConnectInfo<Uri>>::map(ConnectorService::default(), without_delay);
    let mut connector = awc::Connector::new()
        .connector(nodelay)
        .timeout(target.timeout)
        .limit(0)
        .conn_keep_alive(CONNECTION_LIFETIME)
        .conn_lifetime(CONNECTION_LIFETIME);
    if target.uri.scheme_str() == Some("https") {
        connector = connector.rustls_0_23(Arc::new(tls()));
    }
    let client = awc::Client::builder()
        .connector(connector)
        .no_default_headers()
        .disable_timeout()
        .disable_redirects()
        .finish();
    let mut request = client
        .post(target.uri.clone())
        .insert_header((AUTHORIZATION, target.authorization.clone()))
        .insert_header((CONTENT_TYPE, "application/json"));
    for header in &target.headers {
        request = request.insert_header(header.clone());
    }
    request.freeze().expect("the target was checked when it was made")
}

fn tls() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
