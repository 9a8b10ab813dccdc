//! Answers in Redis: shared by gateways, and missing while Redis is away. Needs `redis-server`; without it these tests
//! say so and pass.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::harness::*;

const CHAT: &str = "/v1/chat/completions";

/// A Redis of a test's own, killed with it.
struct Redis {
    port: u16,
    child: Option<Child>,
}

impl Redis {
    /// Starts one on a free port; `None`, and a word about it, where there is no Redis on this machine.
    fn start() -> Option<Self> {
        let mut redis = Self { port: free_port(), child: None };
        redis.run().then_some(redis)
    }

    fn run(&mut self) -> bool {
        let port = self.port.to_string();
        let arguments = ["--port", &port, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"];
        let started =
            Command::new("redis-server").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = started else {
            std::io::stderr().write_all(b"\n*** SKIPPED: there is no redis-server ***\n\n").expect("is open");
            return false;
        };
        self.child = Some(child);
        until("Redis answers", || self.try_ask("PING\r\n").is_some_and(|answer| answer.starts_with("+PONG")));
        true
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    fn try_ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(command.as_bytes()).ok()?;
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    fn ask(&self, command: &str) -> String {
        self.try_ask(&format!("{command}\r\n")).expect("Redis answers")
    }

    fn count(&self) -> usize {
        self.ask("DBSIZE").trim_start_matches(':').trim().parse().expect("a number")
    }

    fn settings(&self) -> String {
        format!(
            "[cache]\nbackend = \"redis\"\n[redis]\nurl = \"redis://127.0.0.1:{}\"\ntimeout_ms = 2000\n\
             [admin]\nadmin_keys = [\"sk-admin\"]\n[[cache_policies]]\nname = \"shared\"\nttl_seconds = 600\n",
            self.port
        )
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn both() -> Upstream {
    Upstream::start(|request, _| match request.json()["stream"] == true {
        true => Answer::stream(&[&delta("hel"), &delta("lo"), &finish(), "data: [DONE]\n\n"]),
        false => Answer::json(200, &completion("hello", 5, 7)),
    })
}

#[track_caller]
fn ask(gateway: &Gateway, more: &str, cache: Option<&str>) -> Response {
    let response = gateway.post_json(CHAT, "sk-test", &chat_body("m", more)).expect(200);
    assert_eq!(response.header("x-aisix-cache"), cache, "{more}");
    gateway.settled();
    response
}

#[test]
fn an_answer_in_redis_is_shared_by_gateways_whole_and_as_a_stream() {
    let Some(redis) = Redis::start() else { return };
    let upstream = both();
    let [one, other] = [(); 2].map(|()| gateway_over(&upstream, &redis.settings()));
    ask(&one, r#","stream":true"#, Some("miss"));
    until("it is in Redis", || redis.count() == 1);
    let names = redis.ask("KEYS *");
    assert!(names.contains("aisix:cache:"), "{names}");
    let whole = ask(&other, "", Some("hit"));
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "hello");
    assert!(ask(&one, r#","stream":true"#, Some("hit")).text().contains("hello"));
    assert_eq!((upstream.count(), one.books().cache.entries, other.books().cache.entries), (1, 0, 0));
    let name = names.lines().find(|line| line.starts_with("aisix:")).expect("a name").trim();
    let left: u64 =
        redis.ask(&format!("TTL {name}")).trim_start_matches(':').trim().parse().expect("seconds");
    assert!((500..=600).contains(&left), "{left}");
    // What somebody else writes there is no answer.
    redis.ask(&format!("SET {name} rubbish"));
    ask(&one, "", Some("miss"));
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_purge_reaches_what_is_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let upstream = both();
    let [one, other] = [(); 2].map(|()| gateway_over(&upstream, &redis.settings()));
    redis.ask("SET aisix:limits:x 1");
    for seed in 0..5 {
        ask(&one, &format!(r#","seed":{seed}"#), Some("miss"));
    }
    until("they are in Redis", || redis.count() == 6);
    let purged =
        one.admin().ask("POST", "/admin/v1/cache/purge", r#"{"policy":"shared"}"#).expect(200).json();
    assert_eq!(purged["redis_entries"], 5);
    ask(&other, r#","seed":0"#, Some("miss"));
    until("it is in Redis", || redis.count() == 2);
    let purged = one.admin().ask("POST", "/admin/v1/cache/purge", "").expect(200).json();
    assert_eq!(purged["redis_entries"], 1);
    assert!(redis.ask("GET aisix:limits:x").contains('1'), "what is no answer stays");
}

#[test]
fn a_purge_leaves_what_only_looks_like_its_prefix() {
    let Some(redis) = Redis::start() else { return };
    let upstream = both();
    let odd = redis.settings().replace("timeout_ms", "key_prefix = \"a[bc]*?\"\ntimeout_ms");
    let gateway = gateway_over(&upstream, &odd);
    redis.ask("SET abx:cache:mine:x 1");
    ask(&gateway, "", Some("miss"));
    until("it is in Redis", || redis.count() == 2);
    let purged = |body: &str| {
        gateway.admin().ask("POST", "/admin/v1/cache/purge", body).expect(200).json()["redis_entries"].clone()
    };
    assert_eq!(purged(r#"{"policy":"shared"}"#), 1);
    ask(&gateway, "", Some("miss"));
    until("it is in Redis", || redis.count() == 2);
    assert_eq!(purged(""), 1);
    assert!(redis.ask("GET abx:cache:mine:x").contains('1'), "a neighbour's entry stays");
}

#[test]
fn without_redis_there_are_misses_and_no_errors_until_it_is_back() {
    let Some(mut redis) = Redis::start() else { return };
    let upstream = both();
    let gateway = gateway_over(&upstream, &redis.settings());
    ask(&gateway, "", Some("miss"));
    until("it is in Redis", || redis.count() == 1);
    ask(&gateway, "", Some("hit"));
    redis.kill();
    for _ in 0..5 {
        ask(&gateway, "", Some("miss"));
    }
    let refused = gateway.admin().ask("POST", "/admin/v1/cache/purge", "{}");
    assert!(refused.status >= 500, "a purge that is not whole says so: {refused:?}");
    assert!(redis.run());
    until("answers are kept again", || {
        let response = gateway.post_json(CHAT, "sk-test", &chat_body("m", "")).expect(200);
        response.header("x-aisix-cache") == Some("hit")
    });
}

#[test]
fn identical_concurrent_misses_over_redis_are_one_request() {
    let Some(redis) = Redis::start() else { return };
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, _| {
        Answer::default().wait(&held).then(Answer::json(200, &completion("hello", 5, 7)))
    });
    let gateway = gateway_over(&upstream, &redis.settings());
    let mut callers: Vec<Connection> = (0..16)
        .map(|place| {
            let body = chat_body("m", if place % 2 == 1 { r#","stream":true"# } else { "" });
            let mut caller = gateway.connect();
            caller.send(&request_text("POST", CHAT, "sk-test", &[], body.as_bytes()));
            if place == 0 {
                upstream.wait_for_requests(1);
            }
            caller
        })
        .collect();
    until("everybody waits", || gateway.books().cache.waiting == 15);
    gate.open();
    for caller in &mut callers {
        assert!(caller.response().expect(200).text().contains("hello"));
    }
    assert_eq!(upstream.count(), 1);
    gateway.settled();
}

#[test]
fn a_policy_that_wants_redis_where_there_is_none_keeps_nothing() {
    let upstream = both();
    let gateway = gateway_over(&upstream, "[[cache_policies]]\nname = \"p\"\nbackend = \"redis\"\n");
    for _ in 0..2 {
        ask(&gateway, "", None);
    }
    assert_eq!(upstream.count(), 2);
    let warnings = gateway.gateway.snapshot().warnings();
    assert!(
        warnings.iter().any(|warning| warning.contains("the cache policy \"p\" keeps nothing")),
        "{warnings:?}"
    );
}

#[test]
fn a_policy_can_keep_in_this_process_what_others_keep_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let upstream = both();
    let gateway = gateway_over(&upstream, &(redis.settings() + "backend = \"memory\"\n"));
    ask(&gateway, "", Some("miss"));
    ask(&gateway, "", Some("hit"));
    assert_eq!(redis.count(), 0);
}
