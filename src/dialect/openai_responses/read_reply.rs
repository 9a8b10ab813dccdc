//! A provider's whole answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::Usage;
use crate::dialect::chat::{
    Answer, Arguments, Finish, Media, MediaKind, Part, Reply, Source, ToolCall, Words,
};
use crate::dialect::json::Text;
use crate::dialect::whole::Whole;
use crate::error::UpstreamError;

use super::shapes::{Content, Item, Piece};
use super::{failure, read_input};

/// A response, as far as it is understood.
#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) incomplete_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

impl Response<'_> {
    /// Why the model stopped, as the response itself says it.
    pub(super) fn cut(&self) -> Option<Finish<'static>> {
        #[derive(Deserialize)]
        struct Details<'a> {
            #[serde(borrow)]
            reason: Option<Text<'a>>,
        }
        let status = self.status.as_ref()?;
        if *status != *"incomplete" {
            return None;
        }
        let details = self.incomplete_details.map(RawValue::get).unwrap_or("null");
        let details = serde_json::from_str::<Option<Details<'_>>>(details).ok().flatten();
        let reason = details.and_then(|details| details.reason);
        Some(match reason {
            Some(reason) if reason == *"content_filter" => Finish::ContentFilter,
            _ => Finish::Length,
        })
    }

    /// What the provider counted.
    pub(super) fn read_usage(&self) -> Option<Usage> {
        read_usage(self.usage?.get())
    }
}

/// Statuses of an answer that is made in the background, or was to be.
const UNFINISHED: [&str; 3] = ["queued", "in_progress", "cancelled"];

/// Whether a body is an answer that is still to come: callers of this dialect may ask for it (`background`).
#[must_use]
pub fn is_promise(body: &str) -> bool {
    let response =
        serde_json::from_str::<Response<'_>>(body).ok().filter(|response| response.error.is_none());
    response
        .and_then(|response| response.status)
        .is_some_and(|status| UNFINISHED.contains(&&*status.decode()))
}

/// Reads a whole answer.
///
/// # Errors
/// It is not readable, not complete, or an error under a status of success.
pub fn read_reply(body: &str) -> Result<Reply<'_>, UpstreamError> {
    let response: Response<'_> =
        serde_json::from_str(body).map_err(|_| undecodable("it is no response object"))?;
    if let Some(error) = response.error {
        return Err(failure::in_band(error.get()));
    }
    match response.status.as_ref().map(Text::decode).as_deref() {
        Some("failed") => return Err(failure::in_band("{}")),
        Some(status) if UNFINISHED.contains(&status) => {
            return Err(undecodable("the response is not complete"));
        }
        _ => {}
    }
    let output = response.output.ok_or_else(|| undecodable("it has no output"))?;
    let items: Vec<Item<'_>> =
        serde_json::from_str(output.get()).map_err(|_| undecodable("its output is no list of items"))?;
    let mut answer = Answer::default();
    let mut logprobs = String::new();
    for item in items {
        read_item(item, &mut answer.parts, &mut logprobs)?;
    }
    answer.finish = response.cut().unwrap_or_else(|| finish(&answer.parts));
    answer.logprobs =
        (!logprobs.is_empty()).then(|| Cow::Owned(format!("{{\"content\":[{logprobs}],\"refusal\":null}}")));
    let created = response.created_at.and_then(|raw| serde_json::from_str::<f64>(raw.get()).ok());
    Ok(Reply {
        usage: response.read_usage(),
        id: response.id,
        model: response.model,
        created: created.filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64),
        answers: vec![answer],
    })
}

fn undecodable(reason: &'static str) -> UpstreamError {
    UpstreamError::Undecodable { reason: Cow::Borrowed(reason) }
}

