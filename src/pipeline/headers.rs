//! The headers of an answer: who served it, whether the cache did, and how the caller's limits stand.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use aisix_actors::rate_limiter::Standing;

use super::exchange::Exchange;
use super::relay::server_timing;
use crate::envelope::{CALL_ID, REQUEST_ID};
use crate::telemetry::record::CacheStatus;

const SERVED_BY: HeaderName = HeaderName::from_static("x-aisix-served-by");
const CACHE: HeaderName = HeaderName::from_static("x-aisix-cache");
const CACHE_LAYER: HeaderName = HeaderName::from_static("x-aisix-cache-layer");
const DROPPED_FIELDS: HeaderName = HeaderName::from_static("x-aisix-dropped-fields");
const TOKEN_COUNT: HeaderName = HeaderName::from_static("x-aisix-token-count");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
const RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");
const LIMIT_CONCURRENT: HeaderName = HeaderName::from_static("x-ratelimit-limit-concurrent");
const REMAINING_CONCURRENT: HeaderName = HeaderName::from_static("x-ratelimit-remaining-concurrent");

/// What a header of an answer holds, for the document of the API.
pub struct About {
    /// Its name.
    pub name: HeaderName,
    /// Its meaning.
    pub sentence: &'static str,
    /// Whether it is a whole number.
    pub is_count: bool,
}

/// Every header that [`write()`] may write beside those of the request's name.
#[must_use]
pub fn all() -> Vec<About> {
    let text = |name, sentence| About { name, sentence, is_count: false };
    let count = |name, sentence| About { name, sentence, is_count: true };
    vec![
        text(SERVED_BY, "The target that answered, for routing models."),
        text(CACHE, "`hit`, `miss` or `bypass`, where a cache policy applies."),
        text(CACHE_LAYER, "How a hit was found."),
        text(DROPPED_FIELDS, "Members of the request that could not be said in the provider's dialect."),
        text(TOKEN_COUNT, "`estimated` where the gateway counted tokens itself."),
        text(SERVER_TIMING, "Times in the gateway and at the provider, where the operator wants them."),
        count(LIMIT_REQUESTS, "Requests per minute that the key may make."),
        count(REMAINING_REQUESTS, "How many of them are left."),
        text(RESET_REQUESTS, "When the minute is over, such as `30s`."),
        count(LIMIT_TOKENS, "Tokens per minute that the key may use."),
        count(REMAINING_TOKENS, "How many of them are left."),
        text(RESET_TOKENS, "When the minute is over, such as `30s`."),
        count(LIMIT_CONCURRENT, "Requests in progress that the key may have."),
        count(REMAINING_CONCURRENT, "How many more it may begin."),
    ]
}

/// Writes the headers of a successful answer (§2).
pub fn write(exchange: &Exchange, standing: Option<&Standing>, headers: &mut HeaderMap) {
    headers.insert(REQUEST_ID, exchange.request_id.clone());
    if exchange.endpoint.operation.has_call_id() {
        headers.insert(CALL_ID, exchange.request_id.clone());
    }
    if let Some(name) = exchange.served_by.as_deref() {
        match HeaderValue::from_str(name) {
            Ok(value) => {
                headers.insert(SERVED_BY, value);
            }
            Err(_) => log::warn!(
                "the model name {name:?} cannot stand in x-aisix-served-by; the header is left out"
            ),
        }
    }
    if let Some(cache) = exchange.cache.as_ref().map(|cache| cache.status) {
        headers.insert(CACHE, HeaderValue::from_static(cache.as_str()));
        if cache == CacheStatus::Hit {
            headers.insert(CACHE_LAYER, HeaderValue::from_static("exact"));
        }
    }
    if !exchange.dropped.is_empty()
        && let Ok(names) = HeaderValue::try_from(exchange.dropped.to_line())
    {
        headers.insert(DROPPED_FIELDS, names);
    }
    if exchange.is_counted_here {
        headers.insert(TOKEN_COUNT, HeaderValue::from_static("estimated"));
    }
    if let Some(standing) = standing {
        write_standing(standing, headers);
    }
    if exchange.snapshot.settings.observability.server_timing {
        let timing = server_timing(exchange.opened.elapsed(), exchange.upstream_time);
        if let Ok(value) = HeaderValue::try_from(timing) {
            headers.insert(SERVER_TIMING, value);
        }
    }
}

/// Limits of the key: only those that it has, per minute and concurrent.
fn write_standing(standing: &Standing, headers: &mut HeaderMap) {
    let mut put = |name: HeaderName, value: HeaderValue| {
        headers.insert(name, value);
    };
    let reset = || {
        let mut text = itoa::Buffer::new().format(standing.minute_resets_in.as_secs()).to_owned();
        text.push('s');
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("60s"))
    };
    if let Some(limit) = standing.limit.rpm {
        put(LIMIT_REQUESTS, limit.into());
        put(REMAINING_REQUESTS, limit.saturating_sub(standing.used_requests_minute).into());
        put(RESET_REQUESTS, reset());
    }
    if let Some(limit) = standing.limit.tpm {
        put(LIMIT_TOKENS, limit.into());
        put(REMAINING_TOKENS, limit.saturating_sub(standing.used_tokens_minute).into());
        put(RESET_TOKENS, reset());
    }
    if let Some(limit) = standing.limit.concurrency {
        put(LIMIT_CONCURRENT, limit.into());
        put(REMAINING_CONCURRENT, limit.saturating_sub(standing.concurrent).into());
    }
}
