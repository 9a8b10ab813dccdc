//! What a fault does to an answer that is written.

use std::time::Duration;

use bytes::Bytes;

use super::Fault;
use crate::dialect::Dialect;
use crate::mock::draft::Events;
use crate::mock::{MockBody, MockFrame, Then, boundary, error};

impl Fault {
    /// Spoils a stream.
    pub(in crate::mock) fn spoil_stream(self, events: &mut Events, dialect: Dialect) {
        match self {
            Self::Late(delay) => events.delay(0, delay),
            Self::LateToken(delay) => events.delay(events.token(1), delay),
            Self::Cut(place) => events.then(place.after, Then::Cut),
            Self::Hang(place) => events.then(place.after, Then::Hang),
            Self::Pause(place, delay) => events.delay(events.token(place.after) + 1, delay),
            Self::InBand(place) => {
                events.frames.truncate(events.token(place.after) + 1);
                events.frames.push(MockFrame::new(error::in_band_event(dialect, events.frames.len())));
            }
            Self::Garbage => {
                let middle = events.token(events.tokens.len() / 2 + 1);
                let broken = events.frames.get(middle).map(broken);
                events.frames.splice(middle..middle, broken);
            }
            Self::NoDone if events.has_last_word => drop(events.frames.pop()),
            Self::NoFinish => events.frames.truncate(events.token(usize::MAX) + 1),
            Self::NoDone
            | Self::Status(_)
            | Self::StatusOnce(_)
            | Self::Limited(_)
            | Self::LimitedOnce(_)
            | Self::Flap(_)
            | Self::Well
            | Self::Reset
            | Self::Stall
            | Self::ContextLength
            | Self::PromptFilter
            | Self::ContentFilter
            | Self::NoPrefill => {}
        }
    }

    /// Spoils an answer that is not a stream.
    pub(in crate::mock) fn spoil_body(self, body: Bytes, dialect: Dialect) -> MockBody {
        let (half, rest) = (body.slice(..body.len() / 2), body.slice(body.len() / 2..));
        let frame = |bytes, delay, then| MockFrame { delay, bytes, then };
        let one = |bytes, delay, then| MockBody::Stream(vec![frame(bytes, delay, then)]);
        match self {
            Self::Late(delay) | Self::LateToken(delay) => one(body, delay, Then::Continue),
            Self::Cut(_) => one(half, Duration::ZERO, Then::Cut),
            Self::Hang(_) => one(half, Duration::ZERO, Then::Hang),
            Self::Pause(_, delay) => MockBody::Stream(vec![
                frame(half, Duration::ZERO, Then::Continue),
                frame(rest, delay, Then::Continue),
            ]),
            Self::InBand(_) => MockBody::Full(error::in_band_body(dialect)),
            Self::Garbage => MockBody::Full(half),
            Self::Status(_)
            | Self::StatusOnce(_)
            | Self::Limited(_)
            | Self::LimitedOnce(_)
            | Self::Flap(_)
            | Self::Well
            | Self::Reset
            | Self::Stall
            | Self::NoDone
            | Self::NoFinish
            | Self::ContextLength
            | Self::PromptFilter
            | Self::ContentFilter
            | Self::NoPrefill => MockBody::Full(body),
        }
    }
}

/// A copy of an event that loses its way half through its data: broken in the shape of its dialect.
fn broken(frame: &MockFrame) -> MockFrame {
    let text = String::from_utf8_lossy(&frame.bytes);
    let data = text.find("data: ").map_or(0, |at| at + "data: ".len());
    let end = boundary(&text, data + (text.len() - data) / 2);
    MockFrame { bytes: format!("{}\n\n", &text[..end]).into(), ..frame.clone() }
}
