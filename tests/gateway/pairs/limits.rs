//! What a dialect cannot say, with the reason: the only exceptions of the matrix.

use aisix::dialect::Dialect;
use serde_json::Value;

use super::told::Told;

/// Media that a provider does not take.
pub struct Limit {
    provider: Dialect,
    is_meant: fn(&Value) -> bool,
    /// The names of which one must be reported.
    pub names: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

fn is_kind(media: &Value, kind: &str) -> bool {
    media["kind"] == kind
}

const FILES: &[&str] = &["messages.content.file", "file_id"];

const MEDIA: [Limit; 6] = [
    Limit {
        provider: Dialect::OpenAiChat,
        is_meant: |media| is_kind(media, "audio") && media["url"].is_string(),
        names: &["messages.content.input_audio"],
        reason: "a chat's sounds are in the request",
    },
    Limit {
        provider: Dialect::OpenAiChat,
        is_meant: |media| is_kind(media, "document") && media["url"].is_string(),
        names: FILES,
        reason: "a chat's files are in the request or lie with the provider; it fetches none",
    },
    Limit {
        provider: Dialect::Gemini,
        is_meant: |media| media["file"].is_string(),
        names: FILES,
        reason: "another provider's files have no address at Google",
    },
    Limit {
        provider: Dialect::Cohere,
        is_meant: |media| !is_kind(media, "image"),
        names: &["messages.content.file", "messages.content.input_audio", "messages.content.video_url"],
        reason: "Cohere's messages hold words and pictures",
    },
    Limit {
        provider: Dialect::OpenAiResponses,
        is_meant: |media| is_kind(media, "audio") || is_kind(media, "video"),
        names: &["messages.content.input_audio", "messages.content.video"],
        reason: "Responses take pictures and files",
    },
    Limit {
        provider: Dialect::Anthropic,
        is_meant: |media| is_kind(media, "audio") || is_kind(media, "video"),
        names: &["messages.content.input_audio", "messages.content.video_url", "messages.content.file"],
        reason: "Anthropic takes pictures and documents",
    },
];

/// The row for media that a provider does not take; what its dialect has said, it can say.
pub fn unsayable(caller: Dialect, provider: Dialect, media: &Value) -> Option<&'static Limit> {
    let is_foreign = caller != provider;
    MEDIA.iter().find(|limit| is_foreign && limit.provider == provider && (limit.is_meant)(media))
}

/// Whether instructions in the middle of a conversation become the user's words.
pub fn has_one_system(provider: Dialect) -> bool {
    matches!(provider, Dialect::Anthropic | Dialect::Gemini)
}

/// A member that makes a request one that cannot be carried: whose, the test, a part of the words, and why.
type Refusal = (Dialect, fn(&Value) -> bool, &'static str, &'static str);

const REFUSED: [Refusal; 4] = [
    (
        Dialect::OpenAiResponses,
        |body| body["background"] == true,
        "background",
        "nobody keeps the answer until it is fetched",
    ),
    (
        Dialect::OpenAiResponses,
        |body| body["previous_response_id"].is_string(),
        "previous_response_id",
        "the conversation lies with another provider",
    ),
    (
        Dialect::Gemini,
        |body| body["cachedContent"].is_string(),
        "cachedContent",
        "the content lies with another provider",
    ),
    (
        Dialect::Anthropic,
        |body| body["output_format"].is_object() && body["output_format"]["schema"].is_null(),
        "schema",
        "Anthropic refused it too: it says what nobody understands",
    ),
];

/// The words of a refusal, where one is due.
pub fn refusal(caller: Dialect, body: &Value) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(whose, is_meant, ..)| *whose == caller && is_meant(body))
        .map(|(_, _, words, _)| *words)
}

