//! Recorded exchanges as they lie on disk: what a client sent and what a provider answered, spelt as recorded.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What a request is made of where only the answer was recorded.
const MINIMAL: &str = r#"{"model":"unknown","messages":[{"role":"user","content":"hello"}]}"#;
/// Headers that belong to the transport of the recording.
const FRAMING: [&str; 4] = ["content-length", "transfer-encoding", "content-encoding", "connection"];

#[derive(Deserialize)]
struct Row {
    api: String,
    file: String,
    stream: bool,
}

#[derive(Deserialize)]
struct File {
    id: String,
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
    headers: BTreeMap<String, String>,
    body: Option<Box<RawValue>>,
    sse: Option<String>,
    text: Option<String>,
}

/// One recorded exchange in OpenAI's chat dialect.
pub struct Exchange {
    /// Its name.
    pub id: String,
    /// The request's body, with a model in it.
    pub request: String,
    /// Whether the answer is a stream.
    pub is_stream: bool,
    /// The answer's status.
    pub status: u16,
    /// The answer's headers, but for those of its transport.
    pub headers: Vec<(String, String)>,
    /// The answer's body.
    pub body: String,
}

/// Every recorded exchange of the dialect; none, and a word about it, where the recordings are not at hand.
pub fn exchanges() -> Vec<Exchange> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings");
    let Ok(index) = fs::read_to_string(folder.join("index.json")) else {
        // Past the test runner's own capture, so that it is seen.
        let message = format!("\n*** SKIPPED: there are no recordings at {} ***\n\n", folder.display());
        std::io::stderr().write_all(message.as_bytes()).expect("standard error is open");
        return Vec::new();
    };
    let rows: Vec<Row> = serde_json::from_str(&index).expect("an index");
    let read = |row: &Row| {
        let text = fs::read_to_string(folder.join(&row.file)).expect("a recording");
        exchange(row, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", row.file)))
    };
    let found: Vec<Exchange> = rows.iter().filter(|row| row.api == "openai-chat").map(read).collect();
    assert!(found.len() >= 161, "only {} recordings", found.len());
    found
}

fn exchange(row: &Row, file: File) -> Exchange {
    let mut request = file.request.body.map_or_else(|| MINIMAL.to_owned(), |body| body.get().to_owned());
    if request == MINIMAL && row.stream {
        request = with_member(&request, r#""stream":true"#);
    }
    // Some providers name the model in the path.
    if model_of(&request).is_none() {
        request = with_member(&request, r#""model":"unknown""#);
    }
    let Response { status, headers, body, sse, text } = file.response;
    let body = body.map(|body| body.get().to_owned()).or(sse).or(text).expect("an answer in text");
    let headers = headers.into_iter().filter(|(name, _)| !FRAMING.contains(&name.as_str())).collect();
    Exchange { id: file.id, request, is_stream: row.stream, status, headers, body }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
}

/// The model that a JSON object names.
pub fn model_of(json: &str) -> Option<String> {
    let named: Named<'_> = serde_json::from_str(json).expect("a JSON object");
    named.model.map(|model| serde_json::from_str(model.get()).expect("a name"))
}

/// The object with another model, where it names one. Every other byte stays.
pub fn with_model(json: &str, model: &str) -> String {
    let named: Named<'_> = serde_json::from_str(json).expect("a JSON object");
    let Some(old) = named.model else { return json.to_owned() };
    let start = old.get().as_ptr() as usize - json.as_ptr() as usize;
    let end = start + old.get().len();
    format!("{}{}{}", &json[..start], serde_json::Value::from(model), &json[end..])
}

/// The object with one more member at its end.
pub fn with_member(json: &str, member: &str) -> String {
    let close = json.rfind('}').expect("an object");
    format!("{},{member}{}", &json[..close], &json[close..])
}
