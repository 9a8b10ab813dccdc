//! What requests, answers and streams mean, read from their JSON without the codec.

use std::collections::BTreeMap;

use serde_json::{Value, json};

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(|part| part["text"].as_str()).collect()
}

/// What a request asks for, as far as it can be carried.
pub(super) fn of_request(body: &Value) -> Value {
    let mut system: Vec<String> = body["instructions"].as_str().map(str::to_owned).into_iter().collect();
    let items = match &body["input"] {
        Value::String(text) => vec![json!({"role": "user", "content": text})],
        items => list(items).to_vec(),
    };
    let mut said: Vec<Value> = Vec::new();
    for item in &items {
        let is_system = matches!(item["role"].as_str(), Some("system" | "developer"));
        match is_system && said.is_empty() {
            true => system.extend(
                pieces(&item["content"]).iter().filter_map(|p| p["text"].as_str().map(str::to_owned)),
            ),
            false => said.extend(of_item(item)),
        }
    }
    let mut meaning = BTreeMap::from([("system", json!(system.join("\n\n"))), ("said", Value::Array(said))]);
    let tools: Vec<Value> =
        list(&body["tools"]).iter().filter(|tool| tool["type"] == "function").map(tool).collect();
    if !tools.is_empty() {
        meaning.insert("tool_choice", body["tool_choice"].clone());
        meaning.insert("parallel_tool_calls", body["parallel_tool_calls"].clone());
    }
    meaning.insert("tools", Value::Array(tools));
    for name in
        ["temperature", "top_p", "max_output_tokens", "user", "metadata", "service_tier", "prompt_cache_key"]
    {
        meaning.insert(name, body[name].clone());
    }
    meaning.insert("stream", json!(body["stream"] == true));
    meaning.insert("store", json!(body["store"] == true));
    let mut format = body["text"]["format"].clone();
    if format["type"] == "text" {
        format = Value::Null;
    }
    meaning.insert("format", format);
    meaning.insert("effort", body["reasoning"]["effort"].clone());
    meaning.insert("summary", json!(body["reasoning"]["summary"].is_string()));
    json!(meaning)
}

fn tool(tool: &Value) -> Value {
    let mut schema = tool["parameters"].clone();
    if schema.is_null() {
        schema = json!({"type": "object", "properties": {}});
    }
    json!([tool["name"], tool["description"], schema, tool["strict"] == true])
}

fn of_item(item: &Value) -> Option<Value> {
    Some(match item["type"].as_str() {
        None | Some("message") => {
            let role = item["role"].as_str().map(|role| if role == "developer" { "system" } else { role });
            json!([role, pieces(&item["content"])])
        }
        Some("function_call") => json!(["call", item["call_id"], item["name"], item["arguments"]]),
        Some("function_call_output") => json!(["result", item["call_id"], pieces(&item["output"])]),
        Some("reasoning") if item["encrypted_content"].is_string() => {
            json!(["reasoning", item["id"], item["encrypted_content"], thoughts(item)])
        }
        _ => return None,
    })
}

fn thoughts(item: &Value) -> String {
    let summary = texts(&item["summary"]);
    if summary.is_empty() { texts(&item["content"]) } else { summary }.join("\n\n")
}

fn pieces(content: &Value) -> Vec<Value> {
    if let Some(text) = content.as_str() {
        return vec![json!({"text": text})];
    }
    let piece = |piece: &Value| match piece["type"].as_str() {
        Some("input_text" | "output_text") => json!({"text": piece["text"]}),
        Some("input_image") => {
            let detail = piece["detail"].as_str().unwrap_or("auto");
            json!({"image": piece["image_url"], "id": piece["file_id"], "detail": detail})
        }
        Some("input_file") => {
            json!({"file": piece["file_data"], "id": piece["file_id"], "name": piece["filename"], "url": piece["file_url"]})
        }
        _ => piece.clone(),
    };
    list(content).iter().map(piece).collect()
}

