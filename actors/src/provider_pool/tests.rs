//! What the pool promises: never more slots than a key has, and no slot lost.

use std::thread;

use super::*;
use crate::worker::run;

fn key(id: &str, max_in_flight: Option<u32>) -> ProviderKey {
    ProviderKey {
        id: id.into(),
        name: id.into(),
        base_url: "https://api.example.com".into(),
        credential: Some(Secret::new("sk-secret")),
        tls: TlsProfileId::default(),
        max_in_flight,
    }
}

fn book(keys: Vec<ProviderKey>) -> Arc<PoolBook> {
    let book = PoolBook::new();
    book.install(keys);
    Arc::new(book)
}

#[test]
fn a_secret_is_never_printed() {
    let key = key("a", None);
    let printed = format!("{key:?} {key:#?}");
    assert!(!printed.contains("sk-secret"), "{printed}");
    assert!(printed.contains("Secret(…)"));
    assert_eq!(key.credential.as_ref().map(Secret::expose), Some("sk-secret"));
}

#[test]
fn a_key_has_as_many_slots_as_it_says() {
    let book = book(vec![key("two", Some(2)), key("none", Some(0)), key("any", None)]);
    let leases = [book.lease("two").unwrap(), book.lease("two").unwrap()];
    assert_eq!(book.lease("two").unwrap_err(), LeaseRefused::Saturated { in_flight: 2 });
    assert_eq!(book.lease("none").unwrap_err(), LeaseRefused::Saturated { in_flight: 0 });
    assert_eq!(book.lease("other").unwrap_err(), LeaseRefused::Unknown);
    assert_eq!(&*book.lease("any").unwrap().base_url, "https://api.example.com");
    drop(leases);
    assert!(book.lease("two").is_ok());
}

#[test]
fn keys_that_stay_keep_their_count_and_leases_of_those_that_went_still_end() {
    let book = book(vec![key("stays", Some(2)), key("goes", Some(1))]);
    let (stays, goes) = (book.lease("stays").unwrap(), book.lease("goes").unwrap());
    book.install(vec![ProviderKey { base_url: "https://new.example.com".into(), ..key("stays", Some(1)) }]);
    assert_eq!(book.lease("stays").unwrap_err(), LeaseRefused::Saturated { in_flight: 1 });
    assert_eq!(book.lease("goes").unwrap_err(), LeaseRefused::Unknown);
    assert_eq!(&*stays.base_url, "https://api.example.com", "a lease keeps what it was given");
    drop((stays, goes));
    assert_eq!(book.in_flight("stays"), Some(0));
    assert_eq!(&*book.lease("stays").unwrap().base_url, "https://new.example.com");
}

#[test]
fn threads_never_take_more_slots_than_there_are() {
    for most in [1, 10, 100] {
        let book = book(vec![key("a", Some(most))]);
        let leases: Vec<Lease> = thread::scope(|threads| {
            let taker = || (0..200).filter_map(|_| book.lease("a").ok()).collect::<Vec<_>>();
            let takers: Vec<_> = (0..8).map(|_| threads.spawn(taker)).collect();
            takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
        });
        assert_eq!(leases.len(), most as usize);
        drop(leases);
        assert_eq!(book.in_flight("a"), Some(0));
    }
}

#[test]
fn the_handle_leases_and_outlives_its_actor() {
    run(async {
        let pool = ProviderPoolHandle::new(book(vec![key("a", Some(2))]));
        let first = pool.lease("a".into()).await.unwrap();
        let second = pool.lease("a".into()).await.unwrap();
        assert!(pool.lease("a".into()).await.is_err());
        pool.crash();
        pool.give_back(first);
        drop(second);
        pool.inspect().await;
        let third = pool.lease("a".into()).await.unwrap();
        pool.give_back(third);
        pool.crash();
        let counters = pool.inspect().await;
        assert_eq!((counters.in_flight, counters.leased, counters.refused), (0, 3, 1));
    });
}
