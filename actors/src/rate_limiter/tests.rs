//! What the limits promise: exact, in one step, and nothing kept from a request that is gone.

mod model;
mod threads;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::worker::run;

/// An instant that lies 15 seconds into a minute of the clock.
pub(super) const START: Now =
    Now { unix: Duration::from_secs(1_700_000_055), steady: Duration::from_secs(1_000) };

pub(super) fn later(now: Now, by: Duration) -> Now {
    Now { unix: now.unix + by, steady: now.steady + by }
}

pub(super) fn scope(id: &str, layer: Layer, limit: RateLimit) -> Arc<Scope> {
    Arc::new(Scope { id: id.into(), layer, limit })
}

fn key(limit: RateLimit) -> Arc<Scope> {
    scope("key-1", Layer::ApiKey, limit)
}

fn model_scope(limit: RateLimit) -> Arc<Scope> {
    scope("model:m", Layer::Model, limit)
}

fn refusal(outcome: Result<Permit, LimitExceeded>) -> (Dimension, u64, Option<u64>) {
    let refusal = outcome.unwrap_err();
    (refusal.dimension, refusal.used, refusal.retry_after.map(|wait| wait.as_secs()))
}

#[test]
fn each_dimension_says_when_to_come_back() {
    // 2023-11-14T22:14:15Z
    let cases = [
        (RateLimit { rps: Some(0), ..RateLimit::default() }, (Dimension::Rps, 0, Some(1))),
        (RateLimit { rpm: Some(0), ..RateLimit::default() }, (Dimension::Rpm, 0, Some(45))),
        (RateLimit { rph: Some(0), ..RateLimit::default() }, (Dimension::Rph, 0, Some(45 * 60 + 45))),
        (RateLimit { rpd: Some(0), ..RateLimit::default() }, (Dimension::Rpd, 0, Some(105 * 60 + 45))),
        (RateLimit { concurrency: Some(0), ..RateLimit::default() }, (Dimension::Concurrency, 0, None)),
    ];
    for (limit, expected) in cases {
        let book = Arc::new(LimitBook::new());
        assert_eq!(refusal(book.acquire(&[key(limit)], 0, START)), expected);
    }
}

#[test]
fn concurrency_is_checked_before_tokens_and_tokens_before_requests() {
    let book = Arc::new(LimitBook::new());
    let all = RateLimit { concurrency: Some(1), tpm: Some(5), rpm: Some(1), ..RateLimit::default() };
    let held = book.acquire(&[key(all.clone())], 10, START).unwrap();
    assert_eq!(refusal(book.acquire(&[key(all.clone())], 0, START)).0, Dimension::Concurrency);
    book.settle(held, 6, START);
    assert_eq!(refusal(book.acquire(&[key(all.clone())], 0, START)), (Dimension::Tpm, 6, Some(45)));
    let next_minute = later(START, Duration::from_secs(45));
    let _held = book.acquire(&[key(all.clone())], 0, next_minute).unwrap();
    let wide = RateLimit { concurrency: Some(9), ..all };
    assert_eq!(refusal(book.acquire(&[key(wide)], 0, next_minute)), (Dimension::Rpm, 1, Some(60)));
}

#[test]
fn a_refusal_leaves_no_trace_in_any_scope() {
    let book = Arc::new(LimitBook::new());
    let wide = key(RateLimit {
        rps: Some(2),
        rpm: Some(2),
        tpm: Some(100),
        concurrency: Some(2),
        ..RateLimit::default()
    });
    let full = model_scope(RateLimit { rpm: Some(0), ..RateLimit::default() });
    for _ in 0..10 {
        let refused = book.acquire(&[Arc::clone(&wide), Arc::clone(&full)], 50, START).unwrap_err();
        assert_eq!((refused.layer, &*refused.scope), (Layer::Model, "model:m"));
    }
    let standing = book.peek(&wide, START);
    assert_eq!((standing.used_requests_minute, standing.concurrent), (0, 0));
    let first = book.acquire(&[Arc::clone(&wide)], 60, START).unwrap();
    let second = book.acquire(&[Arc::clone(&wide)], 60, START).unwrap();
    drop((first, second));
}

#[test]
fn the_first_scope_given_is_reported_when_several_refuse() {
    let none = RateLimit { rpm: Some(0), ..RateLimit::default() };
    let (key, model) = (key(none.clone()), model_scope(none));
    let book = Arc::new(LimitBook::new());
    let refused = book.acquire(&[Arc::clone(&key), Arc::clone(&model)], 0, START).unwrap_err();
    assert_eq!(refused.layer, Layer::ApiKey);
    let refused = book.acquire(&[model, key], 0, START).unwrap_err();
    assert_eq!(refused.layer, Layer::Model);
    assert_eq!(refused.to_string(), "request limit exceeded (0 requests per minute)");
}

#[test]
fn the_request_that_crosses_a_token_limit_passes_and_holds_stop_the_next() {
    let book = Arc::new(LimitBook::new());
    let limit = [key(RateLimit { tpm: Some(100), ..RateLimit::default() })];
    let crossing = book.acquire(&limit, 101, START).unwrap();
    // Only a hold stands in the way, so the wait is short; used tokens stay until the window ends.
    assert_eq!(refusal(book.acquire(&limit, 1, START)), (Dimension::Tpm, 101, Some(1)));
    book.settle(crossing, 30, START);
    let next = book.acquire(&limit, 1, START).unwrap();
    book.settle(next, 80, START);
    assert_eq!(refusal(book.acquire(&limit, 1, START)), (Dimension::Tpm, 110, Some(45)));
    assert_eq!(book.peek(&limit[0], START).used_tokens_minute, 110);
}

