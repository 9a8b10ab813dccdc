//! What is found out about a request, as plain values that can be printed or serialised.

use std::sync::Arc;

use aisix_actors::budget_ledger::Budget;
use aisix_actors::rate_limiter::{Layer, Scope};
use serde::Serialize;

use super::route::{Route, seats};
use super::target::{Place, Target};
use super::{cache, since_epoch};
use crate::config::settings::Verdict;
use crate::config::snapshot::{Dispatch, Model, Resolved, Snapshot};
use crate::dialect::Call;
use crate::endpoints::Endpoint;
use crate::error::{AccessError, Fault, GatewayError};
use crate::guardrails::Hook;
use crate::guardrails::chain::Subject;
use crate::pipeline::reserve::mute_provider;
use crate::pipeline::route::Wish;
use crate::pipeline::{clock, measure, outlay};
use crate::policies::{self, Phase};

/// What the gateway would do with a request.
#[derive(Serialize)]
pub(super) struct Explanation {
    /// The endpoint, such as `/v1/messages`.
    pub(super) path: &'static str,
    /// What is asked for.
    pub(super) operation: &'static str,
    /// The caller's key.
    pub(super) key: String,
    /// The model that the caller named.
    pub(super) model: String,
    /// Whether a stream is asked for.
    pub(super) is_stream: bool,
    /// The status and the reason of a refusal; nothing where the request would be sent.
    pub(super) refusal: Option<(u16, String)>,
    /// Guardrails before the request is sent, in their order.
    pub(super) input_guardrails: Vec<String>,
    /// Guardrails before the answer goes out, in their order.
    pub(super) output_guardrails: Vec<String>,
    /// Limits that it counts against.
    pub(super) limits: Vec<String>,
    /// Budgets that it is charged to.
    pub(super) budgets: Vec<String>,
    /// The cache policy, where there is one for it, and whether it covers it.
    pub(super) cache: Option<String>,
    /// A guess of the tokens sent, and the most that are held for the answer.
    pub(super) held_tokens: (u64, u64),
    /// What is held for it in budgets, or why a budget refuses it; nothing where no budget pays for it.
    pub(super) held_money: Option<String>,
    /// The longest time of all attempts until the answer begins, in milliseconds.
    pub(super) total_timeout_ms: Option<u128>,
    /// How targets are chosen; nothing for a direct model.
    pub(super) route: Option<Route>,
    /// The targets in the order in which they are asked, then those that are left out.
    pub(super) targets: Vec<Target>,
}

impl Explanation {
    /// Finds out what would happen.
    pub(super) fn of(snapshot: &Snapshot, wish: &Wish<'_>, call: &Call) -> Self {
        let (endpoint, caller) = (wish.endpoint, wish.caller);
        let resolved = snapshot.resolve(&call.model);
        let refusal = refusal(resolved.as_ref(), wish, call);
        let mut explanation = Self {
            path: endpoint.path,
            operation: endpoint.operation.label(),
            key: caller.name.to_string(),
            model: call.model.to_string(),
            is_stream: call.is_stream,
            refusal,
            input_guardrails: Vec::new(),
            output_guardrails: Vec::new(),
            limits: Vec::new(),
            budgets: Vec::new(),
            cache: None,
            held_tokens: (call.prompt_tokens, call.held_output_tokens()),
            held_money: None,
            total_timeout_ms: None,
            route: None,
            targets: Vec::new(),
        };
        if let Some(resolved) = resolved.filter(|_| explanation.refusal.is_none()) {
            explanation.add(snapshot, wish, call, &resolved);
            if let Err(error) = explanation.add_targets(snapshot, wish, call, &resolved) {
                explanation.refusal = Some((error.status(), error.to_string()));
            }
        }
        explanation
    }

    /// Whether the request would reach a provider.
    pub(super) fn is_sent(&self) -> bool {
        self.refusal.is_none() && self.targets.iter().any(Target::is_asked)
    }

    /// What holds for the request wherever it goes.
    fn add(&mut self, snapshot: &Snapshot, wish: &Wish<'_>, call: &Call, resolved: &Resolved) {
        let (endpoint, caller) = (wish.endpoint, wish.caller);
        let model = &resolved.model;
        let subject =
            Subject { model_id: &model.id, api_key_id: &caller.id, team_id: caller.team_id.as_deref() };
        if endpoint.operation.is_screened() {
            let chain = snapshot.guardrails.chain(&subject);
            let names = |hook| {
                let at = chain.at(hook);
                at.map(|rail| format!("{}{}", rail.name, if rail.is_monitor() { " (monitor)" } else { "" }))
                    .collect()
            };
            self.input_guardrails = names(Hook::Input);
            self.output_guardrails = names(Hook::Output);
        }
        let scopes = caller.rate_limit.iter().chain(&model.rate_limit);
        let subject = policies::Subject::at_gate(caller, model, &call.model, true);
        let policies = of_policies(snapshot, Phase::Gate, &subject);
        self.limits = scopes.map(|scope| limit(scope)).chain(policies).collect();
        let of_key: &[_] = match &model.dispatch {
            Dispatch::Direct(direct) => &direct.provider_key_budgets,
            Dispatch::Routing(_) => &[],
        };
        let budgets: Vec<_> = caller.budgets.iter().chain(&model.budgets).chain(of_key).collect();
        self.budgets = budgets.iter().map(|budget| described(budget)).collect();
        let told = (call, endpoint, resolved.capture.as_deref());
        self.held_money = held_money(snapshot, told, model, &budgets);
        self.cache = cache::described(snapshot, wish, call);
        self.total_timeout_ms = clock::limit(&snapshot.settings, model).map(|limit| limit.as_millis());
    }

