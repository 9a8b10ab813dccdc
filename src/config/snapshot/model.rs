//! What callers ask for: a model with an upstream of its own, or a choice among such models.

use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc, time::Duration};

use actix_web::http::header::HeaderName;
use aisix_actors::{
    budget_ledger::Budget, candidate_router::Group, provider_pool::ProviderKey, rate_limiter::Scope,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{cidr::Cidr, glob::Glob, price::Price, prices},
    dialect::prefill::Prefill,
    providers::Provider,
};

/// A name that callers send, and everything that follows from it.
#[derive(Debug)]
pub struct Model {
    /// The id: UUIDv5 of the name.
    pub id: Arc<str>,
    /// The display name; may hold one `*`.
    pub name: Arc<str>,
    /// The model's limits, shared by its callers; nothing when there are none.
    pub rate_limit: Option<Arc<Scope>>,
    /// The deadline of a whole answer.
    pub timeout: TimeoutRule,
    /// The longest gap between two parts of a stream.
    pub stream_timeout: TimeoutRule,
    /// The longest wait for the first token of a stream.
    pub ttft_timeout: TimeoutRule,
    /// The longest time of a request over all its attempts, until its answer begins.
    pub total_timeout: TimeoutRule,
    /// From where it may be called; empty: from everywhere.
    pub allowed_cidrs: Vec<Cidr>,
    /// Whether a request that would lose something in translation is refused.
    pub is_strict: bool,
    /// Budgets of this model.
    pub budgets: Vec<Arc<Budget>>,
    /// What the router is asked with; a direct model is its own only target.
    pub group: Arc<Group>,
    /// When this configuration was loaded, in seconds since the Unix epoch.
    pub created: u64,
    /// How a request is served.
    pub dispatch: Dispatch,
}

impl Model {
    /// Whether the name stands for many.
    pub fn is_wildcard(&self) -> bool {
        self.name.contains('*')
    }

    /// Whether it may be called from an address. One that nobody knows lies in no network.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        let is_inside = |address| self.allowed_cidrs.iter().any(|network| network.contains(address));
        self.allowed_cidrs.is_empty() || address.is_some_and(is_inside)
    }

    /// Why no target can go on with a stream that breaks off, where the model says that one should; and what helps.
    pub(super) fn why_nobody_goes_on(&self) -> Option<&'static str> {
        let Dispatch::Routing(routing) = &self.dispatch else { return None };
        let goes_on = |member: &Arc<Model>| matches!(&member.dispatch, Dispatch::Direct(direct) if direct.prefill() != Prefill::Never);
        if routing.mid_stream != MidStream::Continue {
            None
        } else if routing.members.len() < 2 {
            Some("its only target cannot take its own place: add another target")
        } else if self.group.max_fallbacks == Some(0) {
            Some("it asks no target after the first: let max_fallbacks be 1 or more")
        } else if !routing.members.iter().any(goes_on) {
            Some(
                "no target goes on with an answer that has begun: write prefill = true in one that can, or add one",
            )
        } else {
            None
        }
    }
}

/// How a model serves a request.
#[derive(Debug)]
pub enum Dispatch {
    /// By one upstream.
    Direct(Direct),
    /// By the first of several models that can.
    Routing(Routing),
}

/// One upstream.
pub struct Direct {
    /// The code that knows the provider's API.
    pub provider: &'static dyn Provider,
    /// The provider id, for labels.
    pub provider_label: Arc<str>,
    /// The provider's name for the model; a `*` is filled by the capture.
    pub upstream_model: Arc<str>,
    /// The id by which the provider pool leases.
    pub provider_key: Arc<str>,
    /// The display name of that provider key.
    pub provider_key_name: Arc<str>,
    /// Where the provider is, and what authenticates there.
    pub key: Arc<ProviderKey>,
    /// Budgets of that provider key.
    pub provider_key_budgets: Vec<Arc<Budget>>,
    /// Tries again at this target; nothing to take the group's or the default.
    pub retries: Option<u32>,
    /// What it costs, and how long its answers are.
    pub tariff: Tariff,
    /// The tokens that a conversation with it may have; nothing when unknown.
    pub context_window: Option<u64>,
    /// Whether it goes on with an answer that is begun for it; nothing to take the provider's usual manner.
    pub prefill: Option<bool>,
    /// How it is checked in the background; nothing to leave it alone.
    pub background_check: Option<Box<BackgroundCheck>>,
    /// Headers that every request carries.
    pub default_headers: DefaultHeaders,
    /// Names of callers' headers that are handed on.
    pub forwarded_headers: Arc<[Glob]>,
}

