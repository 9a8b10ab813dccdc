//! Every recorded exchange of the dialect: read, and written again.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::{Finish, Part};
use crate::dialect::json::Text;
use crate::error::UpstreamError;

/// Where the recordings lie, if they are there.
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("AISIX_TEST_RECORDINGS").map(PathBuf::from);
    let folder =
        named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings"));
    if folder.join("index.json").exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no recordings in {}", folder.display());
    None
}

/// Recorded exchanges of the endpoint itself, by name.
fn recordings() -> Vec<(String, Value)> {
    let Some(folder) = folder() else { return Vec::new() };
    let read = |file: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(file)).expect("readable")).expect("JSON")
    };
    let index = read("index.json");
    let is_it = |entry: &&Value| entry["endpoint"].as_str().is_some_and(|path| path.ends_with("/responses"));
    let found: Vec<_> = index.as_array().expect("a list").iter().filter(is_it).collect();
    assert!(found.len() > 50, "recordings are missing");
    found
        .iter()
        .filter_map(|entry| entry["file"].as_str())
        .map(|file| (file.to_owned(), read(file)))
        .collect()
}

#[test]
fn recorded_requests_mean_the_same_when_written_again() {
    for (name, recording) in recordings() {
        let body = &recording["request"]["body"];
        if body.is_null() {
            continue;
        }
        let is_stateful = body["previous_response_id"].is_string() || body["background"] == true;
        match translated(body) {
            Ok((back, _)) => {
                assert!(!is_stateful, "{name}");
                assert_eq!(meaning::of_request(&back), meaning::of_request(body), "{name}");
            }
            Err(error) => assert!(is_stateful, "{name}: {error}"),
        }
    }
}

/// Pieces of a reply, as the recording has them.
fn said(parts: &[Part<'_>]) -> Vec<Value> {
    let text = |text: &Text<'_>| text.decode().into_owned();
    let one = |part: &Part<'_>| match part {
        Part::Text(words) => json!(["said", text(&words.text)]),
        Part::Refusal(refusal) => json!(["refusal", text(refusal)]),
        Part::ToolCall(call) => {
            json!(["call", text(&call.id), text(&call.name), text(&call.arguments.as_text())])
        }
        Part::Thought(thought) => {
            let sealed = thought.signature.as_ref().map_or_else(String::new, |own| text(&own.data));
            json!(["reasoning", text(&thought.text), sealed.rsplit(':').next()])
        }
        Part::Media(_) => json!(["picture"]),
        Part::ToolResult(_) => json!(["result"]),
    };
    parts.iter().map(one).collect()
}

/// The same, from the recording itself.
fn expected(response: &Value) -> Vec<Value> {
    let meaning = meaning::of_response(response);
    let one = |part: &Value| match part[0].as_str() {
        Some("said") if part[2].is_string() => json!(["refusal", part[2]]),
        Some("said") => json!(["said", part[1]]),
        Some("picture") => json!(["picture"]),
        _ => part.clone(),
    };
    meaning["said"].as_array().expect("a list").iter().map(one).collect()
}

