//! Blocks of content, read: what a message or an answer says.
//!
//! Blocks of Anthropic's own tools (`server_tool_use` and their results) mean nothing to anybody else.

use std::borrow::Cow;

use super::super::chat::{
    Arguments, CacheFor, Dropped, Media, MediaKind, Origin, Part, Signature, Source, Thought, ToolCall,
    ToolResult, Words,
};
use super::super::json::Text;
use super::super::json::shape::{Json, TextOr};
use super::citation;
use super::wire::{Block, CacheControl, SourceBlock, Switch};

/// What is wrong with a block, in words that echo nothing of it.
pub(super) type Unusable = &'static str;

/// Reads what a message says.
pub(super) fn read_content<'a>(
    content: TextOr<'a, Block<'a>>,
    dropped: &mut Dropped,
) -> Result<Vec<Part<'a>>, Unusable> {
    match content {
        TextOr::Text(text) => Ok(vec![Part::Text(Words { text, ..Words::default() })]),
        TextOr::List(blocks) => {
            let mut parts = Vec::with_capacity(blocks.len());
            for block in blocks {
                parts.extend(read_block(block, dropped)?);
            }
            Ok(parts)
        }
    }
}

fn read_block<'a>(mut block: Block<'a>, dropped: &mut Dropped) -> Result<Option<Part<'a>>, Unusable> {
    let kind = block.kind.take().ok_or("a block of content needs a \"type\"")?;
    let kind = kind.decode();
    if let Some(part) = answer_part(&kind, &mut block) {
        let part = part?;
        report(&block, dropped);
        return Ok(Some(part));
    }
    let part = match &*kind {
        "image" => media(&mut block, MediaKind::Image, dropped)?,
        "document" => media(&mut block, MediaKind::Document, dropped)?,
        "search_result" => search_result(&mut block, dropped)?,
        "tool_result" => tool_result(&mut block, dropped)?,
        other => {
            dropped.add(format!("messages.content.{other}"));
            return Ok(None);
        }
    };
    report(&block, dropped);
    Ok(Some(part))
}

/// Reads a block that answers have too; `None` for every other one.
pub(super) fn answer_part<'a>(kind: &str, block: &mut Block<'a>) -> Option<Result<Part<'a>, Unusable>> {
    Some(match kind {
        "text" => block.text.take().ok_or("a text block needs a \"text\"").map(|text| {
            let citations = citation::read_all(block.citations.take());
            Part::Text(Words { text, citations, cache: cache(block.cache.take()) })
        }),
        "thinking" => Ok(Part::Thought(Box::new(Thought {
            text: block.thinking.take().unwrap_or_default(),
            signature: block.signature.take().and_then(signature),
            is_redacted: false,
        }))),
        "redacted_thinking" => Ok(Part::Thought(Box::new(Thought {
            text: Text::default(),
            signature: block.data.take().and_then(signature),
            is_redacted: true,
        }))),
        "tool_use" => tool_call(block),
        _ => return None,
    })
}

/// A signature as it stands in this dialect; an empty one is none.
pub(super) fn signature(text: Text<'_>) -> Option<Signature<'_>> {
    if text.is_empty() { None } else { Signature::read(text, Some(Origin::Anthropic)) }
}

fn tool_call<'a>(block: &mut Block<'a>) -> Result<Part<'a>, Unusable> {
    let id = block.id.take().ok_or("a tool_use block needs an \"id\"")?;
    let name = block.name.take().ok_or("a tool_use block needs a \"name\"")?;
    let input = block.input.take().map_or("{}", |input| input.0);
    if !input.starts_with('{') {
        return Err("the \"input\" of a tool_use block must be an object");
    }
    let arguments = Arguments::Object(Cow::Borrowed(input));
    Ok(Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: cache(block.cache.take()) })))
}

fn tool_result<'a>(block: &mut Block<'a>, dropped: &mut Dropped) -> Result<Part<'a>, Unusable> {
    let id = block.tool_use_id.take().ok_or("a tool_result block needs a \"tool_use_id\"")?;
    let content = match block.content.take() {
        None => Vec::new(),
        Some(raw) => {
            let content = serde_json::from_str(raw.0).map_err(
                |_| "the \"content\" of a tool_result block must be a string or an array of blocks",
            )?;
            read_content(content, dropped)?
        }
    };
    let is_error = block.is_error.unwrap_or(false);
    let cache = cache(block.cache.take());
    Ok(Part::ToolResult(Box::new(ToolResult { id, name: None, content, is_error, cache })))
}

