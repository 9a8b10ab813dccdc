//! Listeners, workers and the way out. The only place that listens.
//!
//! Every worker thread builds its own [`Worker`] with its own actors and clients; a request lives on the thread that
//! accepted its connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_rt::net::TcpStream;
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::App;
use actix_web::dev::{AppConfig, Service as _, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderValue, SERVER};
use tokio_rustls::TlsAcceptor;

use crate::checks::Checks;
use crate::config::settings::rewritten;
use crate::config::snapshot::Snapshot;
use crate::endpoints;
use crate::envelope::Envelope;
use crate::gateway::{Backing, Certificate, Gateway, Worker};
use crate::journal::{Forward, JournalHandle};
use crate::redis::{self, Forwarder};
use crate::registry::{Book, RegistryHandle};
use crate::telemetry::Telemetry;
use crate::telemetry::log_writer::Log;

mod accept;
mod admin;
mod intake;
mod proxy;
mod rewrite;
mod status;
mod tls;

use accept::Door;

/// `Server` of every response, with the version of this build.
const SERVER_TEXT: &str = concat!("AISIX/", env!("CARGO_PKG_VERSION"));
const SERVER_NAME: HeaderValue = HeaderValue::from_static(SERVER_TEXT);

/// Connections waiting to be accepted, per listener.
const BACKLOG: u32 = 4096;
/// Connections that one worker serves at once; more wait in the backlog. Below the capacity of an actor's mailbox.
const MAX_CONNECTIONS: usize = 25_000;
/// How long connections may take to close after their last answer.
const CLOSE_TIME: Duration = Duration::from_secs(5);
/// How often a drain looks whether everything is done.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// Longest wait for connections to end once no exchange is open, in seconds.
const SHUTDOWN_SECS: u64 = 5;

/// A gateway with its listeners bound and nothing served yet.
pub struct Application {
    gateway: Arc<Gateway>,
    book: Book,
    proxy: TcpListener,
    admin: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

/// A gateway that serves.
pub struct Running {
    /// What the process shares.
    pub gateway: Arc<Gateway>,
    /// Where callers are served.
    pub proxy_addr: SocketAddr,
    /// Where administrators are served.
    pub admin_addr: Option<SocketAddr>,
    /// Where metrics are scraped.
    pub metrics_addr: Option<SocketAddr>,
    servers: Vec<ServerHandle>,
    checks: Checks,
    forwarder: Option<Forwarder>,
}

impl Application {
    /// Binds the listeners of a configuration, for a process without a log.
    ///
    /// # Errors
    /// An address cannot be bound; the error names it and its setting.
    pub fn build(book: Book, snapshot: Snapshot) -> io::Result<Self> {
        Self::build_with(book, snapshot, None)
    }

    /// Binds the listeners of a configuration; access lines go to the log.
    ///
    /// # Errors
    /// An address cannot be bound; the error names it and its setting.
    pub fn build_with(book: Book, snapshot: Snapshot, log: Option<Log>) -> io::Result<Self> {
        let settings = snapshot.settings.clone();
        let proxy = bind(settings.proxy.addr, "proxy.addr")?;
        let admin = match &settings.admin {
            admin if admin.enabled => Some(bind(admin.addr, "admin.addr")?),
            _ => None,
        };
        let metrics = match &settings.observability.metrics.prometheus {
            metrics if metrics.enabled => Some(bind(metrics.addr, "observability.metrics.prometheus.addr")?),
            _ => None,
        };
        let servers = redis::servers(&settings)?;
        let journal = JournalHandle::new(&settings, servers.budgets.is_some());
        if !journal.is_kept() && servers.budgets.is_none() && !snapshot.budgets.is_empty() {
            log::warn!("what budgets have spent is forgotten at a restart: no journal is kept");
        }
        let telemetry = Telemetry::start_behind(&journal, &settings.observability, log)?;
        let gateway = Gateway::over(snapshot, telemetry, Backing { servers, journal });
        gateway.status.store(Arc::new(book.status().clone()));
        Ok(Self { gateway, book, proxy, admin, metrics })
    }

    /// What the process shares.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Starts to serve on the current actix system.
    ///
    /// # Errors
    /// The listeners cannot be used.
    pub fn start(self) -> io::Result<Running> {
        let proxy_addr = self.proxy.local_addr()?;
        let workers = self.gateway.snapshot().settings.proxy.workers();
        let gateway = self.gateway;
        // Before the first request: it must find what was spent.
        let forwarder = gateway.forwarder()?;
        let forward = forwarder.clone().map(|forwarder| Box::new(forwarder) as Box<dyn Forward>);
        gateway.journal.start(&gateway.books.ledger, forward)?;
        gateway.set_registry(RegistryHandle::start(self.book, gateway.clone()));
        let proxy = listen(&gateway, PROXY, self.proxy, workers)?;
        let mut servers = vec![proxy.handle()];
        actix_rt::spawn(proxy);
        let mut addrs = [None; 2];
        let beside = [(ADMIN, self.admin), (METRICS, self.metrics)];
        for (addr, (listener, socket)) in addrs.iter_mut().zip(beside) {
            if let Some(socket) = socket {
                *addr = Some(socket.local_addr()?);
                let server = listen(&gateway, listener, socket, 1)?;
                servers.push(server.handle());
                actix_rt::spawn(server);
            }
        }
        let [admin_addr, metrics_addr] = addrs;
        let checks = Checks::start(&gateway);
        Ok(Running { gateway, proxy_addr, admin_addr, metrics_addr, servers, checks, forwarder })
    }
}

impl Running {
    /// Drains (§14.4): probes fail at once, requests are served for `min_drain` longer, open ones finish, then the
    /// listeners close.
    pub async fn drain(self, min_drain: Duration) {
        self.gateway.start_draining();
        self.checks.stop();
        log::info!("draining: {} exchanges open", self.gateway.open_exchanges());
        tokio::time::sleep(min_drain).await;
        while self.gateway.open_exchanges() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
        // While the workers live: they hand over what they have written.
        self.gateway.telemetry.finish().await;
        self.end(true).await;
    }

