//! Text completions: the chat's words, in the older shape.
//!
//! Shapes: recorded exchanges with api.openai.com.

use serde_json::{Map, Value, json};

use super::endpoints::Ask;
use super::error::{self, Failure};
use super::plain::Plain;
use super::request::{Request, tokens};
use super::speech::{Content, Speech};
use super::wire::{event, pieces};
use super::{Character, Fault, MockFrame, MockReply, fingerprint};

/// A text that continues a prompt.
struct Choice {
    text: String,
    finish: &'static str,
    tokens: u64,
}

/// Answers a request for completions.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let plain = Plain::read(ask, &["model", "prompt"])?;
    let prompts = prompts(&plain.members["prompt"])?;
    let (mut choices, mut is_stream, mut wants_usage) = (Vec::new(), false, false);
    for prompt in &prompts {
        let mut members = plain.members.clone();
        members.insert("messages".into(), json!([{"role": "user", "content": prompt}]));
        let request = Request::of(members)?;
        (is_stream, wants_usage) = (request.stream, request.include_usage);
        choices.extend((0..request.choices).map(|_| continued(&request, ask.request.body, plain.fault)));
    }
    let prompt_tokens: u64 = prompts.iter().map(|prompt| tokens(prompt.len())).sum();
    let completion_tokens: u64 = choices.iter().map(|choice| choice.tokens).sum();
    let usage = json!({"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens});
    let head = Map::from_iter([
        ("id".to_owned(), format!("cmpl-mock{:016x}", fingerprint(ask.hints.seed, ask.request.body)).into()),
        ("object".to_owned(), "text_completion".into()),
        ("created".to_owned(), ask.hints.created.into()),
        ("model".to_owned(), plain.members["model"].clone()),
    ]);
    if is_stream {
        let closing = choices.len() + if wants_usage { 2 } else { 1 };
        return Ok(plain.stream(chunks(&head, &choices, wants_usage.then_some(&usage)), closing));
    }
    let write = |(index, choice): (usize, &Choice)| one(index, &choice.text, Some(choice.finish));
    let choices: Vec<_> = choices.iter().enumerate().map(write).collect();
    Ok(plain.json(&with(&head, &[("choices", choices.into()), ("usage", usage)])))
}

/// The prompts; a list of tokens stands for itself as text.
fn prompts(prompt: &Value) -> Result<Vec<String>, Failure> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match prompt {
        Value::String(one) => Ok(vec![one.clone()]),
        Value::Array(many) if many.first().is_some_and(Value::is_number) => Ok(vec![prompt.to_string()]),
        Value::Array(many) if !many.is_empty() => Ok(many.iter().map(text).collect()),
        _ => Err(error::invalid("prompt", "invalid_type", "'prompt' must be a string or an array.").into()),
    }
}

fn continued(request: &Request, body: &[u8], fault: Option<Fault>) -> Choice {
    let speech = Speech::to(request, body, Character::of(&request.model), fault);
    let (finish, tokens) = (speech.finish.name(), speech.tokens());
    let text = match speech.content {
        Content::Text(text) | Content::Refusal(text) => text,
        Content::Calls(_) => String::new(),
    };
    Choice { text, finish, tokens }
}

fn one(index: usize, text: &str, finish: Option<&str>) -> Value {
    json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish})
}

fn with(head: &Map<String, Value>, more: &[(&str, Value)]) -> Value {
    let mut members = head.clone();
    members.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    members.into()
}

fn chunks(head: &Map<String, Value>, choices: &[Choice], usage: Option<&Value>) -> Vec<MockFrame> {
    let chunk = |choice: Value| {
        let mut more = vec![("choices", json!([choice]))];
        if usage.is_some() {
            more.push(("usage", Value::Null));
        }
        MockFrame::new(event(&with(head, &more)))
    };
    let numbered = || choices.iter().enumerate();
    let texts = numbered().flat_map(|(index, choice)| {
        pieces(&choice.text).into_iter().map(move |piece| one(index, piece, None))
    });
    let ends = numbered().map(|(index, choice)| one(index, "", Some(choice.finish)));
    let mut frames: Vec<_> = texts.chain(ends).map(chunk).collect();
    if let Some(usage) = usage {
        let last = with(head, &[("usage", usage.clone()), ("choices", json!([]))]);
        frames.push(MockFrame::new(event(&last)));
    }
    frames.push(MockFrame::new("data: [DONE]\n\n"));
    frames
}