fn media<'a>(block: &mut Block<'a>, kind: MediaKind, dropped: &mut Dropped) -> Result<Part<'a>, Unusable> {
    let raw = block.source.take().ok_or("an image or document block needs a \"source\"")?;
    let source: SourceBlock<'a> = serde_json::from_str(raw.0)
        .map_err(|_| "the \"source\" of an image or document block must be an object")?;
    let source = read_source(source, kind, dropped)?;
    let (name, cache) = (block.title.take(), cache(block.cache.take()));
    Ok(Part::Media(Box::new(Media { kind, source, name, detail: None, cache })))
}

fn read_source<'a>(
    source: SourceBlock<'a>,
    kind: MediaKind,
    dropped: &mut Dropped,
) -> Result<Source<'a>, Unusable> {
    for name in &source.unknown {
        dropped.add(format!("messages.content.source.{name}"));
    }
    let own_kind = source.kind.ok_or("a \"source\" needs a \"type\"")?;
    Ok(match (&*own_kind.decode(), kind) {
        ("base64", _) => Source::Inline {
            media_type: source.media_type.ok_or("a base64 \"source\" needs a \"media_type\"")?,
            data: source.data.ok_or("a base64 \"source\" needs \"data\"")?,
        },
        ("url", _) => {
            Source::Url { url: source.url.ok_or("a url \"source\" needs a \"url\"")?, media_type: None }
        }
        ("file", _) => Source::File(source.file_id.ok_or("a file \"source\" needs a \"file_id\"")?),
        ("text", MediaKind::Document) => {
            Source::Plain(source.data.ok_or("a text \"source\" needs \"data\"")?)
        }
        ("content", MediaKind::Document) => match source.content {
            Some(TextOr::Text(text)) => Source::Plain(text),
            Some(TextOr::List(blocks)) => Source::Plain(joined(blocks, dropped)),
            None => return Err("a content \"source\" needs \"content\""),
        },
        _ => return Err("the \"type\" of a \"source\" is not one that this block can have"),
    })
}

/// The words of some blocks, one below the other.
fn joined(blocks: Vec<Block<'_>>, dropped: &mut Dropped) -> Text<'static> {
    let mut texts = Vec::new();
    for mut block in blocks {
        match block.text.take() {
            Some(text) => texts.push(text),
            None => dropped.add("messages.content.source.content"),
        }
    }
    Text::join(&texts, "\n")
}

/// What a search of the caller's found: a document for everybody else, with where it comes from above it.
fn search_result<'a>(block: &mut Block<'a>, dropped: &mut Dropped) -> Result<Part<'a>, Unusable> {
    const WRONG: Unusable =
        "a search_result block needs a \"source\" and an array of text blocks as \"content\"";
    let raw = block.content.take().ok_or(WRONG)?;
    let blocks: Vec<Block<'_>> = serde_json::from_str(raw.0).map_err(|_| WRONG)?;
    let origin = block.source.take().and_then(|source| Text::from_json(source.0)).ok_or(WRONG)?;
    let text = Text::join([&origin, &joined(blocks, dropped)], "\n");
    Ok(Part::Media(Box::new(Media {
        kind: MediaKind::Document,
        source: Source::Plain(text),
        name: block.title.take(),
        detail: None,
        cache: cache(block.cache.take()),
    })))
}

/// How long a mark asks for.
pub(super) fn cache(mark: Option<CacheControl<'_>>) -> Option<CacheFor> {
    let is_hour = mark?.ttl.is_some_and(|ttl| ttl == *"1h");
    Some(if is_hour { CacheFor::Hour } else { CacheFor::Short })
}

/// Names what is left of a block once it is read: whatever was understood has been taken out.
fn report(block: &Block<'_>, dropped: &mut Dropped) {
    for name in &block.unknown {
        dropped.add(format!("messages.content.{name}"));
    }
    let is_default = |json: &Json<'_>, switched: Option<bool>| {
        let switch = serde_json::from_str::<Switch<'_>>(json.0).ok();
        switch.is_some_and(|switch| match switched {
            Some(on) => switch.enabled.unwrap_or(false) == on,
            None => switch.kind.is_some_and(|kind| kind == *"direct"),
        })
    };
    let left = [
        ("cache_control", block.cache.is_some()),
        ("citations", block.citations.as_ref().is_some_and(|json| !is_default(json, Some(false)))),
        ("caller", block.caller.as_ref().is_some_and(|json| !is_default(json, None))),
        ("context", block.context.is_some()),
        ("title", block.title.is_some()),
    ];
    for (name, _) in left.into_iter().filter(|(_, is_left)| *is_left) {
        dropped.add(format!("messages.content.{name}"));
    }
}
