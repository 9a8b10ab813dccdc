//! A caller's request, read.
//!
//! Wire facts: OpenAI API reference, "Create chat completion"; OpenRouter's `reasoning`; the `thinking` that vendors took
//! over from Anthropic.

use std::borrow::Cow;

use super::message::Messages;
use super::part::{self, report};
use super::reading::{self, member, number, text, truth, whole};
use super::shapes::{
    Bare, Choice, Function, Reasoning, ResponseFormat, StreamOptions, ThinkingMember, Tool as ToolMember,
};
use crate::dialect::chat::{Conversation, Dropped, Effort, Format, Thinking, Tool, ToolChoice};
use crate::dialect::json::Text;
use crate::dialect::json::shape::TextOr;
use crate::dialect::raw::RawObject;
use crate::dialect::whole::Whole;
use crate::error::RequestError;

/// Members that OpenAI's dialects share; see [`Conversation::openai`].
const SHARED: [&str; 6] =
    ["metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"];

/// Reads what a caller of this dialect asks for.
///
/// # Errors
/// Names the member that cannot be used and where, without its content.
pub fn read_request<'a>(
    body: &'a RawObject,
    dropped: &mut Dropped,
) -> Result<Conversation<'a>, RequestError> {
    let mut asked = Asked::default();
    for (name, raw) in body.members().filter(|(_, raw)| *raw != "null") {
        if !asked.take_message(name, raw, dropped)? && !asked.take_setting(name, raw, dropped)? {
            dropped.add(name.to_owned());
        }
    }
    if asked.to.turns.is_empty() && asked.to.system.is_empty() {
        return Err(RequestError::member("messages", "the member \"messages\" must not be empty"));
    }
    asked.finish(dropped)
}

/// What is gathered, and members that only mean something together.
#[derive(Debug, Default)]
struct Asked<'a> {
    to: Conversation<'a>,
    max_tokens: Option<u64>,
    wants_logprobs: bool,
    top_logprobs: Option<u64>,
    effort: Option<Thinking>,
    reasoning: Option<Thinking>,
    thinking: Option<Thinking>,
}

