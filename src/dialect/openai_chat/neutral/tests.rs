//! The neutral side, by table and over recordings.

use std::path::PathBuf;

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

/// The recorded exchanges whose entry in the index is wanted, as (id, the whole).
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
pub(in crate::dialect) fn recorded(is_wanted: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
    let folder = std::env::var_os("AISIX_TEST_RECORDINGS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/recordings")),
        PathBuf::from,
    );
    let Ok(index) = std::fs::read_to_string(folder.join("index.json")) else {
        eprintln!("NO RECORDINGS in {}: nothing is tested here", folder.display());
        return Vec::new();
    };
    let index: Vec<Value> = serde_json::from_str(&index).expect("an index");
    let read = |entry: &Value| {
        let text =
            std::fs::read_to_string(folder.join(entry["file"].as_str().expect("a file"))).expect("reads");
        (entry["id"].as_str().expect("an id").to_owned(), serde_json::from_str(&text).expect("JSON"))
    };
    let found: Vec<_> = index.iter().filter(|entry| is_wanted(entry)).map(read).collect();
    assert!(!found.is_empty(), "recordings are missing");
    found
}

fn object(text: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(text.as_bytes())).expect("an object")
}

fn stamp() -> Stamp {
    Stamp { model: "\"mine\"".into(), id: "abc".into(), created: 7, wants_usage: true, ..Stamp::default() }
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
