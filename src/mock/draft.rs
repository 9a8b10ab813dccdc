//! An answer that is written but not sent: what is to go wrong with it is done last, whatever its dialect.

use std::time::Duration;

use bytes::Bytes;

use super::{EVENT_STREAM, Fault, MockBody, MockFrame, MockReply, Then};
use crate::dialect::Dialect;

/// See the module.
pub(super) struct Draft {
    pub(super) written: Written,
    /// What is to go wrong.
    pub(super) fault: Option<Fault>,
    /// The pause before each event but the first.
    pub(super) gap: Duration,
}

/// What is written.
pub(super) enum Written {
    /// A whole body.
    Whole { media_type: &'static str, body: Bytes },
    /// Events.
    Events(Events),
}

/// The events of a stream.
pub(super) struct Events {
    pub(super) frames: Vec<MockFrame>,
    /// The places of those that carry content, in order; faults count them as tokens.
    pub(super) tokens: Vec<usize>,
    /// Whether the last event only says that the stream is over.
    pub(super) has_last_word: bool,
}

impl Draft {
    /// The answer in `dialect`, spoilt where it is to be.
    pub(super) fn reply(self, dialect: Dialect) -> MockReply {
        match self.written {
            Written::Whole { media_type, body } => {
                let body = match self.fault {
                    Some(fault) => fault.spoil_body(body, dialect),
                    None => MockBody::Full(body),
                };
                MockReply { status: 200, headers: vec![("content-type", media_type.into())], body }
            }
            Written::Events(mut events) => {
                events.frames.iter_mut().skip(1).for_each(|frame| frame.delay = self.gap);
                if let Some(fault) = self.fault {
                    fault.spoil_stream(&mut events, dialect);
                }
                MockReply {
                    status: 200,
                    headers: vec![("content-type", EVENT_STREAM.into())],
                    body: MockBody::Stream(events.frames),
                }
            }
        }
    }
}

impl Events {
    /// The place of the token of this number, counted from 1, or of the last one; for 0 the place before the first.
    pub(super) fn token(&self, number: usize) -> usize {
        let place = |index: usize| self.tokens.get(index).copied().unwrap_or_default();
        match number.min(self.tokens.len()).checked_sub(1) {
            Some(index) => place(index),
            None => place(0).saturating_sub(1),
        }
    }

    /// Makes the event at `place` late, where there is one.
    pub(super) fn delay(&mut self, place: usize, delay: Duration) {
        self.frames.iter_mut().skip(place).take(1).for_each(|frame| frame.delay = delay);
    }

    /// Says what follows so many tokens.
    pub(super) fn then(&mut self, tokens: usize, then: Then) {
        let place = self.token(tokens);
        self.frames.iter_mut().skip(place).take(1).for_each(|frame| frame.then = then);
    }
}
