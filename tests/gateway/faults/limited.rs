//! S01 and S02: a target that has had enough for now.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::page::tell;
use super::stage::{Stage, scene, target};
use super::told::Fate::{Answered, Failed};
use super::told::{Gets, Told, Try, demo, row, words};
use super::way::ALL;

const REFUSED: Try = Try(0, "initial", Failed("upstream_error"));
const LIMITED: Gets = Gets::Refused(429, "upstream_error");

#[test]
fn s01_a_limited_target_is_waited_for_or_left() {
    let waits = scene(&[target("s01")]);
    let tries = [REFUSED, Try(0, "retry", Answered)];
    let mut rows = Told::new("1 s, nobody else", ALL, waits, Gets::Whole(demo()), &tries)
        .check_with(|_, seen| assert!(seen.took >= Duration::from_secs(1), "{:?}", seen.took));
    let moves = [REFUSED, Try(1, "fallback", Answered)];
    let moved = scene(&[target("429-once-4"), target("words-3")]);
    let moved = Told::new("4 s, another is free", ALL, moved, Gets::Whole(words(3)), &moves);
    rows.extend(moved.ever_cooled(0).check_with(|_, seen| {
        assert!(seen.took < Duration::from_secs(3), "nobody waits: {:?}", seen.took);
    }));
    let late = scene(&[target("429-once-4")]).model("total_timeout = 3000");
    rows.extend(
        Told::new("4 s, but only 3 s are left", ALL, late, LIMITED, &[REFUSED]).ever_cooled(0).check_with(
            |_, seen| {
                assert_eq!(seen.response.header("retry-after"), Some("4"));
                assert!(seen.took < Duration::from_secs(3), "nobody waits: {:?}", seen.took);
            },
        ),
    );
    let long = scene(&[target("429-7")]);
    let long =
        Told::new("7 s, nobody else", ALL, long, LIMITED, &[REFUSED]).cooling(0, "upstream_rate_limited");
    rows.extend(long.check_with(|_, seen| assert_eq!(seen.response.header("retry-after"), Some("7"))));
    tell("S01", &rows);
}

#[test]
fn s01_a_date_is_as_good_as_seconds() {
    let alone = scene(&[target("429-date-40")]);
    let alone = Told::new("a date", ALL, alone, LIMITED, &[REFUSED]).cooling(0, "upstream_rate_limited");
    alone.check_with(|_, seen| {
        let seconds = seen.response.header("retry-after").and_then(|text| text.parse::<u64>().ok());
        assert!(seconds.is_some_and(|seconds| (30..=40).contains(&seconds)), "{seconds:?}");
    });
    let moves = [REFUSED, Try(1, "fallback", Answered)];
    for upstream in ["429-40", "429-date-40"] {
        let moved = scene(&[target(upstream), target("words-3")]);
        let moved = Told::new(upstream, ALL, moved, Gets::Whole(words(3)), &moves);
        moved.cooling(0, "upstream_rate_limited").check_into(
            |_, _| {},
            |books, group| {
                let until = books.status(&group.target(0))["cooldown_until"]["secs_since_epoch"].as_u64();
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
                let left = until.expect("a time").saturating_sub(now);
                assert!((25..=40).contains(&left), "{upstream}: {left} s");
            },
        );
    }
}

#[test]
fn s01_a_target_is_waited_for_when_the_others_cool() {
    let stage = Stage::start(&scene(&[target("s01"), target("429-40")]), ALL);
    stage.each(|group| {
        assert_eq!(group.ask_for(&group.target(1)).response.status, 429);
        let seen = group.ask();
        assert_eq!((seen.response.status, seen.said.as_str()), (200, demo().as_str()), "{seen:#?}");
        assert_eq!((group.served_by(&seen), group.asked()), (Some(0), vec![2, 1]), "{}", group.name);
        assert!(seen.took >= Duration::from_secs(1), "{:?}", seen.took);
    });
}

#[test]
fn s02_a_target_that_is_always_limited_is_left_alone() {
    let stage = Stage::start(&scene(&[target("429-40"), target("words-3")]), ALL);
    let rows = stage.each(|group| {
        let mut last = None;
        for count in 1..=3 {
            let seen = group.ask();
            assert_eq!((seen.response.status, seen.said.as_str()), (200, words(3).as_str()), "{seen:#?}");
            assert_eq!((group.served_by(&seen), group.asked()), (Some(1), vec![1, count]), "{}", group.name);
            last = Some(row("the third request", group, &seen, None));
        }
        last.expect("three requests")
    });
    let books = stage.end(4 * ALL.len());
    for group in &books.groups {
        let status = books.status(&group.target(0));
        assert_eq!(
            (&status["status"], &status["status_reason"]),
            (&"cooldown".into(), &"upstream_rate_limited".into())
        );
        let failed = [("model", &*group.target(0))];
        assert_eq!(books.metrics.sum("aisix_deployment_failure_responses_total", &failed), 1.0);
        let kinds: Vec<_> =
            books.records(group).into_iter().map(|record| record["attempt_kind"].clone()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "fallback").count(), 1, "{kinds:?}");
    }
    let alone = scene(&[target("429-40")]).routing("retries = 2");
    let alone = Told::new("nobody else", ALL, alone, LIMITED, &[REFUSED]).cooling(0, "upstream_rate_limited");
    tell("S02", &[rows, alone.check()].concat());
}
