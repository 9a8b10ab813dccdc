//! Guardrails and attachments that do not make sense.

use super::check;

#[test]
fn guardrails() {
    check(
        r#"
[[guardrails]]
name = "words"
kind = "keyword"
patterns = [{ kind = "regex", value = "(" }, { kind = "literal", value = "" }, { kind = "glob", value = "x" }]
url = "http://judge"
[[guardrails]]
name = "data"
kind = "pii"
detectors = [{ type = "emial" }]
[[guardrails]]
name = "more data"
kind = "pii"
patterns = [{ kind = "literal", value = "x" }]
custom_patterns = [{ name = "", regex = "[" }]
stream_processing_mode = "window"
window_size = 10
window_overlap = 10
max_buffer_bytes = 0
[[guardrails]]
name = "judge"
kind = "webhook"
default_action = "mask"
[[guardrails]]
name = "judge"
kind = "webhook"
url = "judge.example"
headers = { host = "x", "a b" = "y" }
max_text_bytes = 0
[[guardrails]]
name = "odd"
kind = "bedrock"
"#,
        &[
            r#"config.toml:15: guardrails[0].patterns[2].kind: expected one of "literal", "regex", found "glob""#,
            r#"config.toml:20: guardrails[1].detectors[0].type: expected one of "email", "china_mobile", "china_id_card", "bank_card", "us_ssn", "ip_address", "api_key", "jwt", "private_key", found "emial" (did you mean "email"?)"#,
            r#"config.toml:24: guardrails[2].patterns: only a guardrail of kind "keyword" has this"#,
            "config.toml:25: guardrails[2].custom_patterns[0].name: expected 1 to 64 characters",
            "config.toml:25: guardrails[2].custom_patterns[0].regex: not a regular expression: unclosed character class",
            "config.toml:28: guardrails[2].window_overlap: expected less than window_size",
            "config.toml:29: guardrails[2].max_buffer_bytes: expected 1 or more",
            r#"config.toml:30: guardrails[3]: "url" is required for a webhook"#,
            r#"config.toml:33: guardrails[3].default_action: only a guardrail of kind "pii" has this"#,
            "config.toml:35: guardrails[4].name: this name is already that of guardrails[3] in line 30",
            "config.toml:37: guardrails[4].url: expected an address such as https://judge.example.com/v1",
            "config.toml:38: guardrails[4].headers.a b: expected the name of a header",
            "config.toml:38: guardrails[4].headers.host: this header is reserved",
            "config.toml:39: guardrails[4].max_text_bytes: expected 1 or more",
            r#"config.toml:42: guardrails[5].kind: expected one of "keyword", "pii", "webhook", found "bedrock""#,
        ],
    );
}

#[test]
fn patterns() {
    check(
        r#"
[[guardrails]]
name = "words"
kind = "keyword"
patterns = [{ kind = "regex", value = "a(" }, { kind = "literal", value = "" }]
"#,
        &[
            "config.toml:15: guardrails[0].patterns[0].value: not a regular expression: unclosed group",
            "config.toml:15: guardrails[0].patterns[1].value: must not be empty",
        ],
    );
}

#[test]
fn attachments() {
    check(
        r#"
[[guardrails]]
name = "words"
kind = "keyword"
[[guardrail_attachments]]
name = "one"
guardrail = "wrods"
scope_type = "model"
scope_ref = "aa"
priority = 1
[[guardrail_attachments]]
name = "two"
guardrail = "words"
guardrail_id = "words"
scope_type = "team"
priority = 1
[[guardrail_attachments]]
name = "three"
scope_type = "env"
scope_id = "x"
priority = 1
[[guardrail_attachments]]
name = "four"
guardrail_id = "words"
scope_type = "api_key"
scope_id = "k"
scope_ref = "k"
"#,
        &[
            r#"config.toml:17: guardrail_attachments[0].guardrail: no guardrail is called "wrods" (did you mean "words"?)"#,
            r#"config.toml:19: guardrail_attachments[0].scope_ref: no model is called "aa" (did you mean "a"?)"#,
            r#"config.toml:21: guardrail_attachments[1].scope_id: is required, except for scope_type "env""#,
            "config.toml:24: guardrail_attachments[1].guardrail_id: names the guardrail a second time; keep one of the two",
            r#"config.toml:27: guardrail_attachments[2]: "guardrail" or "guardrail_id" is required"#,
            "config.toml:30: guardrail_attachments[2].scope_id: an attachment to everything refers to nothing",
            r#"config.toml:32: guardrail_attachments[3]: "priority" is required"#,
            "config.toml:36: guardrail_attachments[3].scope_id: says a second time what it aims at; keep one of the two",
        ],
    );
}

#[test]
fn good_ones() {
    check(
        r#"
[[guardrails]]
name = "words"
kind = "keyword"
direction = "input"
created_at = "2026-01-01T00:00:00Z"
[[guardrails]]
name = "data"
kind = "pii"
detectors = [{ type = "email", action = "block" }, { type = "private_key" }]
custom_patterns = [{ name = "badge", regex = "b-[0-9]+", replacement = "" }]
[[guardrails]]
name = "judge"
kind = "webhook"
url = "http://10.0.0.1:8080/judge?tenant"
headers = { authorization = "Bearer x" }
timeout_ms = 0
[[guardrail_attachments]]
name = "a"
guardrail = "words"
scope_type = "env"
priority = -5
[[guardrail_attachments]]
name = "b"
guardrail_id = "data"
scope_type = "api_key"
scope_id = "k"
priority = 5
"#,
        &[],
    );
}
