//! A file of usage records of a test's own, gone with it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Folder, Gateway, until};

/// See the module.
pub struct UsageFile(Folder);

impl UsageFile {
    /// A place for a file that is not there yet.
    pub fn new() -> Self {
        Self(Folder::new())
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("usage.jsonl")
    }

    /// Settings that write records into it.
    pub fn settings(&self) -> String {
        Self::settings_for(&self.path())
    }

    /// Settings that write records into any file.
    pub fn settings_for(path: &Path) -> String {
        format!("[observability.usage_records]\ntarget = \"file\"\npath = \"{}\"\n", path.display())
    }

    /// The records, each a JSON object on a line of its own. Nothing may be writing: a reader sees a long write of
    /// another process or thread in parts.
    pub fn records(&self) -> Vec<Value> {
        let text = self.text();
        assert!(text.is_empty() || text.ends_with('\n'), "whole lines: {text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    /// How many whole lines there are so far.
    pub fn lines(&self) -> usize {
        self.text().matches('\n').count()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap_or_default()
    }

    /// Waits for so many records and asserts that there are no more.
    #[track_caller]
    pub fn wait_for(&self, gateway: &Gateway, count: usize) -> Vec<Value> {
        gateway.settled();
        until("usage records", || self.lines() >= count && !gateway.gateway.telemetry.has_buffered());
        let records = self.records();
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }
}
