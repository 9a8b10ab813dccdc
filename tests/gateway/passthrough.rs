//! The tunnel to a provider's own API, point by point of its contract (§11.13).

use std::time::Duration;

use crate::harness::*;
use crate::matrix::{assert_common, assert_refused};

mod answers;
mod refusals;
mod requests;

/// Sends a request through the tunnel with the usual key.
fn through(gateway: &Gateway, method: &str, rest: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut connection = gateway.connect();
    let path = format!("/passthrough/openai/{rest}");
    connection.send(&request_text(method, &path, "sk-test", headers, body));
    if method == "HEAD" { connection.bodiless() } else { connection.response() }
}

/// The last request that the provider got.
#[track_caller]
fn last(upstream: &Upstream) -> Received {
    upstream.received().pop().expect("it was asked")
}

/// An answer of a status with headers and a body.
fn answer(status: u16, headers: &str, body: &[u8]) -> Answer {
    let head = format!("HTTP/1.1 {status} Scripted\r\n{headers}content-length: {}\r\n\r\n", body.len());
    Answer::default().raw([head.as_bytes(), body].concat())
}

/// A chunk of a chunked body.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
