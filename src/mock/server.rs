//! The mock provider as an HTTP server, with its faults on the wire.
//!
//! A reset is a reset, a cut stream ends without its last chunk, a stall holds the connection open: what a gateway
//! learns from a real provider it can learn here.

mod body;
mod thread;

use std::any::Any;
use std::net::{SocketAddr, TcpStream as Tap};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{future, io, panic};

use actix_web::dev::{Extensions, Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use tokio::net::TcpStream;

pub use self::thread::MockThread;

use self::body::{FrameBody, Streams};
use super::{
    Fault, FaultPlan, Hints, JSON, MockBody, MockReply, MockRequest, Tally, UnknownFault, answer,
    unknown_fault,
};

/// The largest request body: images arrive as text in it.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Where the server tells how its streams stand.
const STREAMS: &str = "/mock/streams";
/// Where the server tells how many requests there were for each model.
const REQUESTS: &str = "/mock/requests";

/// How the mock server behaves.
#[derive(Clone, Debug)]
pub struct MockOptions {
    /// Where to listen; port 0 takes a free one.
    pub addr: SocketAddr,
    /// The number of worker threads.
    pub workers: usize,
    /// The pause before each answer.
    pub latency: Duration,
    /// The pause before each event of a stream but the first.
    pub chunk_gap: Duration,
    /// What goes wrong, whatever model is asked for.
    pub faults: Option<FaultPlan>,
    /// Feeds the ids of the answers.
    pub seed: u64,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 1,
            latency: Duration::ZERO,
            chunk_gap: Duration::ZERO,
            faults: None,
            seed: 0,
        }
    }
}

/// A mock server that runs on the current actix system until it is stopped.
#[derive(Debug)]
pub struct MockServer {
    addr: SocketAddr,
    handle: ServerHandle,
    tally: Arc<Tally>,
    streams: Arc<Streams>,
}

impl MockServer {
    /// Starts a server.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub fn start(options: MockOptions) -> io::Result<Self> {
        let (server, running) = bind(options, false)?;
        actix_rt::spawn(running);
        Ok(server)
    }

    /// The address that the server is bound to.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL to configure in a gateway.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// How many requests for a model have reached the server. `GET /mock/requests` tells the same about all models.
    pub fn requests(&self, model: &str) -> u64 {
        self.tally.requests(model)
    }

    /// How many requests have reached the server.
    pub fn all_requests(&self) -> u64 {
        self.tally.total()
    }

    /// The number of streams under way. `GET /mock/streams` tells it too.
    pub fn open_streams(&self) -> u64 {
        self.streams.open.load(Ordering::Relaxed)
    }

    /// The number of streams that their callers left in the middle.
    pub fn left_streams(&self) -> u64 {
        self.streams.left.load(Ordering::Relaxed)
    }

    /// Stops the server without waiting for open requests.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }
}

/// Serves until a signal ends the process.
///
/// # Errors
/// The address is taken or not ours, or the server fails.
pub async fn serve(options: MockOptions) -> io::Result<()> {
    bind(options, true)?.1.await
}

/// What the workers share.
struct Shared {
    options: MockOptions,
    tally: Arc<Tally>,
    streams: Arc<Streams>,
}

/// Binds the address; the server serves once it is polled.
fn bind(options: MockOptions, signals: bool) -> io::Result<(MockServer, Server)> {
    let (addr, workers) = (options.addr, options.workers.max(1));
    let (tally, streams) = (Arc::<Tally>::default(), Arc::<Streams>::default());
    let shared = web::Data::new(Shared { options, tally: Arc::clone(&tally), streams: Arc::clone(&streams) });
    let app = move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
            .default_service(web::to(handle))
    };
    let mut server = HttpServer::new(app)
        .workers(workers)
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .on_connect(keep_tap)
        .shutdown_timeout(1)
        .bind(addr)?;
    if !signals {
        server = server.disable_signals();
    }
    let addr = server.addrs().first().copied().unwrap_or(addr);
    let running = server.run();
    Ok((MockServer { addr, handle: running.handle(), tally, streams }, running))
}

async fn handle(request: HttpRequest, body: Bytes, shared: web::Data<Shared>) -> HttpResponse {
    if let ("GET", path @ (STREAMS | REQUESTS)) = (request.method().as_str(), request.path()) {
        let told = if path == STREAMS { standing(&shared.streams) } else { shared.tally.as_json() };
        return HttpResponse::Ok().content_type(JSON).body(told);
    }
    let options = &shared.options;
    let is_counted = request.method() == "POST";
    let number = if is_counted { shared.tally.next_number() } else { shared.tally.total() };
    let fault = match asked_fault(&request) {
        Some(Ok(fault)) => Some(fault),
        Some(Err(unknown)) => return respond(unknown_fault(&unknown), &request, &shared).await,
        None => options.faults.as_ref().filter(|_| is_counted).and_then(|plan| plan.at(number)),
    };
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = options.seed.wrapping_add(number);
    let asked = MockRequest {
        method: request.method().as_str(),
        target: request.path(),
        content_type: header(&request, CONTENT_TYPE.as_str()).unwrap_or_default(),
        body: &body,
    };
    let (chunk_gap, tally) = (options.chunk_gap, Arc::clone(&shared.tally));
    let reply = answer(&asked, &Hints { seed, created, chunk_gap, fault, tally });
    if !options.latency.is_zero() {
        actix_rt::time::sleep(options.latency).await;
    }
    respond(reply, &request, &shared).await
}

/// How the streams stand, for a test that leaves one in the middle.
fn standing(streams: &Streams) -> String {
    let [open, left] = [&streams.open, &streams.left].map(|count| count.load(Ordering::Relaxed));
    format!(r#"{{"open":{open},"left":{left}}}"#)
}

/// The fault that a request asks for by its header.
fn asked_fault(request: &HttpRequest) -> Option<Result<Fault, UnknownFault>> {
    Some(header(request, "x-mock-fault")?.parse())
}

/// A header's text; one that is no text says nothing.
fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    Some(request.headers().get(name)?.to_str().unwrap_or_default())
}

async fn respond(reply: MockReply, request: &HttpRequest, shared: &Shared) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for header in reply.headers {
        response.insert_header(header);
    }
    match reply.body {
        MockBody::Full(bytes) => response.body(bytes),
        MockBody::Stream(frames) => response.body(FrameBody::new(frames, Arc::clone(&shared.streams))),
        MockBody::Stall => future::pending().await,
        MockBody::Reset => reset(request),
    }
}

/// Keeps a second handle of each connection, for [`reset`].
fn keep_tap(connection: &dyn Any, data: &mut Extensions) {
    let copy = |stream: &TcpStream| stream.as_fd().try_clone_to_owned().ok();
    if let Some(owned) = connection.downcast_ref::<TcpStream>().and_then(copy) {
        data.insert(Arc::new(Tap::from(owned)));
    }
}

/// Makes the connection end in a TCP reset instead of a response.
fn reset(request: &HttpRequest) -> ! {
    let tap = request.conn_data::<Arc<Tap>>().and_then(|tap| tap.try_clone().ok());
    if let Some(stream) = tap.and_then(|tap| TcpStream::from_std(tap).ok()) {
        // Without it the caller sees an orderly end instead of a reset, which is as much of a failure.
        let _ = stream.set_zero_linger();
    }
    // Unwinding is the one way to make the server drop a connection without a word; this does not report a panic.
    panic::resume_unwind(Box::new("reset"))
}
