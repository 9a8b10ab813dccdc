//! Tests of the dialect: tables of rules, recorded exchanges, and anything at all.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::super::chat::{Conversation, Dropped, Event, Reply, Stamp};
use super::super::raw::RawObject;
use super::*;
use crate::error::{RequestError, UpstreamError};

mod answers;
mod arbitrary;
mod client;
mod recorded;
mod recorded_answers;
mod requests;
mod streams;
mod written;

fn stamp() -> Stamp {
    Stamp { model: "\"mine\"".into(), id: "0123".into(), created: 1, ..Stamp::default() }
}

fn object(body: &str) -> RawObject {
    RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).expect("an object")
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

/// A conversation as a provider of this dialect gets it, and what was dropped.
fn written(conversation: &Conversation<'_>, model: &str) -> (Value, String) {
    let (mut dropped, mut out) = (Dropped::default(), BytesMut::new());
    write_request(conversation, model, &mut dropped, &mut out);
    (json(&out), dropped.to_line())
}

/// An answer as a caller of this dialect gets it.
fn replied(reply: &Reply<'_>) -> Value {
    let mut out = BytesMut::new();
    write_reply(reply, &stamp(), &mut out);
    json(&out)
}

/// A stream as a caller of this dialect gets it.
fn streamed(events: &[Event<'_>]) -> String {
    let (mut writer, mut out) = (StreamWriter::new(stamp()), BytesMut::new());
    events.iter().for_each(|event| writer.write(event, &mut out));
    writer.close(&mut out);
    String::from_utf8(out.to_vec()).expect("text")
}
