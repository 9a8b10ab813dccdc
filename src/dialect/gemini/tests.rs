//! Tests of Gemini's dialect: recorded exchanges, tables of rules, and anything at all.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::*;
use crate::dialect::chat::{Conversation, Dropped, Event, Stamp};
use crate::dialect::raw::RawObject;

mod meaning;
mod random;
mod recorded;
mod recordings;
mod replies;
mod requests;
mod streams;

fn object(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).expect("an object")
}

fn stamp() -> Stamp {
    Stamp {
        model: "\"our-model\"".into(),
        id: "stamped".into(),
        created: 7,
        wants_usage: true,
        ..Stamp::default()
    }
}

/// What is written for a conversation, and what was dropped.
fn written(conversation: &Conversation<'_>, model: &str) -> (Value, String) {
    let mut dropped = Dropped::default();
    let mut out = BytesMut::new();
    write_request(conversation, model, &mut dropped, &mut out);
    (serde_json::from_slice(&out).expect("valid JSON"), dropped.to_line())
}

/// The chunks that a writer gives for events.
fn chunks<'e>(events: impl IntoIterator<Item = Event<'e>>) -> Vec<Value> {
    let mut writer = StreamWriter::new(stamp());
    let mut out = BytesMut::new();
    for event in events {
        writer.write(&event, &mut out);
    }
    writer.close(&mut out);
    let text = String::from_utf8(out.to_vec()).expect("UTF-8");
    assert!(text.ends_with("\n\n"), "{text}");
    let frames = text.trim_end().split("\n\n");
    frames
        .map(|frame| {
            serde_json::from_str(frame.strip_prefix("data: ").expect("data")).expect("one JSON line")
        })
        .collect()
}
