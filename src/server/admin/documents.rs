//! The documents of the API and their viewer: files in memory, made once and the same for everybody.
//!
//! Nothing of it comes from another host, and the browser is told to ask none ([`POLICY`]).

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::Settings;
use crate::openapi::{self, answer, header, with_headers};

/// What the viewer may load and ask: this origin, and what stands in its own page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The page of the viewer.
const PAGE: &[u8] = include_bytes!("viewer/page.html");
/// What the page tells the viewer.
const START: &[u8] = include_bytes!("viewer/start.js");
/// The viewer itself, packed by `build.rs`.
const VIEWER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/scalar.js.gz"));

/// The last bytes of packed data: its checksum and length.
const TRAILER_BYTES: usize = 8;

/// A file in memory.
pub(super) struct File {
    bytes: Bytes,
    media_type: &'static str,
    etag: String,
    is_packed: bool,
}

impl File {
    fn new(bytes: Bytes, media_type: &'static str) -> Self {
        let etag = etag(&Sha256::digest(&bytes)[..16]);
        Self { bytes, media_type, etag, is_packed: false }
    }

    fn packed(bytes: &'static [u8], media_type: &'static str) -> Self {
        let etag = etag(&bytes[bytes.len().saturating_sub(TRAILER_BYTES)..]);
        Self { bytes: Bytes::from_static(bytes), media_type, etag, is_packed: true }
    }

    /// The file, or 304 for who has it.
    pub(super) fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
        let is_known = known.flat_map(|list| list.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag
        });
        let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response.insert_header((ETAG, self.etag.as_str()));
        response.insert_header((CACHE_CONTROL, "no-cache"));
        if is_known {
            return response.finish();
        }
        response.insert_header((CONTENT_TYPE, self.media_type));
        response.insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
        response.insert_header((REFERRER_POLICY, "no-referrer"));
        response.insert_header((CONTENT_SECURITY_POLICY, POLICY));
        if self.is_packed {
            response.insert_header((CONTENT_ENCODING, "gzip"));
        }
        response.body(self.bytes.clone())
    }
}

fn etag(digest: &[u8]) -> String {
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Every file that is served.
pub(super) struct Documents {
    /// The document of this listener.
    pub(super) admin: File,
    /// The document of the proxy.
    pub(super) proxy: File,
    /// The page of the viewer.
    pub(super) page: File,
    /// What the page tells the viewer.
    pub(super) start: File,
    /// The viewer.
    pub(super) viewer: File,
}

/// The media type of scripts.
const SCRIPT: &str = "text/javascript; charset=utf-8";

impl Documents {
    /// Makes the files; `admin` is the document of this listener.
    pub(super) fn new(admin: Bytes, settings: &Settings) -> Self {
        let json = "application/json";
        Self {
            admin: File::new(admin, json),
            proxy: File::new(openapi::proxy(proxy_url(settings)), json),
            page: File::new(Bytes::from_static(PAGE), "text/html; charset=utf-8"),
            start: File::new(Bytes::from_static(START), SCRIPT),
            viewer: File::packed(VIEWER, SCRIPT),
        }
    }
}

/// Where callers on this machine reach the proxy.
fn proxy_url(settings: &Settings) -> String {
    let proxy = &settings.proxy;
    let scheme = if proxy.tls.cert_file.is_some() { "https" } else { "http" };
    match proxy.addr.ip().is_unspecified() {
        true => format!("{scheme}://localhost:{}", proxy.addr.port()),
        false => format!("{scheme}://{}", proxy.addr),
    }
}

/// What the pages of these files answer.
fn described(media_type: &str, schema: &Value, sentence: &str) -> Vec<(u16, Value)> {
    let text = json!({ "type": "string", "minLength": 1 });
    let with = |answer, more: &[(HeaderName, &str)]| {
        let headers = [(ETAG, "What to send in `If-None-Match`."), (CACHE_CONTROL, "Always `no-cache`.")];
        let all = headers.iter().chain(more);
        with_headers(answer, all.map(|(name, sentence)| (name.to_string(), header(sentence, &text))))
    };
    let policy = [(CONTENT_SECURITY_POLICY, "Forbids requests to other hosts.")];
    let file = answer(sentence, &json!({ media_type: { "schema": schema } }));
    let not_modified = json!({ "description": "The file is as the one named in `If-None-Match`." });
    vec![(200, with(file, &policy)), (304, with(not_modified, &[]))]
}

/// What a page with a document answers.
pub(super) fn document() -> Vec<(u16, Value)> {
    let schema = json!({
        "type": "object",
        "properties": { "openapi": { "const": openapi::VERSION } },
        "required": ["openapi", "info", "paths"],
    });
    described("application/json", &schema, "The document.")
}

/// What a page with text answers.
pub(super) fn page() -> Vec<(u16, Value)> {
    described("text/html", &json!({ "type": "string" }), "The page.")
}

/// What a page with a script answers.
pub(super) fn script() -> Vec<(u16, Value)> {
    described("text/javascript", &json!({ "type": "string" }), "The script.")
}

/// The header that asks whether a file is still the same.
pub(super) fn if_none_match() -> Vec<Value> {
    vec![json!({
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of a file that is there already.",
        "schema": { "type": "string" },
    })]
}
