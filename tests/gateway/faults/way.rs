//! The ways in which a caller asks: three dialects, each with a whole answer and a stream.

use crate::harness::request_text;

/// Whose API is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Chat,
    Messages,
    Responses,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub caller: Caller,
    pub is_stream: bool,
}

const fn way(caller: Caller, is_stream: bool) -> Way {
    Way { caller, is_stream }
}

/// Whole answers.
pub const WHOLE: &[Way] =
    &[way(Caller::Chat, false), way(Caller::Messages, false), way(Caller::Responses, false)];
/// Streams.
pub const STREAMED: &[Way] =
    &[way(Caller::Chat, true), way(Caller::Messages, true), way(Caller::Responses, true)];
/// All of them.
pub const ALL: &[Way] = &[WHOLE[0], WHOLE[1], WHOLE[2], STREAMED[0], STREAMED[1], STREAMED[2]];

impl Way {
    /// The name of the routing model that is asked in this way.
    pub fn name(self) -> String {
        let caller = match self.caller {
            Caller::Chat => "chat",
            Caller::Messages => "messages",
            Caller::Responses => "responses",
        };
        format!("{caller}-{}", self.form())
    }

    /// The path of the API.
    pub fn path(self) -> &'static str {
        match self.caller {
            Caller::Chat => "/v1/chat/completions",
            Caller::Messages => "/v1/messages",
            Caller::Responses => "/v1/responses",
        }
    }

    /// What is asked for.
    pub fn form(self) -> &'static str {
        if self.is_stream { "stream" } else { "whole" }
    }

    /// The bytes of a request; `more` is further members, each after a comma.
    pub fn request(self, model: &str, more: &str) -> Vec<u8> {
        let asked = match self.caller {
            Caller::Chat | Caller::Messages => {
                r#""messages":[{"role":"user","content":"hello"}],"max_tokens":4000"#
            }
            Caller::Responses => r#""input":"hello","max_output_tokens":4000"#,
        };
        let stream = if self.is_stream { r#","stream":true"# } else { "" };
        let body = format!(r#"{{"model":"{model}",{asked}{stream}{more}}}"#);
        request_text("POST", self.path(), "sk-test", &[], body.as_bytes())
    }

    /// The member that asks for the usage of a stream, after a comma, where the dialect does not tell it anyway.
    pub fn usage(self) -> &'static str {
        match self.caller {
            Caller::Chat => r#","stream_options":{"include_usage":true}"#,
            Caller::Messages | Caller::Responses => "",
        }
    }

    /// The member that offers a tool, after a comma.
    pub fn tool(self) -> &'static str {
        match self.caller {
            Caller::Chat => {
                r#","tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{"where":{"type":"string"}},"required":["where"]}}}]"#
            }
            Caller::Messages => {
                r#","tools":[{"name":"look","input_schema":{"type":"object","properties":{"where":{"type":"string"}},"required":["where"]}}]"#
            }
            Caller::Responses => {
                r#","tools":[{"type":"function","name":"look","parameters":{"type":"object","properties":{"where":{"type":"string"}},"required":["where"]}}]"#
            }
        }
    }
}
