//! From a socket to a connection that HTTP is spoken on: no delay on small writes, and the protocol known.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use actix_http::Protocol;
use actix_http::error::DispatchError;
use actix_rt::net::TcpStream;
use tokio::time::timeout;

use super::intake::{EnvelopeOf, Intake};

/// How HTTP/2 without TLS begins.
const H2_PREFACE: &[u8; 12] = b"PRI * HTTP/2";
/// How often the rest of a cut preface is looked for.
const PREFACE_POLL: Duration = Duration::from_millis(5);

/// A connection, its protocol and its peer, as actix-http takes them.
type Accepted = (Intake<TcpStream>, Protocol, Option<SocketAddr>);

/// What a listener does with each of its connections.
#[derive(Clone)]
pub(super) struct Door {
    /// How long a connection may say nothing: the time that a request head has.
    pub(super) patience: Option<Duration>,
    /// The envelope for requests that reach no route.
    pub(super) envelope_of: Rc<EnvelopeOf>,
}

impl Door {
    /// Takes a connection; what does not begin in time is given up.
    pub(super) async fn accept(self, stream: TcpStream) -> Result<Accepted, DispatchError> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr().ok();
        let is_h2 = match self.patience {
            Some(patience) => timeout(patience, begins_as_h2(&stream))
                .await
                .map_err(|_| DispatchError::SlowRequestTimeout)?,
            None => begins_as_h2(&stream).await,
        }?;
        let protocol = if is_h2 { Protocol::Http2 } else { Protocol::Http1 };
        Ok((Intake::new(stream, self.envelope_of), protocol, peer))
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
