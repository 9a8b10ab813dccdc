//! Orders by measure and by chance.

use std::collections::VecDeque;

use super::*;

const PLANS: usize = 120_000;

/// Whether each share of the plans is within a hundredth of all plans of what it should be.
fn assert_shares(counts: &[usize], weights: &[usize]) {
    let (plans, total) = (counts.iter().sum::<usize>(), weights.iter().sum::<usize>());
    for (count, weight) in counts.iter().zip(weights) {
        let ideal = plans * weight / total;
        assert!(count.abs_diff(ideal) * 100 <= plans, "{counts:?} for {weights:?}");
    }
}

fn answered(health: &Health, id: &str, millis: u64) {
    let latency = Duration::from_millis(millis);
    report(health, id, AttemptOutcome::Succeeded { latency }, START);
}

#[test]
fn failover_goes_to_the_first_always() {
    let group = weighed(Strategy::Failover, &[("a", 1), ("b", 9)]);
    let counts = firsts(&Health::new(), &group, &RouteContext::default(), PLANS);
    assert_eq!(counts, [PLANS, 0]);
}

#[test]
fn weighted_picks_by_weight_and_goes_on_from_there() {
    let health = Health::with_seed(7);
    let group = weighed(Strategy::Weighted, &[("a", 1), ("b", 6), ("c", 0), ("d", 2)]);
    assert_shares(&firsts(&health, &group, &RouteContext::default(), PLANS), &[1, 6, 1, 2]);
    for _ in 0..100 {
        let plan = planned(&health, &group, START).concat();
        assert!("abcdabc".contains(&plan) && plan.len() == 4, "{plan}");
    }
}

#[test]
fn what_cannot_be_picked_leaves_its_share_to_all_others_by_weight() {
    let health = Health::with_seed(8);
    let group = weighed(Strategy::Weighted, &[("a", 1), ("b", 6), ("c", 1), ("d", 2)]);
    assert_shares(&firsts(&health, &group, &only(4, &[0, 2, 3]), PLANS), &[1, 0, 1, 2]);
    report(&health, "b", failed(AttemptFailure::Timeout), START);
    assert_shares(&firsts(&health, &group, &RouteContext::default(), PLANS), &[1, 0, 1, 2]);
    for id in ["a", "c", "d"] {
        report(&health, id, failed(AttemptFailure::Timeout), START);
    }
    assert_shares(&firsts(&health, &group, &RouteContext::default(), PLANS), &[1, 6, 1, 2]);
}

#[test]
fn chance_is_the_same_for_the_same_seed() {
    let group = weighed(Strategy::Weighted, &[("a", 1), ("b", 1), ("c", 1)]);
    let run = |health: Health| (0..50).map(|_| planned(&health, &group, START).concat()).collect::<Vec<_>>();
    assert_eq!(run(Health::with_seed(3)), run(Health::with_seed(3)));
    assert_ne!(run(Health::with_seed(3)), run(Health::with_seed(4)));
    assert_ne!(run(Health::new()), run(Health::new()));
}

#[test]
fn least_cost_puts_the_unknown_last_and_keeps_the_order_of_equals() {
    let costs =
        [("a", None), ("b", Some(7)), ("c", Some(3)), ("d", Some(7)), ("e", None), ("f", Some(u64::MAX))];
    let member = |(id, cost): (&str, Option<u64>)| Member {
        cost,
        ..Member::new(target(id, CooldownRule::default()), id.into())
    };
    let group = Group::new("group".into(), Strategy::LeastCost, costs.map(member).into());
    let health = Health::new();
    assert_eq!(planned(&health, &group, START), ["c", "b", "d", "f", "a", "e"]);
    assert_eq!(firsts(&health, &group, &RouteContext::default(), PLANS), [0, 0, PLANS, 0, 0, 0]);
}