    /// Where it goes.
    fn add_targets(
        &mut self,
        snapshot: &Snapshot,
        wish: &Wish<'_>,
        call: &Call,
        resolved: &Resolved,
    ) -> Result<(), GatewayError> {
        let model = &resolved.model;
        if let Some(provider) = mute_provider(wish.endpoint, model) {
            return Err(Fault::NotImplemented { provider, operation: wish.endpoint.operation }.into());
        }
        let target = |member, place| Target::of(snapshot, wish, call, resolved, (member, place));
        match &model.dispatch {
            Dispatch::Direct(_) => self.targets.extend(target(model, Place::At(1))),
            Dispatch::Routing(routing) => {
                let seats = seats(wish, model, routing)?;
                self.route = Some(Route::of(wish, call, model, routing));
                self.targets = seats
                    .into_iter()
                    .filter_map(|(index, place)| target(routing.members.get(index)?, place))
                    .collect();
            }
        }
        Ok(())
    }
}

/// What budgets hold for a request, or which of them refuses it.
pub(super) fn held_money(
    snapshot: &Snapshot,
    (call, endpoint, capture): (&Call, &Endpoint, Option<&str>),
    model: &Model,
    budgets: &[&Arc<Budget>],
) -> Option<String> {
    let hard = budgets.iter().find(|budget| budget.hard_stop);
    let worst = budgets.iter().find(|budget| budget.worst_case);
    if budgets.is_empty() {
        return None;
    }
    let refused = |budget: &Budget| format!("refused: budget {:?}", budget.name);
    if let Some(budget) = hard.filter(|_| call.is_background()) {
        return Some(format!(
            "cost unknown, as a background response is fetched later ({})",
            refused(budget)
        ));
    }
    let measures = measure::of(endpoint.operation.task(), call);
    let outlay = outlay::of(call, model, capture, &measures, worst.is_some());
    let Some(outlay) = outlay else {
        let refuses = hard.filter(|_| snapshot.settings.budget.unpriced == Verdict::Deny);
        return Some(format!(
            "price: unknown ({})",
            refuses.map_or("nothing is held".to_owned(), |b| refused(b))
        ));
    };
    let likely = outlay.likely.to_usd_exact();
    Some(match (worst, outlay.most) {
        (None, _) => format!("about ${likely}"),
        (Some(_), Some(most)) => format!("about ${likely}, at most ${}", most.to_usd_exact()),
        (Some(budget), None) if budget.hard_stop => {
            format!("about ${likely}, and nobody knows the most ({})", refused(budget))
        }
        (Some(_), None) => format!("about ${likely}, and nobody knows the most"),
    })
}

fn refusal(resolved: Option<&Resolved>, wish: &Wish<'_>, call: &Call) -> Option<(u16, String)> {
    let refuse = |error: AccessError| {
        let error = GatewayError::from(error);
        Some((error.status(), error.to_string()))
    };
    match resolved {
        _ if wish.caller.disabled => refuse(AccessError::DisabledKey),
        _ if wish.caller.is_expired(since_epoch()) => refuse(AccessError::ExpiredKey),
        None => refuse(AccessError::UnknownModel(call.model.clone())),
        Some(_) if !wish.caller.allows(&call.model) => {
            refuse(AccessError::ModelNotAllowed(call.model.clone()))
        }
        Some(resolved) if !resolved.model.admits(wish.address) => {
            refuse(AccessError::AddressNotAllowed(call.model.clone()))
        }
        Some(_) => None,
    }
}

/// The policies that a request falls under in a phase, suspended ones included.
pub(super) fn of_policies(snapshot: &Snapshot, phase: Phase, subject: &policies::Subject<'_>) -> Vec<String> {
    let under = snapshot.policies.under(phase, subject).into_iter();
    let described = under.map(|(policy, scope)| match policy.is_suspended(since_epoch()) {
        true => format!("{}, suspended now", limit(&scope)),
        false => limit(&scope),
    });
    described.collect()
}

/// Whose limit it is, and its numbers.
pub(super) fn limit(scope: &Scope) -> String {
    let limit = &scope.limit;
    let numbers = [
        ("rps", limit.rps),
        ("rpm", limit.rpm),
        ("rph", limit.rph),
        ("rpd", limit.rpd),
        ("tpm", limit.tpm),
        ("tpd", limit.tpd),
        ("concurrency", limit.concurrency.map(u64::from)),
    ];
    let numbers = numbers.iter().filter_map(|(name, number)| Some(format!("{name} {}", (*number)?)));
    let numbers = numbers.collect::<Vec<_>>().join(", ");
    match &scope.layer {
        Layer::Policy(policy) => format!("policy \"{}\": {numbers} (bucket {})", policy.name, scope.id),
        layer => format!("{layer}: {numbers}"),
    }
}

/// A budget, its limit, and what it does at the limit.
pub(super) fn described(budget: &Budget) -> String {
    let kind = match (budget.hard_stop, budget.worst_case) {
        (true, true) => ", holds the most",
        (true, false) => "",
        (false, _) => ", only warns",
    };
    let (name, limit, period) = (&budget.name, budget.limit.to_usd_exact(), budget.period.as_str());
    format!("{name}: ${limit} a {period}{kind}")
}
