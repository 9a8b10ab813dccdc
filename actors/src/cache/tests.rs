//! What the cache promises: one fill a key, nobody waits for nobody, and never more than its bytes.

use std::thread;

use futures::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::worker::run;

const KEY: Key = [7; 32];
const SOON: Duration = Duration::from_secs(60);
const START: Now = Now { unix: Duration::from_secs(1_700_000_000), steady: Duration::from_secs(1_000) };

fn later(by: Duration) -> Now {
    Now { unix: START.unix + by, steady: START.steady + by }
}

fn entry(bytes: usize) -> Entry {
    let body = vec![b'x'; bytes].into();
    Entry {
        body,
        input_tokens: 3,
        output_tokens: 4,
        model: "m".into(),
        policy: "p".into(),
        note: "".into(),
        stored_at: START.unix,
    }
}

fn book() -> Arc<CacheBook> {
    Arc::new(CacheBook::new(1 << 20))
}

fn place() -> Place {
    Place { key: KEY, policy: "p".into(), is_shared: false }
}

fn fill(found: Found) -> Fill {
    match found {
        Found::Fill(fill) => fill,
        other => panic!("expected a fill, got {other:?}"),
    }
}

fn turn(found: Found) -> tokio::sync::oneshot::Receiver<Turn> {
    match found {
        Found::Wait(turn) => turn,
        other => panic!("expected a place in the line, got {other:?}"),
    }
}

#[test]
fn an_entry_is_found_until_its_time_is_over() {
    let book = book();
    book.store(fill(book.lookup(KEY, START)), entry(10), SOON, START);
    assert!(
        matches!(book.lookup(KEY, later(SOON - Duration::from_nanos(1))), Found::Hit(found) if *found == entry(10))
    );
    assert!(matches!(book.lookup(KEY, later(SOON)), Found::Fill(_)));
    assert!(matches!(book.lookup([8; 32], START), Found::Fill(_)));
}

#[test]
fn everybody_who_waits_gets_the_entry() {
    let book = book();
    let filler = fill(book.lookup(KEY, START));
    let waiting: Vec<_> = (0..5).map(|_| turn(book.lookup(KEY, START))).collect();
    assert_eq!((book.counters().filling, book.counters().waiting), (1, 5));
    book.store(filler, entry(10), SOON, START);
    for mut turn in waiting {
        assert!(matches!(turn.try_recv(), Ok(Turn::Entry(found)) if *found == entry(10)));
    }
    assert_eq!(book.counters().filling, 0);
}

#[test]
fn an_abandoned_fill_is_passed_to_the_first_who_is_still_there() {
    let book = book();
    let filler = fill(book.lookup(KEY, START));
    let gone = turn(book.lookup(KEY, START));
    let mut next = turn(book.lookup(KEY, START));
    let mut last = turn(book.lookup(KEY, START));
    drop(gone);
    drop(filler);
    let Ok(Turn::Fill(filler)) = next.try_recv() else { panic!("the turn was not passed on") };
    assert!(last.try_recv().is_err());
    drop(filler);
    let promoted_and_gone = last;
    drop(promoted_and_gone);
    assert_eq!(book.counters().filling, 0);
    assert!(matches!(book.lookup(KEY, START), Found::Fill(_)));
}

#[test]
fn what_does_not_fit_is_not_kept_but_reaches_those_who_wait() {
    let book = Arc::new(CacheBook::new(1_000));
    let filler = fill(book.lookup(KEY, START));
    let mut waiting = turn(book.lookup(KEY, START));
    book.store(filler, entry(1_001), SOON, START);
    assert!(matches!(waiting.try_recv(), Ok(Turn::Entry(_))));
    let filler = fill(book.lookup(KEY, START));
    book.store(filler, entry(10), Duration::ZERO, START);
    assert!(matches!(book.lookup(KEY, START), Found::Fill(_)));
    assert_eq!((book.counters().oversized, book.counters().stored), (1, 0));
}

