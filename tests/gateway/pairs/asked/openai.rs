//! Requests in OpenAI's two dialects. Cohere's messages are those of its chats.

use serde_json::Value;

use super::pieces::{address, arguments, inline, joined, list, plain, text_of};
use super::{Asked, Calls, Said, Who};

/// OpenAI chat, and Cohere.
pub fn chat(body: &Value, asked: &mut Asked, calls: &mut Calls) {
    for message in list(&body["messages"]) {
        let content = &message["content"];
        match text_of(&message["role"]) {
            "system" | "developer" if asked.said.is_empty() => {
                asked.system.extend(parts(content).into_iter().filter_map(|part| part.ok()));
            }
            "system" | "developer" => speak(Who::System, content, asked),
            "assistant" => {
                speak(Who::Model, content, asked);
                if let Some(text) = message["refusal"].as_str() {
                    asked.words(Who::Model, text);
                }
                for call in list(&message["tool_calls"]) {
                    let function = &call["function"];
                    let given = arguments(&function["arguments"]);
                    asked.call(calls, call["id"].as_str(), &function["name"], given);
                }
            }
            "tool" => {
                let place = calls.answered(message["tool_call_id"].as_str(), None);
                let texts: Vec<String> = parts(content).into_iter().filter_map(Result::ok).collect();
                asked.said.push(Said::Result(place, joined(&texts), Vec::new()));
            }
            _ => speak(Who::User, content, asked),
        }
    }
    tools(body, asked);
}

/// Functions of both dialects: inside a member of their own, or beside their type.
fn tools(body: &Value, asked: &mut Asked) {
    for tool in list(&body["tools"]) {
        let function = if tool["name"].is_string() { tool } else { &tool["function"] };
        match text_of(&tool["type"]) {
            "function" => asked.tool(&function["name"], &function["description"], &function["parameters"]),
            kind => asked.foreign.push(kind.to_owned()),
        }
    }
    for function in list(&body["functions"]) {
        asked.tool(&function["name"], &function["description"], &function["parameters"]);
    }
}

fn speak(who: Who, content: &Value, asked: &mut Asked) {
    for part in parts(content) {
        match part {
            Ok(text) => asked.words(who, &text),
            Err(media) => asked.media(who, media),
        }
    }
}

/// Texts, and as the other case media.
fn parts(content: &Value) -> Vec<Result<String, Value>> {
    if let Some(text) = content.as_str() {
        return vec![Ok(text.to_owned())];
    }
    let read = |part: &Value| match text_of(&part["type"]) {
        "text" | "input_text" | "output_text" => Some(Ok(text_of(&part["text"]).to_owned())),
        "refusal" => Some(Ok(text_of(&part["refusal"]).to_owned())),
        "image_url" => Some(Err(address(
            "image",
            part["image_url"]["url"].as_str().unwrap_or(text_of(&part["image_url"])),
        ))),
        "input_image" => Some(Err(match part["file_id"].as_str() {
            Some(id) => serde_json::json!({ "kind": "image", "file": id }),
            None => address("image", text_of(&part["image_url"])),
        })),
        "video_url" => Some(Err(address("video", text_of(&part["video_url"]["url"])))),
        "input_audio" => {
            let sound = &part["input_audio"];
            let media_type = format!("audio/{}", text_of(&sound["format"]));
            Some(Err(inline(&media_type, text_of(&sound["data"]))))
        }
        "file" => Some(Err(file(&part["file"]))),
        "input_file" => Some(Err(file(part))),
        _ => None,
    };
    list(content).iter().filter_map(read).collect()
}

fn file(file: &Value) -> Value {
    if let Some(id) = file["file_id"].as_str() {
        return serde_json::json!({ "kind": "document", "file": id });
    }
    if let Some(url) = file["file_url"].as_str() {
        return address("document", url);
    }
    let found = address("document", text_of(&file["file_data"]));
    // Bare base64 is of a type that only the name tells.
    match (found["url"].as_str(), text_of(&file["filename"]).ends_with(".pdf")) {
        (Some(data), true) if !data.contains(':') => inline("application/pdf", data),
        _ => found,
    }
}

/// OpenAI Responses.
pub fn responses(body: &Value, asked: &mut Asked, calls: &mut Calls) {
    asked.system.extend(body["instructions"].as_str().map(str::to_owned));
    if let Some(text) = body["input"].as_str() {
        asked.words(Who::User, text);
    } else {
        for item in list(&body["input"]) {
            item_of(item, asked, calls);
        }
    }
    tools(body, asked);
}

fn item_of(item: &Value, asked: &mut Asked, calls: &mut Calls) {
    match text_of(&item["type"]) {
        "function_call" => {
            let given = arguments(&item["arguments"]);
            asked.call(calls, item["call_id"].as_str(), &item["name"], given);
        }
        "function_call_output" => {
            let place = calls.answered(item["call_id"].as_str(), None);
            let (mut texts, mut media) = (Vec::new(), Vec::new());
            for part in parts(&item["output"]) {
                match part {
                    Ok(text) => texts.push(text),
                    Err(found) => match plain(&found) {
                        Some(text) => texts.push(text),
                        None => media.push(found),
                    },
                }
            }
            asked.said.push(Said::Result(place, joined(&texts), media));
        }
        "" | "message" => match text_of(&item["role"]) {
            "system" | "developer" if asked.said.is_empty() => {
                asked.system.extend(parts(&item["content"]).into_iter().filter_map(Result::ok));
            }
            "system" | "developer" => speak(Who::System, &item["content"], asked),
            "assistant" => speak(Who::Model, &item["content"], asked),
            _ => speak(Who::User, &item["content"], asked),
        },
        "reasoning" => {}
        kind => asked.foreign.push(kind.to_owned()),
    }
}
