//! Streams, put together to whole answers as clients do it, without the codecs.
//!
//! A stream that the gateway wrote is held to its rules on the way: ids and numbers stay, blocks open and close, and the
//! end comes once. One that was recorded is taken as it is.

use aisix::dialect::Dialect;
use serde_json::{Value, json};

use super::asked::{list, text_of};

mod anthropic;
mod chat;
mod others;
mod responses;

/// A frame: its event's name and its data.
pub type Frame = (Option<String>, String);

/// The frames of an event stream. Comments are none.
pub fn frames(text: &str) -> Vec<Frame> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut frames = Vec::new();
    for block in text.split("\n\n") {
        let field = |name: &str| {
            let values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            values.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>()
        };
        let data = field("data");
        if !data.is_empty() {
            frames.push((field("event").last().map(|name| (*name).to_owned()), data.join("\n")));
        }
    }
    frames
}

/// What a stream comes to.
pub struct Gathered {
    /// The whole answer.
    pub whole: Value,
    /// Whether it ended well.
    pub is_complete: bool,
}

/// Puts a stream together. `is_ours` holds it to the rules of its dialect.
///
/// # Errors
/// Names the rule that it breaks.
pub fn gathered(dialect: Dialect, text: &str, is_ours: bool) -> Result<Gathered, String> {
    let frames = frames(text);
    let mut rules = Rules { is_ours, broken: None };
    let gathered = match dialect {
        Dialect::OpenAiChat => chat::gather(&frames, &mut rules),
        Dialect::OpenAiResponses => responses::gather(&frames, &mut rules),
        Dialect::Anthropic => anthropic::gather(&frames, &mut rules),
        Dialect::Gemini => others::gemini(&frames, &mut rules),
        Dialect::Cohere => others::cohere(&frames),
        Dialect::OpenAi | Dialect::Voyage => panic!("no conversation"),
    };
    match rules.broken {
        Some(rule) => Err(rule),
        None => Ok(gathered),
    }
}

/// The first rule that is broken.
struct Rules {
    is_ours: bool,
    broken: Option<String>,
}

impl Rules {
    fn hold(&mut self, holds: bool, rule: &str) {
        if self.is_ours && !holds {
            self.broken.get_or_insert_with(|| rule.to_owned());
        }
    }
}

/// Appends a string to a member that is one.
fn grow(value: &mut Value, more: &Value) {
    if let Some(more) = more.as_str() {
        *value = format!("{}{more}", text_of(value)).into();
    }
}

fn json_of(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_default()
}

/// The element at a place; missing ones before it are null.
fn at(list: &mut Value, place: usize) -> &mut Value {
    if !list.is_array() {
        *list = json!([]);
    }
    let items = list.as_array_mut().expect("an array");
    while items.len() <= place {
        items.push(Value::Null);
    }
    &mut items[place]
}

fn place_of(value: &Value) -> usize {
    value.as_u64().map_or(0, |place| place as usize)
}
