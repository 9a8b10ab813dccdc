//! Cohere's own shapes: its chat, which is OpenAI's with other names, and its embeddings.
//!
//! Shapes: recorded exchanges with api.cohere.com, version 2.

use bytes::BytesMut;
use serde_json::{Map, Value, json};

use super::embeddings::{base64, dimensions, vector};
use super::endpoints::Ask;
use super::error::{self, Failure};
use super::plain::Plain;
use super::request::{Request, tokens};
use super::{MockReply, converse, fingerprint};
use crate::dialect::Usage;
use crate::dialect::chat::{Event, Finish, Part, Reply, Stamp};

/// What the model says before it calls tools.
const PLAN: &str = "I will use the tools.";

/// Answers a conversation.
pub(super) fn chat(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let Ok(Value::Object(members)) = serde_json::from_slice(ask.request.body) else {
        return Err(error::unreadable().into());
    };
    let mut request = Request::of(as_openai(members))?;
    request.include_usage = true;
    converse::respond(ask, &request)
}

/// The request with OpenAI's names.
fn as_openai(mut members: Map<String, Value>) -> Map<String, Value> {
    if let Some(stop) = members.remove("stop_sequences") {
        members.insert("stop".into(), stop);
    }
    if let Some(choice) = members.get("tool_choice").and_then(Value::as_str) {
        let choice = choice.to_lowercase();
        members.insert("tool_choice".into(), choice.into());
    }
    let format = members.get("response_format").cloned().unwrap_or_default();
    if let Some(schema) = format.get("schema").or(format.get("json_schema")) {
        let format = json!({"type": "json_schema", "json_schema": {"schema": schema}});
        members.insert("response_format".into(), format);
    }
    let messages = members.get_mut("messages").and_then(Value::as_array_mut);
    for part in
        messages.into_iter().flatten().filter_map(|message| message["content"].as_array_mut()).flatten()
    {
        // A tool's result may come as documents.
        if let Some(data) = part.get("document").map(|document| document["data"].clone()) {
            *part = json!({"type": "text", "text": data.as_str().map_or(data.to_string(), str::to_owned)});
        }
    }
    members
}

/// A whole answer.
pub(super) fn write_reply(reply: &Reply<'_>, stamp: &Stamp) -> Value {
    let mut message = Map::from_iter([("role".to_owned(), json!("assistant"))]);
    let answer = reply.answers.first().cloned().unwrap_or_default();
    let (mut content, mut calls) = (Vec::new(), Vec::new());
    for part in &answer.parts {
        match part {
            Part::Text(words) => content.push(json!({"type": "text", "text": words.text.decode()})),
            Part::Refusal(text) => content.push(json!({"type": "text", "text": text.decode()})),
            Part::ToolCall(call) => {
                let arguments = call.arguments.as_text();
                let function = json!({"name": call.name.decode(), "arguments": arguments.decode()});
                calls.push(json!({"id": call.id.decode(), "type": "function", "function": function}));
            }
            Part::Media(_) | Part::Thought(_) | Part::ToolResult(_) => {}
        }
    }
    if calls.is_empty() {
        message.insert("content".into(), content.into());
    } else {
        message.insert("tool_plan".into(), PLAN.into());
        message.insert("tool_calls".into(), calls.into());
    }
    let (finish, usage) = (finish_name(&answer.finish), usage(reply.usage));
    json!({"id": &*stamp.id, "message": message, "finish_reason": finish, "usage": usage})
}

