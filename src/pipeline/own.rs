//! What the gateway answers itself: probes, the list of models, and what a key has used.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::Serialize;

use super::exchange::Exchange;
use super::{relay, usage};
use crate::config::snapshot::{ApiKey, Dispatch, Model};
use crate::operation::Operation;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_SNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));

/// Answers a probe (§1.5): both fail while the process is draining.
#[must_use]
pub fn probe(operation: Operation, is_draining: bool, is_verbose: bool) -> HttpResponse {
    let (name, checks): (_, &[(&str, bool)]) = match operation {
        Operation::Readyz => ("readyz", &[("shutdown", !is_draining), ("config", true)]),
        _ => ("livez", &[("ping", true), ("shutdown", !is_draining)]),
    };
    let is_well = checks.iter().all(|(_, ok)| *ok);
    let mut text = String::new();
    if is_verbose || !is_well {
        for (check, ok) in checks {
            let line = if *ok {
                format!("[+]{check} ok\n")
            } else {
                format!("[-]{check} failed: reason withheld\n")
            };
            text.push_str(&line);
        }
        let verdict = if is_well { "passed" } else { "failed" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} check {verdict}");
    } else {
        text.push_str("ok");
    }
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = HttpResponse::with_body(status, text);
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response.headers_mut().insert(NO_SNIFF.0, NO_SNIFF.1);
    response.map_into_boxed_body()
}

/// Whether a probe asks for every check by name.
#[must_use]
pub fn is_verbose(request: &HttpRequest) -> bool {
    request.query_string().split('&').any(|part| part == "verbose" || part.starts_with("verbose="))
}

/// The models that a key may call.
#[derive(Serialize, JsonSchema)]
pub struct ModelList<'a> {
    /// Always `list`.
    object: &'static str,
    /// The models, in the order of the configuration.
    data: Vec<ModelRow<'a>>,
}

/// One model.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListedModel")]
struct ModelRow<'a> {
    /// The name to send.
    id: &'a str,
    /// Always `model`.
    object: &'static str,
    /// When it was configured, in seconds since 1970.
    created: u64,
    /// The company, or `aisix` for a choice among models.
    owned_by: &'a str,
}

/// Answers a caller whom no provider is asked for.
pub fn answer(exchange: &Exchange, caller: &ApiKey) -> HttpResponse {
    match exchange.endpoint.operation {
        Operation::Usage => usage::answer(exchange, caller),
        _ => models(exchange, caller),
    }
}

/// The models that a key may call, in the order of the configuration; patterns are not listed.
fn models(exchange: &Exchange, caller: &ApiKey) -> HttpResponse {
    let is_listed = |model: &&std::sync::Arc<Model>| !model.name.contains('*') && caller.allows(&model.name);
    let row = |model| {
        let model: &Model = model;
        let owned_by = match &model.dispatch {
            Dispatch::Direct(direct) => &*direct.provider_label,
            Dispatch::Routing(_) => "aisix",
        };
        ModelRow { id: &model.name, object: "model", created: model.created, owned_by }
    };
    let data = exchange.snapshot.models().filter(is_listed).map(|model| row(model)).collect();
    // Strings and integers always serialise.
    relay::whole(serde_json::to_vec(&ModelList { object: "list", data }).unwrap_or_default().into())
}
