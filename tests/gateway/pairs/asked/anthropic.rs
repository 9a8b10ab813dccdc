//! Requests in Anthropic's dialect.

use serde_json::{Value, json};

use super::pieces::{inline, joined, list, plain, text_of};
use super::{Asked, Calls, Said, Who};

/// See the module.
pub fn read(body: &Value, asked: &mut Asked, calls: &mut Calls) {
    asked.system = texts(&body["system"]);
    for message in list(&body["messages"]) {
        let who = match text_of(&message["role"]) {
            "assistant" => Who::Model,
            "system" => Who::System,
            _ => Who::User,
        };
        if let Some(text) = message["content"].as_str() {
            asked.words(who, text);
            continue;
        }
        for block in list(&message["content"]) {
            read_block(who, block, asked, calls);
        }
    }
    for tool in list(&body["tools"]) {
        match text_of(&tool["type"]) {
            "" | "custom" => asked.tool(&tool["name"], &tool["description"], &tool["input_schema"]),
            kind => asked.foreign.push(kind.to_owned()),
        }
    }
}

fn texts(content: &Value) -> Vec<String> {
    let text = |block: &Value| block.as_str().or(block["text"].as_str()).map(str::to_owned);
    list(content).iter().filter_map(text).collect()
}

fn read_block(who: Who, block: &Value, asked: &mut Asked, calls: &mut Calls) {
    match text_of(&block["type"]) {
        "text" => asked.words(who, text_of(&block["text"])),
        "image" | "document" => asked.media(who, source(text_of(&block["type"]), &block["source"])),
        "tool_use" => asked.call(calls, block["id"].as_str(), &block["name"], block["input"].clone()),
        "tool_result" => {
            let place = calls.answered(block["tool_use_id"].as_str(), None);
            let (mut said, mut media) = (Vec::new(), Vec::new());
            for piece in list(&block["content"]) {
                let found =
                    piece["source"].is_object().then(|| source(text_of(&piece["type"]), &piece["source"]));
                match found {
                    None => said.extend(texts(piece)),
                    Some(found) => match plain(&found) {
                        Some(text) => said.push(text),
                        None => media.push(found),
                    },
                }
            }
            asked.said.push(Said::Result(place, joined(&said), media));
        }
        "thinking" | "redacted_thinking" => {}
        kind => asked.foreign.push(kind.to_owned()),
    }
}

fn source(kind: &str, source: &Value) -> Value {
    match text_of(&source["type"]) {
        "url" => json!({ "kind": kind, "url": source["url"] }),
        "file" => json!({ "kind": kind, "file": source["file_id"] }),
        "text" => json!({ "text": source["data"] }),
        _ => inline(text_of(&source["media_type"]), text_of(&source["data"])),
    }
}
