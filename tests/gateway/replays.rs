//! Kept answers as streams, and streams as kept answers: every recorded answer survives both ways.

use std::fs;
use std::path::PathBuf;

use aisix::dialect::replay::{Manner, gather, play};
use aisix::dialect::{Dialect, codec, sse};
use aisix::operation::Task;
use bytes::Bytes;
use serde_json::Value;

const MANNER: Manner = Manner { created: 1_700_000_000, wants_usage: true, is_array: false };

/// A recorded answer.
struct Recorded {
    id: String,
    task: Task,
    dialect: Dialect,
    is_stream: bool,
    body: String,
}

/// All good answers of conversations and completions; none where the recordings are not at hand.
fn recorded() -> Vec<Recorded> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings");
    let Ok(index) = fs::read_to_string(folder.join("index.json")) else { return Vec::new() };
    let rows: Vec<Value> = serde_json::from_str(&index).expect("an index");
    let read = |row: &Value| {
        let (task, dialect) = match row["api"].as_str().expect("an API") {
            "openai-chat" => (Task::Converse, Dialect::OpenAiChat),
            "openai-responses" => (Task::Converse, Dialect::OpenAiResponses),
            "anthropic-messages" => (Task::Converse, Dialect::Anthropic),
            "gemini" => (Task::Converse, Dialect::Gemini),
            "openai-completions" => (Task::Complete, Dialect::OpenAi),
            _ => return None,
        };
        let text = fs::read_to_string(folder.join(row["file"].as_str()?)).expect("a recording");
        let file: Value = serde_json::from_str(&text).expect("a recording");
        let response = &file["response"];
        let is_stream = response["sse"].is_string();
        let body = match is_stream {
            true => response["sse"].as_str()?.to_owned(),
            false if response["body"].is_object() => response["body"].to_string(),
            false => return None,
        };
        let id = file["id"].as_str()?.to_owned();
        (response["status"] == 200).then_some(Recorded { id, task, dialect, is_stream, body })
    };
    rows.iter().filter_map(read).collect()
}

fn json(bytes: &[u8]) -> Value {
    let mut json: Value = serde_json::from_slice(bytes).expect("JSON");
    if let Some(object) = json.as_object_mut() {
        object.remove("created");
    }
    for choice in json["choices"].as_array_mut().into_iter().flatten() {
        // Perplexity repeats the message.
        choice.as_object_mut().map(|choice| choice.remove("delta"));
    }
    json
}

/// What two spellings of one thing may differ in: members that say nothing, and numbers of what stands in order.
fn without_nothing(value: Value) -> Value {
    let is_something = |value: &Value| {
        let is_empty = value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty);
        !value.is_null() && !is_empty && *value != ""
    };
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, without_nothing(value)))
            .filter(|(name, value)| name != "index" && is_something(value))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nothing).collect(),
        other => other,
    }
}

#[test]
fn a_whole_answer_is_the_same_after_being_streamed() {
    let (mut problems, mut left, mut count) = (Vec::new(), Vec::new(), 0);
    for answer in recorded().iter().filter(|answer| !answer.is_stream) {
        let Recorded { id, task, dialect, body, .. } = answer;
        count += 1;
        let Some(frames) = play(*task, *dialect, body.as_bytes(), &MANNER) else {
            left.push(format!("{id}: not played"));
            continue;
        };
        match gather(*task, *dialect, false, frames, None) {
            None => left.push(format!("{id}: not gathered")),
            Some(again) => {
                let (again, first) = (without_nothing(json(&again)), without_nothing(json(body.as_bytes())));
                if again != first {
                    problems.push(format!("{id}: {again}\n  was {first}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{} of {count}: {}", problems.len(), problems.join("\n"));
    // What is not certain is left to the provider; it must be little.
    assert!(left.len() * 10 <= count, "{} of {count} are left: {left:#?}", left.len());
}

/// What a stream says, by the reader that the gateway reads providers with.
fn words(answer: &Recorded) -> String {
    let task = answer.task;
    let mut reader =
        if task == Task::Complete { codec::Reader::Completions } else { codec::Reader::of(answer.dialect) };
    let mut frames = sse::Reader::default();
    frames.push(Bytes::copy_from_slice(answer.body.as_bytes()));
    let mut words = String::new();
    while let Some(frame) = frames.next_frame().expect("small") {
        let Some(data) = frame.data() else { continue };
        let text = std::str::from_utf8(&data).expect("UTF-8");
        if matches!(text.trim(), "" | "[DONE]") {
            continue;
        }
        for event in reader.read(frame.event(), text).expect("a good stream") {
            words.extend(event.words().map(|words| words.decode().into_owned()));
        }
    }
    words
}

#[test]
fn what_a_stream_adds_up_to_says_all_of_its_words() {
    let (mut problems, mut refused, mut count) = (Vec::new(), Vec::new(), 0);
    for answer in recorded().iter().filter(|answer| answer.is_stream) {
        let Recorded { id, task, dialect, body, .. } = answer;
        count += 1;
        let stream = Bytes::copy_from_slice(body.as_bytes());
        let Some(whole) = gather(*task, *dialect, false, stream, None) else {
            refused.push(id.clone());
            continue;
        };
        let reply = codec::own_reply(*task, *dialect, whole.clone(), "\"m\"");
        assert!(reply.is_ok(), "{id}: {reply:?}");
        let frames = play(*task, *dialect, &whole, &MANNER).expect("what was gathered can be played");
        let again = Recorded {
            id: id.clone(),
            task: *task,
            dialect: *dialect,
            is_stream: true,
            body: String::from_utf8(frames.to_vec()).expect("UTF-8"),
        };
        let sorted = |text: String| {
            let mut bytes: Vec<char> = text.chars().collect();
            bytes.sort_unstable();
            bytes
        };
        if sorted(words(answer)) != sorted(words(&again)) {
            problems.push(format!("{id}: {:?}\n  was {:?}", words(&again), words(answer)));
        }
        let second = gather(*task, *dialect, false, frames, None).expect("what was played can be gathered");
        assert_eq!(without_nothing(json(&second)), without_nothing(json(&whole)), "{id}");
    }
    assert!(problems.is_empty(), "{} of {count}: {}", problems.len(), problems.join("\n"));
    assert!(refused.len() * 10 <= count, "{} of {count} are left: {refused:#?}", refused.len());
}
