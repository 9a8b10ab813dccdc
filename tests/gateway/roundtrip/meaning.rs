//! What a conversation or an answer means, whatever it was read from.
//!
//! Escapes are decoded, neighbours of one side joined, ids replaced by the place of the call, JSON within strings parsed,
//! and what a dialect makes up because it insists on it (a name for a file, `auto` for a detail) is left out.

use aisix::dialect::Usage;
use aisix::dialect::chat::{
    Arguments, Citation, Conversation, Finish, Format, Media, Part, Reply, Role, Source, Thinking, ToolChoice,
};
use aisix::dialect::json::Text;
use serde_json::{Value, json};

/// Names that writers make up.
const MADE_UP: [&str; 4] = ["document.pdf", "response", "answer", ""];

/// The places of calls by their ids, in the order in which they come.
#[derive(Default)]
struct Calls(Vec<String>);

impl Calls {
    fn place(&mut self, id: &Text<'_>) -> usize {
        let id = id.decode().into_owned();
        let known = self.0.iter().position(|other| *other == id);
        known.unwrap_or_else(|| {
            self.0.push(id);
            self.0.len() - 1
        })
    }
}

fn name(text: Option<&Text<'_>>) -> Option<String> {
    text.map(|text| text.decode().into_owned()).filter(|name| !MADE_UP.contains(&name.as_str()))
}

fn said(text: &Text<'_>) -> String {
    text.decode().into_owned()
}

fn parsed(raw: &str) -> Value {
    serde_json::from_str(raw).unwrap_or_else(|error| panic!("{error}: {raw}"))
}

/// What a conversation asks for.
pub fn of_conversation(conversation: &Conversation<'_>) -> Value {
    let Conversation { sampling, .. } = conversation;
    let mut calls = Calls::default();
    let mut system: Vec<String> = Vec::new();
    for part in &conversation.system {
        let Part::Text(words) = part else { panic!("instructions are texts: {part:?}") };
        system.extend(said(&words.text).split('\n').filter(|line| !line.is_empty()).map(str::to_owned));
    }
    let system_marks: Vec<_> = conversation.system.iter().map(mark).collect();
    let has_tools = !conversation.tools.is_empty();
    let thinks = conversation.thinking.is_some_and(|thinking| thinking != Thinking::Off);
    let openai: Vec<_> = conversation.openai.iter().filter(|own| **own != ("store", "false")).collect();
    json!({
        "system": system,
        "marks": system_marks.into_iter().flatten().collect::<Vec<_>>(),
        "turns": turns(conversation, &mut calls),
        "tools": conversation.tools.iter().map(|tool| json!([
            said(&tool.name), tool.description.as_ref().map(said), tool.parameters.as_deref().map(parsed),
            tool.strict == Some(true), format!("{:?}", tool.cache),
        ])).collect::<Vec<_>>(),
        "choice": match &conversation.tool_choice {
            None | Some(ToolChoice::Auto) => json!("auto"),
            Some(ToolChoice::Named(name)) => json!([said(name)]),
            Some(other) => json!(format!("{other:?}")),
        },
        "one at a time": has_tools && conversation.parallel_tool_calls == Some(false),
        "most": conversation.max_output_tokens,
        "sampling": [sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed,
            sampling.presence_penalty, sampling.frequency_penalty],
        "stop": conversation.stop.iter().map(said).collect::<Vec<_>>(),
        "format": format(&conversation.format),
        "thinking": format!("{:?}", conversation.thinking),
        "shows": thinks.then_some(conversation.shows_thoughts),
        "answers": conversation.answers,
        "logprobs": conversation.logprobs,
        "user": conversation.user.as_ref().map(said),
        "openai": openai,
        "stream": conversation.is_stream,
    })
}

fn format(format: &Format<'_>) -> Value {
    match format {
        Format::Text => Value::Null,
        Format::JsonObject => json!("object"),
        Format::JsonSchema { name: own, description, schema, strict } => {
            json!([name(own.as_ref()), description.as_ref().map(said), parsed(schema), *strict == Some(true)])
        }
    }
}

/// The turns, those of one side joined; each is `[role, name, part, …]`.
fn turns(conversation: &Conversation<'_>, calls: &mut Calls) -> Vec<Vec<Value>> {
    let mut turns: Vec<Vec<Value>> = Vec::new();
    for turn in &conversation.turns {
        let head = [json!(format!("{:?}", turn.role)), json!(turn.name.as_ref().map(said))];
        if turns.last().is_none_or(|last| !last.starts_with(&head)) {
            turns.push(head.to_vec());
        }
        let last = turns.last_mut().expect("a turn");
        for part in &turn.parts {
            push(last, part, turn.role == Role::Assistant, calls);
        }
    }
    turns
}

