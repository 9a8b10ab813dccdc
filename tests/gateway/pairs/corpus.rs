//! The recordings of conversations, each with its dialect.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use aisix::dialect::Dialect;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Row {
    id: String,
    api: String,
    file: String,
    endpoint: String,
    stream: bool,
}

#[derive(Deserialize)]
struct File {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    body: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    body: Option<Box<RawValue>>,
    sse: Option<String>,
}

/// One recorded exchange.
pub struct Recording {
    /// Its name.
    pub id: String,
    /// The dialect of both sides.
    pub dialect: Dialect,
    /// What was asked, spelt as recorded, with a model where the dialect has one; `None` where only the answer is kept.
    pub request: Option<String>,
    /// Whether a stream was asked for.
    pub is_stream: bool,
    /// The answer's status.
    pub status: u16,
    /// Seconds to wait, where the answer named them.
    pub retry_after: Option<u64>,
    /// The answer: JSON, or the text of an event stream.
    pub body: String,
    /// Whether the answer is an event stream.
    pub is_sse: bool,
}

impl Recording {
    /// Whether it succeeded with a whole answer.
    pub fn is_whole(&self) -> bool {
        self.status < 300 && !self.is_sse
    }

    /// The request as JSON.
    pub fn asked(&self) -> Option<Value> {
        self.request.as_deref().map(|text| serde_json::from_str(text).expect("JSON"))
    }
}

/// Every recorded conversation; none, and a word about it, where the recordings are not at hand.
pub fn recordings() -> Vec<Recording> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings");
    let Ok(index) = fs::read_to_string(folder.join("index.json")) else {
        // Past the test runner's own capture, so that it is seen.
        let message = format!("\n*** SKIPPED: there are no recordings at {} ***\n\n", folder.display());
        std::io::stderr().write_all(message.as_bytes()).expect("standard error is open");
        return Vec::new();
    };
    let rows: Vec<Row> = serde_json::from_str(&index).expect("an index");
    let read = |row: &Row| {
        let dialect = dialect_of(row)?;
        let text = fs::read_to_string(folder.join(&row.file)).expect("a recording");
        let file = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", row.file));
        Some(recording(row, dialect, file))
    };
    let found: Vec<Recording> = rows.iter().filter_map(read).collect();
    assert!(found.len() >= 340, "only {} recordings", found.len());
    found
}

fn dialect_of(row: &Row) -> Option<Dialect> {
    Some(match &*row.api {
        "openai-chat" => Dialect::OpenAiChat,
        "openai-responses" => Dialect::OpenAiResponses,
        "anthropic-messages" | "anthropic-vertex" => Dialect::Anthropic,
        "gemini" => Dialect::Gemini,
        // Its first version is another dialect.
        "cohere-chat" if row.endpoint.contains("/v2/") => Dialect::Cohere,
        _ => return None,
    })
}

fn recording(row: &Row, dialect: Dialect, file: File) -> Recording {
    let Response { status, headers, body, sse } = file.response;
    let is_sse = sse.is_some();
    let mut recording = Recording {
        id: row.id.clone(),
        dialect,
        request: file.request.body.map(|body| with_model(dialect, body.get())),
        is_stream: row.stream || row.endpoint.contains(":stream"),
        status,
        retry_after: headers.get("retry-after").and_then(|text| text.parse().ok()),
        body: body.map(|body| body.get().to_owned()).or(sse).expect("an answer in text"),
        is_sse,
    };
    // A stream that was asked for without events is a JSON array; the gateway always asks for events.
    if status < 300 && recording.body.starts_with('[') {
        let chunks: Vec<&RawValue> = serde_json::from_str(&recording.body).expect("an array");
        let line = |chunk: &&RawValue| format!("data: {}\n\n", chunk.get().replace(['\n', '\r'], " "));
        recording.body = chunks.iter().map(line).collect();
        recording.is_sse = true;
    }
    recording
}

/// Some providers name the model in the path.
fn with_model(dialect: Dialect, json: &str) -> String {
    let body: Value = serde_json::from_str(json).expect("JSON");
    if dialect == Dialect::Gemini || body.get("model").is_some() {
        return json.to_owned();
    }
    let close = json.rfind('}').expect("an object");
    format!("{},\"model\":\"unknown\"{}", &json[..close], &json[close..])
}
