//! A provider's whole answer, read.
//!
//! Also the finish reasons and tool calls as vendors write them, which streams share.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::failure::in_band;
use super::super::read_usage;
use super::details::{self, Thoughts};
use super::message::{citations, cite};
use super::part;
use crate::dialect::chat::{
    Answer, Arguments, Citation, Finish, Media, MediaKind, Part, Reply, Thought, ToolCall, Words,
};
use crate::dialect::json::Text;
use crate::dialect::json::shape::TextOr;
use crate::dialect::whole::Whole;
use crate::error::UpstreamError;

/// A whole answer, or a chunk of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow, default)]
    created: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    x_groq: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
}

/// One answer, or a piece of one.
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(borrow, default)]
    delta: Option<Said<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    /// What a stream's piece says; some providers write a whole message instead, or both.
    pub(super) fn take_delta(&mut self) -> Option<Said<'a>> {
        self.delta.take().or(self.message.take())
    }

    /// Log probabilities, where there are any.
    pub(super) fn logprobs(&self) -> Option<&'a str> {
        #[derive(Deserialize)]
        struct Logprobs<'a> {
            #[serde(borrow, default)]
            content: Option<&'a RawValue>,
            #[serde(borrow, default)]
            refusal: Option<&'a RawValue>,
        }
        let raw = self.logprobs?.get();
        let found: Logprobs<'_> = serde_json::from_str(raw).ok()?;
        (found.content.is_some() || found.refusal.is_some()).then_some(raw)
    }
}

/// What the model said, whole or a piece of it.
#[derive(Debug, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<TextOr<'a, Piece<'a>>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    pub(super) function_call: Option<Called<'a>>,
    #[serde(borrow, default)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    images: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) extra_content: Option<&'a RawValue>,
}

impl<'a> Said<'a> {
    /// The thoughts as bare text: `reasoning_content`, or `reasoning` where that is a text.
    pub(super) fn bare_thoughts(&mut self) -> Option<Text<'a>> {
        let own = self.reasoning_content.take().filter(|text| !text.is_empty());
        own.or_else(|| Text::from_json(self.reasoning?.get())).filter(|text| !text.is_empty())
    }

    pub(super) fn details(&self) -> Vec<details::Detail<'a>> {
        self.reasoning_details.map(|raw| details::read(raw.get())).unwrap_or_default()
    }
}

/// A piece of content that is a list.
#[derive(Debug, Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<TextOr<'a, Piece<'a>>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
}

impl<'a> Piece<'a> {
    pub(super) fn into_part(self) -> Option<Part<'a>> {
        if let Some(thinking) = self.thinking {
            let text = match thinking {
                TextOr::Text(text) => text,
                TextOr::List(pieces) => part::join(pieces.into_iter().filter_map(|piece| piece.text)),
            };
            return Some(Part::Thought(Box::new(Thought { text, ..Thought::default() })));
        }
        let text = self.text.map(|text| Part::Text(Words { text, ..Words::default() }));
        text.or_else(|| self.refusal.map(Part::Refusal))
    }
}

/// A tool call, whole or a piece of it.
#[derive(Debug, Deserialize)]
pub(super) struct Call<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) function: Option<Called<'a>>,
    #[serde(borrow, default)]
    custom: Option<Custom<'a>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
}

impl<'a> Call<'a> {
    /// Gemini's signature of this call.
    pub(super) fn signature(&self) -> Option<crate::dialect::chat::Signature<'a>> {
        details::extra_signature(self.extra_content?.get())
    }
}

/// The function of a call.
#[derive(Debug, Deserialize)]
pub(super) struct Called<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
}

impl<'a> Called<'a> {
    /// The arguments: a text, or the object itself, as some vendors write them.
    pub(super) fn arguments(&self) -> Arguments<'a> {
        match self.arguments.map(RawValue::get) {
            None => Arguments::Text(Text::default()),
            Some(raw) => match Text::from_json(raw) {
                Some(text) => Arguments::Text(text),
                None => Arguments::Object(Cow::Borrowed(raw)),
            },
        }
    }

    /// Whether it names a function: some providers write an empty one.
    pub(super) fn is_named(&self) -> bool {
        self.name.as_ref().is_some_and(|name| !name.is_empty())
    }
}

