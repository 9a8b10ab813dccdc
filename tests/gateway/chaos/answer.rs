//! What an answer says to a caller of its dialect, and how it ends.

use std::collections::BTreeSet;

use serde_json::Value;

use super::caller::Kind;

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct Told {
    /// The words, as they were split when they were said.
    pub words: Vec<String>,
    text: String,
    /// Reasons to finish.
    pub finishes: usize,
    /// Last words of the dialect, in dialects that have one beside the reason.
    pub closings: usize,
    /// Failures, as they stand in the answer.
    pub errors: Vec<Value>,
    /// What opens an answer, and the ids that it is called by.
    pub openings: usize,
    ids: BTreeSet<String>,
    /// The tokens of the answer, as it was last told of them.
    pub output_tokens: Option<u64>,
    sequence: u64,
    /// What was wrong with its form.
    pub wrong: Option<String>,
}

impl Told {
    /// Reads a whole answer.
    pub fn whole(kind: Kind, body: &Value) -> Self {
        let mut told = Self::default();
        match kind {
            Kind::Chat => told.chat(body, "message"),
            Kind::Messages => {
                for block in body["content"].as_array().into_iter().flatten() {
                    told.say(&block["text"]);
                }
                told.finishes = usize::from(body["stop_reason"].is_string());
            }
            Kind::Responses => told.responses_body(body),
            Kind::Gemini | Kind::GeminiArray => told.gemini(body),
            Kind::Embed | Kind::Count | Kind::GeminiCount => told.finishes = 1,
        }
        // A body that came whole needs no last word.
        told.closings = usize::from(matches!(kind, Kind::Chat | Kind::Messages));
        told.split()
    }

    /// Reads a stream.
    pub fn stream(kind: Kind, text: &str) -> Self {
        let mut told = Self::default();
        if kind == Kind::GeminiArray {
            match serde_json::from_str::<Vec<Value>>(text) {
                Ok(parts) => parts.iter().for_each(|part| told.part(kind, part)),
                Err(error) => told.object(format!("no array: {error}: {text:.400}")),
            }
            return told.split();
        }
        let text = text.replace("\r\n", "\n");
        if !text.is_empty() && !text.ends_with("\n\n") {
            told.object(format!(
                "it ends in the middle of an event: {:?}",
                &text[text.len().saturating_sub(80)..]
            ));
        }
        for frame in text.split("\n\n").filter(|frame| !frame.is_empty() && !frame.starts_with(':')) {
            let data: Vec<&str> = frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            match data[..] {
                ["[DONE]"] => told.close(),
                [data] => match serde_json::from_str(data) {
                    Ok(part) => told.part(kind, &part),
                    Err(error) => told.object(format!("no JSON: {error}: {frame:.400}")),
                },
                _ => told.object(format!("no data: {frame:.400}")),
            }
        }
        told.split()
    }

    /// Whether it is presented as whole: nothing that closes it is missing.
    pub fn is_finished(&self, kind: Kind) -> bool {
        let closings = usize::from(matches!(kind, Kind::Chat | Kind::Messages));
        self.errors.is_empty() && self.finishes > 0 && self.closings == closings
    }

    fn part(&mut self, kind: Kind, part: &Value) {
        if self.closings > 0 || !self.errors.is_empty() {
            self.object(format!("something comes after the end: {part:.400}"));
        }
        // Responses carry a member of the name in all of their bodies.
        if part["error"].is_object() || part["type"] == "error" {
            self.errors.push(part.clone());
            return;
        }
        match kind {
            Kind::Chat => self.chat(part, "delta"),
            Kind::Messages => self.message_event(part),
            Kind::Responses => self.response_event(part),
            Kind::Gemini | Kind::GeminiArray => self.gemini(part),
            Kind::Embed | Kind::Count | Kind::GeminiCount => {
                self.object("no stream was asked for".to_owned())
            }
        }
        self.count(part);
        if self.ids.len() > 1 {
            self.object(format!("one answer has several ids: {:?}", self.ids));
        }
    }

    fn chat(&mut self, part: &Value, member: &str) {
        self.ids.extend(part["id"].as_str().map(str::to_owned));
        for choice in part["choices"].as_array().into_iter().flatten() {
            if self.finishes > 0 {
                self.object(format!("a choice goes on after its end: {part}"));
            }
            self.say(&choice[member]["content"]);
            self.openings += usize::from(choice[member]["role"].is_string());
            self.finishes += usize::from(choice["finish_reason"].is_string());
        }
    }

    fn message_event(&mut self, event: &Value) {
        self.ids.extend(event["message"]["id"].as_str().map(str::to_owned));
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => self.openings += 1,
            "content_block_delta" => self.say(&event["delta"]["text"]),
            "message_delta" => self.finishes += usize::from(event["delta"]["stop_reason"].is_string()),
            "message_stop" => self.close(),
            _ => {}
        }
    }

    fn response_event(&mut self, event: &Value) {
        if event["sequence_number"] != self.sequence {
            self.object(format!("the event should be number {}: {event:.400}", self.sequence));
        }
        self.sequence += 1;
        self.ids.extend(event["response"]["id"].as_str().map(str::to_owned));
        match event["type"].as_str().unwrap_or_default() {
            "response.created" => self.openings += 1,
            "response.output_text.delta" => self.say(&event["delta"]),
            "response.completed" | "response.incomplete" => {
                let mut whole = Self::default();
                whole.responses_body(&event["response"]);
                if whole.text != self.text {
                    self.object(format!("{:?} was said, and {:?} is the whole", self.text, whole.text));
                }
                self.finishes += 1;
            }
            _ => {}
        }
    }

    fn responses_body(&mut self, body: &Value) {
        for item in body["output"].as_array().into_iter().flatten() {
            for part in item["content"].as_array().into_iter().flatten() {
                self.say(&part["text"]);
            }
        }
        self.finishes += usize::from(matches!(body["status"].as_str(), Some("completed" | "incomplete")));
    }

    fn gemini(&mut self, part: &Value) {
        for candidate in part["candidates"].as_array().into_iter().flatten() {
            for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
                self.say(&part["text"]);
            }
            self.finishes += usize::from(candidate["finishReason"].is_string());
        }
    }

    fn count(&mut self, part: &Value) {
        let counts = [
            &part["usage"]["completion_tokens"],
            &part["usage"]["output_tokens"],
            &part["response"]["usage"]["output_tokens"],
            &part["usageMetadata"]["candidatesTokenCount"],
        ];
        self.output_tokens = counts.into_iter().find_map(Value::as_u64).or(self.output_tokens);
    }

    fn say(&mut self, text: &Value) {
        self.text.push_str(text.as_str().unwrap_or_default());
    }

    fn close(&mut self) {
        if self.closings > 0 || !self.errors.is_empty() || self.finishes == 0 {
            self.object("it is closed a second time, after a failure, or without a reason".to_owned());
        }
        self.closings += 1;
    }

    fn object(&mut self, wrong: String) {
        self.wrong.get_or_insert(wrong);
    }

    fn split(mut self) -> Self {
        self.words = self.text.split_whitespace().map(str::to_owned).collect();
        if self.finishes > 1 || self.errors.len() > 1 || self.openings > 1 {
            self.object("it begins, finishes or fails more than once".to_owned());
        }
        self
    }
}
