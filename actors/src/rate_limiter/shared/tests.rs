//! The scripts decide as the book does, step by step.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::{Layer, RateLimit, RateLimiterHandle, Scopes};
use super::*;
use crate::redis::{Mode, Options};
use crate::worker::run;

/// A Redis of the test's own; killed when dropped.
struct OwnRedis(Child, u16);

impl OwnRedis {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Self(child.expect("redis-server is installed: tests/run installs it"), port)
    }

    fn server(&self) -> Arc<Server> {
        self.server_within(Duration::from_secs(10))
    }

    /// The same with another longest wait for an answer.
    fn server_within(&self, timeout: Duration) -> Arc<Server> {
        Server::new(Options {
            mode: Mode::Single(format!("redis://127.0.0.1:{}", self.1)),
            username: None,
            password: None,
            database: 0,
            connect_timeout: Duration::from_secs(10),
            timeout,
            tls: None,
            key_prefix: format!("{:x}", fastrand::u64(..)),
        })
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn reach(server: &Server) {
    let end = Instant::now() + Duration::from_secs(10);
    while server.reach().await.is_err() && Instant::now() < end {}
}

#[derive(Debug, Clone)]
enum Step {
    /// Asks for a permit in some of the scopes.
    Acquire {
        scopes: Vec<usize>,
        tokens: u64,
    },
    /// Ends the open permit at this place: with so many tokens, with none, or as if it had never been.
    Settle(usize, u64),
    Release(usize),
    Cancel(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop::collection::vec(0..4usize, 1..4), 0..20u64)
            .prop_map(|(scopes, tokens)| Step::Acquire { scopes, tokens }),
        2 => (any::<prop::sample::Index>(), 0..30u64).prop_map(|(at, used)| Step::Settle(at.index(8), used)),
        1 => (0..8usize).prop_map(Step::Release),
        1 => (0..8usize).prop_map(Step::Cancel),
    ]
}

/// Limits of windows that do not turn while the test runs.
fn scopes() -> [Arc<Scope>; 4] {
    let scope = |id: &str, layer, limit| Arc::new(Scope { id: id.into(), layer, limit });
    let none = RateLimit::default;
    [
        scope("a", Layer::ApiKey, RateLimit { rpd: Some(6), tpd: Some(60), ..none() }),
        scope("b", Layer::Model, RateLimit { concurrency: Some(3), ..none() }),
        scope("c", Layer::Model, RateLimit { rpd: Some(9), concurrency: Some(4), tpd: Some(90), ..none() }),
        scope("d", Layer::Model, none()),
    ]
}

/// Runs the steps against both, and tells the first difference.
async fn compare(server: &Arc<Server>, steps: &[Step]) -> Result<(), String> {
    let shared = SharedLimits::new(Arc::clone(server), Duration::from_secs(300), false);
    let ours = RateLimiterHandle::sharing(Arc::default(), Arc::clone(&shared), Link::new(Arc::clone(server)));
    let theirs = RateLimiterHandle::new(Arc::default());
    let known = scopes();
    let mut open: Vec<(Permit, Permit)> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Acquire { scopes, tokens } => {
                let scopes: Scopes = scopes.iter().map(|place| Arc::clone(&known[*place])).collect();
                let pair =
                    (ours.acquire(scopes.clone(), *tokens).await, theirs.acquire(scopes, *tokens).await);
                match pair {
                    (Ok(one), Ok(other)) => open.push((one, other)),
                    (Err(AcquireRefused::Exceeded(one)), Err(AcquireRefused::Exceeded(other)))
                        if (&one.scope, one.dimension, one.limit, one.used)
                            == (&other.scope, other.dimension, other.limit, other.used) => {}
                    (one, other) => return Err(format!("step {number}: {one:?} and {other:?}")),
                }
            }
            Step::Settle(place, _) | Step::Release(place) | Step::Cancel(place) if *place >= open.len() => {}
            Step::Settle(place, used) => {
                let (one, other) = open.swap_remove(*place);
                ours.settle(one, *used);
                theirs.settle_now(other, *used).await;
            }
            Step::Release(place) => drop(open.swap_remove(*place)),
            Step::Cancel(place) => {
                let (one, other) = open.swap_remove(*place);
                one.cancel();
                other.cancel();
            }
        }
        // What is given back is told; the next step wants it done.
        let lane = lock(&shared.lanes)[0].clone();
        let end = Instant::now() + Duration::from_secs(10);
        while lane.open() > open.iter().filter(|(one, _)| one.is_shared()).count() {
            if Instant::now() > end {
                return Err(format!("step {number} is not given back"));
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

mod outage;

#[test]
fn scripts_and_book_decide_alike() {
    let redis = OwnRedis::start();
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&prop::collection::vec(step(), 1..60), |steps| {
        let compared = run(async {
            let server = redis.server();
            reach(&server).await;
            compare(&server, &steps).await
        });
        prop_assert_eq!(compared, Ok(()));
        Ok(())
    });
    outcome.unwrap();
}
