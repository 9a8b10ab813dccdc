//! What is spent: every budget, or those that somebody asks for.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use aisix_actors::types::Now;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::gateway::Worker;
use crate::pipeline::usage::{BudgetStanding, Source};

/// Budgets, by name.
#[derive(Serialize, JsonSchema)]
pub(super) struct Spend<'a> {
    /// Where the figures come from.
    source: Source,
    /// Each of them.
    budgets: Vec<BudgetStanding<'a>>,
}

/// Which budgets are asked for.
#[derive(Deserialize, Default)]
struct Filter {
    scope: Option<String>,
    scope_ref: Option<String>,
}

/// The filters, for the document.
pub(super) fn filters() -> Vec<Value> {
    let filter = |name: &str, description: &str| json!({ "name": name, "in": "query", "description": description, "schema": { "type": "string" } });
    vec![
        filter("scope", "Only budgets of this scope, such as `team`."),
        filter("scope_ref", "Only budgets of this one of its scope, such as the name of a team."),
    ]
}

/// Answers an administrator.
pub(super) async fn answer(worker: &Worker, request: &HttpRequest) -> HttpResponse {
    // What cannot be read filters nothing.
    let filter = web::Query::<Filter>::from_query(request.query_string()).map(web::Query::into_inner);
    let Filter { scope, scope_ref } = filter.unwrap_or_default();
    let (gateway, ledger) = (&worker.gateway, &worker.actors.ledger);
    let snapshot = gateway.snapshot();
    let is_asked = |known: Option<&str>, asked: &Option<String>| {
        asked.as_deref().is_none_or(|asked| known == Some(asked))
    };
    let wanted = snapshot.budgets.iter().filter(|budget| {
        is_asked(Some(budget.scope.as_str()), &scope) && is_asked(budget.scope_ref.as_deref(), &scope_ref)
    });
    let mut wanted: Vec<_> = wanted.collect();
    wanted.sort_by(|one, other| one.name.cmp(&other.name));
    let asked: Vec<_> = wanted.iter().map(|budget| Arc::clone(budget)).collect();
    let source = Source::of(&[(ledger.is_shared(), ledger.look(&asked).await)]);
    let now = Now::read();
    let budgets = wanted.into_iter().map(|budget| BudgetStanding::of(gateway, budget, now)).collect();
    HttpResponse::Ok().json(Spend { source, budgets })
}
