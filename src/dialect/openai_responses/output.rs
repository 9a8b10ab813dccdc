//! The objects of an answer as they are written: the response, its items and their parts.
//!
//! Whole replies and streams share them. Every member that the official SDK's types ask for is there.

use std::collections::HashSet;

use bytes::BytesMut;

use crate::dialect::Usage;
use crate::dialect::chat::{Citation, Finish, Stamp};
use crate::dialect::json::{Text, Writer};

/// The status of an answer that ended as it should.
pub(super) const COMPLETED: &str = "completed";
/// The status of an answer that was cut short.
pub(super) const INCOMPLETE: &str = "incomplete";
/// The status while it is being written.
pub(super) const IN_PROGRESS: &str = "in_progress";

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    /// Its status, which is that of its items, too.
    pub(super) status: &'static str,
    /// Why it is incomplete.
    pub(super) reason: Option<&'static str>,
}

impl Ending {
    /// Still being written.
    pub(super) const OPEN: Self = Self { status: IN_PROGRESS, reason: None };
    /// As it should.
    pub(super) const WHOLE: Self = Self { status: COMPLETED, reason: None };

    /// What a reason to stop is here. Who declines without a word leaves an answer that must not look whole.
    pub(super) fn of(finish: &Finish<'_>, has_refusal: bool) -> Self {
        match finish {
            Finish::Length => Self { status: INCOMPLETE, reason: Some("max_output_tokens") },
            Finish::ContentFilter => Self { status: INCOMPLETE, reason: Some("content_filter") },
            Finish::Refusal if !has_refusal => Self { status: INCOMPLETE, reason: Some("content_filter") },
            Finish::Stop | Finish::StopSequence(_) | Finish::ToolCalls | Finish::Refusal => Self::WHOLE,
        }
    }
}

/// The id of the answer: the provider's where it is one of this dialect.
pub(super) fn response_id(given: Option<&Text<'_>>, stamp: &Stamp) -> Text<'static> {
    match given.filter(|id| id.escaped().starts_with("resp_")) {
        Some(id) => id.clone().into_owned(),
        None => Text::owned(&format!("resp_{}", stamp.id)),
    }
}

/// The id of an item.
pub(super) fn item_id(prefix: &str, stamp: &Stamp, index: usize) -> Text<'static> {
    Text::owned(&format!("{prefix}_{}_{index}", stamp.id))
}

/// The id of reasoning: the provider's, unless it gave none or gave it before in this answer.
pub(super) fn reasoning_id(
    own: Option<&str>,
    used: &mut HashSet<Box<str>>,
    stamp: &Stamp,
    index: usize,
) -> Text<'static> {
    let own = own.map(Text::owned_escaped).filter(|own| !used.contains(own.escaped()));
    let id = own.unwrap_or_else(|| item_id("rs", stamp, index));
    used.insert(id.escaped().into());
    id
}

/// The id that ties a result to a call: the provider's, unless it gave none or gave it before in this answer.
pub(super) fn call_id<'a>(given: &Text<'a>, used: &mut HashSet<Box<str>>, stamp: &Stamp) -> Text<'a> {
    let mut id = given.clone();
    if id.is_empty() {
        id = Text::owned(&format!("call_{}_{}", stamp.id, used.len()));
    }
    if used.contains(id.escaped()) {
        id = Text::owned_escaped(&format!("{}_{}", id.escaped(), used.len()));
    }
    used.insert(id.escaped().into());
    id
}

