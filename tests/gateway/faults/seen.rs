//! What a caller sees of an answer: its words, where it begins and how it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::way::{Caller, Way};
use crate::harness::Response;

/// See the module.
#[derive(Debug)]
pub struct Seen {
    pub way: Way,
    pub response: Response,
    /// How long it took.
    pub took: Duration,
    /// The words of the answer.
    pub said: String,
    /// Why it ended, in the caller's words.
    pub finish: Option<String>,
    /// The type of the error that came instead of it, or that broke it off.
    pub error: Option<String>,
    /// Input and output tokens, where the answer tells them.
    pub usage: Option<(u64, u64)>,
    /// Names and arguments of the tools that it calls.
    pub calls: String,
}

/// One event of a stream.
#[derive(Debug)]
struct Event {
    name: String,
    data: Value,
    is_done: bool,
}

impl Seen {
    /// Reads an answer, which has to be in the form of its dialect: whole, or broken off and never both.
    pub fn read(way: Way, response: Response, took: Duration) -> Self {
        let (said, calls) = (String::new(), String::new());
        let mut seen = Self { way, response, took, said, finish: None, error: None, usage: None, calls };
        let is_stream = seen.response.header("content-type") == Some("text/event-stream");
        match (seen.response.status, is_stream) {
            (200, true) => seen.read_stream(),
            (200, false) => seen.read_whole(),
            _ => seen.read_envelope(),
        }
        seen
    }

    /// Whether the answer came to its end.
    pub fn is_whole(&self) -> bool {
        self.response.status == 200 && self.error.is_none()
    }

    fn read_envelope(&mut self) {
        let body = self.response.json();
        let error = &body["error"];
        assert!(error["message"].is_string(), "{body}");
        match self.way.caller {
            Caller::Messages => assert_eq!(body["type"], "error", "{body}"),
            Caller::Chat | Caller::Responses => assert!(body.get("type").is_none(), "{body}"),
        }
        self.error = Some(text(&error["type"]));
    }

    fn read_whole(&mut self) {
        let body = self.response.json();
        let usage = &body["usage"];
        match self.way.caller {
            Caller::Chat => {
                let choice = &body["choices"][0];
                self.said = text(&choice["message"]["content"]);
                self.finish = Some(text(&choice["finish_reason"]));
                self.usage = pair(usage, "prompt_tokens", "completion_tokens");
            }
            Caller::Messages => {
                self.said = texts(&body["content"], "text");
                self.finish = Some(text(&body["stop_reason"]));
                self.usage = pair(usage, "input_tokens", "output_tokens");
            }
            Caller::Responses => {
                let output = body["output"].as_array().expect("a list");
                self.said = output.iter().map(|item| texts(&item["content"], "text")).collect();
                self.finish = Some(finish_of_response(&body));
                self.usage = pair(usage, "input_tokens", "output_tokens");
            }
        }
    }

    fn read_stream(&mut self) {
        let events = events(&self.response.text());
        assert!(!events.is_empty(), "an empty stream: {:?}", self.response);
        let place = events.iter().position(|event| event.name == "error");
        if let Some(place) = place {
            assert_eq!(place + 1, events.len(), "nothing follows an error: {events:#?}");
            let data = &events[place].data;
            let own = if data["error"].is_object() { &data["error"]["type"] } else { &data["code"] };
            self.error = Some(text(own));
        }
        let answer = &events[..place.unwrap_or(events.len())];
        let (openings, finishes, closings) = match self.way.caller {
            Caller::Chat => self.read_chat(answer),
            Caller::Messages => self.read_messages(answer),
            Caller::Responses => self.read_responses(&events, answer),
        };
        let (finished, closed) = if place.is_some() { (0, 0) } else { (1, 1) };
        assert!(openings == 1 || answer.is_empty(), "one beginning: {events:#?}");
        assert_eq!((finishes, closings), (finished, closed), "one end, or none: {events:#?}");
    }

