//! The objects of the dialect, as far as they are understood: items of a conversation, their pieces, usage.
//!
//! Requests and answers share them: an answer's output is the next request's input. Members whose type depends on the
//! kind of item stay raw until that kind is known.

use std::borrow::Cow;

use crate::dialect::json::Text;
use crate::dialect::json::shape::{Json, shape};
use crate::dialect::whole::Whole;

shape! {
    /// An item of `input` or `output`.
    Item {
        "type" => kind: Text<'a>,
        "role" => role: Text<'a>,
        "content" => content: Json<'a>,
        "id" => id: Text<'a>,
        "call_id" => call_id: Text<'a>,
        "name" => name: Text<'a>,
        "arguments" => arguments: Json<'a>,
        "output" => output: Json<'a>,
        "summary" => summary: Json<'a>,
        "encrypted_content" => encrypted: Text<'a>,
        "result" => result: Json<'a>,
        "output_format" => output_format: Json<'a>,
    }
    /// A piece of what an item says.
    Piece {
        "type" => kind: Text<'a>,
        "text" => text: Text<'a>,
        "refusal" => refusal: Text<'a>,
        "image_url" => image_url: Json<'a>,
        "file_url" => file_url: Text<'a>,
        "file_id" => file_id: Text<'a>,
        "file_data" => file_data: Json<'a>,
        "filename" => filename: Text<'a>,
        "detail" => detail: Text<'a>,
        "input_audio" => input_audio: Audio<'a>,
        "annotations" => annotations: Vec<Annotation<'a>>,
        "logprobs" => logprobs: Json<'a>,
        "prompt_cache_breakpoint" => breakpoint: Breakpoint<'a>,
    }
    /// Sound.
    Audio {
        "data" => data: Text<'a>,
        "format" => format: Text<'a>,
    }
    /// Where a statement comes from.
    Annotation {
        "type" => kind: Text<'a>,
        "url" => url: Text<'a>,
        "title" => title: Text<'a>,
        "filename" => filename: Text<'a>,
        "start_index" => start: Whole,
        "end_index" => end: Whole,
    }
    /// A mark: the prompt up to here is to be cached.
    Breakpoint {
        "ttl" => ttl: Text<'a>,
    }
    /// A tool.
    ToolShape {
        "type" => kind: Text<'a>,
        "name" => name: Text<'a>,
        "description" => description: Text<'a>,
        "parameters" => parameters: Json<'a>,
        "strict" => strict: Json<'a>,
    }
    /// The member `tool_choice`, where it is an object.
    Choice {
        "type" => kind: Text<'a>,
        "name" => name: Text<'a>,
    }
    /// The member `text`.
    TextOptions {
        "format" => format: FormatShape<'a>,
    }
    /// The form of the answer.
    FormatShape {
        "type" => kind: Text<'a>,
        "name" => name: Text<'a>,
        "description" => description: Text<'a>,
        "schema" => schema: Json<'a>,
        "strict" => strict: bool,
    }
    /// The member `reasoning`.
    ReasoningOptions {
        "effort" => effort: Text<'a>,
        "summary" => summary: Text<'a>,
        "generate_summary" => generate_summary: Text<'a>,
    }
}

impl Item<'_> {
    /// The item's type; a message may leave it out.
    pub(super) fn kind(&self) -> Cow<'_, str> {
        match &self.kind {
            Some(kind) => kind.decode(),
            None if self.role.is_some() => Cow::Borrowed("message"),
            None if self.id.is_some() => Cow::Borrowed("item_reference"),
            None => Cow::Borrowed(""),
        }
    }
}

/// What somebody says: a text, or a list of pieces. `None` where it is neither.
pub(super) enum Content<'a> {
    /// Only words.
    Text(Text<'a>),
    /// Pieces.
    Pieces(Vec<Piece<'a>>),
}

impl<'a> Content<'a> {
    /// Reads it from raw JSON.
    pub(super) fn read(raw: &'a str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'"' => Text::from_json(raw).map(Self::Text),
            b'[' => serde_json::from_str(raw).ok().map(Self::Pieces),
            _ => None,
        }
    }
}
