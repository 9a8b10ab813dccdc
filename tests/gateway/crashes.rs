//! Actors that die: the requests of their worker are answered, and nothing that they knew is lost.
//!
//! The pipeline runs on this thread, with a worker of its own, so that its actors can be made to panic at a chosen
//! moment.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_web::test::TestRequest;
use aisix::endpoints::{ENDPOINTS, Endpoint, Operation};
use aisix::envelope::Failure;
use aisix::gateway::{Gateway, Worker};
use aisix::pipeline;
use aisix::telemetry::Telemetry;

use crate::harness::{
    Answer, Gate, Upstream, api_key, budget, chat_body, delta, finish, model, provider_key, snapshot,
};

fn chat() -> &'static Endpoint {
    ENDPOINTS.iter().find(|row| row.operation == Operation::Chat).expect("a row")
}

async fn ask(worker: &Rc<Worker>, more: &str) -> Result<HttpResponse, Failure> {
    let request = TestRequest::post()
        .insert_header(("authorization", "Bearer sk-test"))
        .insert_header(("content-type", "application/json"))
        .set_payload(chat_body("m", more));
    let (request, payload) = request.to_http_parts();
    pipeline::serve(worker.clone(), chat(), request, payload).await
}

async fn status(worker: &Rc<Worker>, more: &str) -> u16 {
    match ask(worker, more).await {
        Ok(response) => {
            let status = response.status().as_u16();
            to_bytes(response.into_body()).await.expect("a body");
            status
        }
        Err(failure) => failure.error.status(),
    }
}

/// Runs a test on a thread with a worker, over a key with limits, a budget and a cache.
fn run<F: Future<Output = ()>>(upstream: &Upstream, limit: &str, test: impl FnOnce(Rc<Worker>) -> F) {
    let config = provider_key("up", &upstream.url())
        + "max_in_flight = 4\n"
        + &model("m", "up", "cost = { input_per_1k = 1, output_per_1k = 1 }")
        + &api_key("sk-test", "\"*\"", &format!("rate_limit = {{ {limit} }}"))
        + &budget("b", "scope = \"org\"", "0.036", "")
        + "[[cache_policies]]\nname = \"all\"\n";
    let snapshot = snapshot(&config, &[]);
    let telemetry = Telemetry::start(&snapshot.settings.observability, None).expect("starts");
    let gateway = Gateway::new(snapshot, telemetry);
    actix_rt::System::new().block_on(async {
        let worker = Worker::start(&gateway);
        // Every actor starts at its first question; one that never lived cannot die.
        worker.actors.inspect().await;
        test(worker).await;
    });
    assert_eq!(gateway.open_exchanges(), 0);
    let books = &gateway.books;
    assert_eq!((books.limits.counters().held, books.ledger.counters().holds), (0, 0));
    assert_eq!((books.cache.counters().filling, books.health.counters().in_flight), (0, 0));
    assert_eq!(books.pool.counters().in_flight, 0);
}

/// What is sent so far of a streamed body, until it contains `needle`.
async fn read_until(body: &mut Pin<Box<BoxBody>>, needle: &str) -> String {
    let mut text = String::new();
    while !text.contains(needle) {
        let piece = poll_fn(|context| body.as_mut().poll_next(context)).await;
        let piece =
            piece.unwrap_or_else(|| panic!("the stream ended without {needle:?}: {text}")).expect("no error");
        text.push_str(std::str::from_utf8(&piece).expect("text"));
    }
    text
}

#[test]
fn a_request_after_a_crash_is_answered_and_counted() {
    crate::harness::away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    run(&upstream, "rpm = 3", |worker| async move {
        assert_eq!(status(&worker, "").await, 200);
        worker.actors.crash_all();
        assert_eq!(status(&worker, "").await, 200, "the cache has the answer");
        worker.actors.crash_all();
        assert_eq!(status(&worker, r#","seed":1"#).await, 200);
        worker.actors.crash_all();
        assert_eq!(
            status(&worker, r#","seed":2"#).await,
            429,
            "three requests are counted over three crashes"
        );
        assert_eq!(worker.actors.inspect().await.cache.hits, 1);
    });
    assert_eq!(upstream.count(), 2);
}

#[test]
fn spend_is_not_forgotten_by_a_crash() {
    let upstream = Upstream::well();
    run(&upstream, "rps = 1000", |worker| async move {
        for seed in 0..3 {
            worker.actors.crash_all();
            assert_eq!(status(&worker, &format!(",\"seed\":{seed}")).await, 200);
        }
        worker.actors.crash_all();
        let refusal =
            ask(&worker, r#","seed":3"#).await.expect_err("three times twelve tokens are the whole budget");
        assert_eq!(refusal.error.kind(), aisix::error::Kind::BudgetExceeded);
    });
}

#[test]
fn a_crash_in_the_middle_of_a_stream_keeps_its_slot_and_gives_it_back_once() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |request, _| {
        if request.json()["stream"] == true {
            Answer::events()
                .event(&delta("half"))
                .wait(&held)
                .event(&finish())
                .event("data: [DONE]\n\n")
                .end()
        } else {
            Answer::json(200, &crate::harness::completion("hello", 5, 7))
        }
    });
    run(&upstream, "concurrency = 1", |worker| async move {
        let response = ask(&worker, r#","stream":true,"max_tokens":8"#).await.expect("a stream");
        let mut body = Box::pin(response.into_body());
        assert_eq!(body.size(), BodySize::Stream);
        read_until(&mut body, "half").await;
        worker.actors.crash_all();
        assert_eq!(status(&worker, "").await, 429, "the slot is still taken");
        gate.open();
        let rest = read_until(&mut body, "[DONE]").await;
        assert!(!rest.contains("event: error"), "{rest}");
        worker.actors.crash_all();
        drop(body);
        worker.actors.inspect().await;
        assert_eq!(status(&worker, r#","max_tokens":8"#).await, 200, "the slot is free");
    });
}

#[test]
fn a_caller_who_leaves_after_a_crash_leaves_nothing_behind() {
    let upstream = Upstream::always(Answer::events().event(&delta("half")).stall());
    run(&upstream, "concurrency = 1", |worker| async move {
        let response = ask(&worker, r#","stream":true,"max_tokens":8"#).await.expect("a stream");
        let mut body = Box::pin(response.into_body());
        read_until(&mut body, "half").await;
        worker.actors.crash_all();
        drop(body);
    });
    upstream.wait_for_hang_up();
}
