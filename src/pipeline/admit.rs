//! Admit: who calls? Decided from the headers and the snapshot alone, before the body is read.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};

use super::exchange::Exchange;
use crate::config::snapshot::ApiKey;
use crate::error::{AccessError, GatewayError};
use crate::telemetry::record::Admission;

/// Finds the caller's key (§1.6): `Authorization: Bearer`, or `x-api-key` or `x-goog-api-key` where there is no
/// `Authorization`.
///
/// # Errors
/// 401 without a usable credential, or with a key that is unknown, disabled or expired; 429 instead of it when the
/// caller's address has failed too often.
pub fn admit(exchange: &mut Exchange, request: &HttpRequest) -> Result<Arc<ApiKey>, GatewayError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let found = find(exchange, request, now);
    exchange.admission = Some(match &found {
        Ok(_) => Admission::Allowed,
        Err(AccessError::DisabledKey) => Admission::Disabled,
        Err(AccessError::ExpiredKey) => Admission::Expired,
        Err(AccessError::MissingKey) => Admission::Missing,
        Err(
            AccessError::UnknownKey
            | AccessError::UnknownModel(_)
            | AccessError::ModelNotAllowed(_)
            | AccessError::AddressNotAllowed(_)
            | AccessError::UnknownProvider(_)
            | AccessError::ProviderNotAllowed(_)
            | AccessError::Throttled { .. },
        ) => Admission::Unknown,
    });
    found.map_err(|failure| exchange.worker.gateway.caller_failures.count(exchange.client.ip, failure).into())
}

fn find(exchange: &mut Exchange, request: &HttpRequest, now: Duration) -> Result<Arc<ApiKey>, AccessError> {
    let token = credential(request.headers()).ok_or(AccessError::MissingKey)?;
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let key = exchange.snapshot.api_key(&digest, now).cloned().ok_or(AccessError::UnknownKey)?;
    exchange.caller = Some(key.clone());
    if key.disabled {
        return Err(AccessError::DisabledKey);
    }
    if key.is_expired(now) {
        return Err(AccessError::ExpiredKey);
    }
    Ok(key)
}

/// The credential that a request presents: a bearer token, or what the SDKs of Anthropic and of Google send where there is
/// no `Authorization`.
pub fn credential(headers: &HeaderMap) -> Option<&str> {
    let token = match headers.get(AUTHORIZATION) {
        Some(value) => value.to_str().ok()?.strip_prefix("Bearer ")?,
        None => headers.get("x-api-key").or_else(|| headers.get("x-goog-api-key"))?.to_str().ok()?,
    };
    let token = token.trim();
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn the_credential_is_read_as_the_sdks_send_it() {
        for (headers, token) in [
            (&[("authorization", "Bearer sk-1")][..], Some("sk-1")),
            (&[("x-api-key", "sk-2")], Some("sk-2")),
            (&[("authorization", "Bearer  sk-1 "), ("x-api-key", "sk-2")], Some("sk-1")),
            (&[("authorization", "bearer sk-1"), ("x-api-key", "sk-2")], None),
            (&[("authorization", "Basic eA=="), ("x-api-key", "sk-2")], None),
            (&[("authorization", "Bearer "), ("x-api-key", "sk-2")], None),
            (&[("x-goog-api-key", "sk-3")], Some("sk-3")),
            (&[], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(credential(&map), token, "{headers:?}");
        }
    }
}
