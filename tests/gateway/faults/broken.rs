//! S08 to S11: a stream that breaks off, falls silent or loses its way, where nobody goes on with it.

use super::page::tell;
use super::stage::{Scene, scene, target};
use super::told::Fate::{Answered, BrokeOff, Failed};
use super::told::{Gets, Told, Try, demo, words};
use super::way::{STREAMED, WHOLE};

const PROVIDERS: [(&str, &str); 2] = [("openai", "default"), ("anthropic", "default, at Anthropic")];

fn over(upstream: &str, provider: &'static str, more: &str) -> Scene {
    scene(&[target(upstream).of(provider).with(more), target("words-60").of("mistral")])
}

/// A whole answer that does not come to its end is another target's turn.
fn moved(case: &'static str, scene: Scene, class: &'static str, reason: &'static str) -> Told {
    let moves = [Try(0, "initial", Failed(class)), Try(1, "fallback", Answered)];
    Told::new(case, WHOLE, scene, Gets::Whole(words(60)), &moves).cooling(0, reason)
}

#[test]
fn s08_a_cut_stream_is_never_presented_as_finished() {
    let mut rows = Vec::new();
    for (provider, case) in PROVIDERS {
        let broken = Gets::Broken(words(40), "stream_aborted");
        let tries = [Try(0, "initial", BrokeOff("stream_aborted"))];
        let told = Told::new(case, STREAMED, over("s08", provider, ""), broken, &tries);
        rows.extend(told.cooling(0, "transport_error").check());
        rows.extend(moved(case, over("s08", provider, ""), "stream_aborted", "transport_error").check());
    }
    tell("S08", &rows);
}

#[test]
fn s09_a_stream_that_falls_silent_is_broken_off() {
    let mut rows = Vec::new();
    for (provider, case) in PROVIDERS {
        let broken = Gets::Broken(words(30), "timeout");
        let tries = [Try(0, "initial", BrokeOff("timeout"))];
        let told = Told::new(case, STREAMED, over("s09", provider, "stream_timeout = 800"), broken, &tries);
        rows.extend(told.cooling(0, "request_timeout").check());
        let whole = over("s09", provider, "timeout = 800");
        rows.extend(moved(case, whole, "timeout", "request_timeout").check());
    }
    tell("S09", &rows);
}

#[test]
fn s10_one_malformed_event_is_left_out() {
    let mut rows = Vec::new();
    for (provider, case) in PROVIDERS {
        let answered = [Try(0, "initial", Answered)];
        let scene = over("s10", provider, "").logged();
        let told = Told::new(case, STREAMED, scene, Gets::Whole(demo()), &answered);
        rows.extend(told.check_into(
            |_, _| {},
            |books, group| {
                let own = format!("\"{}\"", group.name);
                let line = books.log.lines().find(|line| line.contains(&own)).unwrap_or_default();
                assert!(line.contains("\"malformed_events\":1"), "it is counted: {line}");
            },
        ));
        let reason = "upstream_decode_error";
        rows.extend(moved(case, over("s10", provider, ""), reason, reason).check());
    }
    tell("S10", &rows);
}

#[test]
fn s11_a_reason_to_finish_is_an_end_without_a_last_word() {
    let mut rows = Vec::new();
    for (provider, case) in PROVIDERS {
        let answered = [Try(0, "initial", Answered)];
        for ways in [STREAMED, WHOLE] {
            let told = Told::new(case, ways, over("s11", provider, ""), Gets::Whole(demo()), &answered);
            rows.extend(told.check());
        }
    }
    for (provider, case) in [("openai", "no reason either"), ("anthropic", "no reason either, at Anthropic")]
    {
        let broken = Gets::Broken(demo(), "stream_aborted");
        let tries = [Try(0, "initial", BrokeOff("stream_aborted"))];
        let told = Told::new(case, STREAMED, over("no-finish", provider, ""), broken, &tries);
        rows.extend(told.cooling(0, "transport_error").check());
    }
    tell("S11", &rows);
}
