//! Answers in OpenAI's chat dialect, with what vendors added to it.

use serde_json::Value;

use super::{Answer, Told, Usage, count, list, text_of};

/// See the module.
pub fn read(body: &Value) -> Told {
    let answers = list(&body["choices"]).iter().map(|choice| answer(choice, body)).collect();
    Told { answers, usage: usage(&body["usage"]) }
}

fn answer(choice: &Value, body: &Value) -> Answer {
    let message = &choice["message"];
    let mut answer = Answer { finish: finish(text_of(&choice["finish_reason"])), ..Answer::default() };
    match &message["content"] {
        Value::String(text) => answer.text.push_str(text),
        // Mistral's thoughts stand in the content.
        parts => {
            for part in list(parts) {
                answer.text.push_str(text_of(&part["text"]));
                let thoughts = list(&part["thinking"]).iter().map(|piece| text_of(&piece["text"]));
                thoughts.for_each(|piece| answer.thoughts.push_str(piece));
            }
        }
    }
    answer.refusal.push_str(text_of(&message["refusal"]));
    for name in ["reasoning_content", "reasoning"] {
        if let Some(text) = message[name].as_str().filter(|_| answer.thoughts.is_empty()) {
            answer.thoughts.push_str(text);
        }
    }
    for call in list(&message["tool_calls"]) {
        // What a custom tool is given is words, and no object.
        let function = if call["custom"].is_object() { &call["custom"] } else { &call["function"] };
        answer.call(&function["name"], &function["arguments"]);
    }
    let old = &message["function_call"];
    if old.is_object() {
        answer.call(&old["name"], &old["arguments"]);
    }
    if answer.finish == "stop" && answer.text.is_empty() && !answer.refusal.is_empty() {
        answer.finish = "refusal".to_owned();
    }
    let annotations = list(&message["annotations"]);
    annotations.iter().for_each(|note| answer.cite(&note["url_citation"]["url"]));
    if annotations.is_empty() {
        // Perplexity and xAI list addresses beside the choices.
        list(&body["citations"]).iter().for_each(|url| answer.cite(url));
    }
    for image in list(&message["images"]) {
        let url = text_of(&image["image_url"]["url"]);
        answer.pictures.extend(url.strip_prefix("data:").map(|data| data.replace(";base64,", ";")));
    }
    answer
}

fn finish(word: &str) -> String {
    match word {
        "" | "end_turn" | "eos" => "stop",
        "max_tokens" => "length",
        "tool_use" | "tool_call" | "function_call" => "tool_calls",
        word => word,
    }
    .to_owned()
}

fn usage(usage: &Value) -> Usage {
    let reasoning = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
    let (prompt, completion) = (count(&usage["prompt_tokens"]), count(&usage["completion_tokens"]));
    // xAI counts reasoning beside the completion, as the total tells.
    let is_beside = reasoning > 0 && count(&usage["total_tokens"]) == prompt + completion + reasoning;
    let cached = match &usage["prompt_tokens_details"]["cached_tokens"] {
        Value::Null => &usage["prompt_cache_hit_tokens"],
        found => found,
    };
    let completion = if is_beside { completion + reasoning } else { completion };
    // A part is never more than its whole, whatever a provider counts.
    Usage { prompt, cached: count(cached).min(prompt), completion, reasoning }
}
