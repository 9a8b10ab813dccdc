//! The HTTP client of one worker: TCP without delay, keep-alive, no limits but those configured.

use std::sync::Arc;
use std::time::Duration;

use actix_http::Uri;
use actix_rt::net::TcpStream;
use actix_service::ServiceExt;
use actix_tls::connect::{ConnectInfo, Connection, ConnectorService};

use crate::config::settings;

/// Connections live until they are idle too long; no reason to cut a busy one.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A client with its own connection pool.
pub(super) fn client(settings: &settings::Upstream, tls: Arc<rustls::ClientConfig>) -> awc::Client {
    let connector = awc::Connector::new()
        .connector(ServiceExt::<ConnectInfo<Uri>>::map(ConnectorService::default(), without_delay))
        .timeout(settings.connect_timeout())
        .handshake_timeout(settings.connect_timeout())
        .limit(settings.max_connections().unwrap_or(0))
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

/// Nagle's algorithm and delayed ACKs would cost 40 ms a step.
pub(crate) fn without_delay(connection: Connection<Uri, TcpStream>) -> Connection<Uri, TcpStream> {
    // A socket that refuses is slower, not wrong.
    let _ = connection.io_ref().set_nodelay(true);
    connection
}
