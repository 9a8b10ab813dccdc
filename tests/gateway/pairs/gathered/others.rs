//! Chunks of Gemini's answers, and Cohere's events.

use serde_json::{Value, json};

use super::{Frame, Gathered, Rules, at, grow, json_of, list, place_of, text_of};

/// Gemini: every chunk is an answer of its own.
pub fn gemini(frames: &[Frame], rules: &mut Rules) -> Gathered {
    let mut whole = json!({ "candidates": [] });
    for (place, (_, data)) in frames.iter().enumerate() {
        let chunk = json_of(data);
        if chunk["error"].is_object() {
            return Gathered { whole, is_complete: false };
        }
        for name in ["responseId", "modelVersion"] {
            rules.hold(whole[name].is_null() || whole[name] == chunk[name], "the head of a chunk stays");
            rules.hold(!chunk[name].is_null(), "every chunk has its head");
            whole[name] = chunk[name].clone();
        }
        if chunk["usageMetadata"].is_object() {
            whole["usageMetadata"] = chunk["usageMetadata"].clone();
        }
        let is_counted = whole["usageMetadata"].is_null() || chunk["usageMetadata"].is_object();
        rules.hold(place + 1 < frames.len() || is_counted, "the last chunk has usage");
        for candidate in list(&chunk["candidates"]) {
            let own = at(&mut whole["candidates"], place_of(&candidate["index"]));
            grow_candidate(own, candidate, rules);
        }
    }
    let finished = |candidate: &Value| candidate["finishReason"].is_string();
    let candidates = list(&whole["candidates"]);
    let is_complete = !candidates.is_empty() && candidates.iter().all(finished);
    rules.hold(is_complete, "every candidate has a finishReason");
    Gathered { whole, is_complete }
}

fn grow_candidate(own: &mut Value, candidate: &Value, rules: &mut Rules) {
    for part in list(&candidate["content"]["parts"]) {
        rules.hold(own["finishReason"].is_null(), "nothing is said after the finishReason");
        // A call may come in pieces: what follows its name adds to its arguments.
        let partial = list(&part["functionCall"]["partialArgs"]);
        let goes_on = part["functionCall"]["willContinue"] == true || !partial.is_empty();
        rules.hold(!goes_on, "calls are written whole");
        let place = list(&own["content"]["parts"]).len();
        let is_more = part["functionCall"].is_object() && part["functionCall"]["name"].is_null();
        if is_more && place > 0 {
            grow_call(&mut at(&mut own["content"]["parts"], place - 1)["functionCall"], partial);
            continue;
        }
        *at(&mut own["content"]["parts"], place) = part.clone();
    }
    for name in ["finishReason", "groundingMetadata"] {
        if !candidate[name].is_null() {
            rules.hold(own[name].is_null(), "the end comes once");
            own[name] = candidate[name].clone();
        }
    }
}

/// More of a call's arguments, each at its path.
fn grow_call(call: &mut Value, partial: &[Value]) {
    for piece in partial {
        let name = text_of(&piece["jsonPath"]).trim_start_matches("$.").to_owned();
        grow(&mut call["args"][&*name], &piece["stringValue"]);
    }
}

/// Cohere: events, each of a kind.
pub fn cohere(frames: &[Frame]) -> Gathered {
    let mut whole = json!({ "message": {} });
    let mut is_complete = false;
    for (_, data) in frames {
        let body = json_of(data);
        let (message, place) = (&body["delta"]["message"], place_of(&body["index"]));
        let own = &mut whole["message"];
        match text_of(&body["type"]) {
            "content-start" | "content-delta" => {
                for name in ["text", "thinking"] {
                    grow(&mut at(&mut own["content"], place)[name], &message["content"][name]);
                }
            }
            "tool-plan-delta" => grow(&mut own["tool_plan"], &message["tool_plan"]),
            "tool-call-start" => *at(&mut own["tool_calls"], place) = message["tool_calls"].clone(),
            "tool-call-delta" => {
                let call = at(&mut own["tool_calls"], place);
                grow(&mut call["function"]["arguments"], &message["tool_calls"]["function"]["arguments"]);
            }
            "citation-start" => {
                let place = list(&own["citations"]).len();
                *at(&mut own["citations"], place) = message["citations"].clone();
            }
            "message-end" => {
                is_complete = true;
                whole["finish_reason"] = body["delta"]["finish_reason"].clone();
                whole["usage"] = body["delta"]["usage"].clone();
            }
            _ => {}
        }
    }
    Gathered { whole, is_complete }
}
