//! What the caller must get for a recorded answer, worked out from the specification and not from the gateway's code.

use serde_json::Value;

use super::exchange::with_model;

/// Tokens as the provider counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub prompt: u64,
    pub completion: u64,
    pub total: u64,
}

/// Reads a `usage` object.
pub fn counted(usage: &Value) -> Option<Counted> {
    let number = |name: &str| usage[name].as_u64().unwrap_or(0);
    let (prompt, completion) = (number("prompt_tokens"), number("completion_tokens"));
    let total = usage["total_tokens"].as_u64().unwrap_or(prompt + completion);
    // xAI counts reasoning beside the completion; only the total shows it.
    let reasoning = usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap_or(0);
    let completion =
        if prompt + completion + reasoning == total { completion + reasoning } else { completion };
    (total > 0).then_some(Counted { prompt, completion, total })
}

/// How a stream ends for the caller.
#[derive(Debug, PartialEq)]
pub enum End {
    /// With `[DONE]`.
    Done,
    /// With an error frame, for what the provider reported.
    Failed(Value),
    /// It never began: the provider reported this before its first event.
    Refused(Value),
}

/// What the caller gets of a stream.
pub struct Expected {
    /// Everything before an error frame.
    pub text: String,
    pub end: End,
    /// What the provider counted last.
    pub counted: Option<Counted>,
}

/// The events of a recorded stream, blank lines included.
pub fn frames(sse: &str) -> Vec<&str> {
    let border = if sse.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    sse.split_inclusive(border).collect()
}

/// Works out what the caller gets of a recorded stream (§3.7, §3.8, §5.5).
pub fn stream(sse: &str, model: &str, hides_usage: bool) -> Expected {
    let mut expected = Expected { text: String::new(), end: End::Done, counted: None };
    let (mut has_begun, mut has_finished) = (false, false);
    for frame in frames(sse) {
        let lines: Vec<&str> = frame.lines().filter_map(|line| line.strip_prefix("data:")).collect();
        let Some(data) = lines.first().map(|line| line.trim()) else {
            expected.text.push_str(frame);
            continue;
        };
        assert_eq!(lines.len(), 1, "recorded events have one line of data: {frame}");
        if data == "[DONE]" {
            expected.text.push_str(frame);
            return expected;
        }
        let event: Value = serde_json::from_str(data).expect("recorded events are JSON");
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            expected.end = if has_begun { End::Failed(error.clone()) } else { End::Refused(error.clone()) };
            return expected;
        }
        has_begun = true;
        let choices = event["choices"].as_array().map_or(&[][..], Vec::as_slice);
        has_finished |= choices.iter().any(|choice| !choice["finish_reason"].is_null());
        let usage = counted(&event["usage"]);
        expected.counted = usage.or(expected.counted);
        if !(hides_usage && usage.is_some() && choices.is_empty()) {
            expected.text.push_str(&frame.replacen(data, &with_model(data, model), 1));
        }
    }
    assert!(has_finished, "every recorded stream without an error was finished");
    expected.text.push_str("data: [DONE]\n\n");
    expected
}

/// What the caller gets of a provider's error answer (§3.6).
pub struct Refusal {
    pub status: u16,
    pub error: Value,
    pub retry_after: Option<String>,
}

/// Works out the error for an error answer: its own words for 4xx, nothing of them otherwise.
pub fn refusal(status: u16, body: &str, retry_after: Option<&str>) -> Refusal {
    let body: Value = serde_json::from_str(body).expect("recorded errors are JSON");
    from_error(status, &body["error"], retry_after)
}

/// Works out the error for the value of an `error` member.
pub fn from_error(status: u16, said: &Value, retry_after: Option<&str>) -> Refusal {
    let mut error = serde_json::json!({ "type": "upstream_error" });
    if !(400..500).contains(&status) {
        error["message"] = format!("upstream returned {status}").into();
        return Refusal { status: 502, error, retry_after: None };
    }
    error["message"] = said["message"].as_str().or(said.as_str()).expect("recorded errors have words").into();
    for name in ["param", "code"] {
        if let Some(text) = said[name].as_str() {
            error[name] = text.into();
        }
    }
    let retry_after = retry_after.filter(|_| status == 429).map(str::to_owned);
    Refusal { status, error, retry_after }
}
