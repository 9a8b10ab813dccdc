//! The only place that connects out: one HTTP client per worker and TLS profile.
//!
//! An `awc::Client` and its responses stay on the thread that made them, so a body streams straight through with
//! back-pressure. awc's defaults that would get in the way are off: redirects, its connection limit, its `User-Agent`,
//! its time limit. Dropping a response in the middle closes its connection at once.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    TRANSFER_ENCODING, USER_AGENT,
};
use actix_web::http::{Method, StatusCode, Version};
use aisix_actors::provider_pool::TlsProfileId;
use awc::error::{PayloadError, SendRequestError};
use bytes::{Bytes, BytesMut};
use foldhash::HashMap;
use futures::{Stream, StreamExt};
use smallvec::SmallVec;

use crate::config::settings::Settings;
use crate::config::snapshot::{DefaultHeaders, Snapshot};
use crate::envelope::{JSON, REQUEST_ID};
use crate::error::{UpstreamError, UpstreamRefusal};
use crate::providers::{Auth, Provider};

mod connector;
mod in_process;
pub mod tls;
mod token;
pub mod webhook;
mod wire;

pub(crate) use connector::without_delay;
use in_process::InProcess;
use token::Tokens;

/// What the gateway calls itself towards providers.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("aisix/", env!("CARGO_PKG_VERSION")));

/// Most bytes of an error answer that are read (§3.6).
const MAX_ERROR_BYTES: usize = 64 << 10;

/// A request to a provider, ready to go.
pub struct UpstreamRequest<'a> {
    /// The method.
    pub method: Method,
    /// Who is asked.
    pub provider: &'static dyn Provider,
    /// The API's root.
    pub base_url: &'a str,
    /// The path below it.
    pub path: &'a str,
    /// The connection rules.
    pub tls: TlsProfileId,
    /// What authenticates.
    pub credential: Option<&'a str>,
    /// How it travels, where not as the provider says.
    pub auth: Option<Auth>,
    /// Headers that the operator adds.
    pub extra_headers: &'a DefaultHeaders,
    /// The id of the exchange.
    pub request_id: &'a HeaderValue,
    /// What the body is; nothing where the forwarded headers say it.
    pub content_type: &'a str,
    /// Headers of the caller that are handed on; every other one of the same name counts more.
    pub handed_on: Vec<(HeaderName, HeaderValue)>,
    /// All of the caller's headers, instead of the gateway's, as far as they are for the provider.
    pub forwarded: Option<HeaderMap>,
    /// Whether a stream is wanted.
    pub is_stream: bool,
    /// The body, in pieces.
    pub body: SmallVec<[Bytes; 3]>,
}

/// The head of a provider's answer, and its body to come.
pub struct UpstreamResponse {
    /// HTTP status.
    pub status: u16,
    /// What the body says that it is.
    pub content: Content,
    /// What the body is, in the provider's words.
    pub content_type: Option<HeaderValue>,
    /// The length of the body, where it is declared.
    pub content_length: Option<u64>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// What the provider calls the request.
    pub request_id: Option<HeaderValue>,
    /// The body.
    pub body: UpstreamBody,
}

/// What a body says that it is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// JSON.
    Json,
    /// A web page: nobody who speaks an API answered.
    Html,
    /// Events, or nothing said.
    Other,
}

/// A body that arrives chunk by chunk.
pub enum UpstreamBody {
    /// From the network, with the bytes that are still to come where the head declares them.
    Wire(Box<awc::ClientResponse>, Option<u64>),
    /// From the provider in this process.
    InProcess(InProcess),
    /// Nothing more.
    Ended,
    /// Nothing more, although there was more to come.
    Cut,
}

/// The clients of one worker.
#[derive(Default)]
pub struct Upstream {
    clients: RefCell<HashMap<TlsProfileId, Kept>>,
    tokens: Tokens,
}

/// A client, and the settings that it was made for.
struct Kept {
    settings: Arc<Settings>,
    client: awc::Client,
}

