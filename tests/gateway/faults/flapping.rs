//! S04 and S15: a target that is ill for longer, or again and again: breaker, probe and return.

use std::time::Duration;

use super::page::tell;
use super::stage::{Group, Stage, scene, target};
use super::told::Fate::{Answered, Failed};
use super::told::{Gets, Told, Try, row, words};
use super::way::ALL;
use crate::harness::until;

/// Callers at the same time.
const CROWD: usize = 6;
/// How long a target thinks about each answer: long enough for a crowd to come in.
const THOUGHT: Duration = Duration::from_millis(400);
/// The shortest cooldown.
const SHORT: &str = "cooldown = { default_seconds = 1 }";

fn wait_for_the_end_of_the_cooldown(stage: &Stage, group: &Group) {
    until("the end of the cooldown", || stage.status(&group.target(0))["status"] == "healthy");
}

#[test]
fn s04_a_dead_target_is_asked_by_one_probe_at_a_time() {
    let group = scene(&[target("s04"), target("words-3")]);
    let moves = [Try(0, "initial", Failed("upstream_error")), Try(1, "fallback", Answered)];
    let first = Told::new("the first request", ALL, group, Gets::Whole(words(3)), &moves)
        .cooling(0, "upstream_server_error")
        .check();
    let dead = scene(&[target("s04").with(SHORT), target("words-3")]);
    let stage = Stage::start_slow(&dead, ALL, THOUGHT);
    let rows = stage.each(|group| {
        assert_eq!(group.served_by(&group.ask()), Some(1));
        assert_eq!(group.asked(), [1, 1]);
        let seen = group.ask();
        assert_eq!((group.served_by(&seen), group.asked()), (Some(1), vec![1, 2]), "the breaker is open");
        for probes in 1..=2 {
            wait_for_the_end_of_the_cooldown(&stage, group);
            let answers = group.ask_at_once(CROWD);
            for seen in &answers {
                assert_eq!((group.served_by(seen), seen.said.as_str()), (Some(1), words(3).as_str()));
            }
            let asked = 2 + probes * CROWD as u64;
            assert_eq!(group.asked(), [1 + probes, asked], "one of the crowd probes, all are served");
        }
        let seen = group.ask();
        row("after two probes among 12 callers", group, &seen, None)
    });
    tell("S04", &[first, rows].concat());
}

#[test]
fn s15_a_flapping_target_is_left_and_returned_to() {
    let group = scene(&[target("flap-2").with(SHORT), target("words-3")]);
    let stage = Stage::start(&group, ALL);
    let rows = stage.each(|group| {
        let served = || group.served_by(&group.ask());
        let mut order = vec![served(), served(), served(), served()];
        assert_eq!(group.asked(), [3, 2], "two good answers, one failure, then nobody asks");
        for _ in 0..2 {
            wait_for_the_end_of_the_cooldown(&stage, group);
            order.push(served());
        }
        let last = group.ask();
        order.push(group.served_by(&last));
        let [first, second] = [Some(0), Some(1)];
        assert_eq!(order, [first, first, second, second, second, first, first], "{}", group.name);
        assert_eq!(group.asked(), [6, 3], "each cooldown ends with one probe");
        row("two good answers, two bad ones, well again", group, &last, None)
    });
    tell("S15", &rows);
}
