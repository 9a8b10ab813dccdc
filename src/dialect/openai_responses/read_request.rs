//! What a caller of the dialect asks for.
//!
//! Members that refer to state at the provider change what is asked, so they are refused; others that cannot be carried
//! are named as dropped. Ids and statuses of items name what the provider stored and mean nothing elsewhere: they go
//! without a word, but for the id of reasoning, without which its encrypted content is not believed.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::chat::{Conversation, Dropped, Effort, Format, Thinking, Tool, ToolChoice};
use crate::dialect::json::Text;
use crate::dialect::json::shape::Number;
use crate::dialect::raw::RawObject;
use crate::dialect::whole::Whole;
use crate::error::RequestError;

use super::read_input;
use super::shapes::{Choice, FormatShape, ReasoningOptions, TextOptions, ToolShape};

/// What may stand in `include` and is carried in other ways.
const LOGPROBS: &str = "message.output_text.logprobs";
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Reads a request.
///
/// # Errors
/// A member is missing, of the wrong type, or refers to state that only a provider of this dialect keeps.
pub fn read_request<'a>(
    body: &'a RawObject,
    dropped: &mut Dropped,
) -> Result<Conversation<'a>, RequestError> {
    let mut conversation = Conversation::default();
    if let Some(raw) = present(body.member("instructions")) {
        let text = read::<Text<'_>>("instructions", raw, "a string")?;
        conversation.system.push(read_input::words(text));
    }
    let Some(input) = present(body.member("input")) else {
        return Err(RequestError::member("input", "the member \"input\" is missing"));
    };
    for (name, raw) in body.members() {
        if raw != "null" {
            read_member(name, raw, &mut conversation, dropped)?;
        }
    }
    read_input::read(input, &mut conversation, dropped)?;
    Ok(conversation)
}

fn present(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| *raw != "null")
}

fn read_member<'a>(
    name: &str,
    raw: &'a str,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    match name {
        "model" | "input" | "instructions" => {}
        "stream" => conversation.is_stream = read("stream", raw, "a boolean")?,
        "tools" => read_tools(raw, conversation, dropped)?,
        "tool_choice" => conversation.tool_choice = read_choice(raw, dropped)?,
        "parallel_tool_calls" => {
            conversation.parallel_tool_calls = Some(read("parallel_tool_calls", raw, "a boolean")?);
        }
        "max_output_tokens" => {
            conversation.max_output_tokens = Some(whole("max_output_tokens", raw)?);
        }
        "temperature" => conversation.sampling.temperature = Some(number("temperature", raw)?),
        "top_p" => conversation.sampling.top_p = Some(number("top_p", raw)?),
        "text" => read_text_options(raw, conversation, dropped)?,
        "reasoning" => read_reasoning(raw, conversation, dropped)?,
        "user" => conversation.user = Some(read("user", raw, "a string")?),
        "top_logprobs" => match whole("top_logprobs", raw)? {
            0 => {}
            some => conversation.logprobs = Some(some),
        },
        "include" => read_include(raw, conversation, dropped)?,
        "metadata" => conversation.openai.push(("metadata", raw)),
        "store" => conversation.openai.push(("store", raw)),
        "service_tier" => conversation.openai.push(("service_tier", raw)),
        "prompt_cache_key" => conversation.openai.push(("prompt_cache_key", raw)),
        "prompt_cache_retention" => conversation.openai.push(("prompt_cache_retention", raw)),
        "safety_identifier" => conversation.openai.push(("safety_identifier", raw)),
        "previous_response_id" => return Err(stateful("previous_response_id")),
        "conversation" => return Err(stateful("conversation")),
        "prompt" => return Err(stateful("prompt")),
        "background" => {
            if read("background", raw, "a boolean")? {
                return Err(stateful("background"));
            }
        }
        // What every provider does.
        "truncation" if raw == "\"disabled\"" => {}
        other => dropped.add(other.to_owned()),
    }
    Ok(())
}

/// A member that means something only where answers are stored.
pub(super) fn stateful(name: &'static str) -> RequestError {
    RequestError::member(
        name,
        format!(
            "the member \"{name}\" needs a provider that speaks the Responses API natively: only there is state kept. \
             Send the whole conversation in \"input\" instead"
        ),
    )
}

fn wrong(name: &'static str, wanted: &str) -> RequestError {
    RequestError::member(name, format!("the member \"{name}\" must be {wanted}"))
}

fn read<'a, T: Deserialize<'a>>(name: &'static str, raw: &'a str, wanted: &str) -> Result<T, RequestError> {
    serde_json::from_str(raw).map_err(|_| wrong(name, wanted))
}