#[test]
fn least_latency_tries_the_unknown_first_then_the_fastest() {
    let health = Health::new();
    let group = weighed(Strategy::LeastLatency, &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    answered(&health, "a", 300);
    answered(&health, "c", 100);
    assert_eq!(planned(&health, &group, START), ["b", "d", "c", "a"]);
    answered(&health, "b", 200);
    answered(&health, "d", 200);
    assert_eq!(planned(&health, &group, START), ["c", "b", "d", "a"]);
    answered(&health, "c", 1_000);
    // Seven tenths of 100 ms, three tenths of 1 s.
    assert_eq!(health.status("c", START).latency, Some(Duration::from_millis(370)));
    assert_eq!(planned(&health, &group, START), ["b", "d", "a", "c"]);
    assert_eq!(firsts(&health, &group, &RouteContext::default(), PLANS), [0, PLANS, 0, 0]);
}

#[test]
fn least_busy_counts_attempts_by_weight() {
    let health = Health::new();
    let group = weighed(Strategy::LeastBusy, &[("a", 1), ("b", 3)]);
    assert_eq!(planned(&health, &group, START), ["b", "a"], "a third is less than one");
    let candidates = health.plan(&group, &RouteContext::default(), START).unwrap();
    let mut attempts = vec![candidates[0].begin_anyway(), candidates[0].begin_anyway()];
    assert_eq!(planned(&health, &group, START), ["a", "b"], "as many by weight, in their order");
    attempts.push(candidates[1].begin_anyway());
    assert_eq!(planned(&health, &group, START), ["b", "a"], "three thirds are less than two");
}

#[test]
fn least_busy_keeps_attempts_in_the_proportion_of_weights() {
    let health = Health::new();
    let group = weighed(Strategy::LeastBusy, &[("a", 1), ("b", 2), ("c", 3)]);
    let (mut open, mut counts) = (VecDeque::new(), [0; 3]);
    for _ in 0..PLANS {
        let first = health.plan(&group, &RouteContext::default(), START).unwrap()[0].clone();
        counts[first.index] += 1;
        open.push_back(first.begin_anyway());
        if open.len() > 60 {
            open.pop_front();
        }
    }
    assert_shares(&counts, &[1, 2, 3]);
    for (id, ideal) in [("a", 10), ("b", 20), ("c", 30)] {
        let in_flight = health.status(id, START).in_flight;
        assert!(in_flight.abs_diff(ideal) <= 1, "{id}: {in_flight}");
    }
}

#[test]
fn while_one_finds_out_whether_a_new_target_answers_the_others_go_elsewhere() {
    for strategy in [Strategy::RoundRobin, Strategy::Weighted, Strategy::LeastLatency, Strategy::LeastBusy] {
        let health = Health::with_seed(9);
        let group = weighed(strategy, &[("new", 8), ("old", 1)]);
        answered(&health, "old", 5);
        let plans = |health: &Health| -> Vec<String> {
            (0..50).map(|_| planned(health, &group, START).concat()).collect()
        };
        assert!(plans(&health).iter().any(|plan| plan == "newold"), "{strategy:?}: nobody is asked yet");
        let candidates = health.plan(&group, &RouteContext::default(), START).unwrap();
        let new = candidates.iter().find(|candidate| &*candidate.target.id == "new").unwrap();
        let attempt = new.begin_at(START).unwrap();
        assert!(plans(&health).iter().all(|plan| plan == "oldnew"), "{strategy:?}: it stays a fallback");
        let is_tried_again = (0..50).any(|_| planned(&health, &group, later(2)).concat() == "newold");
        assert!(is_tried_again, "{strategy:?}: long answers are usual");
        answered(&health, "new", 1);
        assert!(plans(&health).iter().any(|plan| plan == "newold"), "{strategy:?}: it has answered");
        drop(attempt);
    }
    let health = Health::new();
    let group = weighed(Strategy::Failover, &[("new", 1), ("old", 1)]);
    answered(&health, "old", 5);
    let candidates = health.plan(&group, &RouteContext::default(), START).unwrap();
    let _attempt = candidates[0].begin_at(START).unwrap();
    assert_eq!(planned(&health, &group, START).concat(), "newold", "the order says who serves");
}
