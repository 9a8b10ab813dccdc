//! The shapes of routing: which models to choose from, and how.

use aisix_actors::candidate_router::{Strategy, WhenAllUnavailable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{HEADER, TAG, hashed, named_properties};
use super::words::{StrategyShape, WhenAllUnavailableShape};
use crate::config::snapshot::MidStream;

/// A choice among direct models.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Routing", extend("anyOf" = hashed()))]
pub(crate) struct RoutingShape {
    /// The order in which targets are tried.
    #[serde(with = "StrategyShape", default = "failover")]
    pub(crate) strategy: Strategy,
    /// The direct models to choose from, each once.
    #[schemars(length(min = 1))]
    pub(crate) targets: Vec<TargetShape>,
    /// Further tries at a target that says nothing itself; absent: `upstream.retries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retries: Option<u32>,
    /// Targets that are tried after the first; absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_fallbacks: Option<u32>,
    /// Whether a target that answers 429 is tried again.
    #[serde(default)]
    pub(crate) retry_on_429: bool,
    /// Further statuses of a target after which the next one is tried.
    #[serde(default)]
    #[schemars(inner(range(min = 400, max = 599)))]
    pub(crate) fallback_on_statuses: Vec<u16>,
    /// Refusals of a target after which another one is tried, though the same request would be refused here again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fallback_on: Vec<MoveOn>,
    /// What becomes of a stream that breaks off; absent: `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mid_stream: Option<MidStream>,
    /// What `consistent_hash` goes by: the first of these that a request has. Absent: the header `x-aisix-routing-key`, then
    /// the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) hash_on: Option<Vec<HashOnShape>>,
    /// What happens while every target fails its background checks.
    #[serde(with = "WhenAllUnavailableShape", default = "fail")]
    pub(crate) when_all_unavailable: WhenAllUnavailable,
}

/// One of the models to choose from.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Target")]
pub(crate) struct TargetShape {
    /// A direct model, by name.
    pub(crate) model: String,
    /// Its share among targets of the same priority, where the strategy knows shares; 0 or absent: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
    /// Targets with a higher one are tried before all others; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) priority: Option<i32>,
    /// What requests may ask for it by, in `x-aisix-routing-tags`. Those tagged `default` serve requests
    /// without tags, and with tags that no target has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = TAG)))]
    pub(crate) tags: Vec<String>,
}

/// A refusal after which another target is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "FallbackOn")]
pub(crate) enum MoveOn {
    /// The conversation is too long for it: a target with a larger `context_window` may take it.
    ContextLength,
    /// Its content filter refused.
    ContentPolicy,
}

/// A property of a request that the same caller's next one has too.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HashOn", extend("oneOf" = named_properties()))]
pub(crate) struct HashOnShape {
    /// What it is.
    pub(crate) r#type: HashOnType,
    /// Which header or cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = HEADER))]
    pub(crate) name: Option<String>,
}

/// A kind of property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HashOnType {
    /// A header, by name. Those that carry credentials are refused.
    Header,
    /// A cookie, by name.
    Cookie,
    /// The caller's API key.
    ApiKey,
    /// The caller's address.
    ClientIp,
}

fn failover() -> Strategy {
    Strategy::Failover
}

fn fail() -> WhenAllUnavailable {
    WhenAllUnavailable::Fail
}