#[test]
fn a_refresh_fills_beside_what_is_kept_and_only_once() {
    let book = book();
    book.store(fill(book.lookup(KEY, START)), entry(10), SOON, START);
    let fresh = book.refresh(KEY).unwrap();
    assert!(book.refresh(KEY).is_none());
    assert!(matches!(book.lookup(KEY, START), Found::Hit(_)));
    book.store(fresh, entry(20), SOON, START);
    assert!(matches!(book.lookup(KEY, START), Found::Hit(found) if *found == entry(20)));
}

#[test]
fn too_many_waiters_are_sent_upstream_and_those_who_left_make_room() {
    let book = book();
    let _filler = fill(book.lookup(KEY, START));
    let mut waiting: Vec<_> = (0..1_024).map(|_| turn(book.lookup(KEY, START))).collect();
    assert!(matches!(book.lookup(KEY, START), Found::Crowded));
    waiting.pop();
    assert!(matches!(book.lookup(KEY, START), Found::Wait(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Callers of few keys look up, store, give up and leave in any order.
    #[test]
    fn one_fill_a_key_and_a_turn_for_everybody(steps in prop::collection::vec((0..3_u8, 0..5_u8, 0..9_usize), 1..150)) {
        let book = book();
        let (mut fills, mut waits) = (Vec::<Fill>::new(), Vec::new());
        for (key, step, which) in steps {
            match step {
                0 | 1 => match book.lookup([key; 32], START) {
                    Found::Fill(fill) => fills.push(fill),
                    Found::Wait(turn) => waits.push(turn),
                    Found::Hit(_) | Found::Crowded => {}
                },
                2 if which < fills.len() => book.store(fills.remove(which), entry(1), Duration::from_nanos(1), START),
                3 if which < fills.len() => drop(fills.remove(which)),
                4 if which < waits.len() => drop(waits.remove(which)),
                _ => {}
            }
            waits.retain_mut(|turn| match turn.try_recv() {
                Ok(Turn::Fill(fill)) => { fills.push(fill); false }
                Ok(Turn::Entry(_)) => false,
                Err(_) => true,
            });
            let mut keys: Vec<Key> = fills.iter().map(|fill| *fill.key()).collect();
            let filling = keys.len();
            keys.sort_unstable();
            keys.dedup();
            prop_assert_eq!(keys.len(), filling, "two fill one key");
            prop_assert_eq!(book.counters().filling, filling);
            prop_assert_eq!(book.counters().waiting, waits.len());
        }
        drop(fills);
        let ended = waits.into_iter().all(|turn| matches!(turn.now_or_never(), Some(Ok(_))));
        prop_assert!(ended, "somebody waits for nobody");
        prop_assert_eq!(book.counters().filling, 0);
    }
}

#[test]
fn threads_that_miss_the_same_key_call_upstream_once() {
    let book = book();
    for round in 0..5_000_u16 {
        let mut key = KEY;
        key[..2].copy_from_slice(&round.to_le_bytes());
        let calls: usize = thread::scope(|threads| {
            let caller = || match book.lookup(key, START) {
                Found::Fill(fill) => {
                    book.store(fill, entry(10), SOON, START);
                    1
                }
                Found::Wait(turn) => {
                    let turn = futures::executor::block_on(turn);
                    assert!(matches!(turn, Ok(Turn::Entry(_))));
                    0
                }
                Found::Hit(_) => 0,
                Found::Crowded => panic!("two are no crowd"),
            };
            let other = threads.spawn(caller);
            caller() + other.join().unwrap()
        });
        assert_eq!(calls, 1);
    }
}

#[test]
fn threads_that_give_up_pass_the_turn_until_one_stores() {
    for round in 0..200_u8 {
        let book = book();
        let stored: usize = thread::scope(|threads| {
            let caller = |gives_up: bool| {
                let book = &book;
                move || {
                    let fill = match book.lookup([round; 32], START) {
                        Found::Fill(fill) => Some(fill),
                        Found::Wait(turn) => match futures::executor::block_on(turn) {
                            Ok(Turn::Fill(fill)) => Some(fill),
                            Ok(Turn::Entry(_)) => None,
                            Err(_) => panic!("nobody fills what this thread waits for"),
                        },
                        Found::Hit(_) => None,
                        Found::Crowded => panic!("eight are no crowd"),
                    };
                    let fill = fill.filter(|_| !gives_up);
                    fill.map(|fill| book.store(fill, entry(1), SOON, START)).map_or(0, |()| 1)
                }
            };
            let callers: Vec<_> = (0..8).map(|n| threads.spawn(caller(n % 4 != 3))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });
        assert_eq!(stored, 1);
        assert_eq!(book.counters().filling, 0);
    }
}

#[test]
fn the_handle_fills_waits_and_outlives_its_actor() {
    run(async {
        let cache = CacheHandle::new(book(), None);
        let Recalled::Fill(first) = cache.lookup(&place(), SOON).await else { panic!("expected a fill") };
        assert!(matches!(cache.lookup(&place(), Duration::from_millis(1)).await, Recalled::Alone));
        assert!(cache.refresh(&place()).await.is_none());
        let here = place();
        let promoted = cache.lookup(&here, SOON);
        let abandon = async {
            cache.inspect().await;
            cache.crash();
            cache.abandon(first);
        };
        let (promoted, ()) = futures::join!(promoted, abandon);
        let Recalled::Fill(second) = promoted else { panic!("expected the turn") };
        let waiting = cache.lookup(&here, SOON);
        let store = async {
            cache.inspect().await;
            cache.crash();
            cache.store(second, &place(), entry(10), SOON);
        };
        let (waited, ()) = futures::join!(waiting, store);
        assert!(matches!(waited, Recalled::Hit(found) if *found == entry(10)));
        cache.crash();
        assert!(matches!(cache.lookup(&place(), SOON).await, Recalled::Hit(_)));
        let counters = cache.inspect().await;
        assert_eq!((counters.filling, counters.waiting, counters.stored, counters.hits), (0, 0, 1, 1));
    });
}

#[test]
fn after_a_purge_nothing_of_before_is_found() {
    let book = book();
    let policies: [Arc<str>; 2] = ["p".into(), "other".into()];
    let now_at = |policy: &str| book.current(policy, KEY);
    for policy in &policies {
        let kept = Entry { policy: Arc::clone(policy), ..entry(10) };
        let key = if **policy == *"p" { KEY } else { [8; 32] };
        book.store(fill(book.lookup(key, START)), kept, SOON, START);
    }
    let under_way = fill(book.lookup([9; 32], START));
    assert_eq!(now_at("p"), KEY, "nothing was purged yet");
    assert_eq!(book.purge(Some(&policies[0])).entries, 1);
    assert_eq!((now_at("other"), now_at("p") == KEY), (KEY, false));
    assert!(matches!(book.lookup(KEY, START), Found::Fill(_)), "it is gone under its old key too");
    assert!(matches!(book.lookup([8; 32], START), Found::Hit(_)), "the other policy's stays");
    book.store(under_way, entry(10), SOON, START);
    let before = now_at("p");
    assert_eq!(book.purge(None).entries, 2);
    assert_ne!(now_at("p"), before);
    assert_eq!((book.counters().entries, book.counters().purged), (0, 3));
}

#[test]
fn what_is_thrown_out_for_newer_entries_is_counted() {
    let book = Arc::new(CacheBook::new(10_000));
    for number in 0..50 {
        book.store(fill(book.lookup([number; 32], START)), entry(1_000), SOON, START);
    }
    book.settle();
    let counters = book.counters();
    assert!(counters.bytes <= 10_000, "{counters:?}");
    assert_eq!(counters.entries + counters.evicted, 50, "{counters:?}");
}
