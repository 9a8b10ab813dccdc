//! Chunks of OpenAI's chats.

use serde_json::{Value, json};

use super::{Frame, Gathered, Rules, at, grow, json_of, list, place_of};

/// See the module.
pub fn gather(frames: &[Frame], rules: &mut Rules) -> Gathered {
    let mut whole = json!({ "choices": [] });
    let mut done = 0;
    for (event, data) in frames {
        if data.trim() == "[DONE]" {
            done += 1;
            continue;
        }
        rules.hold(done == 0, "nothing comes after [DONE]");
        let chunk = json_of(data);
        if event.as_deref() == Some("error") || chunk["error"].is_object() {
            return Gathered { whole, is_complete: false };
        }
        head(&mut whole, &chunk, rules);
        for choice in list(&chunk["choices"]) {
            grow_choice(at(&mut whole["choices"], place_of(&choice["index"])), choice, rules);
        }
    }
    let finished = |choice: &Value| choice["finish_reason"].is_string();
    let all_finished = list(&whole["choices"]).iter().all(finished);
    rules.hold(done == 1, "[DONE] comes once");
    rules.hold(all_finished, "every choice has a finish_reason");
    // Some providers say the same address for every chunk.
    Gathered { is_complete: done > 0 && all_finished, whole }
}

fn head(whole: &mut Value, chunk: &Value, rules: &mut Rules) {
    for name in ["id", "object", "created", "model"] {
        rules.hold(!chunk[name].is_null(), "every chunk has its head");
        rules.hold(whole[name].is_null() || whole[name] == chunk[name], "the head of a chunk stays");
        if whole[name].is_null() {
            whole[name] = chunk[name].clone();
        }
    }
    for name in ["usage", "citations"] {
        if !chunk[name].is_null() {
            rules.hold(name != "usage" || whole[name].is_null(), "usage comes once");
            whole[name] = chunk[name].clone();
        }
    }
    // Groq's usage stands in a member of its own.
    if chunk["x_groq"]["usage"].is_object() && whole["usage"].is_null() {
        whole["usage"] = chunk["x_groq"]["usage"].clone();
    }
}

fn grow_choice(own: &mut Value, choice: &Value, rules: &mut Rules) {
    let is_first = own.is_null();
    // Some providers put a whole message into their last chunk.
    let delta = &choice["delta"];
    rules.hold(!is_first || delta["role"] == "assistant", "the first delta says the role");
    rules.hold(is_first || delta["role"].is_null(), "the role is said once");
    let content = delta["content"].as_str().is_some_and(|text| !text.is_empty());
    let says = content || delta["tool_calls"].is_array();
    rules.hold(!says || own["finish_reason"].is_null(), "nothing is said after the finish_reason");
    for name in ["content", "refusal", "reasoning_content", "reasoning"] {
        match &delta[name] {
            // Mistral's thoughts are parts of the content.
            Value::Array(parts) => {
                for part in parts {
                    grow_part(own, part);
                }
            }
            text => grow(&mut own["message"][name], text),
        }
    }
    for name in ["annotations", "images"] {
        for item in list(&delta[name]) {
            let place = own["message"][name].as_array().map_or(0, Vec::len);
            *at(&mut own["message"][name], place) = item.clone();
        }
    }
    for call in list(&delta["tool_calls"]) {
        grow_call(&mut own["message"]["tool_calls"], call, rules);
    }
    if choice["finish_reason"].is_string() {
        rules.hold(own["finish_reason"].is_null(), "the finish_reason comes once");
        own["finish_reason"] = choice["finish_reason"].clone();
    }
}

fn grow_part(own: &mut Value, part: &Value) {
    let text = &part["text"];
    if text.is_string() {
        grow(&mut own["message"]["content"], text);
    }
    for piece in list(&part["thinking"]) {
        grow(&mut own["message"]["reasoning_content"], &piece["text"]);
    }
}

fn grow_call(calls: &mut Value, call: &Value, rules: &mut Rules) {
    let known = calls.as_array().map_or(0, Vec::len);
    let place = match call["index"].as_u64() {
        Some(place) => place as usize,
        // Some providers send whole calls without a number.
        None if call["id"].is_string() => known,
        None => known.saturating_sub(1),
    };
    rules.hold(call["index"].is_u64() && place <= known, "calls are numbered from 0 without gaps");
    let own = at(calls, place);
    let is_first = own.is_null();
    let has_name = call["function"]["name"].as_str().is_some_and(|name| !name.is_empty());
    let has_id = call["id"].as_str().is_some_and(|id| !id.is_empty());
    rules.hold(is_first == has_id && is_first == has_name, "a call's id and name come with its first piece");
    if has_id {
        own["id"] = call["id"].clone();
    }
    if has_name {
        own["function"]["name"] = call["function"]["name"].clone();
    }
    match &call["function"]["arguments"] {
        Value::Object(_) => own["function"]["arguments"] = call["function"]["arguments"].clone(),
        more => grow(&mut own["function"]["arguments"], more),
    }
}
