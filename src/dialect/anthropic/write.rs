//! A request to a provider who speaks Anthropic's Messages.

use std::borrow::Cow;

use bytes::BytesMut;

use super::super::chat::{Conversation, Dropped, Format, Part, Tool, ToolChoice, Words};
use super::super::json::{Text, Writer};
use super::plan::{self, Mode, Plan};
use super::turns;
use super::wire::SchemaType;

/// Appends a request to `out`; `model` is the provider's own name for the model, plain text.
pub fn write_request(
    conversation: &Conversation<'_>,
    model: &str,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) {
    report(conversation, dropped);
    let sides = turns::gather(&conversation.turns, dropped);
    let plan = Plan::new(conversation, &sides, model, dropped);
    Writer::new(out).object(|w| {
        w.name("model").string(model);
        w.name("max_tokens").number(plan.max_tokens);
        if sides.is_empty() {
            write_only_system(w, &conversation.system, dropped);
        } else {
            write_system(w, &conversation.system, dropped);
            w.name("messages").array(|w| sides.iter().for_each(|side| turns::write_side(w, side, dropped)));
        }
        if !conversation.tools.is_empty() {
            w.name("tools").array(|w| conversation.tools.iter().for_each(|tool| write_tool(w, tool)));
        }
        write_choice(w, conversation, &plan, dropped);
        write_stop(w, &conversation.stop, dropped);
        w.raw_member("temperature", plan.sampling.temperature);
        w.raw_member("top_p", plan.sampling.top_p);
        w.raw_member("top_k", plan.sampling.top_k);
        write_thinking(w, &plan);
        write_output(w, &conversation.format, &plan, dropped);
        if let Some(user) = &conversation.user {
            w.name("metadata").object(|w| w.name("user_id").text(user));
        }
        if conversation.is_stream {
            w.name("stream").bool(true);
        }
    });
}

/// Names what the dialect has no member for.
fn report(conversation: &Conversation<'_>, dropped: &mut Dropped) {
    let sampling = &conversation.sampling;
    let unsayable = [
        ("n", conversation.answers.is_some_and(|answers| answers != 1)),
        ("logprobs", conversation.logprobs.is_some()),
        ("seed", sampling.seed.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
    ];
    for (name, _) in unsayable.into_iter().filter(|(_, is_set)| *is_set) {
        dropped.add(name);
    }
    for (name, _) in &conversation.openai {
        dropped.add(*name);
    }
}

/// The instructions that say something.
fn instructions<'c>(system: &'c [Part<'c>], dropped: &mut Dropped) -> Vec<&'c Words<'c>> {
    let mut texts = Vec::with_capacity(system.len());
    for part in system {
        match part {
            Part::Text(words) if words.text.is_blank() => {}
            Part::Text(words) => texts.push(words),
            _ => dropped.add("system.content"),
        }
    }
    texts
}

/// Writes the instructions as the one message that Anthropic asks for, where nobody says anything else.
fn write_only_system(writer: &mut Writer<'_>, system: &[Part<'_>], dropped: &mut Dropped) {
    let texts = instructions(system, dropped);
    writer.name("messages").array(|w| {
        if texts.is_empty() {
            return;
        }
        w.object(|w| {
            w.name("role").string("user");
            w.name("content").array(|w| {
                texts.iter().for_each(|words| turns::write_text(w, &words.text, words.cache));
            });
        });
    });
}

/// Writes the instructions: one text, or blocks where they are marked for the cache.
fn write_system(writer: &mut Writer<'_>, system: &[Part<'_>], dropped: &mut Dropped) {
    let texts = instructions(system, dropped);
    match texts.as_slice() {
        [] => {}
        [words] if words.cache.is_none() => writer.name("system").text(&words.text),
        texts if texts.iter().all(|words| words.cache.is_none()) => {
            let joined = Text::join(texts.iter().map(|words| &words.text), "\n\n");
            writer.name("system").text(&joined);
        }
        texts => writer.name("system").array(|w| {
            texts.iter().for_each(|words| turns::write_text(w, &words.text, words.cache));
        }),
    }
}

fn write_tool(writer: &mut Writer<'_>, tool: &Tool<'_>) {
    writer.object(|w| {
        w.name("name").text(&tool.name);
        w.text_member("description", tool.description.as_ref());
        w.name("input_schema").raw(&input_schema(tool.parameters.as_deref()));
        if tool.strict == Some(true) {
            w.name("strict").bool(true);
        }
        turns::write_cache(w, tool.cache);
    });
}

