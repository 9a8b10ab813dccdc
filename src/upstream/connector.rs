//! The HTTP client of one worker: TCP without delay, keep-alive, no limits but those configured.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::Uri;
use actix_rt::net::TcpStream;
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, ConnectorService};
use futures::future::{LocalBoxFuture, TryFutureExt};

use crate::config::settings;

/// Connections live until they are idle too long; no reason to cut a busy one.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A client with its own connection pool.
pub(super) fn client(settings: &settings::Upstream, tls: Arc<rustls::ClientConfig>) -> awc::Client {
    let connector = awc::Connector::new()
        .connector(NoDelay(ConnectorService::default()))
        .timeout(settings.connect_timeout())
        .handshake_timeout(settings.connect_timeout())
        .limit(settings.max_connections_per_host().unwrap_or(0))
        .conn_keep_alive(settings.pool_idle_timeout())
        .conn_lifetime(CONNECTION_LIFETIME)
        .rustls_0_23(tls);
    awc::Client::builder()
        .connector(connector)
        .no_default_headers()
        .disable_redirects()
        .disable_timeout()
        .finish()
}

/// Connects with `TCP_NODELAY`: Nagle's algorithm and delayed ACKs cost 40 ms a step otherwise.
#[derive(Clone)]
struct NoDelay(ConnectorService);

impl Service<ConnectInfo<Uri>> for NoDelay {
    type Response = Connection<Uri, TcpStream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<ConnectInfo<Uri>>::poll_ready(&self.0, context)
    }

    fn call(&self, request: ConnectInfo<Uri>) -> Self::Future {
        Box::pin(self.0.call(request).and_then(|connection| async move {
            let set: io::Result<()> = connection.io_ref().set_nodelay(true);
            set.map_err(ConnectError::Io)?;
            Ok(connection)
        }))
    }
}
