//! The recorded exchanges of this dialect, as they lie on disk.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

/// One exchange.
pub(super) struct Recording {
    pub(super) id: String,
    /// The model in the path.
    pub(super) model: String,
    pub(super) request: Value,
    pub(super) status: u64,
    /// The answer where it is JSON: a reply, an error, or an array of chunks.
    pub(super) body: Value,
    pub(super) sse: Option<String>,
}

impl Recording {
    /// The chunks of a stream, one JSON text each.
    pub(super) fn chunks(&self) -> Vec<String> {
        match (&self.sse, &self.body) {
            (Some(sse), _) => {
                sse.lines().filter_map(|line| Some(line.strip_prefix("data: ")?.to_owned())).collect()
            }
            (None, Value::Array(chunks)) => chunks.iter().map(Value::to_string).collect(),
            (None, _) => Vec::new(),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.status == 200 && self.body.is_object()
    }
}

/// All of them; none, and a word about it, where they are not at hand.
pub(super) fn recordings() -> Vec<Recording> {
    let folder = std::env::var_os("AISIX_TEST_RECORDINGS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings"),
        PathBuf::from,
    );
    let Ok(index) = std::fs::read_to_string(folder.join("index.json")) else {
        let message = format!("\n*** SKIPPED: there are no recordings at {} ***\n\n", folder.display());
        std::io::stderr().write_all(message.as_bytes()).expect("standard error is open");
        return Vec::new();
    };
    let rows: Vec<Value> = serde_json::from_str(&index).expect("an index");
    let own = rows.iter().filter(|row| row["api"] == "gemini");
    let found: Vec<_> = own
        .map(|row| {
            let file = folder.join(row["file"].as_str().expect("a file"));
            read(&serde_json::from_str(&std::fs::read_to_string(file).expect("a recording")).expect("JSON"))
        })
        .collect();
    assert!(found.len() >= 47, "only {} recordings", found.len());
    found
}

fn read(file: &Value) -> Recording {
    let path = file["request"]["path"].as_str().unwrap_or_default();
    let model = path.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default();
    Recording {
        id: file["id"].as_str().expect("an id").to_owned(),
        model: model.to_owned(),
        request: file["request"]["body"].clone(),
        status: file["response"]["status"].as_u64().expect("a status"),
        body: file["response"]["body"].clone(),
        sse: file["response"]["sse"].as_str().map(str::to_owned),
    }
}