/// What an answer says.
pub(super) fn of_response(response: &Value) -> Value {
    let mut said: Vec<Value> = Vec::new();
    for item in list(&response["output"]) {
        match item["type"].as_str() {
            Some("message") => said.extend(list(&item["content"]).iter().map(|part| {
                let sources: Vec<Value> =
                    list(&part["annotations"]).iter().filter(|a| a["url"].is_string()).map(source).collect();
                json!(["said", part["text"], part["refusal"], sources])
            })),
            Some("function_call") => {
                said.push(json!(["call", item["call_id"], item["name"], item["arguments"]]))
            }
            Some("reasoning") => {
                let (text, sealed) = (thoughts(item), item["encrypted_content"].as_str().unwrap_or_default());
                if !text.is_empty() || !sealed.is_empty() {
                    said.push(json!(["reasoning", text, sealed.rsplit(':').next()]));
                }
            }
            Some("image_generation_call") => said.push(json!(["picture", item["result"]])),
            _ => {}
        }
    }
    let usage = &response["usage"];
    let counts = ["input_tokens", "output_tokens", "total_tokens"].map(|name| usage[name].clone());
    let cached = &usage["input_tokens_details"]["cached_tokens"];
    let reasoning = &usage["output_tokens_details"]["reasoning_tokens"];
    json!({
        "said": said, "status": response["status"], "reason": response["incomplete_details"]["reason"],
        "usage": counts, "cached": cached, "reasoning": reasoning,
    })
}

fn source(annotation: &Value) -> Value {
    json!([annotation["url"], annotation["title"], annotation["start_index"], annotation["end_index"]])
}

/// Checks that a written stream is one that the official SDK accepts, and gives its last response.
pub(super) fn check_stream(frames: &[Value]) -> Value {
    let mut items: Vec<(Value, Option<Value>)> = Vec::new();
    let mut deltas: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for (place, frame) in frames.iter().enumerate() {
        assert_eq!(frame["sequence_number"], json!(place), "numbers are dense");
        let kind = frame["type"].as_str().expect("a type");
        let index = frame["output_index"].as_u64();
        let part = frame["content_index"].as_u64().or(frame["summary_index"].as_u64()).unwrap_or(0);
        let item = index.and_then(|index| items.get(index as usize)).cloned();
        match kind {
            "response.created" | "response.in_progress" => assert!(place < 2, "{kind} comes first"),
            "response.completed" | "response.incomplete" => {
                assert_eq!(place, frames.len() - 1, "{kind} comes last")
            }
            "response.output_item.added" => {
                assert_eq!(index, Some(items.len() as u64), "places are dense");
                assert_eq!(frame["item"]["status"], "in_progress");
                items.push((frame["item"].clone(), None));
            }
            "response.output_item.done" => {
                let (added, done) = item.expect("was added");
                assert!(done.is_none(), "done once");
                for name in ["id", "type", "call_id", "name"] {
                    assert_eq!(added[name], frame["item"][name], "{name} is stable");
                }
                items[index.expect("a place") as usize].1 = Some(frame["item"].clone());
            }
            other => {
                let (added, done) = item.expect("was added");
                assert!(done.is_none(), "{other} comes before the item is done");
                assert_eq!(frame["item_id"], added["id"]);
                if let Some(delta) = frame["delta"].as_str() {
                    deltas.entry((index.expect("a place"), part)).or_default().push_str(delta);
                }
                let whole = ["text", "refusal", "arguments"].iter().find_map(|name| frame[name].as_str());
                if let Some(whole) = whole {
                    let joined = deltas.get(&(index.expect("a place"), part)).map_or("", String::as_str);
                    assert_eq!(joined, whole, "{other} repeats its deltas");
                }
            }
        }
    }
    let last = frames.last().expect("an end")["response"].clone();
    for frame in [&frames[0], &frames[1]] {
        assert_eq!(frame["response"]["id"], last["id"]);
    }
    let done: Vec<Value> = items.into_iter().map(|(_, done)| done.expect("every item is done")).collect();
    assert_eq!(last["output"], Value::Array(done), "the answer is repeated whole");
    last
}
