//! Requests in Gemini's dialect, whose members are spelt in two ways.

use serde_json::{Value, json};

use super::pieces::{inline, kind, list, plain, text_of, unwrapped};
use super::{Asked, Calls, Said, Who};

/// A member in either spelling.
pub fn member<'v>(value: &'v Value, camel: &str) -> &'v Value {
    let snake: String = camel
        .chars()
        .flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
        .collect();
    match &value[camel] {
        Value::Null => &value[&*snake],
        found => found,
    }
}

/// See the module.
pub fn read(body: &Value, asked: &mut Asked, calls: &mut Calls) {
    let instructions = member(body, "systemInstruction");
    asked.system = match instructions.as_str() {
        Some(text) => vec![text.to_owned()],
        None => list(&instructions["parts"]).iter().map(|part| text_of(&part["text"]).to_owned()).collect(),
    };
    for content in list(&body["contents"]) {
        let who = if text_of(&content["role"]) == "model" { Who::Model } else { Who::User };
        for part in list(&content["parts"]) {
            read_part(who, part, asked, calls);
        }
    }
    for tool in list(&body["tools"]) {
        for function in list(member(tool, "functionDeclarations")) {
            let schema = member(function, "parametersJsonSchema");
            let schema = if schema.is_null() { &function["parameters"] } else { schema };
            asked.tool(&function["name"], &function["description"], schema);
        }
        let names = tool.as_object().into_iter().flat_map(|members| members.keys());
        let is_own = |name: &&String| !["functionDeclarations", "function_declarations"].contains(&&***name);
        asked.foreign.extend(names.filter(is_own).cloned());
    }
}

fn read_part(who: Who, part: &Value, asked: &mut Asked, calls: &mut Calls) {
    if part["thought"] == true {
        return;
    }
    let call = member(part, "functionCall");
    let response = member(part, "functionResponse");
    if call.is_object() {
        asked.call(calls, call["id"].as_str(), &call["name"], call["args"].clone());
    } else if response.is_object() {
        let place = calls.answered(response["id"].as_str(), response["name"].as_str());
        let said = unwrapped(&response["response"]);
        let said = if said.is_null() { "".into() } else { said };
        let media: Vec<Value> = list(&response["parts"]).iter().filter_map(media).collect();
        asked.said.push(Said::Result(place, said, media));
    } else if let Some(text) = part["text"].as_str() {
        asked.words(who, text);
    } else if let Some(found) = media(part) {
        match plain(&found) {
            Some(text) => asked.words(who, &text),
            None => asked.media(who, found),
        }
    } else {
        let names = part.as_object().into_iter().flat_map(|members| members.keys());
        asked.foreign.extend(names.filter(|name| !name.starts_with("thought")).cloned());
    }
}

fn media(part: &Value) -> Option<Value> {
    let (blob, file) = (member(part, "inlineData"), member(part, "fileData"));
    if blob.is_object() {
        // Google's base64 may be that for URLs.
        let data = text_of(&blob["data"]).replace('-', "+").replace('_', "/");
        return Some(inline(text_of(member(blob, "mimeType")), &data));
    }
    file.is_object()
        .then(|| json!({ "kind": kind(text_of(member(file, "mimeType"))), "url": member(file, "fileUri") }))
}