fn number<'a>(name: &'static str, raw: &'a str) -> Result<&'a str, RequestError> {
    Ok(read::<Number<'a>>(name, raw, "a number")?.0)
}

fn whole(name: &'static str, raw: &str) -> Result<u64, RequestError> {
    Ok(read::<Whole>(name, raw, "a whole number")?.0)
}

fn read_include(
    raw: &str,
    conversation: &mut Conversation<'_>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    for entry in read::<Vec<Text<'_>>>("include", raw, "an array of strings")? {
        match &*entry.decode() {
            LOGPROBS => conversation.logprobs = conversation.logprobs.or(Some(0)),
            // Given wherever there is any.
            ENCRYPTED => {}
            other => dropped.add(format!("include.{other}")),
        }
    }
    Ok(())
}

fn read_tools<'a>(
    raw: &'a str,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    for tool in read::<Vec<ToolShape<'a>>>("tools", raw, "an array of tools")? {
        let kind = tool.kind.as_ref().map(Text::decode);
        let kind = kind.ok_or_else(|| RequestError::member("tools", "a tool has no type"))?;
        if kind != "function" {
            dropped.add(format!("tools.{kind}"));
            continue;
        }
        for unknown in &tool.unknown {
            dropped.add(format!("tools.{unknown}"));
        }
        let name = tool.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| RequestError::member("tools", "a function tool has no name"))?;
        let strict = match tool.strict.map(|raw| raw.0) {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(RequestError::member("tools", "a tool's \"strict\" must be a boolean")),
        };
        let parameters = tool.parameters.map(|raw| Cow::Borrowed(raw.0));
        let description = tool.description;
        conversation.tools.push(Tool { name, description, parameters, strict, cache: None });
    }
    Ok(())
}

fn read_choice<'a>(raw: &'a str, dropped: &mut Dropped) -> Result<Option<ToolChoice<'a>>, RequestError> {
    Ok(match raw {
        "\"auto\"" => Some(ToolChoice::Auto),
        "\"none\"" => Some(ToolChoice::None),
        "\"required\"" => Some(ToolChoice::Required),
        _ => {
            let choice: Choice<'a> =
                read("tool_choice", raw, "\"auto\", \"none\", \"required\" or an object")?;
            match (choice.kind, choice.name) {
                (Some(kind), Some(name)) if kind == *"function" => Some(ToolChoice::Named(name)),
                _ => {
                    dropped.add("tool_choice");
                    None
                }
            }
        }
    })
}

fn read_text_options<'a>(
    raw: &'a str,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    let options: TextOptions<'a> = read("text", raw, "an object with a valid \"format\"")?;
    for unknown in &options.unknown {
        dropped.add(format!("text.{unknown}"));
    }
    if let Some(format) = options.format {
        conversation.format = read_format(format, dropped)?;
    }
    Ok(())
}

fn read_format<'a>(format: FormatShape<'a>, dropped: &mut Dropped) -> Result<Format<'a>, RequestError> {
    for unknown in &format.unknown {
        dropped.add(format!("text.format.{unknown}"));
    }
    let kind = format.kind.as_ref().map(Text::decode);
    Ok(match kind.as_deref() {
        Some("text") | None => Format::Text,
        Some("json_object") => Format::JsonObject,
        Some("json_schema") => {
            let schema = format.schema.filter(|schema| schema.0.starts_with('{'));
            let schema = schema.ok_or_else(|| {
                RequestError::member("text", "a \"json_schema\" format needs an object \"schema\"")
            })?;
            Format::JsonSchema {
                name: format.name,
                description: format.description,
                schema: Cow::Borrowed(schema.0),
                strict: format.strict,
            }
        }
        Some(_) => {
            let known = "the type of \"text.format\" must be text, json_object or json_schema";
            return Err(RequestError::member("text", known));
        }
    })
}

fn read_reasoning<'a>(
    raw: &'a str,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    let options: ReasoningOptions<'a> = read("reasoning", raw, "an object")?;
    for unknown in &options.unknown {
        dropped.add(format!("reasoning.{unknown}"));
    }
    if let Some(effort) = options.effort {
        let effort = effort.decode();
        conversation.thinking = Some(match (&*effort, Effort::parse(&effort)) {
            ("none", _) => Thinking::Off,
            (_, Some(effort)) => Thinking::Effort(effort),
            (_, None) => {
                let known = "\"reasoning.effort\" must be none, minimal, low, medium, high, xhigh or max";
                return Err(RequestError::member("reasoning", known));
            }
        });
    }
    if options.summary.or(options.generate_summary).is_some() {
        conversation.shows_thoughts = Some(true);
    }
    Ok(())
}