/// A response; `output` writes its items. What it says of the request is what was asked, where that is known.
pub(super) fn response(
    w: &mut Writer<'_>,
    id: &Text<'_>,
    stamp: &Stamp,
    ending: Ending,
    usage: Option<&Usage>,
    output: impl FnOnce(&mut Writer<'_>),
) {
    let told = |name: &str, usual: &str, w: &mut Writer<'_>| {
        let asked = stamp.echo.iter().flat_map(|echo| echo.iter()).find(|(own, _)| *own == name);
        w.name(name).raw(asked.map_or(usual, |(_, json)| json));
    };
    w.object(|w| {
        w.name("id").text(id);
        w.name("object").string("response");
        w.name("created_at").number(stamp.created);
        w.name("status").string(ending.status);
        w.name("background").bool(false);
        w.name("error").null();
        match ending.reason {
            Some(reason) => w.name("incomplete_details").object(|w| w.name("reason").string(reason)),
            None => w.name("incomplete_details").null(),
        }
        told("instructions", "null", w);
        told("max_output_tokens", "null", w);
        w.name("model").raw(&stamp.model);
        w.name("output").array(output);
        told("parallel_tool_calls", "true", w);
        w.name("previous_response_id").null();
        told("reasoning", r#"{"effort":null,"summary":null}"#, w);
        told("store", "false", w);
        told("temperature", "null", w);
        told("text", r#"{"format":{"type":"text"}}"#, w);
        told("tool_choice", r#""auto""#, w);
        told("tools", "[]", w);
        told("top_p", "null", w);
        told("truncation", r#""disabled""#, w);
        match usage {
            Some(usage) => write_usage(w.name("usage"), usage),
            None => w.name("usage").null(),
        }
        told("user", "null", w);
        told("metadata", "{}", w);
    });
}

fn write_usage(w: &mut Writer<'_>, usage: &Usage) {
    w.object(|w| {
        w.name("input_tokens").number(usage.prompt);
        w.name("input_tokens_details").object(|w| {
            w.name("cached_tokens").number(usage.cached);
            w.name("cache_write_tokens").number(usage.cache_write);
        });
        w.name("output_tokens").number(usage.completion);
        w.name("output_tokens_details").object(|w| w.name("reasoning_tokens").number(usage.reasoning));
        w.name("total_tokens").number(usage.total);
    });
}

/// Reasoning; both texts are escaped.
pub(super) fn reasoning(
    w: &mut Writer<'_>,
    id: &Text<'_>,
    status: &str,
    summary: &str,
    encrypted: Option<&str>,
) {
    w.object(|w| {
        w.name("id").text(id);
        w.name("type").string("reasoning");
        w.name("summary").array(|w| {
            if !summary.is_empty() {
                summary_part(w, summary);
            }
        });
        w.text_member("encrypted_content", encrypted.map(Text::from_escaped).as_ref());
        w.name("status").string(status);
    });
}

/// A part of a summary, escaped.
pub(super) fn summary_part(w: &mut Writer<'_>, text: &str) {
    w.object(|w| {
        w.name("type").string("summary_text");
        w.name("text").text(&Text::from_escaped(text));
    });
}

/// A message; `content` writes its parts.
pub(super) fn message(
    w: &mut Writer<'_>,
    id: &Text<'_>,
    status: &str,
    content: impl FnOnce(&mut Writer<'_>),
) {
    w.object(|w| {
        w.name("id").text(id);
        w.name("type").string("message");
        w.name("status").string(status);
        w.name("role").string("assistant");
        w.name("content").array(content);
    });
}

/// Words; the items of the two lists are raw JSON with commas between them.
pub(super) fn text_part(w: &mut Writer<'_>, text: &Text<'_>, annotations: &str, logprobs: &str) {
    w.object(|w| {
        w.name("type").string("output_text");
        w.name("text").text(text);
        w.name("annotations").array(|w| raw_items(w, annotations));
        w.name("logprobs").array(|w| raw_items(w, logprobs));
    });
}

/// Items of a list that are JSON already.
pub(super) fn raw_items(w: &mut Writer<'_>, items: &str) {
    if !items.is_empty() {
        w.raw(items);
    }
}

/// Words with which the model declines.
pub(super) fn refusal_part(w: &mut Writer<'_>, text: &Text<'_>) {
    w.object(|w| {
        w.name("type").string("refusal");
        w.name("refusal").text(text);
    });
}

/// A source. One that says nothing of its place stands for all of the text before it.
pub(super) fn annotation(w: &mut Writer<'_>, citation: &Citation<'_>, characters: u64) {
    let (start, end) = citation.place.unwrap_or((0, characters));
    let url = citation.url.clone().unwrap_or_default();
    w.object(|w| {
        w.name("type").string("url_citation");
        w.name("start_index").number(start);
        w.name("end_index").number(end);
        w.name("url").text(&url);
        w.name("title").text(citation.title.as_ref().unwrap_or(&url));
    });
}

/// A call of a function.
pub(super) fn call(
    w: &mut Writer<'_>,
    ids: (&Text<'_>, &Text<'_>),
    status: &str,
    name: &Text<'_>,
    arguments: &Text<'_>,
) {
    let (id, call_id) = ids;
    w.object(|w| {
        w.name("id").text(id);
        w.name("type").string("function_call");
        w.name("status").string(status);
        w.name("call_id").text(call_id);
        w.name("name").text(name);
        w.name("arguments").text(arguments);
    });
}

/// The items of the array `content` in log probabilities of OpenAI's chat form, raw and with commas between them.
pub(super) fn logprobs_of(json: &str) -> &str {
    #[derive(serde::Deserialize)]
    struct Chat<'a> {
        #[serde(borrow)]
        content: Option<&'a serde_json::value::RawValue>,
    }
    let content = serde_json::from_str::<Chat<'_>>(json).ok().and_then(|chat| chat.content);
    let inside = content.and_then(|list| list.get().strip_prefix('[')?.strip_suffix(']'));
    inside.map_or("", str::trim)
}

/// Adds raw JSON to a list of raw JSON.
pub(super) fn append(list: &mut BytesMut, json: &[u8]) {
    if !json.is_empty() {
        if !list.is_empty() {
            list.extend_from_slice(b",");
        }
        list.extend_from_slice(json);
    }
}

/// JSON that was written here.
pub(super) fn as_str(json: &BytesMut) -> &str {
    std::str::from_utf8(json).unwrap_or_default()
}
