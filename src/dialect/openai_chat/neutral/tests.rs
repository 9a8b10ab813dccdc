//! The neutral side, by table and over recordings.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::*;
use crate::dialect::chat::{Conversation, Dropped, Event, Stamp};
use crate::dialect::json::Text;
use crate::dialect::raw::RawObject;

mod any_input;
mod recordings;
mod replies;
mod requests;
mod streams;

fn object(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).expect("an object")
}

fn stamp() -> Stamp {
    Stamp { model: "\"mine\"".into(), id: "abc".into(), created: 7, wants_usage: true }
}

/// A request as it is written, and what was reported on the way.
fn written(conversation: &Conversation<'_>, manners: &Manners) -> (Value, String) {
    let (mut out, mut dropped) = (BytesMut::new(), Dropped::default());
    write_request(conversation, "own", manners, &mut dropped, &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), dropped.to_line())
}

/// The chunks of a stream that was written; checks that every frame is whole and that `[DONE]` comes last.
fn chunks(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).expect("text");
    let frames: Vec<&str> = text.split_inclusive("\n\n").collect();
    let (last, frames) = frames.split_last().expect("frames");
    assert_eq!(*last, "data: [DONE]\n\n");
    let chunk = |frame: &&str| {
        let data = frame.strip_prefix("data: ").and_then(|data| data.strip_suffix("\n\n")).expect("a frame");
        assert!(!data.contains('\n'), "{data}");
        serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
    };
    frames.iter().map(chunk).collect()
}

fn stream(events: &[Event<'_>]) -> Vec<Value> {
    let (mut writer, mut out) = (StreamWriter::new(stamp()), BytesMut::new());
    events.iter().for_each(|event| writer.write(event, &mut out));
    writer.close(&mut out);
    chunks(&out)
}

fn text(plain: &'static str) -> Text<'static> {
    Text::plain(plain)
}