/// The names under which a setting may be reported.
pub fn names_of(setting: &'static str) -> Vec<&'static str> {
    let mut names = vec![setting];
    names.extend(match setting {
        "format" => &["response_format", "output_config.format", "text.format"][..],
        "thinking" => &["reasoning_effort", "thinking", "reasoning"],
        "one_call" => &["parallel_tool_calls"],
        "top_logprobs" => &["logprobs"],
        _ => &[],
    });
    names
}

/// A setting that a provider says in another way.
type Otherwise = (Dialect, &'static str, fn(&Value, &Value) -> bool, &'static str);

const OTHERWISE: [Otherwise; 7] = [
    (
        Dialect::Cohere,
        "tool_choice",
        |wanted, found| wanted["name"].is_string() && found == "required",
        "it has no word for one of its tools: that one is offered alone, and required",
    ),
    (
        Dialect::OpenAiResponses,
        "max_tokens",
        |wanted, found| wanted.as_u64() < Some(16) && found == 16,
        "OpenAI refuses fewer than 16",
    ),
    (
        Dialect::Anthropic,
        "top_p",
        |wanted, found| wanted == 1 && found.is_null(),
        "newer models take one figure of two, and this one says nothing",
    ),
    (
        Dialect::Gemini,
        "thinking",
        |wanted, found| wanted == "auto" && found.is_null(),
        "so it does by itself",
    ),
    (
        Dialect::OpenAiChat,
        "thinking",
        |wanted, found| wanted == "auto" && found == "on",
        "it has no word for it",
    ),
    (Dialect::Cohere, "thinking", |wanted, found| wanted == "auto" && found == "on", "the same"),
    (Dialect::OpenAiResponses, "thinking", |wanted, found| wanted == "auto" && found == "on", "the same"),
];

/// Whether a setting has its like.
pub fn is_said_otherwise(provider: Dialect, name: &str, wanted: &Value, found: &Value) -> bool {
    OTHERWISE
        .iter()
        .any(|(whose, setting, is_like, _)| *whose == provider && *setting == name && is_like(wanted, found))
}

/// A setting that is written although nobody asked for it.
const ADDED: [(Dialect, &str, &str); 2] = [
    (Dialect::OpenAiResponses, "store", "nothing is stored unless the caller wants it"),
    (Dialect::Anthropic, "max_tokens", "it asks for one"),
];

/// Whether it may be added.
pub fn is_added(provider: Dialect, name: &str, _value: &Value) -> bool {
    ADDED.iter().any(|(whose, setting, _)| *whose == provider && *setting == name)
}

/// Whether a body of success cannot be given to a caller as an answer: it tells a failure, or promises an answer, which
/// only callers of its own dialect can fetch.
pub fn is_no_answer(body: &Value, is_own: bool) -> bool {
    let is_failure = body["error"].is_object() && body["choices"].is_null();
    is_failure || (!is_own && body["status"] == "queued")
}

/// Recorded streams that end in a failure.
const FAILING: [&str; 4] = [
    "groq-openai-chat-stream-thinking-cf106e4",
    "openai-responses-stream-fc535b1",
    "openrouter-openai-chat-stream-thinking-8e74eb6",
    "openrouter-openai-chat-stream-toolcall-thinking-6e7e647",
];

/// Whether a recorded stream ends in a failure.
pub fn fails(id: &str) -> bool {
    FAILING.contains(&id)
}

/// Whether a provider has said why it stopped, so that what follows may be missing.
pub fn has_finish(provider: Dialect, stream: &str) -> bool {
    match provider {
        Dialect::OpenAiChat => {
            stream.contains("\"finish_reason\":\"") || stream.contains("\"finish_reason\": \"")
        }
        Dialect::OpenAiResponses => stream.contains("event: response.completed"),
        Dialect::Anthropic => stream.contains("\"message_delta\""),
        Dialect::Gemini => stream.contains("\"finishReason\""),
        _ => stream.contains("\"message-end\""),
    }
}

/// What a caller of a dialect can be shown of an answer.
pub fn shown_to(caller: Dialect, told: &mut Told) {
    if caller != Dialect::OpenAiChat && caller != Dialect::Gemini {
        // Their answers are one.
        told.answers.truncate(1);
    }
    if caller == Dialect::Gemini {
        // It counts words and thoughts apart, so that thoughts are never more than the sum.
        told.usage.reasoning = told.usage.reasoning.min(told.usage.completion);
    }
    for answer in &mut told.answers {
        let declines = answer.finish == "refusal" && !answer.refusal.is_empty();
        if matches!(caller, Dialect::Anthropic | Dialect::Gemini) {
            // They have no words of their own for declining.
            let refusal = std::mem::take(&mut answer.refusal);
            answer.text.push_str(&refusal);
        }
        if caller == Dialect::Anthropic {
            // Its answers hold no pictures.
            answer.pictures.clear();
        }
        if declines && matches!(caller, Dialect::OpenAiChat | Dialect::OpenAiResponses) {
            continue;
        }
        let row = FINISHES.iter().find(|(finish, _)| *finish == answer.finish);
        let (_, words) = row.unwrap_or_else(|| panic!("no row for {}", answer.finish));
        let place = Dialect::CALLERS.iter().position(|known| *known == caller);
        words[place.expect("a caller")].clone_into(&mut answer.finish);
    }
}

/// Why an answer ended, and what callers of OpenAI chat, Responses, Anthropic and Gemini are told (§11.3, §11.4, §11.6,
/// §11.8, §11.9; a filter: decision 7).
const FINISHES: [(&str, [&str; 4]); 6] = [
    ("stop", ["stop", "stop", "stop", "stop"]),
    ("stop_sequence", ["stop", "stop", "stop_sequence", "stop"]),
    ("length", ["length", "length", "length", "length"]),
    ("tool_calls", ["tool_calls", "tool_calls", "tool_calls", "tool_calls"]),
    ("content_filter", ["content_filter", "content_filter", "refusal", "content_filter"]),
    ("refusal", ["content_filter", "content_filter", "refusal", "content_filter"]),
];
