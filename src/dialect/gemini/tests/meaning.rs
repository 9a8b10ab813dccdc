//! What JSON of this dialect says, taken from the JSON itself and not from the codec: to compare what was recorded with
//! what was written.

use serde_json::{Map, Value, json};

/// A member by its camelCase name, or by its other spelling.
pub(super) fn get<'v>(value: &'v Value, name: &str) -> &'v Value {
    let snake: String = name
        .chars()
        .flat_map(|c| if c.is_ascii_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
        .collect();
    let found = &value[name];
    if found.is_null() { &value[&*snake] } else { found }
}

/// A list, or one item without its brackets.
pub(super) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn usual_base64(value: &Value) -> Value {
    json!(value.as_str().unwrap_or_default().replace('-', "+").replace('_', "/").trim_end_matches('='))
}

fn file(part: &Value) -> Option<Value> {
    let inline = get(part, "inlineData");
    let by_address = get(part, "fileData");
    if inline.is_object() {
        return Some(json!({"type": get(inline, "mimeType"), "data": usual_base64(&inline["data"])}));
    }
    by_address
        .is_object()
        .then(|| json!({"type": get(by_address, "mimeType"), "uri": get(by_address, "fileUri")}))
}

/// What a function said: `output` and `result` mean the same where they are words.
fn response(value: &Value) -> Value {
    match value["output"].is_string() {
        true => json!({"result": value["output"]}),
        false => value.clone(),
    }
}

/// What a part says, and its signature; `None` for tools that run at Google, which no other provider knows.
fn part(part: &Value) -> Option<Value> {
    let mut said = Map::new();
    let call = get(part, "functionCall");
    let answer = get(part, "functionResponse");
    if call.is_object() {
        let args = if call["args"].is_null() { json!({}) } else { call["args"].clone() };
        said.insert("call".into(), json!([call["name"], args]));
    } else if answer.is_object() {
        let files: Vec<_> = list(&answer["parts"]).into_iter().filter_map(file).collect();
        said.insert("answer".into(), json!([answer["name"], response(&answer["response"]), files]));
    } else if part["thought"] == true {
        said.insert("thought".into(), part["text"].clone());
    } else if let Some(file) = file(part) {
        said.insert("file".into(), file);
    } else {
        said.insert("text".into(), json!(part["text"].as_str()?));
    }
    let signature = get(part, "thoughtSignature");
    if signature.is_string() {
        said.insert("signature".into(), signature.clone());
    }
    Some(said.into())
}

/// What contents say, in their order; neighbours of one role are one.
pub(super) fn contents(contents: &Value) -> Vec<Value> {
    let mut said = Vec::new();
    for content in list(contents) {
        let role = if content["role"] == "model" { "model" } else { "user" };
        for found in list(&content["parts"]).into_iter().filter_map(part) {
            said.push(json!([role, found]));
        }
    }
    said
}

/// A schema with types as JSON schema spells them, in the few places where recorded schemas have them.
pub(super) fn schema(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match (name.as_str(), value) {
                ("type", Value::String(word)) => (name.clone(), json!(word.to_lowercase())),
                (_, value) => (name.clone(), self::schema(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(self::schema).collect(),
        other => other.clone(),
    }
}

/// The functions that are offered.
pub(super) fn functions(request: &Value) -> Vec<Value> {
    let tools = list(&request["tools"]).into_iter();
    tools
        .flat_map(|tool| list(get(tool, "functionDeclarations")))
        .map(|function| {
            let parameters = [get(function, "parametersJsonSchema"), get(function, "parameters")];
            let found = parameters.into_iter().find(|found| found.is_object()).map(schema);
            json!([function["name"], function["description"].as_str().unwrap_or_default(), found])
        })
        .collect()
}

/// What an answer says, from the chunks it came in.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) thoughts: String,
    pub(super) calls: Vec<Value>,
    pub(super) files: Vec<Value>,
    /// What each signature belongs to, and the signature.
    pub(super) signatures: Vec<(&'static str, String)>,
    pub(super) finish: String,
    /// What is cited, and the addresses of its sources.
    pub(super) cited: Vec<(u64, u64, String)>,
}

impl Said {
    pub(super) fn of(chunks: &[Value]) -> Self {
        let mut said = Self::default();
        for chunk in chunks {
            said.add(&chunk["candidates"][0]);
        }
        said
    }

    fn add(&mut self, candidate: &Value) {
        for part in list(&candidate["content"]["parts"]).into_iter().filter_map(part) {
            let kind = if part["call"].is_array() { "call" } else { "rest" };
            self.thoughts += part["thought"].as_str().unwrap_or_default();
            self.text += part["text"].as_str().unwrap_or_default();
            self.calls.extend(part["call"].is_array().then(|| part["call"].clone()));
            self.files.extend(part["file"].is_object().then(|| part["file"].clone()));
            self.signatures.extend(part["signature"].as_str().map(|signature| (kind, signature.to_owned())));
        }
        if let Some(finish) = candidate["finishReason"].as_str() {
            finish.clone_into(&mut self.finish);
        }
        let grounding = &candidate["groundingMetadata"];
        for support in list(&grounding["groundingSupports"]) {
            let segment = &support["segment"];
            for chunk in list(&support["groundingChunkIndices"]) {
                let source = &grounding["groundingChunks"][chunk.as_u64().unwrap_or(99) as usize];
                let uri = [&source["web"]["uri"], &source["retrievedContext"]["text"]];
                let uri = uri.iter().find_map(|uri| uri.as_str()).unwrap_or_default().to_owned();
                let number = |name: &str| segment[name].as_u64().unwrap_or(0);
                self.cited.push((number("startIndex"), number("endIndex"), uri));
            }
        }
    }
}
