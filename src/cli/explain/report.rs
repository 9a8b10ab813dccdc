//! What is found out about a request, as plain values that can be printed or serialised.

use std::collections::BTreeMap;

use actix_web::http::header::HeaderValue;
use aisix_actors::budget_ledger::Budget;
use aisix_actors::rate_limiter::Scope;
use serde::Serialize;
use serde_json::value::RawValue;

use super::shown;
use crate::config::snapshot::{ApiKey, Direct, Dispatch, Model, Resolved, Snapshot};
use crate::dialect::Call;
use crate::endpoints::Endpoint;
use crate::guardrails::Hook;
use crate::guardrails::chain::Subject;
use crate::pipeline::prepare::prepare;
use crate::providers::{self, Auth};
use crate::tokens;

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
    /// The cache policy, where one covers it.
    pub(super) cache: Option<String>,
    /// A guess of the tokens sent, and the most that are held for the answer.
    pub(super) held_tokens: (u64, u64),
    /// How targets are chosen; nothing for a direct model.
    pub(super) strategy: Option<String>,
    /// The targets, in the order of the configuration.
    pub(super) targets: Vec<Target>,
}

/// One target.
#[derive(Serialize)]
pub(super) struct Target {
    /// The model.
    pub(super) name: String,
    /// The provider, and the provider key.
    pub(super) provider: String,
    /// The address.
    pub(super) url: Option<String>,
    /// The headers, credentials masked.
    pub(super) headers: BTreeMap<String, String>,
    /// The dialect of the provider, where it is another than the caller's.
    pub(super) translated_to: Option<&'static str>,
    /// What could not be said in it.
    pub(super) dropped: Vec<String>,
    /// What would be sent.
    pub(super) body: Option<Box<RawValue>>,
    /// Why it could not be asked.
    pub(super) problem: Option<String>,
}

impl Explanation {
    /// Finds out what would happen.
    pub(super) fn of(snapshot: &Snapshot, endpoint: &Endpoint, caller: &ApiKey, call: &Call) -> Self {
        let resolved = snapshot.resolve(&call.model);
        let refusal = refusal(resolved.as_ref(), caller, call);
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
            strategy: None,
            targets: Vec::new(),
        };
        if let Some(resolved) = resolved.filter(|_| explanation.refusal.is_none()) {
            explanation.add(snapshot, endpoint, caller, call, &resolved);
        }
        explanation
    }

    /// Whether the request would reach a provider.
    pub(super) fn is_sent(&self) -> bool {
        self.refusal.is_none() && self.targets.iter().any(|target| target.problem.is_none())
    }

    fn add(
        &mut self,
        snapshot: &Snapshot,
        endpoint: &Endpoint,
        caller: &ApiKey,
        call: &Call,
        resolved: &Resolved,
    ) {
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
        self.limits = scopes.map(|scope| limit(scope)).collect();
        self.budgets = caller.budgets.iter().chain(&model.budgets).map(|budget| described(budget)).collect();
        let is_cached = endpoint.operation.is_cacheable() && !call.is_stream;
        self.cache = snapshot
            .cache_policy(&call.model, caller)
            .filter(|_| is_cached)
            .map(|policy| format!("{}, {} s", policy.name, policy.ttl.as_secs()));
        let members = match &model.dispatch {
            Dispatch::Direct(_) => std::slice::from_ref(model),
            Dispatch::Routing(routing) => {
                self.strategy = Some(format!("{:?}", model.group.strategy).to_ascii_lowercase());
                &routing.members
            }
        };
        self.targets = members
            .iter()
            .filter_map(|member| match &member.dispatch {
                Dispatch::Direct(direct) => Some(target(endpoint, call, resolved, member, direct)),
                Dispatch::Routing(_) => None,
            })
            .collect();
    }
}

fn refusal(resolved: Option<&Resolved>, caller: &ApiKey, call: &Call) -> Option<(u16, String)> {
    if caller.disabled {
        return Some((401, "this API key is disabled".to_owned()));
    }
    if resolved.is_none() {
        return Some((404, format!("the model \"{}\" is not configured on this gateway", call.model)));
    }
    (!caller.allows(&call.model))
        .then(|| (403, format!("this API key may not use the model \"{}\"", call.model)))
}

fn limit(scope: &Scope) -> String {
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
    let layer = format!("{:?}", scope.layer).to_ascii_lowercase();
    format!("{layer}: {}", numbers.collect::<Vec<_>>().join(", "))
}

fn described(budget: &Budget) -> String {
    let kind = if budget.hard_stop { "" } else { ", only warns" };
    let (name, limit, period) = (&budget.name, budget.limit.to_usd_exact(), budget.period.as_str());
    format!("{name}: ${limit} a {period}{kind}")
}

fn target(endpoint: &Endpoint, call: &Call, resolved: &Resolved, member: &Model, direct: &Direct) -> Target {
    let (operation, caller) = (endpoint.operation, endpoint.dialect);
    let mut target = Target {
        name: member.name.to_string(),
        provider: format!("{} (key \"{}\")", direct.provider_label, direct.provider_key_name),
        url: None,
        headers: BTreeMap::new(),
        translated_to: None,
        dropped: Vec::new(),
        body: None,
        problem: None,
    };
    if providers::way(direct.provider, operation, caller).is_none()
        && providers::answers(direct.provider, operation, caller)
    {
        let tokens = call.json().map_or(0, |body| tokens::count(&String::from_utf8_lossy(body.bytes())));
        target.problem = Some(format!("nothing is sent: the gateway counts itself, some {tokens} tokens"));
        return target;
    }
    match prepare(operation, caller, call, direct, resolved.capture.as_deref()) {
        Err(error) => target.problem = Some(format!("{}: {error}", error.status())),
        Ok(prepared) => {
            let is_strict = member.is_strict || resolved.model.is_strict;
            target.problem =
                prepared.refuse_loss().err().filter(|_| is_strict).map(|error| format!("400: {error}"));
            target.url = Some(format!("{}{}", direct.key.base_url, prepared.path));
            target.translated_to = (prepared.way.dialect != caller).then(|| prepared.way.dialect.protocol());
            target.dropped = prepared.dropped.names().map(ToOwned::to_owned).collect();
            target.headers = headers(direct, prepared.way.auth, &prepared.content_type);
            target.body = shown(&prepared.body.concat());
        }
    }
    target
}

/// The headers that the operator and the provider's rules add; credentials as three stars.
fn headers(direct: &Direct, auth: Option<Auth>, content_type: &str) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::from([("content-type".to_owned(), content_type.to_owned())]);
    for (name, value) in direct.provider.headers() {
        headers.insert(name.to_string(), text(value));
    }
    for (name, _) in &direct.default_headers.0 {
        headers.insert(name.to_string(), "***".to_owned());
    }
    if let Some((name, _)) = direct
        .key
        .credential
        .as_ref()
        .and_then(|_| auth.map_or_else(|| direct.provider.authorize("x"), |auth| auth.header("x")))
    {
        headers.insert(name.to_string(), "***".to_owned());
    }
    headers
}

fn text(value: &HeaderValue) -> String {
    value.to_str().unwrap_or_default().to_owned()
}
