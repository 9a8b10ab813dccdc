//! Every fault in every dialect: what comes before it, and what does not come after.

use super::dialects::{DIALECTS, TALKS, talk, talk_with};
use super::*;
use crate::dialect::chat::StreamFault;
use crate::dialect::codec;

/// What is sent of a stream: up to a cut, or to a silence that does not end.
fn sent(frames: &[MockFrame]) -> String {
    let end = frames.iter().position(|frame| frame.then != Then::Continue).map_or(frames.len(), |at| at + 1);
    frames[..end].iter().map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned()).collect()
}

fn text(frame: &MockFrame) -> String {
    String::from_utf8_lossy(&frame.bytes).into_owned()
}

/// The data of an event, without its name.
fn data_of(frame: &MockFrame) -> String {
    text(frame).split_once("data: ").expect("data").1.trim_end().to_owned()
}

#[test]
fn a_fault_answers_to_its_number_and_its_name() {
    for number in 1..=16 {
        let number = format!("s{number:02}");
        let row = NUMBERS.iter().find(|(own, ..)| *own == number).expect("a row");
        let fault: Fault = row.1.parse().expect("a name");
        assert_eq!((number.parse(), number.to_uppercase().parse()), (Ok(fault), Ok(fault)));
        assert_eq!(Character::of(&number), Character::Faulty(fault));
    }
    for (name, ..) in FAULTS.iter().filter(|(name, ..)| !name.contains("<status>")) {
        let plain = name.split('[').next().expect("a name").replace("<s>", "3").replace("<n>", "3");
        assert!(plain.parse::<Fault>().is_ok(), "{plain}");
    }
    for unknown in
        ["", "200", "600", "s17", "cut-x", "cut-1-0", "cut-1-2-3", "-500", "demo", "429-date", "99-once"]
    {
        assert!(unknown.parse::<Fault>().is_err(), "{unknown}");
    }
}

#[test]
fn figures_stand_behind_a_name() {
    let at = |after, of| Place { after, of };
    let ms = Duration::from_millis;
    let names = [
        ("429-7", Fault::Limited(RetryAfter::Seconds(7))),
        ("429-date-7", Fault::Limited(RetryAfter::Date(7))),
        ("503-once", Fault::StatusOnce(503)),
        ("flap-2", Fault::Flap(2)),
        ("late-token-5", Fault::LateToken(ms(5))),
        ("cut", Fault::Cut(at(5, None))),
        ("cut-3", Fault::Cut(at(3, None))),
        ("hang-3-9", Fault::Hang(at(3, Some(9)))),
        ("stall", Fault::Stall),
        ("stall-3", Fault::Pause(at(3, None), ms(30_000))),
        ("stall-3-70", Fault::Pause(at(3, None), ms(70))),
        ("stall-3-70-9", Fault::Pause(at(3, Some(9)), ms(70))),
        ("in-band-2", Fault::InBand(at(2, None))),
    ];
    for (name, fault) in names {
        assert_eq!(name.parse(), Ok(fault), "{name}");
    }
}

#[test]
fn a_refusal_has_its_status_in_every_dialect_streamed_or_not() {
    let statuses = [("s01", 429), ("s02", 429), ("s03", 500), ("s04", 503), ("s12", 400), ("s13", 400)];
    for (name, status) in statuses {
        for place in 0..TALKS.len() {
            for is_stream in [false, true] {
                let reply = talk(place, name, is_stream);
                assert_eq!((reply.status, reply.headers[0].1.as_str()), (status, JSON), "{name}, {place}");
                let waits = reply.headers.iter().any(|(header, _)| *header == "retry-after");
                assert_eq!(waits, status == 429, "{name}, {place}");
                let asked = Hints { fault: name.parse().ok(), ..Hints::default() };
                assert_eq!(body(talk_with(place, "demo", is_stream, &asked)), body(reply), "{name}, {place}");
            }
        }
    }
}

#[test]
fn an_unanswered_request_has_no_head() {
    for place in 0..TALKS.len() {
        for is_stream in [false, true] {
            assert!(matches!(talk(place, "s05", is_stream).body, MockBody::Reset), "{place}");
            assert!(matches!(talk(place, "s06", is_stream).body, MockBody::Stall), "{place}");
        }
    }
}

#[test]
fn a_429_says_when_to_come_back() {
    // The moment of RFC 9110's example of a date, less the seven seconds to wait.
    let hints = Hints { created: 784_111_777 - 7, ..Hints::default() };
    for place in 0..TALKS.len() {
        let seconds = talk_with(place, "429-7", false, &hints);
        assert_eq!(seconds.headers[1], ("retry-after", "7".to_owned()));
        let date = talk_with(place, "429-date-7", false, &hints);
        assert_eq!(date.headers[1], ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()));
    }
    assert_eq!(body(talk(2, "429-7", false))["error"]["details"][0]["retryDelay"], "7s");
}

