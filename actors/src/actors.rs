//! The set of five actors that a worker runs, and the books that all workers share.
//!
//! [`Books`] is made once per process and handed to every worker, which makes its own [`Actors`]
//! from it.

use std::sync::Arc;

use crate::budget_ledger::{BudgetLedgerHandle, Ledger, LedgerCounters};
use crate::cache::{CacheBook, CacheCounters, CacheHandle};
use crate::candidate_router::{CandidateRouterHandle, Health, RouterCounters};
use crate::provider_pool::{PoolBook, PoolCounters, ProviderPoolHandle};
use crate::rate_limiter::{LimitBook, LimitCounters, RateLimiterHandle};
use crate::redis::Servers;

/// The only copies of what the actors know.
#[derive(Debug, Clone)]
pub struct Books {
    /// Requests, tokens and concurrency by scope.
    pub limits: Arc<LimitBook>,
    /// Money by budget.
    pub ledger: Arc<Ledger>,
    /// Finished answers.
    pub cache: Arc<CacheBook>,
    /// The health of targets.
    pub health: Arc<Health>,
    /// Provider keys.
    pub pool: Arc<PoolBook>,
    /// What lies in Redis, shared with other gateways.
    pub redis: Servers,
}

/// One worker's access to the five actors; it cannot leave the worker's thread.
#[derive(Clone)]
pub struct Actors {
    /// Requests, tokens and concurrency by scope.
    pub limiter: RateLimiterHandle,
    /// Money by budget.
    pub ledger: BudgetLedgerHandle,
    /// Finished answers.
    pub cache: CacheHandle,
    /// Which targets to try.
    pub router: CandidateRouterHandle,
    /// Provider keys.
    pub pool: ProviderPoolHandle,
}

/// The counters of all five, of all workers together.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// Requests, tokens and concurrency by scope.
    pub limiter: LimitCounters,
    /// Money by budget.
    pub ledger: LedgerCounters,
    /// Finished answers.
    pub cache: CacheCounters,
    /// Which targets to try.
    pub router: RouterCounters,
    /// Provider keys.
    pub pool: PoolCounters,
}

impl Actors {
    /// Prepares one worker's actors; each starts on the arbiter that first asks it.
    pub fn start(books: &Books) -> Self {
        Self {
            limiter: RateLimiterHandle::new(Arc::clone(&books.limits)),
            ledger: BudgetLedgerHandle::new(Arc::clone(&books.ledger)),
            cache: CacheHandle::new(Arc::clone(&books.cache), books.redis.cache.clone()),
            router: CandidateRouterHandle::new(Arc::clone(&books.health)),
            pool: ProviderPoolHandle::new(Arc::clone(&books.pool)),
        }
    }

    /// Asks all five for their counters.
    pub async fn inspect(&self) -> Inspection {
        let (limiter, ledger, cache, router, pool) = futures::join!(
            self.limiter.inspect(),
            self.ledger.inspect(),
            self.cache.inspect(),
            self.router.inspect(),
            self.pool.inspect(),
        );
        Inspection { limiter, ledger, cache, router, pool }
    }

    /// Makes this worker's five actors panic, to prove that nothing is lost.
    #[cfg(any(test, feature = "chaos"))]
    pub fn crash_all(&self) {
        self.limiter.crash();
        self.ledger.crash();
        self.cache.crash();
        self.router.crash();
        self.pool.crash();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget_ledger::NoJournal;
    use crate::cache::Place;
    use crate::worker::run;

    #[test]
    fn all_five_come_back_after_a_crash_over_the_same_books() {
        let books = Books {
            limits: Arc::default(),
            ledger: Arc::new(Ledger::new(Arc::new(NoJournal))),
            cache: Arc::new(CacheBook::new(1_000)),
            health: Arc::default(),
            pool: Arc::default(),
            redis: Servers::default(),
        };
        let sent_to_a_worker = books.clone();
        let seen = std::thread::spawn(move || {
            run(async {
                let actors = Actors::start(&sent_to_a_worker);
                let place = Place { key: [0; 32], policy: "p".into(), is_shared: false };
                let fill = actors.cache.refresh(&place).await;
                let before = actors.inspect().await;
                actors.crash_all();
                assert_eq!(actors.inspect().await, before);
                drop(fill);
                before
            })
        });
        assert_eq!(seen.join().unwrap().cache.filling, 1);
        assert_eq!(books.cache.counters().filling, 0);
    }
}
