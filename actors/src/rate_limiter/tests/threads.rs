//! Limits under threads: exactly the limit is admitted, never one more or less.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use super::*;

const THREADS: u64 = 8;

/// Lets all threads acquire until each is refused `tries` times in all, holding what they get, and
/// counts it.
fn admitted(limit: RateLimit, tries: u64) -> u64 {
    let book = Arc::new(LimitBook::new());
    let scopes = [scope("model:m", Layer::Model, limit.clone()), scope("key", Layer::ApiKey, limit)];
    let reversed: Vec<_> = scopes.iter().rev().cloned().collect();
    let permits: Vec<Permit> = thread::scope(|threads| {
        let workers: Vec<_> = (0..THREADS)
            .map(|number| {
                let scopes = if number % 2 == 0 { &scopes[..] } else { &reversed[..] };
                let book = &book;
                threads.spawn(move || {
                    let attempts = (0..tries).map(|_| book.acquire(scopes, 1, START));
                    attempts.filter_map(Result::ok).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let counters = book.counters();
    let count = permits.len() as u64;
    assert_eq!((counters.held, counters.admitted), (count, count));
    assert_eq!(counters.refused, THREADS * tries - count);
    drop(permits);
    assert_eq!(book.counters().held, 0);
    count
}

#[test]
fn eight_threads_are_admitted_exactly_the_limit_in_each_dimension() {
    for most in [1, 10, 1_000] {
        let some = Some(most);
        let cases = [
            (RateLimit { rps: some, ..RateLimit::default() }, most),
            (RateLimit { rpm: some, ..RateLimit::default() }, most),
            (RateLimit { rph: some, ..RateLimit::default() }, most),
            (RateLimit { rpd: some, ..RateLimit::default() }, most),
            (RateLimit { concurrency: Some(most as u32), ..RateLimit::default() }, most),
            // Each holds one token, and the request that crosses the limit passes.
            (RateLimit { tpm: some, ..RateLimit::default() }, most + 1),
            (RateLimit { tpd: some, ..RateLimit::default() }, most + 1),
        ];
        for (limit, expected) in cases {
            let tries = most / 2 + 10;
            assert_eq!(admitted(limit.clone(), tries), expected, "{limit:?}");
        }
    }
}

#[test]
fn no_more_than_the_limit_are_ever_in_flight() {
    for most in [1, 3, 10] {
        let book = Arc::new(LimitBook::new());
        let limit = [key(RateLimit { concurrency: Some(most), ..RateLimit::default() })];
        let in_flight = AtomicU64::new(0);
        thread::scope(|threads| {
            for _ in 0..THREADS {
                threads.spawn(|| {
                    for _ in 0..5_000 {
                        if let Ok(permit) = book.acquire(&limit, 1, START) {
                            assert!(in_flight.fetch_add(1, SeqCst) < u64::from(most));
                            in_flight.fetch_sub(1, SeqCst);
                            drop(permit);
                        }
                    }
                });
            }
        });
        let counters = book.counters();
        assert!(counters.admitted > 0);
        assert_eq!(counters.held, 0);
        assert_eq!(book.peek(&limit[0], START).concurrent, 0);
    }
}

#[test]
fn sweeping_never_splits_a_scope_in_two() {
    let book = Arc::new(LimitBook::new());
    let one = [key(RateLimit { concurrency: Some(1), ..RateLimit::default() })];
    let (in_flight, rounds) = (AtomicU64::new(0), 100_000);
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..rounds {
                    if let Ok(permit) = book.acquire(&one, 1, START) {
                        assert_eq!(in_flight.fetch_add(1, SeqCst), 0);
                        in_flight.fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                }
            });
        }
        threads.spawn(|| {
            let limit = RateLimit { concurrency: Some(1), ..RateLimit::default() };
            for number in 0..rounds {
                let other = scope(&number.to_string(), Layer::ApiKey, limit.clone());
                drop(book.acquire(&[other], 1, START).unwrap());
            }
        });
    });
    assert!(book.counters().scopes < 10_000);
}
