//! Answers in OpenAI's Responses, Anthropic's and Gemini's dialects.

use serde_json::Value;

use super::super::asked::gemini_member as member;
use super::{Answer, Told, Usage, count, list, text_of};

/// OpenAI Responses.
pub fn responses(body: &Value) -> Told {
    let mut answer = Answer::default();
    for item in list(&body["output"]) {
        match text_of(&item["type"]) {
            "message" => {
                for part in list(&item["content"]) {
                    answer.text.push_str(text_of(&part["text"]));
                    answer.refusal.push_str(text_of(&part["refusal"]));
                    list(&part["annotations"]).iter().for_each(|note| answer.cite(&note["url"]));
                }
            }
            "reasoning" => {
                let summary = list(&item["summary"]).iter().map(|part| text_of(&part["text"]));
                let summary: Vec<&str> = summary.collect();
                let full = list(&item["content"]).iter().map(|part| text_of(&part["text"]));
                // The summary is for those who may not see the thoughts.
                match summary.is_empty() {
                    false => answer.thoughts.push_str(&summary.concat()),
                    true => answer.thoughts.extend(full),
                }
            }
            "function_call" => answer.call(&item["name"], &item["arguments"]),
            "image_generation_call" => {
                let kind = item["output_format"].as_str().unwrap_or("png");
                let data = item["result"].as_str().filter(|data| !data.is_empty());
                answer.pictures.extend(data.map(|data| format!("image/{kind};{data}")));
            }
            _ => {}
        }
    }
    let has_calls = !answer.calls.is_empty();
    let why = text_of(&body["incomplete_details"]["reason"]);
    answer.finish = match (text_of(&body["status"]), why) {
        ("incomplete", "content_filter") => "content_filter",
        ("incomplete", _) => "length",
        _ if has_calls => "tool_calls",
        _ if answer.text.is_empty() && !answer.refusal.is_empty() => "refusal",
        _ => "stop",
    }
    .to_owned();
    let usage = &body["usage"];
    let usage = Usage {
        prompt: count(&usage["input_tokens"]),
        cached: count(&usage["input_tokens_details"]["cached_tokens"]),
        completion: count(&usage["output_tokens"]),
        reasoning: count(&usage["output_tokens_details"]["reasoning_tokens"]),
    };
    Told { answers: vec![answer], usage }
}

/// Anthropic.
pub fn anthropic(body: &Value) -> Told {
    let mut answer = Answer::default();
    for block in list(&body["content"]) {
        match text_of(&block["type"]) {
            "text" => {
                answer.text.push_str(text_of(&block["text"]));
                for citation in list(&block["citations"]) {
                    answer.cite(if citation["url"].is_string() {
                        &citation["url"]
                    } else {
                        &citation["source"]
                    });
                }
            }
            "thinking" => answer.thoughts.push_str(text_of(&block["thinking"])),
            "tool_use" => answer.call(&block["name"], &block["input"]),
            _ => {}
        }
    }
    answer.finish = match text_of(&body["stop_reason"]) {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "stop_sequence" => "stop_sequence",
        "refusal" => "refusal",
        _ => "stop",
    }
    .to_owned();
    let usage = &body["usage"];
    let cached = count(&usage["cache_read_input_tokens"]);
    let usage = Usage {
        prompt: count(&usage["input_tokens"]) + cached + count(&usage["cache_creation_input_tokens"]),
        cached,
        completion: count(&usage["output_tokens"]),
        reasoning: count(&usage["output_tokens_details"]["thinking_tokens"]),
    };
    Told { answers: vec![answer], usage }
}

/// Gemini.
pub fn gemini(body: &Value) -> Told {
    let answers = list(&body["candidates"]).iter().map(candidate).collect();
    let usage = &body["usageMetadata"];
    let reasoning = count(&usage["thoughtsTokenCount"]);
    let usage = Usage {
        prompt: count(&usage["promptTokenCount"]) + count(&usage["toolUsePromptTokenCount"]),
        cached: count(&usage["cachedContentTokenCount"]),
        completion: count(&usage["candidatesTokenCount"]) + reasoning,
        reasoning,
    };
    Told { answers, usage }
}

fn candidate(candidate: &Value) -> Answer {
    let mut answer = Answer::default();
    for part in list(&candidate["content"]["parts"]) {
        let text = text_of(&part["text"]);
        let call = member(part, "functionCall");
        let blob = member(part, "inlineData");
        if part["thought"] == true {
            answer.thoughts.push_str(text);
        } else if call.is_object() {
            answer.call(&call["name"], &call["args"]);
        } else if blob.is_object() {
            let kind = text_of(member(blob, "mimeType"));
            answer.pictures.push(format!("{kind};{}", text_of(&blob["data"])));
        } else {
            answer.text.push_str(text);
        }
    }
    let grounding = &candidate["groundingMetadata"];
    let chunks = list(&grounding["groundingChunks"]);
    let uri = |chunk: &Value| {
        let kinds = ["web", "retrievedContext", "maps"].map(|kind| chunk[kind]["uri"].clone());
        kinds.into_iter().find(|uri| !uri.is_null()).unwrap_or_default()
    };
    if list(&grounding["groundingSupports"]).is_empty() {
        chunks.iter().for_each(|chunk| answer.cite(&uri(chunk)));
    }
    let passages = &candidate["citationMetadata"];
    for passage in list(&passages["citations"]).iter().chain(list(&passages["citationSources"])) {
        answer.cite(&passage["uri"]);
    }
    for support in list(&grounding["groundingSupports"]) {
        for place in list(&support["groundingChunkIndices"]) {
            let chunk = place.as_u64().and_then(|place| chunks.get(place as usize));
            answer.cite(&chunk.map(uri).unwrap_or_default());
        }
    }
    answer.finish = match text_of(&candidate["finishReason"]) {
        "MAX_TOKENS" => "length",
        "STOP" | "" if !answer.calls.is_empty() => "tool_calls",
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY"
        | "LANGUAGE" => "content_filter",
        _ => "stop",
    }
    .to_owned();
    answer
}
