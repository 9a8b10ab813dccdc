//! Every recorded exchange, read and written again in the same dialect.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::meaning::{self, Said, get, list};
use super::recorded::{Recording, recordings};
use super::{chunks, object, stamp, written};
use crate::dialect::Usage;
use crate::dialect::chat::{
    Answer, Arguments, Dropped, Event, Events, Finish, Part, Signature, StreamFault, Thought, ToolCall, Words,
};
use crate::dialect::gemini::{StreamReader, read_error, read_reply, read_request, write_reply};
use crate::dialect::json::Text;
use crate::dialect::sse::Reader;
use crate::error::{RequestError, UpstreamError};

/// Arguments come in pieces, which the plain comparison does not put together.
const IN_PIECES: &str = "gemini-native-stream-toolcall-67e6c5e";

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn requests_keep_their_meaning() {
    for recording in recordings().iter().filter(|recording| recording.request.is_object()) {
        let raw = object(&recording.request.to_string());
        let mut dropped = Dropped::default();
        let conversation = match read_request(&raw, &mut dropped) {
            Ok(conversation) => conversation,
            Err(RequestError::Invalid { param: Some("cachedContent"), .. }) => {
                assert!(recording.request["cachedContent"].is_string(), "{}", recording.id);
                continue;
            }
            Err(error) => panic!("{}: {error}", recording.id),
        };
        let (again, lost) = written(&conversation, &recording.model);
        assert_eq!(lost, "", "{}", recording.id);
        check_request(recording, &again);
    }
}

fn check_request(recording: &Recording, again: &Value) {
    let (id, request) = (&recording.id, &recording.request);
    assert_eq!(meaning::contents(&again["contents"]), meaning::contents(&request["contents"]), "{id}");
    assert_eq!(meaning::functions(again), meaning::functions(request), "{id}");
    let system = |request: &Value| {
        let parts = list(&get(request, "systemInstruction")["parts"]).into_iter();
        parts.map(|part| part["text"].as_str().unwrap_or_default().to_owned()).collect::<String>()
    };
    assert_eq!(system(again), system(request), "{id}");
    let calling = |request: &Value| get(get(request, "toolConfig"), "functionCallingConfig").clone();
    let allowed = calling(request)["allowedFunctionNames"].as_array().map_or(0, Vec::len);
    assert_eq!(calling(again)["mode"], calling(request)["mode"], "{id}");
    if allowed == 1 {
        assert_eq!(calling(again), calling(request), "{id}");
    }
    let (config, before) = (&again["generationConfig"], get(request, "generationConfig"));
    for name in ["temperature", "topP", "topK", "seed", "maxOutputTokens", "stopSequences", "thinkingConfig"]
    {
        assert_eq!(config[name], *get(before, name), "{id}: {name}");
    }
    let form = [get(before, "responseJsonSchema"), get(before, "responseSchema")];
    let form = form.into_iter().find(|form| form.is_object()).map_or(Value::Null, meaning::schema);
    assert_eq!(config["responseJsonSchema"], form, "{id}");
    assert_eq!(config["responseMimeType"], *get(before, "responseMimeType"), "{id}");
}

/// The usage that a `usageMetadata` states, counted here.
fn usage_of(counts: &Value) -> Option<(u64, u64, u64, u64, u64)> {
    let number = |name: &str| counts[name].as_u64().unwrap_or(0);
    let prompt = number("promptTokenCount") + number("toolUsePromptTokenCount");
    let completion = number("candidatesTokenCount") + number("thoughtsTokenCount");
    let total = counts["totalTokenCount"].as_u64().unwrap_or(prompt + completion);
    let usage = (prompt, completion, number("cachedContentTokenCount"), number("thoughtsTokenCount"), total);
    (total > 0).then_some(usage)
}

fn counted(usage: Usage) -> (u64, u64, u64, u64, u64) {
    (usage.prompt, usage.completion, usage.cached, usage.reasoning, usage.total)
}

fn finish_of(said: &Said) -> Finish<'static> {
    match said.finish.as_str() {
        "MAX_TOKENS" => Finish::Length,
        "SAFETY" => Finish::ContentFilter,
        "STOP" if !said.calls.is_empty() => Finish::ToolCalls,
        "STOP" => Finish::Stop,
        other => panic!("not in any recording: {other}"),
    }
}

fn check_answer(id: &str, answer: &Answer<'_>, said: &Said) {
    let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
    let mut signatures = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Text(words) => text += &words.text.decode(),
            Part::Thought(thought) => {
                thoughts += &thought.text.decode();
                signatures.extend(thought.signature.as_ref().map(|own| own.data.decode().into_owned()));
            }
            Part::ToolCall(call) => {
                calls.push(json!([call.name.decode(), value(&call.arguments.as_object())]));
                assert!(!call.id.is_empty(), "{id}");
            }
            Part::Media(_) => {}
            other => panic!("{id}: {other:?}"),
        }
    }
    assert_eq!(
        (text, thoughts, calls),
        (said.text.clone(), said.thoughts.clone(), said.calls.clone()),
        "{id}"
    );
    let recorded: Vec<_> = said.signatures.iter().map(|(_, signature)| signature.clone()).collect();
    assert_eq!(signatures, recorded, "{id}");
    assert_eq!(answer.finish, finish_of(said), "{id}");
}

