//! What the fuzz targets share: how bytes choose a dialect, and what everything that is written must keep.
//!
//! The first byte of an input chooses, so that one corpus serves all dialects; `corpus.py` writes it in front.

use aisix::dialect::Dialect;
use aisix::dialect::chat::Stamp;
use aisix::dialect::sse::{Frame, Reader};
use bytes::Bytes;
use serde_json::value::RawValue;

/// The dialects that providers answer in; callers speak the first four.
pub const PROVIDERS: [Dialect; 5] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini, Dialect::Cohere];

/// Models whose names change what a writer may say.
pub const MODELS: [&str; 4] = ["gpt-5", "claude-sonnet-4-5", "gemini-3-flash", "own"];

/// The choice that the first byte makes, and the rest.
pub fn choose(input: &[u8]) -> Option<(usize, &[u8])> {
    input.split_first().map(|(choice, rest)| (usize::from(*choice), rest))
}

/// What the gateway says of itself.
pub fn stamp() -> Stamp {
    Stamp { model: "\"mine\"".into(), id: "abc".into(), created: 7, wants_usage: true, ..Stamp::default() }
}

/// Asserts that these bytes are one JSON text.
pub fn assert_json(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("what is written is UTF-8");
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        panic!("{error}: {text}");
    }
}

/// Asserts that these bytes are whole frames of JSON, or OpenAI's last word.
pub fn assert_frames(bytes: &[u8]) {
    let mut reader = Reader::default();
    reader.push(Bytes::copy_from_slice(bytes));
    while let Some(frame) = reader.next_frame().expect("frames that are written are small") {
        assert_frame(frame);
    }
    assert!(reader.finish().is_none(), "a frame is cut");
}

fn assert_frame(frame: Frame<'_>) {
    if let Some(data) = frame.data()
        && *data != *b"[DONE]"
    {
        assert_json(&data);
    }
}