/// Why an answer that was not cut short ended.
fn finish(parts: &[Part<'_>]) -> Finish<'static> {
    let has = |is_it: fn(&Part<'_>) -> bool| parts.iter().any(is_it);
    if has(|part| matches!(part, Part::ToolCall(_))) {
        Finish::ToolCalls
    } else if has(|part| matches!(part, Part::Refusal(_))) {
        Finish::Refusal
    } else {
        Finish::Stop
    }
}

/// Adds what an item says. Items of the provider's own tools say nothing that others can.
fn read_item<'a>(
    item: Item<'a>,
    parts: &mut Vec<Part<'a>>,
    logprobs: &mut String,
) -> Result<(), UpstreamError> {
    match &*item.kind() {
        "message" => {
            let content = item.content.and_then(|raw| Content::read(raw.0));
            match content.ok_or_else(|| undecodable("a message of it has no content"))? {
                Content::Text(text) => parts.push(read_input::words(text)),
                Content::Pieces(pieces) => {
                    parts.extend(pieces.into_iter().filter_map(|piece| read_piece(piece, logprobs)));
                }
            }
        }
        "function_call" => {
            let call = read_call(item).ok_or_else(|| undecodable("a call of it has no id or no name"))?;
            parts.push(Part::ToolCall(Box::new(call)));
        }
        "image_generation_call" => parts.extend(read_picture(&item)),
        "reasoning" => parts.extend(read_input::read_thought(item)),
        _ => {}
    }
    Ok(())
}

/// Words of an answer.
pub(super) fn read_piece<'a>(piece: Piece<'a>, logprobs: &mut String) -> Option<Part<'a>> {
    if let Some(refusal) = piece.refusal {
        return Some(Part::Refusal(refusal));
    }
    let list = piece.logprobs.and_then(|raw| raw.0.strip_prefix('[')?.strip_suffix(']'));
    if let Some(inside) = list.map(str::trim).filter(|inside| !inside.is_empty()) {
        if !logprobs.is_empty() {
            logprobs.push(',');
        }
        logprobs.push_str(inside);
    }
    let citations = read_input::citations(piece.annotations);
    Some(Part::Text(Words { text: piece.text?, citations, cache: None }))
}

/// A call of an answer.
pub(super) fn read_call<'a>(item: Item<'a>) -> Option<ToolCall<'a>> {
    let given = item.call_id.filter(|id| !id.is_empty());
    let id = given.or(item.id.filter(|id| !id.is_empty()))?;
    let arguments = match item.arguments.map(|raw| raw.0) {
        None => Arguments::Text(Text::default()),
        Some(raw) => match Text::from_json(raw) {
            Some(text) => Arguments::Text(text),
            None => Arguments::Object(Cow::Borrowed(raw)),
        },
    };
    Some(ToolCall { id, name: item.name?, arguments, cache: None })
}

fn read_picture<'a>(item: &Item<'a>) -> Option<Part<'a>> {
    let data = Text::from_json(item.result?.0).filter(|data| !data.is_empty())?;
    let format = item.output_format.and_then(|raw| Text::from_json(raw.0));
    let media_type = match format {
        Some(format) => Text::owned_escaped(&format!("image/{}", format.escaped())),
        None => Text::from_escaped("image/png"),
    };
    let source = Source::Inline { media_type, data };
    Some(Part::Media(Box::new(Media {
        kind: MediaKind::Image,
        source,
        name: None,
        detail: None,
        cache: None,
    })))
}

#[derive(Deserialize)]
struct UsageMembers {
    input_tokens: Option<Whole>,
    output_tokens: Option<Whole>,
    total_tokens: Option<Whole>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
struct InputDetails {
    cached_tokens: Option<Whole>,
    cache_write_tokens: Option<Whole>,
}

#[derive(Deserialize, Default)]
struct OutputDetails {
    reasoning_tokens: Option<Whole>,
}

/// Reads usage; `None` where it is null, of another shape, or all zero.
fn read_usage(raw: &str) -> Option<Usage> {
    let members: UsageMembers = serde_json::from_str(raw).ok()?;
    let number = |whole: Option<Whole>| whole.unwrap_or_default().0;
    let prompt = number(members.input_tokens);
    let completion = number(members.output_tokens);
    let input = members.input_tokens_details.unwrap_or_default();
    let usage = Usage {
        prompt,
        completion,
        cached: number(input.cached_tokens).min(prompt),
        cache_write: number(input.cache_write_tokens).min(prompt),
        cache_write_hour: 0,
        reasoning: number(members.output_tokens_details.unwrap_or_default().reasoning_tokens),
        total: members.total_tokens.map_or(prompt.saturating_add(completion), |total| total.0),
        is_estimated: false,
    };
    (usage.total > 0).then_some(usage)
}
