//! The shapes of guardrails and of what they are attached to.
//!
//! All kinds share one shape, so that a report of what is wrong is complete; a member of another kind is refused.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{HEADER, NAME, either, of_guardrail, scoped};
use super::{Plaintext, yes};
use crate::config::expiry::Expiry;
use crate::guardrails::keyword::PatternKind;
use crate::guardrails::pii::{Action, DetectorKind};
use crate::guardrails::{Enforcement, HookPoint, OnBufferExceeded, StreamMode};

/// A rule about what may be asked and answered.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Guardrail", extend(
    "oneOf" = [
        of_guardrail("keyword", &["detectors", "custom_patterns"], &[
            "default_action", "url", "headers", "timeout_ms", "output_fail_open", "max_text_bytes",
        ]),
        of_guardrail("pii", &["patterns"], &[
            "url", "headers", "timeout_ms", "output_fail_open", "max_text_bytes",
        ]),
        of_guardrail("webhook", &["patterns", "detectors", "custom_patterns"], &["default_action"]),
    ],
    "examples" = [{
        "name": "example-personal-data", "kind": "pii", "detectors": [{ "type": "email" }, { "type": "bank_card" }],
    }],
))]
pub(crate) struct GuardrailShape {
    /// Its name; no two guardrails share one. Callers read it in a refusal.
    #[schemars(regex(pattern = NAME))]
    pub(crate) name: String,
    /// Whether it is in force.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// What decides: `keyword` words and patterns, `pii` personal data and credentials, `webhook` somebody else.
    pub(crate) kind: GuardrailKind,
    /// Which texts it judges.
    #[serde(default)]
    pub(crate) hook_point: HookPoint,
    /// Whether a request goes on when its judge fails.
    #[serde(default = "yes")]
    pub(crate) fail_open: bool,
    /// Whether a failure of its judge blocks, whatever `fail_open` and `output_fail_open` say.
    #[serde(default)]
    pub(crate) mandatory: bool,
    /// Whether it blocks and masks, or only records what it would do.
    #[serde(default)]
    pub(crate) enforcement_mode: Enforcement,
    /// A hint for people; it changes nothing.
    #[serde(default)]
    pub(crate) direction: HookPoint,
    /// Of guardrails with the same rank the oldest judges first; those without this come last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<Expiry>,
    /// For `keyword`: what must not occur. An empty list never matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) patterns: Vec<PatternShape>,
    /// For `pii`: what is looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) detectors: Vec<DetectorShape>,
    /// For `pii`: what is looked for besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) custom_patterns: Vec<CustomPatternShape>,
    /// For `pii`: what is done where nothing else is said; absent: `mask`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_action: Option<Action>,
    /// For `webhook`: where it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\s*https?://[^/:]"))]
    pub(crate) url: Option<String>,
    /// For `webhook`: headers that every request to it carries, credentials included. Values are shown masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("propertyNames" = { "pattern": HEADER }))]
    pub(crate) headers: Option<BTreeMap<String, Plaintext>>,
    /// For `webhook`: longest wait for its answer, in milliseconds; 0 times out at once; absent: 5000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    /// For `webhook`: whether an answer goes on when it fails; absent: `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_fail_open: Option<bool>,
    /// For `webhook`: most bytes of text that it is sent; more counts as a failure; absent: 1048576.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) max_text_bytes: Option<u64>,
    /// How streams are judged: all at once before anything goes out, or window by window.
    #[serde(default)]
    pub(crate) stream_processing_mode: StreamMode,
    /// Most bytes of a stream's text that are held.
    #[serde(default = "a_quarter_mebibyte")]
    #[schemars(range(min = 1))]
    pub(crate) max_buffer_bytes: u64,
    /// What becomes of a stream with more: it is blocked, or goes on without being judged.
    #[serde(default)]
    pub(crate) on_buffer_exceeded: OnBufferExceeded,
    /// With `window`: characters of new text that are judged at a time.
    #[serde(default = "two_thousand")]
    #[schemars(range(min = 1))]
    pub(crate) window_size: u32,
    /// With `window`: characters that stay held, so that what spans two windows is found; less than `window_size`.
    #[serde(default = "some_overlap")]
    pub(crate) window_overlap: u32,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuardrailKind {
    /// Words and patterns.
    Keyword,
    /// Personal data and credentials.
    Pii,
    /// Somebody else, over HTTP.
    Webhook,
}

/// Something that must not occur.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GuardrailPattern")]
pub(crate) struct PatternShape {
    /// How it is meant.
    pub(crate) kind: PatternKind,
    /// The words, or the regular expression.
    #[schemars(length(min = 1))]
    pub(crate) value: String,
}

/// Something that is known by its form.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GuardrailDetector")]
pub(crate) struct DetectorShape {
    /// What it is.
    pub(crate) r#type: DetectorKind,
    /// What is done about it; absent, as `default_action` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<Action>,
}

/// Something that the operator knows the form of.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GuardrailCustomPattern")]
pub(crate) struct CustomPatternShape {
    /// Its name in records and, in capitals, in masks.
    #[schemars(length(min = 1, max = 64))]
    pub(crate) name: String,
    /// The regular expression; with a group, only what the first one holds is masked.
    #[schemars(length(min = 1))]
    pub(crate) regex: String,
    /// What is done about it; absent, as `default_action` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<Action>,
    /// What stands for it; absent, `[NAME_REDACTED]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub(crate) replacement: Option<String>,
}

/// Where a guardrail is in force. A guardrail without any attachment is in force everywhere.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GuardrailAttachment", extend(
    "allOf" = [either("guardrail", "guardrail_id"), scoped()],
    "examples" = [{
        "name": "example-attachment", "guardrail": "example-personal-data", "scope_type": "env", "priority": 10,
    }],
))]
pub(crate) struct AttachmentShape {
    /// Its name; no two attachments share one.
    #[schemars(regex(pattern = NAME))]
    pub(crate) name: String,
    /// Whether it is in force.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// The guardrail, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guardrail: Option<String>,
    /// The guardrail, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guardrail_id: Option<String>,
    /// What it aims at.
    pub(crate) scope_type: ScopeType,
    /// Which model or API key, by id, or the id of a team; absent for `env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope_id: Option<String>,
    /// Which model or API key, by name; the same as `scope_id` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope_ref: Option<String>,
    /// Higher ones judge first. Of equal ones the one that aims more closely does.
    pub(crate) priority: i32,
}

/// What an attachment aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScopeType {
    /// Every request.
    Env,
    /// Requests for a model, by the name that callers send.
    Model,
    /// Requests of one API key.
    ApiKey,
    /// Requests of a team's keys.
    Team,
}

fn a_quarter_mebibyte() -> u64 {
    262_144
}

fn two_thousand() -> u32 {
    2000
}

fn some_overlap() -> u32 {
    256
}
