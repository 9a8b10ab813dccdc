//! Guardrails: what they look for, compiled, and what they are attached to.

use std::{sync::Arc, time::Duration};

use aisix_actors::provider_pool::TlsProfileId;
use sha2::{Digest, Sha256};

use super::{Names, provider_keys::is_url};
use crate::{
    config::{
        headers,
        problem::{Place, Problems},
        resources::{
            Declared, Resources,
            shapes::{AttachmentShape, GuardrailKind, GuardrailShape, ScopeType},
        },
        snapshot::DefaultHeaders,
    },
    guardrails::{
        Attachment, Guardrail, Guardrails, Judge, Scope, StreamMode, StreamRules, Webhook,
        keyword::{self, Keywords, PatternKind},
        pii::{Detector, Finder, Pii, Rule},
    },
};

/// Longest name of a pattern.
const MAX_PATTERN_NAME: usize = 64;
/// Longest replacement.
const MAX_REPLACEMENT: usize = 256;
/// Longest wait for a webhook where nothing is said, in milliseconds.
const TIMEOUT_MS: u64 = 5000;
/// Most bytes that a webhook is sent where nothing is said.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// Resolves the guardrails and their attachments, and reports all that is wrong with them.
pub(super) fn resolve(
    resources: &Resources,
    names: &Names,
    tls: TlsProfileId,
    problems: &mut Problems,
) -> Guardrails {
    let mut guardrails = Vec::new();
    for entry in &resources.guardrails {
        let Some(shape) = &entry.shape else { continue };
        if let Some(guardrail) = resolve_one(entry, shape, tls, problems).filter(|_| shape.enabled) {
            guardrails.push(Arc::new(guardrail));
        }
    }
    let attachments: Vec<_> = resources
        .guardrail_attachments
        .iter()
        .filter_map(|entry| attachment(entry.place(), entry.shape.as_ref()?, names, problems))
        .collect();
    Guardrails::new(&guardrails, &attachments)
}

fn resolve_one(
    entry: &Declared<GuardrailShape>,
    shape: &GuardrailShape,
    tls: TlsProfileId,
    problems: &mut Problems,
) -> Option<Guardrail> {
    let place = entry.place();
    refuse_foreign(place, shape, problems);
    let stream = stream_rules(place, shape, problems);
    let judge = match shape.kind {
        GuardrailKind::Keyword => keywords(place, shape, problems).map(Judge::Keyword),
        GuardrailKind::Pii => pii(place, shape, problems).map(Judge::Pii),
        GuardrailKind::Webhook => webhook(place, shape, tls, problems).map(Judge::Webhook),
    };
    Some(Guardrail {
        id: entry.id.clone(),
        name: shape.name.as_str().into(),
        hook_point: shape.hook_point,
        fail_open: shape.fail_open,
        output_fail_open: shape.output_fail_open.unwrap_or(false),
        mandatory: shape.mandatory,
        enforcement: shape.enforcement_mode,
        stream,
        created_at: shape.created_at.map(|created| created.0),
        digest: Sha256::digest(serde_json::to_vec(shape).unwrap_or_default()).into(),
        judge: judge?,
    })
}

/// Refuses what only another kind has, which would be ignored.
fn refuse_foreign(place: Place<'_>, shape: &GuardrailShape, problems: &mut Problems) {
    use GuardrailKind as K;
    let has = [
        ("patterns", !shape.patterns.is_empty(), K::Keyword),
        ("detectors", !shape.detectors.is_empty(), K::Pii),
        ("custom_patterns", !shape.custom_patterns.is_empty(), K::Pii),
        ("default_action", shape.default_action.is_some(), K::Pii),
        ("url", shape.url.is_some(), K::Webhook),
        ("headers", shape.headers.is_some(), K::Webhook),
        ("timeout_ms", shape.timeout_ms.is_some(), K::Webhook),
        ("output_fail_open", shape.output_fail_open.is_some(), K::Webhook),
        ("max_text_bytes", shape.max_text_bytes.is_some(), K::Webhook),
    ];
    for (field, is_there, kind) in has {
        if is_there && kind != shape.kind {
            let kind = match kind {
                K::Keyword => "keyword",
                K::Pii => "pii",
                K::Webhook => "webhook",
            };
            place.report(field, format!("only a guardrail of kind \"{kind}\" has this"), problems);
        }
    }
}

