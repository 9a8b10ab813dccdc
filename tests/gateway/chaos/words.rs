//! An answer's words in the dialects of providers: as a whole, and as the events of a stream.

use crate::harness::*;

/// A dialect in which a provider is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Chat,
    Responses,
    Anthropic,
    Gemini,
}

/// The parts of a streamed answer, each an event with its empty line.
pub struct Parts {
    /// What opens it.
    pub opening: Vec<String>,
    /// A word each.
    pub words: Vec<String>,
    /// A call of a tool, open.
    pub tool: Vec<String>,
    /// The reason to finish.
    pub finish: Vec<String>,
    /// The last word.
    pub last: Vec<String>,
}

fn named(name: &str, more: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\"{more}}}\n\n")
}

impl Wire {
    /// The dialect that a path speaks.
    pub fn of(path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or_default();
        if path.ends_with("/chat/completions") {
            Some(Self::Chat)
        } else if path.ends_with("/responses") {
            Some(Self::Responses)
        } else if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else {
            path.to_lowercase().ends_with("generatecontent").then_some(Self::Gemini)
        }
    }

    /// A whole answer.
    pub fn whole(self, words: &[String], has_tool: bool) -> String {
        let text = words.concat();
        match (self, has_tool) {
            (Self::Chat, false) => completion(&text, 5, 7),
            (Self::Chat, true) => completion(&text, 5, 7)
                .replace("\"finish_reason\":\"stop\"", "\"finish_reason\":\"tool_calls\"")
                .replace(
                    "\"role\":\"assistant\"",
                    r#""role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]"#,
                ),
            (Self::Responses, _) => answers::RESPONSE.replace("hello", &text),
            (Self::Anthropic, has_tool) => {
                let (tool, reason) = match has_tool {
                    true => (r#",{"type":"tool_use","id":"toolu_1","name":"f","input":{}}"#, "tool_use"),
                    false => ("", "end_turn"),
                };
                format!(
                    r#"{{"id":"msg_1","type":"message","role":"assistant","model":"upstream-m","content":[{{"type":"text","text":"{text}"}}{tool}],"stop_reason":"{reason}","stop_sequence":null,"usage":{{"input_tokens":5,"output_tokens":7}}}}"#
                )
            }
            (Self::Gemini, _) => format!(
                r#"{{"candidates":[{{"content":{{"role":"model","parts":[{{"text":"{text}"}}]}},"finishReason":"STOP","index":0}}],"usageMetadata":{{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12}},"modelVersion":"upstream-m"}}"#
            ),
        }
    }

    /// A streamed answer.
    pub fn parts(self, words: &[String], has_tool: bool, has_usage: bool) -> Parts {
        match self {
            Self::Chat => chat(words, has_tool, has_usage),
            Self::Responses => responses(words),
            Self::Anthropic => anthropic(words, has_tool),
            Self::Gemini => gemini(words, has_usage),
        }
    }

    /// A failure inside a stream, or in an answer's place.
    pub fn failure(self, status: Option<u16>) -> String {
        let code = status.map_or_else(|| "\"bad_day\"".to_owned(), |status| status.to_string());
        match self {
            Self::Anthropic => {
                let kind = match status {
                    Some(429) => "rate_limit_error",
                    Some(400) => "invalid_request_error",
                    _ => "api_error",
                };
                format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"a bad day"}}}}"#)
            }
            Self::Gemini => {
                let code = status.unwrap_or(500);
                format!(r#"{{"error":{{"code":{code},"message":"a bad day","status":"INTERNAL"}}}}"#)
            }
            Self::Chat | Self::Responses => {
                format!(r#"{{"error":{{"message":"a bad day","code":{code}}}}}"#)
            }
        }
    }

    /// The same as an event.
    pub fn failure_event(self, status: Option<u16>) -> String {
        match self {
            Self::Anthropic => format!("event: error\ndata: {}\n\n", self.failure(status)),
            Self::Responses => named("error", r#","code":"bad_day","message":"a bad day","param":null"#),
            Self::Chat | Self::Gemini => format!("data: {}\n\n", self.failure(status)),
        }
    }
}

