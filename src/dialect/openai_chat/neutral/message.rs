//! Messages of a request, read into turns.
//!
//! Instructions before the first turn are the conversation's; tool messages are parts of the caller's turns, and those
//! in a row make one turn.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::details::{self, Thoughts};
use super::part::{self, report};
use super::shapes::{Call, Called, Message, Piece};
use crate::dialect::chat::{
    Arguments, CacheFor, Citation, Conversation, Dropped, Part, Role, ToolCall, ToolResult, Turn, Words,
};
use crate::dialect::json::Text;
use crate::dialect::json::shape::TextOr;

/// What is wrong with a message.
type Fault = &'static str;

/// Takes messages one after the other.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Calls in the old form so far: they have no ids.
    legacy_calls: u32,
}

impl Messages {
    /// Adds a message to the conversation.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn take<'a>(
        &mut self,
        mut message: Message<'a>,
        to: &mut Conversation<'a>,
        dropped: &mut Dropped,
    ) -> Result<(), Fault> {
        report("messages", &message.unknown, dropped);
        let role = message.role.take().ok_or("it has no role")?;
        let cache = message.cache_control.take().map(|mark| part::cache(&mark, dropped));
        match &*role.decode() {
            "system" | "developer" => instruct(message, cache, to, dropped),
            "user" => {
                let name = message.name.take();
                let mut parts = said(message.content.take().ok_or("it has no content")?, dropped)?;
                mark_last(&mut parts, cache);
                refuse_calls(&message, dropped);
                to.turns.push(Turn { role: Role::User, name, parts });
                Ok(())
            }
            "assistant" => self.answer(message, cache, to, dropped),
            "tool" | "function" => self.result(message, &role, cache, to, dropped),
            _ => Err("its role is unknown"),
        }
    }

    /// A message of the model: thoughts, words, calls.
    fn answer<'a>(
        &mut self,
        mut message: Message<'a>,
        cache: Option<CacheFor>,
        to: &mut Conversation<'a>,
        dropped: &mut Dropped,
    ) -> Result<(), Fault> {
        let bare =
            message.reasoning_content.take().filter(|text| !text.is_empty()).or(message.reasoning.take());
        let details = message.reasoning_details.map(|raw| details::read(raw.0)).unwrap_or_default();
        let mut thoughts = Thoughts::sort(details, bare);
        if let Some(signature) = message.extra_content.and_then(|raw| details::extra_signature(raw.0)) {
            thoughts.add_signature(None, signature);
        }
        let mut content = match message.content.take() {
            Some(content) => said(content, dropped)?,
            None => Vec::new(),
        };
        if let Some(raw) = message.annotations {
            cite(&mut content, citations(raw.0));
        }
        content.extend(message.refusal.take().filter(|text| !text.is_empty()).map(Part::Refusal));
        let mut calls = Vec::new();
        for call in message.tool_calls.take().unwrap_or_default() {
            calls.push(called(call, &mut thoughts, dropped)?);
        }
        if let Some(call) = message.function_call.take().filter(|call| call.name.is_some()) {
            self.legacy_calls += 1;
            calls.push(tool_call(self.legacy_id(), call, dropped)?);
        }
        let mut parts = std::mem::take(&mut thoughts.first);
        let before_words = if calls.is_empty() { content.len() } else { 0 };
        parts.extend(content.drain(..content.len() - before_words));
        for (place, call) in calls.into_iter().enumerate() {
            if let Part::ToolCall(call) = &call {
                parts.extend(thoughts.of_call(&call.id, place == 0));
            }
            parts.push(call);
        }
        parts.extend(thoughts.others());
        parts.append(&mut content);
        mark_last(&mut parts, cache);
        if !parts.is_empty() {
            to.turns.push(Turn { role: Role::Assistant, name: message.name, parts });
        }
        Ok(())
    }

    fn legacy_id(&self) -> Text<'static> {
        Text::owned(&format!("function_call_{}", self.legacy_calls))
    }

    /// What a tool said.
    fn result<'a>(
        &mut self,
        mut message: Message<'a>,
        role: &Text<'_>,
        cache: Option<CacheFor>,
        to: &mut Conversation<'a>,
        dropped: &mut Dropped,
    ) -> Result<(), Fault> {
        refuse_calls(&message, dropped);
        let id = match message.tool_call_id.take() {
            Some(id) if !id.is_empty() => id,
            _ if role == "function" => self.legacy_id(),
            _ => return Err("it is a tool message without a tool_call_id"),
        };
        let content = message.content.take().map(|content| said(content, dropped)).transpose()?;
        let content = content.unwrap_or_default();
        let result = Part::ToolResult(Box::new(ToolResult {
            id,
            name: message.name,
            content,
            is_error: false,
            cache,
        }));
        match to.turns.last_mut() {
            Some(Turn { role: Role::User, parts, .. })
                if matches!(parts.last(), Some(Part::ToolResult(_))) =>
            {
                parts.push(result);
            }
            _ => to.turns.push(Turn { role: Role::User, name: None, parts: vec![result] }),
        }
        Ok(())
    }
}

