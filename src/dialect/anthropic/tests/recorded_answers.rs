//! Recorded answers: whole ones and streams are read, and written again with the same meaning; a stream says what its
//! pieces joined say.

use super::super::super::Usage;
use super::super::super::chat::{Event, Events, Finish, Part};
use super::super::super::sse;
use super::recorded::recordings;
use super::*;

/// What the provider counted, found without the codec.
fn counted(usage: &Value) -> Usage {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let (cached, cache_write) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    let prompt = count("input_tokens") + cached + cache_write;
    let completion = count("output_tokens");
    let reasoning = usage["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or(0);
    let total = prompt + completion;
    let cache_write_hour = usage["cache_creation"]["ephemeral_1h_input_tokens"].as_u64().unwrap_or(0);
    Usage { prompt, completion, cached, cache_write, cache_write_hour, reasoning, total, is_estimated: false }
}

fn finish(message: &Value) -> String {
    format!("{} {}", message["stop_reason"], message["stop_sequence"])
}

/// Compares what was written with what was recorded.
fn check(id: &str, again: &Value, recorded: &Value, is_stream: bool) {
    let carried = |message: &Value| client::carried(&message["content"], is_stream);
    assert_eq!(carried(again), carried(recorded), "{id}");
    assert_eq!(finish(again), finish(recorded), "{id}");
    assert_eq!(counted(&again["usage"]), counted(&recorded["usage"]), "{id}");
    assert_eq!((&again["id"], &again["model"]), (&Value::from("msg_0123"), &Value::from("mine")), "{id}");
}

#[test]
fn recorded_answers_keep_their_meaning() {
    for (id, exchange) in recordings() {
        let body = &exchange["response"]["body"];
        if body.is_null() || exchange["response"]["status"] != 200 {
            continue;
        }
        let text = body.to_string();
        let reply = read_reply(&text).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(reply.usage, Some(counted(&body["usage"])), "{id}");
        assert_eq!(reply.model.as_ref().map(|model| model.decode()).as_deref(), body["model"].as_str());
        let finish = match body["stop_reason"].as_str() {
            Some("end_turn") => "stop",
            Some("max_tokens") => "length",
            Some("stop_sequence") => "stop",
            Some("tool_use") => "tool_calls",
            other => panic!("{id}: {other:?}"),
        };
        assert_eq!(reply.answers[0].finish.label(), finish, "{id}");
        let texts = reply.answers[0].parts.iter().filter_map(|part| match part {
            Part::Text(words) => Some(words.text.decode().into_owned()),
            _ => None,
        });
        let content = body["content"].as_array().expect("content").iter();
        let recorded = content
            .filter(|block| block["type"] == "text")
            .map(|block| block["text"].as_str().expect("text"));
        assert!(texts.eq(recorded.map(str::to_owned)), "{id}");
        check(&id, &replied(&reply), body, false);
    }
}

#[test]
fn recorded_errors_are_read() {
    let mut seen = 0;
    for (id, exchange) in recordings() {
        let status = exchange["response"]["status"].as_u64().expect("a status") as u16;
        if status < 400 {
            continue;
        }
        let body = &exchange["response"]["body"];
        let refusal = read_error(status, body.to_string().as_bytes());
        assert_eq!(refusal.message, body["error"]["message"].as_str().expect("words"), "{id}");
        let code = (body["error"]["type"] == "not_found_error").then(|| "model_not_found".to_owned());
        assert_eq!((refusal.code, refusal.status), (code, Some(status)), "{id}");
        seen += 1;
    }
    assert!(seen == 4 || seen == 0);
}

/// The events of a stream that arrives in these pieces.
fn events(pieces: &[&[u8]]) -> Vec<Event<'static>> {
    let (mut frames, mut reader, mut all) = (sse::Reader::default(), StreamReader::default(), Vec::new());
    for piece in pieces {
        frames.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = frames.next_frame().expect("small enough") {
            all.extend(read_frame(&mut reader, &frame));
        }
    }
    if let Some(frame) = frames.finish() {
        all.extend(read_frame(&mut reader, &frame));
    }
    all
}

fn read_frame(reader: &mut StreamReader, frame: &sse::Frame<'_>) -> Vec<Event<'static>> {
    let Some(data) = frame.data() else { return Vec::new() };
    let data = std::str::from_utf8(&data).unwrap_or_default();
    let events = reader.read(frame.event(), data).unwrap_or_default();
    events.into_iter().map(into_owned).collect()
}

fn into_owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Start { id, model } => {
            Event::Start { id: id.map(|id| id.into_owned()), model: model.map(|model| model.into_owned()) }
        }
        Event::Text { answer, text } => Event::Text { answer, text: text.into_owned() },
        Event::Thought { answer, text } => Event::Thought { answer, text: text.into_owned() },
        Event::Refusal { answer, text } => Event::Refusal { answer, text: text.into_owned() },
        Event::Signature { answer, signature, is_redacted } => {
            Event::Signature { answer, signature: signature.into_owned(), is_redacted }
        }
        Event::ToolCall { answer, call, id, name } => {
            Event::ToolCall { answer, call, id: id.into_owned(), name: name.into_owned() }
        }
        Event::Arguments { answer, call, fragment } => {
            Event::Arguments { answer, call, fragment: fragment.into_owned() }
        }
        Event::Citation { answer, citation } => {
            Event::Citation { answer, citation: Box::new(super::super::events::into_owned(*citation)) }
        }
        Event::Finish { answer, reason } => Event::Finish { answer, reason: reason.into_owned() },
        Event::Usage(usage) => Event::Usage(usage),
        Event::Logprobs { .. } => unreachable!("the dialect has none"),
        Event::End => Event::End,
    }
}

