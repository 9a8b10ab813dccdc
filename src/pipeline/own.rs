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
use crate::gateway::Gateway;
use crate::journal::Health;
use crate::operation::Operation;
use crate::redis;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_SNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));

/// What a check has found.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    Well,
    /// Something is the matter that does not keep traffic away.
    Degraded,
    Failed,
}

impl From<bool> for Found {
    fn from(is_well: bool) -> Self {
        if is_well { Self::Well } else { Self::Failed }
    }
}

impl From<Health> for Found {
    fn from(health: Health) -> Self {
        match health {
            Health::Well => Self::Well,
            Health::Degraded => Self::Degraded,
            Health::Refusing => Self::Failed,
        }
    }
}

/// Answers a probe (§1.5): both fail while the process is draining, and it is not ready while it would refuse requests
/// because charges
/// cannot be recorded, or because the Redis of limits or budgets is away and they are to refuse then.
#[must_use]
pub fn probe(operation: Operation, gateway: &Gateway, is_verbose: bool) -> HttpResponse {
    let serves = Found::from(!gateway.is_draining());
    let ledger = Found::from(gateway.journal.health());
    let (name, mut checks) = match operation {
        Operation::Readyz => {
            ("readyz", vec![("shutdown", serves), ("config", Found::Well), ("ledger", ledger)])
        }
        _ => ("livez", vec![("ping", Found::Well), ("shutdown", serves)]),
    };
    if operation == Operation::Readyz {
        checks.extend(redis::health(gateway).map(|health| ("redis", Found::from(health))));
    }
    let is_well = checks.iter().all(|(_, found)| *found != Found::Failed);
    let mut text = String::new();
    if is_verbose || !is_well {
        for (check, found) in checks {
            let line = match found {
                Found::Well => format!("[+]{check} ok\n"),
                Found::Degraded => format!("[+]{check} degraded: reason withheld\n"),
                Found::Failed => format!("[-]{check} failed: reason withheld\n"),
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
pub async fn answer(exchange: &Exchange, caller: &ApiKey) -> HttpResponse {
    match exchange.endpoint.operation {
        Operation::Usage => usage::answer(exchange, caller).await,
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
