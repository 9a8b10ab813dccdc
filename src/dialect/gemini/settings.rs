//! How the model is to answer, as a caller says it: `generationConfig`, `tools` and `toolConfig`.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::chat::{Conversation, Dropped, Effort, Format, Thinking, Tool, ToolChoice};
use crate::dialect::json::Text;
use crate::dialect::json::shape::{Json, Number, shape};
use crate::dialect::whole::Whole;
use crate::error::RequestError;

use super::members::Many;
use super::schema;

shape! {
    /// `generationConfig`.
    Generation {
        "temperature" => temperature: Number<'a>,
        "topP" | "top_p" => top_p: Number<'a>,
        "topK" | "top_k" => top_k: Number<'a>,
        "seed" => seed: Number<'a>,
        "presencePenalty" | "presence_penalty" => presence_penalty: Number<'a>,
        "frequencyPenalty" | "frequency_penalty" => frequency_penalty: Number<'a>,
        "maxOutputTokens" | "max_output_tokens" => max_output_tokens: Whole,
        "candidateCount" | "candidate_count" => candidate_count: Whole,
        "stopSequences" | "stop_sequences" => stop: Vec<Text<'a>>,
        "responseMimeType" | "response_mime_type" => mime_type: Text<'a>,
        "responseSchema" | "response_schema" => schema: Json<'a>,
        "responseJsonSchema" | "response_json_schema" => json_schema: Json<'a>,
        "responseLogprobs" | "response_logprobs" => wants_logprobs: bool,
        "logprobs" => logprobs: Whole,
        "thinkingConfig" | "thinking_config" => thinking: ThinkingConfig<'a>,
        "responseModalities" | "response_modalities" => modalities: Vec<Text<'a>>,
    }
    /// `thinkingConfig`.
    ThinkingConfig {
        "includeThoughts" | "include_thoughts" => includes_thoughts: bool,
        "thinkingBudget" | "thinking_budget" => budget: i64,
        "thinkingLevel" | "thinking_level" => level: Text<'a>,
    }
    /// An item of `tools`: functions, or a tool of Google's.
    ToolMember {
        "functionDeclarations" | "function_declarations" => functions: Many<Function<'a>>,
    }
    /// A function that the model may call.
    Function {
        "name" => name: Text<'a>,
        "description" => description: Text<'a>,
        "parameters" => parameters: Json<'a>,
        "parametersJsonSchema" | "parameters_json_schema" => json_schema: Json<'a>,
    }
    /// `toolConfig`.
    ToolConfig {
        "functionCallingConfig" | "function_calling_config" => calling: Calling<'a>,
    }
    /// `functionCallingConfig`.
    Calling {
        "mode" => mode: Text<'a>,
        "allowedFunctionNames" | "allowed_function_names" => allowed: Vec<Text<'a>>,
    }
}

fn parse<'a, T: Deserialize<'a>>(name: &'static str, raw: &'a str, wanted: &str) -> Result<T, RequestError> {
    let wrong = |_| RequestError::member(name, format!("the member \"{name}\" must be {wanted}"));
    serde_json::from_str(raw).map_err(wrong)
}

/// Reads `generationConfig` into a conversation.
pub(super) fn read_generation<'a>(
    raw: &'a str,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    let wanted = "an object, and its members must have the types that Gemini documents";
    let generation: Generation<'a> = parse("generationConfig", raw, wanted)?;
    for name in &generation.unknown {
        dropped.add(format!("generationConfig.{name}"));
    }
    let speaks = |word: &Text<'_>| !word.escaped().eq_ignore_ascii_case("TEXT");
    if generation.modalities.as_deref().unwrap_or_default().iter().any(speaks) {
        dropped.add("generationConfig.responseModalities");
    }
    let text = |number: Option<Number<'a>>| number.map(|number| number.0);
    let sampling = &mut conversation.sampling;
    sampling.temperature = text(generation.temperature);
    sampling.top_p = text(generation.top_p);
    sampling.top_k = text(generation.top_k);
    sampling.seed = text(generation.seed);
    sampling.presence_penalty = text(generation.presence_penalty);
    sampling.frequency_penalty = text(generation.frequency_penalty);
    conversation.max_output_tokens = generation.max_output_tokens.map(|Whole(tokens)| tokens);
    conversation.answers = generation.candidate_count.map(|Whole(count)| count).filter(|count| *count > 1);
    conversation.stop = generation.stop.unwrap_or_default();
    if generation.wants_logprobs == Some(true) {
        conversation.logprobs = Some(generation.logprobs.map_or(0, |Whole(count)| count));
    }
    let schema = match (generation.json_schema, generation.schema) {
        (Some(schema), _) => Some(Cow::Borrowed(schema.0)),
        (None, schema) => schema.map(|schema| schema::to_json_schema(schema.0)),
    };
    conversation.format = format(generation.mime_type.as_ref(), schema, dropped);
    if let Some(config) = generation.thinking {
        read_thinking(&config, conversation, dropped);
    }
    Ok(())
}

