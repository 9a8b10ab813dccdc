//! Recall: has this been answered before? A broken cache is a miss, never an error.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CACHE_CONTROL;
use aisix_actors::cache::{Entry, Fill, Key, Recalled};
use sha2::{Digest, Sha256};

use super::exchange::Exchange;
use crate::config::snapshot::{ApiKey, CachePolicy, CacheScope, Dispatch, Model};
use crate::dialect::raw::RawObject;
use crate::dialect::{Call, canonical};
use crate::telemetry::record::{CacheStatus, CacheUse};

/// What the cache has to say to a request.
pub enum Recall {
    /// The answer.
    Hit(Arc<Entry>),
    /// No answer; this request is to store one.
    Fill(Fill, Duration),
    /// No answer, and nothing to store.
    Skip,
}

/// Longest wait for another request that is fetching the same answer.
const FOLLOW_TIME: Duration = Duration::from_secs(60);

/// Members that change how an answer travels, not what it says.
const NOT_IN_KEY: [&str; 2] = ["stream", "stream_options"];

/// Looks the call up, where a policy covers it.
pub async fn recall(exchange: &mut Exchange, request: &HttpRequest, caller: &ApiKey, call: &Call) -> Recall {
    let Some(body) = call.json() else { return Recall::Skip };
    if call.is_stream || !exchange.endpoint.operation.is_cacheable() {
        return Recall::Skip;
    }
    let snapshot = exchange.snapshot.clone();
    let Some(policy) = snapshot.cache_policy(&call.model, caller) else { return Recall::Skip };
    let wish = Wish::of(request);
    let key = key(exchange, policy, caller, body);
    let cache = &exchange.worker.actors.cache;
    let recalled = if wish.no_cache {
        exchange.cache = Some(CacheUse::of(CacheStatus::Bypass, &policy.name));
        cache.refresh(key).await.map_or(Recalled::Alone, Recalled::Fill)
    } else {
        cache.lookup(key, FOLLOW_TIME).await
    };
    match recalled {
        Recalled::Hit(entry) => {
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
            Recall::Fill(fill, policy.ttl)
        }
        Recalled::Alone => {
            exchange.cache.get_or_insert_with(|| CacheUse::of(CacheStatus::Miss, &policy.name));
            Recall::Skip
        }
    }
}

/// SHA-256 over everything that can change the answer, and over whose answer it is.
fn key(exchange: &Exchange, policy: &CachePolicy, caller: &ApiKey, body: &RawObject) -> Key {
    let mut text = Vec::with_capacity(body.bytes().len() + 128);
    let owner = match policy.scope {
        CacheScope::ApiKey => &*caller.id,
        CacheScope::Env => "",
    };
    for part in [exchange.endpoint.operation.label(), &*policy.id, owner] {
        text.extend_from_slice(part.as_bytes());
        text.push(0);
    }
    text.extend_from_slice(&policy.purge_generation.to_le_bytes());
    if let Some(named) = &exchange.model {
        // Not every dialect names the model in the body.
        text.extend_from_slice(named.model.id.as_bytes());
        text.push(0);
        text.extend_from_slice(named.capture.as_deref().unwrap_or_default().as_bytes());
        text.push(0);
        write_targets(&named.model, &mut text);
    }
    canonical::write_object(body, &NOT_IN_KEY, &mut text);
    Sha256::digest(&text).into()
}

/// What stands behind a model: a change of it leaves the earlier answers behind.
fn write_targets(model: &Model, text: &mut Vec<u8>) {
    match &model.dispatch {
        Dispatch::Direct(direct) => {
            for part in [&direct.upstream_model, &direct.key.id] {
                text.extend_from_slice(part.as_bytes());
                text.push(0);
            }
        }
        Dispatch::Routing(routing) => routing.members.iter().for_each(|member| write_targets(member, text)),
    }
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
