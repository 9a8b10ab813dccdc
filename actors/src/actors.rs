//! The set of five actors that a worker runs, and the books that all workers share.
//!
//! [`Books`] is made once per process and handed to every worker, which makes its own [`Actors`]
//! from it.

use std::sync::Arc;

use crate::budget_ledger::{
    BudgetHold, BudgetLedgerHandle, Budgets, Estimate, HoldRefused, Ledger, LedgerCounters, SharedBudgets,
};
use crate::cache::{CacheBook, CacheCounters, CacheHandle};
use crate::candidate_router::{CandidateRouterHandle, Health, RouterCounters};
use crate::provider_pool::{PoolBook, PoolCounters, ProviderPoolHandle};
use crate::rate_limiter::{
    AcquireRefused, LimitBook, LimitCounters, Permit, RateLimiterHandle, Scopes, SharedLimits,
};
use crate::redis::{Links, Servers};

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
    /// How limits are shared; in this process alone without it.
    pub shared_limits: Option<Arc<SharedLimits>>,
    /// How budgets are shared; in this process alone without it.
    pub shared_budgets: Option<Arc<SharedBudgets>>,
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
    /// Ways to what is shared.
    links: Links,
    /// Whether limits and budgets lie in the same Redis.
    is_joint: bool,
}

/// Why money and a permit were not taken.
#[derive(Debug)]
pub enum Untaken {
    /// No money was set aside.
    Money(HoldRefused),
    /// No permit was given.
    Limit(AcquireRefused),
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
        let links = Links::new(&books.redis);
        let Servers { limits, budgets, .. } = &books.redis;
        let is_joint =
            matches!((limits, budgets), (Some(limits), Some(budgets)) if Arc::ptr_eq(limits, budgets));
        Self {
            limiter: limiter(books, &links),
            ledger: ledger(books, &links),
            cache: CacheHandle::new(Arc::clone(&books.cache), books.redis.cache.clone()),
            router: CandidateRouterHandle::new(Arc::clone(&books.health)),
            pool: ProviderPoolHandle::new(Arc::clone(&books.pool)),
            links,
            is_joint,
        }
    }

    /// Connects to what is shared before the first request; whoever does not wait for it loses nothing.
    pub async fn warm(&self) {
        self.links.warm().await;
    }

    /// Holds money and takes a permit as one step, or neither, where one round trip does for both; `None` where it does
    /// not: they are asked one after the other then.
    pub async fn take(
        &self,
        budgets: &Budgets,
        estimate: Estimate,
        scopes: &Scopes,
        tokens: u64,
    ) -> Option<Result<(BudgetHold, Permit), Untaken>> {
        if !self.is_joint || budgets.is_empty() || scopes.is_empty() {
            return None;
        }
        let prepared = self.ledger.prepare(budgets.clone(), estimate)?;
        let place = prepared.place.clone();
        // Both are on their way before either answer; the permit is given only where the hold is found.
        let (hold, permit) = futures::join!(
            self.ledger.hold_prepared(prepared),
            self.limiter.acquire_with(scopes.clone(), tokens, Some(place)),
        );
        let hold = match hold {
            Ok(hold) => hold,
            Err(refused) => return Some(Err(Untaken::Money(refused))),
        };
        let permit = match permit {
            // The question came before the hold, or the hold is not in Redis.
            Err(AcquireRefused::NoHold) => self.limiter.acquire(scopes.clone(), tokens).await,
            outcome => outcome,
        };
        Some(match permit {
            Ok(permit) => Ok((hold, permit)),
            Err(refused) => {
                self.ledger.release(hold);
                Err(Untaken::Limit(refused))
            }
        })
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

fn limiter(books: &Books, links: &Links) -> RateLimiterHandle {
    let book = Arc::clone(&books.limits);
    match (&books.shared_limits, links.to(books.redis.limits.as_ref())) {
        (Some(shared), Some(link)) => RateLimiterHandle::sharing(book, Arc::clone(shared), link),
        _ => RateLimiterHandle::new(book),
    }
}

fn ledger(books: &Books, links: &Links) -> BudgetLedgerHandle {
    let book = Arc::clone(&books.ledger);
    match (&books.shared_budgets, links.to(books.redis.budgets.as_ref())) {
        (Some(shared), Some(link)) => BudgetLedgerHandle::sharing(book, Arc::clone(shared), link),
        _ => BudgetLedgerHandle::new(book),
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
            shared_limits: None,
            shared_budgets: None,
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
