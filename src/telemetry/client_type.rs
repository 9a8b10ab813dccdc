//! Kinds of clients, by what they say in `User-Agent` (§13.2): the operator's rules, then the well-known ones.
//!
//! A worker remembers what it has decided, so a request costs a look-up.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use regex::Regex;

use super::usage_record::user_agent;
use crate::config::settings::ClientTypeRule;

/// `User-Agent`s remembered; a caller that makes up new ones empties the memory and fills no more than this.
const MAX_REMEMBERED: usize = 1024;
/// Longest `User-Agent` that is remembered, in bytes.
const MAX_KEY_BYTES: usize = 512;

/// What a part of a `User-Agent` in lower case gives away; the first that is found counts.
const KNOWN: [(&[&str], &str); 31] = [
    (&["claude-cli", "claude-code"], "claude-code"),
    (&["codex"], "codex"),
    (&["cline"], "cline"),
    (&["roo-code", "roocode"], "roo-code"),
    (&["kilo-code", "kilocode"], "kilocode"),
    (&["zoo-code", "zoocode"], "zoo-code"),
    (&["githubcopilot"], "github-copilot"),
    (&["cursor"], "cursor"),
    (&["opencode"], "opencode"),
    (&["qwencode"], "qwen-code"),
    (&["geminicli"], "gemini-cli"),
    (&["charm-crush"], "crush"),
    (&["zed/"], "zed"),
    (&["aider"], "aider"),
    (&["openai-python", "openai/python"], "openai-python"),
    (&["openai-node", "openai/js"], "openai-node"),
    (&["anthropic-sdk-python", "anthropic/python"], "anthropic-python"),
    (&["anthropic-sdk-typescript", "anthropic/js"], "anthropic-typescript"),
    (&["langchain"], "langchain"),
    (&["llama-index", "llama_index", "llamaindex"], "llamaindex"),
    (&["litellm"], "litellm"),
    (&["ai-sdk/provider-utils"], "vercel-ai-sdk"),
    (&["curl"], "curl"),
    (&["python-requests"], "python-requests"),
    (&["python-httpx", "httpx"], "httpx"),
    (&["aiohttp"], "aiohttp"),
    (&["okhttp"], "okhttp"),
    (&["go-http-client"], "go-http-client"),
    (&["node-fetch", "undici", "axios"], "node"),
    (&["postmanruntime"], "postman"),
    (&["mozilla"], "browser"),
];

/// The rules of an operator, ready to match.
#[derive(Debug, Default)]
pub struct Rules(Vec<(Regex, Arc<str>)>);

impl Rules {
    /// Reads rules that the configuration let through.
    #[must_use]
    pub fn new(rules: &[ClientTypeRule]) -> Self {
        let read = |rule: &ClientTypeRule| Some((rule.regex().ok()?, Arc::from(&*rule.label)));
        Self(rules.iter().filter_map(read).collect())
    }

    /// The kind of a client.
    #[must_use]
    pub fn kind(&self, header: &[u8]) -> Arc<str> {
        let text = String::from_utf8_lossy(header);
        if text.trim().is_empty() {
            return "unknown".into();
        }
        if let Some((_, label)) = self.0.iter().find(|(regex, _)| regex.is_match(&text)) {
            return Arc::clone(label);
        }
        let lower = text.to_ascii_lowercase();
        let known = KNOWN.iter().find(|(parts, _)| parts.iter().any(|part| lower.contains(part)));
        known.map_or("other", |(_, kind)| kind).into()
    }
}

/// What is known of a client.
#[derive(Debug, Clone)]
pub struct Kind {
    header: Box<[u8]>,
    /// The value of `client_type`.
    pub label: Arc<str>,
    /// The `User-Agent` as a JSON string, fit for a record; empty where there is none.
    pub json: Box<[u8]>,
}

/// The clients that a worker has met.
pub struct Clients {
    rules: Arc<Rules>,
    state: RandomState,
    met: HashTable<Kind>,
}

impl Clients {
    /// Nobody met yet.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules, state: RandomState::default(), met: HashTable::new() }
    }

    /// What is known of the client with this `User-Agent`.
    pub fn kind(&mut self, header: &[u8]) -> &Kind {
        let header = header.get(..MAX_KEY_BYTES).unwrap_or(header);
        let hash = hash_of(&self.state, header);
        if self.met.len() >= MAX_REMEMBERED {
            self.met.clear();
        }
        let state = &self.state;
        match self.met.entry(hash, |kind| *kind.header == *header, |kind| hash_of(state, &kind.header)) {
            Entry::Occupied(met) => met.into_mut(),
            Entry::Vacant(place) => {
                let (label, json) = (self.rules.kind(header), user_agent(header));
                place.insert(Kind { header: header.into(), label, json }).into_mut()
            }
        }
    }
}

fn hash_of(state: &RandomState, header: &[u8]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(header);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_apart_by_their_user_agent() {
        let rule = ClientTypeRule { pattern: "^acme-(bot|cli)/".into(), label: "acme".into() };
        let rules = Rules::new(&[rule]);
        for (header, kind) in [
            ("", "unknown"),
            (" ", "unknown"),
            ("ACME-Bot/1.0 curl", "acme"),
            ("claude-cli/1.0 (external)", "claude-code"),
            ("OpenAI/Python 1.99", "openai-python"),
            ("AsyncOpenAI/JS 4", "openai-node"),
            ("curl/8.5.0", "curl"),
            ("python-httpx/0.27", "httpx"),
            ("Mozilla/5.0 Cursor/1", "cursor"),
            ("Mozilla/5.0", "browser"),
            ("my-tool", "other"),
        ] {
            assert_eq!(&*rules.kind(header.as_bytes()), kind, "{header}");
        }
    }

    #[test]
    fn made_up_clients_do_not_fill_the_memory() {
        let mut clients = Clients::new(Arc::default());
        for number in 0..3 * MAX_REMEMBERED {
            assert_eq!(&*clients.kind(format!("agent-{number}").as_bytes()).label, "other");
        }
        assert!(clients.met.len() <= MAX_REMEMBERED);
    }
}