/// What a model costs, as far as that is known when the configuration is loaded.
#[derive(Clone, Debug, Default)]
pub struct Tariff {
    /// What the operator says that it costs.
    pub cost: Option<Price>,
    /// The most tokens of an answer, as the operator says.
    pub max_output_tokens: Option<u64>,
    /// What the price table says of the provider's model; nothing where that is known per request only.
    pub row: Option<&'static prices::Row>,
}

/// What a provider's model costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// The price; nothing when unknown.
    pub price: Option<&'a Price>,
    /// The most tokens of an answer; nothing when unknown.
    pub max_output_tokens: Option<u64>,
    /// The most tokens of a conversation; nothing when unknown.
    pub context_window: Option<u64>,
    /// What the price table says of it.
    pub row: Option<&'static prices::Row>,
}

impl Direct {
    /// What the provider's model costs that a caller's name stands for; one look-up for models that stand for many.
    #[must_use]
    pub fn terms(&self, capture: Option<&str>) -> Terms<'_> {
        let row = match capture {
            Some(_) if self.upstream_model.contains('*') => {
                prices::find(self.provider.priced_as(), &self.upstream_model_for(capture))
            }
            _ => self.tariff.row,
        };
        Terms {
            price: self.tariff.cost.as_ref().or(row.map(|row| &row.price)),
            max_output_tokens: self.tariff.max_output_tokens.or(row.and_then(|row| row.max_output_tokens)),
            context_window: self.context_window.or(row.and_then(|row| row.context_window)),
            row,
        }
    }

    /// Whether, and how, it goes on with an answer that is begun for it.
    pub fn prefill(&self) -> Prefill {
        match (self.prefill, self.provider.prefill()) {
            (Some(false), _) => Prefill::Never,
            (Some(true), Prefill::Never) => Prefill::Turn,
            (_, usual) => usual,
        }
    }

    /// The provider's name for the model, with what the `*` of the caller's name stood for.
    pub fn upstream_model_for(&self, capture: Option<&str>) -> Cow<'_, str> {
        match (capture, self.upstream_model.contains('*')) {
            (Some(capture), true) => self.upstream_model.replacen('*', capture, 1).into(),
            _ => Cow::Borrowed(&self.upstream_model),
        }
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct")
            .field("provider", &self.provider.name())
            .field("upstream_model", &self.upstream_model)
            .field("provider_key", &self.provider_key_name)
            .finish_non_exhaustive()
    }
}

/// Headers by lower-case name. Values may be credentials and are not printed.
#[derive(Clone, Default)]
pub struct DefaultHeaders(pub Vec<(Arc<str>, Arc<str>)>);

impl fmt::Debug for DefaultHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A choice among direct models.
#[derive(Debug)]
pub struct Routing {
    /// The targets, in the order of the group's.
    pub members: Vec<Arc<Model>>,
    /// Tries again at a target that says nothing itself.
    pub retries: Option<u32>,
    /// Whether a 429 is tried again and moves on.
    pub retry_on_429: bool,
    /// Further statuses that are tried again and move on.
    pub fallback_on_statuses: Vec<u16>,
    /// Refusals after which another target is asked, though the same request would be refused here again.
    pub fallback_on: FallbackOn,
    /// What becomes of a stream that breaks off.
    pub mid_stream: MidStream,
    /// What [`aisix_actors::candidate_router::Strategy::ConsistentHash`] goes by: the first that a request has.
    pub hash_on: Vec<HashOn>,
}

/// Refusals after which another target is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FallbackOn {
    /// The conversation is longer than the target's context: a target with a larger one may take it.
    pub context_length: bool,
    /// The target's filter does not like it.
    pub content_policy: bool,
}

/// What becomes of a stream that breaks off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MidStream {
    /// An error frame ends it.
    #[default]
    Error,
    /// Another target is asked to go on with it.
    Continue,
}

/// A property of a request that the same caller's next one has too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOn {
    /// A header, by its lower-case name.
    Header(HeaderName),
    /// A cookie.
    Cookie(Box<str>),
    /// The caller's API key.
    ApiKey,
    /// The caller's address.
    ClientIp,
}

/// A question that is asked from time to time to find out whether a model is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundCheck {
    /// Between two questions.
    pub interval: Duration,
    /// The longest wait for an answer.
    pub timeout: Duration,
    /// The question.
    pub prompt: Box<str>,
    /// The most tokens of the answer.
    pub max_tokens: u32,
    /// How long a bad answer counts.
    pub stale_after: Duration,
    /// Statuses that say nothing of the model; no answer in time counts as 408.
    pub ignore_statuses: Vec<u16>,
}

/// What a model says about a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutRule {
    /// Nothing: the next wider rule holds.
    Inherit,
    /// No limit.
    None,
    /// This limit.
    After(Duration),
}
