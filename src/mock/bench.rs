//! The model `bench`: the same answer to everything, at the least cost.
//!
//! In a load test the upstream shares the machine with what is measured, so this path does not even parse the
//! request: two members are looked for in its bytes, and prepared bytes go out. A request that the search takes for
//! a `bench` request by mistake would have to hold `"model": "bench"` as unescaped JSON elsewhere; nothing but load
//! tests does.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem;

use super::error::Failure;
use super::request::Request;
use super::{EVENT_STREAM, Hints, MockBody, MockFrame, MockReply, Then, chat};
use crate::dialect::Dialect;

const CHAT: Dialect = Dialect::OpenAiChat;

/// The name of the model.
pub(super) const NAME: &str = "bench";

/// The request behind the prepared answers: its 19 words with role, finish and `[DONE]` make 22 events.
const REQUEST: &str = r#"{"model":"words-19","messages":[{"role":"user","content":"bench"}]"#;

/// The unstreamed answer.
static COMPLETION: LazyLock<Bytes> = LazyLock::new(|| match prepare("").body {
    MockBody::Full(body) => body,
    MockBody::Stream(_) | MockBody::Stall | MockBody::Reset => Bytes::new(),
});

/// The events of the streamed answer.
static EVENTS: LazyLock<Vec<Bytes>> = LazyLock::new(|| events(r#","stream":true"#));

/// The same for those who ask what was counted, as a gateway does.
static COUNTED_EVENTS: LazyLock<Vec<Bytes>> =
    LazyLock::new(|| events(r#","stream":true,"stream_options":{"include_usage":true}"#));

fn events(more: &str) -> Vec<Bytes> {
    match prepare(more).body {
        MockBody::Stream(frames) => frames.into_iter().map(|frame| frame.bytes).collect(),
        MockBody::Full(_) | MockBody::Stall | MockBody::Reset => Vec::new(),
    }
}

fn prepare(more: &str) -> MockReply {
    let body = format!("{REQUEST}{more}}}");
    let request = Request::read(body.as_bytes()).map_err(Failure::from);
    let draft = request.and_then(|request| chat::draft(&request, body.as_bytes(), &Hints::default()));
    draft.map_or_else(|failure| failure.reply(CHAT), |draft| draft.reply(CHAT))
}

/// Whether a request is for the model `bench`.
pub(super) fn is_wanted(body: &[u8]) -> bool {
    has_member(body, b"\"model\"", b"\"bench\"")
}

/// The prepared answer.
pub(super) fn reply(body: &[u8], hints: &Hints) -> MockReply {
    if !has_member(body, b"\"stream\"", b"true") {
        return MockReply::full(200, COMPLETION.clone());
    }
    let events = if has_member(body, b"\"include_usage\"", b"true") { &COUNTED_EVENTS } else { &EVENTS };
    let frame =
        |bytes: &Bytes| MockFrame { delay: hints.chunk_gap, bytes: bytes.clone(), then: Then::Continue };
    MockReply {
        status: 200,
        headers: vec![("content-type", EVENT_STREAM.into())],
        body: MockBody::Stream(events.iter().map(frame).collect()),
    }
}

/// Looks for `name : value` without parsing.
fn has_member(body: &[u8], name: &[u8], value: &[u8]) -> bool {
    memmem::find_iter(body, name).any(|at| {
        let rest = body[at + name.len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_without_parsing() {
        for wanted in [r#"{"model":"bench"}"#, r#"{"stream": true, "model" : "bench"}"#] {
            assert!(is_wanted(wanted.as_bytes()), "{wanted}");
        }
        for other in ["", r#"{"model":"bench2"}"#, r#"{"model":"demo","user":"bench"}"#, r#""model"#] {
            assert!(!is_wanted(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn the_stream_has_22_events_and_the_answer_about_700_bytes() {
        let MockBody::Stream(frames) = reply(br#"{"model":"bench","stream":true}"#, &Hints::default()).body
        else {
            panic!("not a stream")
        };
        assert_eq!(frames.len(), 22);
        assert_eq!(frames[21].bytes, "data: [DONE]\n\n");
        let counted = br#"{"model":"bench","stream":true,"stream_options":{"include_usage":true}}"#;
        let MockBody::Stream(frames) = reply(counted, &Hints::default()).body else { panic!("not a stream") };
        assert_eq!(frames.len(), 23);
        assert!(
            frames[21].bytes.windows(16).any(|part| part == b"\"prompt_tokens\":"),
            "counted before its end"
        );
        let MockBody::Full(body) = reply(br#"{"model":"bench"}"#, &Hints::default()).body else {
            panic!("no body")
        };
        assert!((600..800).contains(&body.len()), "{}", body.len());
    }
}
