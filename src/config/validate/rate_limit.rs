//! Limits of an API key, a model or a policy.

use std::sync::Arc;

use aisix_actors::rate_limiter::{Layer, RateLimit, Scope};

use crate::config::resources::shapes::RateLimitShape;

/// The scope that counts for `id`; nothing when there is no limit.
pub(super) fn scope(id: &str, layer: Layer, shape: Option<&RateLimitShape>) -> Option<Arc<Scope>> {
    let scope = Scope { id: id.into(), layer, limit: limit(shape?) };
    (!scope.limit.is_unlimited()).then(|| Arc::new(scope))
}

/// The limits as the limiter has them.
pub(super) fn limit(shape: &RateLimitShape) -> RateLimit {
    RateLimit {
        rps: shape.rps,
        rpm: shape.rpm,
        rph: shape.rph,
        rpd: shape.rpd,
        tpm: shape.tpm,
        tpd: shape.tpd,
        concurrency: shape.concurrency,
    }
}
