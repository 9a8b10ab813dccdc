//! The Redis of each use, as the configuration says.

use std::io;
use std::sync::Arc;

use aisix_actors::budget_ledger::SharedBudgets;
use aisix_actors::rate_limiter::SharedLimits;
use aisix_actors::redis::{Mode, Options, Server, Servers, Tls, Use};
use aisix_actors::types::Now;

use crate::config::Snapshot;
use crate::config::secret::Plaintext;
use crate::config::settings::{LimitFailure, Redis, RedisMode, RedisTls, Settings, Verdict};

use crate::gateway::Gateway;
use crate::journal::Health;

mod forward;
mod queue;

pub use forward::Forwarder;

/// Prepares the Redis of limits, budgets and the cache; nothing is asked yet.
///
/// # Errors
/// An address that is none, or a file of certificates that cannot be read.
pub fn servers(settings: &Settings) -> io::Result<Servers> {
    let prepare = |redis: Option<&Redis>| redis.map(options).transpose();
    Ok(Servers::new(
        prepare(settings.limits_redis())?,
        prepare(settings.budgets_redis())?,
        prepare(settings.cache_redis())?,
    ))
}

/// Connects once to each that is in use, so that a gateway does not start without what it would refuse to serve
/// without. Where it serves all the same, a warning is enough: the way comes back by itself.
///
/// # Errors
/// Which one cannot be reached, and why.
pub async fn reach(servers: &Servers, snapshot: &Snapshot) -> io::Result<()> {
    let settings = &snapshot.settings;
    for used_for in Use::ALL {
        let Some(server) = servers.of(used_for) else { continue };
        let is_needed = match used_for {
            Use::Limits => settings.ratelimit.on_failure == LimitFailure::Deny,
            Use::Budgets => settings.budget.on_failure == Verdict::Deny,
            Use::Cache if snapshot.is_cache_shared() => false,
            Use::Cache => continue,
        };
        if let Err(why) = server.reach().await {
            let problem = format!("the Redis of {used_for} at {} cannot be reached: {why}", server.options);
            if is_needed {
                return Err(io::Error::other(problem));
            }
            log::warn!("{problem}; serving without it");
        }
    }
    Ok(())
}

/// How the Redis of limits and budgets stands; nothing where there is none.
pub fn health(gateway: &Gateway) -> Option<Health> {
    let (books, snapshot) = (&gateway.books, gateway.snapshot());
    let servers = [&books.redis.limits, &books.redis.budgets];
    let mut servers = servers.into_iter().flatten().peekable();
    servers.peek()?;
    let is_up = servers.all(|server| server.is_up());
    let is_away = |server: &Option<Arc<Server>>| server.as_ref().is_some_and(|server| !server.is_up());
    let limits = is_away(&books.redis.limits) && snapshot.settings.ratelimit.on_failure == LimitFailure::Deny;
    let budgets = books.shared_budgets.as_ref().is_some_and(|budgets| budgets.is_refusing(Now::read()))
        && snapshot.budgets.iter().any(|budget| budget.hard_stop);
    Some(match () {
        () if limits || budgets => Health::Refusing,
        () if is_up => Health::Well,
        () => Health::Degraded,
    })
}

/// How limits are shared; nothing where they are counted in this process.
pub fn shared_limits(settings: &Settings, servers: &Servers) -> Option<Arc<SharedLimits>> {
    let limits = &settings.ratelimit;
    let server = servers.limits.clone()?;
    Some(SharedLimits::new(server, limits.concurrency_ttl(), limits.on_failure == LimitFailure::Deny))
}

/// How budgets are shared; nothing where spend is kept in this process.
pub fn shared_budgets(settings: &Settings, servers: &Servers) -> Option<Arc<SharedBudgets>> {
    let budget = &settings.budget;
    let ttl = settings.ratelimit.concurrency_ttl();
    Some(SharedBudgets::new(
        servers.budgets.clone()?,
        ttl,
        budget.stale(),
        budget.on_failure == Verdict::Deny,
    ))
}

fn options(redis: &Redis) -> io::Result<Options> {
    let options = Options {
        mode: mode(redis),
        username: redis.username.clone(),
        password: redis.password.as_ref().map(exposed),
        database: redis.database,
        connect_timeout: redis.connect_timeout(),
        timeout: redis.timeout(),
        tls: redis.tls.as_ref().map(tls).transpose()?,
        key_prefix: redis.key_prefix.clone(),
    };
    let checked = options.check();
    checked.map_err(|why| io::Error::other(format!("the Redis at {options}: {why}")))?;
    Ok(options)
}

fn mode(redis: &Redis) -> Mode {
    match redis.mode {
        RedisMode::Single => Mode::Single(redis.url.as_ref().map(exposed).unwrap_or_default()),
        RedisMode::Cluster => Mode::Cluster(redis.nodes.iter().map(exposed).collect()),
        RedisMode::Sentinel => Mode::Sentinel {
            sentinels: redis.sentinels.clone(),
            master: redis.master_name.clone().unwrap_or_default(),
            username: redis.sentinel_username.clone(),
            password: redis.sentinel_password.as_ref().map(exposed),
        },
    }
}

/// A URL may hold a password as well.
fn exposed(text: &Plaintext) -> String {
    text.expose().to_owned()
}

fn tls(tls: &RedisTls) -> io::Result<Tls> {
    let files = tls.files()?;
    Ok(Tls { roots: files.roots, identity: files.identity, verify: tls.verify })
}