#[test]
fn a_dialect_has_its_own_words_for_what_it_refuses() {
    let error = |place, name| body(talk(place, name, false));
    let message = |place: usize, name| match DIALECTS[place] {
        Dialect::Cohere => error(place, name)["message"].clone(),
        _ => error(place, name)["error"]["message"].clone(),
    };
    for place in [0, 4] {
        assert_eq!(error(place, "s12")["error"]["code"], "context_length_exceeded");
        assert_eq!(error(place, "s13")["error"]["code"], "content_filter");
    }
    assert_eq!(error(0, "s12")["error"]["param"], "input");
    let says = |place, name, words: &str| {
        let message = message(place, name);
        assert!(message.as_str().is_some_and(|message| message.contains(words)), "{message}");
    };
    says(0, "s12", "exceeds the context window");
    says(1, "s12", "prompt is too long");
    says(2, "s12", "exceeds the maximum number of tokens");
    says(3, "s12", "too many tokens");
    says(4, "s12", "maximum context length");
    says(1, "s13", "content filtering policy");
    says(2, "s13", "content policy");
}

#[test]
fn a_fault_that_comes_and_goes_counts_the_requests_of_a_model() {
    let hints = Hints::default();
    let statuses = |place, model: &str, count: usize| -> Vec<u16> {
        (0..count).map(|_| talk_with(place, model, false, &hints).status).collect()
    };
    assert_eq!(statuses(0, "s03", 3), [500, 200, 200]);
    assert_eq!(statuses(1, "s01", 2), [429, 200]);
    assert_eq!(statuses(2, "s15", 7), [200, 200, 200, 503, 503, 503, 200]);
    assert_eq!(statuses(3, "flap-1", 4), [200, 503, 200, 503]);
    assert_eq!(statuses(4, "s04", 3), [503, 503, 503]);
    assert_eq!(["s03", "s15", "s04", "s02"].map(|model| hints.tally.requests(model)), [3, 7, 3, 0]);
    let asked = Hints { fault: Some(Fault::StatusOnce(502)), ..hints };
    let status = |model| talk_with(4, model, false, &asked).status;
    assert_eq!(["demo", "demo", "echo", "demo"].map(status), [502, 200, 502, 200]);
}

#[test]
fn a_cut_leaves_40_of_60_tokens() {
    for place in 0..TALKS.len() {
        let frames = frames(talk(place, "s08", true));
        let said = sent(&frames);
        assert_eq!((said.matches("word").count(), said.contains("word40")), (40, true), "{place}: {said}");
        let cut = frames.iter().position(|frame| frame.then == Then::Cut).expect("a cut");
        let rest = frames[cut + 1..].iter().map(text).collect::<String>();
        assert!(rest.contains("word41") && rest.contains("word60") && !rest.contains("word61"), "{place}");
    }
}

#[test]
fn a_fault_that_names_a_length_has_its_answer_whatever_was_asked() {
    let tool = json!({"type": "function", "function": {"name": "a", "parameters": {}}});
    let request = json!({"model": "s08", "max_tokens": 1, "stop": ["w"], "tools": [tool], "stream": true});
    assert!(sent(&frames(ask(request.clone(), json!({})))).contains("word40"));
    let short = frames(ask(request, json!({"model": "cut-40"})));
    assert!(short.iter().any(|frame| frame.then == Then::Cut), "it breaks after the last token");
}

#[test]
fn silence_and_breaks_are_where_their_names_say() {
    for place in 0..TALKS.len() {
        let said = |name: &str| sent(&frames(talk(place, name, true)));
        for (name, tokens) in [("cut-3-9", 3), ("hang-4-9", 4), ("cut-9-9", 9), ("hang-20-9", 9)] {
            assert_eq!(said(name).matches("word").count(), tokens, "{place}: {name}");
        }
        assert_eq!(said("cut-0-9").contains("word1"), place == 2, "{place}: Gemini opens with a token");
    }
}

#[test]
fn a_malformed_event_stands_between_whole_ones() {
    let hints = Hints { fault: Some(Fault::Garbage), ..Hints::default() };
    for place in 0..TALKS.len() {
        let broken = frames(talk_with(place, "demo", true, &hints));
        let whole: Vec<_> = frames(talk(place, "demo", true)).iter().map(text).collect();
        let added: Vec<_> = broken.iter().filter(|frame| !whole.contains(&text(frame))).collect();
        let [added] = added[..] else { panic!("{place}: {added:?}") };
        assert!(serde_json::from_str::<Value>(&data_of(added)).is_err(), "{place}");
        let others: Vec<_> = broken.iter().map(text).filter(|own| *own != text(added)).collect();
        assert_eq!(others, whole, "{place}");
    }
}

