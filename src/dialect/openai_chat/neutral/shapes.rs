//! The objects of a request, as callers write them.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

use crate::dialect::json::Text;
use crate::dialect::json::shape::{Json, TextOr, shape};
use crate::dialect::whole::Whole;

shape! {
    /// One message of any role.
    Message {
        "role" => role: Text<'a>,
        "content" => content: TextOr<'a, Piece<'a>>,
        "name" => name: Text<'a>,
        "tool_call_id" => tool_call_id: Text<'a>,
        "tool_calls" => tool_calls: Vec<Call<'a>>,
        "function_call" => function_call: Called<'a>,
        "refusal" => refusal: Text<'a>,
        "reasoning_content" => reasoning_content: Text<'a>,
        "reasoning" => reasoning: Text<'a>,
        "reasoning_details" => reasoning_details: Json<'a>,
        "annotations" => annotations: Json<'a>,
        "extra_content" => extra_content: Json<'a>,
        "cache_control" => cache_control: CacheControl<'a>,
    }
    /// A part of a message's content.
    Piece {
        "type" => kind: Text<'a>,
        "text" => text: Text<'a>,
        "refusal" => refusal: Text<'a>,
        "thinking" => thinking: TextOr<'a, Piece<'a>>,
        "closed" => closed: Json<'a>,
        "image_url" => image_url: Bare<'a, Address<'a>>,
        "video_url" => video_url: Bare<'a, Address<'a>>,
        "input_audio" => input_audio: Bare<'a, Sound<'a>>,
        "file" => file: File<'a>,
        "cache_control" => cache_control: CacheControl<'a>,
    }
    /// Where a picture or a film is.
    Address {
        "url" => url: Json<'a>,
        "detail" => detail: Text<'a>,
    }
    /// A sound.
    Sound {
        "data" => data: Json<'a>,
        "format" => format: Text<'a>,
    }
    /// A file.
    File {
        "file_data" => file_data: Json<'a>,
        "file_id" => file_id: Text<'a>,
        "filename" => filename: Text<'a>,
    }
    /// A call that the model made.
    Call {
        "id" => id: Text<'a>,
        "type" => kind: Text<'a>,
        "index" => index: Json<'a>,
        "function" => function: Called<'a>,
        "custom" => custom: Custom<'a>,
        "extra_content" => extra_content: Json<'a>,
    }
    /// The function of a call.
    Called {
        "name" => name: Text<'a>,
        "arguments" => arguments: Text<'a>,
    }
    /// A tool that takes text, called.
    Custom {
        "name" => name: Text<'a>,
        "input" => input: Text<'a>,
    }
    /// A mark that the prompt up to here is to be cached.
    CacheControl {
        "type" => kind: Text<'a>,
        "ttl" => ttl: Text<'a>,
    }
    /// A tool.
    Tool {
        "type" => kind: Text<'a>,
        "function" => function: Function<'a>,
        "cache_control" => cache_control: CacheControl<'a>,
    }
    /// A function that may be called.
    Function {
        "name" => name: Text<'a>,
        "description" => description: Text<'a>,
        "parameters" => parameters: Json<'a>,
        "strict" => strict: bool,
    }
    /// Which tool to call.
    Choice {
        "type" => kind: Text<'a>,
        "name" => name: Text<'a>,
        "function" => function: Called<'a>,
    }
    /// The form of the answer.
    ResponseFormat {
        "type" => kind: Text<'a>,
        "json_schema" => json_schema: Schema<'a>,
        "schema" => schema: Json<'a>,
    }
    /// A schema with its name.
    Schema {
        "name" => name: Text<'a>,
        "description" => description: Text<'a>,
        "schema" => schema: Json<'a>,
        "strict" => strict: bool,
    }
    /// How much to think, as OpenRouter writes it.
    Reasoning {
        "effort" => effort: Text<'a>,
        "max_tokens" => max_tokens: Whole,
        "enabled" => enabled: bool,
        "exclude" => exclude: bool,
    }
    /// How much to think, as Anthropic writes it.
    ThinkingMember {
        "type" => kind: Text<'a>,
        "budget_tokens" => budget_tokens: Whole,
    }
    /// What a stream is to hold.
    StreamOptions {
        "include_usage" => include_usage: bool,
    }
}

/// A member that is an object, or only the text that matters.
#[derive(Debug)]
pub(super) enum Bare<'a, T> {
    /// The text, raw.
    Text(Json<'a>),
    /// The object.
    Object(T),
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Bare<'a, T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(source)?.get();
        match raw.as_bytes().first() {
            Some(b'"') => Ok(Self::Text(Json(raw))),
            _ => serde_json::from_str(raw).map(Self::Object).map_err(D::Error::custom),
        }
    }
}