/// The streams of a recording: one text of frames per answer.
fn streams(exchange: &Value) -> Vec<String> {
    let Some(sse) = exchange["response"]["sse"].as_str() else { return Vec::new() };
    let sse = sse.replace("\r\n", "\n");
    let mut streams: Vec<String> = Vec::new();
    for frame in sse.split_inclusive("\n\n") {
        match streams.last_mut() {
            Some(last) if !frame.contains("\"type\":\"message_start\"") => last.push_str(frame),
            _ => streams.push(frame.to_owned()),
        }
    }
    streams
}

#[test]
fn recorded_streams_keep_their_meaning() {
    let mut seen = 0;
    for (id, exchange) in recordings() {
        for stream in streams(&exchange) {
            let recorded = client::message(&client::frames(&stream));
            let events = events(&[stream.as_bytes()]);
            assert!(matches!(events.first(), Some(Event::Start { id: Some(_), model: Some(_) })), "{id}");
            assert!(matches!(events.last(), Some(Event::End)), "{id}");
            let finishes = events.iter().filter(|event| matches!(event, Event::Finish { .. })).count();
            assert_eq!(finishes, 1, "{id}");
            check_events(&id, &events, &recorded);
            check(&id, &client::message(&client::frames(&streamed(&events))), &recorded, true);
            seen += 1;
        }
    }
    assert!(seen >= 29 || seen == 0, "{seen}");
}

/// Compares the pieces, joined without the writer, with what was recorded.
fn check_events(id: &str, events: &[Event<'_>], recorded: &Value) {
    let (mut text, mut thoughts, mut calls) =
        (String::new(), String::new(), Vec::<(String, String, String)>::new());
    for event in events {
        match event {
            Event::Text { text: piece, .. } => text.push_str(&piece.decode()),
            Event::Thought { text: piece, .. } => thoughts.push_str(&piece.decode()),
            Event::ToolCall { call, id, name, .. } => {
                assert_eq!(*call as usize, calls.len());
                calls.push((id.decode().into_owned(), name.decode().into_owned(), String::new()));
            }
            Event::Arguments { call, fragment, .. } => calls[*call as usize].2.push_str(&fragment.decode()),
            Event::Finish { reason: Finish::ToolCalls, .. } => assert!(!calls.is_empty()),
            Event::Citation { citation, .. } => {
                let (from, to) = citation.place.expect("a place");
                let cited: String = text.chars().skip(from as usize).take((to - from) as usize).collect();
                let is_whole = |block: &Value| block["text"] == *cited && !block["citations"].is_null();
                assert!(
                    recorded["content"].as_array().expect("content").iter().any(is_whole),
                    "{id}: {cited}"
                );
            }
            _ => {}
        }
    }
    let blocks = recorded["content"].as_array().expect("content");
    let joined = |kind: &str, member: &str| -> String {
        blocks
            .iter()
            .filter(|block| block["type"] == kind)
            .map(|block| block[member].as_str().expect("text"))
            .collect()
    };
    assert_eq!((text, thoughts), (joined("text", "text"), joined("thinking", "thinking")), "{id}");
    let recorded = blocks.iter().filter(|block| block["type"] == "tool_use");
    let recorded: Vec<_> =
        recorded.map(|block| (block["id"].clone(), block["name"].clone(), block["input"].clone())).collect();
    let calls: Vec<_> = calls
        .into_iter()
        .map(|(id, name, arguments)| (Value::from(id), Value::from(name), super::json(arguments.as_bytes())))
        .collect();
    assert_eq!(calls, recorded, "{id}");
}

#[test]
fn a_stream_says_the_same_however_it_is_cut() {
    for (id, exchange) in recordings() {
        for stream in streams(&exchange) {
            let whole = events(&[stream.as_bytes()]);
            let step = 1 + stream.len() * stream.len() / 500_000;
            for cut in (0..stream.len()).step_by(step) {
                let (before, after) = stream.as_bytes().split_at(cut);
                assert_eq!(events(&[before, after]), whole, "{id} at {cut}");
                let _: Events<'_> = events(&[before]).into_iter().collect();
            }
        }
    }
}
