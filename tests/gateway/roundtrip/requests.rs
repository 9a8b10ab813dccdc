//! Requests: written for one dialect, read, written for another, read, and back again, with the same meaning.

use aisix::dialect::Dialect;
use aisix::dialect::chat::{Conversation, Dropped};
use aisix::dialect::codec::{read_request, write_request};
use aisix::dialect::raw::RawObject;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::can::Can;
use super::{holds, make, meaning, target};

const CASES: u32 = 60;
/// What writers say because their dialect insists on it, and what the next one then cannot carry.
const MADE_UP: [&str; 2] = ["filename", "store"];

fn written(dialect: Dialect, conversation: &Conversation<'_>) -> (RawObject, Dropped) {
    let (mut out, mut dropped) = (BytesMut::new(), Dropped::default());
    write_request(dialect, conversation, &target(), &mut dropped, &mut out).expect("it has conversations");
    let body = out.freeze();
    let object = RawObject::parse(body.clone());
    (object.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body))), dropped)
}

/// Reads what was written; nothing of it may be unknown to the dialect's own reader.
fn read<'a>(dialect: Dialect, body: &'a RawObject) -> Conversation<'a> {
    let mut dropped = Dropped::default();
    let conversation = read_request(dialect, body, &mut dropped);
    let text = || String::from_utf8_lossy(body.bytes());
    let conversation = conversation.unwrap_or_else(|error| panic!("{dialect:?}: {error}: {}", text()));
    assert!(dropped.is_empty(), "{dialect:?} does not know its own {}: {}", dropped.to_line(), text());
    conversation
}

/// Sends a conversation through one dialect after the other.
fn check(way: &[Dialect], conversation: &Conversation<'_>) -> Result<(), TestCaseError> {
    let wanted = meaning::of_conversation(conversation);
    let mut body: Option<RawObject> = None;
    for (place, dialect) in way.iter().enumerate() {
        let (next, dropped) = match &body {
            None => written(*dialect, conversation),
            Some(body) => {
                let mut conversation = read(way[place - 1], body);
                // Gemini's callers ask for a stream by the path.
                conversation.is_stream |= wanted["stream"] == true;
                written(*dialect, &conversation)
            }
        };
        let text = String::from_utf8_lossy(next.bytes()).into_owned();
        let is_all = dropped.names().all(|name| MADE_UP.contains(&name));
        prop_assert!(is_all, "{:?} dropped {}: {}", dialect, dropped.to_line(), text);
        prop_assert_eq!(
            &meaning::of_conversation(&read(*dialect, &next)),
            &wanted,
            "{:?}: {}",
            dialect,
            text
        );
        body = Some(next);
    }
    Ok(())
}

#[test]
fn a_conversation_survives_the_way_through_two_dialects_and_back() {
    let mut problems = Vec::new();
    for one in Dialect::CALLERS {
        for other in Dialect::CALLERS {
            let conversations = make::conversation(&Can::both(one, other));
            let outcome =
                holds(CASES, &conversations, |conversation| check(&[one, other, one], &conversation));
            problems.extend(outcome.err().map(|problem| format!("{one:?} and {other:?}: {problem}")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// Writes a body again and again: the second time nothing changes any more.
#[test]
fn what_was_written_is_written_the_same_way_again() {
    for dialect in Dialect::CALLERS {
        let outcome = holds(CASES, &make::conversation(&Can::of(dialect)), |conversation| {
            let once = written(dialect, &conversation).0;
            let twice = written(dialect, &read(dialect, &once)).0;
            let thrice = written(dialect, &read(dialect, &twice)).0;
            prop_assert_eq!(twice.bytes(), thrice.bytes());
            Ok(())
        });
        outcome.unwrap_or_else(|problem| panic!("{dialect:?}: {problem}"));
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    let outcome = holds(400, &bytes, |bytes| {
        if let Ok(body) = RawObject::parse(Bytes::from(bytes)) {
            for dialect in Dialect::CALLERS {
                let _ = read_request(dialect, &body, &mut Dropped::default());
            }
        }
        Ok(())
    });
    outcome.expect("nothing panics");
}