/// Adds what a part says; what the model says in a row is one text.
fn push(into: &mut Vec<Value>, part: &Part<'_>, joins: bool, calls: &mut Calls) {
    match part {
        Part::Text(words) if words.text.is_empty() => {}
        Part::Text(words) => {
            let length = words.text.decode().chars().count() as u64;
            let citations: Vec<_> = words.citations.iter().map(|own| citation(own, length)).collect();
            let mark = mark(part);
            if joins
                && mark.is_none()
                && let Some([kind, Value::String(before), Value::Array(cited), Value::Null]) =
                    into.last_mut().and_then(Value::as_array_mut).map(Vec::as_mut_slice)
                && kind == "text"
            {
                before.push_str(&words.text.decode());
                cited.extend(citations);
                return;
            }
            into.push(json!(["text", said(&words.text), citations, mark]));
        }
        Part::Media(media) => into.push(shown(media)),
        Part::Thought(thought) => {
            if !thought.text.is_empty() {
                into.push(json!(["thought", said(&thought.text)]));
            }
            if let Some(signature) = &thought.signature {
                let origin = format!("{:?}", signature.origin);
                into.push(json!(["signature", origin, said(&signature.data), thought.is_redacted]));
            }
        }
        Part::ToolCall(call) => {
            let place = calls.place(&call.id);
            let arguments = match &call.arguments {
                Arguments::Text(text) if text.is_empty() => json!({}),
                arguments => parsed(&arguments.as_text().decode()),
            };
            into.push(json!(["call", place, said(&call.name), arguments, mark(part)]));
        }
        Part::ToolResult(result) => {
            let place = calls.place(&result.id);
            let texts = result.content.iter().filter_map(|part| match part {
                Part::Text(words) if !words.text.is_empty() => Some(said(&words.text)),
                _ => None,
            });
            let text = texts.collect::<Vec<_>>().join("\n");
            // An object that a tool gave may be spelt anew.
            let text = match serde_json::from_str::<Value>(&text) {
                Ok(object @ Value::Object(_)) => object,
                _ => json!(text),
            };
            let media = result.content.iter().filter_map(|part| match part {
                Part::Media(media) => Some(shown(media)),
                _ => None,
            });
            into.push(json!(["result", place, text, media.collect::<Vec<_>>(), result.is_error, mark(part)]));
        }
        Part::Refusal(text) => into.push(json!(["refusal", said(text)])),
    }
}

fn mark(part: &Part<'_>) -> Option<String> {
    let mark = match part {
        Part::Text(words) => words.cache,
        Part::Media(media) => media.cache,
        Part::ToolCall(call) => call.cache,
        Part::ToolResult(result) => result.cache,
        Part::Thought(_) | Part::Refusal(_) => None,
    };
    mark.map(|mark| format!("{mark:?}"))
}

fn shown(media: &Media<'_>) -> Value {
    let source = match &media.source {
        Source::Inline { media_type, data } => json!([said(media_type), said(data)]),
        Source::Plain(text) => json!({ "plain": said(text) }),
        Source::Url { url, .. } => json!({ "url": said(url) }),
        Source::File(id) => json!({ "file": said(id) }),
    };
    let detail = media.detail.as_ref().map(said).filter(|detail| detail != "auto");
    json!([
        format!("{:?}", media.kind),
        source,
        name(media.name.as_ref()),
        detail,
        media.cache.map(|mark| format!("{mark:?}"))
    ])
}

/// A source; one that stands for all of the text may say so or say nothing.
fn citation(citation: &Citation<'_>, length: u64) -> Value {
    let Citation { url, title, quote, place } = citation;
    let quote = quote.as_ref().map(said).filter(|quote| !quote.is_empty());
    let place = place.filter(|place| *place != (0, length));
    json!([url.as_ref().map(said), title.as_ref().map(said), quote, place])
}

/// What an answer says.
pub fn of_reply(reply: &Reply<'_>) -> Value {
    let answer = |answer: &aisix::dialect::chat::Answer<'_>| {
        let mut calls = Calls::default();
        let mut parts = Vec::new();
        for part in &answer.parts {
            push(&mut parts, part, true, &mut calls);
        }
        json!([parts, finish(&answer.finish)])
    };
    let answers: Vec<_> = reply.answers.iter().map(answer).collect();
    json!({ "answers": answers, "usage": reply.usage.as_ref().map(counted) })
}

fn finish(finish: &Finish<'_>) -> Value {
    match finish {
        Finish::StopSequence(Some(text)) => json!([said(text)]),
        finish => json!(finish.label()),
    }
}

fn counted(usage: &Usage) -> Value {
    // Not every dialect tells for how long something was written to a cache.
    let Usage { prompt, completion, cached, cache_write, reasoning, total, is_estimated, .. } = *usage;
    json!([prompt, completion, cached, cache_write, reasoning, total, is_estimated])
}
