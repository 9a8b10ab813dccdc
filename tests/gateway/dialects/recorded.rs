//! Recorded answers of providers, as they lie on disk.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use super::*;

/// An answer of success.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its name.
    pub id: String,
    /// The body: JSON, or the text of a stream.
    pub body: String,
    /// Whether it is a stream.
    pub is_stream: bool,
}

impl Recording {
    /// The answer as a provider sends it.
    pub fn answer(&self) -> Answer {
        match self.is_stream {
            true => Answer::events().event(&self.body).end(),
            false => Answer::json(200, &self.body),
        }
    }

    /// The words in it, read as the dialect of its provider has them.
    pub fn words(&self, provider: Provider) -> String {
        let own = CALLERS.into_iter().find(|caller| caller.own() == Some(provider)).expect("it has one");
        match self.is_stream {
            true => own.streamed_words(&self.body),
            false => own.words(&serde_json::from_str(&self.body).expect("JSON")),
        }
    }

    /// The tokens in it, sent and received; the last word on them counts.
    pub fn tokens(&self, provider: Provider) -> (u64, u64) {
        let whole;
        let all = match self.is_stream {
            true => events(&self.body),
            false => {
                whole = serde_json::from_str(&self.body).expect("JSON");
                vec![whole]
            }
        };
        let (mut sent, mut received) = (0, 0);
        let mut note = |usage: &Value, ins: &[&str], outs: &[&str]| {
            let sum = |names: &[&str]| names.iter().filter_map(|name| usage[*name].as_u64()).sum::<u64>();
            let newer = |now: u64, before: u64| if now > 0 { now } else { before };
            (sent, received) = (newer(sum(ins), sent), newer(sum(outs), received));
        };
        for event in &all {
            match provider {
                Provider::OpenAi => note(&event["usage"], &["prompt_tokens"], &["completion_tokens"]),
                Provider::Anthropic => {
                    let ins = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
                    note(&event["usage"], &ins, &["output_tokens"]);
                    note(&event["message"]["usage"], &ins, &["output_tokens"]);
                }
                Provider::Gemini => {
                    let ins = ["promptTokenCount", "toolUsePromptTokenCount"];
                    note(&event["usageMetadata"], &ins, &["candidatesTokenCount", "thoughtsTokenCount"]);
                }
            }
        }
        (sent, received)
    }
}

/// The plain answers of a provider; none, and a word about it, where the recordings are not at hand.
pub fn recordings(provider: Provider, is_stream: bool) -> Vec<Recording> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings");
    let Ok(index) = fs::read_to_string(folder.join("index.json")) else {
        let message = format!("\n*** SKIPPED: there are no recordings at {} ***\n\n", folder.display());
        std::io::stderr().write_all(message.as_bytes()).expect("standard error is open");
        return Vec::new();
    };
    let (vendor, api) = match provider {
        Provider::OpenAi => ("openai", "openai-chat"),
        Provider::Anthropic => ("anthropic", "anthropic-messages"),
        Provider::Gemini => ("gemini", "gemini"),
    };
    let rows: Vec<Value> = serde_json::from_str(&index).expect("an index");
    let is_wanted = |row: &&Value| {
        let is_plain = row["id"].as_str().is_some_and(|id| {
            let rest = id.split(if is_stream { "-stream-" } else { "-plain-" }).nth(1);
            rest.is_some_and(|rest| !rest.contains('-'))
        });
        is_plain
            && row["provider"] == vendor
            && row["api"] == api
            && row["status"] == 200
            && row["stream"] == is_stream
    };
    let found: Vec<Recording> =
        rows.iter().filter(is_wanted).map(|row| read(&folder, row, is_stream)).collect();
    assert!(found.len() >= 5, "{provider:?}: only {}", found.len());
    found
}

fn read(folder: &std::path::Path, row: &Value, is_stream: bool) -> Recording {
    let text = fs::read_to_string(folder.join(row["file"].as_str().expect("a name"))).expect("a recording");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let response = &file["response"];
    let body = match is_stream {
        true => text_of(&response["sse"]),
        false => response["body"].to_string(),
    };
    Recording { id: text_of(&row["id"]), body, is_stream }
}