fn stream_rules(place: Place<'_>, shape: &GuardrailShape, problems: &mut Problems) -> StreamRules {
    if shape.max_buffer_bytes == 0 {
        place.report("max_buffer_bytes", "expected 1 or more", problems);
    }
    if shape.window_size == 0 {
        place.report("window_size", "expected 1 or more", problems);
    } else if shape.window_overlap >= shape.window_size && shape.stream_processing_mode == StreamMode::Window
    {
        place.report("window_overlap", "expected less than window_size", problems);
    }
    let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    StreamRules {
        mode: shape.stream_processing_mode,
        max_buffer_bytes: usize::try_from(shape.max_buffer_bytes).unwrap_or(usize::MAX),
        on_buffer_exceeded: shape.on_buffer_exceeded,
        window: wide(shape.window_size),
        overlap: wide(shape.window_overlap),
    }
}

fn keywords(place: Place<'_>, shape: &GuardrailShape, problems: &mut Problems) -> Option<Keywords> {
    let (mut literals, mut patterns) = (Vec::new(), Vec::new());
    let mut is_good = true;
    for (index, pattern) in shape.patterns.iter().enumerate() {
        let field = format!("patterns[{index}].value");
        let compiled = match pattern.kind {
            _ if pattern.value.is_empty() => Err("must not be empty".to_owned()),
            PatternKind::Literal => {
                literals.push(&*pattern.value);
                continue;
            }
            PatternKind::Regex => keyword::pattern(&pattern.value),
        };
        match compiled {
            Ok(compiled) => patterns.push(compiled),
            Err(message) => {
                is_good = false;
                place.report(&field, message, problems);
            }
        }
    }
    let keywords = Keywords::new(&literals, patterns);
    keywords.map_err(|message| place.report("patterns", message, problems)).ok().filter(|_| is_good)
}

