//! What comes back: the same words, the same count of tokens, and the end that the caller's dialect has.

use std::sync::{Arc, Mutex};

use super::*;

/// Plays every recording of every pair, and hands both sides to `check`.
fn play(is_stream: bool, check: impl Fn(Caller, Provider, &Recording, &Response) -> Result<(), String>) {
    let mut problems = Vec::new();
    for provider in PROVIDERS {
        let playing = Arc::new(Mutex::new(Answer::silence()));
        let answer = playing.clone();
        let upstream = Upstream::start(move |_, _| answer.lock().expect("no panic").clone());
        let usage = UsageFile::new();
        let gateway = provider.gateway(&upstream, &usage.settings());
        let mut count = 0;
        for recording in recordings(provider, is_stream) {
            *playing.lock().expect("no panic") = recording.answer();
            for caller in CALLERS {
                let response = caller.ask(&gateway, "m", is_stream, "").response();
                count += 1;
                let record = usage.wait_for(&gateway, count).pop().expect("one");
                let checked = check(caller, provider, &recording, &response)
                    .and_then(|()| check_tokens(&recording, provider, &record));
                problems
                    .extend(checked.err().map(|problem| format!("{caller:?} {}: {problem}", recording.id)));
            }
        }
    }
    assert!(problems.is_empty(), "{} problem(s):\n{}", problems.len(), problems.join("\n"));
}

fn check_tokens(recording: &Recording, provider: Provider, record: &Value) -> Result<(), String> {
    let count = |name: &str| record[name].as_u64().unwrap_or_default();
    let found = (count("prompt_tokens"), count("completion_tokens"));
    let wanted = recording.tokens(provider);
    // What the provider did not count is guessed.
    let is_same = |found: u64, wanted: u64| found == wanted || (wanted == 0 && found > 0);
    match is_same(found.0, wanted.0) && is_same(found.1, wanted.1) && record["status_code"] == 200 {
        true => Ok(()),
        false => Err(format!("{wanted:?} tokens, recorded {record}")),
    }
}

fn same(what: &str, found: &str, wanted: &str) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: {found:?}, not {wanted:?}")) }
}

#[test]
fn whole_answers_say_the_same_in_every_dialect() {
    play(false, |caller, provider, recording, response| {
        same("status", &response.status.to_string(), "200")?;
        same("type", response.header("content-type").unwrap_or_default(), "application/json")?;
        let body = response.json();
        same("words", &caller.words(&body), &recording.words(provider))?;
        let (model, ends) = match caller {
            Caller::Chat => (&body["model"], &body["choices"][0]["finish_reason"]),
            Caller::Responses => (&body["model"], &body["status"]),
            Caller::Messages => (&body["model"], &body["stop_reason"]),
            // It names the version that answered, and not the one that was asked for.
            Caller::Gemini => (&Value::Null, &body["candidates"][0]["finishReason"]),
        };
        if !model.is_null() {
            same("model", &text_of(model), "m")?;
        }
        if ends.is_string() { Ok(()) } else { Err(format!("no end: {body}")) }
    });
}

#[test]
fn streams_say_the_same_in_every_dialect() {
    play(true, |caller, provider, recording, response| {
        same("status", &response.status.to_string(), "200")?;
        same("type", response.header("content-type").unwrap_or_default(), "text/event-stream")?;
        let text = response.text().replace("\r\n", "\n");
        same("words", &caller.streamed_words(&text), &recording.words(provider))?;
        if caller.is_closed(&text) { Ok(()) } else { Err(format!("not closed: {text}")) }
    });
}

#[test]
fn words_are_translated_as_they_come() {
    for (caller, provider) in pairs() {
        let Some(recording) = recordings(provider, true).into_iter().next() else { return };
        // All but the last of the events that say something.
        let frames: Vec<&str> = recording.body.split_inclusive("\n\n").collect();
        let frames =
            if frames.len() > 1 { frames } else { recording.body.split_inclusive("\r\n\r\n").collect() };
        let gate = Gate::default();
        let (first, rest) = frames.split_at(frames.len() - 1);
        let answer = Answer::events().event(&first.concat()).wait(&gate).event(&rest.concat()).end();
        let upstream = Upstream::always(answer);
        let gateway = provider.gateway(&upstream, "");
        let mut stream = caller.ask(&gateway, "m", true, "").stream();
        let some = stream.until("\"").to_owned();
        assert!(!some.is_empty());
        assert_eq!(gateway.gateway.open_exchanges(), 1, "{caller:?} {provider:?}");
        gate.open();
        stream.rest();
        gateway.settled();
    }
}
