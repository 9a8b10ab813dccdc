//! What a caller of Gemini's dialect asks for.

use crate::dialect::chat::{Conversation, Dropped, Part, Words};
use crate::dialect::json::Text;
use crate::dialect::raw::RawObject;
use crate::error::RequestError;

use super::members::Content;
use super::{settings, turns};

/// Reads a request. The model and the wish for a stream stand in the URL: whoever calls this sets them.
///
/// # Errors
/// Names the member that is missing or cannot be used.
pub fn read_request<'a>(
    body: &'a RawObject,
    dropped: &mut Dropped,
) -> Result<Conversation<'a>, RequestError> {
    let mut conversation = Conversation::default();
    let mut calling = None;
    let mut has_contents = false;
    for (name, raw) in body.members().filter(|(_, raw)| *raw != "null") {
        match name {
            "contents" => {
                conversation.turns = turns::read(raw, dropped)?;
                has_contents = true;
            }
            "systemInstruction" | "system_instruction" => conversation.system = read_system(raw, dropped)?,
            "generationConfig" | "generation_config" => {
                settings::read_generation(raw, &mut conversation, dropped)?;
            }
            "tools" => conversation.tools = settings::read_tools(raw, dropped)?,
            "toolConfig" | "tool_config" => calling = settings::read_calling(raw, dropped)?,
            "cachedContent" | "cached_content" => {
                return Err(RequestError::member(
                    "cachedContent",
                    "cachedContent cannot be carried to this model: send the whole content instead",
                ));
            }
            "safetySettings" | "safety_settings" => dropped.add("safetySettings"),
            // It stands in the URL; some callers repeat it.
            "model" => {}
            other => dropped.add(other.to_owned()),
        }
    }
    if !has_contents {
        return Err(RequestError::member("contents", "the member \"contents\" is missing"));
    }
    if let Some(calling) = calling {
        conversation.tool_choice = settings::tool_choice(calling, &conversation.tools, dropped);
    }
    Ok(conversation)
}

/// Instructions: a content, or only text.
fn read_system<'a>(raw: &'a str, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, RequestError> {
    let wrong = |_| {
        let message = "the member \"systemInstruction\" must be an object with \"parts\", or a string";
        RequestError::member("systemInstruction", message)
    };
    if let Some(text) = Text::from_json(raw) {
        return Ok(vec![Part::Text(Words { text, ..Words::default() })]);
    }
    let content = serde_json::from_str::<Content<'a>>(raw).map_err(wrong)?;
    let mut parts = Vec::new();
    for piece in content.parts.map(|parts| parts.0).unwrap_or_default() {
        match piece.text {
            Some(text) if !text.is_empty() => parts.push(Part::Text(Words { text, ..Words::default() })),
            Some(_) => {}
            None => dropped.add("systemInstruction.parts"),
        }
    }
    Ok(parts)
}
