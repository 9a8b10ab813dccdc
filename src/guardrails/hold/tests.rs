//! Streams cut anywhere, under chains of made-up members.

use proptest::prelude::*;

use super::*;
use crate::guardrails::keyword::pattern;
use crate::guardrails::pii::{Action, Finder, Pii, Rule, masked};
use crate::guardrails::screening::tests::{chain, email, guardrail, keyword, webhook};
use crate::guardrails::{Enforcement, Judge, OnBufferExceeded, StreamMode};

const TEXT: SlotKey = SlotKey { answer: 0, words: Words::Text };

/// One that masks `bad` and a digit.
fn bad() -> Guardrail {
    let finder = Finder::Custom(pattern("bad[0-9]").expect("good"));
    guardrail("bad", Judge::Pii(Pii::new(vec![Rule::new("x", finder, Action::Mask)])))
}

fn windowed(member: Guardrail, window: usize, overlap: usize) -> Guardrail {
    let mut member = member;
    member.stream.mode = StreamMode::Window;
    (member.stream.window, member.stream.overlap) = (window, overlap);
    member
}

/// What became of a stream.
#[derive(Debug, Default, PartialEq)]
struct End {
    /// What went out, text by text.
    out: Vec<(SlotKey, String)>,
    /// How many frames had gone out before the stream was over.
    early: usize,
    blocked: Option<String>,
    said: Vec<Result>,
}

impl End {
    fn text(&self, key: SlotKey) -> String {
        self.out.iter().filter(|(own, _)| *own == key).map(|(_, text)| text.as_str()).collect()
    }
}

type Pieces = Vec<(SlotKey, String)>;

fn drain(held: &mut HoldBack<Pieces>, end: &mut End, opinion: &dyn Fn(&[String]) -> Opinion) {
    loop {
        match held.need() {
            Need::Ask(_, texts) => end.said.extend(held.take(opinion(&texts)).map(|finding| finding.result)),
            Need::Judged(finding) => end.said.push(finding.result),
            Need::Release(frames) => {
                for frame in frames {
                    for (place, (key, text)) in frame.payload.iter().enumerate() {
                        end.out.push((*key, frame.masked(place, text)));
                    }
                }
            }
            Need::Block(blocked) => end.blocked = Some(blocked.to_string()),
            Need::More | Need::Over => return,
        }
    }
}

fn run(members: Vec<Guardrail>, frames: Vec<Pieces>, opinion: &dyn Fn(&[String]) -> Opinion) -> End {
    let mut held = HoldBack::new(&chain(members)).expect("somebody judges");
    let mut end = End::default();
    for frame in frames {
        let pieces: Vec<_> = frame.iter().map(|(key, text)| (*key, text.clone())).collect();
        held.push(frame, pieces.iter().map(|(key, text)| (*key, text.as_str())));
        drain(&mut held, &mut end, opinion);
    }
    end.early = end.out.len();
    held.end();
    drain(&mut held, &mut end, opinion);
    end
}

fn nobody(_: &[String]) -> Opinion {
    panic!("nobody is asked")
}

/// A text in pieces of these lengths, over and over.
fn cut(key: SlotKey, text: &str, lengths: &[usize]) -> Vec<Pieces> {
    let characters: Vec<char> = text.chars().collect();
    let mut rest = &*characters;
    let mut frames = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).clamp(1, rest.len()));
        frames.push(vec![(key, piece.iter().collect())]);
        rest = after;
    }
    frames
}

#[test]
fn nothing_goes_out_before_all_of_it_is_judged() {
    let frames = cut(TEXT, "write to ann@x.example now", &[3]);
    let end = run(vec![email("e", Action::Mask)], frames, &nobody);
    assert_eq!((end.early, end.text(TEXT).as_str()), (0, "write to [EMAIL_REDACTED] now"));
    let blocked = run(vec![keyword("k", &["secret"])], cut(TEXT, "a secret", &[2]), &nobody);
    assert_eq!(blocked.out, []);
    assert_eq!(blocked.blocked.as_deref(), Some("response blocked by content policy (guardrail 'k')"));
}