#[test]
fn tokens_are_booked_to_the_window_in_which_they_are_settled() {
    let book = Arc::new(LimitBook::new());
    let limit = key(RateLimit { tpm: Some(100), ..RateLimit::default() });
    let permit = book.acquire(&[Arc::clone(&limit)], 10, START).unwrap();
    let next_minute = later(START, Duration::from_secs(50));
    book.settle(permit, 70, next_minute);
    assert_eq!(book.peek(&limit, next_minute).used_tokens_minute, 70);
    assert_eq!(book.peek(&limit, next_minute).minute_resets_in, Duration::from_secs(55));
}

#[test]
fn a_cancelled_permit_gives_back_requests_and_the_steady_rate() {
    let book = Arc::new(LimitBook::new());
    let one =
        [key(RateLimit { rps: Some(1), rpm: Some(1), rph: Some(1), rpd: Some(1), ..RateLimit::default() })];
    for _ in 0..5 {
        book.acquire(&one, 0, START).unwrap().cancel();
    }
    let released = book.acquire(&one, 0, START).unwrap();
    drop(released);
    assert_eq!(refusal(book.acquire(&one, 0, START)).0, Dimension::Rps);
}

#[test]
fn a_clock_read_just_before_the_turn_does_not_reopen_the_old_window() {
    let book = Arc::new(LimitBook::new());
    let one = [key(RateLimit { rpm: Some(1), ..RateLimit::default() })];
    let after = later(START, Duration::from_secs(45));
    let before = later(START, Duration::from_millis(44_999));
    drop(book.acquire(&one, 0, after).unwrap());
    assert_eq!(refusal(book.acquire(&one, 0, before)).0, Dimension::Rpm);
    assert_eq!(refusal(book.acquire(&one, 0, after)).0, Dimension::Rpm);
}

#[test]
fn a_scope_named_twice_is_taken_once_and_unlimited_ones_are_not_kept() {
    let book = Arc::new(LimitBook::new());
    let two = key(RateLimit { rpm: Some(2), ..RateLimit::default() });
    let free = model_scope(RateLimit::default());
    drop(book.acquire(&[Arc::clone(&two), free, Arc::clone(&two)], 0, START).unwrap());
    assert_eq!(book.peek(&two, START).used_requests_minute, 1);
    assert_eq!(book.counters().scopes, 1);
}

#[test]
fn idle_scopes_are_swept_and_busy_ones_stay() {
    let book = Arc::new(LimitBook::new());
    let limit = RateLimit { rpm: Some(1), ..RateLimit::default() };
    let busy = scope("busy", Layer::ApiKey, limit.clone());
    let permit = book.acquire(&[Arc::clone(&busy)], 0, START).unwrap();
    for round in 0..40 {
        let now = later(START, Duration::from_secs(round * 60));
        for number in 0..5_000 {
            let caller = scope(&format!("{round}-{number}"), Layer::ApiKey, limit.clone());
            drop(book.acquire(&[caller], 0, now).unwrap());
        }
    }
    let known = book.counters().scopes;
    assert!(known < 20_000, "{known} scopes are kept, of 5,000 in use");
    assert_eq!(book.peek(&busy, START).concurrent, 1);
    drop(permit);
    assert_eq!(book.peek(&busy, START).concurrent, 0);
}

#[test]
fn the_handle_admits_settles_and_outlives_its_actor() {
    run(async {
        let limits = RateLimiterHandle::new(Arc::new(LimitBook::new()));
        let key =
            key(RateLimit { rpd: Some(3), tpd: Some(100), concurrency: Some(3), ..RateLimit::default() });
        let scopes: Scopes = [Arc::clone(&key)].into_iter().collect();
        let first = limits.acquire(scopes.clone(), 10).await.unwrap();
        let second = limits.acquire(scopes.clone(), 10).await.unwrap();
        limits.crash();
        limits.settle(first, 5);
        assert_eq!(limits.peek(Arc::clone(&key)).await.concurrent, 1);
        limits.crash();
        let standing = limits.settle_now(second, 5).await.unwrap();
        assert_eq!(standing.concurrent, 0);
        let third = limits.acquire(scopes.clone(), 10).await.unwrap();
        limits.release(third);
        let Err(AcquireRefused::Exceeded(refused)) = limits.acquire(scopes, 10).await else {
            panic!("a fourth request of three");
        };
        assert_eq!((refused.dimension, refused.used), (Dimension::Rpd, 3));
        let counters = limits.inspect().await;
        assert_eq!((counters.held, counters.admitted, counters.refused), (0, 3, 1));
        assert_eq!((counters.settled, counters.released), (2, 1));
    });
}

#[test]
fn a_caller_that_leaves_while_asking_keeps_nothing() {
    run(async {
        let limits = RateLimiterHandle::new(Arc::new(LimitBook::new()));
        let key = key(RateLimit { concurrency: Some(1), ..RateLimit::default() });
        let scopes: Scopes = [Arc::clone(&key)].into_iter().collect();
        for is_asked in [false, true] {
            let mut asking = Box::pin(limits.acquire(scopes.clone(), 10));
            if is_asked {
                assert!(futures::poll!(&mut asking).is_pending());
                // Asked later, so answered later: the permit is on its way by then.
                assert_eq!(limits.inspect().await.held, 1);
            }
            drop(asking);
            assert_eq!(limits.peek(Arc::clone(&key)).await.concurrent, 0);
        }
    });
}