#[test]
fn recorded_answers_are_read_and_mean_the_same_when_written_again() {
    for (name, recording) in recordings() {
        let body = &recording["response"]["body"];
        if body["object"] != "response" {
            continue;
        }
        let text = body.to_string();
        if body["status"] == "queued" {
            assert!(matches!(read_reply(&text), Err(UpstreamError::Undecodable { .. })), "{name}");
            continue;
        }
        let reply = read_reply(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let answer = &reply.answers[0];
        assert_eq!(said(&answer.parts), expected(body), "{name}");
        let has_calls = answer.parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        let finish = match (body["status"].as_str(), has_calls) {
            (Some("incomplete"), _) => Finish::Length,
            (_, true) => Finish::ToolCalls,
            (_, false) => Finish::Stop,
        };
        assert_eq!(answer.finish, finish, "{name}");
        let usage = reply.usage.expect("usage");
        assert_eq!(json!(usage.prompt), body["usage"]["input_tokens"], "{name}");
        assert_eq!(json!(usage.completion), body["usage"]["output_tokens"], "{name}");
        assert_eq!(meaning::of_response(&reply_written(&reply)), meaning::of_response(body), "{name}");
    }
}

/// The response in the last event of a recorded stream, with the items as they were when they were done: OpenAI
/// encrypts reasoning anew for every event.
fn last_response(frames: &[(Option<Vec<u8>>, String)]) -> Value {
    let parsed: Vec<Value> = frames.iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect();
    let is_last =
        |frame: &&Value| matches!(frame["type"].as_str(), Some("response.completed" | "response.incomplete"));
    let mut response = parsed.iter().find(is_last).expect("an end")["response"].clone();
    let done = parsed.iter().filter(|frame| frame["type"] == "response.output_item.done");
    response["output"] = done.map(|frame| frame["item"].clone()).collect();
    response
}

#[test]
fn recorded_streams_mean_what_their_last_event_says_and_the_same_when_written_again() {
    for (name, recording) in recordings() {
        let Some(stream) = recording["response"]["sse"].as_str() else { continue };
        let frames = frames(stream.as_bytes(), stream.len());
        let is_failure = recording["features"].as_array().expect("features").contains(&json!("stream_error"));
        let events = match events_of(&frames) {
            Err(StreamFault::Failed(UpstreamError::Refused(refusal))) if is_failure => {
                assert_eq!((refusal.status, refusal.code), (None, None), "{name}");
                continue;
            }
            events => events.unwrap_or_else(|fault| panic!("{name}: {fault:?}")),
        };
        assert!(!is_failure, "{name}");
        assert!(matches!(events[0], Event::Start { .. }), "{name}");
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Finish { .. })).count(), 1, "{name}");
        assert!(matches!(events.last(), Some(Event::End)), "{name}");
        let back = meaning::check_stream(&stream_written(&events));
        assert_eq!(meaning::of_response(&back), meaning::of_response(&last_response(&frames)), "{name}");
    }
}

#[test]
fn how_a_recorded_stream_is_cut_does_not_matter() {
    for (name, recording) in recordings() {
        let Some(stream) = recording["response"]["sse"].as_str() else { continue };
        let whole = frames(stream.as_bytes(), stream.len());
        for chunk in [1, 7, 1000] {
            assert!(frames(stream.as_bytes(), chunk) == whole, "{name} in pieces of {chunk}");
        }
        // An event that is cut off is not readable, wherever the cut is.
        for (event, data) in &whole {
            let step = (data.len() / 40).max(1);
            for cut in (1..data.len()).step_by(step).filter(|cut| data.is_char_boundary(*cut)) {
                if data != "[DONE]" {
                    let read = StreamReader::default().read(event.as_deref(), &data[..cut]);
                    assert!(matches!(read, Err(StreamFault::Malformed)), "{name}: {cut}");
                }
            }
        }
    }
}

#[test]
fn recorded_errors_give_their_words() {
    for (name, recording) in recordings() {
        let status = recording["response"]["status"].as_u64().expect("a status") as u16;
        if status < 400 {
            continue;
        }
        let body = &recording["response"]["body"];
        let refusal = read_error(status, body.to_string().as_bytes());
        // xAI has its words in `error` and the code beside it.
        let error = if body["error"].is_object() { &body["error"] } else { body };
        let words = error["message"].as_str().or(body["error"].as_str());
        assert_eq!(Some(refusal.message.as_str()), words, "{name}");
        assert_eq!(refusal.code.as_deref(), error["code"].as_str(), "{name}");
        assert_eq!(refusal.param.as_deref(), error["param"].as_str(), "{name}");
        let hidden = read_error(500, body.to_string().as_bytes());
        assert_eq!(
            (&*hidden.message, hidden.code, hidden.param),
            ("upstream returned 500", None, None),
            "{name}"
        );
    }
}
