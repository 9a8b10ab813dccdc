//! The items of `input`, as turns.
//!
//! What the model said lies in items of its own: reasoning, message, call. Neighbours among them become one turn of the
//! assistant, in their order, and so do neighbouring results of tools one turn of the user.

use crate::dialect::chat::{
    Arguments, CacheFor, Citation, Conversation, Dropped, Part, Role, Thought, ToolCall, ToolResult, Turn,
    Words,
};
use crate::dialect::json::Text;
use crate::error::RequestError;

use super::media;
use super::reasoning;
use super::shapes::{Annotation, Content, Item, Piece};

/// Words without anything that belongs to them.
pub(super) fn words(text: Text<'_>) -> Part<'_> {
    Part::Text(Words { text, ..Words::default() })
}

/// Reads the raw JSON of `input` into system and turns.
pub(super) fn read<'a>(
    raw: &'a str,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), RequestError> {
    if let Some(text) = Text::from_json(raw) {
        let parts = vec![words(text)];
        conversation.turns.push(Turn { role: Role::User, name: None, parts });
        return Ok(());
    }
    if !raw.starts_with('[') {
        return Err(RequestError::member(
            "input",
            "the member \"input\" must be a string or an array of items",
        ));
    }
    let items: Vec<Item<'a>> = serde_json::from_str(raw).map_err(|_| misshapen(raw))?;
    for (place, item) in items.into_iter().enumerate() {
        read_item(item, conversation, dropped).map_err(|fault| fault.at(place))?;
    }
    Ok(())
}

/// What is wrong with an item.
enum Fault {
    /// It is unusable, in these words.
    Unusable(&'static str),
    /// It stands for something that the provider stored.
    Stateful,
}

impl Fault {
    fn at(self, place: usize) -> RequestError {
        let what = match self {
            Self::Unusable(what) => what,
            Self::Stateful => {
                "an item_reference needs a provider that speaks the Responses API natively: only there is state kept"
            }
        };
        RequestError::member("input", format!("input[{place}]: {what}"))
    }
}

/// Says which item has members of wrong types.
fn misshapen(raw: &str) -> RequestError {
    let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let is_wrong =
        |item: &&serde_json::value::RawValue| serde_json::from_str::<Item<'_>>(item.get()).is_err();
    match items.iter().position(is_wrong) {
        Some(place) => Fault::Unusable("it is no object, or one of its members has the wrong type").at(place),
        None => RequestError::member("input", "the member \"input\" must be an array of items"),
    }
}

fn read_item<'a>(
    item: Item<'a>,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), Fault> {
    let kind = item.kind();
    if matches!(&*kind, "message" | "reasoning" | "function_call" | "function_call_output") {
        for unknown in item.unknown.iter().filter(|name| *name != "status") {
            dropped.add(format!("input.{unknown}"));
        }
    }
    match &*kind {
        "message" => read_message(item, conversation, dropped),
        "function_call" => {
            let call = read_call(item).ok_or(Fault::Unusable(
                "a function_call needs the strings \"call_id\", \"name\" and \"arguments\"",
            ))?;
            push(conversation, Role::Assistant, call);
            Ok(())
        }
        "function_call_output" => {
            push(conversation, Role::User, read_output(item, dropped)?);
            Ok(())
        }
        "reasoning" => {
            if let Some(thought) = read_thought(item) {
                push(conversation, Role::Assistant, thought);
            }
            Ok(())
        }
        "item_reference" => Err(Fault::Stateful),
        "" => Err(Fault::Unusable("it has neither a type nor a role")),
        other => {
            dropped.add(format!("input.{other}"));
            Ok(())
        }
    }
}

/// Adds a part to the last turn where it belongs there, else in a turn of its own.
fn push<'a>(conversation: &mut Conversation<'a>, role: Role, part: Part<'a>) {
    if let Some(last) = conversation.turns.last_mut().filter(|last| last.role == role) {
        let is_result = |part: &Part<'_>| matches!(part, Part::ToolResult(_));
        if role == Role::Assistant || last.parts.last().is_some_and(is_result) {
            last.parts.push(part);
            return;
        }
    }
    conversation.turns.push(Turn { role, name: None, parts: vec![part] });
}

fn read_message<'a>(
    item: Item<'a>,
    conversation: &mut Conversation<'a>,
    dropped: &mut Dropped,
) -> Result<(), Fault> {
    let role = match item.role.as_ref().map(Text::decode).as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        _ => {
            return Err(Fault::Unusable(
                "the role of a message must be user, assistant, system or developer",
            ));
        }
    };
    let mut parts = match item.content {
        None => Vec::new(),
        Some(raw) => read_content(raw.0, dropped)?,
    };
    match role {
        Role::System if conversation.turns.is_empty() => conversation.system.append(&mut parts),
        Role::Assistant => parts.into_iter().for_each(|part| push(conversation, role, part)),
        Role::System | Role::User => conversation.turns.push(Turn { role, name: None, parts }),
    }
    Ok(())
}

