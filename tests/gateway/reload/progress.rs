//! Requests in progress: they keep the configuration that they began with, to their last byte.

use super::*;

const STREAM: &str = r#","stream":true"#;

/// A file in which nothing of the others is left.
fn bare(name: &str) -> String {
    format!("[[api_keys]]\ndisplay_name = \"{name}\"\nkey = \"sk-{name}\"\nallowed_models = []\n")
}

fn half_a_stream(gate: &Gate) -> Answer {
    Answer::events().event(&delta("half")).wait(gate).event(&finish()).event("data: [DONE]\n\n").end()
}

#[test]
fn a_stream_goes_on_while_everything_that_it_uses_is_removed() {
    let gate = Gate::default();
    let upstream = Upstream::always(half_a_stream(&gate));
    let gateway = Gateway::start(&with_models(&upstream, &["m"]));
    let mut stream = gateway.stream(&chat_body("m", STREAM));
    stream.until("half");
    let before = std::sync::Arc::downgrade(&gateway.gateway.snapshot());
    for name in ["one", "two", "three"] {
        gateway.folder.write("config.toml", &bare(name));
        reload(&gateway).expect("a good file");
    }
    gateway.chat(&chat_body("m", "")).expect(401);
    assert!(before.upgrade().is_some(), "the stream has its snapshot");
    assert_eq!(gateway.books().router.in_flight, 1);
    gate.open();
    assert!(stream.rest().ends_with("data: [DONE]\n\n"));
    drop(stream);
    gateway.settled();
    until("the old configuration is gone", || before.upgrade().is_none());
    until("what only it knew is forgotten", || {
        let books = gateway.books();
        books.pool.keys == 0 && books.router.targets == 0
    });
}

#[test]
fn a_failover_finds_its_second_target_and_key_although_they_were_removed() {
    let gate = Gate::default();
    let failing = Upstream::always(Answer::default().wait(&gate).then(Answer::json(500, "{}")));
    let second = Upstream::well();
    let config = provider_key("first", &failing.url())
        + &provider_key("second", &second.url()).replace("sk-upstream", "sk-second")
        + &model("a", "first", "retries = 0")
        + &model("b", "second", "")
        + &routing("auto", &["a", "b"], "")
        + &api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start(&config);
    let mut connection = gateway.connect();
    let body = chat_body("auto", "");
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
    failing.wait_for_requests(1);
    for name in ["one", "two", "three"] {
        gateway.folder.write("config.toml", &bare(name));
        reload(&gateway).expect("a good file");
    }
    gate.open();
    let response = connection.response().expect(200);
    assert_eq!(response.header("x-aisix-served-by"), Some("b"));
    assert_eq!(second.received()[0].header("authorization"), Some("Bearer sk-second"));
    gateway.settled();
    until("what only it knew is forgotten", || gateway.books().pool.keys == 0);
}

#[test]
fn a_failover_keeps_the_address_and_credential_that_its_second_target_had() {
    let gate = Gate::default();
    let failing = Upstream::always(Answer::default().wait(&gate).then(Answer::json(500, "{}")));
    let (old, new) = (Upstream::well(), Upstream::well());
    let with = |second: &Upstream, credential: &str| {
        provider_key("first", &failing.url())
            + &provider_key("second", &second.url()).replace("sk-upstream", credential)
            + &model("a", "first", "retries = 0")
            + &model("b", "second", "")
            + &routing("auto", &["a", "b"], "")
            + &api_key("sk-test", "\"*\"", "")
    };
    let gateway = Gateway::start(&with(&old, "sk-old"));
    let mut connection = gateway.connect();
    let body = chat_body("auto", "");
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
    failing.wait_for_requests(1);
    gateway.folder.write("config.toml", &with(&new, "sk-new"));
    reload(&gateway).expect("a good file");
    gateway.chat(&chat_body("b", "")).expect(200);
    gate.open();
    connection.response().expect(200);
    let seen = |upstream: &Upstream| {
        let of = |request: &Received| request.header("authorization").map(str::to_owned);
        upstream.received().iter().filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(seen(&old), ["Bearer sk-old"], "the request that began before");
    assert_eq!(seen(&new), ["Bearer sk-new"], "the one that came after");
    gateway.settled();
}

#[test]
fn targets_are_forgotten_when_the_last_request_has_left_and_not_before() {
    let gate = Gate::default();
    let slow = Upstream::always(half_a_stream(&gate));
    let upstream = Upstream::well();
    let stays = with_models(&upstream, &["m"]);
    let goes = provider_key("slow", &slow.url()) + &model("goes", "slow", "");
    let gateway = Gateway::start(&(stays.clone() + &goes));
    gateway.chat(&chat_body("m", "")).expect(200);
    let mut stream = gateway.stream(&chat_body("goes", STREAM));
    stream.until("half");
    assert_eq!(gateway.books().router.targets, 2);
    gateway.folder.write("config.toml", &stays);
    reload(&gateway).expect("a good file");
    gateway.chat(&chat_body("goes", "")).expect(404);
    let books = gateway.books();
    assert_eq!((books.router.targets, books.pool.keys), (2, 2), "a stream uses them");
    gate.open();
    stream.rest();
    drop(stream);
    until("they are forgotten", || {
        let books = gateway.books();
        (books.router.targets, books.pool.keys) == (1, 1)
    });
    gateway.settled();
}

#[test]
fn hundreds_of_reloads_under_load_leak_nothing_and_fail_nobody() {
    let upstream = Upstream::well();
    let file = |number: usize| {
        let name = format!("m-{number}");
        provider_key(&format!("up-{number}"), &upstream.url())
            + &model(&name, &format!("up-{number}"), "cost = { input_per_1k = 1, output_per_1k = 1 }")
            + &budget(&format!("b-{number}"), "scope = \"org\"", "1000", "")
            + &with_models(&upstream, &["m"])
                .replace("model_name", "cost = { input_per_1k = 1, output_per_1k = 1 }\nmodel_name")
    };
    let gateway = Gateway::start(&file(0));
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let mut old = Vec::new();
    std::thread::scope(|threads| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                threads.spawn(|| {
                    let mut served = 0;
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        gateway.chat(&chat_body("m", STREAM)).expect(200);
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for number in 1..=200 {
            old.push(std::sync::Arc::downgrade(&gateway.gateway.snapshot()));
            gateway.folder.write("config.toml", &file(number));
            reload(&gateway).expect("a good file");
            gateway.chat(&chat_body(&format!("m-{number}"), "")).expect(200);
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        for caller in callers {
            assert!(caller.join().expect("no request fails") > 0);
        }
    });
    gateway.settled();
    until("all old configurations are gone", || old.iter().all(|snapshot| snapshot.upgrade().is_none()));
    until("what only they knew is forgotten", || {
        let books = gateway.books();
        (books.pool.keys, books.router.targets) == (2, 2)
    });
    assert_eq!(gateway.gateway.snapshot().generation, 201);
}
