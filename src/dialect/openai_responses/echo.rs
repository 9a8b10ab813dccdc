//! What an answer repeats of its request: OpenAI's clients read settings from the response object.
//!
//! Repeated as the caller wrote it, also where the provider was told something else or nothing.

use std::sync::Arc;

use crate::dialect::chat::Echo;
use crate::dialect::raw::RawObject;

/// OpenAI API reference, "The response object".
const REPEATED: [&str; 13] = [
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "reasoning",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "truncation",
    "user",
];

/// The members of a request that its answer repeats.
#[must_use]
pub fn echo(request: &RawObject) -> Arc<[Echo]> {
    // A line feed would end a frame's line; inside a JSON text it is white space.
    let line = |raw: &str| raw.replace(['\n', '\r'], " ").into_boxed_str();
    let is_said = |raw: &&str| *raw != "null";
    REPEATED
        .into_iter()
        .filter_map(|name| Some((name, line(request.member(name).filter(is_said)?))))
        .collect()
}
