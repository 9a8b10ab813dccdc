//! Round robin: exact shares, spread turns, and turns that are forgotten with what they belong to.

use std::thread;

use super::*;

fn shares(health: &Health, group: &Group, plans: usize) -> Vec<usize> {
    firsts(health, group, &RouteContext::default(), plans)
}

/// The first ones of so many plans.
fn run(health: &Health, group: &Group, plans: usize) -> String {
    (0..plans).map(|_| planned(health, group, START).swap_remove(0)).collect()
}

#[test]
fn a_heavy_member_does_not_have_all_its_turns_at_once() {
    let health = Health::new();
    let group = weighed(Strategy::RoundRobin, &[("a", 5), ("b", 1), ("c", 1)]);
    assert_eq!(run(&health, &group, 14), "aabacaaaabacaa");
    assert_eq!(planned(&health, &group, START), ["a", "b", "c"]);
    assert_eq!(planned(&health, &group, START), ["a", "b", "c"]);
    assert_eq!(planned(&health, &group, START), ["b", "c", "a"], "on from there, and round");
}

#[test]
fn shares_are_exact() {
    let group = weighed(Strategy::RoundRobin, &[("a", 5), ("b", 0), ("c", 3), ("d", 1)]);
    assert_eq!(shares(&Health::new(), &group, 100_000), [50_000, 10_000, 30_000, 10_000]);
}

#[test]
fn shares_are_exact_over_all_threads() {
    const THREADS: usize = 4;
    let health = Health::new();
    let group = weighed(Strategy::RoundRobin, &[("a", 4), ("b", 1), ("c", 3)]);
    let counts: Vec<Vec<usize>> = thread::scope(|threads| {
        let workers: Vec<_> =
            (0..THREADS).map(|_| threads.spawn(|| shares(&health, &group, 40_000))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let sum = |index: usize| counts.iter().map(|counts| counts[index]).sum::<usize>();
    assert_eq!([sum(0), sum(1), sum(2)], [80_000, 20_000, 60_000]);
}

#[test]
fn the_share_of_one_that_is_out_is_spread_by_weight() {
    let health = Health::new();
    let group = weighed(Strategy::RoundRobin, &[("a", 3), ("b", 6), ("c", 1)]);
    assert_eq!(firsts(&health, &group, &only(3, &[0, 2]), 4_000), [3_000, 0, 1_000]);
    report(&health, "b", failed(AttemptFailure::Timeout), START);
    assert_eq!(shares(&health, &group, 4_000), [3_000, 0, 1_000]);
    for id in ["a", "c"] {
        report(&health, id, failed(AttemptFailure::Timeout), START);
    }
    assert_eq!(shares(&health, &group, 4_000), [1_200, 2_400, 400]);
}

#[test]
fn each_tier_has_its_own_turns() {
    let health = Health::new();
    let member = |(id, priority): (&str, i32)| Member {
        priority,
        ..Member::new(target(id, CooldownRule::default()), id.into())
    };
    let members = [("a", 1), ("c", 0), ("b", 1), ("d", 0)].map(member);
    let tiers = Group::new("group".into(), Strategy::RoundRobin, members.into());
    let plans = || planned(&health, &tiers, START).concat();
    assert_eq!([plans(), plans(), plans()], ["abcd", "badc", "abcd"]);
    let cut = Group { max_fallbacks: Some(0), ..tiers.clone() };
    assert_eq!(run(&health, &cut, 3), "bab");
    assert_eq!(plans(), "abdc", "the lower tier had no turn while nobody came to it");
}

#[test]
fn turns_begin_anew_with_another_list() {
    let health = Health::new();
    let group = |members: &[(&str, u32)]| weighed(Strategy::RoundRobin, members);
    let before = group(&[("a", 1), ("b", 1), ("c", 1)]);
    assert_eq!(run(&health, &before, 2), "ab");
    let same = Group { max_fallbacks: Some(1), ..before.clone() };
    assert_eq!(run(&health, &same, 2), "ca", "the same members go on, whatever else has changed");
    assert_eq!(run(&health, &group(&[("a", 1), ("b", 2), ("c", 1)]), 1), "b");
    assert_eq!(run(&health, &before, 1), "a");
    assert_eq!(run(&health, &group(&[("b", 1), ("a", 1), ("c", 1)]), 1), "b");
}

#[test]
fn turns_are_forgotten_with_the_group_and_no_other() {
    let health = Health::new();
    let group = weighed(Strategy::RoundRobin, &[("a", 1), ("b", 1)]);
    assert_eq!(run(&health, &group, 1), "a");
    health.retain(|id| id == "group");
    assert_eq!(run(&health, &group, 2), "ba");
    health.retain(|id| id != "group");
    assert_eq!(run(&health, &group, 1), "a");
}
