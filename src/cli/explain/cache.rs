//! Which cache policy a request falls under, and why it keeps nothing where it does not.

use crate::config::settings::Backend;
use crate::config::snapshot::{CachePolicy, CacheScope, Snapshot};
use crate::dialect::Call;
use crate::pipeline::recall::leans_elsewhere;
use crate::pipeline::route::Wish;

/// The policy in words; nothing where there is none for the request.
pub(super) fn described(snapshot: &Snapshot, wish: &Wish<'_>, call: &Call) -> Option<String> {
    let policy = snapshot.cache_policy(&call.model, wish.caller)?;
    if !wish.endpoint.operation.is_cacheable() {
        return None;
    }
    let is_shared = policy.backend.unwrap_or(snapshot.settings.cache.backend) == Backend::Redis;
    if let Some(why) = why_not(snapshot, policy, is_shared, wish, call) {
        return Some(format!("none: {} {why}", policy.name));
    }
    let place = if is_shared { "in Redis" } else { "in this process" };
    let streams = if policy.streaming { "streams too" } else { "whole answers only" };
    let sharers = match policy.scope {
        CacheScope::ApiKey => "for each key",
        CacheScope::Env => "for all callers",
    };
    Some(format!("{}, {} s, {place}, {streams}, {sharers}", policy.name, policy.ttl.as_secs()))
}

fn why_not(
    snapshot: &Snapshot,
    policy: &CachePolicy,
    is_shared: bool,
    wish: &Wish<'_>,
    call: &Call,
) -> Option<&'static str> {
    if is_shared && snapshot.settings.cache_redis().is_none() {
        return Some("keeps nothing, it wants Redis, and there is no [redis] or [cache.redis]");
    }
    if call.is_stream && !policy.streaming {
        return Some("leaves streams out");
    }
    let body = call.json()?;
    leans_elsewhere(wish.endpoint.dialect, body).then_some("leaves out what leans on the provider's memory")
}
