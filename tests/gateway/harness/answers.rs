//! What a provider of OpenAI's APIs answers when all is well, by the path that it is asked on.

use super::upstream::{Answer, Received, completion, delta, finish, usage_event};

/// Sound, as bytes that are no text.
pub const SOUND: &[u8] = b"ID3\x04\x00\xff\xfbsound\r\n\x00";

/// A picture of OpenAI's image API, with what it counted.
pub const PICTURE: &str = r#"{"created":1700000000,"data":[{"b64_json":"aGk="}],"vendor_extra":[1.50],"usage":{"total_tokens":12,"input_tokens":5,"output_tokens":7}}"#;
/// A transcript.
pub const TRANSCRIPT: &str =
    r#"{"text":"hello","usage":{"type":"tokens","input_tokens":5,"output_tokens":7,"total_tokens":12}}"#;
/// Vectors.
pub const VECTORS: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,-2e-3]}],"model":"upstream-m","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
/// A ranking.
pub const RANKING: &str = r#"{"id":"r1","results":[{"index":1,"relevance_score":0.90},{"index":0,"relevance_score":0.10}],"meta":{"billed_units":{"search_units":1}}}"#;
/// A judgement.
pub const JUDGEMENT: &str =
    r#"{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false,"categories":{}}]}"#;
/// A text continued.
pub const CONTINUATION: &str = r#"{"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"upstream-m","choices":[{"text":"hello","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#;
/// An answer of OpenAI's Responses.
pub const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1700000000,"status":"completed","model":"upstream-m","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":0},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}}"#;

/// A good answer to a request, a stream where one is asked for.
pub fn well(request: &Received) -> Answer {
    let text = String::from_utf8_lossy(&request.body);
    let is_stream = text.contains("\"stream\":true") || text.contains("name=\"stream\"\r\n\r\ntrue");
    let path = request.path.split('?').next().unwrap_or_default();
    if is_stream {
        let events = events(path);
        return Answer::stream(&events.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if path.ends_with("/audio/speech") {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: {}\r\n\r\n", SOUND.len());
        return Answer::default().raw([head.as_bytes(), SOUND].concat());
    }
    Answer::json(200, &whole(path))
}

fn whole(path: &str) -> String {
    let known = [
        ("/responses", RESPONSE),
        ("/embeddings", VECTORS),
        ("/rerank", RANKING),
        ("/images/generations", PICTURE),
        ("/images/edits", PICTURE),
        ("/audio/transcriptions", TRANSCRIPT),
        ("/audio/translations", TRANSCRIPT),
        ("/moderations", JUDGEMENT),
    ];
    match known.iter().find(|(end, _)| path.ends_with(end)) {
        Some((_, body)) => (*body).to_owned(),
        None if path.ends_with("/completions") && !path.ends_with("/chat/completions") => {
            CONTINUATION.to_owned()
        }
        None => completion("hello", 5, 7),
    }
}

/// The events of a good stream, each with its empty line.
pub fn events(path: &str) -> Vec<String> {
    let named = |name: &str, data: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\",{data}}}\n\n");
    let usage = r#""usage":{"input_tokens":5,"output_tokens":7,"total_tokens":12}"#;
    if path.ends_with("/responses") {
        let head = r#""id":"resp_1","object":"response","created_at":1,"model":"upstream-m""#;
        let delta =
            r#""item_id":"msg_1","output_index":0,"content_index":0,"delta":"hello","sequence_number":3"#;
        let item = r#""output_index":0,"sequence_number":1,"item":{"type":"message","id":"msg_1","role":"assistant","status":"in_progress","content":[]}"#;
        let begun =
            format!(r#""sequence_number":0,"response":{{{head},"status":"in_progress","output":[]}}"#);
        return vec![
            named("response.created", &begun),
            named("response.output_item.added", item),
            named("response.output_text.delta", delta),
            named("response.completed", &format!(r#""sequence_number":4,"response":{RESPONSE}"#)),
        ];
    }
    if path.contains("/images/") {
        let part = r#""b64_json":"aA==","partial_image_index":0"#;
        return vec![
            named("image_generation.partial_image", part),
            named("image_generation.completed", &format!(r#""b64_json":"aGk=",{usage}"#)),
        ];
    }
    if path.contains("/audio/") {
        return vec![
            named("transcript.text.delta", r#""delta":"hello""#),
            named("transcript.text.done", &format!(r#""text":"hello",{usage}"#)),
        ];
    }
    if path.ends_with("/chat/completions") {
        return vec![delta("hello"), finish(), "data: [DONE]\n\n".to_owned()];
    }
    let chunk = |choices: &str, more: &str| {
        format!(
            "data: {{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"upstream-m\",\"choices\":[{choices}]{more}}}\n\n"
        )
    };
    vec![
        chunk(r#"{"text":"hello","index":0,"finish_reason":null}"#, ""),
        chunk(r#"{"text":"","index":0,"finish_reason":"stop"}"#, ""),
        usage_event(5, 7),
        "data: [DONE]\n\n".to_owned(),
    ]
}
