//! The objects of Gemini's JSON that stand on both sides: contents, parts and what is in them.
//!
//! A member may be named in camelCase or snake_case: Google reads both, and its own libraries send both.

use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::dialect::json::Text;
use crate::dialect::json::shape::{Json, shape};

/// A list, or one item without its brackets: Google reads both.
#[derive(Debug)]
pub(super) struct Many<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(ManyVisitor(PhantomData))
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Many<T>, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0));
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Many(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
    }
}

shape! {
    /// What one side said.
    Content {
        "role" => role: Text<'a>,
        "parts" => parts: Many<Part<'a>>,
    }
    /// A piece of a content: one of its members says what it is.
    Part {
        "text" => text: Text<'a>,
        "thought" => thought: bool,
        "thoughtSignature" | "thought_signature" => signature: Text<'a>,
        "inlineData" | "inline_data" => inline: Blob<'a>,
        "fileData" | "file_data" => file: FileRef<'a>,
        "functionCall" | "function_call" => call: FunctionCall<'a>,
        "functionResponse" | "function_response" => response: FunctionResponse<'a>,
    }
    /// Bytes as base64.
    Blob {
        "mimeType" | "mime_type" => mime_type: Text<'a>,
        "data" => data: Text<'a>,
        "displayName" | "display_name" => name: Text<'a>,
    }
    /// A file by its address.
    FileRef {
        "fileUri" | "file_uri" => uri: Text<'a>,
        "mimeType" | "mime_type" => mime_type: Text<'a>,
        "displayName" | "display_name" => name: Text<'a>,
    }
    /// A call of a function; Vertex may send its arguments in pieces.
    FunctionCall {
        "id" => id: Text<'a>,
        "name" => name: Text<'a>,
        "args" => args: Json<'a>,
        "partialArgs" | "partial_args" => partial: Json<'a>,
        "willContinue" | "will_continue" => will_continue: bool,
    }
    /// What a function said.
    FunctionResponse {
        "id" => id: Text<'a>,
        "name" => name: Text<'a>,
        "response" => response: Json<'a>,
        "parts" => parts: Many<Part<'a>>,
    }
}

/// The JSON of an object; `None` for every other value.
pub(super) fn object(json: Json<'_>) -> Option<&str> {
    json.0.starts_with('{').then_some(json.0)
}
