//! A whole answer, written for a caller of this dialect.

use bytes::BytesMut;

use super::details;
use super::part::join;
use super::turns::{address, write_signed_call};
use crate::dialect::Usage;
use crate::dialect::chat::{Answer, Citation, Finish, MediaKind, Part, Reply, Stamp, Thought};
use crate::dialect::json::{Text, Writer};

/// Appends the JSON answer to `out`.
pub fn write_reply(reply: &Reply<'_>, stamp: &Stamp, out: &mut BytesMut) {
    Writer::new(out).object(|w| {
        w.name("id").string(&own_id(reply.id.as_ref(), stamp));
        w.name("object").string("chat.completion");
        w.name("created").number(stamp.created);
        w.name("model").raw(&stamp.model);
        w.name("choices").array(|w| {
            for (index, answer) in reply.answers.iter().enumerate() {
                choice(index, answer, w);
            }
        });
        w.name("usage");
        write_usage(&reply.usage.unwrap_or_default(), w);
    });
}

/// The id of an answer: the provider's own where it is one of this dialect.
pub(super) fn own_id(id: Option<&Text<'_>>, stamp: &Stamp) -> String {
    let own = id.map(Text::decode).filter(|id| id.starts_with("chatcmpl"));
    own.map_or_else(|| format!("chatcmpl-{}", stamp.id), std::borrow::Cow::into_owned)
}

/// The word for why the model stopped; a model that declines in words of its own has stopped.
pub(super) fn finish_word(finish: &Finish<'_>, has_refusal: bool) -> &'static str {
    match finish {
        Finish::Refusal if has_refusal => "stop",
        finish => finish.label(),
    }
}

/// What was counted; details only where there are any (§11.3).
pub(super) fn write_usage(usage: &Usage, w: &mut Writer<'_>) {
    w.object(|w| {
        w.name("prompt_tokens").number(usage.prompt);
        w.name("completion_tokens").number(usage.completion);
        w.name("total_tokens").number(usage.total);
        if usage.cached > 0 || usage.cache_write > 0 {
            w.name("prompt_tokens_details").object(|w| {
                w.name("cached_tokens").number(usage.cached);
                if usage.cache_write > 0 {
                    w.name("cache_write_tokens").number(usage.cache_write);
                }
            });
        }
        if usage.reasoning > 0 {
            w.name("completion_tokens_details")
                .object(|w| w.name("reasoning_tokens").number(usage.reasoning));
        }
    });
}

fn choice(index: usize, answer: &Answer<'_>, w: &mut Writer<'_>) {
    let has_refusal = answer.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    w.object(|w| {
        w.name("index").number(index as u64);
        w.name("message").object(|w| message(&answer.parts, w));
        w.raw_member("logprobs", answer.logprobs.as_deref());
        w.name("finish_reason").string(finish_word(&answer.finish, has_refusal));
    });
}

fn message(parts: &[Part<'_>], w: &mut Writer<'_>) {
    w.name("role").string("assistant");
    let texts =
        || parts.iter().filter_map(|part| if let Part::Text(words) = part { Some(words) } else { None });
    let calls =
        || parts.iter().filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None });
    let refusals = || {
        parts
            .iter()
            .filter_map(|part| if let Part::Refusal(text) = part { Some(text.borrow()) } else { None })
    };
    match texts().next() {
        Some(_) => w.name("content").text(&join(texts().map(|words| words.text.borrow()))),
        None if calls().next().is_some() || refusals().next().is_some() => w.name("content").null(),
        None => w.name("content").string(""),
    }
    if refusals().next().is_some() {
        w.name("refusal").text(&join(refusals()));
    }
    thoughts(parts, w);
    if calls().next().is_some() {
        w.name("tool_calls").array(|w| write_calls(parts, w));
    }
    annotations(parts, w);
    let pictures = || {
        parts.iter().filter_map(|part| match part {
            Part::Media(media) if media.kind == MediaKind::Image => Some(media),
            _ => None,
        })
    };
    if pictures().next().is_some() {
        w.name("images").array(|w| pictures().for_each(|media| address("image_url", media, w)));
    }
}

/// The calls, each with the signature of a thought without words right before it.
fn write_calls(parts: &[Part<'_>], w: &mut Writer<'_>) {
    let mut before: Option<&Thought<'_>> = None;
    for part in parts {
        if let Part::ToolCall(call) = part {
            let own = before.filter(|thought| thought.text.is_empty());
            write_signed_call(call, own.and_then(|thought| thought.signature.as_ref()), w);
        }
        before = if let Part::Thought(thought) = part { Some(thought) } else { None };
    }
}

/// The thoughts as text, and again with their signatures, where they have any.
fn thoughts(parts: &[Part<'_>], w: &mut Writer<'_>) {
    let all = || parts.iter().filter_map(|part| if let Part::Thought(own) = part { Some(own) } else { None });
    let visible =
        || all().filter(|own| !own.is_redacted && !own.text.is_empty()).map(|own| own.text.borrow());
    if visible().next().is_some() {
        w.name("reasoning_content").text(&join(visible()));
    }
    if all().all(|own| own.signature.is_none()) {
        return;
    }
    let mut index = 0;
    w.name("reasoning_details").array(|w| {
        for (place, part) in parts.iter().enumerate() {
            let Part::Thought(own) = part else { continue };
            let Some(signature) = &own.signature else { continue };
            let call = match parts.get(place + 1) {
                Some(Part::ToolCall(call)) => Some(&call.id),
                _ => None,
            };
            details::write(w, &mut index, &own.text, signature, own.is_redacted, call);
        }
    });
}

/// Sources with an address, their places counted in the joined text.
fn annotations(parts: &[Part<'_>], w: &mut Writer<'_>) {
    let is_cited = |part: &Part<'_>| matches!(part, Part::Text(words) if words.citations.iter().any(|citation| citation.url.is_some()));
    if !parts.iter().any(is_cited) {
        return;
    }
    let mut before = 0;
    w.name("annotations").array(|w| {
        for part in parts {
            let Part::Text(words) = part else { continue };
            let length = characters(&words.text);
            for citation in &words.citations {
                let (start, end) = citation.place.unwrap_or((0, length));
                annotation(citation, (before + start, before + end), None, w);
            }
            before += length;
        }
    });
}

pub(super) fn characters(text: &Text<'_>) -> u64 {
    text.decode().chars().count() as u64
}

/// Writes one source; one without an address has no form in this dialect. `index` is its place in a stream, by which
/// OpenAI's clients put lists together.
pub(super) fn annotation(
    citation: &Citation<'_>,
    (start, end): (u64, u64),
    index: Option<u64>,
    w: &mut Writer<'_>,
) {
    let Some(url) = &citation.url else { return };
    w.object(|w| {
        if let Some(index) = index {
            w.name("index").number(index);
        }
        w.name("type").string("url_citation");
        w.name("url_citation").object(|w| {
            w.name("url").text(url);
            w.name("title").text(citation.title.as_ref().unwrap_or(&Text::default()));
            w.name("start_index").number(start);
            w.name("end_index").number(end);
            w.text_member("content", citation.quote.as_ref());
        });
    });
}
