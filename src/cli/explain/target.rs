//! One target of a request: whether it is asked, what it would be sent, and how long it would be waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use aisix_actors::types::MicroUsd;
use serde::Serialize;
use serde_json::value::RawValue;

use super::report::{described, held_money, limit, of_policies};
use super::shown;
use crate::config::snapshot::{Direct, Dispatch, Model, Resolved, Snapshot};
use crate::dialect::Call;
use crate::pipeline::patience::Patience;
use crate::pipeline::prepare::prepare;
use crate::pipeline::retry::Rules;
use crate::pipeline::route::Wish;
use crate::pipeline::{clock, count};
use crate::policies::{Phase, Subject};
use crate::providers::Auth;
use crate::tokens;

/// Where a target stands in the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// At this place, counted from 1.
    At(usize),
    /// Among those of its priority; at which place, only a running gateway knows.
    Among,
    /// Nowhere, for this reason.
    LeftOut(String),
}

/// One target.
#[derive(Serialize)]
pub(super) struct Target {
    /// The model.
    pub(super) name: String,
    /// The provider, and the provider key.
    pub(super) provider: String,
    /// Where it stands in the order.
    pub(super) place: Place,
    /// What the group says of it; nothing for a direct model.
    #[serde(flatten)]
    pub(super) member: Option<Member>,
    /// Its own limits and the policies that each attempt at it counts against; nothing for a direct model, where they
    /// are the request's.
    pub(super) limits: Vec<String>,
    /// Budgets that each attempt at it is charged to; nothing for a direct model, where they are the request's.
    pub(super) budgets: Vec<String>,
    /// What is held for an attempt in those budgets, or which of them refuses it.
    pub(super) held_money: Option<String>,
    /// How often it is asked again.
    pub(super) retries: u32,
    /// The same where no other target is left.
    pub(super) retries_when_last: u32,
    /// What it costs, and where that is from; nothing when unknown.
    pub(super) price: Option<String>,
    /// The limits of the wait for it, by the names of the configuration.
    pub(super) time_limits_ms: BTreeMap<&'static str, u128>,
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

/// What a group says of its target.
#[derive(Serialize)]
pub(super) struct Member {
    /// Higher ones are tried first.
    pub(super) priority: i32,
    /// Its share.
    pub(super) weight: u32,
    /// What requests may ask for it by.
    pub(super) tags: Vec<String>,
}

/// The price of a model in words, in dollars per million tokens.
fn price(direct: &Direct, capture: Option<&str>) -> Option<String> {
    let terms = direct.terms(capture);
    let price = terms.price?;
    let dollars = |micros: u64| MicroUsd(micros).to_usd_exact();
    let from = match (&direct.tariff.cost, terms.row) {
        (None, Some(row)) => format!("{}, read on {}", row.source, row.read),
        _ => "cost in the configuration".to_owned(),
    };
    let rates = price.rates;
    Some(format!("{} in, {} out ({from})", dollars(rates.input), dollars(rates.output)))
}

impl Target {
    /// Finds out what would become of a request there; nothing for a model without an upstream.
    pub(super) fn of(
        snapshot: &Snapshot,
        wish: &Wish<'_>,
        call: &Call,
        resolved: &Resolved,
        (model, place): (&Model, Place),
    ) -> Option<Self> {
        let Dispatch::Direct(direct) = &model.dispatch else { return None };
        let (parent, settings) = (&*resolved.model, &snapshot.settings);
        let is_routed = matches!(parent.dispatch, Dispatch::Routing(_));
        let patience = Patience::of(settings, model, is_routed.then_some(parent));
        let patience = patience.cut_to(clock::limit(settings, parent));
        let tries = |has_more| Rules::of(settings, parent, model, has_more).tries();
        let members = &parent.group.members;
        let member = members.iter().find(|member| is_routed && member.target.id == model.id);
        let budgets: Vec<_> =
            direct.provider_key_budgets.iter().chain(&model.budgets).filter(|_| is_routed).collect();
        let told = (call, wish.endpoint, resolved.capture.as_deref());
        let mut target = Self {
            name: model.name.to_string(),
            provider: format!("{} (key \"{}\")", direct.provider_label, direct.provider_key_name),
            place,
            member: member.map(|member| Member {
                priority: member.priority,
                weight: member.weight,
                tags: member.tags.iter().map(ToString::to_string).collect(),
            }),
            limits: if is_routed { limits(snapshot, wish, call, parent, model) } else { Vec::new() },
            budgets: budgets.iter().map(|budget| described(budget)).collect(),
            held_money: held_money(snapshot, told, model, &budgets),
            retries: tries(is_routed),
            retries_when_last: tries(false),
            price: price(direct, resolved.capture.as_deref()),
            time_limits_ms: time_limits(&patience, call.is_stream),
            url: None,
            headers: BTreeMap::new(),
            translated_to: None,
            dropped: Vec::new(),
            body: None,
            problem: None,
        };
        if !matches!(target.place, Place::LeftOut(_)) {
            target.prepare(wish, call, resolved, model, direct);
        }
        Some(target)
    }

    /// Whether it would be asked.
    pub(super) fn is_asked(&self) -> bool {
        self.problem.is_none() && !matches!(self.place, Place::LeftOut(_))
    }

    fn prepare(&mut self, wish: &Wish<'_>, call: &Call, resolved: &Resolved, model: &Model, direct: &Direct) {
        if count::is_ours(wish.endpoint, direct) {
            let tokens = call.json().map_or(0, |body| tokens::count(&String::from_utf8_lossy(body.bytes())));
            self.problem = Some(format!("nothing is sent: the gateway counts itself, some {tokens} tokens"));
            return;
        }
        let (operation, dialect) = (wish.endpoint.operation, wish.endpoint.dialect);
        match prepare(operation, dialect, call, direct, resolved.capture.as_deref()) {
            Err(error) => self.problem = Some(format!("{}: {error}", error.status())),
            Ok(prepared) => {
                let is_strict = model.is_strict || resolved.model.is_strict;
                self.problem =
                    prepared.refuse_loss().err().filter(|_| is_strict).map(|error| format!("400: {error}"));
                self.url = Some(format!("{}{}", direct.key.base_url, prepared.path));
                self.translated_to =
                    (prepared.way.dialect != dialect).then(|| prepared.way.dialect.protocol());
                self.dropped = prepared.dropped.names().map(ToOwned::to_owned).collect();
                self.headers = headers(direct, prepared.way.auth, &prepared.content_type);
                self.body = shown(&prepared.body.concat());
            }
        }
    }
}

/// What an attempt at a target of a routing model counts against.
fn limits(snapshot: &Snapshot, wish: &Wish<'_>, call: &Call, parent: &Model, target: &Model) -> Vec<String> {
    let subject = Subject::at_target(wish.caller, parent, &call.model, target);
    let policies = of_policies(snapshot, Phase::Target, &subject);
    target.rate_limit.iter().map(|scope| limit(scope)).chain(policies).collect()
}

/// Those limits that hold for whole answers, or for streams.
fn time_limits(patience: &Patience, is_stream: bool) -> BTreeMap<&'static str, u128> {
    let head = ("first_byte_timeout", patience.head);
    let limits = match is_stream {
        false => vec![("timeout", patience.whole), head],
        true => vec![
            ("stream_timeout", patience.gap),
            ("ttft_timeout", patience.first_token),
            ("stream_total_timeout", patience.stream),
            head,
        ],
    };
    let millis = |limit: Duration| limit.as_millis();
    limits.into_iter().filter_map(|(name, limit)| Some((name, limit.map(millis)?))).collect()
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
