//! Recorded requests: each is read, and written again with the same meaning.

use std::path::PathBuf;

use serde_json::{Map, json};

use super::*;

/// The recorded exchanges of this dialect, as (id, exchange). None where they are not at hand, which is said aloud.
#[expect(clippy::print_stderr, reason = "a test that skips its work must say so")]
pub(super) fn recordings() -> Vec<(String, Value)> {
    let folder = std::env::var_os("AISIX_TEST_RECORDINGS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/recordings")),
        PathBuf::from,
    );
    let Ok(index) = std::fs::read(folder.join("index.json")) else {
        eprintln!("SKIPPED: no recordings in {}; set AISIX_TEST_RECORDINGS", folder.display());
        return Vec::new();
    };
    let index = json(&index);
    let own =
        |entry: &&Value| ["anthropic-messages", "anthropic-vertex"].iter().any(|api| entry["api"] == *api);
    let read = |entry: &Value| {
        let file =
            std::fs::read(folder.join(entry["file"].as_str().expect("a file"))).expect("the recording");
        (entry["id"].as_str().expect("an id").to_owned(), json(&file))
    };
    let found: Vec<_> = index.as_array().expect("a list").iter().filter(own).map(read).collect();
    assert!(found.len() >= 59, "some recordings are gone");
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What of a request cannot be carried to other dialects, found without the codec.
fn own_affairs(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["container", "mcp_servers", "service_tier"] {
        if body.get(name).is_some() {
            found.push(name.to_owned());
        }
    }
    for block in list(&body["messages"]).iter().flat_map(|message| list(&message["content"])) {
        let kind = block["type"].as_str().expect("a type");
        if kind != "tool_result"
            && (kind.starts_with("server_") || kind.ends_with("_result") || kind == "container_upload")
        {
            found.push(format!("messages.content.{kind}"));
        }
        if block["citations"]["enabled"] == true {
            found.push("messages.content.citations".to_owned());
        }
    }
    for tool in list(&body["tools"]) {
        found.extend(tool["type"].as_str().map(|kind| format!("tools.{kind}")));
        found.extend(tool.get("defer_loading").map(|_| "tools.defer_loading".to_owned()));
    }
    found.sort();
    found.dedup();
    found
}

/// What a block says, in one form.
fn meaning(block: &Value) -> Option<Value> {
    let mut block: Map<_, _> = block.as_object().expect("a block").clone();
    let kind = block["type"].as_str().expect("a type").to_owned();
    let is_blank = kind == "text" && block["text"].as_str().expect("text").trim().is_empty();
    let carried = ["text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"];
    if is_blank || !carried.contains(&&*kind) {
        return None;
    }
    block.remove("caller");
    block.remove("citations");
    if block.get("is_error") == Some(&json!(false)) {
        block.remove("is_error");
    }
    if block.get("cache_control").is_some_and(|mark| mark["ttl"] == "5m") {
        block.insert("cache_control".to_owned(), json!({"type": "ephemeral"}));
    }
    if kind == "tool_result" {
        block.insert("content".to_owned(), content(&block["content"]));
    }
    Some(Value::Object(block))
}

fn content(value: &Value) -> Value {
    match value {
        Value::String(text) => json!([{"type": "text", "text": text}]),
        value => list(value).iter().filter_map(meaning).collect(),
    }
}

/// What a request says, in one form; what is not carried is left out.
fn request_meaning(body: &Value) -> Value {
    let messages = list(&body["messages"]).iter();
    let own = list(&body["tools"]).iter().filter(|tool| tool["type"].is_null());
    let tools: Vec<_> = own
        .map(|tool| json!([tool["name"], tool["description"], tool["input_schema"], tool["strict"] == true]))
        .collect();
    let choice = Some(&body["tool_choice"]).filter(|_| !tools.is_empty());
    let format = body.get("output_format").unwrap_or(&body["output_config"]["format"]);
    json!({
        "system": content(&body["system"]),
        "messages": messages.map(|message| json!([message["role"], content(&message["content"])])).collect::<Vec<_>>(),
        "tools": tools,
        "choice": choice.map(|choice| json!([choice["type"], choice["name"], choice["disable_parallel_tool_use"] == true])),
        "thinking": [body["thinking"]["type"], body["thinking"]["budget_tokens"]],
        "format": format["schema"],
        "figures": [body["max_tokens"], body["temperature"], body["top_p"], body["top_k"], body["stop_sequences"]],
        "user": body["metadata"]["user_id"],
        "stream": body["stream"] == true,
    })
}

#[test]
fn recorded_requests_keep_their_meaning() {
    for (id, exchange) in recordings() {
        let body = &exchange["request"]["body"];
        if body.is_null() {
            continue;
        }
        let raw = object(&body.to_string());
        let mut dropped = Dropped::default();
        let read = read_request(&raw, &mut dropped);
        if id == "anthropic-messages-error400-schema-4a18449" {
            // Its form has the schema where Anthropic does not look for it; Anthropic refused it too.
            let refused = matches!(read, Err(RequestError::Invalid { param: Some("output_format"), .. }));
            assert!(refused, "{id}");
            continue;
        }
        let conversation = read.unwrap_or_else(|error| panic!("{id}: {error}"));
        let mut names: Vec<_> = dropped.names().map(str::to_owned).collect();
        names.sort();
        assert_eq!(names, own_affairs(body), "{id}");
        let model = body["model"].as_str().unwrap_or("claude-sonnet-4-5");
        let (again, dropped) = written(&conversation, model);
        assert_eq!(again["model"], model);
        assert_eq!(request_meaning(&again), request_meaning(body), "{id}");
        assert_eq!(dropped, "", "{id}");
    }
}
