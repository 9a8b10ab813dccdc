//! What a judge over HTTP is asked, and what it answers: the bodies of both, without the call.

use derive_more::Display;
use serde::{Deserialize, Serialize};

use super::Failure;

/// What it is asked (`POST`, JSON).
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    /// Whether a caller or a provider has said it.
    pub hook: &'static str,
    /// The guardrail, by name.
    pub guardrail: &'a str,
    /// The model that the caller named.
    pub model: &'a str,
    /// The caller's key, by id.
    pub api_key_id: &'a str,
    /// The caller's team.
    pub team_id: Option<&'a str>,
    /// The id of the request.
    pub request_id: &'a str,
    /// The texts to be judged.
    pub texts: &'a [String],
}

impl Question<'_> {
    /// The body of the request.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What a judge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// Nothing is wrong.
    Allow,
    /// It must not go on.
    Block(Option<Reason>),
    /// It may go on in these words, one text for each.
    Mask(Vec<String>, Option<Reason>),
    /// It said nothing that can be used.
    Failed(Failure),
}

/// A judge's reason, where it is one word: records and logs must not repeat what was said.
#[derive(Debug, Clone, PartialEq, Eq, Display)]
pub struct Reason(Box<str>);

/// Longest reason that is taken over, in bytes.
const MAX_REASON: usize = 64;

impl Reason {
    fn of(text: Option<String>) -> Option<Self> {
        let text = text?;
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let is_word = (1..=MAX_REASON).contains(&text.len()) && text.bytes().all(is_plain);
        is_word.then(|| Self(text.into()))
    }
}

#[derive(Deserialize)]
struct Answer {
    action: Action,
    #[serde(default)]
    texts: Option<Vec<String>>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Allow,
    Block,
    Mask,
}

impl Opinion {
    /// Reads the body of an answer about so many texts.
    #[must_use]
    pub fn read(body: &[u8], texts: usize) -> Self {
        let Ok(Answer { action, texts: masked, reason }) = serde_json::from_slice(body) else {
            return Self::Failed(Failure::Config);
        };
        let reason = Reason::of(reason);
        match (action, masked) {
            (Action::Allow, _) => Self::Allow,
            (Action::Block, _) => Self::Block(reason),
            (Action::Mask, Some(masked)) if masked.len() == texts => Self::Mask(masked, reason),
            (Action::Mask, _) => Self::Failed(Failure::Config),
        }
    }

    /// What a status other than 2xx means.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        Self::Failed(match status {
            429 => Failure::Throttled,
            500..=599 => Failure::ServerError,
            _ => Failure::Config,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_or_counts_as_a_failure() {
        let unusable = Opinion::Failed(Failure::Config);
        for (body, opinion) in [
            (r#"{"action":"allow","texts":null}"#, Opinion::Allow),
            (r#"{"action":"block","reason":"toxic","x":1}"#, Opinion::Block(Some(Reason("toxic".into())))),
            (r#"{"action":"block","reason":"He said: boo"}"#, Opinion::Block(None)),
            (r#"{"action":"mask","texts":["a"]}"#, Opinion::Mask(vec!["a".to_owned()], None)),
            (r#"{"action":"mask","texts":["a","b"]}"#, unusable.clone()),
            (r#"{"action":"mask"}"#, unusable.clone()),
            (r#"{"action":"alow"}"#, unusable.clone()),
            ("{}", unusable.clone()),
            ("", unusable.clone()),
        ] {
            assert_eq!(Opinion::read(body.as_bytes(), 1), opinion, "{body}");
        }
    }

    #[test]
    fn a_status_names_the_failure() {
        for (status, failure) in [
            (429, Failure::Throttled),
            (503, Failure::ServerError),
            (404, Failure::Config),
            (302, Failure::Config),
        ] {
            assert_eq!(Opinion::of_status(status), Opinion::Failed(failure));
        }
    }
}