#[test]
fn whole_replies_keep_their_meaning() {
    for recording in recordings().iter().filter(|recording| recording.is_whole()) {
        let id = &recording.id;
        let body = recording.body.to_string();
        let reply = read_reply(&body).unwrap_or_else(|error| panic!("{id}: {error}"));
        let said = Said::of(std::slice::from_ref(&recording.body));
        assert_eq!(reply.answers.len(), 1, "{id}");
        check_answer(id, &reply.answers[0], &said);
        assert_eq!(reply.usage.map(counted), usage_of(&recording.body["usageMetadata"]), "{id}");
        assert_eq!(
            reply.id.as_ref().map(|id| id.decode().into_owned()).as_deref(),
            recording.body["responseId"].as_str()
        );
        let mut out = BytesMut::new();
        write_reply(&reply, &stamp(), &mut out);
        let again: Value = serde_json::from_slice(&out).expect("JSON");
        check_written(id, std::slice::from_ref(&again), &said);
        assert_eq!(usage_of(&again["usageMetadata"]), usage_of(&recording.body["usageMetadata"]), "{id}");
        assert_eq!(
            (&again["modelVersion"], &again["responseId"]),
            (&json!("our-model"), &recording.body["responseId"])
        );
    }
}

fn check_written(id: &str, chunks: &[Value], said: &Said) {
    let again = Said::of(chunks);
    // Server tools leave no parts behind, so places that count from a part count from the text.
    assert_eq!(again.cited, said.cited, "{id}");
    assert_eq!(again, *said, "{id}");
}

fn read_chunks(id: &str, chunks: &[String]) -> Vec<Event<'static>> {
    let mut reader = StreamReader::default();
    let mut events = Vec::new();
    for chunk in chunks {
        let read = reader.read(None, chunk).unwrap_or_else(|fault| panic!("{id}: {fault:?}"));
        events.extend(read.into_iter().map(owned));
    }
    events
}

/// The same piece, kept beyond what it was read from.
fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Start { id, model } => {
            Event::Start { id: id.map(Text::into_owned), model: model.map(Text::into_owned) }
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
        Event::Finish { answer, reason } => Event::Finish { answer, reason: reason.into_owned() },
        Event::Usage(usage) => Event::Usage(usage),
        Event::End => Event::End,
        Event::Logprobs { .. } => panic!("never given"),
        Event::Citation { answer, citation } => {
            let keep = |text: Option<Text<'_>>| text.map(Text::into_owned);
            let (url, title, quote) = (keep(citation.url), keep(citation.title), keep(citation.quote));
            let citation = crate::dialect::chat::Citation { url, title, quote, place: citation.place };
            Event::Citation { answer, citation: Box::new(citation) }
        }
    }
}

/// The pieces of an answer, put together.
fn joined(events: &[Event<'static>]) -> (Answer<'static>, Option<Usage>) {
    let (mut answer, mut usage, mut calls) = (Answer::default(), None, 0);
    let mut finishes = 0;
    for (place, event) in events.iter().cloned().enumerate() {
        match event {
            Event::Start { .. } => assert_eq!(place, 0),
            Event::Text { text, .. } => answer.parts.push(Part::Text(Words { text, ..Words::default() })),
            Event::Thought { text, .. } => {
                answer.parts.push(Part::Thought(Box::new(Thought { text, ..Thought::default() })));
            }
            Event::Signature { signature, is_redacted, .. } => {
                let thought = Thought { signature: Some(signature), is_redacted, ..Thought::default() };
                answer.parts.push(Part::Thought(Box::new(thought)));
            }
            Event::ToolCall { call, id, name, .. } => {
                assert_eq!(call, calls);
                calls += 1;
                let arguments = Arguments::Text(Text::default());
                answer.parts.push(Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: None })));
            }
            Event::Arguments { fragment, .. } => {
                let Some(Part::ToolCall(call)) = answer.parts.last_mut() else { panic!("no call") };
                call.arguments = Arguments::Text(Text::join([&call.arguments.as_text(), &fragment], ""));
            }
            Event::Finish { reason, .. } => {
                finishes += 1;
                answer.finish = reason;
            }
            Event::Usage(counted) => usage = Some(counted),
            Event::Citation { .. } | Event::End => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(finishes, 1);
    (answer, usage)
}

