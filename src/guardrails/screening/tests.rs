//! Chains of made-up members over made-up texts.

use std::time::Duration;

use aisix_actors::provider_pool::TlsProfileId;

use super::*;
use crate::config::snapshot::DefaultHeaders;
use crate::guardrails::keyword::Keywords;
use crate::guardrails::pii::{Action, Detector, DetectorKind, Finder, Pii, Rule};
use crate::guardrails::{Enforcement, HookPoint, OnBufferExceeded, StreamMode, StreamRules, Webhook};

/// A guardrail with the defaults of the configuration.
pub fn guardrail(name: &str, judge: Judge) -> Guardrail {
    Guardrail {
        id: name.into(),
        name: name.into(),
        hook_point: HookPoint::Both,
        fail_open: true,
        output_fail_open: false,
        mandatory: false,
        enforcement: Enforcement::Block,
        stream: StreamRules {
            mode: StreamMode::BufferFull,
            max_buffer_bytes: 1 << 18,
            on_buffer_exceeded: OnBufferExceeded::FailClosed,
            window: 2000,
            overlap: 256,
        },
        created_at: None,
        digest: [0; 32],
        judge,
    }
}

/// One that blocks words.
pub fn keyword(name: &str, words: &[&str]) -> Guardrail {
    guardrail(name, Judge::Keyword(Keywords::new(words, Vec::new()).expect("few words")))
}

/// One that does something about e-mail addresses.
pub fn email(name: &str, action: Action) -> Guardrail {
    let finder = Finder::Known(Detector::new(DetectorKind::Email).expect("compiles"));
    guardrail(name, Judge::Pii(Pii::new(vec![Rule::new("email", finder, action)])))
}

/// One that asks elsewhere.
pub fn webhook(name: &str) -> Guardrail {
    let webhook = Webhook {
        url: "http://judge.example".into(),
        headers: DefaultHeaders::default(),
        timeout: Duration::from_secs(5),
        max_text_bytes: 100,
        tls: TlsProfileId(0),
    };
    guardrail(name, Judge::Webhook(Arc::new(webhook)))
}

/// A chain of members in this order.
pub fn chain(members: Vec<Guardrail>) -> Chain {
    members.into_iter().map(Arc::new).collect()
}

/// What became of texts, and what each member said; a judge elsewhere says `opinion` of what it is sent.
fn run(
    members: Vec<Guardrail>,
    texts: &[&str],
    opinion: impl Fn(&[String]) -> Opinion,
) -> (std::result::Result<Vec<String>, String>, Vec<Result>) {
    let passages = texts.iter().map(|text| Passage::new((*text).to_owned())).collect();
    let mut screening = Screening::begin(&chain(members), Hook::Input, passages);
    let mut said = Vec::new();
    loop {
        match screening.step() {
            Step::Judged(finding) => said.push(finding.result),
            Step::Ask(_) => {
                let opinion = opinion(&screening.texts());
                said.push(screening.take(opinion).expect("it was to be asked").result);
            }
            Step::Over => break,
        }
    }
    let end = screening.end().map_err(|blocked| blocked.to_string());
    (end.map(|passages| passages.iter().map(|passage| passage.current().to_owned()).collect()), said)
}

fn counts(name: &str, count: u64) -> Counts {
    Counts::from([(Arc::from(name), count)])
}

fn nobody(_: &[String]) -> Opinion {
    panic!("nobody is asked")
}

#[test]
fn the_first_that_blocks_ends_the_chain() {
    let members = vec![keyword("a", &["x"]), keyword("b", &["BAD"]), keyword("c", &["bad"])];
    let (end, said) = run(members, &["good", "so bad"], nobody);
    assert_eq!(end, Err("request blocked by content policy (guardrail 'b')".to_owned()));
    assert_eq!(said, [Result::Allowed, Result::Blocked(None)]);
}

#[test]
fn words_are_found_across_texts_and_below_masks() {
    let (end, _) = run(vec![keyword("a", &["one\ntwo"])], &["one", "two"], nobody);
    assert!(end.is_err());
    let members = vec![email("mask", Action::Mask), keyword("b", &["ann@"])];
    assert!(run(members, &["ann@x.example"], nobody).0.is_err());
}

#[test]
fn masks_are_put_text_by_text_in_the_order_of_the_chain() {
    let members = vec![email("mask", Action::Mask), webhook("judge")];
    let (end, said) = run(members, &["ann@x.example", "fine"], |texts| {
        assert_eq!(texts, ["[EMAIL_REDACTED]", "fine"]);
        Opinion::Mask(texts.iter().map(|text| format!("{text}!")).collect(), None)
    });
    assert_eq!(end.expect("goes on"), ["[EMAIL_REDACTED]!", "fine!"]);
    assert_eq!(said, [Result::Masked(counts("email", 1)), Result::Masked(counts("webhook", 2))]);
}

#[test]
fn a_monitor_tells_what_it_would_do_and_does_nothing() {
    let monitor =
        |member: Guardrail| Guardrail { enforcement: Enforcement::Monitor, mandatory: true, ..member };
    let members = vec![
        monitor(keyword("a", &["ann"])),
        monitor(email("b", Action::Mask)),
        monitor(email("c", Action::Block)),
        monitor(webhook("d")),
    ];
    let (end, said) = run(members, &["ann@x.example"], |_| Opinion::Failed(Failure::Timeout));
    assert_eq!(end.expect("goes on"), ["ann@x.example"]);
    let would_mask = Result::WouldMask(counts("email", 1));
    let bypassed = Result::Bypassed(Failure::Timeout);
    assert_eq!(said, [Result::WouldBlock(None), would_mask, Result::WouldBlock(None), bypassed]);
}

#[test]
fn a_failure_is_tolerated_as_the_member_says() {
    for (hook, fail_open, output_fail_open, mandatory, goes_on) in [
        (Hook::Input, true, false, false, true),
        (Hook::Input, false, true, false, false),
        (Hook::Output, true, false, false, false),
        (Hook::Output, false, true, false, true),
        (Hook::Input, true, true, true, false),
        (Hook::Output, true, true, true, false),
    ] {
        let member = Guardrail { fail_open, output_fail_open, mandatory, ..webhook("w") };
        assert_eq!(member.tolerates_failure(hook), goes_on, "{hook:?} {member:?}");
    }
    let (end, said) =
        run(vec![webhook("w"), keyword("k", &["x"])], &["a"], |_| Opinion::Failed(Failure::Throttled));
    assert!(end.is_ok());
    assert_eq!(said, [Result::Bypassed(Failure::Throttled), Result::Allowed]);
}

#[test]
fn more_text_than_a_judge_may_be_sent_is_a_failure() {
    let strict = Guardrail { fail_open: false, ..webhook("w") };
    let (end, said) = run(vec![strict], &[&"x".repeat(101)], nobody);
    assert!(end.is_err());
    assert_eq!(said, [Result::BlockedUnavailable(Failure::Config)]);
}