    /// Stops at once, in the middle of whatever is open.
    pub async fn stop(self) {
        self.end(false).await;
    }

    async fn end(self, is_graceful: bool) {
        self.checks.stop();
        for server in &self.servers {
            server.stop(is_graceful).await;
        }
        if let Some(registry) = self.gateway.registry() {
            registry.stop().await;
        }
        if let Some(limits) = &self.gateway.books.shared_limits {
            limits.finish().await;
        }
        // After the workers, which charge until they end.
        self.gateway.journal.stop();
        if let Some(forwarder) = &self.forwarder {
            forwarder.stop();
        }
    }
}

fn bind(addr: SocketAddr, setting: &str) -> io::Result<TcpListener> {
    let listener = || {
        let domain = socket2::Domain::for_address(addr);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG as i32)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    listener().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("{setting}: cannot listen on {addr}: {error}"))
    })
}

/// What tells one listener from another.
#[derive(Clone, Copy)]
struct Listener {
    name: &'static str,
    /// Its routes, for one worker.
    configure: fn(Rc<Worker>, &mut actix_web::web::ServiceConfig),
    /// What it shows in a TLS handshake, where it has that.
    certificate: fn(&Gateway) -> Option<&Arc<Certificate>>,
    /// What happens to a request before it is routed.
    prepare: fn(&Gateway, &mut ServiceRequest),
    /// The envelope for requests that reach no route, by their path.
    envelope_of: fn(&Gateway, &str) -> Envelope,
}

const PROXY: Listener = Listener {
    name: "proxy",
    configure: proxy::configure,
    certificate: |gateway| Some(&gateway.proxy_certificate),
    prepare: |gateway, request| rewrite::rewrite(&gateway.current().settings.proxy.url_rewrites, request),
    envelope_of: |gateway, path| {
        let new = rewritten(&gateway.current().settings.proxy.url_rewrites, path);
        endpoints::envelope_of(new.as_deref().unwrap_or(path))
    },
};
const ADMIN: Listener = Listener {
    name: "admin",
    configure: admin::configure,
    certificate: |gateway| Some(&gateway.admin_certificate),
    prepare: |_, _| (),
    envelope_of: |_, path| endpoints::admin_envelope_of(path),
};

const METRICS: Listener = Listener {
    name: "metrics",
    configure: status::configure,
    certificate: |_| None,
    prepare: |_, _| (),
    envelope_of: |_, _| Envelope::Admin,
};

impl Listener {
    fn door(self, gateway: &Arc<Gateway>, tls: Option<TlsAcceptor>) -> Door {
        let patience = gateway.current().settings.proxy.request_head_timeout();
        let gateway = gateway.clone();
        Door { patience, tls, envelope_of: Rc::new(move |path| (self.envelope_of)(&gateway, path)) }
    }
}

/// What every response says.
fn sign<B>(response: &mut ServiceResponse<B>, is_last: bool) {
    let head = response.response_mut().head_mut();
    head.headers.insert(SERVER, SERVER_NAME);
    if is_last {
        head.set_connection_type(ConnectionType::Close);
    }
}

fn listen(
    gateway: &Arc<Gateway>,
    listener: Listener,
    socket: TcpListener,
    workers: usize,
) -> io::Result<Server> {
    let settings = gateway.snapshot().settings.clone();
    let addr = socket.local_addr()?;
    let gateway = gateway.clone();
    let tls = tls::acceptor((listener.certificate)(&gateway))?;
    let service = move || {
        let worker = Worker::start(&gateway);
        let door = listener.door(&gateway, tls.clone());
        let gateway = gateway.clone();
        let app = App::new()
            .wrap_fn(move |mut request, routes| {
                (listener.prepare)(&gateway, &mut request);
                let (gateway, answer) = (gateway.clone(), routes.call(request));
                async move {
                    let mut response = answer.await?;
                    sign(&mut response, gateway.is_draining());
                    Ok(response)
                }
            })
            .configure(move |routes| (listener.configure)(worker.clone(), routes));
        let keep_alive = settings.downstream.idle_timeout().map_or(KeepAlive::Os, KeepAlive::Timeout);
        let http = HttpService::build()
            .keep_alive(keep_alive)
            .client_request_timeout(settings.proxy.request_head_timeout().unwrap_or_default())
            .client_disconnect_timeout(CLOSE_TIME)
            // With half-closed connections allowed, a caller that leaves is not noticed while its answer is pending.
            .h1_allow_half_closed(false)
            .local_addr(addr)
            .finish(map_config(actix_service::IntoServiceFactory::into_factory(app), move |()| {
                AppConfig::default()
            }));
        fn_service(move |stream: TcpStream| door.clone().accept(stream)).and_then(http)
    };
    Ok(Server::build()
        .workers(workers)
        .backlog(BACKLOG)
        .max_concurrent_connections(MAX_CONNECTIONS)
        .shutdown_timeout(SHUTDOWN_SECS)
        .disable_signals()
        .listen(listener.name, socket, service)?
        .run())
}