/// Instructions: before the first turn or in the middle.
fn instruct<'a>(
    mut message: Message<'a>,
    cache: Option<CacheFor>,
    to: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), Fault> {
    let mut parts = said(message.content.take().ok_or("it has no content")?, dropped)?;
    mark_last(&mut parts, cache);
    refuse_calls(&message, dropped);
    if to.turns.is_empty() {
        if message.name.is_some() {
            dropped.add("messages.name");
        }
        to.system.append(&mut parts);
    } else {
        to.turns.push(Turn { role: Role::System, name: message.name, parts });
    }
    Ok(())
}

/// Members that only the model's messages have.
fn refuse_calls(message: &Message<'_>, dropped: &mut Dropped) {
    for (name, is_there) in [
        ("messages.tool_calls", message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())),
        ("messages.function_call", message.function_call.is_some()),
        ("messages.refusal", message.refusal.is_some()),
        ("messages.reasoning_content", message.reasoning_content.is_some()),
        ("messages.reasoning", message.reasoning.is_some()),
        ("messages.reasoning_details", message.reasoning_details.is_some()),
        ("messages.annotations", message.annotations.is_some_and(|raw| raw.0 != "[]")),
    ] {
        if is_there {
            dropped.add(name);
        }
    }
}

fn said<'a>(content: TextOr<'a, Piece<'a>>, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, Fault> {
    match content {
        TextOr::Text(text) => Ok(vec![Part::Text(Words { text, ..Words::default() })]),
        TextOr::List(pieces) => {
            let mut parts = Vec::with_capacity(pieces.len());
            for piece in pieces {
                parts.extend(part::read(piece, dropped)?);
            }
            Ok(parts)
        }
    }
}

/// A mark on a whole message is one on its last part.
fn mark_last(parts: &mut [Part<'_>], cache: Option<CacheFor>) {
    let Some(cache) = cache else { return };
    match parts.last_mut() {
        Some(Part::Text(words)) => words.cache = Some(cache),
        Some(Part::Media(media)) => media.cache = Some(cache),
        Some(Part::ToolCall(call)) => call.cache = Some(cache),
        Some(Part::ToolResult(_) | Part::Thought(_) | Part::Refusal(_)) | None => {}
    }
}

fn called<'a>(call: Call<'a>, thoughts: &mut Thoughts<'a>, dropped: &mut Dropped) -> Result<Part<'a>, Fault> {
    report("messages.tool_calls", &call.unknown, dropped);
    let id = call.id.filter(|id| !id.is_empty()).ok_or("a tool call has no id")?;
    if let Some(signature) = call.extra_content.and_then(|raw| details::extra_signature(raw.0)) {
        thoughts.add_signature(Some(id.clone()), signature);
    }
    if let Some(custom) = call.custom {
        report("messages.tool_calls.custom", &custom.unknown, dropped);
        let name = custom.name.ok_or("a tool call has no name")?;
        let arguments = Arguments::Text(custom.input.unwrap_or_default());
        return Ok(Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: None })));
    }
    tool_call(id, call.function.ok_or("a tool call has no function")?, dropped)
}

fn tool_call<'a>(id: Text<'a>, called: Called<'a>, dropped: &mut Dropped) -> Result<Part<'a>, Fault> {
    report("messages.tool_calls.function", &called.unknown, dropped);
    let name = called.name.ok_or("a tool call has no name")?;
    let arguments = Arguments::Text(called.arguments.unwrap_or_default());
    Ok(Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: None })))
}

/// The web pages among the annotations; those of another shape are passed over.
pub(super) fn citations(raw: &str) -> Vec<Citation<'_>> {
    #[derive(Deserialize)]
    struct Annotation<'a> {
        #[serde(borrow, default)]
        url_citation: Option<Page<'a>>,
    }
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow, default)]
        url: Option<Text<'a>>,
        #[serde(borrow, default)]
        title: Option<Text<'a>>,
        #[serde(borrow, default)]
        content: Option<Text<'a>>,
        #[serde(default)]
        start_index: Option<u64>,
        #[serde(default)]
        end_index: Option<u64>,
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let pages = items.into_iter().filter_map(|item| {
        serde_json::from_str::<Annotation<'_>>(item.get()).ok().and_then(|annotation| annotation.url_citation)
    });
    let citation = |page| {
        let Page { url, title, content: quote, start_index, end_index } = page;
        // OpenRouter writes nothing but zeros where it knows no place.
        let place = start_index.zip(end_index).filter(|(start, end)| start < end);
        Citation { url, title: title.filter(|title| !title.is_empty()), quote, place }
    };
    pages.map(citation).collect()
}

/// Puts the citations to the first words; their places count from there.
pub(super) fn cite<'a>(parts: &mut [Part<'a>], citations: Vec<Citation<'a>>) {
    let first = parts.iter_mut().find_map(|part| match part {
        Part::Text(words) => Some(words),
        _ => None,
    });
    if let Some(words) = first {
        words.citations = citations;
    }
}
