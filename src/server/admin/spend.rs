//! What is spent: every budget, or those that somebody asks for.

use actix_web::{HttpRequest, HttpResponse, web};
use aisix_actors::types::Now;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::pipeline::usage::BudgetStanding;

/// Budgets, in the order of the configuration.
#[derive(Serialize, JsonSchema)]
pub(super) struct Spend<'a> {
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
pub(super) fn answer(gateway: &Gateway, request: &HttpRequest) -> HttpResponse {
    // What cannot be read filters nothing.
    let filter = web::Query::<Filter>::from_query(request.query_string()).map(web::Query::into_inner);
    let Filter { scope, scope_ref } = filter.unwrap_or_default();
    let (snapshot, now) = (gateway.snapshot(), Now::read());
    let is_asked = |known: Option<&str>, asked: &Option<String>| {
        asked.as_deref().is_none_or(|asked| known == Some(asked))
    };
    let wanted = snapshot.budgets.iter().filter(|budget| {
        is_asked(Some(budget.scope.as_str()), &scope) && is_asked(budget.scope_ref.as_deref(), &scope_ref)
    });
    let budgets = wanted.map(|budget| BudgetStanding::of(gateway, budget, now)).collect();
    HttpResponse::Ok().json(Spend { budgets })
}
