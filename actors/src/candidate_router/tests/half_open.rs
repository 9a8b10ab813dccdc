//! The way back of a target that has failed: one attempt at a time finds out whether it is well.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use super::*;

/// A book whose target `a` cools from the start on, for 30 s.
fn cooled() -> Health {
    let health = Health::new();
    report(&health, "a", failed(AttemptFailure::Status(500)), START);
    health
}

fn candidate(health: &Health, now: Now) -> Candidate {
    health.plan(&group(&["a"]), &RouteContext::default(), now).unwrap()[0].clone()
}

#[test]
fn one_attempt_at_a_time_finds_out_whether_a_target_is_well() {
    let health = cooled();
    let two = group(&["a", "b"]);
    assert_eq!(planned(&health, &two, later(30)), ["a", "b"], "at its place while nobody probes it");
    let first = candidate(&health, later(30));
    let probe = first.begin_at(later(30)).unwrap();
    assert_eq!(first.begin_at(later(30)).unwrap_err(), BeingProbed);
    assert_eq!(candidate(&health, later(30)).begin_at(later(99)).unwrap_err(), BeingProbed);
    assert_eq!(planned(&health, &two, later(30)), ["b"], "as if it cooled");
    report(&health, "b", failed(AttemptFailure::Timeout), later(30));
    assert_eq!(planned(&health, &two, later(30)), ["a", "b"], "the second choice, as it is probed");
    drop(probe);
    assert_eq!(planned(&health, &two, later(30)), ["a"], "a probe that comes to nothing gives way");
    assert!(first.begin_at(later(30)).is_ok());
}

#[test]
fn a_success_closes_it_and_a_failure_cools_it_again() {
    let health = cooled();
    let first = candidate(&health, later(30));
    let probe = first.begin_at(later(30)).unwrap();
    health.record(&first, failed(AttemptFailure::Status(500)), later(31));
    drop(probe);
    assert_eq!(health.status("a", later(60)).condition, Condition::Cooling);
    assert_eq!(health.status("a", later(61)).condition, Condition::Healthy);
    let probe = first.begin_at(later(61)).unwrap();
    health.record(&first, OK, later(62));
    let others = [first.begin_at(later(62)), first.begin_at(later(62))];
    assert!(others.iter().all(Result::is_ok), "any number, while the one that probed goes on");
    health.record(&first, failed(AttemptFailure::Timeout), later(63));
    assert!(first.begin_at(later(93)).is_ok(), "what probed before has no say in a later cooldown");
    drop(probe);
}

#[test]
fn a_failure_that_does_not_cool_leaves_it_as_it_is() {
    let health = cooled();
    let first = candidate(&health, later(30));
    let probe = first.begin_at(later(30)).unwrap();
    health.record(&first, failed(AttemptFailure::Status(400)), later(30));
    assert!(first.begin_at(later(30)).is_err());
    drop(probe);
    let _probe = first.begin_at(later(30)).unwrap();
    assert!(first.begin_at(later(30)).is_err(), "still one at a time");
}

#[test]
fn a_late_success_of_an_attempt_from_before_the_cooldown_closes_it() {
    let health = Health::new();
    let first = candidate(&health, START);
    let early = first.begin_at(START).unwrap();
    health.record(&first, failed(AttemptFailure::Timeout), START);
    let probe = first.begin_at(later(30)).unwrap();
    health.record(&first, OK, later(31));
    drop(early);
    assert!(first.begin_at(later(31)).is_ok() && first.begin_at(later(31)).is_ok());
    drop(probe);
    assert_eq!(health.counters().in_flight, 0);
}

#[test]
fn a_check_that_passes_closes_what_is_half_open_and_ends_no_cooldown() {
    let health = cooled();
    health.record_check(&"a".into(), Check::Passed, later(29));
    assert_eq!(health.status("a", later(29)).condition, Condition::Cooling);
    let first = candidate(&health, later(30));
    let _probe = first.begin_at(later(30)).unwrap();
    health.record_check(&"a".into(), Check::Failed(None), later(30));
    assert!(first.begin_at(later(30)).is_err());
    health.record_check(&"a".into(), Check::Passed, later(30));
    assert!(first.begin_at(later(30)).is_ok());
}

