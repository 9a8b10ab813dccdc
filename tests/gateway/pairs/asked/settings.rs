//! What else a request wants, by one name for all dialects.

use aisix::dialect::Dialect;
use serde_json::{Value, json};

use super::Asked;
use super::gemini::member;
use super::pieces::{is_nothing, list, lowered, text_of};

/// A setting, and the member that says it in OpenAI chat, Responses, Anthropic, Gemini (inside `generationConfig`) and
/// Cohere; nothing where there is none.
pub const NAMES: [(&str, [&str; 5]); 16] = [
    ("temperature", ["temperature", "temperature", "temperature", "temperature", "temperature"]),
    ("top_p", ["top_p", "top_p", "top_p", "topP", "p"]),
    ("top_k", ["top_k", "", "top_k", "topK", "k"]),
    ("seed", ["seed", "", "", "seed", "seed"]),
    ("presence_penalty", ["presence_penalty", "", "", "presencePenalty", "presence_penalty"]),
    ("frequency_penalty", ["frequency_penalty", "", "", "frequencyPenalty", "frequency_penalty"]),
    ("max_tokens", ["max_tokens", "max_output_tokens", "max_tokens", "maxOutputTokens", "max_tokens"]),
    ("n", ["n", "", "", "candidateCount", ""]),
    ("stop", ["stop", "", "stop_sequences", "stopSequences", "stop_sequences"]),
    ("top_logprobs", ["top_logprobs", "top_logprobs", "", "logprobs", ""]),
    ("metadata", ["metadata", "metadata", "", "", ""]),
    ("store", ["store", "store", "", "", ""]),
    ("service_tier", ["service_tier", "service_tier", "", "", ""]),
    ("prompt_cache_key", ["prompt_cache_key", "prompt_cache_key", "", "", ""]),
    ("prompt_cache_retention", ["prompt_cache_retention", "prompt_cache_retention", "", "", ""]),
    ("safety_identifier", ["safety_identifier", "safety_identifier", "", "", ""]),
];

/// Members that are read elsewhere, or belong to the transport.
const READ_ELSEWHERE: [&str; 34] = [
    "model",
    "messages",
    "input",
    "instructions",
    "system",
    "contents",
    "systemInstruction",
    "tools",
    "functions",
    "stream",
    "stream_options",
    "max_completion_tokens",
    "tool_choice",
    "function_call",
    "toolConfig",
    "generationConfig",
    "response_format",
    "text",
    "output_format",
    "output_config",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "reasoning_effort",
    "reasoning",
    "thinking",
    "thinkingConfig",
    "user",
    "parallel_tool_calls",
    "metadata",
    "anthropic_version",
    "include",
    "logprobs",
    "responseLogprobs",
];

/// Reads all settings, and names the members that are none.
pub fn read(dialect: Dialect, body: &Value, asked: &mut Asked) {
    let place = match dialect {
        Dialect::OpenAiChat => 0,
        Dialect::OpenAiResponses => 1,
        Dialect::Anthropic => 2,
        Dialect::Gemini => 3,
        _ => 4,
    };
    let config = if dialect == Dialect::Gemini { member(body, "generationConfig") } else { body };
    for (name, spelt) in NAMES {
        let found = if spelt[place].is_empty() { &Value::Null } else { member(config, spelt[place]) };
        let plain = (name == "n" && found == 1) || is_nothing(found);
        if !plain {
            let value = if name == "stop" { list(found).into() } else { number(found) };
            asked.settings.insert(name, value);
        }
    }
    let tools = asked.tools.clone();
    let mut set = |name: &'static str, value: Value| {
        if !is_nothing(&value) {
            asked.settings.insert(name, value);
        }
    };
    set("max_tokens", number(&body["max_completion_tokens"]));
    let user = [&body["user"], &body["metadata"]["user_id"]].into_iter().find(|user| user.is_string());
    set("user", user.cloned().unwrap_or_default());
    let several = match dialect {
        Dialect::Anthropic => json!(body["tool_choice"]["disable_parallel_tool_use"] != true),
        _ => json!(body["parallel_tool_calls"] != false),
    };
    set("one_call", if several == true || tools.is_empty() { Value::Null } else { true.into() });
    set("tool_choice", choice(dialect, body, &tools));
    set("format", format(dialect, body, config));
    set("thinking", thinking(body, config));
    let logprobs = body["logprobs"] == true || config["responseLogprobs"] == true;
    let included = list(&body["include"]).contains(&json!("message.output_text.logprobs"));
    set("logprobs", if logprobs || included { true.into() } else { Value::Null });
    if dialect == Dialect::Anthropic {
        asked.settings.remove("metadata");
    }
    if let Some(Value::Bool(_)) = asked.settings.get("top_logprobs") {
        asked.settings.remove("top_logprobs");
    }
    rest(body, asked, place);
    if dialect == Dialect::Gemini {
        rest(config, asked, place);
    }
}

