//! From a socket to a connection that HTTP is spoken on: no delay on small writes, and the protocol known.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use actix_http::Protocol;
use actix_http::error::DispatchError;
use actix_rt::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::intake::{EnvelopeOf, Intake};
use super::tls::{self, HANDSHAKE_TIME, Wire};

/// How HTTP/2 without TLS begins.
const H2_PREFACE: &[u8; 12] = b"PRI * HTTP/2";
/// How often the rest of a cut preface is looked for.
const PREFACE_POLL: Duration = Duration::from_millis(5);

/// A connection, its protocol and its peer, as actix-http takes them.
type Accepted = (Intake<Wire>, Protocol, Option<SocketAddr>);

/// What a listener does with each of its connections.
#[derive(Clone)]
pub(super) struct Door {
    /// How long a connection may say nothing: the time that a request head has.
    pub(super) patience: Option<Duration>,
    /// What shakes hands, where the listener has a certificate.
    pub(super) tls: Option<TlsAcceptor>,
    /// The envelope for requests that reach no route.
    pub(super) envelope_of: Rc<EnvelopeOf>,
}

impl Door {
    /// Takes a connection; what does not begin in time is given up.
    pub(super) async fn accept(self, stream: TcpStream) -> Result<Accepted, DispatchError> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr().ok();
        let (wire, protocol) = match &self.tls {
            Some(acceptor) => {
                let patience = self.patience.map_or(HANDSHAKE_TIME, |patience| patience.min(HANDSHAKE_TIME));
                tls::shake_hands(acceptor, stream, patience).await?
            }
            None => {
                let protocol = self.protocol_of(&stream).await?;
                (Wire::Plain(stream), protocol)
            }
        };
        Ok((Intake::new(wire, self.envelope_of), protocol, peer))
    }

    /// The protocol of a connection without TLS, by its first bytes.
    async fn protocol_of(&self, stream: &TcpStream) -> Result<Protocol, DispatchError> {
        let is_h2 = match self.patience {
            Some(patience) => timeout(patience, begins_as_h2(stream))
                .await
                .map_err(|_| DispatchError::SlowRequestTimeout)?,
            None => begins_as_h2(stream).await,
        }?;
        Ok(if is_h2 { Protocol::Http2 } else { Protocol::Http1 })
    }
}

/// Whether the first bytes are those of HTTP/2 (RFC 9113, §3.4), however they are cut.
async fn begins_as_h2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; H2_PREFACE.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        if seen == 0 || seen == start.len() || !H2_PREFACE.starts_with(&start[..seen]) {
            return Ok(start == *H2_PREFACE);
        }
        // The same bytes would be seen again at once.
        tokio::time::sleep(PREFACE_POLL).await;
    }
}
