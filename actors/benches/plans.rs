//! What a plan costs, by strategy and by targets: the book alone, without its actor.

use std::sync::Arc;
use std::time::Duration;

use aisix_actors::candidate_router::{
    AttemptOutcome, CooldownRule, Group, Member, RouteContext, Strategy, Target, hash_key,
};
use aisix_actors::{Health, Now};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const STRATEGIES: [(&str, Strategy); 7] = [
    ("failover", Strategy::Failover),
    ("round_robin", Strategy::RoundRobin),
    ("weighted", Strategy::Weighted),
    ("consistent_hash", Strategy::ConsistentHash),
    ("least_cost", Strategy::LeastCost),
    ("least_latency", Strategy::LeastLatency),
    ("least_busy", Strategy::LeastBusy),
];

fn group(strategy: Strategy, targets: u32) -> Group {
    let member = |number: u32| {
        let id: Arc<str> = format!("target-{number}").into();
        let target =
            Target { id: Arc::clone(&id), cooldown: CooldownRule::default(), check_stale_after: None };
        let cost = Some(u64::from(number.wrapping_mul(7_919) % 1_000));
        Member { weight: 1 + number % 3, cost, ..Member::new(Arc::new(target), id) }
    };
    Group::new("group".into(), strategy, (0..targets).map(member).collect())
}

/// Lets every target have answered once, each at its own speed.
fn answered(health: &Health, group: &Group) {
    let candidates = health.plan(group, &RouteContext::default(), Now::read()).expect("planned");
    for candidate in &candidates {
        let millis = (candidate.index as u64).wrapping_mul(7_919) % 1_000;
        health.record(
            candidate,
            AttemptOutcome::Succeeded { latency: Duration::from_millis(millis) },
            Now::read(),
        );
    }
}

fn plans(criterion: &mut Criterion) {
    for (name, strategy) in STRATEGIES {
        let mut benches = criterion.benchmark_group(format!("plan_{name}"));
        for targets in [2, 16, 256] {
            let (health, group) = (Health::with_seed(1), group(strategy, targets));
            answered(&health, &group);
            let mut requests = 0_u64;
            benches.bench_function(BenchmarkId::from_parameter(targets), |bencher| {
                bencher.iter(|| {
                    requests += 1;
                    let key = hash_key("caller").wrapping_mul(requests);
                    health.plan(&group, &RouteContext { key, ..RouteContext::default() }, Now::read())
                });
            });
        }
        benches.finish();
    }
}

/// Short enough that the whole run stays below half a minute.
fn settings() -> Criterion {
    let short = Criterion::default().sample_size(20);
    short.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500))
}

criterion_group!(name = benches; config = settings(); targets = plans);
criterion_main!(benches);
