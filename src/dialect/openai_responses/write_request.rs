//! A request to a provider that speaks the dialect.
//!
//! The provider is asked to store nothing unless the caller wants it to, so reasoning is asked for in its encrypted form:
//! without it a model that calls tools would begin its thoughts anew on every turn.

use bytes::BytesMut;

use crate::dialect::chat::{
    Conversation, Dropped, Effort, Format, Part, Sampling, Thinking, Tool, ToolChoice,
};
use crate::dialect::json::{Text, Writer};

use super::{reasoning, write_input};

/// The least that OpenAI lets a caller ask for.
const LEAST_OUTPUT_TOKENS: u64 = 16;
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// Appends the request for `model`, which is plain text.
pub fn write_request(
    conversation: &Conversation<'_>,
    model: &str,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) {
    name_unsayable(conversation, dropped);
    let mut writer = Writer::new(out);
    writer.object(|w| {
        w.name("model").string(model);
        write_input::write(w, conversation, dropped);
        write_tools(w, conversation, dropped);
        if let Some(most) = conversation.max_output_tokens {
            w.name("max_output_tokens").number(most.max(LEAST_OUTPUT_TOKENS));
        }
        w.raw_member("temperature", conversation.sampling.temperature);
        w.raw_member("top_p", conversation.sampling.top_p);
        write_format(w, &conversation.format);
        write_thinking(w, conversation);
        write_include(w, conversation);
        w.text_member("user", conversation.user.as_ref());
        if conversation.openai.iter().all(|(name, _)| *name != "store") {
            w.name("store").bool(false);
        }
        for (name, raw) in &conversation.openai {
            w.name(name).raw(raw);
        }
        if conversation.is_stream {
            w.name("stream").bool(true);
        }
    });
}

/// Names what the dialect has no member for.
fn name_unsayable(conversation: &Conversation<'_>, dropped: &mut Dropped) {
    let Sampling { temperature: _, top_p: _, top_k, seed, presence_penalty, frequency_penalty } =
        conversation.sampling;
    for (name, is_set) in [
        ("stop", !conversation.stop.is_empty()),
        ("n", conversation.answers.is_some_and(|answers| answers > 1)),
        ("top_k", top_k.is_some()),
        ("seed", seed.is_some()),
        ("presence_penalty", presence_penalty.is_some()),
        ("frequency_penalty", frequency_penalty.is_some()),
        ("messages.name", conversation.turns.iter().any(|turn| turn.name.is_some())),
        ("cache_control", conversation.tools.iter().any(|tool| tool.cache.is_some())),
    ] {
        if is_set {
            dropped.add(name);
        }
    }
}

fn write_tools(w: &mut Writer<'_>, conversation: &Conversation<'_>, dropped: &mut Dropped) {
    if conversation.tools.is_empty() {
        // Without tools there is nothing to choose from, and providers refuse the choice.
        if matches!(conversation.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
            dropped.add("tool_choice");
        }
        return;
    }
    w.name("tools").array(|w| conversation.tools.iter().for_each(|tool| write_tool(w, tool)));
    match &conversation.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => w.name("tool_choice").string("auto"),
        Some(ToolChoice::None) => w.name("tool_choice").string("none"),
        Some(ToolChoice::Required) => w.name("tool_choice").string("required"),
        Some(ToolChoice::Named(name)) => w.name("tool_choice").object(|w| {
            w.name("type").string("function");
            w.name("name").text(name);
        }),
    }
    if let Some(several) = conversation.parallel_tool_calls {
        w.name("parallel_tool_calls").bool(several);
    }
}

fn write_tool(w: &mut Writer<'_>, tool: &Tool<'_>) {
    w.object(|w| {
        w.name("type").string("function");
        w.name("name").text(&tool.name);
        w.text_member("description", tool.description.as_ref());
        w.name("parameters").raw(tool.parameters.as_deref().unwrap_or(NO_PARAMETERS));
        // Absent means true here and false in every other dialect: it would make optional arguments required.
        w.name("strict").bool(tool.strict.unwrap_or(false));
    });
}

fn write_format(w: &mut Writer<'_>, format: &Format<'_>) {
    let (kind, schema) = match format {
        Format::Text => return,
        Format::JsonObject => ("json_object", None),
        Format::JsonSchema { name, description, schema, strict } => {
            ("json_schema", Some((name, description, schema, strict)))
        }
    };
    w.name("text").object(|w| {
        w.name("format").object(|w| {
            w.name("type").string(kind);
            if let Some((name, description, schema, strict)) = schema {
                w.name("name").text(name.as_ref().unwrap_or(&Text::from_escaped("answer")));
                w.text_member("description", description.as_ref());
                w.name("schema").raw(schema);
                if let Some(strict) = strict {
                    w.name("strict").bool(*strict);
                }
            }
        });
    });
}

fn write_thinking(w: &mut Writer<'_>, conversation: &Conversation<'_>) {
    let effort = conversation.thinking.map(|thinking| match thinking {
        Thinking::Off => "none",
        Thinking::Adaptive => Effort::Medium.as_str(),
        Thinking::Effort(effort) => effort.as_str(),
        Thinking::Budget(tokens) => Effort::of_budget(tokens).as_str(),
    });
    let is_shown = conversation.shows_thoughts == Some(true) && conversation.thinking != Some(Thinking::Off);
    if effort.is_none() && !is_shown {
        return;
    }
    w.name("reasoning").object(|w| {
        if let Some(effort) = effort {
            w.name("effort").string(effort);
        }
        if is_shown {
            w.name("summary").string("auto");
        }
    });
}

fn write_include(w: &mut Writer<'_>, conversation: &Conversation<'_>) {
    let thinks = match conversation.thinking {
        Some(thinking) => thinking != Thinking::Off,
        None => conversation.shows_thoughts == Some(true),
    };
    let is_own = |part: &Part<'_>| match part {
        Part::Thought(thought) => {
            thought.signature.as_ref().is_some_and(|own| reasoning::split(own).is_some())
        }
        _ => false,
    };
    let replays = || conversation.turns.iter().any(|turn| turn.parts.iter().any(is_own));
    let is_sealed = thinks || replays();
    if !is_sealed && conversation.logprobs.is_none() {
        return;
    }
    w.name("include").array(|w| {
        if is_sealed {
            w.string("reasoning.encrypted_content");
        }
        if conversation.logprobs.is_some() {
            w.string("message.output_text.logprobs");
        }
    });
    if let Some(most) = conversation.logprobs.filter(|most| *most > 0) {
        w.name("top_logprobs").number(most);
    }
}
