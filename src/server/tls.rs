//! TLS on a listener: what is spoken, and the connection below HTTP, with TLS or without.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::Protocol;
use actix_rt::net::TcpStream;
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::gateway::Certificate;

/// Longest time for a handshake, which takes two or three round trips and a millisecond of work.
pub(super) const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// HTTP/2 as it is called in a handshake (RFC 9113, §3.2).
const H2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// What shakes hands for a listener; nothing where it has no certificate.
///
/// # Errors
/// The versions of TLS are not to be had.
pub(super) fn acceptor(certificate: Option<&Arc<Certificate>>) -> io::Result<Option<TlsAcceptor>> {
    let Some(certificate) = certificate.filter(|certificate| certificate.is_there()) else { return Ok(None) };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate.clone());
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1.to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Shakes hands, and tells the protocol that was agreed on.
///
/// # Errors
/// The other side does not speak TLS, does not like the certificate, or takes too long.
pub(super) async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    patience: Duration,
) -> io::Result<(Wire, Protocol)> {
    let stream = timeout(patience, acceptor.accept(stream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    Ok((Wire::Tls(Box::new(stream)), if is_h2 { Protocol::Http2 } else { Protocol::Http1 }))
}

/// A connection of either kind.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
