//! What one ask costs, by actor and by callers on one arbiter, and what all five cost a request.
//!
//! Criterion gives the throughput; a line below each figure gives the median and the 99th
//! percentile of a single ask, as a caller among so many sees it.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{System, SystemRunner};
use aisix_actors::budget_ledger::{Budget, BudgetScope, Budgets, NoJournal, Period, TimeZone};
use aisix_actors::cache::{Entry, Key, Place, Recalled};
use aisix_actors::candidate_router::{
    AttemptOutcome, CooldownRule, Group, Member, RouteContext, Strategy, Target,
};
use aisix_actors::provider_pool::{ProviderKey, Secret, TlsProfileId};
use aisix_actors::rate_limiter::{Layer, RateLimit, Scope, Scopes};
use aisix_actors::redis::Servers;
use aisix_actors::{Actors, Books, CacheBook, Health, Ledger, LimitBook, MicroUsd, PoolBook};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;

/// Callers at the same time on one arbiter.
const CALLERS: [u64; 4] = [1, 16, 64, 256];

/// Asks behind each percentile.
const SAMPLES: u64 = 20_000;

const HIT: Key = [0; 32];

/// A worker with everything that a request names.
struct Worker {
    actors: Actors,
    scopes: Scopes,
    budgets: Budgets,
    group: Arc<Group>,
    provider_key: Arc<str>,
    requests: Cell<u64>,
}

impl Worker {
    fn start() -> Rc<Self> {
        let books = Books {
            limits: Arc::new(LimitBook::new()),
            ledger: Arc::new(Ledger::new(Arc::new(NoJournal))),
            cache: Arc::new(CacheBook::new(16 << 20)),
            health: Arc::new(Health::new()),
            pool: Arc::new(PoolBook::new()),
            redis: Servers::default(),
            shared_limits: None,
            shared_budgets: None,
        };
        books.pool.install(vec![provider_key()]);
        Rc::new(Self {
            actors: Actors::start(&books),
            scopes: [("key-1", Layer::ApiKey), ("model:m", Layer::Model)].map(scope).into_iter().collect(),
            budgets: ["org", "key"].map(budget).into_iter().collect(),
            group: Arc::new(group()),
            provider_key: "provider-key-1".into(),
            requests: Cell::new(1),
        })
    }