fn pii(place: Place<'_>, shape: &GuardrailShape, problems: &mut Problems) -> Option<Pii> {
    let usual = shape.default_action.unwrap_or_default();
    let mut rules = Vec::new();
    for detector in &shape.detectors {
        let finder = Finder::Known(Detector::new(detector.r#type).ok()?);
        rules.push(Rule::new(detector.r#type.as_str(), finder, detector.action.unwrap_or(usual)));
    }
    let mut is_good = true;
    for (index, custom) in shape.custom_patterns.iter().enumerate() {
        let mut report = |field: &str, message: String| {
            is_good = false;
            place.report(&format!("custom_patterns[{index}].{field}"), message, problems);
        };
        if !(1..=MAX_PATTERN_NAME).contains(&custom.name.chars().count()) {
            report("name", format!("expected 1 to {MAX_PATTERN_NAME} characters"));
        }
        let replacement = custom.replacement.as_deref();
        if replacement.is_some_and(|text| text.chars().count() > MAX_REPLACEMENT) {
            report("replacement", format!("expected at most {MAX_REPLACEMENT} characters"));
        }
        let compiled = match &*custom.regex {
            "" => Err("must not be empty".to_owned()),
            text => keyword::pattern(text),
        };
        match compiled {
            Err(message) => report("regex", message),
            Ok(pattern) => {
                let mut rule =
                    Rule::new(&custom.name, Finder::Custom(pattern), custom.action.unwrap_or(usual));
                if let Some(replacement) = replacement {
                    rule.replacement = replacement.into();
                }
                rules.push(rule);
            }
        }
    }
    is_good.then(|| Pii::new(rules))
}

fn webhook(
    place: Place<'_>,
    shape: &GuardrailShape,
    tls: TlsProfileId,
    problems: &mut Problems,
) -> Option<Arc<Webhook>> {
    let headers = headers(place, shape, problems);
    if shape.max_text_bytes == Some(0) {
        place.report("max_text_bytes", "expected 1 or more", problems);
    }
    let url = match shape.url.as_deref().map(str::trim) {
        Some(url) if is_judge(url) => url,
        Some(_) => {
            place.report("url", "expected an address such as https://judge.example.com/v1", problems);
            return None;
        }
        None => {
            place.report("", "\"url\" is required for a webhook", problems);
            return None;
        }
    };
    let bytes = shape.max_text_bytes.unwrap_or(MAX_TEXT_BYTES);
    Some(Arc::new(Webhook {
        url: url.into(),
        headers,
        timeout: Duration::from_millis(shape.timeout_ms.unwrap_or(TIMEOUT_MS)),
        max_text_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        tls,
    }))
}

/// Whether a text is an address; other than that of a provider's API it may have a query.
fn is_judge(url: &str) -> bool {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    is_url(address) && query.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte))
}

fn headers(place: Place<'_>, shape: &GuardrailShape, problems: &mut Problems) -> DefaultHeaders {
    let mut checked = Vec::new();
    for (written, value) in shape.headers.iter().flatten() {
        let field = format!("headers.{written}");
        let name = written.to_ascii_lowercase();
        if !headers::is_name(&name) {
            place.report(&field, "expected the name of a header", problems);
        } else if name == "host" || headers::is_owned(&name) {
            place.report(&field, "this header is reserved", problems);
        } else if !headers::is_value(value.expose()) {
            place.report(&field, "a header must not hold line breaks or control characters", problems);
        } else {
            checked.push((name.into(), value.expose().into()));
        }
    }
    DefaultHeaders(checked)
}

fn attachment(
    place: Place<'_>,
    shape: &AttachmentShape,
    names: &Names,
    problems: &mut Problems,
) -> Option<Attachment> {
    let by = |field, reference: &str, problems: &mut Problems| {
        names.guardrails.look_up(place, field, reference, problems)
    };
    let guardrail = match (&shape.guardrail, &shape.guardrail_id) {
        (Some(name), None) => by("guardrail", name, problems),
        (None, Some(id)) => by("guardrail_id", id, problems),
        (Some(_), Some(_)) => {
            place.report("guardrail_id", "names the guardrail a second time; keep one of the two", problems);
            None
        }
        (None, None) => {
            place.report("", "\"guardrail\" or \"guardrail_id\" is required", problems);
            None
        }
    };
    let scope = scope(place, shape, names, problems);
    Some(Attachment {
        guardrail: guardrail?,
        enabled: shape.enabled,
        scope: scope?,
        priority: shape.priority,
    })
}

fn scope(place: Place<'_>, shape: &AttachmentShape, names: &Names, problems: &mut Problems) -> Option<Scope> {
    let (field, reference) = match (shape.scope_ref.as_deref(), shape.scope_id.as_deref()) {
        (Some(_), Some(_)) => {
            place.report("scope_id", "says a second time what it aims at; keep one of the two", problems);
            return None;
        }
        (Some(name), None) => ("scope_ref", name),
        (None, id) => ("scope_id", id.unwrap_or_default()),
    };
    match (shape.scope_type, reference) {
        (ScopeType::Env, "") if shape.scope_ref.is_none() && shape.scope_id.is_none() => Some(Scope::Env),
        (ScopeType::Env, _) => {
            place.report(field, "an attachment to everything refers to nothing", problems);
            None
        }
        (_, "") => {
            place.report(field, "is required, except for scope_type \"env\"", problems);
            None
        }
        (ScopeType::Team, team) => Some(Scope::Team(team.into())),
        (ScopeType::Model, name) => names.models.look_up(place, field, name, problems).map(Scope::Model),
        (ScopeType::ApiKey, name) => names.api_keys.look_up(place, field, name, problems).map(Scope::ApiKey),
    }
}
