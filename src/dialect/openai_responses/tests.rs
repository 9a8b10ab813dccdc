//! The dialect against recorded exchanges, rule by rule, and against anything at all.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::*;
use crate::dialect::chat::{Conversation, Dropped, Event, Reply, Stamp, StreamFault};
use crate::dialect::raw::RawObject;
use crate::dialect::sse;
use crate::error::RequestError;

mod anything;
mod events;
mod meaning;
mod recordings;
mod replies;
mod requests;

fn stamp() -> Stamp {
    Stamp {
        model: "\"the-model\"".into(),
        id: "0a1b".into(),
        created: 1_700_000_000,
        wants_usage: true,
        ..Stamp::default()
    }
}

fn object(body: &Value) -> RawObject {
    RawObject::parse(Bytes::from(body.to_string())).expect("an object")
}

/// A request, read and written again: what the provider would get, and what was dropped on either side.
fn translated(body: &Value) -> Result<(Value, String), RequestError> {
    let (body, mut dropped) = (object(body), Dropped::default());
    let conversation = read_request(&body, &mut dropped)?;
    Ok((written(&conversation, &mut dropped), dropped.to_line()))
}

fn written(conversation: &Conversation<'_>, dropped: &mut Dropped) -> Value {
    let mut out = BytesMut::new();
    write_request(conversation, "a \"model\"", dropped, &mut out);
    serde_json::from_slice(&out).expect("valid JSON")
}

fn reply_written(reply: &Reply<'_>) -> Value {
    let mut out = BytesMut::new();
    write_reply(reply, &stamp(), &mut out);
    serde_json::from_slice(&out).expect("valid JSON")
}

/// The frames of a stream as `(event, data)`.
fn frames(stream: &[u8], chunk: usize) -> Vec<(Option<Vec<u8>>, String)> {
    let (mut reader, mut out) = (sse::Reader::default(), Vec::new());
    let mut take = |frame: sse::Frame<'_>| {
        let data = frame.data().map(|data| String::from_utf8(data.into_owned()).expect("UTF-8"));
        if let Some(data) = data.filter(|data| !data.is_empty()) {
            out.push((frame.event().map(<[u8]>::to_vec), data));
        }
    };
    for piece in stream.chunks(chunk) {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = reader.next_frame().expect("small frames") {
            take(frame);
        }
    }
    if let Some(frame) = reader.finish() {
        take(frame);
    }
    out
}

/// All events of a stream, or the fault that ended it.
fn events_of(frames: &[(Option<Vec<u8>>, String)]) -> Result<Vec<Event<'_>>, StreamFault> {
    let (mut reader, mut out) = (StreamReader::default(), Vec::new());
    for (event, data) in frames {
        out.extend(reader.read(event.as_deref(), data)?);
    }
    Ok(out)
}

/// A stream as it is written, event by event.
fn stream_written(events: &[Event<'_>]) -> Vec<Value> {
    let (mut writer, mut out) = (StreamWriter::new(stamp()), BytesMut::new());
    events.iter().for_each(|event| writer.write(event, &mut out));
    writer.close(&mut out);
    let text = std::str::from_utf8(&out).expect("UTF-8");
    let frame = |frame: &str| {
        let (event, data) = frame.split_once('\n').expect("two lines");
        let data: Value =
            serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("valid JSON");
        assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        data
    };
    text.strip_suffix("\n\n").expect("ends a frame").split("\n\n").map(frame).collect()
}