fn finish_name(finish: &Finish<'_>) -> &'static str {
    match finish {
        Finish::Stop | Finish::Refusal => "COMPLETE",
        Finish::StopSequence(_) => "STOP_SEQUENCE",
        Finish::Length => "MAX_TOKENS",
        Finish::ToolCalls => "TOOL_CALL",
        Finish::ContentFilter => "ERROR_TOXIC",
    }
}

fn usage(usage: Option<Usage>) -> Value {
    let usage = usage.unwrap_or_default();
    let units = json!({"input_tokens": usage.prompt, "output_tokens": usage.completion});
    json!({"billed_units": &units, "tokens": &units})
}

/// Writes a stream.
#[derive(Default)]
pub(super) struct Writer {
    /// What is being said, by the name of its events, and its number.
    open: Option<(&'static str, u32)>,
    has_plan: bool,
    finish: &'static str,
    usage: Option<Usage>,
}

impl Writer {
    /// Appends the events for a piece.
    pub(super) fn write(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Start { id, .. } => {
                let id = id.as_ref().map(|id| id.decode()).unwrap_or_default();
                let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [],
                    "citations": []});
                put(out, json!({"id": id, "type": "message-start", "delta": {"message": message}}));
            }
            Event::Text { text, .. } | Event::Refusal { text, .. } => {
                self.begin("content", 0, json!({"content": {"type": "text", "text": ""}}), out);
                delta(out, "content-delta", Some(0), json!({"content": {"text": text.decode()}}));
            }
            Event::ToolCall { call, id, name, .. } => {
                if !self.has_plan {
                    self.has_plan = true;
                    delta(out, "tool-plan-delta", None, json!({ "tool_plan": PLAN }));
                }
                let function = json!({"name": name.decode(), "arguments": ""});
                let call_json = json!({"id": id.decode(), "type": "function", "function": function});
                self.begin("tool-call", *call, json!({ "tool_calls": call_json }), out);
            }
            Event::Arguments { call, fragment, .. } => {
                let function = json!({"arguments": fragment.decode()});
                delta(out, "tool-call-delta", Some(*call), json!({"tool_calls": {"function": function}}));
            }
            Event::Finish { reason, .. } => self.finish = finish_name(reason),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Citation { .. }
            | Event::Thought { .. }
            | Event::Signature { .. }
            | Event::Logprobs { .. }
            | Event::End => {}
        }
    }

    /// Appends the end.
    pub(super) fn close(&mut self, out: &mut BytesMut) {
        self.end(out);
        let delta = json!({"finish_reason": self.finish, "usage": usage(self.usage)});
        put(out, json!({"type": "message-end", "delta": delta}));
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn begin(&mut self, kind: &'static str, index: u32, message: Value, out: &mut BytesMut) {
        if self.open == Some((kind, index)) {
            return;
        }
        self.end(out);
        self.open = Some((kind, index));
        delta(out, &format!("{kind}-start"), Some(index), message);
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Some((kind, index)) = self.open.take() {
            put(out, json!({"type": format!("{kind}-end"), "index": index}));
        }
    }
}

fn delta(out: &mut BytesMut, kind: &str, index: Option<u32>, message: Value) {
    let mut event = json!({"type": kind, "delta": {"message": message}});
    if let Some(index) = index {
        event["index"] = index.into();
    }
    put(out, event);
}

fn put(out: &mut BytesMut, event: Value) {
    let name = event["type"].as_str().unwrap_or_default();
    out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
}

/// Answers a request for embeddings.
pub(super) fn embed(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let request = Plain::read(ask, &["model", "texts"])?;
    let texts: Vec<_> =
        request.members["texts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if texts.is_empty() {
        return Err(error::invalid("texts", "invalid_value", "texts must not be empty").into());
    }
    let dimensions = dimensions(request.members.get("output_dimension"));
    let kinds = request.members.get("embedding_types").and_then(Value::as_array);
    let wants_base64 = kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "base64"));
    let vectors = texts.iter().map(|text| vector(text, dimensions));
    let embeddings = match wants_base64 {
        true => json!({"base64": vectors.map(|vector| base64(&vector)).collect::<Vec<_>>()}),
        false => json!({"float": vectors.collect::<Vec<_>>()}),
    };
    let used: u64 = texts.iter().map(|text| tokens(text.len())).sum();
    let meta = json!({"api_version": {"version": "2"}, "billed_units": {"input_tokens": used}});
    let id = format!("mock{:016x}", fingerprint(ask.hints.seed, ask.request.body));
    let body = json!({"id": id, "texts": texts, "embeddings": embeddings, "meta": meta,
        "response_type": "embeddings_by_type"});
    Ok(request.json(&body))
}
