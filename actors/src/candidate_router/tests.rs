//! What the router promises: healthy targets while there are any, and a way back for the others.

mod checks;
mod half_open;
mod model;
mod ring;
mod strategies;
mod turns;

use std::time::Duration;

use super::*;
use crate::worker::run;

const START: Now = Now { unix: Duration::from_secs(1_700_000_000), steady: Duration::from_secs(1_000) };
const OK: AttemptOutcome = AttemptOutcome::Succeeded { latency: Duration::from_millis(100) };

fn later(seconds: u64) -> Now {
    let by = Duration::from_secs(seconds);
    Now { unix: START.unix + by, steady: START.steady + by }
}

fn failed(failure: AttemptFailure) -> AttemptOutcome {
    AttemptOutcome::Failed { failure, retry_after: None }
}

fn target(id: &str, cooldown: CooldownRule) -> Arc<Target> {
    Arc::new(Target { id: id.into(), cooldown, check_stale_after: None })
}

fn group(ids: &[&str]) -> Group {
    let member = |id: &&str| Member::new(target(id, CooldownRule::default()), (*id).into());
    Group::new("group".into(), Strategy::Failover, ids.iter().map(member).collect())
}

/// A group of members by name and weight.
fn weighed(strategy: Strategy, members: &[(&str, u32)]) -> Group {
    let member = |(id, weight): &(&str, u32)| Member {
        weight: *weight,
        ..Member::new(target(id, CooldownRule::default()), (*id).into())
    };
    Group::new("group".into(), strategy, members.iter().map(member).collect())
}

/// A request that may go to these members only.
fn only(count: usize, places: &[usize]) -> RouteContext {
    let eligible = Eligible::All.only(count, |place| places.contains(&place));
    RouteContext { eligible, ..RouteContext::default() }
}

/// The plan of a request that may go anywhere.
fn planned(health: &Health, group: &Group, now: Now) -> Vec<String> {
    ids(health.plan(group, &RouteContext::default(), now))
}

/// How often each member is the first one, in their order.
fn firsts(health: &Health, group: &Group, context: &RouteContext, plans: usize) -> Vec<usize> {
    let mut counts = vec![0; group.members.len()];
    for _ in 0..plans {
        counts[health.plan(group, context, START).unwrap()[0].index] += 1;
    }
    counts
}

fn ids(plan: Result<Candidates, AllUnavailable>) -> Vec<String> {
    plan.unwrap_or_default().iter().map(|candidate| candidate.target.id.to_string()).collect()
}

/// Reports an outcome of the named target.
fn report(health: &Health, id: &str, outcome: AttemptOutcome, now: Now) {
    let candidates = health.plan(&group(&[id]), &RouteContext::default(), now).unwrap();
    health.record(&candidates[0], outcome, now);
}

#[test]
fn a_cooled_target_is_left_out_until_its_time_is_over() {
    let health = Health::new();
    let three = group(&["a", "b", "c"]);
    assert_eq!(ids(health.plan(&three, &RouteContext::default(), START)), ["a", "b", "c"]);
    report(&health, "a", failed(AttemptFailure::Status(500)), START);
    assert_eq!(ids(health.plan(&three, &RouteContext::default(), START)), ["b", "c"]);
    assert_eq!(health.plan(&three, &RouteContext::default(), START).unwrap()[0].index, 1);
    assert_eq!(ids(health.plan(&three, &RouteContext::default(), later(29))), ["b", "c"]);
    assert_eq!(ids(health.plan(&three, &RouteContext::default(), later(30))), ["a", "b", "c"]);
}

#[test]
fn a_success_ends_the_cooldown_at_once() {
    let health = Health::new();
    report(&health, "a", failed(AttemptFailure::Timeout), START);
    report(&health, "a", OK, START);
    assert_eq!(ids(health.plan(&group(&["a", "b"]), &RouteContext::default(), START)), ["a", "b"]);
    assert_eq!(health.status("a", START).latency, Some(Duration::from_millis(100)));
}