#[test]
fn a_window_lets_what_is_clean_go_while_the_rest_arrives() {
    let text = "x".repeat(100) + "bad1" + &"y".repeat(100);
    let end = run(vec![windowed(bad(), 20, 5)], cut(TEXT, &text, &[7]), &nobody);
    assert!(end.early > 20, "{end:?}");
    assert_eq!(end.text(TEXT), text.replace("bad1", "[X_REDACTED]"));
    let counts = end.said.iter().filter(|said| matches!(said, Result::Masked(_))).count();
    assert_eq!(counts, 1, "it is counted once: {:?}", end.said);
}

#[test]
fn a_text_that_another_follows_is_not_held_for_ever() {
    let thought = SlotKey { answer: 0, words: Words::Thought };
    let mut frames = cut(thought, "a short thought bad2", &[5]);
    frames.extend(cut(TEXT, &"z".repeat(60), &[10]));
    let end = run(vec![windowed(bad(), 20, 5)], frames, &nobody);
    assert!(end.early > 5, "{end:?}");
    assert_eq!(end.text(thought), "a short thought [X_REDACTED]");
}

#[test]
fn arguments_stay_json_and_a_call_goes_out_whole() {
    let call = SlotKey { answer: 0, words: Words::Arguments(0) };
    let json = r#"{"to":"a\"ann@x.example","card":[4111111111111111]}"#;
    let finder = Finder::Custom(pattern("[0-9]{16}").expect("good"));
    let card = guardrail("card", Judge::Pii(Pii::new(vec![Rule::new("card", finder, Action::Mask)])));
    for window in [false, true] {
        let members =
            vec![email("e", Action::Mask), Guardrail { stream: card.stream, ..email("f", Action::Mask) }];
        let members: Vec<_> =
            members.into_iter().map(|one| if window { windowed(one, 4, 2) } else { one }).collect();
        let end = run(members, cut(call, json, &[6]), &nobody);
        assert_eq!(end.early, 0);
        assert_eq!(end.text(call), r#"{"to":"a\"[EMAIL_REDACTED]","card":[4111111111111111]}"#);
    }
    let end = run(vec![card], cut(call, json, &[6]), &nobody);
    assert_eq!(end.text(call), r#"{"to":"a\"ann@x.example","card":["[CARD_REDACTED]"]}"#);
}

#[test]
fn a_stream_that_is_only_watched_flows() {
    let watch = |member: Guardrail| Guardrail { enforcement: Enforcement::Monitor, ..member };
    let frames = cut(TEXT, "a secret of ann@x.example", &[4]);
    let count = frames.len();
    let end = run(vec![watch(keyword("k", &["secret"])), watch(email("e", Action::Mask))], frames, &nobody);
    assert_eq!((end.early, end.text(TEXT).as_str()), (count, "a secret of ann@x.example"));
    assert!(matches!(&*end.said, [Result::WouldBlock(None), Result::WouldMask(_)]), "{:?}", end.said);
}

#[test]
fn more_than_the_buffer_holds_is_blocked_or_goes_unjudged() {
    let mut member = keyword("k", &["secret"]);
    member.stream.max_buffer_bytes = 10;
    let end = run(vec![member], cut(TEXT, "0123456789 and more", &[4]), &nobody);
    assert_eq!((end.out.len(), end.blocked.is_some()), (0, true));
    assert_eq!(end.said, [Result::BlockedUnavailable(Failure::BufferExceeded)]);
    let mut member = keyword("k", &["secret"]);
    member.stream.max_buffer_bytes = 10;
    member.stream.on_buffer_exceeded = OnBufferExceeded::FailOpen;
    let end = run(vec![member], cut(TEXT, "0123456789 secret", &[4]), &nobody);
    assert_eq!((end.text(TEXT).as_str(), end.blocked.is_none()), ("0123456789 secret", true));
    assert_eq!(end.said, [Result::Bypassed(Failure::BufferExceeded)]);
}

#[test]
fn a_judge_elsewhere_is_asked_and_its_words_reach_the_right_pieces() {
    let asked = |texts: &[String]| {
        assert_eq!(texts, ["one ugly word", "a thought"]);
        Opinion::Mask(vec!["one *** word!".to_owned(), "a thought".to_owned()], None)
    };
    let mut frames = cut(TEXT, "one ugly word", &[5]);
    frames.push(vec![(SlotKey { answer: 0, words: Words::Thought }, "a thought".to_owned())]);
    let end = run(vec![webhook("w")], frames, &asked);
    assert_eq!(end.text(TEXT), "one *** word!");
    assert_eq!(end.out.len(), 4);
    let end = run(vec![webhook("w")], cut(TEXT, "x", &[1]), &|_| Opinion::Failed(Failure::Timeout));
    assert!(end.blocked.is_some() && end.out.is_empty(), "{end:?}");
}

#[test]
fn the_strictest_wins() {
    let policy = |members: Vec<Guardrail>| Policy::of(&chain(members)).expect("somebody judges");
    let watch = Guardrail { enforcement: Enforcement::Monitor, ..keyword("m", &["x"]) };
    let mut open = windowed(keyword("o", &["x"]), 100, 50);
    open.stream.on_buffer_exceeded = OnBufferExceeded::FailOpen;
    open.stream.max_buffer_bytes = 1;
    let narrow = windowed(keyword("n", &["x"]), 60, 10);
    let all = policy(vec![watch, open, narrow]);
    assert_eq!((all.mode, all.window, all.overlap), (Mode::Window, 60, 50));
    assert_eq!((all.max_buffer_bytes, all.is_open, &*all.decisive.name), (1, false, "n"));
    assert_eq!(policy(vec![windowed(bad(), 9, 1), bad()]).mode, Mode::BufferFull);
    assert!(Policy::of(&Chain::default()).is_none());
}

proptest! {
    #[test]
    fn however_it_is_cut_a_held_stream_is_masked_as_a_whole(
        parts in prop::collection::vec("[a-zé ]{0,6}|ann@x\\.example|bob@y\\.example ", 0..8),
        lengths in prop::collection::vec(1usize..9, 1..6),
    ) {
        let text = parts.concat();
        let Judge::Pii(pii) = &email("e", Action::Mask).judge else { unreachable!() };
        let end = run(vec![email("e", Action::Mask)], cut(TEXT, &text, &lengths), &nobody);
        prop_assert_eq!(end.text(TEXT), masked(pii, &text));
    }

    #[test]
    fn nothing_shorter_than_the_overlap_escapes_a_window(
        parts in prop::collection::vec("[a-c é]{0,9}|bad[0-9]|ba|d1", 0..40),
        lengths in prop::collection::vec(1usize..9, 1..6),
        window in 6usize..30,
        overlap in 5usize..20,
    ) {
        let text = parts.concat();
        let Judge::Pii(pii) = &bad().judge else { unreachable!() };
        let end = run(vec![windowed(bad(), window, overlap)], cut(TEXT, &text, &lengths), &nobody);
        prop_assert_eq!(end.text(TEXT), masked(pii, &text));
        let word = windowed(keyword("k", &["bad1"]), window, overlap);
        let end = run(vec![word], cut(TEXT, &text, &lengths), &nobody);
        prop_assert_eq!(end.blocked.is_some(), text.contains("bad1"));
        prop_assert!(!end.text(TEXT).contains("bad1"), "{:?}", end);
    }

    #[test]
    fn a_judge_may_say_anything_and_its_words_go_out(
        text in "[ab é]{1,30}",
        said in "[abx é]{0,30}",
        lengths in prop::collection::vec(1usize..9, 1..6),
    ) {
        let mut member = webhook("w");
        member.output_fail_open = true;
        let end = run(vec![member], cut(TEXT, &text, &lengths), &|_| Opinion::Mask(vec![said.clone()], None));
        prop_assert_eq!(end.text(TEXT), said);
    }
}
