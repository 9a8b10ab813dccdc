//! The HTTP client of one worker: TCP without delay, keep-alive, no limits but those configured.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Uri;
use actix_rt::net::TcpStream;
use actix_service::ServiceExt;
use actix_tls::connect::{ConnectInfo, Connection, ConnectorService};

use super::wire::Wire;
use crate::config::settings::{self, TcpKeepalive};

/// Connections live until they are idle too long; no reason to cut a busy one.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A client with its own connection pool.
pub(super) fn client(settings: &settings::Upstream, tls: Arc<rustls::ClientConfig>) -> awc::Client {
    let keepalive = settings.tcp_keepalive();
    let ready = move |connection| honest(kept_alive(without_delay(connection), keepalive));
    let connector = awc::Connector::new()
        .connector(ServiceExt::<ConnectInfo<Uri>>::map(ConnectorService::default(), ready))
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

fn honest(connection: Connection<Uri, TcpStream>) -> Connection<Uri, Wire> {
    let (stream, uri) = connection.into_parts();
    Connection::new(uri, Wire(stream))
}

/// Nagle's algorithm and delayed ACKs would cost 40 ms a step.
pub(crate) fn without_delay(connection: Connection<Uri, TcpStream>) -> Connection<Uri, TcpStream> {
    // A socket that refuses is slower, not wrong.
    let _ = connection.io_ref().set_nodelay(true);
    connection
}

/// A network that forgets a connection says nothing; without questions a silent answer would be waited for in vain.
fn kept_alive(
    connection: Connection<Uri, TcpStream>,
    keepalive: Option<TcpKeepalive>,
) -> Connection<Uri, TcpStream> {
    if let Some(keepalive) = keepalive {
        // A system that refuses the times has others of its own.
        let _ = ask(connection.io_ref(), keepalive);
    }
    connection
}

fn ask(stream: &TcpStream, keepalive: TcpKeepalive) -> io::Result<()> {
    let TcpKeepalive { idle, interval, retries } = keepalive;
    let times = socket2::TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(retries);
    socket2::SockRef::from(stream).set_tcp_keepalive(&times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_given_the_times_of_the_settings() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        stream.set_nonblocking(true).expect("sets");
        let stream = actix_rt::System::new().block_on(async {
            let stream = TcpStream::from_std(stream).expect("a runtime runs");
            let keepalive = settings::Upstream::default().tcp_keepalive().expect("on by default");
            ask(&stream, keepalive).expect("sets");
            stream.into_std().expect("a socket")
        });
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().expect("tells"));
        assert_eq!(socket.tcp_keepalive_time().expect("tells"), Duration::from_secs(60));
        assert_eq!(socket.tcp_keepalive_interval().expect("tells"), Duration::from_secs(30));
        assert_eq!(socket.tcp_keepalive_retries().expect("tells"), 5);
    }
}