#[test]
fn whoever_has_nobody_else_left_asks_anyway() {
    let health = cooled();
    assert_eq!(planned(&health, &group(&["a"]), later(30)), ["a"]);
    let first = candidate(&health, later(30));
    let anyway = first.begin_anyway();
    assert!(first.begin_at(later(30)).is_err(), "it has taken the probe, which was free");
    let second = first.begin_anyway();
    assert_eq!(planned(&health, &group(&["a"]), later(30)), ["a"], "a group of one is planned always");
    drop(anyway);
    assert!(first.begin_at(later(30)).is_ok(), "the second one had no probe to give back");
    assert_eq!(health.status("a", later(30)).in_flight, 1);
    drop(second);
}

#[test]
fn an_attempt_that_begins_while_it_cools_probes_it_afterwards() {
    let health = cooled();
    let first = candidate(&health, later(29));
    let early = first.begin_at(later(29)).unwrap();
    let another = first.begin_at(later(29)).unwrap();
    assert!(first.begin_at(later(30)).is_err());
    drop(early);
    assert!(first.begin_at(later(30)).is_ok());
    drop(another);
}

#[test]
fn a_status_says_what_a_plan_would_take_the_target_for() {
    let health = cooled();
    let cooling = health.status("a", later(29));
    assert_eq!((cooling.condition, cooling.reason), (Condition::Cooling, Some(Reason::UpstreamServerError)));
    assert_eq!(cooling.cooldown_until, Some(later(30).unix));
    let over = health.status("a", later(30));
    assert_eq!((over.condition, over.reason, over.cooldown_until), (Condition::Healthy, None, None));
    let _probe = candidate(&health, later(30)).begin_at(later(30)).unwrap();
    let probed = health.status("a", later(30));
    assert_eq!((probed.condition, probed.reason), (Condition::Cooling, Some(Reason::UpstreamServerError)));
    assert_eq!(probed.cooldown_until, None);
}

#[test]
fn a_probe_that_failed_is_held_until_its_report_is_read() {
    run(async {
        let health = Arc::new(Health::new());
        let router = CandidateRouterHandle::new(Arc::clone(&health));
        let rule = CooldownRule { default: Duration::from_millis(1), ..CooldownRule::default() };
        let alone = vec![Member::new(target("a", rule), "a".into())];
        let alone = Arc::new(Group::new("alone".into(), Strategy::Failover, alone));
        let first = router.plan(alone, RouteContext::default()).await.unwrap()[0].clone();
        let failure = failed(AttemptFailure::Status(500));
        health.record(&first, failure, Now::read());
        thread::sleep(Duration::from_millis(5));
        let probe = first.begin().expect("half-open");
        router.report(&first, failure, Some(probe));
        assert!(first.begin().is_err(), "nobody has read what it came to");
        let counters = router.inspect().await;
        assert_eq!((counters.failed, counters.in_flight), (2, 0));
        assert!(first.begin().is_ok());
    });
}

#[test]
fn eight_threads_never_probe_together() {
    let (health, now) = (cooled(), later(30));
    let (under_way, probes, refusals) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let barrier = Barrier::new(8);
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                barrier.wait();
                for _ in 0..5_000 {
                    let Ok(probe) = candidate(&health, now).begin_at(now) else {
                        refusals.fetch_add(1, SeqCst);
                        continue;
                    };
                    assert_eq!(under_way.fetch_add(1, SeqCst), 0, "two at a time");
                    probes.fetch_add(1, SeqCst);
                    thread::yield_now();
                    under_way.fetch_sub(1, SeqCst);
                    drop(probe);
                }
            });
        }
    });
    assert_eq!(probes.into_inner() + refusals.into_inner(), 40_000);
    assert_eq!(health.counters().in_flight, 0);
    assert!(candidate(&health, now).begin_at(now).is_ok(), "the probe was given back");
}

#[test]
fn eight_threads_that_meet_at_once_have_one_probe() {
    for _ in 0..200 {
        let (health, now) = (cooled(), later(30));
        let barrier = Barrier::new(8);
        let begun: Vec<_> = thread::scope(|threads| {
            let attempt = || {
                let first = candidate(&health, now);
                barrier.wait();
                first.begin_at(now)
            };
            let workers: Vec<_> = (0..8).map(|_| threads.spawn(attempt)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(begun.iter().filter(|attempt| attempt.is_ok()).count(), 1);
    }
}