/// Numbers in one spelling: 1.0 is 1.
fn number(value: &Value) -> Value {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 => json!(number as i64),
        _ => value.clone(),
    }
}

fn rest(body: &Value, asked: &mut Asked, place: usize) {
    let is_known = |name: &str| {
        let is = |known: &str| !known.is_empty() && std::ptr::eq(member(body, known), &body[name]);
        NAMES.iter().any(|(_, spelt)| is(spelt[place])) || READ_ELSEWHERE.iter().any(|known| is(known))
    };
    let members = body.as_object().into_iter().flatten();
    let is_usual = |name: &str, value: &Value| name.ends_with("odalities") && *value == json!(["TEXT"]);
    let open =
        members.filter(|(name, value)| !is_nothing(value) && !is_known(name) && !is_usual(name, value));
    asked.rest.extend(open.map(|(name, _)| name.clone()));
}

fn choice(dialect: Dialect, body: &Value, tools: &[Value]) -> Value {
    let word = match dialect {
        Dialect::Gemini => {
            let config = member(member(body, "toolConfig"), "functionCallingConfig");
            match (&*text_of(&config["mode"]).to_lowercase(), list(member(config, "allowedFunctionNames"))) {
                ("any", [name]) => return json!({ "name": name }),
                ("any", names) if !names.is_empty() && names.len() < tools.len() => {
                    return json!({ "names": names });
                }
                ("any", _) => "required".to_owned(),
                (word, _) => word.to_owned(),
            }
        }
        _ => {
            let choice = &body["tool_choice"];
            let name = choice["function"]["name"].as_str().or(choice["name"].as_str());
            match name {
                Some(name) => return json!({ "name": name }),
                None => choice.as_str().unwrap_or(text_of(&choice["type"])).to_lowercase(),
            }
        }
    };
    match &*word {
        "" | "auto" => Value::Null,
        "any" => "required".into(),
        word => word.into(),
    }
}

fn format(dialect: Dialect, body: &Value, config: &Value) -> Value {
    let with = |schema: &Value| match schema {
        Value::Null => json!("json"),
        schema => json!({ "schema": lowered(schema) }),
    };
    let format = match dialect {
        Dialect::OpenAiChat | Dialect::Cohere => &body["response_format"],
        Dialect::OpenAiResponses => &body["text"]["format"],
        Dialect::Anthropic if body["output_format"].is_object() => &body["output_format"],
        Dialect::Anthropic => &body["output_config"]["format"],
        _ => {
            let schemas = [member(config, "responseJsonSchema"), member(config, "responseSchema")];
            let schema = schemas.into_iter().find(|schema| !schema.is_null()).unwrap_or(&Value::Null);
            return match text_of(member(config, "responseMimeType")) {
                "application/json" => with(schema),
                _ => Value::Null,
            };
        }
    };
    let nested = &format["json_schema"]["schema"];
    match text_of(&format["type"]) {
        "" | "text" => Value::Null,
        _ => with(if nested.is_null() { &format["schema"] } else { nested }),
    }
}

/// Whether the model is to think: how much is a matter of each provider's own figures.
fn thinking(body: &Value, config: &Value) -> Value {
    let google = member(config, "thinkingConfig");
    let effort = [&body["reasoning_effort"], &body["reasoning"]["effort"], &body["output_config"]["effort"]];
    let off = effort.contains(&&json!("none"))
        || body["thinking"]["type"] == "disabled"
        || body["reasoning"]["enabled"] == false
        || member(google, "thinkingBudget") == 0;
    let auto = [&body["thinking"]["type"] == "adaptive", body["reasoning"]["enabled"] == true]
        .contains(&true)
        || member(google, "thinkingBudget") == -1;
    let on = effort.iter().any(|word| word.is_string())
        || matches!(text_of(&body["thinking"]["type"]), "enabled")
        || body["reasoning"]["max_tokens"].is_number()
        || member(google, "thinkingBudget").as_i64() > Some(0)
        || !member(google, "thinkingLevel").is_null();
    match (off, on, auto) {
        (true, ..) => "off".into(),
        (_, true, _) => "on".into(),
        (.., true) => "auto".into(),
        _ => Value::Null,
    }
}