#[test]
fn cooling_targets_are_the_second_choice_and_unhealthy_ones_none() {
    let health = Health::new();
    let three = group(&["a", "b", "c"]);
    for id in ["a", "c"] {
        report(&health, id, failed(AttemptFailure::Transport), START);
    }
    health.record_check(&"b".into(), Check::Failed(Some(503)), START);
    assert_eq!(ids(health.plan(&three, &RouteContext::default(), START)), ["a", "c"]);
    for id in ["a", "c"] {
        health.record_check(&id.into(), Check::Failed(None), START);
    }
    assert_eq!(
        ids(health.plan(&three, &RouteContext::default(), START)),
        ["a", "c"],
        "a cooldown comes before a failed check"
    );
    let when_over = later(30);
    assert_eq!(
        health.plan(&three, &RouteContext::default(), when_over).unwrap_err(),
        AllUnavailable { retry_after: None }
    );
    let anyway = Group { when_all_unavailable: WhenAllUnavailable::TryAnyway, ..group(&["a", "b", "c"]) };
    assert_eq!(ids(health.plan(&anyway, &RouteContext::default(), when_over)), ["a", "b", "c"]);
    health.record_check(&"b".into(), Check::Passed, START);
    assert_eq!(ids(health.plan(&three, &RouteContext::default(), when_over)), ["b"]);
}

#[test]
fn the_list_is_cut_before_anything_is_left_out() {
    let health = Health::new();
    let cut = Group { max_fallbacks: Some(1), ..group(&["a", "b", "c"]) };
    assert_eq!(ids(health.plan(&cut, &RouteContext::default(), START)), ["a", "b"]);
    report(&health, "a", failed(AttemptFailure::Status(429)), START);
    assert_eq!(ids(health.plan(&cut, &RouteContext::default(), START)), ["b"]);
    let only = Group { max_fallbacks: Some(0), ..group(&["a", "b", "c"]) };
    assert_eq!(
        ids(health.plan(&only, &RouteContext::default(), START)),
        ["a"],
        "the only one, though it cools"
    );
}

#[test]
fn tiers_are_tried_one_after_the_other_and_only_eligible_members() {
    let health = Health::new();
    let member = |(id, priority): (&str, i32)| Member {
        priority,
        ..Member::new(target(id, CooldownRule::default()), id.into())
    };
    let members: Vec<_> = [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)].map(member).into();
    let tiers = Group::new("group".into(), Strategy::Failover, members);
    assert_eq!(planned(&health, &tiers, START), ["b", "d", "a", "e", "c"]);
    let plan = |context| ids(health.plan(&tiers, &context, START));
    assert_eq!(plan(only(5, &[0, 2, 3])), ["d", "a", "c"]);
    assert_eq!(plan(only(5, &[])), [""; 0]);
    let cut = Group { max_fallbacks: Some(2), ..tiers.clone() };
    assert_eq!(planned(&health, &cut, START), ["b", "d", "a"]);
    assert_eq!(ids(health.plan(&cut, &only(5, &[2, 4]), START)), ["e", "c"], "only the eligible count");
    for id in ["b", "d"] {
        report(&health, id, failed(AttemptFailure::Transport), START);
    }
    assert_eq!(planned(&health, &tiers, START), ["a", "e", "c"], "the next tier, while the first one cools");
}

