//! Anthropic's events.

use serde_json::{Value, json};

use super::{Frame, Gathered, Rules, at, grow, json_of, list, place_of, text_of};

/// See the module.
pub fn gather(frames: &[Frame], rules: &mut Rules) -> Gathered {
    let mut whole = Value::Null;
    // Several may be open: the gateway closes them when the answer ends (§11.6).
    let mut open: Vec<usize> = Vec::new();
    let (mut stops, mut count) = (0, 0);
    for (event, data) in frames {
        // One recording holds several streams.
        if stops > 0 && !rules.is_ours {
            break;
        }
        let body = json_of(data);
        let kind = text_of(&body["type"]).to_owned();
        rules.hold(event.as_deref() == Some(&*kind), "the event's name is its type");
        rules.hold(stops == 0, "nothing comes after message_stop");
        let place = place_of(&body["index"]);
        match &*kind {
            "error" => return Gathered { whole, is_complete: false },
            "message_start" => {
                rules.hold(whole.is_null(), "message_start comes once");
                rules.hold(body["message"]["content"] == json!([]), "a message starts without content");
                whole = body["message"].clone();
            }
            "content_block_start" => {
                rules.hold(place == count, "blocks are numbered from 0 without gaps");
                rules.hold(!whole.is_null(), "message_start comes first");
                open.push(place);
                count += 1;
                *at(&mut whole["content"], place) = body["content_block"].clone();
            }
            "content_block_delta" => {
                rules.hold(open.contains(&place), "a delta belongs to an open block");
                grow_block(at(&mut whole["content"], place), &body["delta"], rules);
            }
            "content_block_stop" => {
                rules.hold(open.contains(&place), "an open block is closed");
                open.retain(|known| *known != place);
                close(at(&mut whole["content"], place), rules);
            }
            "message_delta" => {
                rules.hold(open.is_empty(), "blocks are closed before the message ends");
                rules.hold(whole["stop_reason"].is_null(), "message_delta comes once");
                finish(&mut whole, &body);
            }
            "message_stop" => stops += 1,
            _ => rules.hold(kind == "ping", "events are Anthropic's"),
        }
    }
    rules.hold(stops == 1, "message_stop comes once");
    rules.hold(whole["stop_reason"].is_string(), "there is a stop_reason");
    rules.hold(count > 0, "there is content");
    Gathered { is_complete: stops > 0, whole }
}

fn grow_block(block: &mut Value, delta: &Value, rules: &mut Rules) {
    let kind = text_of(&delta["type"]);
    let wanted = match text_of(&block["type"]) {
        "text" => ["text_delta", "citations_delta"],
        "thinking" => ["thinking_delta", "signature_delta"],
        _ => ["input_json_delta", ""],
    };
    rules.hold(wanted.contains(&kind), "a delta is of its block's kind");
    match kind {
        "citations_delta" => {
            let place = list(&block["citations"]).len();
            *at(&mut block["citations"], place) = delta["citation"].clone();
        }
        "input_json_delta" => grow(&mut block["partial"], &delta["partial_json"]),
        _ => {
            for name in ["text", "thinking", "signature"] {
                grow(&mut block[name], &delta[name]);
            }
        }
    }
}

/// Arguments come in pieces of JSON.
fn close(block: &mut Value, rules: &mut Rules) {
    let Some(partial) = block["partial"].as_str().filter(|text| !text.is_empty()) else { return };
    let input: Value = serde_json::from_str(partial).unwrap_or_default();
    rules.hold(input.is_object(), "arguments are an object");
    block["input"] = input;
}

fn finish(whole: &mut Value, body: &Value) {
    for name in ["stop_reason", "stop_sequence"] {
        whole[name] = body["delta"][name].clone();
    }
    if let Some(usage) = body["usage"].as_object() {
        for (name, value) in usage.iter().filter(|(_, value)| !value.is_null()) {
            whole["usage"][name] = value.clone();
        }
    }
}