impl<'a> Asked<'a> {
    /// Takes a member that says or offers something; false for another.
    fn take_message(
        &mut self,
        name: &str,
        raw: &'a str,
        dropped: &mut Dropped,
    ) -> Result<bool, RequestError> {
        let to = &mut self.to;
        match name {
            // Read before, by who chooses the target.
            "model" => {}
            "messages" => {
                let mut messages = Messages::default();
                for (place, message) in reading::messages(raw)?.into_iter().enumerate() {
                    messages.take(message, to, dropped).map_err(|fault| {
                        RequestError::member("messages", format!("messages[{place}] cannot be used: {fault}"))
                    })?;
                }
            }
            "tools" => tools(member(raw, "tools", "an array of tools")?, to, dropped)?,
            "functions" => {
                let functions: Vec<Function<'a>> = member(raw, "functions", "an array of functions")?;
                for function in functions {
                    to.tools.push(offered(function, "functions", dropped)?);
                }
            }
            "tool_choice" => {
                let choice = member(raw, "tool_choice", "a string or an object")?;
                to.tool_choice = chosen(choice, "tool_choice", dropped)?;
            }
            "function_call" => {
                let choice = member(raw, "function_call", "a string or an object")?;
                to.tool_choice = chosen(choice, "function_call", dropped)?;
            }
            "parallel_tool_calls" => to.parallel_tool_calls = Some(truth(raw, "parallel_tool_calls")?),
            "response_format" => to.format = format(member(raw, "response_format", "an object")?, dropped),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes a member that sets something; false for another.
    fn take_setting(
        &mut self,
        name: &str,
        raw: &'a str,
        dropped: &mut Dropped,
    ) -> Result<bool, RequestError> {
        let to = &mut self.to;
        let sampling = &mut to.sampling;
        match name {
            "max_tokens" => self.max_tokens = whole(raw, "max_tokens")?,
            "max_completion_tokens" => to.max_output_tokens = whole(raw, "max_completion_tokens")?,
            "temperature" => sampling.temperature = number(raw, "temperature")?,
            "top_p" => sampling.top_p = number(raw, "top_p")?,
            "top_k" => sampling.top_k = number(raw, "top_k")?,
            "seed" => sampling.seed = number(raw, "seed")?,
            "presence_penalty" => sampling.presence_penalty = number(raw, "presence_penalty")?,
            "frequency_penalty" => sampling.frequency_penalty = number(raw, "frequency_penalty")?,
            "stop" => {
                to.stop = match member(raw, "stop", "a string or an array of strings")? {
                    TextOr::Text(text) => vec![text],
                    TextOr::List(texts) => texts,
                }
            }
            "n" => to.answers = whole(raw, "n")?.filter(|answers| *answers != 1),
            "logprobs" => self.wants_logprobs = truth(raw, "logprobs")?,
            "top_logprobs" => self.top_logprobs = whole(raw, "top_logprobs")?,
            "user" => to.user = Some(text(raw, "user")?),
            "stream" => to.is_stream = truth(raw, "stream")?,
            "stream_options" => {
                let options: StreamOptions<'_> = member(raw, "stream_options", "an object")?;
                report("stream_options", &options.unknown, dropped);
            }
            "reasoning_effort" => {
                self.effort = effort(&text(raw, "reasoning_effort")?, "reasoning_effort", dropped);
            }
            "reasoning" => self.reason(member(raw, "reasoning", "an object")?, dropped),
            "thinking" => self.think(member(raw, "thinking", "an object")?, dropped),
            _ => match SHARED.into_iter().find(|shared| *shared == name) {
                Some(shared) => to.openai.push((shared, raw)),
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn reason(&mut self, reasoning: Reasoning<'_>, dropped: &mut Dropped) {
        report("reasoning", &reasoning.unknown, dropped);
        let word = reasoning.effort.and_then(|word| effort(&word, "reasoning.effort", dropped));
        let budget = reasoning.max_tokens.map(|Whole(tokens)| Thinking::Budget(tokens));
        let is_on = reasoning.enabled.map(|enabled| if enabled { Thinking::Adaptive } else { Thinking::Off });
        self.reasoning = match is_on {
            Some(Thinking::Off) => is_on,
            _ => budget.or(word).or(is_on),
        };
        self.to.shows_thoughts = reasoning.exclude.map(|exclude| !exclude);
    }

    fn think(&mut self, thinking: ThinkingMember<'_>, dropped: &mut Dropped) {
        report("thinking", &thinking.unknown, dropped);
        let budget = thinking.budget_tokens.map(|Whole(tokens)| Thinking::Budget(tokens));
        self.thinking = match thinking.kind.as_ref().map(Text::decode).as_deref() {
            Some("enabled") => budget.or(Some(Thinking::Adaptive)),
            Some("adaptive" | "auto") => Some(Thinking::Adaptive),
            Some("disabled") => Some(Thinking::Off),
            _ => {
                dropped.add("thinking");
                None
            }
        };
    }

    fn finish(mut self, dropped: &mut Dropped) -> Result<Conversation<'a>, RequestError> {
        self.to.max_output_tokens = self.to.max_output_tokens.or(self.max_tokens);
        self.to.thinking = self.effort.or(self.reasoning).or(self.thinking);
        match (self.wants_logprobs, self.top_logprobs) {
            (true, top) => self.to.logprobs = Some(top.unwrap_or(0)),
            (false, Some(1..)) => dropped.add("top_logprobs"),
            (false, _) => {}
        }
        Ok(self.to)
    }
}

fn effort(word: &Text<'_>, name: &'static str, dropped: &mut Dropped) -> Option<Thinking> {
    let word = word.decode();
    let thinking = match &*word {
        "none" => Some(Thinking::Off),
        word => Effort::parse(word).map(Thinking::Effort),
    };
    if thinking.is_none() {
        dropped.add(name);
    }
    thinking
}

fn tools<'a>(
    members: Vec<ToolMember<'a>>,
    to: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    for member in members {
        let kind = member.kind.as_ref().map_or(Cow::Borrowed("function"), |kind| kind.decode());
        if kind != "function" {
            dropped.add(format!("tools.{kind}"));
            continue;
        }
        report("tools", &member.unknown, dropped);
        let Some(function) = member.function else {
            return Err(RequestError::member("tools", "a tool has no function"));
        };
        let cache = member.cache_control.map(|mark| part::cache(&mark, dropped));
        to.tools.push(Tool { cache, ..offered(function, "tools", dropped)? });
    }
    Ok(())
}

fn offered<'a>(
    function: Function<'a>,
    at: &'static str,
    dropped: &mut Dropped,
) -> Result<Tool<'a>, RequestError> {
    report(if at == "tools" { "tools.function" } else { at }, &function.unknown, dropped);
    let Function { name, description, parameters, strict, .. } = function;
    let name = name.ok_or_else(|| RequestError::member(at, "a function has no name"))?;
    let parameters = parameters.map(|schema| Cow::Borrowed(schema.0));
    Ok(Tool { name, description, parameters, strict, cache: None })
}

/// Which tool to call; what the conversation cannot say is reported.
fn chosen<'a>(
    choice: Bare<'a, Choice<'a>>,
    at: &'static str,
    dropped: &mut Dropped,
) -> Result<Option<ToolChoice<'a>>, RequestError> {
    let object = match choice {
        Bare::Text(raw) => {
            let word = Text::from_json(raw.0).unwrap_or_default();
            return match &*word.decode() {
                "auto" => Ok(Some(ToolChoice::Auto)),
                "none" => Ok(Some(ToolChoice::None)),
                "required" | "any" => Ok(Some(ToolChoice::Required)),
                _ => {
                    let message =
                        format!("the member \"{at}\" must be \"auto\", \"none\", \"required\" or an object");
                    Err(RequestError::member(at, message))
                }
            };
        }
        Bare::Object(object) => object,
    };
    let kind = object.kind.as_ref().map_or(Cow::Borrowed("function"), |kind| kind.decode());
    if kind != "function" {
        dropped.add(format!("{at}.{kind}"));
        return Ok(None);
    }
    report(at, &object.unknown, dropped);
    let name = object.function.and_then(|function| function.name).or(object.name);
    name.map(|name| Some(ToolChoice::Named(name)))
        .ok_or_else(|| RequestError::member(at, format!("the member \"{at}\" names no function")))
}

fn format<'a>(member: ResponseFormat<'a>, dropped: &mut Dropped) -> Format<'a> {
    report("response_format", &member.unknown, dropped);
    let kind = member.kind.as_ref().map_or(Cow::Borrowed("text"), |kind| kind.decode());
    match (&*kind, member.json_schema, member.schema) {
        ("text", ..) => Format::Text,
        ("json_schema", Some(named), _) => {
            report("response_format.json_schema", &named.unknown, dropped);
            let Some(schema) = named.schema else { return Format::JsonObject };
            let schema = Cow::Borrowed(schema.0);
            Format::JsonSchema {
                name: named.name,
                description: named.description,
                schema,
                strict: named.strict,
            }
        }
        // As some vendors write a schema.
        ("json_object" | "json_schema", _, Some(schema)) => {
            let schema = Cow::Borrowed(schema.0);
            Format::JsonSchema { name: None, description: None, schema, strict: None }
        }
        ("json_object" | "json_schema", ..) => Format::JsonObject,
        (other, ..) => {
            dropped.add(format!("response_format.{other}"));
            Format::Text
        }
    }
}
