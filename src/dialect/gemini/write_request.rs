//! A conversation as a request to Google.

use bytes::BytesMut;

use crate::dialect::chat::{Conversation, Dropped, Format, Sampling, Tool, ToolChoice};
use crate::dialect::json::Writer;

use super::contents;
use super::family::{Amount, Family};

/// Most texts that Gemini lets end an answer.
const MAX_STOPS: usize = 5;

/// Appends the JSON of a request. `model` is not written, because it stands in the URL; its family decides how the wish
/// for thinking is said.
pub fn write_request(
    conversation: &Conversation<'_>,
    model: &str,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) {
    let family = Family::of(model);
    let mut writer = Writer::new(out);
    writer.object(|w| {
        if !conversation.system.is_empty() && !conversation.turns.is_empty() {
            w.name("systemInstruction").object(|w| {
                w.name("parts").array(|w| contents::write_system(&conversation.system, dropped, w));
            });
        }
        w.name("contents").array(|w| contents::write(conversation, family, dropped, w));
        write_tools(conversation, dropped, w);
        w.name("generationConfig").object(|w| write_generation(conversation, family, dropped, w));
    });
    note_rest(conversation, dropped);
}

fn write_tools(conversation: &Conversation<'_>, dropped: &mut Dropped, w: &mut Writer<'_>) {
    if conversation.tools.is_empty() {
        return;
    }
    w.name("tools").array(|w| {
        w.object(|w| {
            w.name("functionDeclarations").array(|w| {
                for tool in &conversation.tools {
                    write_tool(tool, dropped, w);
                }
            });
        });
    });
    if let Some(choice) = &conversation.tool_choice {
        w.name("toolConfig").object(|w| {
            w.name("functionCallingConfig").object(|w| {
                w.name("mode").string(match choice {
                    ToolChoice::Auto => "AUTO",
                    ToolChoice::None => "NONE",
                    ToolChoice::Required | ToolChoice::Named(_) => "ANY",
                });
                if let ToolChoice::Named(name) = choice {
                    w.name("allowedFunctionNames").array(|w| w.text(name));
                }
            });
        });
    }
}

/// `parameters` takes only Google's subset of OpenAPI and refuses members such as `$ref`; `parametersJsonSchema` takes
/// JSON schema, in the Gemini API as in Vertex.
fn write_tool(tool: &Tool<'_>, dropped: &mut Dropped, w: &mut Writer<'_>) {
    if tool.cache.is_some() {
        dropped.add("cache_control");
    }
    if tool.strict == Some(true) {
        dropped.add("tools.strict");
    }
    w.object(|w| {
        w.name("name").text(&tool.name);
        w.text_member("description", tool.description.as_ref());
        w.raw_member("parametersJsonSchema", tool.parameters.as_deref());
    });
}

fn write_generation(
    conversation: &Conversation<'_>,
    family: Family,
    dropped: &mut Dropped,
    w: &mut Writer<'_>,
) {
    write_sampling(&conversation.sampling, dropped, w);
    if let Some(tokens) = conversation.max_output_tokens {
        w.name("maxOutputTokens").number(tokens);
    }
    if !conversation.stop.is_empty() {
        if conversation.stop.len() > MAX_STOPS {
            dropped.add("stop");
        }
        w.name("stopSequences")
            .array(|w| conversation.stop.iter().take(MAX_STOPS).for_each(|stop| w.text(stop)));
    }
    if let Some(answers) = conversation.answers.filter(|answers| *answers > 1) {
        w.name("candidateCount").number(answers);
    }
    if let Some(alternatives) = conversation.logprobs {
        w.name("responseLogprobs").bool(true);
        if alternatives > 0 {
            w.name("logprobs").number(alternatives);
        }
    }
    write_format(&conversation.format, dropped, w);
    write_thinking(conversation, family, dropped, w);
}

fn write_sampling(sampling: &Sampling<'_>, dropped: &mut Dropped, w: &mut Writer<'_>) {
    w.raw_member("temperature", sampling.temperature);
    w.raw_member("topP", sampling.top_p);
    w.raw_member("topK", sampling.top_k);
    // Google's seed has 32 bits, and larger ones are refused.
    match sampling.seed {
        Some(seed) if seed.parse::<i32>().is_ok() => w.name("seed").raw(seed),
        Some(_) => dropped.add("seed"),
        None => {}
    }
    w.raw_member("presencePenalty", sampling.presence_penalty);
    w.raw_member("frequencyPenalty", sampling.frequency_penalty);
}

fn write_format(format: &Format<'_>, dropped: &mut Dropped, w: &mut Writer<'_>) {
    match format {
        Format::Text => {}
        Format::JsonObject => w.name("responseMimeType").string("application/json"),
        Format::JsonSchema { description, schema, .. } => {
            if description.is_some() {
                dropped.add("response_format.json_schema.description");
            }
            w.name("responseMimeType").string("application/json");
            w.name("responseJsonSchema").raw(schema);
        }
    }
}

fn write_thinking(
    conversation: &Conversation<'_>,
    family: Family,
    dropped: &mut Dropped,
    w: &mut Writer<'_>,
) {
    use crate::dialect::chat::Thinking::Off;
    let amount = conversation.thinking.and_then(|thinking| family.amount(thinking));
    if family == Family::Plain {
        // A model that does not think refuses the wish.
        if conversation.thinking.is_some_and(|thinking| thinking != Off) {
            dropped.add("reasoning_effort");
        }
        return;
    }
    let shows = conversation.shows_thoughts;
    if amount.is_none() && shows.is_none() {
        return;
    }
    w.name("thinkingConfig").object(|w| {
        if let Some(shows) = shows {
            w.name("includeThoughts").bool(shows && conversation.thinking != Some(Off));
        }
        match amount {
            Some(Amount::Budget(tokens)) => w.name("thinkingBudget").raw(&tokens.to_string()),
            Some(Amount::Level(level)) => w.name("thinkingLevel").string(level),
            None => {}
        }
    });
}

/// Takes note of what Gemini has no member for.
fn note_rest(conversation: &Conversation<'_>, dropped: &mut Dropped) {
    if conversation.parallel_tool_calls == Some(false) && !conversation.tools.is_empty() {
        dropped.add("parallel_tool_calls");
    }
    if conversation.user.is_some() {
        dropped.add("user");
    }
    for (name, _) in &conversation.openai {
        dropped.add(*name);
    }
}