#[derive(Debug, Deserialize)]
struct Custom<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    input: Option<Text<'a>>,
}

impl<'a> Body<'a> {
    /// What the provider counted, wherever it says it.
    pub(super) fn usage(&self) -> Option<crate::dialect::Usage> {
        #[derive(Deserialize)]
        struct Groq<'a> {
            #[serde(borrow, default)]
            usage: Option<&'a RawValue>,
        }
        let own = self.usage.and_then(|raw| read_usage(raw.get()));
        own.or_else(|| read_usage(serde_json::from_str::<Groq<'_>>(self.x_groq?.get()).ok()?.usage?.get()))
    }

    /// Web pages that stand beside the answer, as Perplexity writes them.
    pub(super) fn citations(&self) -> Vec<Citation<'a>> {
        let urls = self.citations.and_then(|raw| serde_json::from_str::<Vec<Text<'_>>>(raw.get()).ok());
        let citation = |url| Citation { url: Some(url), ..Citation::default() };
        urls.unwrap_or_default().into_iter().map(citation).collect()
    }
}

/// Reads a whole answer.
///
/// # Errors
/// It is no answer, or an error under a status of success.
pub fn read_reply(body: &str) -> Result<Reply<'_>, UpstreamError> {
    let undecodable = |reason| UpstreamError::Undecodable { reason: Cow::Borrowed(reason) };
    let body: Body<'_> =
        serde_json::from_str(body).map_err(|_| undecodable("it is not a chat completion"))?;
    let usage = body.usage();
    let pages = body.citations();
    let Some(choices) = body.choices else {
        return Err(match body.error {
            Some(raw) => in_band(raw.get()),
            None => undecodable("it has no choices"),
        });
    };
    let id = body.id.filter(|id| !id.is_empty());
    let made = id.as_ref().map_or(Cow::Borrowed(""), Text::decode);
    let answers = choices
        .into_iter()
        .enumerate()
        .map(|(place, choice)| read_answer(choice, place, &made, &pages))
        .collect();
    let created = body.created.and_then(|raw| serde_json::from_str::<Whole>(raw.get()).ok());
    drop(made);
    Ok(Reply { id, model: body.model, created: created.map(|Whole(at)| at), answers, usage })
}

fn read_answer<'a>(mut choice: Choice<'a>, place: usize, reply: &str, pages: &[Citation<'a>]) -> Answer<'a> {
    let logprobs = choice.logprobs().map(Cow::Borrowed);
    let mut parts = choice.message.take().map(|said| read_said(said, place, reply)).unwrap_or_default();
    let has = |is: fn(&Part<'_>) -> bool| parts.iter().any(is);
    let calls = has(|part| matches!(part, Part::ToolCall(_)));
    let refuses = has(|part| matches!(part, Part::Refusal(_)));
    let finish = finish(choice.finish_reason.map_or("", RawValue::get), calls, refuses);
    if !pages.is_empty() && !has(|part| matches!(part, Part::Text(words) if !words.citations.is_empty())) {
        cite(&mut parts, pages.to_vec());
    }
    Answer { parts, finish, logprobs }
}

fn read_said<'a>(mut said: Said<'a>, place: usize, reply: &str) -> Vec<Part<'a>> {
    let bare = said.bare_thoughts();
    let mut thoughts = Thoughts::sort(said.details(), bare);
    if let Some(signature) = said.extra_content.and_then(|raw| details::extra_signature(raw.get())) {
        thoughts.add_signature(None, signature);
    }
    let mut content: Vec<Part<'a>> = match said.content.take() {
        Some(TextOr::Text(text)) if text.is_empty() => Vec::new(),
        Some(TextOr::Text(text)) => vec![Part::Text(Words { text, ..Words::default() })],
        Some(TextOr::List(pieces)) => pieces.into_iter().filter_map(Piece::into_part).collect(),
        None => Vec::new(),
    };
    if let Some(raw) = said.annotations {
        cite(&mut content, citations(raw.get()));
    }
    content.extend(said.refusal.take().filter(|text| !text.is_empty()).map(Part::Refusal));
    if let Some(raw) = said.images {
        content.extend(images(raw.get()));
    }
    let mut calls: Vec<Call<'a>> = said.tool_calls.take().unwrap_or_default();
    if let Some(function) = said.function_call.take().filter(|call| calls.is_empty() && call.is_named()) {
        calls.push(Call {
            index: None,
            id: None,
            function: Some(function),
            custom: None,
            extra_content: None,
        });
    }
    let mut parts = std::mem::take(&mut thoughts.first);
    if !calls.is_empty() || !thoughts.is_waiting() {
        parts.append(&mut content);
    }
    for (number, call) in calls.into_iter().enumerate() {
        if let Some(signature) = call.signature() {
            thoughts.add_signature(call.id.clone(), signature);
        }
        let Some(call) = tool_call(call, || made_id(reply, place, number)) else { continue };
        parts.extend(thoughts.of_call(&call.id, number == 0));
        parts.push(Part::ToolCall(Box::new(call)));
    }
    parts.extend(thoughts.others());
    parts.append(&mut content);
    parts
}

