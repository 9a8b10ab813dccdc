//! Every recorded exchange of this dialect, read and written again.
//!
//! What an answer says is found here a second time, from the recording and without the codec.

use super::*;
use crate::dialect::chat::{Finish, Part, Reply, StreamFault};
use crate::dialect::sse::Reader;

/// Recordings of this dialect as (id, the whole).
fn recordings() -> Vec<(String, Value)> {
    recorded(|entry| entry["api"] == "openai-chat")
}

fn is_there(value: &Value) -> bool {
    !value.is_null() && *value != "" && *value != Value::Array(Vec::new())
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Texts and media of a content, in their order.
fn pieces(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(parts) => parts
            .iter()
            .filter(|part| part["type"] != "thinking")
            .map(|part| {
                let url = |name: &str| string(&part[name]) + part[name]["url"].as_str().unwrap_or_default();
                match part["type"].as_str().unwrap_or_default() {
                    "text" => string(&part["text"]),
                    "image_url" => url("image_url") + &string(&part["image_url"]["detail"]),
                    "input_audio" => {
                        string(&part["input_audio"]["data"]) + &string(&part["input_audio"]["format"])
                    }
                    "file" => part["file"].to_string(),
                    other => panic!("a part {other}"),
                }
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The messages, one line each, in the form in which they are written.
fn lines(body: &Value) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for message in body["messages"].as_array().expect("messages") {
        let role = match message["role"].as_str().expect("a role") {
            "developer" => "system",
            "function" => "tool",
            role => role,
        };
        let separator = match role {
            "system" | "tool" => "\n",
            "assistant" => "",
            _ => "|",
        };
        let said = pieces(&message["content"]).join(separator);
        let calls: Vec<&Value> = message["tool_calls"].as_array().into_iter().flatten().collect();
        let calls: Vec<String> = calls
            .iter()
            .map(|call| {
                format!("{}{}{}", call["id"], call["function"]["name"], call["function"]["arguments"])
            })
            .collect();
        let rest = calls.concat() + &string(&message["tool_call_id"]);
        match lines.last_mut() {
            Some((last, all)) if role == "system" && last == "system" => *all = format!("{all}\n{said}"),
            _ => lines.push((role.to_owned(), format!("{said}{rest}"))),
        }
    }
    lines.into_iter().map(|(role, said)| format!("{role}: {said}")).collect()
}

/// Members whose value is the same on both sides, whatever their name.
fn settings(body: &Value) -> Vec<(&'static str, Value)> {
    const SAME: [&str; 18] = [
        "temperature",
        "top_p",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "reasoning_effort",
        "user",
        "metadata",
        "store",
        "service_tier",
        "logprobs",
        "top_logprobs",
        "stream",
        "response_format",
        "parallel_tool_calls",
        "prompt_cache_key",
        "safety_identifier",
        "tool_choice",
    ];
    let mut found: Vec<_> = SAME.into_iter().map(|name| (name, body[name].clone())).collect();
    let stop = match &body["stop"] {
        Value::String(one) => Value::Array(vec![one.clone().into()]),
        other => other.clone(),
    };
    found.push(("stop", stop));
    found.push(("n", body["n"].as_u64().filter(|n| *n != 1).into()));
    let most = if is_there(&body["max_tokens"]) { "max_tokens" } else { "max_completion_tokens" };
    found.push(("max_tokens", body[most].clone()));
    for (name, value) in &mut found {
        // Written only where it says something.
        let is_usual = (["stream", "logprobs"].contains(name) && *value == false)
            || (*name == "response_format" && value["type"] == "text");
        if is_usual {
            *value = Value::Null;
        }
    }
    found
}

#[test]
fn recorded_requests_mean_the_same_when_they_are_written_again() {
    let mut count = 0;
    for (id, recording) in recordings() {
        let body = &recording["request"]["body"];
        if !body.is_object() {
            continue;
        }
        count += 1;
        let text = body.to_string();
        let object = object(&text);
        let mut dropped = Dropped::default();
        let conversation =
            read_request(&object, &mut dropped).unwrap_or_else(|error| panic!("{id}: {error}"));
        let (again, lost) = written(&conversation, &Manners::default());
        assert_eq!(lines(&again), lines(body), "{id}");
        let is_legacy = body.get("functions").is_some();
        for ((name, was), (_, is)) in settings(body).into_iter().zip(settings(&again)) {
            let is_excused = match name {
                "tool_choice" => is_legacy || is_there(&was["name"]) || !is_there(&body["tools"]),
                "parallel_tool_calls" => !is_there(&body["tools"]),
                // Other words for it.
                "reasoning_effort" => is_there(&body["reasoning"]) || is_there(&body["thinking"]),
                // A name is added, which the dialect asks for.
                "response_format" => {
                    was["type"] == "json_schema"
                        && !is_there(&was["json_schema"]["name"])
                        && is["json_schema"]["schema"] == was["json_schema"]["schema"]
                }
                _ => false,
            };
            assert!(is_excused || was == is || was.is_null() && is.is_null(), "{id}: {name}: {was} {is}");
        }
        check_tools(&id, body, &again);
        let known: Vec<String> = dropped.names().map(str::to_owned).collect();
        for (name, value) in body.as_object().expect("an object").iter().filter(|(_, value)| !value.is_null())
        {
            let is_carried = again.get(name).is_some()
                || ["functions", "function_call", "reasoning", "thinking"].contains(&name.as_str());
            let is_usual = [Value::from(1), false.into(), Value::Array(Vec::new())].contains(value);
            let is_told = known.contains(name)
                || lost.contains(name.as_str())
                || known.iter().any(|told| told.starts_with(&format!("{name}.")));
            let is_other = [
                "max_completion_tokens",
                "tool_choice",
                "parallel_tool_calls",
                "stream_options",
                "response_format",
            ]
            .contains(&name.as_str());
            assert!(
                is_carried || is_told || is_usual || is_other,
                "{id}: {name} vanishes; told: {known:?} {lost}"
            );
        }
    }
    assert!(count > 100 || count == 0);
}

fn check_tools(id: &str, body: &Value, again: &Value) {
    let own = body["tools"].as_array().into_iter().flatten().filter(|tool| tool["type"] == "function");
    let mut own: Vec<Value> = own.map(|tool| tool["function"].clone()).collect();
    own.extend(body["functions"].as_array().into_iter().flatten().cloned());
    let again = again["tools"].as_array().into_iter().flatten().map(|tool| tool["function"].clone());
    assert_eq!(again.collect::<Vec<_>>(), own, "{id}");
}

/// What an answer says.
#[derive(Debug, Default, PartialEq)]
struct Said {
    content: String,
    thoughts: String,
    refusal: String,
    /// Names and arguments, and ids where the provider gave one.
    calls: Vec<[String; 3]>,
    finish: String,
    sources: Vec<String>,
    usage: Option<(u64, u64)>,
}

impl Said {
    fn take(&mut self, choice: &Value, message: &Value) {
        match &message["content"] {
            Value::Array(parts) => {
                for part in parts {
                    self.content += &string(&part["text"]);
                    for thought in part["thinking"].as_array().into_iter().flatten() {
                        self.thoughts += &string(&thought["text"]);
                    }
                }
            }
            content => self.content += &string(content),
        }
        let own = ["reasoning_content", "reasoning"].map(|name| string(&message[name]));
        self.thoughts += own.iter().find(|text| !text.is_empty()).map_or("", String::as_str);
        self.refusal += &string(&message["refusal"]);
        for annotation in message["annotations"].as_array().into_iter().flatten() {
            self.sources.extend(annotation["url_citation"]["url"].as_str().map(str::to_owned));
        }
        if is_there(&message["function_call"]["name"]) {
            let call = &message["function_call"];
            self.calls.push([String::new(), string(&call["name"]), string(&call["arguments"])]);
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let (function, custom) = (&call["function"], &call["custom"]);
            let name = string(&function["name"]) + custom["name"].as_str().unwrap_or_default();
            let arguments = string(&function["arguments"]) + custom["input"].as_str().unwrap_or_default();
            match call["index"].as_u64().and_then(|index| self.calls.get_mut(index as usize)) {
                Some(known) => known[2] += &arguments,
                None => self.calls.push([string(&call["id"]), name, arguments]),
            }
        }
        if is_there(&choice["finish_reason"]) {
            self.finish = string(&choice["finish_reason"]);
        }
    }

    fn count(&mut self, body: &Value) {
        let usage = if is_there(&body["usage"]) { &body["usage"] } else { &body["x_groq"]["usage"] };
        if let (Some(prompt), Some(completion)) =
            (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64())
        {
            let reasoning = usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap_or(0);
            let is_beside =
                reasoning > 0 && usage["total_tokens"].as_u64() == Some(prompt + completion + reasoning);
            self.usage = Some((prompt, completion + if is_beside { reasoning } else { 0 }));
        }
        let pages: Vec<_> = body["citations"].as_array().into_iter().flatten().map(string).collect();
        if !pages.is_empty() {
            self.sources = pages;
        }
    }

    /// In this dialect's own words, as they are written.
    fn tidied(mut self) -> Self {
        let usual = if self.calls.is_empty() { "stop" } else { "tool_calls" };
        self.finish = match self.finish.as_str() {
            word @ ("length" | "content_filter") => word.to_owned(),
            "tool_calls" | "tool_call" | "function_call" => "tool_calls".to_owned(),
            _ => usual.to_owned(),
        };
        self
    }

    /// The same without ids that were made here.
    fn without_made_ids(mut self, from: &Self) -> Self {
        for (own, other) in self.calls.iter_mut().zip(&from.calls) {
            if other[0].is_empty() {
                assert!(own[0].starts_with("call_"), "{own:?}");
                own[0].clear();
            }
        }
        self
    }
}

fn said_of_reply(body: &Value) -> Vec<Said> {
    let choices = body["choices"].as_array().expect("choices");
    let said = |choice: &Value| {
        let mut said = Said::default();
        // Indexes of whole calls are places, too.
        let mut message = choice["message"].clone();
        for call in message["tool_calls"].as_array_mut().into_iter().flatten() {
            call.as_object_mut().expect("a call").remove("index");
        }
        said.take(choice, &message);
        said.count(body);
        said
    };
    choices.iter().map(said).collect()
}

#[test]
fn recorded_replies_say_the_same_when_they_are_written_again() {
    for (id, recording) in recordings() {
        let body = &recording["response"]["body"];
        if recording["response"]["status"] != 200 || !body.is_object() {
            continue;
        }
        let text = body.to_string();
        let reply = read_reply(&text).unwrap_or_else(|error| panic!("{id}: {error}"));
        let mut out = BytesMut::new();
        write_reply(&reply, &stamp(), &mut out);
        let again: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(again["model"], "mine");
        for (was, is) in said_of_reply(body).into_iter().zip(said_of_reply(&again)) {
            let was = was.tidied();
            assert_eq!(is.without_made_ids(&was), was, "{id}");
        }
        check_signatures(&id, body, &reply);
    }
}

/// Every signature that this gateway can give back is read.
fn check_signatures(id: &str, body: &Value, reply: &Reply<'_>) {
    let message = &body["choices"][0]["message"];
    let details = message["reasoning_details"].as_array().into_iter().flatten();
    let own = details.filter(|detail| !string(&detail["format"]).starts_with("xai"));
    // OpenAI's go with the id of their item.
    let of = |detail: &Value| {
        let is_openais = string(&detail["format"]).starts_with("openai") && detail["data"].is_string();
        let id = if is_openais { string(&detail["id"]) } else { String::new() };
        let data = string(&detail["signature"]) + &string(&detail["data"]);
        if id.is_empty() { data } else { format!("{id}:{data}") }
    };
    let mut wanted: Vec<String> = own.map(of).collect();
    wanted.push(string(&message["extra_content"]["google"]["thought_signature"]));
    wanted.retain(|signature| !signature.is_empty());
    let found = reply.answers.iter().flat_map(|answer| &answer.parts).filter_map(|part| match part {
        Part::Thought(thought) => {
            thought.signature.as_ref().map(|signature| signature.data.decode().into_owned())
        }
        _ => None,
    });
    assert_eq!(found.collect::<Vec<_>>(), wanted, "{id}");
}

fn said_of_chunks<'v>(chunks: impl Iterator<Item = &'v Value>) -> Vec<Said> {
    let mut all: Vec<Said> = vec![Said::default()];
    for chunk in chunks {
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let place = choice["index"].as_u64().unwrap_or(0) as usize;
            all.resize_with(all.len().max(place + 1), Said::default);
            all[place].take(choice, &choice["delta"]);
        }
        all[0].count(chunk);
    }
    all
}

/// The frames of a stream, as (event, data).
fn frames(reader: &mut Reader) -> Vec<(Option<Vec<u8>>, String)> {
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = reader.next_frame() {
        if let Some(data) = frame.data() {
            frames.push((frame.event().map(<[u8]>::to_vec), String::from_utf8_lossy(&data).into_owned()));
        }
    }
    frames
}

fn streams() -> impl Iterator<Item = (String, String)> {
    recordings()
        .into_iter()
        .filter_map(|(id, recording)| recording["response"]["sse"].as_str().map(|sse| (id, sse.to_owned())))
}

#[test]
fn recorded_streams_say_the_same_when_they_are_written_again() {
    let (mut count, mut failed) = (0, 0);
    for (id, sse) in streams() {
        count += 1;
        let mut source = Reader::default();
        source.push(Bytes::from(sse));
        let frames = frames(&mut source);
        let (mut reader, mut writer, mut out) =
            (StreamReader::default(), StreamWriter::new(stamp()), BytesMut::new());
        let mut has_failed = false;
        let mut finishes = Vec::new();
        for (event, data) in &frames {
            match reader.read(event.as_deref(), data) {
                Ok(events) => {
                    for event in &events {
                        if let Event::Finish { answer, .. } = event {
                            assert!(!finishes.contains(answer), "{id}: finishes twice");
                            finishes.push(*answer);
                        }
                        writer.write(event, &mut out);
                    }
                }
                Err(StreamFault::Failed(_)) => has_failed = true,
                Err(StreamFault::Malformed) => panic!("{id}: {data}"),
            }
        }
        let recorded: Vec<Value> =
            frames.iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect();
        if recorded.iter().any(|chunk| is_there(&chunk["error"])) {
            assert!(has_failed, "{id}");
            failed += 1;
            continue;
        }
        assert!(!has_failed, "{id}");
        writer.close(&mut out);
        let again = chunks(&out);
        let (was, is) = (said_of_chunks(recorded.iter()), said_of_chunks(again.iter()));
        assert_eq!(was.len(), is.len(), "{id}");
        for (place, (was, mut is)) in was.into_iter().zip(is).enumerate() {
            let was = was.tidied();
            // Without a count there are zeros, and only the first has one.
            is.usage = is.usage.filter(|_| was.usage.is_some() && place == 0);
            assert_eq!(is.without_made_ids(&was), was, "{id}");
        }
    }
    assert!(count == 0 || (count > 40 && failed >= 3), "{count} streams, {failed} failed");
}

#[test]
fn recorded_streams_are_read_wherever_they_are_cut() {
    for (id, sse) in streams() {
        let whole = {
            let mut source = Reader::default();
            source.push(Bytes::from(sse.clone()));
            frames(&mut source).len()
        };
        let step = (sse.len() / 200).max(1);
        for cut in (0..sse.len()).step_by(step) {
            let mut source = Reader::default();
            let (left, right) = sse.as_bytes().split_at(cut);
            source.push(Bytes::copy_from_slice(left));
            let mut all = frames(&mut source);
            source.push(Bytes::copy_from_slice(right));
            all.extend(frames(&mut source));
            assert_eq!(all.len(), whole, "{id} cut at {cut}");
        }
    }
}

#[test]
fn events_that_are_cut_are_read_or_malformed() {
    for (_, sse) in streams() {
        let mut source = Reader::default();
        source.push(Bytes::from(sse));
        let mut reader = StreamReader::default();
        for (event, data) in frames(&mut source).iter().take(12) {
            for cut in (0..data.len()).step_by((data.len() / 60).max(1)) {
                let Some(half) = data.get(..cut) else { continue };
                assert!(reader.read(event.as_deref(), half).is_err(), "{half}");
            }
        }
    }
}

#[test]
fn recorded_errors_give_their_words() {
    for (id, recording) in recordings() {
        let status = recording["response"]["status"].as_u64().expect("a status") as u16;
        if status < 400 {
            continue;
        }
        let body = &recording["response"]["body"];
        let words = if body["error"].is_string() { &body["error"] } else { &body["error"]["message"] };
        let refusal = read_error(status, body.to_string().as_bytes());
        assert_eq!((refusal.status, refusal.message), (Some(status), string(words)), "{id}");
    }
}

#[test]
fn the_finish_of_recordings_is_known() {
    for (word, calls, refuses, wanted) in [
        ("\"eos\"", false, false, Finish::Stop),
        ("\"\"", false, false, Finish::Stop),
        ("\"stop\"", true, false, Finish::ToolCalls),
        ("\"stop\"", false, true, Finish::Refusal),
        ("\"tool_call\"", true, false, Finish::ToolCalls),
        ("\"function_call\"", true, false, Finish::ToolCalls),
        ("\"model_length\"", false, false, Finish::Length),
        ("\"length\"", true, false, Finish::Length),
        ("\"content_filter\"", false, false, Finish::ContentFilter),
    ] {
        assert_eq!(reply::finish(word, calls, refuses), wanted, "{word}");
    }
}