/// A schema that says it is one of an object, which Anthropic insists on.
fn input_schema(parameters: Option<&str>) -> Cow<'_, str> {
    const NOTHING: &str = r#"{"type":"object","properties":{}}"#;
    let Some(members) = parameters.and_then(|raw| raw.trim().strip_prefix('{')) else {
        return Cow::Borrowed(NOTHING);
    };
    let raw = parameters.unwrap_or(NOTHING);
    match serde_json::from_str::<SchemaType<'_>>(raw) {
        Ok(schema) if schema.kind.is_some() => Cow::Borrowed(raw),
        _ if members.trim_start().starts_with('}') => Cow::Borrowed(NOTHING),
        _ => Cow::Owned(format!(r#"{{"type":"object",{members}"#)),
    }
}

/// Writes which tool to call. A model that thinks cannot be made to call one.
fn write_choice(
    writer: &mut Writer<'_>,
    conversation: &Conversation<'_>,
    plan: &Plan<'_>,
    dropped: &mut Dropped,
) {
    let one_at_a_time = conversation.parallel_tool_calls == Some(false);
    let forced = match &conversation.tool_choice {
        Some(ToolChoice::Required) => Some(None),
        Some(ToolChoice::Named(name)) => Some(Some(name)),
        Some(ToolChoice::Auto | ToolChoice::None) | None => None,
    };
    let is_impossible = plan.is_thinking() || conversation.tools.is_empty();
    if forced.is_some() && is_impossible {
        dropped.add("tool_choice");
    }
    if conversation.tools.is_empty() {
        return;
    }
    let kind = match (forced.filter(|_| !is_impossible), &conversation.tool_choice) {
        (Some(Some(_)), _) => "tool",
        (Some(None), _) => "any",
        (None, Some(ToolChoice::None)) => "none",
        (None, None) if !one_at_a_time => return,
        (None, _) => "auto",
    };
    writer.name("tool_choice").object(|w| {
        w.name("type").string(kind);
        if let Some(Some(name)) = forced.filter(|_| !is_impossible) {
            w.name("name").text(name);
        }
        if one_at_a_time && kind != "none" {
            w.name("disable_parallel_tool_use").bool(true);
        }
    });
}

/// Writes the texts that end the answer; Anthropic refuses blank ones.
fn write_stop(writer: &mut Writer<'_>, stop: &[Text<'_>], dropped: &mut Dropped) {
    if stop.iter().any(Text::is_blank) {
        dropped.add("stop");
    }
    if stop.iter().any(|text| !text.is_blank()) {
        writer.name("stop_sequences").array(|w| {
            stop.iter().filter(|text| !text.is_blank()).for_each(|text| w.text(text));
        });
    }
}

fn write_thinking(writer: &mut Writer<'_>, plan: &Plan<'_>) {
    let Some(mode) = plan.mode else { return };
    writer.name("thinking").object(|w| {
        match mode {
            Mode::Disabled => return w.name("type").string("disabled"),
            Mode::Adaptive => w.name("type").string("adaptive"),
            Mode::Enabled(budget) => {
                w.name("type").string("enabled");
                w.name("budget_tokens").number(budget);
            }
        }
        if let Some(display) = plan.display {
            w.name("display").string(display);
        }
    });
}

/// Writes the form of the answer, and the word for effort beside it.
fn write_output(writer: &mut Writer<'_>, format: &Format<'_>, plan: &Plan<'_>, dropped: &mut Dropped) {
    let schema = match format {
        Format::Text => None,
        Format::JsonObject => {
            dropped.add("response_format");
            None
        }
        Format::JsonSchema { description, schema, .. } => {
            if description.is_some() {
                dropped.add("response_format.json_schema.description");
            }
            Some(schema)
        }
    };
    if schema.is_none() && plan.effort.is_none() {
        return;
    }
    writer.name("output_config").object(|w| {
        if let Some(effort) = plan.effort {
            w.name("effort").string(plan::effort_word(effort));
        }
        if let Some(schema) = schema {
            w.name("format").object(|w| {
                w.name("type").string("json_schema");
                w.name("schema").raw(schema);
            });
        }
    });
}
