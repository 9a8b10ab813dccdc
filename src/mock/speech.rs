//! What the mock has to say to a request, before it is put on the wire.
//!
//! A conversation with tools comes to its end as with a real model: a user's message is answered by a call, the
//! call's result by a text that quotes it.

use super::request::{Format, Request, Role, Tool, tokens};
use super::{Character, Fault, boundary, schema};

const REFUSAL: &str = "I'm sorry, but I can't assist with that.";
/// The longest quote of the caller's words, in characters.
const MAX_QUOTE_CHARS: usize = 200;

/// An answer: its content and why it ended.
pub(super) struct Speech {
    pub(super) content: Content,
    pub(super) finish: Finish,
}

/// The three things that an answer can be.
pub(super) enum Content {
    Text(String),
    Refusal(String),
    Calls(Vec<Call>),
}

/// A call to one tool.
pub(super) struct Call {
    pub(super) name: String,
    /// A JSON object as text.
    pub(super) arguments: String,
}

/// Why an answer ended.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl Finish {
    /// The name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

impl Speech {
    /// Decides the answer to `request`, whose bytes were `body`, and which meets `fault`.
    pub(super) fn to(request: &Request, body: &[u8], character: Character, fault: Option<Fault>) -> Self {
        if let Some(count) = fault.and_then(Fault::words) {
            let content = Content::Text(rest(words(count), request.prefill()));
            return Self { content, finish: Finish::Stop };
        }
        let speech = Self::usual(request, body, character);
        if fault == Some(Fault::ContentFilter) { speech.filtered() } else { speech }
    }

    fn usual(request: &Request, body: &[u8], character: Character) -> Self {
        let text = match character {
            // As it came: a stop sequence that the request names would cut it.
            Character::Echo => {
                let content = Content::Text(String::from_utf8_lossy(body).into_owned());
                return Self { content, finish: Finish::Stop };
            }
            Character::Words(count) => words(count),
            Character::Fat(bytes) => filler(bytes),
            Character::Demo | Character::Slow | Character::Faulty(_) => match demo(request) {
                Content::Text(text) => text,
                Content::Refusal(text) => {
                    return Self { content: Content::Refusal(text), finish: Finish::Stop };
                }
                Content::Calls(calls) => {
                    return Self { content: Content::Calls(calls), finish: Finish::ToolCalls };
                }
            },
        };
        Self::limited(rest(text, request.prefill()), request)
    }

    /// Ends a text where the first stop sequence or the token limit is.
    fn limited(mut text: String, request: &Request) -> Self {
        if let Some(end) = request.stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(end);
        }
        let most = request.max_tokens.map_or(usize::MAX, |tokens| tokens.saturating_mul(4));
        let finish = if text.len() > most { Finish::Length } else { Finish::Stop };
        text.truncate(boundary(&text, most));
        Self { content: Content::Text(text), finish }
    }

    /// Stops the answer half way, as a content filter does.
    fn filtered(mut self) -> Self {
        if let Content::Text(text) = &mut self.content {
            text.truncate(boundary(text, text.len() / 2));
        }
        self.finish = Finish::ContentFilter;
        self
    }

    /// The tokens of the answer.
    pub(super) fn tokens(&self) -> u64 {
        match &self.content {
            Content::Text(text) | Content::Refusal(text) => tokens(text.len()),
            Content::Calls(calls) => {
                calls.iter().map(|call| tokens(call.name.len() + call.arguments.len())).sum()
            }
        }
    }
}

fn demo(request: &Request) -> Content {
    if let Some(text) = about_results(request) {
        return Content::Text(text);
    }
    let asked = request.turns.last().is_some_and(|turn| turn.role == Role::User);
    if asked && request.last_user_text().contains("refuse") {
        return Content::Refusal(REFUSAL.into());
    }
    if asked && !request.tools.is_empty() {
        return Content::Calls(calls(request));
    }
    match &request.format {
        Format::JsonSchema(wanted) => Content::Text(schema::sample(wanted).to_string()),
        Format::JsonObject => Content::Text(serde_json::json!({ "answer": sentence(request) }).to_string()),
        Format::Text => Content::Text(sentence(request)),
    }
}

/// Quotes the tool results that end the conversation.
fn about_results(request: &Request) -> Option<String> {
    let results = request.turns.iter().rev().take_while(|turn| turn.role == Role::Tool);
    let mut quotes: Vec<_> = results.map(|turn| quote(&turn.text)).collect();
    quotes.reverse();
    (!quotes.is_empty()).then(|| format!("The tool says: {}.", quotes.join("; ")))
}

fn calls(request: &Request) -> Vec<Call> {
    let asked = request.last_user_text();
    let chosen = request.chosen_tool.as_deref();
    let named = |name: &str| chosen.map_or_else(|| asked.contains(name), |chosen| name == chosen);
    let mut tools: Vec<_> = request.tools.iter().filter(|tool| named(&tool.name)).collect();
    if tools.is_empty() {
        tools.extend(request.tools.first());
    }
    if !request.parallel_calls {
        tools.truncate(1);
    }
    let call = |tool: &Tool| Call {
        name: tool.name.clone(),
        arguments: schema::sample(&tool.parameters).to_string(),
    };
    tools.into_iter().map(call).collect()
}

fn sentence(request: &Request) -> String {
    let said = quote(request.last_user_text());
    let seen = match request.turns.iter().map(|turn| turn.images).sum() {
        0 => String::new(),
        1 => " I see 1 image.".into(),
        images => format!(" I see {images} images."),
    };
    format!("You said: {said}.{seen} I am the mock provider, and I always answer the same to the same words.")
}

/// The rest of `text` when the caller has begun it. White space at the end of a beginning may have been lost or added
/// on its way.
fn rest(text: String, begun: Option<&str>) -> String {
    let after = |begun: &str| text.strip_prefix(begun).or_else(|| text.strip_prefix(begun.trim_end()));
    match begun.and_then(after) {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

fn quote(text: &str) -> String {
    let start: String = text.chars().take(MAX_QUOTE_CHARS).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("\"{start}{more}\"")
}

fn words(count: usize) -> String {
    (1..=count).map(|number| format!("word{number}")).collect::<Vec<_>>().join(" ")
}

fn filler(bytes: usize) -> String {
    const LINE: &str = "The quick brown fox jumps over the lazy dog. ";
    let mut text = LINE.repeat(bytes.div_ceil(LINE.len()));
    text.truncate(bytes);
    text
}