#[test]
fn streams_keep_their_meaning() {
    for recording in recordings().iter().filter(|recording| recording.status == 200) {
        let (id, texts) = (&recording.id, recording.chunks());
        if texts.is_empty() || id == IN_PIECES {
            continue;
        }
        let recorded: Vec<_> = texts.iter().map(|text| value(text)).collect();
        let said = Said::of(&recorded);
        let events = read_chunks(id, &texts);
        let (answer, usage) = joined(&events);
        check_answer(id, &answer, &said);
        let last = recorded.iter().rev().find_map(|chunk| usage_of(&chunk["usageMetadata"]));
        assert_eq!(usage.map(counted), last, "{id}");
        let again = chunks(events);
        check_written(id, &again, &said);
        let finishing = |chunk: &Value| chunk["candidates"][0]["finishReason"].is_string();
        assert_eq!(again.iter().filter(|chunk| finishing(chunk)).count(), 1, "{id}");
        let counted = again.last().map(|chunk| usage_of(&chunk["usageMetadata"]));
        assert_eq!(counted, Some(last), "{id}");
    }
}

#[test]
fn a_call_that_comes_in_pieces_is_told_whole() {
    let Some(recording) = recordings().into_iter().find(|recording| recording.id == IN_PIECES) else {
        return;
    };
    let (answer, _) = joined(&read_chunks(IN_PIECES, &recording.chunks()));
    let call = |part: &Part<'_>| match part {
        Part::ToolCall(call) => Some(json!([call.name.decode(), value(&call.arguments.as_object())])),
        _ => None,
    };
    let calls: Vec<_> = answer.parts.iter().filter_map(call).collect();
    let expected =
        [json!(["getWeather", {"location": "Boston"}]), json!(["getWeather", {"location": "San Francisco"}])];
    assert_eq!(calls, expected);
    assert_eq!(answer.finish, Finish::ToolCalls);
    let signed = |part: &Part<'_>| matches!(part, Part::Thought(thought) if matches!(&thought.signature, Some(Signature { .. })));
    assert!(signed(&answer.parts[0]));
}

#[test]
fn a_stream_is_the_same_however_the_network_cuts_it() {
    for recording in recordings() {
        let Some(sse) = &recording.sse else { continue };
        let expected = read_chunks(&recording.id, &recording.chunks());
        let step = if sse.len() > 4000 { 97 } else { 1 };
        for cut in (0..sse.len()).step_by(step) {
            let (before, after) = sse.as_bytes().split_at(cut);
            let (mut frames, mut reader) = (Reader::default(), StreamReader::default());
            let mut events = Vec::new();
            for chunk in [before, after] {
                frames.push(Bytes::copy_from_slice(chunk));
                while let Ok(Some(frame)) = frames.next_frame() {
                    let Some(data) = frame.data() else { continue };
                    let data = std::str::from_utf8(&data).expect("UTF-8");
                    let read: Result<Events<'_>, StreamFault> = reader.read(frame.event(), data);
                    events.extend(read.expect("reads").into_iter().map(owned));
                }
            }
            assert!(events == expected, "{} cut at {cut}", recording.id);
        }
    }
}

#[test]
fn errors_say_what_google_said() {
    let codes = [(404, Some("model_not_found")), (429, Some("rate_limit_exceeded")), (400, None)];
    for recording in recordings().iter().filter(|recording| recording.status >= 400) {
        let status = u16::try_from(recording.status).expect("a status");
        let error = &recording.body["error"];
        for body in [recording.body.to_string(), format!("[{}]", recording.body)] {
            let refusal = read_error(status, body.as_bytes());
            assert_eq!(Some(&*refusal.message), error["message"].as_str(), "{}", recording.id);
            assert_eq!(refusal.status, Some(status));
            assert!(codes.contains(&(status, refusal.code.as_deref())), "{}", recording.id);
            let waits = refusal.retry_after.map(|after| format!("{}s", after.as_secs()));
            let delay = list(&error["details"])
                .iter()
                .find_map(|detail| detail["retryDelay"].as_str().map(str::to_owned));
            assert_eq!(waits, delay, "{}", recording.id);
            let Err(UpstreamError::Refused(inside)) = read_reply(&body) else { panic!("{}", recording.id) };
            assert_eq!((inside.status, &inside.message), (Some(status), &refusal.message));
        }
    }
}

#[test]
fn no_wait_is_longer_than_a_day() {
    for (delay, seconds) in [("1.5s", 2), ("86400s", 86_400), ("86400.1s", 86_400), ("4294967295s", 86_400)] {
        let details = json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }]);
        let body = json!({ "error": { "code": 429, "message": "slowly", "details": details } }).to_string();
        let waits = read_error(429, body.as_bytes()).retry_after;
        assert_eq!(waits, Some(std::time::Duration::from_secs(seconds)), "{delay}");
    }
}