impl Upstream {
    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// `Unreachable` when there is no connection or it breaks before the head.
    pub async fn send(
        &self,
        snapshot: &Snapshot,
        tls: &tls::TlsConfigs,
        request: UpstreamRequest<'_>,
    ) -> Result<UpstreamResponse, UpstreamError> {
        if request.provider.is_in_process() {
            return in_process::send(&request).await;
        }
        let client = self.client(snapshot, tls, request.tls)?;
        let authorization = match request.credential {
            Some(credential) => match request.auth {
                Some(auth) => auth.header(credential),
                None => self.authorization(&client, request.provider, credential).await?,
            },
            None => None,
        };
        let mut url = String::with_capacity(request.base_url.len() + request.path.len());
        url.push_str(request.base_url);
        url.push_str(request.path);
        let is_head = request.method == Method::HEAD;
        let mut outgoing = client.request(request.method, url).no_decompress();
        let headers = outgoing.headers_mut();
        match request.forwarded {
            Some(forwarded) => *headers = forwarded,
            None => {
                headers.insert(CONTENT_TYPE, content_type(request.content_type));
                headers.insert(USER_AGENT, AGENT);
                headers.insert(ACCEPT_ENCODING, IDENTITY);
                headers.insert(ACCEPT, if request.is_stream { EVENT_STREAM } else { JSON });
            }
        }
        headers.insert(REQUEST_ID, request.request_id.clone());
        for (name, value) in request.handed_on {
            headers.insert(name, value);
        }
        for (name, value) in request.provider.headers() {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &request.extra_headers.0 {
            // Configuration lets only legal names and values through.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
                headers.insert(name, value);
            }
        }
        if let Some((name, value)) = authorization {
            headers.insert(name, value);
        }
        let response = send_pieces(outgoing, request.body).await.map_err(unreachable)?;
        if !is_head && UpstreamResponse::is_unmarked(&response) {
            let reason = "it has neither Content-Length nor chunks, only the end of the connection";
            return Err(UpstreamError::Undecodable { reason: reason.into() });
        }
        Ok(UpstreamResponse::from_wire(response))
    }

    /// The header that authenticates, with a token where the credential is exchanged for one.
    async fn authorization(
        &self,
        client: &awc::Client,
        provider: &dyn Provider,
        credential: &str,
    ) -> Result<Option<(HeaderName, HeaderValue)>, UpstreamError> {
        Ok(match provider.grant(credential) {
            None => provider.authorize(credential),
            Some(grant) => Auth::Bearer.header(&self.tokens.get(client, &grant).await?),
        })
    }

    fn client(
        &self,
        snapshot: &Snapshot,
        tls: &tls::TlsConfigs,
        profile: TlsProfileId,
    ) -> Result<awc::Client, UpstreamError> {
        let settings = &snapshot.settings;
        if let Some(kept) = self.clients.borrow_mut().get_mut(&profile)
            && kept.is_for(settings)
        {
            return Ok(kept.client.clone());
        }
        let config = tls.get(snapshot, profile).map_err(|cause| UpstreamError::Unreachable { cause })?;
        let client = connector::client(&settings.upstream, config);
        let mut clients = self.clients.borrow_mut();
        // Profiles that are gone take their idle connections along.
        clients.retain(|id, _| snapshot.tls_profiles.contains_key(id));
        clients.insert(profile, Kept { settings: settings.clone(), client: client.clone() });
        Ok(client)
    }
}

impl Kept {
    /// Whether the client is as these settings want it; a reload that left them alone keeps the connections.
    fn is_for(&mut self, settings: &Arc<Settings>) -> bool {
        if !Arc::ptr_eq(&self.settings, settings) && self.settings.upstream == settings.upstream {
            self.settings = settings.clone();
        }
        Arc::ptr_eq(&self.settings, settings)
    }
}

async fn send_pieces(
    outgoing: awc::ClientRequest,
    mut pieces: SmallVec<[Bytes; 3]>,
) -> Result<awc::ClientResponse, SendRequestError> {
    if pieces.len() < 2 {
        return outgoing.send_body(pieces.pop().unwrap_or_default()).await;
    }
    let length = pieces.iter().map(|piece| piece.len() as u64).sum();
    let pieces = futures::stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    outgoing.send_body(SizedStream::new(length, pieces)).await
}

fn content_type(text: &str) -> HeaderValue {
    match text {
        "application/json" => JSON,
        other => HeaderValue::try_from(other).unwrap_or(JSON),
    }
}

/// Answers are handed on byte for byte, so they must not be packed.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

impl UpstreamResponse {
    fn from_wire(response: awc::ClientResponse) -> Self {
        let headers = response.headers();
        let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let content = match kind {
            kind if kind.starts_with(b"application/json") => Content::Json,
            kind if kind.starts_with(b"text/html") => Content::Html,
            _ => Content::Other,
        };
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            status: response.status().as_u16(),
            content,
            content_type: headers.get(CONTENT_TYPE).cloned(),
            content_length: declared,
            retry_after: retry_after(headers),
            request_id: request_id(headers),
            body: UpstreamBody::Wire(Box::new(response), declared),
        }
    }

    /// Whether an answer ends with nothing but its connection, which the HTTP client cannot read.
    ///
    /// An error keeps its status without its words.
    fn is_unmarked(response: &awc::ClientResponse) -> bool {
        let headers = response.headers();
        let is_marked = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
        let has_body = response.status().is_success() && response.status() != StatusCode::NO_CONTENT;
        response.version() == Version::HTTP_11 && has_body && !is_marked
    }

    /// All headers, of an answer from the network.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        match &self.body {
            UpstreamBody::Wire(response, _) => Some(response.headers()),
            UpstreamBody::InProcess(_) | UpstreamBody::Ended | UpstreamBody::Cut => None,
        }
    }

    /// Reads an error answer's body, at most 64 KiB of it; what cannot be read counts as empty.
    pub async fn error_text(&mut self) -> Bytes {
        let mut text = BytesMut::new();
        while let Some(Ok(chunk)) = self.body.next().await {
            let room = MAX_ERROR_BYTES.saturating_sub(text.len());
            text.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if text.len() >= MAX_ERROR_BYTES {
                break;
            }
        }
        text.freeze()
    }
}

