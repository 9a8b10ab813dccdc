//! A connection whose unreadable requests get an answer that an SDK understands.
//!
//! actix-http answers a head that it cannot read (two `Content-Length`, a broken request line, more than 128 KiB) with
//! a bare status and an empty body, before any route is known. Such an answer is exchanged here for the envelope of
//! the path that stands in the request line, as far as there is one. Everything else passes untouched.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::SERVER_TEXT;
use crate::envelope::Envelope;
use crate::error::{GatewayError, RequestError};
use crate::pipeline::request_id;

/// As much of a request line as is needed to tell its envelope.
const LINE_BYTES: usize = 64;

/// Tells the envelope for a path.
pub(super) type EnvelopeOf = dyn Fn(&str) -> Envelope;

/// See the module.
pub(super) struct Intake<T> {
    stream: T,
    /// The envelope for a path, on this listener.
    envelope_of: Rc<EnvelopeOf>,
    line: [u8; LINE_BYTES],
    line_len: usize,
    /// What is left to send of an exchanged answer.
    instead: Bytes,
    /// Whether an answer was exchanged, which is the last of its connection.
    is_last: bool,
}

impl<T> Intake<T> {
    pub(super) fn new(stream: T, envelope_of: Rc<EnvelopeOf>) -> Self {
        Self {
            stream,
            envelope_of,
            line: [0; LINE_BYTES],
            line_len: 0,
            instead: Bytes::new(),
            is_last: false,
        }
    }

    /// Notes the request line when `read` begins with one.
    fn note(&mut self, read: &[u8]) {
        let method = read.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        if method > 0 && read.get(method..).is_some_and(|rest| rest.starts_with(b" /")) {
            let length = read.len().min(LINE_BYTES);
            self.line[..length].copy_from_slice(&read[..length]);
            self.line_len = length;
        }
    }

    fn answer_for(&self, status: u16) -> Bytes {
        let line = String::from_utf8_lossy(&self.line[..self.line_len]);
        let path = line.split(' ').nth(1).unwrap_or_default();
        let envelope = (self.envelope_of)(path.split('?').next().unwrap_or_default());
        let error = GatewayError::from(match status {
            431 => RequestError::HeadTooLarge,
            408 => RequestError::HeadLate,
            _ => RequestError::Malformed,
        });
        let body = envelope.body(&error);
        let id = request_id::fresh();
        let head = format!(
            "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\
             server: {SERVER_TEXT}\r\nx-aisix-request-id: {}\r\n\r\n",
            actix_web::http::StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or_default(),
            body.len(),
            id.to_str().unwrap_or_default(),
        );
        [head.as_bytes(), &body].concat().into()
    }
}

/// The status of an answer that the HTTP layer gave by itself: an error without a body and without a `Server`.
fn bare_status(head: &[u8]) -> Option<u16> {
    let status = match head.get(9..12)? {
        b"400" => 400,
        b"408" => 408,
        b"431" => 431,
        _ => return None,
    };
    let text = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    let is_bare = text.starts_with("http/1.")
        && text.ends_with("\r\n\r\n")
        && text.contains("\r\ncontent-length: 0\r\n")
        && !text.contains("\r\nserver:");
    is_bare.then_some(status)
}

impl<T: AsyncWrite + Unpin> Intake<T> {
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = futures::ready!(Pin::new(&mut self.stream).poll_write(context, &self.instead))?;
            self.instead.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Intake<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(read) = buffer.filled().get(before..) {
            self.note(read);
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Intake<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        futures::ready!(this.poll_instead(context))?;
        match bare_status(bytes) {
            None => Pin::new(&mut this.stream).poll_write(context, bytes),
            Some(status) => {
                this.instead = this.answer_for(status);
                this.is_last = true;
                // What does not fit now goes out with the flush that follows every answer.
                let _ = this.poll_instead(context)?;
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::ready!(self.poll_instead(context))?;
        futures::ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        // The HTTP layer lets the connection drop after this, and TLS has a way of its own to say that it is over.
        if self.is_last { Pin::new(&mut self.stream).poll_shutdown(context) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_error_of_the_http_layer_is_exchanged() {
        for (head, status) in [
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: x\r\n\r\n", Some(400)),
            ("HTTP/1.1 431 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", Some(431)),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nserver: AISIX/1\r\n\r\n", None),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}", None),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(bare_status(head.as_bytes()), status, "{head}");
        }
    }

    #[test]
    fn the_envelope_follows_the_request_line() {
        let mut intake = Intake::new((), Rc::new(crate::endpoints::envelope_of));
        intake.note(b"POST /v1/messages?x=1 HTTP/1.1\r\nContent-Length: 1\r\n");
        let answer = String::from_utf8(intake.answer_for(400).to_vec()).expect("text");
        assert!(
            answer.contains("\r\n\r\n{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\""),
            "{answer}"
        );
    }
}
