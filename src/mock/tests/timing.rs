//! Faults that are late: which event waits, and which do not.

use super::dialects::{TALKS, talk};
use super::*;

/// The places of the events that wait, each with its wait.
fn waits(frames: &[MockFrame]) -> Vec<(usize, u128)> {
    let waits = frames.iter().enumerate().filter(|(_, frame)| !frame.delay.is_zero());
    waits.map(|(place, frame)| (place, frame.delay.as_millis())).collect()
}

fn says(frame: &MockFrame, word: &str) -> bool {
    String::from_utf8_lossy(&frame.bytes).contains(word)
}

#[test]
fn a_late_answer_holds_back_its_first_byte() {
    for place in 0..TALKS.len() {
        assert_eq!(waits(&frames(talk(place, "late-70", true))), [(0, 70)], "{place}");
        assert_eq!(waits(&frames(talk(place, "late-70", false))), [(0, 70)], "{place}");
        assert_eq!(waits(&frames(talk(place, "s07", false))), [(0, 20_000)], "{place}");
    }
}

#[test]
fn a_late_token_comes_after_what_opens_the_stream() {
    for place in 0..TALKS.len() {
        let frames = frames(talk(place, "s07", true));
        let waits = waits(&frames);
        assert_eq!((waits.len(), waits[0].1), (1, 20_000), "{place}");
        assert!(says(&frames[waits[0].0], "You"), "{place}");
        // Gemini has nothing to say before its first token.
        assert_eq!(waits[0].0 == 0, place == 2, "{place}");
    }
}

#[test]
fn a_stream_that_stalls_goes_on_to_its_end() {
    for place in 0..TALKS.len() {
        let frames = frames(talk(place, "s09", true));
        let waits = waits(&frames);
        assert_eq!((waits.len(), waits[0].1), (1, 30_000), "{place}");
        assert!(says(&frames[waits[0].0 - 1], "word30") && says(&frames[waits[0].0], "word31"), "{place}");
        assert!(frames.iter().all(|frame| frame.then == Then::Continue), "{place}");
    }
    let whole = frames(talk(4, "stall-1-70", false));
    assert_eq!((whole.len(), waits(&whole)), (2, vec![(1, 70)]));
    let bytes: Vec<u8> = whole.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
    assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
}
