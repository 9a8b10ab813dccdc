//! Recall: has this been answered before? A broken cache is a miss, never an error.
//!
//! Streams and whole answers share entries: how an answer travels is no part of the key.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::HttpRequest;
use actix_web::http::header::CACHE_CONTROL;
use aisix_actors::cache::{Entry, Fill, Place, Recalled};
use bytes::Bytes;

use super::clock::Clock;
use super::exchange::Exchange;
use super::relay;
use crate::config::settings::Backend;
use crate::config::snapshot::ApiKey;
use crate::dialect::chat::Dropped;
use crate::dialect::raw::RawObject;
use crate::dialect::replay::{self, Manner};
use crate::dialect::{Call, Dialect, StreamOptions};
use crate::telemetry::record::{CacheStatus, CacheUse};

mod key;

/// What the cache has to say to a request.
pub enum Recall {
    /// The answer.
    Hit(Arc<Entry>),
    /// No answer; this request is to store one.
    Fill(Filling),
    /// No answer, and nothing to store.
    Skip,
}

/// The turn to store an answer, and under which terms.
pub struct Filling {
    /// The turn.
    pub fill: Fill,
    /// Where it is looked for.
    pub place: Place,
    /// How long the answer is good.
    pub ttl: Duration,
}

impl Recall {
    /// What is to be stored, where something is.
    pub fn filling(self) -> Option<Filling> {
        match self {
            Self::Fill(filling) => Some(filling),
            Self::Hit(_) | Self::Skip => None,
        }
    }
}

/// Longest wait for another request that is fetching the same answer.
const FOLLOW_TIME: Duration = Duration::from_secs(60);
/// The same for callers of streams. They want the first words soon, and get none before the other's last one: an answer
/// that is not there by then is a long one, or its caller reads slowly.
const STREAM_FOLLOW_TIME: Duration = Duration::from_secs(3);

/// How long a call may wait for another one: at most half of the time that it has left, so that it can still ask.
fn patience(exchange: &Exchange, call: &Call) -> Duration {
    let usual = if call.is_stream { STREAM_FOLLOW_TIME } else { FOLLOW_TIME };
    let left = exchange.model.as_ref().and_then(|named| Clock::of(exchange, &named.model).left());
    left.map_or(usual, |left| usual.min(left / 2))
}

/// Whether what a request means lies at the provider, and may be another thing the next time: an earlier turn, a stored
/// prompt, a container, an answer that is fetched later.
pub(crate) fn leans_elsewhere(dialect: Dialect, body: &RawObject) -> bool {
    let names: &[&str] = match dialect {
        Dialect::OpenAiResponses => &["conversation", "previous_response_id", "background", "prompt"],
        Dialect::Anthropic => &["container"],
        Dialect::OpenAiChat | Dialect::Gemini | Dialect::Cohere | Dialect::OpenAi | Dialect::Voyage => &[],
    };
    let is_said = |name: &&str| body.member(name).is_some_and(|raw| !matches!(raw.trim(), "null" | "false"));
    names.iter().any(is_said)
}

/// Looks the call up, where a policy covers it.
pub async fn recall(exchange: &mut Exchange, request: &HttpRequest, caller: &ApiKey, call: &Call) -> Recall {
    if !exchange.endpoint.operation.is_cacheable() {
        return Recall::Skip;
    }
    let Some(body) = call.json() else { return Recall::Skip };
    let snapshot = exchange.snapshot.clone();
    let Some(policy) = snapshot.cache_policy(&call.model, caller) else { return Recall::Skip };
    if (call.is_stream && !policy.streaming) || leans_elsewhere(exchange.endpoint.dialect, body) {
        return Recall::Skip;
    }
    let is_shared = policy.backend.unwrap_or(snapshot.settings.cache.backend) == Backend::Redis;
    let cache = &exchange.worker.actors.cache;
    if is_shared && !cache.is_shared() {
        // The configuration in force says so in a warning.
        return Recall::Skip;
    }
    let wish = Wish::of(request);
    let key = key::of(exchange, policy, caller, request.headers(), body);
    let place = Place { key, policy: policy.id.clone(), is_shared };
    let recalled = if wish.no_cache {
        exchange.cache = Some(CacheUse::of(CacheStatus::Bypass, &policy.name));
        cache.refresh(&place).await.map_or(Recalled::Alone, Recalled::Fill)
    } else {
        cache.lookup(&place, patience(exchange, call)).await
    };
    match recalled {
        Recalled::Hit(entry) => {
            exchange.dropped = Dropped::of_line(&entry.note);
            exchange.cache = Some(CacheUse {
                saved_input: entry.input_tokens,
                saved_output: entry.output_tokens,
                ..CacheUse::of(CacheStatus::Hit, &policy.name)
            });
            Recall::Hit(entry)
        }
        Recalled::Fill(fill) => {
            exchange.cache.get_or_insert_with(|| CacheUse::of(CacheStatus::Miss, &policy.name));
            if wish.no_store {
                cache.abandon(fill);
                return Recall::Skip;
            }
            Recall::Fill(Filling { fill, place, ttl: policy.ttl })
        }
        Recalled::Alone => {
            exchange.cache.get_or_insert_with(|| CacheUse::of(CacheStatus::Miss, &policy.name));
            Recall::Skip
        }
    }
}

/// A kept answer as the frames that this call gets; `None`, and no hit, where it cannot be said in pieces.
pub fn played(exchange: &mut Exchange, call: &Call, body: &Bytes) -> Option<Bytes> {
    let manner = Manner {
        created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        wants_usage: call.stream_options == StreamOptions::WithUsage,
        is_array: call.is_array,
    };
    let task = exchange.endpoint.operation.task()?;
    let dialect = exchange.endpoint.dialect;
    let frames = match dialect {
        // Its events repeat all of the answer.
        Dialect::OpenAiResponses => replay::play(task, dialect, &relay::renewed(body.clone()), &manner),
        _ => replay::play(task, dialect, body, &manner),
    };
    if frames.is_none() {
        let policy = exchange.cache.take().map(|cache| cache.policy);
        exchange.cache = policy.map(|policy| CacheUse::of(CacheStatus::Miss, &policy));
        exchange.dropped = Dropped::default();
    }
    frames
}

/// What the request's `Cache-Control` asks for.
#[derive(Debug, Default, PartialEq)]
struct Wish {
    no_cache: bool,
    no_store: bool,
}

impl Wish {
    fn of(request: &HttpRequest) -> Self {
        let mut wish = Self::default();
        for value in request.headers().get_all(CACHE_CONTROL) {
            for token in value.to_str().unwrap_or_default().split(',') {
                wish.no_cache |= token.trim().eq_ignore_ascii_case("no-cache");
                wish.no_store |= token.trim().eq_ignore_ascii_case("no-store");
            }
        }
        wish
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn cache_control_is_read_whatever_its_spelling() {
        for (values, no_cache, no_store) in [
            (&["no-cache"][..], true, false),
            (&["max-age=0, No-Store"], false, true),
            (&["NO-CACHE", "no-store"], true, true),
            (&["private"], false, false),
            (&[], false, false),
        ] {
            let mut request = TestRequest::default();
            for value in values {
                request = request.append_header((CACHE_CONTROL, *value));
            }
            assert_eq!(Wish::of(&request.to_http_request()), Wish { no_cache, no_store }, "{values:?}");
        }
    }
}
