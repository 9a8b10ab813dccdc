//! S08, S09, S11 and S14 with `mid_stream = "continue"`: another target goes on with a stream that broke off.

use super::page::{Row, tell};
use super::stage::{Scene, Target, scene, target};
use super::told::Fate::{Answered, BrokeOff, Failed};
use super::told::{Gets, Told, Try, demo, words};
use super::way::{STREAMED, Way};

const CONTINUE: &str = "mid_stream = \"continue\"";

fn going_on(targets: &[Target]) -> Scene {
    scene(targets).routing(CONTINUE)
}

/// The first breaks off, and the second goes on.
fn taken_up(case: &'static str, targets: &[Target], said: String, class: &'static str) -> Vec<Row> {
    let tries = [Try(0, "initial", BrokeOff(class)), Try(1, "fallback", Answered)];
    let reason = if class == "timeout" { "request_timeout" } else { "transport_error" };
    let told = Told::new(case, STREAMED, going_on(targets), Gets::Whole(said), &tries);
    Told { asked_with: Way::usage, ..told.cooling(0, reason) }.check()
}

#[test]
fn s08_a_cut_stream_is_taken_up_between_dialects() {
    let pairs = [
        ("openai", "mistral", "taken up: OpenAI, then Mistral"),
        ("openai", "anthropic", "taken up: OpenAI, then Anthropic"),
        ("anthropic", "anthropic", "taken up: Anthropic, then Anthropic"),
        ("anthropic", "mistral", "taken up: Anthropic, then Mistral"),
        ("mistral", "mock", "taken up: Mistral, then the mock in the process"),
    ];
    let mut rows = Vec::new();
    for (first, second, case) in pairs {
        let targets = [target("s08").of(first), target("words-60").of(second)];
        rows.extend(taken_up(case, &targets, words(60), "stream_aborted"));
    }
    let silent = [target("cut-0-60"), target("words-60")];
    rows.extend(taken_up("begun anew before the first word", &silent, words(60), "stream_aborted"));
    tell("S08, continued", &rows);
}

#[test]
fn s09_and_s11_a_stream_that_falls_silent_or_has_no_end_is_taken_up() {
    let mut rows = Vec::new();
    for (first, second, case) in [
        ("openai", "mistral", "taken up: OpenAI, then Mistral"),
        ("anthropic", "anthropic", "taken up: Anthropic, then Anthropic"),
    ] {
        let targets = [target("s09").of(first).with("stream_timeout = 800"), target("words-60").of(second)];
        rows.extend(taken_up(case, &targets, words(60), "timeout"));
    }
    tell("S09, continued", &rows);
    let targets = [target("no-finish"), target("demo").of("mistral")];
    let all_said = "taken up, with nothing left to say";
    tell("S11, continued", &taken_up(all_said, &targets, demo(), "stream_aborted"));
}

#[test]
fn a_stream_is_taken_up_twice() {
    let targets =
        [target("cut-20-60"), target("cut-10-60").of("mistral"), target("words-60").of("anthropic")];
    let tries = [
        Try(0, "initial", BrokeOff("stream_aborted")),
        Try(1, "fallback", BrokeOff("stream_aborted")),
        Try(2, "fallback", Answered),
    ];
    Told::new("twice", STREAMED, going_on(&targets), Gets::Whole(words(60)), &tries)
        .cooling(0, "transport_error")
        .cooling(1, "transport_error")
        .check();
}

#[test]
fn what_nobody_can_go_on_with_is_broken_off() {
    let broken = Gets::Broken(words(40), "stream_aborted");
    let cut = [Try(0, "initial", BrokeOff("stream_aborted"))];
    let plain = going_on(&[target("s08"), target("words-60")]);
    let mut rows = Told::new("`continue`, but the next has no prefill", STREAMED, plain, broken, &cut)
        .cooling(0, "transport_error")
        .check();
    let calling = going_on(&[target("cut-3"), target("words-60").of("mistral")]);
    let broken = Gets::BrokenCall("stream_aborted");
    let calling = Told {
        asked_with: Way::tool,
        ..Told::new("`continue`, but in a call of a tool", STREAMED, calling, broken, &cut)
    };
    rows.extend(calling.cooling(0, "transport_error").check());
    tell("S08, not continued", &rows);
}

#[test]
fn s14_a_target_that_refuses_a_begun_answer_is_passed_over() {
    let [cut, refused] =
        [Try(0, "initial", BrokeOff("stream_aborted")), Try(1, "fallback", Failed("upstream_error"))];
    let mut rows = Vec::new();
    for (provider, case, last) in [
        ("mistral", "refused by Mistral, taken by a third", "refused by Mistral, nobody else"),
        ("anthropic", "refused by Anthropic, taken by a third", "refused by Anthropic, nobody else"),
    ] {
        let (begun, refusing) = (target("s08"), target("s14").of(provider));
        let third = target("words-60").of("mistral");
        let taken = going_on(&[begun.clone(), refusing.clone(), third]);
        let tries = [cut, refused, Try(2, "fallback", Answered)];
        let told = Told::new(case, STREAMED, taken, Gets::Whole(words(60)), &tries);
        rows.extend(told.cooling(0, "transport_error").check());
        let broken = Gets::Broken(words(40), "stream_aborted");
        let told = Told::new(last, STREAMED, going_on(&[begun, refusing]), broken, &[cut, refused]);
        rows.extend(told.cooling(0, "transport_error").check());
    }
    let asking_nobody = [target("s08"), target("words-60").of("mistral").with("prefill = false")];
    let broken = Gets::Broken(words(40), "stream_aborted");
    let told = Told::new("`prefill = false`", STREAMED, going_on(&asking_nobody), broken, &[cut]);
    rows.extend(told.cooling(0, "transport_error").check());
    tell("S14", &rows);
}