#[test]
fn a_stream_ends_without_its_last_word_or_its_finish() {
    let finish = [
        "response.completed",
        "stop_reason\":\"end_turn",
        "finishReason",
        "COMPLETE",
        "finish_reason\":\"stop",
    ];
    let last_word = ["\n\n\n", "message_stop", "\n\n\n", "[DONE]", "[DONE]"];
    for place in 0..TALKS.len() {
        let said = |name: &str| sent(&frames(talk(place, name, true)));
        let (no_done, no_finish) = (said("s11"), said("no-finish"));
        assert!(no_done.contains(finish[place]) && !no_done.contains(last_word[place]), "{place}: {no_done}");
        assert!(!no_finish.contains(finish[place]) && !no_finish.contains(last_word[place]), "{place}");
        assert!(no_finish.contains("words."), "{place}: the answer itself is whole");
    }
}

#[test]
fn an_error_in_a_stream_is_read_as_its_dialect_reads_it() {
    for (place, dialect) in DIALECTS.into_iter().enumerate() {
        let stream = talk(place, "in-band-3-9", true);
        assert_eq!(stream.status, 200);
        let frames = frames(stream);
        assert_eq!(sent(&frames).matches("word").count(), 3, "{place}");
        let mut reader = codec::Reader::of(dialect);
        let mut read = |frame: &MockFrame| {
            let text = text(frame);
            let name = text.strip_prefix("event: ").and_then(|rest| rest.lines().next());
            reader.read(name.map(str::as_bytes), &data_of(frame)).map(|_| ())
        };
        let (last, others) = frames.split_last().expect("an error");
        assert!(others.iter().all(|frame| read(frame).is_ok()), "{place}");
        assert!(matches!(read(last), Err(StreamFault::Failed(_))), "{place}: {}", text(last));
        let whole = talk(place, "in-band", false);
        assert_eq!(whole.status, 200);
        let body = body(whole);
        assert!(body["error"].is_object() || body["message"].is_string(), "{place}: {body}");
    }
}

#[test]
fn a_content_filter_is_the_reason_to_finish() {
    let whole = |place| body(talk(place, "s13-finish", false));
    assert_eq!(whole(0)["incomplete_details"]["reason"], "content_filter");
    assert_eq!(whole(1)["stop_reason"], "refusal");
    assert_eq!(whole(2)["candidates"][0]["finishReason"], "SAFETY");
    assert_eq!(whole(3)["finish_reason"], "ERROR_TOXIC");
    assert_eq!(whole(4)["choices"][0]["finish_reason"], "content_filter");
    let words = ["content_filter", "\"refusal\"", "SAFETY", "ERROR_TOXIC", "content_filter"];
    for (place, word) in words.into_iter().enumerate() {
        assert!(sent(&frames(talk(place, "s13-finish", true))).contains(word), "{place}");
    }
}

#[test]
fn a_whole_answer_is_spoilt_as_well_as_it_can_be() {
    for place in 0..TALKS.len() {
        let whole = match talk(place, "words-60", false).body {
            MockBody::Full(whole) => whole,
            other => panic!("{other:?}"),
        };
        let hints = Hints { fault: "cut".parse().ok(), ..Hints::default() };
        let cut = frames(talk_with(place, "words-60", false, &hints));
        assert_eq!((cut.len(), cut[0].then), (1, Then::Cut), "{place}");
        assert_eq!(cut[0].bytes, whole[..whole.len() / 2], "{place}");
        assert_eq!(frames(talk(place, "hang", false))[0].then, Then::Hang, "{place}");
        assert!(
            matches!(talk(place, "s10", false).body, MockBody::Full(half) if serde_json::from_slice::<Value>(&half).is_err())
        );
        for same in ["s11", "no-finish", "s16"] {
            assert!(body(talk(place, same, false)).is_object(), "{place}: {same}");
        }
    }
}

#[test]
fn a_fault_plan_follows_its_seed_rate_and_count() {
    let plan = FaultPlan { rate: 0.25, seed: 7, ..FaultPlan::always(&[Fault::Garbage]) };
    let hits: Vec<_> = (0..4000).filter(|number| plan.at(*number).is_some()).collect();
    assert!((800..1200).contains(&hits.len()), "{}", hits.len());
    assert_eq!(hits, (0..4000).filter(|number| plan.at(*number).is_some()).collect::<Vec<_>>());
    let always = FaultPlan { rate: 1.0, ..plan };
    let first = FaultPlan { first: Some(2), ..always.clone() };
    assert_eq!((0..4).map(|n| first.at(n).is_some()).collect::<Vec<_>>(), [true, true, false, false]);
    let flap = FaultPlan { flap: Some(2), ..always };
    assert_eq!((0..5).map(|n| flap.at(n).is_some()).collect::<Vec<_>>(), [true, true, false, false, true]);
}

#[test]
fn a_fault_plan_draws_among_its_faults() {
    let faults = [Fault::StatusOnce(500), Fault::Garbage];
    let plan = |seed| FaultPlan { rate: 0.3, seed, ..FaultPlan::always(&faults) };
    let drawn = |seed| (0..4000).map(|number| plan(seed).at(number)).collect::<Vec<_>>();
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
    for fault in faults {
        let share = drawn(7).iter().filter(|drawn| **drawn == Some(fault)).count();
        assert!((450..750).contains(&share), "{fault:?}: {share}");
    }
}
