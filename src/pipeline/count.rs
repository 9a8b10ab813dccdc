//! Count: the tokens of a conversation, where its provider has no endpoint that counts them.

use bytes::{Bytes, BytesMut};

use super::exchange::Exchange;
use crate::config::snapshot::Direct;
use crate::dialect::chat::Dropped;
use crate::dialect::codec::{self, Reply};
use crate::dialect::json::Writer;
use crate::dialect::raw::RawObject;
use crate::dialect::{Call, Dialect};
use crate::endpoints::Endpoint;
use crate::error::{GatewayError, RequestError};
use crate::operation::Operation;
use crate::{providers, tokens};

/// Whether the gateway has to count, because the provider cannot.
pub fn is_ours(endpoint: &Endpoint, direct: &Direct) -> bool {
    let (operation, dialect) = (endpoint.operation, endpoint.dialect);
    operation == Operation::CountTokens && providers::way(direct.provider, operation, dialect).is_none()
}

/// Counts with a vocabulary of its own; the answer's header says so.
///
/// # Errors
/// The conversation cannot be read.
pub fn estimate(exchange: &mut Exchange, call: &Call) -> Result<Reply, GatewayError> {
    let dialect = exchange.endpoint.dialect;
    let whole = call.json().ok_or_else(|| RequestError::invalid("a JSON object is expected"))?;
    // Gemini also takes a whole request to be counted.
    let inner = whole.member("generateContentRequest").map(|raw| Bytes::copy_from_slice(raw.as_bytes()));
    let inner = inner.and_then(|bytes| RawObject::parse(bytes).ok());
    let body = inner.as_ref().unwrap_or(whole);
    let conversation = codec::read_request(dialect, body, &mut Dropped::default())?;
    let tokens = tokens::count_conversation(&conversation);
    exchange.is_counted_here = true;
    let mut out = BytesMut::new();
    let name = if dialect == Dialect::Gemini { "totalTokens" } else { "input_tokens" };
    Writer::new(&mut out).object(|w| w.name(name).number(tokens));
    Ok(Reply::bare(out.freeze()))
}