    /// The number of beginnings, reasons to finish and last words.
    fn read_chat(&mut self, events: &[Event]) -> (usize, usize, usize) {
        let ids: BTreeSet<String> =
            events.iter().filter(|event| !event.is_done).map(|event| text(&event.data["id"])).collect();
        let mut finishes = 0;
        for event in events {
            let choice = &event.data["choices"][0];
            self.said += choice["delta"]["content"].as_str().unwrap_or_default();
            for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
                self.calls += call["function"]["name"].as_str().unwrap_or_default();
                self.calls += call["function"]["arguments"].as_str().unwrap_or_default();
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                finishes += 1;
                self.finish = Some(reason.to_owned());
            }
            self.usage = pair(&event.data["usage"], "prompt_tokens", "completion_tokens").or(self.usage);
        }
        let last = events.last().is_some_and(|event| event.is_done);
        (ids.len(), finishes, usize::from(last))
    }

    fn read_messages(&mut self, events: &[Event]) -> (usize, usize, usize) {
        let count = |name: &str| events.iter().filter(|event| event.name == name).count();
        if let Some(first) = events.first() {
            assert_eq!(first.name, "message_start");
        }
        let mut finishes = 0;
        for Event { data, .. } in events {
            self.said += data["delta"]["text"].as_str().unwrap_or_default();
            self.calls += data["content_block"]["name"].as_str().unwrap_or_default();
            self.calls += data["delta"]["partial_json"].as_str().unwrap_or_default();
            if let Some(reason) = data["delta"]["stop_reason"].as_str() {
                finishes += 1;
                self.finish = Some(reason.to_owned());
                self.usage = pair(&data["usage"], "input_tokens", "output_tokens")
                    .or_else(|| Some((self.usage?.0, data["usage"]["output_tokens"].as_u64()?)));
            }
            self.usage = pair(&data["message"]["usage"], "input_tokens", "output_tokens").or(self.usage);
        }
        let blocks: Vec<u64> = events
            .iter()
            .filter(|event| event.name == "content_block_start")
            .filter_map(|event| event.data["index"].as_u64())
            .collect();
        assert!(blocks.iter().copied().eq(0..blocks.len() as u64), "blocks without gaps: {events:#?}");
        let last = events.last().is_some_and(|event| event.name == "message_stop");
        if last {
            assert_eq!(count("content_block_stop"), blocks.len(), "{events:#?}");
        }
        (count("message_start"), finishes, usize::from(last))
    }

    fn read_responses(&mut self, all: &[Event], events: &[Event]) -> (usize, usize, usize) {
        let numbers = all.iter().map(|event| event.data["sequence_number"].as_u64().expect("a number"));
        assert!(numbers.eq(0..all.len() as u64), "numbers without gaps: {all:#?}");
        let count = |name: &str| events.iter().filter(|event| event.name == name).count();
        for Event { name, data, .. } in events {
            match &**name {
                "response.output_text.delta" => self.said += data["delta"].as_str().unwrap_or_default(),
                "response.function_call_arguments.delta" => {
                    self.calls += data["delta"].as_str().unwrap_or_default();
                }
                "response.completed" | "response.incomplete" => {
                    let response = &data["response"];
                    self.finish = Some(finish_of_response(response));
                    self.usage = pair(&response["usage"], "input_tokens", "output_tokens");
                    let output = response["output"].as_array().expect("a list");
                    let whole: String = output.iter().map(|item| texts(&item["content"], "text")).collect();
                    assert_eq!(whole, self.said, "the last event repeats the answer");
                }
                _ => {}
            }
            self.calls +=
                data["item"]["name"].as_str().filter(|_| name.ends_with("added")).unwrap_or_default();
        }
        let ends = count("response.completed") + count("response.incomplete");
        let last = events
            .last()
            .is_some_and(|event| event.name == "response.completed" || event.name == "response.incomplete");
        (count("response.created"), ends, usize::from(last))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(parts: &Value, member: &str) -> String {
    parts.as_array().into_iter().flatten().map(|part| text(&part[member])).collect()
}

fn pair(usage: &Value, input: &str, output: &str) -> Option<(u64, u64)> {
    Some((usage[input].as_u64()?, usage[output].as_u64()?))
}

fn finish_of_response(body: &Value) -> String {
    match body["incomplete_details"]["reason"].as_str() {
        Some(reason) => reason.to_owned(),
        None => text(&body["status"]),
    }
}

/// The events of a stream, without its comments.
fn events(stream: &str) -> Vec<Event> {
    let of = |frame: &str| {
        let line = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let data = line("data:")?;
        let (is_done, name) = (data == "[DONE]", line("event:").unwrap_or_default().to_owned());
        let json = if is_done { Ok(Value::Null) } else { serde_json::from_str(data) };
        let data = json.unwrap_or_else(|error| panic!("{error}: {frame}"));
        Some(Event { name, data, is_done })
    };
    assert!(stream.ends_with("\n\n"), "whole events: {stream:?}");
    stream.split("\n\n").filter_map(of).collect()
}
