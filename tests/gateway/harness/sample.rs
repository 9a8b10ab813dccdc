//! The smallest request of every endpoint, whole or streamed: what tests of all endpoints are made of.

use aisix::endpoints::{Answer, Endpoint, Intake, Operation};
use aisix::providers;

use super::{Connection, Gateway, Response, request_text};

/// The boundary of the forms here.
const BOUNDARY: &str = "x-Boundary-9f2";
/// A file's bytes: neither text nor without line ends and dashes.
pub const FILE: &[u8] = b"RIFF\x00\xff\r\n--x-Boundary\r\n\r\n\x01WAVE";

/// A request to an endpoint.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The method.
    pub method: &'static str,
    /// The path, with the caller's parts in it.
    pub path: String,
    /// What the body is; nothing for a request without one.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Sample {
    /// The smallest request that an endpoint can be asked with.
    pub fn of(row: &'static Endpoint, model: &str) -> Self {
        Self::with(row, model, "")
    }

    /// The same, answered as a stream; `None` where that cannot be asked for.
    pub fn streamed(row: &'static Endpoint, model: &str) -> Option<Self> {
        let sample = match row.operation {
            Operation::StreamGenerate => {
                let sample = Self::of(row, model);
                Self { path: format!("{}?alt=sse", sample.path), ..sample }
            }
            Operation::Chat
            | Operation::Responses
            | Operation::Messages
            | Operation::Complete
            | Operation::Image => Self::with(row, model, r#","stream":true"#),
            Operation::EditImage | Operation::Transcribe | Operation::Translate => {
                Self::with(row, model, "true")
            }
            Operation::Livez
            | Operation::Readyz
            | Operation::Models
            | Operation::Usage
            | Operation::Generate
            | Operation::CountTokens
            | Operation::Embed
            | Operation::Rerank
            | Operation::Speak
            | Operation::Moderate
            | Operation::Passthrough => return None,
        };
        Some(sample)
    }

    /// With `more` members of a JSON object, or with this value of a form's `stream`.
    fn with(row: &'static Endpoint, model: &str, more: &str) -> Self {
        let (body, content_type) = match row.intake {
            Intake::Nothing => (Vec::new(), String::new()),
            Intake::Json => (json(row, model, more).into_bytes(), "application/json".to_owned()),
            Intake::Form => form(row, model, more),
            Intake::Anything => {
                (format!(r#"{{"model":"{model}","x":1}}"#).into_bytes(), "application/json".to_owned())
            }
        };
        Self { method: method(row), path: path(row, model), content_type, body }
    }

    /// Sends it on a fresh connection.
    pub fn send(&self, gateway: &Gateway, key: &str) -> Response {
        self.send_with(gateway, key, &[])
    }

    /// Sends it with further headers.
    pub fn send_with(&self, gateway: &Gateway, key: &str, headers: &[(&str, &str)]) -> Response {
        self.begin(gateway, key, headers).response()
    }

    /// Sends it, and leaves the answer to be read.
    pub fn begin(&self, gateway: &Gateway, key: &str, headers: &[(&str, &str)]) -> Connection {
        let mut connection = gateway.connect();
        connection.send(&self.text(key, headers));
        connection
    }

    /// The bytes of the request.
    pub fn text(&self, key: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let kind = [("content-type", &*self.content_type)];
        let kind = &kind[..usize::from(!self.content_type.is_empty())];
        request_text(self.method, &self.path, key, &[kind, headers].concat(), &self.body)
    }
}

/// The method of a row, and one of them where it answers all.
pub fn method(row: &Endpoint) -> &'static str {
    match row.method.as_ref().map(|method| method.as_str()) {
        Some("GET") => "GET",
        None | Some("POST") => "POST",
        Some(other) => panic!("a method that no test sends: {other}"),
    }
}

/// The path of a row with the caller's parts in it.
pub fn path(row: &Endpoint, model: &str) -> String {
    row.path.replace("{model}", model).replace("{provider}", "openai").replace("{rest}", "anything/at?all=1")
}

/// Whether the provider behind the models of these tests can be asked for an operation.
pub fn is_spoken(row: &Endpoint) -> bool {
    let openai = providers::find("openai", None).expect("it is known");
    row.answer == Answer::Tunnel || providers::answers(openai, row.operation, row.dialect)
}

/// Whether that provider is asked, and not the gateway in its place: OpenAI counts no tokens.
pub fn reaches_provider(row: &Endpoint) -> bool {
    matches!(row.answer, Answer::Provider | Answer::Tunnel)
        && is_spoken(row)
        && row.operation != Operation::CountTokens
}

fn json(row: &Endpoint, model: &str, more: &str) -> String {
    let named = format!(r#"{{"model":"{model}""#);
    let turns = r#""messages":[{"role":"user","content":"hello"}]"#;
    match row.operation {
        Operation::Generate | Operation::StreamGenerate => {
            format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"hello"}}]}}]{more}}}"#)
        }
        Operation::CountTokens if row.path.contains("{model}") => {
            r#"{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}"#.to_owned()
        }
        Operation::Chat | Operation::Messages | Operation::CountTokens => {
            format!(r#"{named},{turns},"max_tokens":16{more}}}"#)
        }
        Operation::Complete | Operation::Image => format!(r#"{named},"prompt":"hello"{more}}}"#),
        Operation::Rerank => format!(r#"{named},"query":"hello","documents":["a","b"]{more}}}"#),
        Operation::Speak => format!(r#"{named},"input":"hello","voice":"alloy"{more}}}"#),
        Operation::Responses | Operation::Embed | Operation::Moderate => {
            format!(r#"{named},"input":"hello"{more}}}"#)
        }
        Operation::EditImage
        | Operation::Transcribe
        | Operation::Translate
        | Operation::Livez
        | Operation::Readyz
        | Operation::Models
        | Operation::Usage
        | Operation::Passthrough => panic!("it takes no JSON object"),
    }
}

fn form(row: &Endpoint, model: &str, stream: &str) -> (Vec<u8>, String) {
    let file = if row.operation == Operation::EditImage { "image" } else { "file" };
    let mut parts = vec![(file, "; filename=\"a.bin\"", FILE), ("model", "", model.as_bytes())];
    parts.push(("prompt", "", b"hello"));
    if !stream.is_empty() {
        parts.push(("stream", "", stream.as_bytes()));
    }
    let mut body = Vec::new();
    for (name, more, value) in parts {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n");
        body.extend_from_slice(&[head.as_bytes(), value, b"\r\n"].concat());
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (body, format!("multipart/form-data; boundary={BOUNDARY}"))
}
