//! The five actors under load in this process, without HTTP.
//!
//! Each request asks them as the pipeline does, and tells them afterwards what came of it. Every worker thread has a
//! set of actors of its own over books that all share, so the result is what the gateway's workers could do if
//! there were nothing else to a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aisix_actors::budget_ledger::{Budget, BudgetScope, NoJournal, Period, TimeZone};
use aisix_actors::cache::{Key, Place, Recalled};
use aisix_actors::candidate_router::{
    AttemptOutcome, CooldownRule, Group, Member, RouteContext, Strategy, Target,
};
use aisix_actors::provider_pool::{ProviderKey, TlsProfileId};
use aisix_actors::rate_limiter::{Layer, RateLimit, Scope};
use aisix_actors::redis::Servers;
use aisix_actors::{Actors, Books, CacheBook, Health, Ledger, LimitBook, MicroUsd, PoolBook};

use super::exchange::Failure;
use super::{Live, Pace, Report, Timing, spread};

/// The actors that a request asks and waits for.
const ASKS: f64 = 5.0;
/// More than any test comes to, so that everything is counted and nothing is refused.
const PLENTY: u64 = 1 << 50;
/// The tokens and the money that each request holds and then uses.
const TOKENS: u64 = 100;
const COST: MicroUsd = MicroUsd(25);
const CACHE_BYTES: u64 = 16 << 20;

/// Loads the actors until the end, or until `live` is stopped; each thread of `timing` has a set of its own.
pub fn run(timing: Timing, live: &Live) -> Report {
    let (books, request) = (books(), Request::new());
    let requests = AtomicU64::new(0);
    let start = || {
        let (actors, request, requests) = (Actors::start(&books), request.clone(), &requests);
        async move |_: &_, _: Option<&_>| {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            request.ask(&actors, number).await.map_err(Failure::Refused)
        }
    };
    let pace = Pace::new(timing);
    let meter = spread(timing, &pace, live, start);
    let mut report = Report::new(&meter, &pace);
    report.asks_per_second = Some(report.rps * ASKS);
    report
}

fn books() -> Books {
    let pool = PoolBook::new();
    pool.install(vec![ProviderKey {
        id: "key".into(),
        name: "key".into(),
        base_url: "http://127.0.0.1/v1".into(),
        credential: None,
        tls: TlsProfileId::default(),
        max_in_flight: Some(u32::MAX),
    }]);
    Books {
        limits: Arc::new(LimitBook::new()),
        ledger: Arc::new(Ledger::new(Arc::new(NoJournal))),
        cache: Arc::new(CacheBook::new(CACHE_BYTES)),
        health: Arc::new(Health::new()),
        pool: Arc::new(pool),
        redis: Servers::default(),
        shared_limits: None,
        shared_budgets: None,
    }
}

/// What each request asks for: a limited caller and model, a budget, a group of two targets.
#[derive(Clone)]
struct Request {
    budget: Arc<Budget>,
    scopes: [Arc<Scope>; 2],
    group: Arc<Group>,
    provider_key: Arc<str>,
}

impl Request {
    fn new() -> Self {
        let limit = RateLimit {
            rpm: Some(PLENTY),
            tpm: Some(PLENTY),
            concurrency: Some(u32::MAX),
            ..RateLimit::default()
        };
        let scope = |id: &str, layer| Arc::new(Scope { id: id.into(), layer, limit: limit.clone() });
        let member = |id: &str| {
            let target = Target { id: id.into(), cooldown: CooldownRule::default(), check_stale_after: None };
            Member::new(Arc::new(target), id.into())
        };
        Self {
            budget: Arc::new(Budget {
                id: "budget".into(),
                name: "budget".into(),
                scope: BudgetScope::Org,
                scope_ref: None,
                limit: MicroUsd(PLENTY),
                period: Period::Month,
                timezone: TimeZone::UTC,
                hard_stop: true,
                alert_at: Vec::new(),
                worst_case: false,
            }),
            scopes: [scope("caller", Layer::ApiKey), scope("model:demo", Layer::Model)],
            group: Arc::new(Group::new(
                "group".into(),
                Strategy::Failover,
                vec![member("first"), member("second")],
            )),
            provider_key: "key".into(),
        }
    }

    /// Asks all five and tells them the end; the error names the one that refused.
    async fn ask(&self, actors: &Actors, number: u64) -> Result<(), &'static str> {
        let budgets = [Arc::clone(&self.budget)].into_iter().collect();
        let hold = actors.ledger.hold(budgets, COST).await.map_err(|_| "ledger")?;
        let scopes = self.scopes.iter().cloned().collect();
        let permit = actors.limiter.acquire(scopes, TOKENS).await.map_err(|_| "limiter")?;
        if let Recalled::Fill(fill) = actors.cache.lookup(&place(number), Duration::ZERO).await {
            // Every request is a miss that nobody else waits for, and nothing is kept.
            actors.cache.abandon(fill);
        }
        let candidates = actors
            .router
            .plan(Arc::clone(&self.group), RouteContext::default())
            .await
            .map_err(|_| "router")?;
        let lease = actors.pool.lease(Arc::clone(&self.provider_key)).await.map_err(|_| "pool")?;
        if let Some(candidate) = candidates.first() {
            actors.router.report(
                candidate,
                AttemptOutcome::Succeeded { latency: Duration::from_millis(1) },
                None,
            );
        }
        actors.pool.give_back(lease);
        actors.limiter.settle(permit, TOKENS);
        actors.ledger.charge(hold, COST);
        Ok(())
    }
}

fn place(number: u64) -> Place {
    Place { key: key(number), policy: Arc::default(), is_shared: false }
}

fn key(number: u64) -> Key {
    let mut key = Key::default();
    key[..8].copy_from_slice(&number.to_le_bytes());
    key
}
