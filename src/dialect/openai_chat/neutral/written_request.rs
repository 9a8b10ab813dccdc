//! A request, written for a provider of this dialect.

use bytes::BytesMut;

use super::Manners;
use super::turns::{self, Accent};
use crate::dialect::chat::{Conversation, Dropped, Effort, Format, Thinking, Tool, ToolChoice};
use crate::dialect::json::Writer;

/// Appends the JSON request to `out`; `model` is the provider's own name for the model.
pub fn write_request(
    conversation: &Conversation<'_>,
    model: &str,
    manners: &Manners,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) {
    Writer::new(out).object(|w| {
        w.name("model").string(model);
        w.name("messages").array(|w| turns::write(conversation, accent(manners), dropped, w));
        tools(conversation, dropped, w);
        settings(conversation, manners, dropped, w);
        format(&conversation.format, manners, dropped, w);
        for (name, raw) in &conversation.openai {
            match manners.shared {
                Some(known) if !known.contains(name) => dropped.add(*name),
                _ => w.name(name).raw(raw),
            }
        }
        if conversation.is_stream {
            w.name("stream").bool(true);
            w.name("stream_options").object(|w| w.name("include_usage").bool(true));
        }
    });
}

fn accent(manners: &Manners) -> Accent {
    Accent {
        instructor: if manners.takes_developer { "developer" } else { "system" },
        takes_names: manners.takes_names,
        takes_files: manners.takes_files,
        takes_sound: true,
        writes_null: true,
        replays_reasoning: manners.replays_reasoning,
    }
}

fn tools(conversation: &Conversation<'_>, dropped: &mut Dropped, w: &mut Writer<'_>) {
    if !conversation.tools.is_empty() {
        w.name("tools").array(|w| {
            for tool in &conversation.tools {
                write_tool(tool, dropped, w);
            }
        });
    }
    match &conversation.tool_choice {
        None => {}
        // Providers refuse a choice among no tools.
        Some(_) if conversation.tools.is_empty() => {}
        Some(ToolChoice::Auto) => w.name("tool_choice").string("auto"),
        Some(ToolChoice::None) => w.name("tool_choice").string("none"),
        Some(ToolChoice::Required) => w.name("tool_choice").string("required"),
        Some(ToolChoice::Named(name)) => w.name("tool_choice").object(|w| {
            w.name("type").string("function");
            w.name("function").object(|w| w.name("name").text(name));
        }),
    }
    if let Some(parallel) = conversation.parallel_tool_calls.filter(|_| !conversation.tools.is_empty()) {
        w.name("parallel_tool_calls").bool(parallel);
    }
}

fn write_tool(tool: &Tool<'_>, dropped: &mut Dropped, w: &mut Writer<'_>) {
    if tool.cache.is_some() {
        dropped.add("cache_control");
    }
    w.object(|w| {
        w.name("type").string("function");
        w.name("function").object(|w| {
            w.name("name").text(&tool.name);
            w.text_member("description", tool.description.as_ref());
            w.raw_member("parameters", tool.parameters.as_deref());
            if let Some(strict) = tool.strict {
                w.name("strict").bool(strict);
            }
        });
    });
}

fn settings(conversation: &Conversation<'_>, manners: &Manners, dropped: &mut Dropped, w: &mut Writer<'_>) {
    if let Some(most) = conversation.max_output_tokens {
        w.name(manners.max_tokens).number(most);
    }
    let sampling = &conversation.sampling;
    for (name, number) in [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("seed", sampling.seed),
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
    ] {
        w.raw_member(manners.own_name(name), number);
    }
    if sampling.top_k.is_some() {
        dropped.add("top_k");
    }
    if !conversation.stop.is_empty() {
        w.name("stop").array(|w| conversation.stop.iter().for_each(|stop| w.text(stop)));
    }
    if let Some(answers) = conversation.answers {
        w.name("n").number(answers);
    }
    match conversation.logprobs {
        Some(_) if !manners.takes_logprobs => dropped.add("logprobs"),
        Some(top) => {
            w.name("logprobs").bool(true);
            if top > 0 {
                w.name("top_logprobs").number(top);
            }
        }
        None => {}
    }
    match &conversation.user {
        Some(_) if !manners.takes_user => dropped.add("user"),
        user => w.text_member("user", user.as_ref()),
    }
    match conversation.thinking {
        Some(_) if !manners.takes_effort => dropped.add("reasoning_effort"),
        Some(thinking) => w.name("reasoning_effort").string(effort(thinking)),
        None => {}
    }
    if conversation.shows_thoughts == Some(false) {
        dropped.add("reasoning.exclude");
    }
}

/// The word for how much to think (§11.6).
fn effort(thinking: Thinking) -> &'static str {
    match thinking {
        Thinking::Off => "none",
        Thinking::Adaptive => Effort::Medium.as_str(),
        Thinking::Effort(effort) => effort.as_str(),
        Thinking::Budget(tokens) => Effort::of_budget(tokens).as_str(),
    }
}

fn format(format: &Format<'_>, manners: &Manners, dropped: &mut Dropped, w: &mut Writer<'_>) {
    let bare = |w: &mut Writer<'_>| {
        w.name("response_format").object(|w| w.name("type").string("json_object"));
    };
    match format {
        Format::Text => {}
        Format::JsonObject => bare(w),
        Format::JsonSchema { .. } if !manners.takes_schema => {
            dropped.add("response_format.json_schema");
            bare(w);
        }
        Format::JsonSchema { name, description, schema, strict } => {
            w.name("response_format").object(|w| {
                w.name("type").string("json_schema");
                w.name("json_schema").object(|w| {
                    match name {
                        Some(name) => w.name("name").text(name),
                        // The dialect asks for one.
                        None => w.name("name").string("response"),
                    }
                    w.text_member("description", description.as_ref());
                    w.name("schema").raw(schema);
                    if let Some(strict) = strict {
                        w.name("strict").bool(*strict);
                    }
                });
            });
        }
    }
}
