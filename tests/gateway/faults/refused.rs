//! S12 and S13: what a target refuses, or stops, for what was said.

use super::page::tell;
use super::stage::{Target, scene, target};
use super::told::Fate::{Answered, Failed};
use super::told::{Gets, Told, Try, words};
use super::way::{ALL, Caller};

const REFUSED: Try = Try(0, "initial", Failed("upstream_error"));

fn well() -> Gets {
    Gets::Whole(words(3))
}

#[test]
fn s12_too_long_a_conversation_goes_to_a_larger_target_where_that_is_allowed() {
    let mut rows = Vec::new();
    for (provider, case) in [("openai", "not configured"), ("anthropic", "not configured, at Anthropic")] {
        let plain = scene(&[target("s12").of(provider).with("retries = 2"), target("words-3")]);
        let refused = Gets::Refused(400, "upstream_error");
        rows.extend(Told::new(case, ALL, plain, refused, &[REFUSED]).check_with(|group, seen| {
            let message = seen.response.error_message();
            let says_so = message.contains("maximum") || message.contains("context window");
            assert!(says_so, "the reason reaches the caller: {message}");
            if group.way.caller != Caller::Messages && provider == "openai" {
                assert_eq!(seen.response.error()["code"], "context_length_exceeded");
            }
        }));
    }
    let allowed = "fallback_on = [\"context_length\"]";
    for (provider, case) in [("openai", "allowed"), ("anthropic", "allowed, at Anthropic")] {
        let group =
            scene(&[target("s12").of(provider).with("retries = 2"), target("words-3")]).routing(allowed);
        let moves = [REFUSED, Try(1, "fallback", Answered)];
        rows.extend(Told::new(case, ALL, group, well(), &moves).check());
    }
    let window = |upstream: &str, window: u32| -> Target {
        target(upstream).with(&format!("context_window = {window}"))
    };
    let larger =
        scene(&[window("s12", 100), window("words-2", 50), window("words-3", 1000)]).routing(allowed);
    let moves = [REFUSED, Try(2, "fallback", Answered)];
    rows.extend(Told::new("allowed, the second is smaller", ALL, larger, well(), &moves).check());
    let smaller = scene(&[window("s12", 100), window("words-2", 50)]).routing(allowed);
    let refused = Gets::Refused(400, "upstream_error");
    rows.extend(Told::new("allowed, nobody is larger", ALL, smaller, refused, &[REFUSED]).check());
    tell("S12", &rows);
}

#[test]
fn s13_a_filters_reason_reaches_the_caller() {
    let mut rows = Vec::new();
    for (provider, case) in [("openai", "the question"), ("anthropic", "the question, at Anthropic")] {
        let plain = scene(&[target("s13").of(provider).with("retries = 2"), target("words-3")]);
        let refused = Gets::Refused(400, "upstream_error");
        rows.extend(Told::new(case, ALL, plain, refused, &[REFUSED]).check_with(|_, seen| {
            let message = seen.response.error_message();
            assert!(message.contains("filter"), "the reason reaches the caller: {message}");
        }));
    }
    let allowed = "fallback_on = [\"content_policy\"]";
    for (provider, case) in
        [("openai", "the question, another may be asked"), ("anthropic", "the same at Anthropic")]
    {
        let group = scene(&[target("s13").of(provider), target("words-3")]).routing(allowed);
        let moves = [REFUSED, Try(1, "fallback", Answered)];
        rows.extend(Told::new(case, ALL, group, well(), &moves).check());
    }
    for (provider, case) in [("openai", "the answer"), ("anthropic", "the answer, at Anthropic")] {
        let group = scene(&[target("s13-finish").of(provider), target("words-3")]).routing(allowed);
        rows.extend(Told::new(case, ALL, group, Gets::Filtered, &[Try(0, "initial", Answered)]).check());
    }
    tell("S13", &rows);
}
