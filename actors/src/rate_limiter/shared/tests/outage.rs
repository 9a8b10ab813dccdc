//! Answers that are late or say no: what the book goes on from, and what they do to everybody else.

use redis::{Value, cmd};

use super::*;

/// A server with a short patience, the limiter of one worker, and another way to ask.
struct Bench {
    server: Arc<Server>,
    shared: Arc<SharedLimits>,
    limiter: RateLimiterHandle,
    wire: Wire,
}

impl Bench {
    async fn new(redis: &OwnRedis, patience: Duration) -> Self {
        reach(&redis.server()).await;
        let server = redis.server_within(patience);
        let shared = SharedLimits::new(Arc::clone(&server), Duration::from_secs(300), false);
        let link = Link::new(Arc::clone(&server));
        let limiter = RateLimiterHandle::sharing(Arc::default(), Arc::clone(&shared), link);
        let wire = server.options.connect().await.unwrap();
        Self { server, shared, limiter, wire }
    }

    async fn ask(&mut self, words: &[&str]) -> Value {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        self.wire.call(&command, Duration::from_secs(10)).await.unwrap()
    }

    fn key(&self, kind: &str, scope: &str) -> String {
        format!("{{{}}}:rl:{kind}:{scope}", self.server.options.key_prefix)
    }

    async fn acquire(&self, scope: &Arc<Scope>, tokens: u64) -> Result<Permit, AcquireRefused> {
        self.limiter.acquire(Scopes::from_iter([Arc::clone(scope)]), tokens).await
    }
}

fn scope(id: &str) -> Arc<Scope> {
    let limit = RateLimit { rpd: Some(3), concurrency: Some(9), ..RateLimit::default() };
    Arc::new(Scope { id: id.into(), layer: Layer::ApiKey, limit })
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_used_up_limit_stays_so_when_answers_are_late() {
    let redis = OwnRedis::start();
    run(async {
        let mut bench = Bench::new(&redis, Duration::from_millis(300)).await;
        let scope = scope("a");
        for _ in 0..3 {
            drop(bench.acquire(&scope, 0).await.unwrap());
        }
        bench.ask(&["CLIENT", "PAUSE", "1000"]).await;
        for _ in 0..5 {
            assert!(matches!(bench.acquire(&scope, 0).await, Err(AcquireRefused::Exceeded(_))));
        }
        assert!(bench.server.tally(Use::Limits).fallbacks() > 0);
    });
}

#[test]
fn what_the_book_adds_is_only_what_it_counted_itself() {
    let redis = OwnRedis::start();
    run(async {
        let mut bench = Bench::new(&redis, Duration::from_millis(300)).await;
        let scope = scope("a");
        drop(bench.acquire(&scope, 0).await.unwrap());
        bench.ask(&["CLIENT", "PAUSE", "1000"]).await;
        drop(bench.acquire(&scope, 0).await.unwrap());
        drop(bench.acquire(&scope, 0).await.unwrap());
        assert!(bench.acquire(&scope, 0).await.is_err());
        let counts = bench.key("n", "a");
        until("three are counted", async || {
            bench.ask(&["HGET", &counts, "dr"]).await == Value::BulkString(b"3".to_vec())
        })
        .await;
    });
}

#[test]
fn one_late_answer_is_put_right_and_takes_nothing_down() {
    let redis = OwnRedis::start();
    run(async {
        let mut bench = Bench::new(&redis, Duration::from_millis(1_500)).await;
        let scope = scope("a");
        drop(bench.acquire(&scope, 0).await.unwrap());
        bench.ask(&["CLIENT", "PAUSE", "1800"]).await;
        let permit = bench.acquire(&scope, 0).await.unwrap();
        assert!(!permit.is_shared(), "it is counted here");
        drop(permit);
        let open = bench.key("p", "a");
        until("the late permit is given back", async || {
            bench.shared.lanes.lock().unwrap()[0].open() == 0
                && bench.ask(&["ZCARD", &open]).await == Value::Int(0)
        })
        .await;
        assert!(bench.server.is_up());
        let counts = bench.key("n", "a");
        until("the two are counted", async || {
            bench.ask(&["HGET", &counts, "dr"]).await == Value::BulkString(b"2".to_vec())
        })
        .await;
        assert!(bench.acquire(&scope, 0).await.unwrap().is_shared(), "it is asked again");
    });
}

#[test]
fn an_answer_that_says_no_fails_its_own_call_alone() {
    let redis = OwnRedis::start();
    run(async {
        let mut bench = Bench::new(&redis, Duration::from_secs(10)).await;
        let (broken, well) = (scope("broken"), scope("well"));
        let counts = bench.key("n", "broken");
        bench.ask(&["SET", &counts, "no counts"]).await;
        for _ in 0..3 {
            assert!(!bench.acquire(&broken, 0).await.unwrap().is_shared());
            assert!(bench.server.is_up());
        }
        assert!(bench.acquire(&broken, 0).await.is_err(), "the book counts");
        assert!(bench.acquire(&well, 0).await.unwrap().is_shared());
        until("nothing is left to be given back", async || bench.shared.lanes.lock().unwrap()[0].open() == 0)
            .await;
        assert!(bench.server.is_up());
    });
}

#[test]
fn no_number_of_tokens_spoils_the_counts() {
    let redis = OwnRedis::start();
    run(async {
        let bench = Bench::new(&redis, Duration::from_secs(10)).await;
        let limit = RateLimit { tpd: Some(u64::MAX), ..RateLimit::default() };
        let scope = Arc::new(Scope { id: "a".into(), layer: Layer::ApiKey, limit });
        for tokens in [u64::MAX, 1 << 62, 7] {
            let permit = bench.acquire(&scope, tokens).await.unwrap();
            assert!(permit.is_shared());
            bench.limiter.settle(permit, tokens);
        }
        let mut bench = bench;
        let open = bench.key("p", "a");
        until("all are given back", async || bench.ask(&["ZCARD", &open]).await == Value::Int(0)).await;
        assert!(bench.acquire(&scope, 1).await.unwrap().is_shared());
        assert_eq!(bench.server.tally(Use::Limits).failures(), 0);
    });
}

#[test]
fn permits_of_a_gateway_that_is_gone_are_pruned_some_at_a_time() {
    let redis = OwnRedis::start();
    run(async {
        let mut bench = Bench::new(&redis, Duration::from_secs(10)).await;
        let (open, counts) = (bench.key("p", "a"), bench.key("n", "a"));
        let members: Vec<String> = (0..150).flat_map(|id| ["1".to_owned(), format!("x-{id}:2")]).collect();
        let mut words = vec!["ZADD", &*open];
        words.extend(members.iter().map(String::as_str));
        bench.ask(&words).await;
        bench.ask(&["HSET", &counts, "held", "300"]).await;
        let limit = RateLimit { rpd: Some(9), ..RateLimit::default() };
        let scope = Arc::new(Scope { id: "a".into(), layer: Layer::ApiKey, limit });
        for left in [50, 0] {
            let permit = bench.acquire(&scope, 0).await.unwrap();
            assert_eq!(bench.ask(&["ZCOUNT", &open, "-inf", "2"]).await, Value::Int(left));
            let held = Value::BulkString((left * 2).to_string().into_bytes());
            assert_eq!(bench.ask(&["HGET", &counts, "held"]).await, held);
            drop(permit);
        }
    });
}
