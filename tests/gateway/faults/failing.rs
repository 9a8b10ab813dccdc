//! S03 to S06: a target that fails before its answer begins.

use std::time::Duration;

use super::page::tell;
use super::stage::{scene, target};
use super::told::Fate::{Answered, Counted, Failed};
use super::told::{Gets, Told, Try, demo, words};
use super::way::{ALL, STREAMED, WHOLE};

fn well() -> Gets {
    Gets::Whole(words(3))
}

#[test]
fn s03_one_failure_is_not_the_callers() {
    let moved = scene(&[target("s03"), target("words-3")]);
    let moves = [Try(0, "initial", Failed("upstream_error")), Try(1, "fallback", Answered)];
    let moved = Told::new("another target is free", ALL, moved, well(), &moves)
        .cooling(0, "upstream_server_error")
        .check();
    let repeats = [Try(0, "initial", Failed("upstream_error")), Try(0, "retry", Answered)];
    let alone = scene(&[target("s03")]);
    let alone = Told::new("nobody else", ALL, alone, Gets::Whole(demo()), &repeats).check();
    tell("S03", &[moved, alone].concat());
}

#[test]
fn s05_a_reset_is_the_next_targets_turn() {
    let moved = scene(&[target("s05"), target("words-3")]);
    let moves = [Try(0, "initial", Failed("transport_error")), Try(1, "fallback", Answered)];
    let moved =
        Told::new("another target is free", ALL, moved, well(), &moves).cooling(0, "transport_error").check();
    let refused = Gets::Refused(502, "transport_error");
    let [first, again] = ["initial", "retry"].map(|kind| Try(0, kind, Failed("transport_error")));
    let alone = scene(&[target("s05").with("retries = 1")]);
    let alone = Told::new("nobody else, `retries = 1`", ALL, alone, refused, &[first, again])
        .cooling(0, "transport_error")
        .check();
    tell("S05", &[moved, alone].concat());
}

#[test]
fn s06_a_silent_target_is_asked_once() {
    let silent = target("s06").with("timeout = 300");
    let moves = [Try(0, "initial", Failed("timeout")), Try(1, "fallback", Answered)];
    let moved = scene(&[silent.clone(), target("words-3")]);
    let moved = Told::new("another target is free", ALL, moved, well(), &moves)
        .cooling(0, "request_timeout")
        .check_with(|_, seen| {
            assert!(seen.took >= Duration::from_millis(300), "{:?}", seen.took);
        });
    let alone = scene(&[silent]);
    let refused = Gets::Refused(504, "timeout");
    let alone = Told::new("nobody else", ALL, alone, refused, &[Try(0, "initial", Failed("timeout"))])
        .cooling(0, "request_timeout")
        .check();
    tell("S06", &[moved, alone].concat());
}

#[test]
fn s07_a_late_token_is_the_next_targets_turn() {
    let mut rows = Vec::new();
    let unheard = Failed("timeout");
    // Anthropic counts the prompt where it opens the answer: that is paid for, though nobody waits for the rest.
    let cases =
        [("openai", "too late", unheard), ("anthropic", "too late, at Anthropic", Counted("timeout"))];
    for (provider, case, fate) in cases {
        let moves = [Try(0, "initial", fate), Try(1, "fallback", Answered)];
        let late = target("s07").of(provider).with("ttft_timeout = 300");
        let late = scene(&[late, target("words-3")]);
        let look = |group: &super::stage::Group, seen: &super::seen::Seen| {
            let times = Duration::from_millis(300)..Duration::from_secs(9);
            assert!(times.contains(&seen.took), "{:?}", seen.took);
            crate::harness::until("the late one is left", || group.mock.left_streams() == 1);
        };
        let late = Told::new(case, STREAMED, late, well(), &moves).cooling(0, "request_timeout");
        rows.extend(late.check_with(look));
    }
    let whole = scene(&[target("s07").with("timeout = 300"), target("words-3")]);
    let moves = [Try(0, "initial", unheard), Try(1, "fallback", Answered)];
    let whole = Told::new("too late, by `timeout`", WHOLE, whole, well(), &moves);
    rows.extend(whole.cooling(0, "request_timeout").check());
    let soon = scene(&[target("late-token-100").with("ttft_timeout = 5000"), target("words-3")]);
    let answered = [Try(0, "initial", Answered)];
    rows.extend(Told::new("late, but in time", STREAMED, soon, Gets::Whole(demo()), &answered).check());
    tell("S07", &rows);
}
