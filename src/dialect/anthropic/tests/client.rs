//! A client of a stream, as strict as the protocol: it joins the pieces and fails where the order is broken.

use serde_json::{Value, json};

/// The events of a text of frames, as (name, data).
pub(super) fn frames(sse: &str) -> Vec<(String, Value)> {
    let sse = sse.replace("\r\n", "\n");
    let frame = |frame: &str| {
        let field = |name| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let data = field("data:")?;
        let data: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"));
        let name =
            field("event:").map_or_else(|| data["type"].as_str().expect("a type").to_owned(), str::to_owned);
        Some((name, data))
    };
    sse.split("\n\n").filter_map(frame).collect()
}

/// The message that the frames of one answer amount to.
pub(super) fn message(frames: &[(String, Value)]) -> Value {
    let (mut message, mut open) = (Value::Null, Vec::new());
    let mut is_over = false;
    for (name, data) in frames {
        assert_eq!(data["type"], *name);
        assert!(!is_over, "{name} after the end");
        assert_eq!(message.is_null(), name == "message_start", "{name}");
        let index = data["index"].as_u64().map(|index| index as usize);
        match &**name {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().expect("content");
                assert_eq!(index, Some(content.len()), "blocks are numbered in their order");
                content.push(data["content_block"].clone());
                open.push((index.expect("an index"), String::new()));
            }
            "content_block_delta" => {
                let place = index.expect("an index");
                let pieces = open.iter_mut().find(|(index, _)| *index == place);
                let (_, pieces) = pieces.unwrap_or_else(|| panic!("block {place} is not open"));
                add(&mut message["content"][place], &data["delta"], pieces);
            }
            "content_block_stop" => {
                let place = open.iter().position(|(open, _)| Some(*open) == index).expect("an open block");
                let (index, pieces) = open.remove(place);
                if !pieces.is_empty() {
                    message["content"][index]["input"] =
                        serde_json::from_str(&pieces).unwrap_or(json!(pieces));
                }
            }
            "message_delta" => {
                assert!(open.is_empty(), "a block is still open");
                merge(&mut message, &data["delta"]);
                merge(&mut message["usage"], &data["usage"]);
            }
            "message_stop" => is_over = true,
            _ => {}
        }
    }
    assert!(is_over && open.is_empty(), "not ended");
    message
}

fn merge(old: &mut Value, new: &Value) {
    for (name, value) in new.as_object().expect("an object") {
        old[name] = value.clone();
    }
}

fn add(block: &mut Value, delta: &Value, pieces: &mut String) {
    let (kind, member) = match delta["type"].as_str().expect("a type") {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("thinking", "signature"),
        "citations_delta" => {
            assert_eq!(block["type"], "text");
            if block["citations"].is_null() {
                block["citations"] = json!([]);
            }
            block["citations"].as_array_mut().expect("citations").push(delta["citation"].clone());
            return;
        }
        "input_json_delta" => {
            assert!(block["type"].as_str().is_some_and(|kind| kind.ends_with("tool_use")), "{block}");
            pieces.push_str(delta["partial_json"].as_str().expect("a piece"));
            return;
        }
        other => panic!("unknown delta {other}"),
    };
    assert_eq!(block["type"], kind);
    let grown =
        format!("{}{}", block[member].as_str().expect("a text"), delta[member].as_str().expect("a text"));
    block[member] = json!(grown);
}

/// What of a message's blocks is carried, in one form: without Anthropic's own tools, neighbours of text joined where
/// neither has a source, citations by what is carried of them.
pub(super) fn carried(content: &Value, is_stream: bool) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    for block in content.as_array().expect("content") {
        let block = match block["type"].as_str().expect("a type") {
            "text" => {
                let citations = block["citations"].as_array().map_or(&[][..], Vec::as_slice);
                json!({"text": block["text"], "citations": citations.iter().map(citation).collect::<Vec<_>>()})
            }
            "thinking" => json!({"thinking": block["thinking"], "signature": block["signature"]}),
            "redacted_thinking" => json!({"redacted": block["data"]}),
            "tool_use" => json!({"id": block["id"], "name": block["name"], "input": block["input"]}),
            _ => continue,
        };
        match blocks.last_mut() {
            Some(last) if is_stream && has_no_source(last) && block["text"].is_string() => {
                let text = format!(
                    "{}{}",
                    last["text"].as_str().expect("text"),
                    block["text"].as_str().expect("text")
                );
                *last = json!({"text": text, "citations": block["citations"]});
            }
            _ => blocks.push(block),
        }
    }
    blocks
}

/// A stream of pieces has no border between words without a source and words after them.
fn has_no_source(block: &Value) -> bool {
    block["citations"] == json!([])
}

fn citation(citation: &Value) -> Value {
    let first = |names: [&str; 2]| {
        names.into_iter().map(|name| &citation[name]).find(|value| !value.is_null()).cloned()
    };
    json!([citation["cited_text"], first(["url", "source"]), first(["title", "document_title"])])
}
