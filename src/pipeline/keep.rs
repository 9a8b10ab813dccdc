//! Keep: a finished answer is put into the cache, under the policy that covered its request.
//!
//! What a provider's filter has cut, or what is only announced, is none: the same request may get more the next time.
//! A stream is gathered while it goes by, as the caller gets it: judged, masked and named. Only one that ended properly is
//! kept, as the answer that a caller without a stream would have got; whatever else becomes of it passes the turn to the
//! next caller who waits for the same answer.

use std::sync::Arc;

use aisix_actors::cache::{Entry, Gathering};
use aisix_actors::types::Now;
use bytes::Bytes;

use super::exchange::Exchange;
use super::recall::Filling;
use crate::dialect::codec::Reply;
use crate::dialect::{Call, Usage, replay};

/// Keeps a whole answer.
pub fn whole(exchange: &Exchange, filling: Filling, call: &Call, reply: &Reply, usage: Usage) {
    keep(exchange, filling, &call.model, &reply.body, usage);
}

fn keep(exchange: &Exchange, filling: Filling, model: &str, body: &[u8], usage: Usage) {
    let is_proper = |task| replay::is_proper(task, exchange.endpoint.dialect, body);
    if !exchange.endpoint.operation.task().is_some_and(is_proper) {
        return;
    }
    let Filling { fill, place, ttl } = filling;
    let entry = Entry {
        // A copy of its own size: what came over the wire may lie in something larger.
        body: Bytes::copy_from_slice(body),
        input_tokens: usage.prompt,
        output_tokens: usage.completion,
        model: Arc::from(model),
        policy: place.policy.clone(),
        note: exchange.dropped.to_line().into(),
        stored_at: Now::read().unix,
    };
    exchange.worker.actors.cache.store(fill, &place, entry, ttl);
}

/// A stream that is gathered.
pub struct Keeper {
    filling: Filling,
    stream: Gathering,
    model: Box<str>,
    is_array: bool,
}

impl Keeper {
    /// Begins to gather the stream of a call.
    #[must_use]
    pub fn new(exchange: &Exchange, filling: Filling, call: &Call) -> Self {
        let stream = exchange.worker.actors.cache.gather(&filling.place);
        Self { filling, stream, model: call.model.clone(), is_array: call.is_array }
    }

    /// Takes a piece; false where there is too much to be kept.
    #[must_use]
    pub fn hear(&mut self, piece: &[u8]) -> bool {
        self.stream.push(piece)
    }

    /// Keeps the answer. `usage` is what it cost.
    pub fn finish(mut self, exchange: &Exchange, usage: Usage) {
        let Some(task) = exchange.endpoint.operation.task() else { return };
        let (dialect, counted) = (exchange.endpoint.dialect, exchange.usage.as_ref());
        let body = replay::gather(task, dialect, self.is_array, self.stream.take(), counted);
        if let Some(body) = body {
            keep(exchange, self.filling, &self.model, &body, usage);
        }
    }
}