    /// A key that was not asked for yet.
    fn fresh_key(&self) -> Key {
        let number = self.requests.get();
        self.requests.set(number + 1);
        let mut key = [1; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }
}

fn scope((id, layer): (&str, Layer)) -> Arc<Scope> {
    let most = Some(u64::MAX);
    let limit =
        RateLimit { rps: most, rpm: most, tpm: most, concurrency: Some(u32::MAX), ..RateLimit::default() };
    Arc::new(Scope { id: id.into(), layer, limit })
}

fn budget(id: &str) -> Arc<Budget> {
    Arc::new(Budget {
        id: id.into(),
        name: id.into(),
        scope: BudgetScope::Org,
        scope_ref: None,
        limit: MicroUsd::MAX,
        period: Period::Month,
        timezone: TimeZone::UTC,
        hard_stop: true,
        alert_at: vec![0.8],
        worst_case: false,
    })
}

fn group() -> Group {
    let member = |id: &str| {
        let target = Target { id: id.into(), cooldown: CooldownRule::default(), check_stale_after: None };
        Member::new(Arc::new(target), id.into())
    };
    Group::new("group".into(), Strategy::Failover, ["target-0", "target-1"].map(member).into())
}

fn provider_key() -> ProviderKey {
    ProviderKey {
        id: "provider-key-1".into(),
        name: "main".into(),
        base_url: "https://api.example.com".into(),
        credential: Some(Secret::new("sk-secret")),
        tls: TlsProfileId::default(),
        max_in_flight: Some(100_000),
    }
}

fn place(key: Key) -> Place {
    Place { key, policy: "p".into(), is_shared: false }
}

fn entry() -> Entry {
    let body = vec![b'x'; 1_024].into();
    Entry {
        body,
        input_tokens: 10,
        output_tokens: 20,
        model: "m".into(),
        policy: "p".into(),
        note: "".into(),
        stored_at: Duration::ZERO,
    }
}

async fn acquire(worker: Rc<Worker>) {
    let permit = worker.actors.limiter.acquire(worker.scopes.clone(), 100).await.expect("admitted");
    worker.actors.limiter.settle(permit, 90);
}

async fn hold(worker: Rc<Worker>) {
    let hold = worker.actors.ledger.hold(worker.budgets.clone(), MicroUsd(100)).await.expect("admitted");
    worker.actors.ledger.charge(hold, MicroUsd(90));
}

async fn recall(worker: Rc<Worker>) {
    match worker.actors.cache.lookup(&place(HIT), Duration::from_secs(1)).await {
        Recalled::Hit(_) | Recalled::Alone => {}
        Recalled::Fill(fill) => {
            worker.actors.cache.store(fill, &place(HIT), entry(), Duration::from_secs(600))
        }
    }
}

async fn plan(worker: Rc<Worker>) {
    let candidates =
        worker.actors.router.plan(Arc::clone(&worker.group), RouteContext::default()).await.expect("planned");
    worker.actors.router.report(
        &candidates[0],
        AttemptOutcome::Succeeded { latency: Duration::from_millis(1) },
        None,
    );
}

async fn lease(worker: Rc<Worker>) {
    let lease = worker.actors.pool.lease(Arc::clone(&worker.provider_key)).await.expect("leased");
    worker.actors.pool.give_back(lease);
}

/// A cache miss as the gateway serves it: five asks and five tells.
async fn request(worker: Rc<Worker>) {
    let Actors { limiter, ledger, cache, router, pool, .. } = &worker.actors;
    let asked = futures::join!(
        ledger.hold(worker.budgets.clone(), MicroUsd(100)),
        limiter.acquire(worker.scopes.clone(), 100),
    );
    let (hold, permit) = (asked.0.expect("admitted"), asked.1.expect("admitted"));
    let recalled = cache.lookup(&place(worker.fresh_key()), Duration::from_secs(1)).await;
    let candidates = router.plan(Arc::clone(&worker.group), RouteContext::default()).await.expect("planned");
    let lease = pool.lease(Arc::clone(&worker.provider_key)).await.expect("leased");
    let attempt = candidates[0].begin_anyway();
    drop(attempt);
    router.report(&candidates[0], AttemptOutcome::Succeeded { latency: Duration::from_millis(1) }, None);
    pool.give_back(lease);
    if let Recalled::Fill(fill) = recalled {
        cache.store(fill, &place(HIT), entry(), Duration::from_secs(600));
    }
    limiter.settle(permit, 90);
    ledger.charge(hold, MicroUsd(90));
}

/// Lets `callers` tasks ask `asks` times in all, and gives the time and what each ask took.
async fn drive<F: Future<Output = ()> + 'static>(
    worker: &Rc<Worker>,
    ask: fn(Rc<Worker>) -> F,
    callers: u64,
    asks: u64,
    is_sampled: bool,
) -> (Duration, Vec<Duration>) {
    let start = Instant::now();
    let tasks = (0..callers).map(|caller| {
        let worker = Rc::clone(worker);
        let share = asks / callers + u64::from(caller < asks % callers);
        actix::spawn(async move {
            let mut samples = Vec::new();
            for _ in 0..share {
                let asked = is_sampled.then(Instant::now);
                ask(Rc::clone(&worker)).await;
                samples.extend(asked.map(|asked| asked.elapsed()));
            }
            samples
        })
    });
    let samples = join_all(tasks).await;
    let elapsed = start.elapsed();
    (elapsed, samples.into_iter().flat_map(|samples| samples.expect("a caller ran to its end")).collect())
}

#[expect(clippy::print_stdout, reason = "criterion knows no percentiles")]
fn print_percentiles(name: &str, callers: u64, mut samples: Vec<Duration>) {
    samples.sort_unstable();
    let at = |percent: usize| samples[(samples.len() - 1) * percent / 100];
    println!("{name}/{callers}: one ask p50 {:?}, p99 {:?}", at(50), at(99));
}

fn bench<F: Future<Output = ()> + 'static>(
    criterion: &mut Criterion,
    system: &SystemRunner,
    name: &str,
    ask: fn(Rc<Worker>) -> F,
) {
    for callers in CALLERS {
        let worker = Worker::start();
        let has_run = Cell::new(false);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(callers), |bencher| {
            has_run.set(true);
            bencher.iter_custom(|asks| system.block_on(drive(&worker, ask, callers, asks, false)).0);
        });
        group.finish();
        if has_run.get() {
            let (_, samples) = system.block_on(drive(&worker, ask, callers, SAMPLES, true));
            print_percentiles(name, callers, samples);
        }
    }
}

fn asks(criterion: &mut Criterion) {
    let system = System::new();
    bench(criterion, &system, "limiter_acquire_settle", acquire);
    bench(criterion, &system, "ledger_hold_charge", hold);
    bench(criterion, &system, "cache_hit", recall);
    bench(criterion, &system, "router_plan_report", plan);
    bench(criterion, &system, "pool_lease_give_back", lease);
    bench(criterion, &system, "request_through_all_five", request);
}

/// Short enough that the whole run stays below a minute.
fn settings() -> Criterion {
    let short = Criterion::default().sample_size(20);
    short.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800))
}

criterion_group!(name = benches; config = settings(); targets = asks);
criterion_main!(benches);
