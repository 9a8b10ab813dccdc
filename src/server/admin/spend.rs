//! What is spent: every budget, or those that somebody asks for.

use std::sync::Arc;

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use aisix_actors::budget_ledger::{Budget, BudgetScope};
use aisix_actors::types::Now;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::problem::did_you_mean;
use crate::config::snapshot::Snapshot;
use crate::envelope::{Envelope, Failure};
use crate::error::AdminError;
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
#[derive(Default)]
struct Filter {
    scope: Option<String>,
    scope_ref: Option<String>,
}

const SCOPES: [BudgetScope; 6] = [
    BudgetScope::Org,
    BudgetScope::Team,
    BudgetScope::Member,
    BudgetScope::ApiKey,
    BudgetScope::Model,
    BudgetScope::ProviderKey,
];

impl Filter {
    /// What cannot be a filter is refused: an answer of everything, or of nothing, would be taken for the truth.
    fn read(query: &str) -> Result<Self, String> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::from_query(query) else {
            return Err("the query cannot be read".to_owned());
        };
        let mut filter = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                // A form that is left empty chooses nothing.
                "scope" | "scope_ref" if value.is_empty() => {}
                "scope" => filter.scope = Some(known_scope(value)?),
                "scope_ref" => filter.scope_ref = Some(value),
                _ => {
                    let hint = did_you_mean(&name, ["scope", "scope_ref"]);
                    return Err(format!("no parameter is called {name:?}{hint}"));
                }
            }
        }
        Ok(filter)
    }

    /// Things are found by their name as well as by their id.
    fn is_met(&self, snapshot: &Snapshot, budget: &Budget) -> bool {
        let is_scope = self.scope.as_deref().is_none_or(|scope| scope == budget.scope.as_str());
        let is_ref = |asked: &str| {
            budget.scope_ref.as_deref() == Some(asked)
                || snapshot.scope_name(budget).is_some_and(|name| *name == *asked)
        };
        is_scope && self.scope_ref.as_deref().is_none_or(is_ref)
    }
}

fn known_scope(scope: String) -> Result<String, String> {
    let names = SCOPES.map(BudgetScope::as_str);
    match names.contains(&&*scope) {
        true => Ok(scope),
        false => Err(format!("no scope is called {scope:?}{}", did_you_mean(&scope, names))),
    }
}

/// The filters, for the document.
pub(super) fn filters() -> Vec<Value> {
    let filter = |name: &str, schema: Value, description: &str| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    let scopes: Vec<_> = std::iter::once("").chain(SCOPES.iter().map(|scope| scope.as_str())).collect();
    vec![
        filter(
            "scope",
            json!({ "type": "string", "enum": scopes }),
            "Only budgets of this scope, such as `team`; empty for all.",
        ),
        filter(
            "scope_ref",
            json!({ "type": "string" }),
            "Only budgets of this one of its scope: the name or id of an API key, a model or a provider key, or the id of a team or member; empty for all.",
        ),
    ]
}

/// Answers an administrator.
///
/// # Errors
/// 400 for a parameter or a scope that there is not.
pub(super) async fn answer(worker: &Worker, request: &HttpRequest) -> Result<HttpResponse, Failure> {
    let filter = Filter::read(request.query_string())
        .map_err(|why| Failure::new(AdminError::Invalid(why), Envelope::Admin))?;
    let (gateway, ledger) = (&worker.gateway, &worker.actors.ledger);
    let snapshot = gateway.snapshot();
    let mut wanted: Vec<_> =
        snapshot.budgets.iter().filter(|budget| filter.is_met(&snapshot, budget)).collect();
    wanted.sort_by(|one, other| one.name.cmp(&other.name));
    let asked: Vec<_> = wanted.iter().map(|budget| Arc::clone(budget)).collect();
    let source = Source::of(&[(ledger.is_shared(), ledger.look(&asked).await)]);
    let now = Now::read();
    let budgets =
        wanted.into_iter().map(|budget| BudgetStanding::of(gateway, &snapshot, budget, now)).collect();
    Ok(HttpResponse::Ok().json(Spend { source, budgets }))
}