fn chat(words: &[String], has_tool: bool, has_usage: bool) -> Parts {
    let head = r#""id":"c1","object":"chat.completion.chunk","created":1,"model":"upstream-m""#;
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{{head},\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let call = r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{"}}]}"#;
    let rest = r#"{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}"#;
    let (mut finish, tool) = match has_tool {
        true => (vec![chunk(rest, "null"), chunk("{}", "\"tool_calls\"")], vec![chunk(call, "null")]),
        false => (vec![chunk("{}", "\"stop\"")], Vec::new()),
    };
    finish.extend(has_usage.then(|| usage_event(5, 7)));
    Parts {
        opening: vec![chunk(r#"{"role":"assistant","content":""}"#, "null")],
        words: words.iter().map(|word| delta(word)).collect(),
        tool,
        finish,
        last: vec!["data: [DONE]\n\n".to_owned()],
    }
}

fn responses(words: &[String]) -> Parts {
    let [begun, item, _, _] = answers::events("/responses").try_into().expect("four events");
    let word = |(place, word): (usize, &String)| {
        let delta = format!(
            r#","item_id":"msg_1","output_index":0,"content_index":0,"delta":"{word}","sequence_number":{}"#,
            place + 2
        );
        named("response.output_text.delta", &delta)
    };
    let body = answers::RESPONSE.replace("hello", &words.concat());
    let finish = format!(r#","sequence_number":{},"response":{body}"#, words.len() + 2);
    Parts {
        opening: vec![begun, item],
        words: words.iter().enumerate().map(word).collect(),
        tool: Vec::new(),
        finish: vec![named("response.completed", &finish)],
        last: Vec::new(),
    }
}

fn anthropic(words: &[String], has_tool: bool) -> Parts {
    let message = r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"upstream-m","content":[],"stop_reason":null,"usage":{"input_tokens":5,"output_tokens":1}}"#;
    let block = r#","index":0,"content_block":{"type":"text","text":""}"#;
    let word = |word: &String| {
        let delta = format!(r#","index":0,"delta":{{"type":"text_delta","text":"{word}"}}"#);
        named("content_block_delta", &delta)
    };
    let stop = |reason: &str| {
        let stop = format!(
            r#","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":7}}"#
        );
        named("message_delta", &stop)
    };
    let (tool, finish) = match has_tool {
        true => {
            let block =
                r#","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}"#;
            let delta = r#","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}"#;
            let tool = vec![
                named("content_block_stop", r#","index":0"#),
                named("content_block_start", block),
                named("content_block_delta", delta),
            ];
            (tool, vec![named("content_block_stop", r#","index":1"#), stop("tool_use")])
        }
        false => (Vec::new(), vec![named("content_block_stop", r#","index":0"#), stop("end_turn")]),
    };
    Parts {
        opening: vec![named("message_start", message), named("content_block_start", block)],
        words: words.iter().map(word).collect(),
        tool,
        finish,
        last: vec![named("message_stop", "")],
    }
}

fn gemini(words: &[String], has_usage: bool) -> Parts {
    let event = |word: &str, more: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{{\"text\":\"{word}\"}}]}},\"index\":0{more}}}],\"modelVersion\":\"upstream-m\"}}\r\n\r\n"
        )
    };
    let usage = r#"],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12},"#;
    let mut finish = event("", r#","finishReason":"STOP""#);
    if has_usage {
        finish = finish.replace("],\"modelVersion\"", &format!("{usage}\"modelVersion\""));
    }
    Parts {
        opening: Vec::new(),
        words: words.iter().map(|word| event(word, "")).collect(),
        tool: Vec::new(),
        finish: vec![finish],
        last: Vec::new(),
    }
}