fn format<'a>(
    mime_type: Option<&Text<'a>>,
    schema: Option<Cow<'a, str>>,
    dropped: &mut Dropped,
) -> Format<'a> {
    let plain = mime_type.map(Text::decode);
    if !matches!(plain.as_deref(), None | Some("text/plain" | "application/json")) {
        dropped.add("generationConfig.responseMimeType");
    }
    match (plain.as_deref(), schema) {
        (_, Some(schema)) => Format::JsonSchema { name: None, description: None, schema, strict: None },
        (Some("application/json"), None) => Format::JsonObject,
        _ => Format::Text,
    }
}

fn read_thinking<'a>(
    config: &ThinkingConfig<'a>,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) {
    for name in &config.unknown {
        dropped.add(format!("generationConfig.thinkingConfig.{name}"));
    }
    conversation.shows_thoughts = config.includes_thoughts;
    let level = config.level.as_ref().map(|level| level.escaped().to_ascii_lowercase());
    conversation.thinking = match (config.budget, level.as_deref()) {
        (Some(0), _) => Some(Thinking::Off),
        (Some(budget), _) => Some(u64::try_from(budget).map_or(Thinking::Adaptive, Thinking::Budget)),
        (None, None | Some("thinking_level_unspecified")) => None,
        (None, Some(level)) => {
            let effort = Effort::parse(level);
            if effort.is_none() {
                dropped.add("generationConfig.thinkingConfig.thinkingLevel");
            }
            effort.map(Thinking::Effort)
        }
    };
}

/// Reads `tools`; those of Google's own are named.
pub(super) fn read_tools<'a>(raw: &'a str, dropped: &mut Dropped) -> Result<Vec<Tool<'a>>, RequestError> {
    let wanted = "an array of objects with \"functionDeclarations\"";
    let members: Many<ToolMember<'a>> = parse("tools", raw, wanted)?;
    let mut tools = Vec::new();
    for member in members.0 {
        for name in &member.unknown {
            dropped.add(format!("tools.{name}"));
        }
        for function in member.functions.map(|functions| functions.0).unwrap_or_default() {
            tools.push(read_function(function, dropped)?);
        }
    }
    Ok(tools)
}

fn read_function<'a>(function: Function<'a>, dropped: &mut Dropped) -> Result<Tool<'a>, RequestError> {
    for name in &function.unknown {
        dropped.add(format!("tools.functionDeclarations.{name}"));
    }
    let name = function.name.filter(|name| !name.is_empty()).ok_or_else(|| {
        RequestError::member("tools", "every item of \"tools[].functionDeclarations\" needs a \"name\"")
    })?;
    let parameters = match (function.json_schema, function.parameters) {
        (Some(schema), _) => Some(Cow::Borrowed(schema.0)),
        (None, schema) => schema.map(|schema| schema::to_json_schema(schema.0)),
    };
    let description = function.description.filter(|description| !description.is_empty());
    Ok(Tool { name, description, parameters, strict: None, cache: None })
}

/// Reads `toolConfig`.
pub(super) fn read_calling<'a>(
    raw: &'a str,
    dropped: &mut Dropped,
) -> Result<Option<Calling<'a>>, RequestError> {
    let config: ToolConfig<'a> = parse("toolConfig", raw, "an object with \"functionCallingConfig\"")?;
    for name in &config.unknown {
        dropped.add(format!("toolConfig.{name}"));
    }
    Ok(config.calling)
}

/// Which tools must be called. One allowed name is a choice; several are only the same as all where they are all.
pub(super) fn tool_choice<'a>(
    calling: Calling<'a>,
    tools: &[Tool<'_>],
    dropped: &mut Dropped,
) -> Option<ToolChoice<'a>> {
    let mode = calling.mode.as_ref().map(|mode| mode.escaped().to_ascii_uppercase());
    let mut allowed = calling.allowed.unwrap_or_default();
    let choice = match mode.as_deref() {
        Some("AUTO") => Some(ToolChoice::Auto),
        Some("NONE") => Some(ToolChoice::None),
        Some("ANY") if allowed.len() == 1 => return allowed.pop().map(ToolChoice::Named),
        Some("ANY") => Some(ToolChoice::Required),
        Some("VALIDATED") => {
            dropped.add("toolConfig.functionCallingConfig.mode");
            Some(ToolChoice::Auto)
        }
        None | Some("MODE_UNSPECIFIED") => None,
        Some(_) => {
            dropped.add("toolConfig.functionCallingConfig.mode");
            None
        }
    };
    if !allowed.is_empty() && !tools.iter().all(|tool| allowed.contains(&tool.name)) {
        dropped.add("toolConfig.functionCallingConfig.allowedFunctionNames");
    }
    choice
}
