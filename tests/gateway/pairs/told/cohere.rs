//! Answers of Cohere.

use serde_json::Value;

use super::{Answer, Told, Usage, count, list, text_of};

/// See the module.
pub fn read(body: &Value) -> Told {
    let message = &body["message"];
    let mut answer = Answer { finish: finish(text_of(&body["finish_reason"])), ..Answer::default() };
    for piece in list(&message["content"]) {
        answer.text.push_str(text_of(&piece["text"]));
        answer.thoughts.push_str(text_of(&piece["thinking"]));
    }
    answer.thoughts.push_str(text_of(&message["tool_plan"]));
    for call in list(&message["tool_calls"]) {
        answer.call(&call["function"]["name"], &call["function"]["arguments"]);
    }
    for citation in list(&message["citations"]) {
        let is_of_text = ["", "TEXT_CONTENT"].contains(&text_of(&citation["type"]));
        for source in list(&citation["sources"]).iter().filter(|_| is_of_text) {
            answer.cite(&source["document"]["url"]);
        }
    }
    let (billed, tokens) = (&body["usage"]["billed_units"], &body["usage"]["tokens"]);
    let counted = if billed["input_tokens"].is_number() { billed } else { tokens };
    let usage = Usage {
        prompt: count(&counted["input_tokens"]),
        completion: count(&counted["output_tokens"]),
        reasoning: count(&tokens["reasoning_tokens"]),
        ..Usage::default()
    };
    Told { answers: vec![answer], usage }
}

fn finish(word: &str) -> String {
    match word {
        "MAX_TOKENS" => "length",
        "TOOL_CALL" => "tool_calls",
        "STOP_SEQUENCE" => "stop_sequence",
        _ => "stop",
    }
    .to_owned()
}
