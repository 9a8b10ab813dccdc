//! Everything of a request that is no content, read: tools, thinking and the form of the answer.

use std::borrow::Cow;

use super::super::chat::{Conversation, Dropped, Effort, Format, Thinking, Tool, ToolChoice};
use super::content::{self, Unusable};
use super::wire::{Choice, FormatBlock, OutputConfig, ThinkingBlock, ToolBlock};

/// Reads the caller's own tools, and names those of Anthropic: nobody else has them.
pub(super) fn read_tools<'a>(
    tools: Vec<ToolBlock<'a>>,
    dropped: &mut Dropped,
) -> Result<Vec<Tool<'a>>, Unusable> {
    let mut read = Vec::with_capacity(tools.len());
    for tool in tools {
        if let Some(kind) = tool.kind.as_ref().filter(|kind| **kind != *"custom") {
            dropped.add(format!("tools.{}", kind.decode()));
            continue;
        }
        for name in &tool.unknown {
            dropped.add(format!("tools.{name}"));
        }
        read.push(Tool {
            name: tool.name.ok_or("a tool needs a \"name\"")?,
            description: tool.description,
            parameters: tool.input_schema.map(|schema| Cow::Borrowed(schema.0)),
            strict: tool.strict,
            cache: content::cache(tool.cache),
        });
    }
    Ok(read)
}

/// Reads which tool to call, and whether several at once.
pub(super) fn read_choice<'a>(
    choice: Choice<'a>,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), Unusable> {
    for name in &choice.unknown {
        dropped.add(format!("tool_choice.{name}"));
    }
    conversation.parallel_tool_calls = choice.disable_parallel.map(|is_disabled| !is_disabled);
    let kind = choice.kind.ok_or("a tool_choice needs a \"type\"")?;
    conversation.tool_choice = Some(match &*kind.decode() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.name.ok_or("a tool_choice of type tool needs a \"name\"")?),
        _ => return Err("the \"type\" of a tool_choice must be auto, any, tool or none"),
    });
    Ok(())
}

/// Takes back a choice that speaks of tools which were not carried.
pub(super) fn check_choice(conversation: &mut Conversation<'_>, dropped: &mut Dropped) {
    let is_void = match &conversation.tool_choice {
        None => false,
        Some(ToolChoice::Named(name)) => {
            let name = name.decode();
            !conversation.tools.iter().any(|tool| tool.name.decode() == name)
        }
        Some(_) => conversation.tools.is_empty(),
    };
    if !is_void {
        return;
    }
    if matches!(conversation.tool_choice, Some(ToolChoice::Named(_) | ToolChoice::Required)) {
        dropped.add("tool_choice");
    }
    conversation.tool_choice = None;
}

/// Reads how much to think. The word for effort, where there is one, says it better than "adaptive".
pub(super) fn read_thinking(
    thinking: Option<ThinkingBlock<'_>>,
    effort: Option<Effort>,
    conversation: &mut Conversation<'_>,
    dropped: &mut Dropped,
) -> Result<(), Unusable> {
    let Some(thinking) = thinking else {
        conversation.thinking = effort.map(Thinking::Effort);
        return Ok(());
    };
    for name in &thinking.unknown {
        dropped.add(format!("thinking.{name}"));
    }
    let kind = thinking.kind.ok_or("\"thinking\" needs a \"type\"")?;
    let read = match &*kind.decode() {
        "enabled" => {
            let budget = thinking.budget.ok_or("\"thinking\" of type enabled needs \"budget_tokens\"")?;
            Thinking::Budget(budget.0)
        }
        "adaptive" => effort.map_or(Thinking::Adaptive, Thinking::Effort),
        "disabled" => Thinking::Off,
        _ => return Err("the \"type\" of \"thinking\" must be enabled, adaptive or disabled"),
    };
    if effort.is_some() && !matches!(read, Thinking::Effort(_)) {
        dropped.add("output_config.effort");
    }
    conversation.shows_thoughts = match read {
        Thinking::Off => None,
        _ => Some(thinking.display.is_none_or(|display| display != *"omitted")),
    };
    conversation.thinking = Some(read);
    Ok(())
}

/// Reads what the answer is to be like.
pub(super) fn read_output<'a>(
    config: OutputConfig<'a>,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<Option<Effort>, Unusable> {
    for name in &config.unknown {
        dropped.add(format!("output_config.{name}"));
    }
    if let Some(format) = config.format {
        conversation.format = read_format(format)?;
    }
    let Some(word) = config.effort else { return Ok(None) };
    match Effort::parse(&word.decode()) {
        Some(effort) => Ok(Some(effort)),
        None => Err("the \"effort\" of \"output_config\" must be low, medium, high, xhigh or max"),
    }
}

/// Reads the form of the answer. Anthropic's forms have no names.
pub(super) fn read_format(format: FormatBlock<'_>) -> Result<Format<'_>, Unusable> {
    if format.kind.is_none_or(|kind| kind != *"json_schema") {
        return Err("the form of the answer must be of type json_schema");
    }
    let schema = format.schema.ok_or("a form of type json_schema needs a \"schema\"")?;
    Ok(Format::JsonSchema { name: None, description: None, schema: Cow::Borrowed(schema.0), strict: None })
}
