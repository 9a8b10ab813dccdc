//! An answer that is written but not sent: what is to go wrong with it is done last, whatever its dialect.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::{EVENT_STREAM, Fault, MockBody, MockFrame, MockReply};

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
    /// Where among them the content is, by which faults count.
    pub(super) content: Range<usize>,
    /// Whether the last event only says that the stream is over.
    pub(super) has_last_word: bool,
}

impl Draft {
    /// The answer, spoilt where it is to be.
    pub(super) fn reply(self) -> MockReply {
        match self.written {
            Written::Whole { media_type, body } => {
                let body = match self.fault {
                    Some(fault) => fault.spoil_body(body),
                    None => MockBody::Full(body),
                };
                MockReply { status: 200, headers: vec![("content-type", media_type.into())], body }
            }
            Written::Events(mut events) => {
                events.frames.iter_mut().skip(1).for_each(|frame| frame.delay = self.gap);
                if let Some(fault) = self.fault {
                    fault.spoil_stream(&mut events);
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
