//! How the five actors stand: the counters of their books, and how many exchanges are open.

use aisix_actors::Inspection;
use schemars::JsonSchema;
use serde::Serialize;

use crate::gateway::Worker;

/// How the five actors stand.
#[derive(Serialize, JsonSchema)]
pub(super) struct Actors {
    /// Requests in progress.
    open_exchanges: usize,
    rate_limiter: RateLimiter,
    budget_ledger: BudgetLedger,
    cache: Cache,
    candidate_router: CandidateRouter,
    provider_pool: ProviderPool,
}

/// Rate limits.
#[derive(Serialize, JsonSchema)]
struct RateLimiter {
    /// Keys and models with a limit that were used lately.
    scopes: usize,
    /// Permits that are out.
    held: u64,
    /// Requests let through.
    admitted: u64,
    /// Requests refused.
    refused: u64,
}

/// Budgets.
#[derive(Serialize, JsonSchema)]
struct BudgetLedger {
    /// Budgets that were used.
    budgets: usize,
    /// Holds of requests in progress.
    holds: u64,
    /// What they hold, in US dollars.
    held_usd: String,
    /// Requests let through.
    admitted: u64,
    /// Requests refused.
    refused: u64,
}

/// Answers kept.
#[derive(Serialize, JsonSchema)]
struct Cache {
    /// Answers.
    entries: u64,
    /// Their bytes.
    bytes: u64,
    /// Misses that are being filled.
    filling: usize,
    /// Requests that wait for one of them.
    waiting: usize,
    /// Requests answered from the cache.
    hits: u64,
}

/// Targets of models.
#[derive(Serialize, JsonSchema)]
struct CandidateRouter {
    /// Targets that were used.
    targets: usize,
    /// Attempts in progress.
    in_flight: u64,
    /// Requests planned.
    planned: u64,
    /// Attempts that succeeded.
    succeeded: u64,
    /// Attempts that failed.
    failed: u64,
    /// Targets that are cooling down.
    cooled: u64,
}

/// Connections to providers.
#[derive(Serialize, JsonSchema)]
struct ProviderPool {
    /// Provider keys.
    keys: usize,
    /// Leases that are out.
    in_flight: u64,
    /// Leases given.
    leased: u64,
    /// Leases refused.
    refused: u64,
}

impl Actors {
    /// Asks the actors of a worker.
    pub(super) async fn inspect(worker: &Worker) -> Self {
        let Inspection { limiter, ledger, cache, router, pool } = worker.actors.inspect().await;
        Self {
            open_exchanges: worker.gateway.open_exchanges(),
            rate_limiter: RateLimiter {
                scopes: limiter.scopes,
                held: limiter.held,
                admitted: limiter.admitted,
                refused: limiter.refused,
            },
            budget_ledger: BudgetLedger {
                budgets: ledger.budgets,
                holds: ledger.holds,
                held_usd: ledger.held.to_usd_exact(),
                admitted: ledger.admitted,
                refused: ledger.refused,
            },
            cache: Cache {
                entries: cache.entries,
                bytes: cache.bytes,
                filling: cache.filling,
                waiting: cache.waiting,
                hits: cache.hits,
            },
            candidate_router: CandidateRouter {
                targets: router.targets,
                in_flight: router.in_flight,
                planned: router.planned,
                succeeded: router.succeeded,
                failed: router.failed,
                cooled: router.cooled,
            },
            provider_pool: ProviderPool {
                keys: pool.keys,
                in_flight: pool.in_flight,
                leased: pool.leased,
                refused: pool.refused,
            },
        }
    }
}