fn read_content<'a>(raw: &'a str, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, Fault> {
    match Content::read(raw) {
        Some(Content::Text(text)) => Ok(vec![words(text)]),
        Some(Content::Pieces(pieces)) => {
            let mut parts = Vec::with_capacity(pieces.len());
            for piece in pieces {
                parts.extend(read_piece(piece, dropped)?);
            }
            Ok(parts)
        }
        None => Err(Fault::Unusable("its content must be a string or an array of parts of the right types")),
    }
}

fn read_piece<'a>(mut piece: Piece<'a>, dropped: &mut Dropped) -> Result<Option<Part<'a>>, Fault> {
    for unknown in &piece.unknown {
        dropped.add(format!("input.content.{unknown}"));
    }
    if piece.logprobs.is_some_and(|raw| raw.0 != "[]") {
        dropped.add("input.content.logprobs");
    }
    let kind = piece.kind.take();
    let kind = kind.as_ref().map(Text::decode);
    let cache = read_cache(&mut piece);
    let media = match kind.as_deref() {
        Some("input_text" | "output_text" | "text") => {
            let text = piece.text.ok_or(Fault::Unusable("a text part needs the string \"text\""))?;
            let citations = citations(piece.annotations);
            return Ok(Some(Part::Text(Words { text, citations, cache })));
        }
        Some("refusal") => {
            let text = piece.refusal.ok_or(Fault::Unusable("a refusal needs the string \"refusal\""))?;
            return Ok(Some(Part::Refusal(text)));
        }
        Some("input_image") => media::image(piece),
        Some("input_file") => media::file(piece),
        Some("input_audio") => piece.input_audio.and_then(media::audio),
        Some(other) => {
            dropped.add(format!("input.content.{other}"));
            return Ok(None);
        }
        None => return Err(Fault::Unusable("a part of its content has no type")),
    };
    let mut media =
        media.ok_or(Fault::Unusable("a picture, file or sound says neither where nor what it is"))?;
    media.cache = cache;
    Ok(Some(Part::Media(Box::new(media))))
}

fn read_cache(piece: &mut Piece<'_>) -> Option<CacheFor> {
    let ttl = piece.breakpoint.take()?.ttl;
    Some(match ttl {
        Some(ttl) if ttl != *"30m" => CacheFor::Hour,
        _ => CacheFor::Short,
    })
}

/// Sources of a text; what has neither address nor title says nothing elsewhere.
pub(super) fn citations<'a>(annotations: Option<Vec<Annotation<'a>>>) -> Vec<Citation<'a>> {
    annotations.unwrap_or_default().into_iter().filter_map(citation).collect()
}

/// A source.
pub(super) fn citation<'a>(annotation: Annotation<'a>) -> Option<Citation<'a>> {
    let (url, title) = (annotation.url, annotation.title.or(annotation.filename));
    if url.is_none() && title.is_none() {
        return None;
    }
    let place = annotation.start.zip(annotation.end).map(|(start, end)| (start.0, end.0));
    Some(Citation { url, title, quote: None, place })
}

fn read_call<'a>(item: Item<'a>) -> Option<Part<'a>> {
    let id = item.call_id.filter(|id| !id.is_empty())?;
    let name = item.name.filter(|name| !name.is_empty())?;
    let arguments = match item.arguments {
        Some(raw) => Text::from_json(raw.0)?,
        None => Text::default(),
    };
    Some(Part::ToolCall(Box::new(ToolCall { id, name, arguments: Arguments::Text(arguments), cache: None })))
}

fn read_output<'a>(item: Item<'a>, dropped: &mut Dropped) -> Result<Part<'a>, Fault> {
    let id = item.call_id.filter(|id| !id.is_empty());
    let id = id.ok_or(Fault::Unusable("a function_call_output needs the string \"call_id\""))?;
    let content = match item.output {
        Some(raw) => read_content(raw.0, dropped)?,
        None => return Err(Fault::Unusable("a function_call_output needs an \"output\"")),
    };
    Ok(Part::ToolResult(Box::new(ToolResult { id, name: item.name, content, is_error: false, cache: None })))
}

/// Reads an item of reasoning, of a request or of an answer; `None` where it holds nothing that travels.
pub(super) fn read_thought<'a>(item: Item<'a>) -> Option<Part<'a>> {
    let texts = |raw: Option<&'a str>| match raw.and_then(Content::read) {
        Some(Content::Pieces(pieces)) => pieces.into_iter().filter_map(|piece| piece.text).collect(),
        Some(Content::Text(text)) => vec![text],
        None => Vec::new(),
    };
    let mut thoughts = texts(item.summary.map(|raw| raw.0));
    if thoughts.is_empty() {
        thoughts = texts(item.content.map(|raw| raw.0));
    }
    let text = match thoughts.len() {
        0 | 1 => thoughts.pop().unwrap_or_default(),
        _ => Text::join(&thoughts, "\n\n"),
    };
    let encrypted = item.encrypted.filter(|encrypted| !encrypted.is_empty());
    let (signature, is_redacted) = match encrypted {
        Some(encrypted) => {
            let (signature, is_redacted) = reasoning::read(item.id.as_ref(), encrypted);
            (Some(signature), is_redacted)
        }
        None => (None, false),
    };
    if text.is_empty() && signature.is_none() {
        return None;
    }
    Some(Part::Thought(Box::new(Thought { text, signature, is_redacted })))
}