fn tool_call<'a>(call: Call<'a>, id: impl FnOnce() -> Text<'static>) -> Option<ToolCall<'a>> {
    let (name, arguments) = match (call.function, call.custom) {
        (Some(function), _) => (function.name.clone()?, function.arguments()),
        (None, Some(custom)) => (custom.name?, Arguments::Text(custom.input.unwrap_or_default())),
        (None, None) => return None,
    };
    let id = match call.id {
        Some(own) if !own.is_empty() => own,
        _ => id(),
    };
    Some(ToolCall { id, name, arguments, cache: None })
}

/// An id for a call that the provider gave none: unique in the conversation, because the reply's is.
pub(super) fn made_id(reply: &str, answer: usize, call: usize) -> Text<'static> {
    let fit: String = reply.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    Text::owned(&format!("call_{fit}_{answer}_{call}"))
}

/// Pictures beside the words, as OpenRouter writes them.
fn images(raw: &str) -> Vec<Part<'_>> {
    #[derive(Deserialize)]
    struct Image<'a> {
        #[serde(borrow)]
        image_url: Address<'a>,
    }
    #[derive(Deserialize)]
    struct Address<'a> {
        #[serde(borrow)]
        url: &'a RawValue,
    }
    let images: Vec<Image<'_>> = serde_json::from_str(raw).unwrap_or_default();
    let urls = images.into_iter().filter_map(|image| {
        let raw = image.image_url.url.get();
        raw.strip_prefix('"')?.strip_suffix('"')
    });
    let part = |url| {
        let source = part::source(url, "image/png");
        Part::Media(Box::new(Media { kind: MediaKind::Image, source, name: None, detail: None, cache: None }))
    };
    urls.map(part).collect()
}

/// Why it stopped, from the raw value. Some providers say `stop` where the model calls tools, or declines.
pub(super) fn finish(raw: &str, calls: bool, refuses: bool) -> Finish<'static> {
    let word = raw.trim().trim_matches('"').to_ascii_lowercase();
    match &*word {
        "length" | "max_tokens" | "model_length" | "insufficient_system_resource" => Finish::Length,
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => Finish::ToolCalls,
        "content_filter" | "safety" | "recitation" | "prohibited_content" | "sensitive" => {
            Finish::ContentFilter
        }
        "refusal" => Finish::Refusal,
        _ if calls => Finish::ToolCalls,
        _ if refuses => Finish::Refusal,
        "stop_sequence" => Finish::StopSequence(None),
        _ => Finish::Stop,
    }
}