impl UpstreamBody {
    /// Reads the whole body.
    ///
    /// # Errors
    /// The connection broke, or the body is larger than `limit` bytes.
    pub async fn read_all(self, limit: u64) -> Result<Bytes, UpstreamError> {
        read_all(Unbroken(self), limit).await
    }
}

/// A body that is of no use unless it is whole: that it is cut is an error.
pub struct Unbroken(pub UpstreamBody);

impl Stream for Unbroken {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = futures::ready!(self.0.poll_next_unpin(context));
        match self.0 {
            UpstreamBody::Cut => Poll::Ready(Some(Err(UpstreamError::BrokeOff))),
            _ => Poll::Ready(chunk),
        }
    }
}

/// Puts the chunks of a body together.
///
/// # Errors
/// That of a chunk, or the body is larger than `limit` bytes.
pub async fn read_all(
    mut chunks: impl Stream<Item = Result<Bytes, UpstreamError>> + Unpin,
    limit: u64,
) -> Result<Bytes, UpstreamError> {
    let Some(first) = chunks.next().await.transpose()? else { return Ok(Bytes::new()) };
    let Some(second) = chunks.next().await.transpose()? else { return within(first, limit) };
    let mut whole = BytesMut::with_capacity((first.len() + second.len()).next_power_of_two());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(chunk) = chunks.next().await.transpose()? {
        if (whole.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        whole.extend_from_slice(&chunk);
    }
    within(whole.freeze(), limit)
}

fn within(body: Bytes, limit: u64) -> Result<Bytes, UpstreamError> {
    if body.len() as u64 > limit { Err(too_large()) } else { Ok(body) }
}

fn too_large() -> UpstreamError {
    UpstreamError::Undecodable { reason: "it is larger than upstream.max_response_bytes".into() }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Self::Wire(response, rest) => {
                let chunk = futures::ready!(response.poll_next_unpin(context));
                if rest.is_none() && chunk.as_ref().is_some_and(has_lost_its_connection) {
                    // What is in no chunks lasts as long as its connection.
                    let is_cut = response.headers().contains_key(TRANSFER_ENCODING);
                    *self = if is_cut { Self::Cut } else { Self::Ended };
                    return Poll::Ready(None);
                }
                Poll::Ready(read(chunk, rest))
            }
            Self::InProcess(body) => body.poll_next_unpin(context),
            Self::Ended | Self::Cut => Poll::Ready(None),
        }
    }
}

fn has_lost_its_connection(chunk: &Result<Bytes, PayloadError>) -> bool {
    matches!(chunk, Err(PayloadError::Incomplete(Some(error))) if wire::is_end(error))
}

/// A chunk as it counts towards the declared length; a body that ends before it has broken off.
fn read(
    chunk: Option<Result<Bytes, PayloadError>>,
    rest: &mut Option<u64>,
) -> Option<Result<Bytes, UpstreamError>> {
    match chunk {
        Some(Ok(bytes)) => {
            *rest = rest.map(|rest| rest.saturating_sub(bytes.len() as u64));
            Some(Ok(bytes))
        }
        Some(Err(_)) => Some(Err(UpstreamError::BrokeOff)),
        None if rest.is_some_and(|rest| rest > 0) => {
            *rest = None;
            Some(Err(UpstreamError::BrokeOff))
        }
        None => None,
    }
}

fn unreachable(error: SendRequestError) -> UpstreamError {
    UpstreamError::Unreachable { cause: error.to_string() }
}

/// Where providers name a request: most, and Anthropic.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const BARE_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Longest id of a provider that is taken over, in bytes.
const MAX_ID_BYTES: usize = 256;

/// The provider's name for the request, where it is short and visible.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(X_REQUEST_ID).or_else(|| headers.get(BARE_REQUEST_ID))?;
    let is_visible = id.as_bytes().iter().all(|byte| (0x21..=0x7e).contains(byte));
    (is_visible && (1..=MAX_ID_BYTES).contains(&id.len())).then(|| id.clone())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    wait_of(headers.get(RETRY_AFTER)?.to_str().ok()?.trim())
}

/// The value of `Retry-After`, which is seconds or an HTTP date, as far as it is believed.
fn wait_of(text: &str) -> Option<Duration> {
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
    };
    Some(wait.min(UpstreamRefusal::LONGEST_WAIT))
}
