//! Background checks and counts of failures: what is kept, and when a verdict is out of date.

use super::*;

const STALE: Duration = Duration::from_secs(60);

/// A group of targets whose failed checks count for a minute.
fn forgetful(ids: &[&str]) -> Group {
    let member = |id: &&str| {
        let target =
            Target { id: (*id).into(), cooldown: CooldownRule::default(), check_stale_after: Some(STALE) };
        Member::new(Arc::new(target), (*id).into())
    };
    Group::new("group".into(), Strategy::Failover, ids.iter().map(member).collect())
}

fn check(health: &Health, id: &str, check: Check, now: Now) {
    health.record_check(&id.into(), check, now);
}

fn status(health: &Health, now: Now) -> (Condition, Option<Reason>, Option<u16>, Option<Duration>) {
    let status = health.status("a", now);
    (status.condition, status.reason, status.last_check_status, status.last_checked_at)
}

#[test]
fn verdict_status_and_time_of_a_check_are_kept() {
    let health = Health::new();
    assert_eq!(status(&health, START), (Condition::Healthy, None, None, None));
    check(&health, "a", Check::Failed(Some(408)), later(1));
    let failed = Some(Reason::BackgroundCheckFailed);
    assert_eq!(status(&health, later(5)), (Condition::Unhealthy, failed, Some(408), Some(later(1).unix)));
    check(&health, "a", Check::Failed(None), later(2));
    assert_eq!(status(&health, later(5)), (Condition::Unhealthy, failed, None, Some(later(2).unix)));
    check(&health, "a", Check::Passed, later(3));
    assert_eq!(status(&health, later(5)), (Condition::Healthy, None, None, Some(later(3).unix)));
}

#[test]
fn what_is_not_to_count_is_noted_and_leaves_the_verdict() {
    let (health, ignored) = (Health::new(), Some(Reason::IgnoredTransientError));
    check(&health, "a", Check::Ignored(429), START);
    assert_eq!(status(&health, START), (Condition::Healthy, ignored, Some(429), Some(START.unix)));
    check(&health, "a", Check::Failed(Some(u16::MAX)), later(1));
    check(&health, "a", Check::Ignored(503), later(2));
    let failed = Some(Reason::BackgroundCheckFailed);
    assert_eq!(status(&health, later(2)), (Condition::Unhealthy, failed, Some(503), Some(later(2).unix)));
    assert!(health.plan(&group(&["a", "a"]), &RouteContext::default(), later(2)).is_err());
}

#[test]
fn a_failed_check_goes_stale() {
    let health = Health::new();
    let two = forgetful(&["a", "b"]);
    check(&health, "a", Check::Failed(Some(500)), START);
    assert_eq!(planned(&health, &two, later(59)), ["b"]);
    check(&health, "a", Check::Ignored(429), later(59));
    assert_eq!(health.status("a", later(59)).condition, Condition::Unhealthy);
    assert_eq!(planned(&health, &two, later(60)), ["a", "b"], "from the one that failed");
    assert_eq!(health.status("a", later(60)).condition, Condition::Healthy);
    check(&health, "a", Check::Failed(Some(500)), later(60));
    assert_eq!(planned(&health, &two, later(61)), ["b"], "a new one counts");
    assert_eq!(planned(&health, &group(&["a", "b"]), later(9_999)), ["b"], "for ever, where nothing is said");
}

#[test]
fn a_refusal_says_when_the_first_verdict_goes_stale() {
    let health = Health::new();
    let three = forgetful(&["a", "b", "c"]);
    for (id, at) in [("a", 20), ("b", 10), ("c", 30)] {
        check(&health, id, Check::Failed(None), later(at));
    }
    let wait = |group: &Group, context, now| health.plan(group, &context, now).unwrap_err().retry_after;
    assert_eq!(wait(&three, RouteContext::default(), later(40)), Some(Duration::from_secs(30)));
    assert_eq!(wait(&three, only(3, &[0, 2]), later(40)), Some(Duration::from_secs(40)), "of those eligible");
    assert_eq!(wait(&group(&["a", "b"]), RouteContext::default(), later(40)), None, "nothing is known");
    assert_eq!(wait(&three, only(3, &[]), later(40)), None);
    assert_eq!(planned(&health, &three, later(70)), ["b"], "as was said");
}

#[test]
fn failures_that_another_try_might_mend_are_counted_until_a_success() {
    let status = AttemptFailure::Status;
    let counted = [
        status(500),
        status(599),
        status(429),
        status(302),
        AttemptFailure::Timeout,
        AttemptFailure::Transport,
        AttemptFailure::Decode,
        AttemptFailure::InBand(None),
        AttemptFailure::InBand(Some(503)),
        AttemptFailure::InBand(Some(429)),
    ];
    let uncounted = [status(400), status(401), status(404), status(408), AttemptFailure::InBand(Some(400))];
    let health = Health::new();
    for (count, failure) in (1..).zip(counted) {
        report(&health, "a", failed(failure), START);
        assert_eq!(health.status("a", START).consecutive_failures, count, "{failure:?}");
    }
    for failure in uncounted {
        report(&health, "a", failed(failure), START);
        assert_eq!(health.status("a", START).consecutive_failures, 10, "{failure:?}");
    }
    check(&health, "a", Check::Passed, later(60));
    assert_eq!(health.status("a", later(60)).consecutive_failures, 10, "a check is no request");
    report(&health, "a", OK, START);
    assert_eq!(health.status("a", START).consecutive_failures, 0);
}

#[test]
fn an_error_inside_an_answer_cools_by_its_status_or_as_a_broken_connection() {
    let rule = CooldownRule::default;
    let deaf = || CooldownRule { trigger_on_transport: false, ..rule() };
    let cases = [
        (rule(), None, true),
        (rule(), Some(503), true),
        (rule(), Some(400), false),
        (deaf(), None, false),
        (deaf(), Some(503), true),
    ];
    for (rule, status, cools) in cases {
        let health = Health::new();
        let alone = vec![Member::new(target("a", rule), "a".into())];
        let alone = Group::new("alone".into(), Strategy::Failover, alone);
        let candidate = &health.plan(&alone, &RouteContext::default(), START).unwrap()[0];
        health.record(candidate, failed(AttemptFailure::InBand(status)), START);
        let reason = health.status("a", START).reason;
        assert_eq!(reason, cools.then_some(Reason::UpstreamInBandError), "{status:?}");
    }
}
