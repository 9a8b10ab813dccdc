//! The id of an exchange: the caller's own where it is usable, a fresh one otherwise (§1.9). Never a refusal.

use actix_web::http::header::{HeaderMap, HeaderValue};
use uuid::Uuid;

use crate::config::settings::RequestId;
use crate::gateway::Worker;

/// Longest id that is taken over.
const MAX_BYTES: usize = 256;

/// The id of a request, by the configuration in force.
#[must_use]
pub fn of(worker: &Worker, headers: &HeaderMap) -> HeaderValue {
    resolve(&worker.gateway.current().settings.proxy.request_id, headers)
}

/// The first acceptable id among the configured headers, or a new one.
#[must_use]
pub fn resolve(settings: &RequestId, headers: &HeaderMap) -> HeaderValue {
    let offered = settings.accept_headers.iter().filter_map(|name| headers.get(name.as_str()));
    offered.into_iter().find(|value| is_acceptable(value.as_bytes())).cloned().unwrap_or_else(fresh)
}

/// A fresh id: UUIDv4, hyphenated, lower case.
#[must_use]
pub fn fresh() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

fn is_acceptable(bytes: &[u8]) -> bool {
    (1..=MAX_BYTES).contains(&bytes.len()) && bytes.iter().all(|byte| (0x21..=0x7e).contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_visible_ids_are_taken_over() {
        for (id, is_good) in [
            (&b"abc-1"[..], true),
            (&[b'x'; 256], true),
            (&[b'x'; 257], false),
            (b"", false),
            (b"a b", false),
            (b"\xc3\xbc", false),
        ] {
            assert_eq!(is_acceptable(id), is_good, "{id:?}");
        }
    }
}