#[test]
fn more_members_than_a_word_has_bits_can_be_told_apart() {
    let names: Vec<String> = (0..150).map(|number| format!("m{number}")).collect();
    let many = group(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let context = only(150, &[0, 63, 64, 127, 128, 149]);
    let plan = ids(Health::new().plan(&many, &context, START));
    assert_eq!(plan, ["m0", "m63", "m64", "m127", "m128", "m149"]);
    let Eligible::Some(_) = &context.eligible else { panic!("a choice") };
    assert!(!context.eligible.is_empty() && context.eligible.only(150, |_| false).is_empty());
}

#[test]
fn a_group_of_one_is_always_planned_and_an_empty_one_never() {
    let health = Health::new();
    health.record_check(&"a".into(), Check::Failed(None), START);
    assert_eq!(ids(health.plan(&group(&["a"]), &RouteContext::default(), START)), ["a"]);
    assert!(health.plan(&group(&[]), &RouteContext::default(), START).is_err());
}

#[test]
fn the_rule_decides_whether_and_how_long_a_failure_cools() {
    let rule = CooldownRule::default;
    let off = CooldownRule { enabled: false, ..rule() };
    let zero = CooldownRule { default: Duration::ZERO, ..rule() };
    let deaf = CooldownRule { honor_retry_after: false, ..rule() };
    let patient = CooldownRule { trigger_on_timeout: false, trigger_on_transport: false, ..rule() };
    let status = AttemptFailure::Status;
    let cases = [
        (rule(), status(500), None, Some((30, "upstream_server_error"))),
        (rule(), status(401), None, Some((30, "upstream_auth_failure"))),
        (rule(), status(408), None, Some((30, "upstream_request_timeout"))),
        (rule(), status(429), Some(7), Some((7, "upstream_rate_limited"))),
        (rule(), status(503), Some(9_999), Some((600, "upstream_server_error"))),
        (rule(), status(400), Some(7), None),
        (rule(), status(429), Some(0), Some((30, "upstream_rate_limited"))),
        (rule(), AttemptFailure::Timeout, None, Some((30, "request_timeout"))),
        (rule(), AttemptFailure::Transport, None, Some((30, "transport_error"))),
        (rule(), AttemptFailure::Decode, None, Some((30, "upstream_decode_error"))),
        (deaf, status(429), Some(7), Some((30, "upstream_rate_limited"))),
        (off, status(500), None, None),
        (zero, status(429), Some(7), None),
        (patient.clone(), AttemptFailure::Timeout, None, None),
        (patient, AttemptFailure::Decode, None, None),
    ];
    for (rule, failure, retry_after, expected) in cases {
        let health = Health::new();
        let alone = vec![Member::new(target("a", rule), "a".into())];
        let alone = Group::new("alone".into(), Strategy::Failover, alone);
        let retry_after = retry_after.map(Duration::from_secs);
        let candidate = &health.plan(&alone, &RouteContext::default(), START).unwrap()[0];
        health.record(candidate, AttemptOutcome::Failed { failure, retry_after }, START);
        let status = health.status("a", START);
        let until = status.cooldown_until.map(|until| (until - START.unix).as_secs());
        let got = until.zip(status.reason.map(Reason::as_str));
        assert_eq!(got, expected, "{failure:?}");
    }
}

#[test]
fn a_shorter_cooldown_does_not_end_a_longer_one() {
    let health = Health::new();
    let retry_after = Some(Duration::from_secs(100));
    let long = AttemptOutcome::Failed { failure: AttemptFailure::Status(429), retry_after };
    report(&health, "a", long, START);
    report(&health, "a", failed(AttemptFailure::Status(500)), START);
    let status = health.status("a", START);
    assert_eq!(status.cooldown_until, Some(START.unix + Duration::from_secs(100)));
    assert_eq!(status.reason, Some(Reason::UpstreamRateLimited));
}

#[test]
fn a_cooldown_of_ages_does_not_wrap_around() {
    for seconds in [1 << 53, u64::MAX] {
        let rule = CooldownRule { default: Duration::from_secs(seconds), ..CooldownRule::default() };
        let alone =
            Group::new("alone".into(), Strategy::Failover, vec![Member::new(target("a", rule), "a".into())]);
        let health = Health::new();
        let candidate = &health.plan(&alone, &RouteContext::default(), START).unwrap()[0];
        health.record(candidate, failed(AttemptFailure::Timeout), START);
        let status = health.status("a", later(9_999_999));
        assert_eq!((status.condition, status.reason), (Condition::Cooling, Some(Reason::RequestTimeout)));
    }
}

#[test]
fn attempts_under_way_are_counted_until_they_are_dropped() {
    let health = Health::new();
    let candidate = health.plan(&group(&["a"]), &RouteContext::default(), START).unwrap()[0].clone();
    let attempts = [candidate.begin_anyway(), candidate.begin_anyway()];
    assert_eq!((health.status("a", START).in_flight, health.counters().in_flight), (2, 2));
    drop(attempts);
    assert_eq!(health.counters().in_flight, 0);
}

#[test]
fn the_handle_plans_reports_and_outlives_its_actor() {
    run(async {
        let router = CandidateRouterHandle::new(Arc::new(Health::new()));
        let two = Arc::new(group(&["a", "b"]));
        let candidates = router.plan(Arc::clone(&two), RouteContext::default()).await.unwrap();
        let _attempt = candidates[0].begin_anyway();
        router.crash();
        router.report(&candidates[0], failed(AttemptFailure::Status(500)), None);
        assert_eq!(ids(router.plan(Arc::clone(&two), RouteContext::default()).await), ["b"]);
        router.report(&candidates[0], OK, None);
        router.crash();
        assert_eq!(ids(router.plan(two, RouteContext::default()).await), ["a", "b"]);
        let counters = router.inspect().await;
        assert_eq!((counters.planned, counters.succeeded, counters.failed, counters.in_flight), (3, 1, 1, 1));
    });
}
