//! A conversation, written as a request.

use bytes::BytesMut;

use crate::dialect::chat::{Conversation, Dropped, Format, Thinking, Tool, ToolChoice};
use crate::dialect::json::Writer;
use crate::dialect::openai_chat::neutral::turns::{self, Accent};

/// Messages are OpenAI's, without names, files and sounds; absent content is left out.
const ACCENT: Accent = Accent {
    instructor: "system",
    takes_names: false,
    takes_files: false,
    takes_sound: false,
    writes_null: false,
    replays_reasoning: false,
};

/// Appends the JSON request to `out`; `model` is the provider's own name for the model.
pub fn write_request(
    conversation: &Conversation<'_>,
    model: &str,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) {
    Writer::new(out).object(|w| {
        w.name("model").string(model);
        w.name("messages").array(|w| turns::write(conversation, ACCENT, dropped, w));
        tools(conversation, dropped, w);
        settings(conversation, w);
        format(&conversation.format, w);
        thinking(conversation.thinking, w);
        w.name("stream").bool(conversation.is_stream);
    });
    report(conversation, dropped);
}

/// Tools and which of them to call. There is no word for one of them: it is offered alone, and required.
fn tools(conversation: &Conversation<'_>, dropped: &mut Dropped, w: &mut Writer<'_>) {
    let only = match &conversation.tool_choice {
        Some(ToolChoice::Named(name)) => {
            conversation.tools.iter().find(|tool| tool.name.decode() == name.decode())
        }
        _ => None,
    };
    let offered: Vec<&Tool<'_>> = only.map_or_else(|| conversation.tools.iter().collect(), |tool| vec![tool]);
    if offered.is_empty() {
        return;
    }
    w.name("tools").array(|w| offered.iter().for_each(|tool| write_tool(tool, dropped, w)));
    let is_strict = |tool: &&Tool<'_>| tool.strict == Some(true);
    match (offered.iter().all(&is_strict), offered.iter().any(is_strict)) {
        (true, _) => w.name("strict_tools").bool(true),
        (false, true) => dropped.add("tools.strict"),
        (false, false) => {}
    }
    match &conversation.tool_choice {
        Some(ToolChoice::Required) => w.name("tool_choice").string("REQUIRED"),
        Some(ToolChoice::None) => w.name("tool_choice").string("NONE"),
        Some(ToolChoice::Named(_)) if only.is_some() => w.name("tool_choice").string("REQUIRED"),
        Some(ToolChoice::Named(_)) => dropped.add("tool_choice"),
        Some(ToolChoice::Auto) | None => {}
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
            // Asked for, also where a function takes nothing.
            let schema = tool.parameters.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#);
            w.name("parameters").raw(schema);
        });
    });
}

fn settings(conversation: &Conversation<'_>, w: &mut Writer<'_>) {
    if let Some(most) = conversation.max_output_tokens {
        w.name("max_tokens").number(most);
    }
    let sampling = &conversation.sampling;
    for (name, number) in [
        ("temperature", sampling.temperature),
        ("p", sampling.top_p),
        ("k", sampling.top_k),
        ("seed", sampling.seed),
        ("presence_penalty", sampling.presence_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
    ] {
        w.raw_member(name, number);
    }
    if !conversation.stop.is_empty() {
        w.name("stop_sequences").array(|w| conversation.stop.iter().for_each(|stop| w.text(stop)));
    }
}

fn format(format: &Format<'_>, w: &mut Writer<'_>) {
    let schema = match format {
        Format::Text => return,
        Format::JsonObject => None,
        Format::JsonSchema { schema, .. } => Some(&**schema),
    };
    w.name("response_format").object(|w| {
        w.name("type").string("json_object");
        w.raw_member("schema", schema);
    });
}

fn thinking(thinking: Option<Thinking>, w: &mut Writer<'_>) {
    let budget = match thinking {
        None => return,
        Some(Thinking::Off | Thinking::Adaptive) => None,
        Some(Thinking::Effort(effort)) => Some(effort.budget()),
        Some(Thinking::Budget(tokens)) => Some(tokens),
    };
    let kind = if thinking == Some(Thinking::Off) { "disabled" } else { "enabled" };
    w.name("thinking").object(|w| {
        w.name("type").string(kind);
        if let Some(tokens) = budget {
            w.name("token_budget").number(tokens);
        }
    });
}

/// Names what there is no member for. Its log probabilities have a form of their own, so that none are asked for.
fn report(conversation: &Conversation<'_>, dropped: &mut Dropped) {
    for (name, is_there) in [
        ("parallel_tool_calls", conversation.parallel_tool_calls == Some(false)),
        ("n", conversation.answers.is_some()),
        ("logprobs", conversation.logprobs.is_some()),
        ("user", conversation.user.is_some()),
        ("reasoning.exclude", conversation.shows_thoughts == Some(false)),
    ] {
        if is_there {
            dropped.add(name);
        }
    }
    for (name, _) in &conversation.openai {
        dropped.add(*name);
    }
}
