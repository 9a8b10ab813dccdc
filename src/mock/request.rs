//! A chat request as the mock reads it.
//!
//! Strict only where the provider is: a model and messages must be there, and counts must be positive. Whatever else
//! is unusual is ignored, so that the mock serves clients newer than itself.

use serde_json::{Map, Value};

use super::error::{self, Refusal};
use super::fault::Asked;

/// What the mock uses of a chat request.
pub(super) struct Request {
    pub(super) model: String,
    pub(super) turns: Vec<Turn>,
    /// The answer that the caller has begun, to be continued.
    begun: Option<String>,
    /// The tools that may be called; empty when `tool_choice` is `none`.
    pub(super) tools: Vec<Tool>,
    /// The tool that must be called.
    pub(super) chosen_tool: Option<String>,
    pub(super) parallel_calls: bool,
    pub(super) format: Format,
    pub(super) max_tokens: Option<usize>,
    pub(super) choices: usize,
    pub(super) stop: Vec<String>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) prompt_tokens: u64,
}

/// One message.
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) text: String,
    pub(super) images: usize,
}

/// Who speaks.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Role {
    Instruction,
    User,
    Assistant,
    Tool,
}

/// A function on offer.
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) parameters: Value,
}

/// The shape that the answer must have.
pub(super) enum Format {
    Text,
    JsonObject,
    JsonSchema(Value),
}

impl Request {
    /// Reads a request body; the error is the provider's answer to it.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Self::of(members),
            _ => Err(error::unreadable()),
        }
    }

    /// Reads the members of a request.
    pub(super) fn of(members: Map<String, Value>) -> Result<Self, Refusal> {
        let model = members.get("model").and_then(Value::as_str).ok_or_else(|| {
            error::invalid("model", "missing_required_parameter", "you must provide a model parameter")
        })?;
        let turns = turns(&members)?;
        let forbidden = members.get("tool_choice").and_then(Value::as_str) == Some("none");
        let tools = if forbidden { Vec::new() } else { tools(&members) };
        let newer = positive(&members, "max_completion_tokens")?;
        let older = positive(&members, "max_tokens")?;
        let prompt_bytes: usize = turns.iter().map(|turn| turn.text.len()).sum();
        let tool_bytes = members.get("tools").map_or(0, |tools| tools.to_string().len());
        Ok(Self {
            model: model.to_owned(),
            begun: if is_prefix(&members) { last_answer(&turns) } else { None },
            turns,
            tools,
            chosen_tool: text_at(&members, &["tool_choice", "function", "name"]).map(str::to_owned),
            parallel_calls: members.get("parallel_tool_calls").and_then(Value::as_bool).unwrap_or(true),
            format: format(&members),
            max_tokens: newer.or(older),
            choices: positive(&members, "n")?.unwrap_or(1).min(128),
            stop: stop(&members),
            stream: members.get("stream").and_then(Value::as_bool).unwrap_or(false),
            include_usage: at(&members, &["stream_options", "include_usage"]).and_then(Value::as_bool)
                == Some(true),
            prompt_tokens: tokens(prompt_bytes + tool_bytes),
        })
    }

    /// The text of the last message of the user.
    pub(super) fn last_user_text(&self) -> &str {
        self.turns.iter().rfind(|turn| turn.role == Role::User).map_or("", |turn| turn.text.as_str())
    }

    /// The answer that the caller has begun, to be continued.
    pub(super) fn prefill(&self) -> Option<&str> {
        self.begun.as_deref()
    }

    /// Takes a last message of the assistant for the beginning of the answer, as dialects do that have no word for it.
    pub(super) fn begun_by_its_end(self) -> Self {
        let begun = last_answer(&self.turns);
        Self { begun, ..self }
    }

    /// What faults look at; `now` is in Unix seconds.
    pub(super) fn asked(&self, now: u64) -> Asked {
        Asked { prompt_tokens: self.prompt_tokens, has_prefill: self.begun.is_some(), now }
    }
}

fn last_answer(turns: &[Turn]) -> Option<String> {
    turns.last().filter(|turn| turn.role == Role::Assistant).map(|turn| turn.text.clone())
}

/// Whether the last message says that it is the beginning of the answer: Mistral's API reference, `prefix` of an
/// assistant message. OpenAI has no such word, and begins a new answer after any message.
fn is_prefix(members: &Map<String, Value>) -> bool {
    let last = members.get("messages").and_then(Value::as_array).and_then(|messages| messages.last());
    last.is_some_and(|message| message["prefix"] == true)
}

/// The token count of a text of `bytes`: four bytes to a token.
pub(super) fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

fn turns(members: &Map<String, Value>) -> Result<Vec<Turn>, Refusal> {
    let messages =
        members.get("messages").and_then(Value::as_array).ok_or_else(|| error::missing("messages"))?;
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, \
                       but got an empty array instead.";
        return Err(error::invalid("messages", "empty_array", message));
    }
    Ok(messages.iter().map(turn).collect())
}

fn turn(message: &Value) -> Turn {
    let role = match message["role"].as_str() {
        Some("system" | "developer") => Role::Instruction,
        Some("assistant") => Role::Assistant,
        Some("tool" | "function") => Role::Tool,
        _ => Role::User,
    };
    // The parts of an answer are one text.
    let between = if role == Role::Assistant { "" } else { "\n" };
    let parts = message["content"].as_array().map_or(&[][..], Vec::as_slice);
    let text = match message["content"].as_str() {
        Some(text) => text.to_owned(),
        None => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(between),
    };
    let images = parts.iter().filter(|part| part["type"] == "image_url").count();
    Turn { role, text, images }
}

fn tools(members: &Map<String, Value>) -> Vec<Tool> {
    let offered = members.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let read = |tool: &Value| {
        let function = tool.get("function")?;
        Some(Tool { name: function["name"].as_str()?.to_owned(), parameters: function["parameters"].clone() })
    };
    offered.iter().filter_map(read).collect()
}

fn format(members: &Map<String, Value>) -> Format {
    match text_at(members, &["response_format", "type"]) {
        Some("json_object") => Format::JsonObject,
        Some("json_schema") => {
            let schema = at(members, &["response_format", "json_schema", "schema"]);
            Format::JsonSchema(schema.cloned().unwrap_or(Value::Null))
        }
        _ => Format::Text,
    }
}

fn stop(members: &Map<String, Value>) -> Vec<String> {
    let texts = match members.get("stop") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

pub(super) fn positive(members: &Map<String, Value>, name: &'static str) -> Result<Option<usize>, Refusal> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number @ 1..) => Ok(Some(usize::try_from(number).unwrap_or(usize::MAX))),
            _ => {
                let message =
                    format!("Invalid '{name}': expected an integer of at least 1, but got {value} instead.");
                Err(error::invalid(name, "invalid_value", message))
            }
        },
    }
}

fn at<'a>(members: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(members.get(*first)?, |value, name| value.get(*name))
}

fn text_at<'a>(members: &'a Map<String, Value>, path: &[&str]) -> Option<&'a str> {
    at(members, path)?.as_str()
}
