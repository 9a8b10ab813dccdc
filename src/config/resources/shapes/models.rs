//! The shapes of models: what callers ask for, and everything that one model has for itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RateLimitShape;
use super::routing::RoutingShape;
use super::rules::{NAME, by_key, by_routing, local, network};
use crate::config::price::Decimal;

/// A name that callers send: direct (`model_name` and a provider key) or `routing`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Model", extend(
    "oneOf" = [
        by_key("provider_key", "provider_key_id"),
        by_key("provider_key_id", "provider_key"),
        by_routing(),
    ],
    "examples" = [
        { "display_name": "example", "provider_key": local(), "model_name": "demo" },
        { "display_name": "example-auto", "routing": { "targets": [{ "model": "demo-flaky" }, { "model": "demo" }] } },
    ],
))]
pub(crate) struct ModelShape {
    /// The name that callers send; no two models share one. One `*` makes a direct model stand for many.
    #[schemars(regex(pattern = NAME))]
    pub(crate) display_name: String,
    /// The company, for labels; absent, as the provider key says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub(crate) provider: Option<String>,
    /// The provider's name for the model; its `*` is what the `*` of `display_name` stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[^*]+$|^[^*]*\*[^*]*$"))]
    pub(crate) model_name: Option<String>,
    /// The provider key, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider_key: Option<String>,
    /// The provider key, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider_key_id: Option<String>,
    /// Longest time for a whole answer that is not streamed, in milliseconds; 0: no limit; absent:
    /// `upstream.timeout_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<u64>,
    /// Longest gap between two parts of a stream, in milliseconds; 0 or absent: `upstream.stream_timeout_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream_timeout: Option<u64>,
    /// Longest wait for the first token of a stream, in milliseconds; after it the next target is tried; 0 or absent: that of
    /// the routing model, otherwise `upstream.ttft_timeout_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ttft_timeout: Option<u64>,
    /// Longest time of a request over all tries at all targets until its answer begins, in milliseconds; 0: no limit;
    /// absent: `upstream.total_timeout_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_timeout: Option<u64>,
    /// From where it may be called: addresses and networks, such as `10.0.0.0/8`. An empty list allows every caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("items" = network()))]
    pub(crate) allowed_cidrs: Vec<String>,
    /// Further tries at this model when it fails and no other target is left; absent: `upstream.retries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retries: Option<u32>,
    /// Limits over all callers; absent, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<RateLimitShape>,
    /// What it costs; absent, as the price table says that comes with the gateway, where it knows the provider's model.
    /// Without a price a hard budget refuses the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<CostShape>,
    /// Whether a request is refused that would lose something when it is translated for the provider; otherwise the answer
    /// names what was lost in `x-aisix-dropped-fields`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) strict_translation: bool,
    /// When a failing model is not preferred for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cooldown: Option<CooldownShape>,
    /// The most tokens of a conversation with it, the answer included; requests that are too long move on only to targets
    /// with more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) context_window: Option<u64>,
    /// The most tokens that it answers with; budgets with `worst_case` hold as many where a request names no limit. Absent,
    /// as the price table says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) max_output_tokens: Option<u64>,
    /// Whether it goes on with an answer that is begun for it; absent: as its provider usually does. A model that begins
    /// anew instead would repeat itself in a stream that it takes up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prefill: Option<bool>,
    /// Questions by which the gateway finds out whether it is well. Each one costs what its tokens cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) background_model_check: Option<BackgroundCheckShape>,
    /// The models to choose from, instead of a provider key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routing: Option<RoutingShape>,
}

/// What a model costs, in US dollars. It replaces the row of the price table as a whole: what is absent here is not charged
/// for, but for input of the cache.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Cost")]
pub(crate) struct CostShape {
    /// A thousand tokens sent.
    pub(crate) input_per_1k: Decimal,
    /// A thousand tokens received, reasoning included.
    pub(crate) output_per_1k: Decimal,
    /// A thousand tokens that the provider read from its cache; absent, as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached_input_per_1k: Option<Decimal>,
    /// A thousand tokens that the provider wrote to its cache; absent, as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_write_per_1k: Option<Decimal>,
    /// A minute of sound to be written down, by the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_audio_minute: Option<Decimal>,
    /// An image that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_image: Option<Decimal>,
    /// A thousand characters that are spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_1k_characters: Option<Decimal>,
}

/// When a failing model is not preferred for a while.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Cooldown")]
pub(crate) struct CooldownShape {
    /// Absent: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enabled: Option<bool>,
    /// How long where the provider does not say, in seconds; 0: not at all; absent: 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_seconds: Option<u64>,
    /// Longest time, whatever the provider says, in seconds; absent: 600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) max_seconds: Option<u64>,
    /// Whether the provider's `Retry-After` counts; absent: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) honor_retry_after: Option<bool>,
    /// The provider's statuses that begin one; absent: 401, 408, 429, 500, 502, 503, 504.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub(crate) trigger_statuses: Option<Vec<u16>>,
    /// Whether a provider that is too slow begins one; absent: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_on_timeout: Option<bool>,
    /// Whether a provider that cannot be reached begins one; absent: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_on_transport: Option<bool>,
}

/// How a model is asked from time to time whether it is well. While it is not, routing models prefer their other targets.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BackgroundModelCheck")]
pub(crate) struct BackgroundCheckShape {
    /// Whether it is asked.
    pub(crate) enabled: bool,
    /// Between two questions, in seconds. Each one is a request to the provider, and is paid for.
    #[schemars(range(min = 5))]
    pub(crate) interval_seconds: u64,
    /// Longest wait for an answer, in seconds; none by then counts as status 408.
    #[schemars(range(min = 1))]
    pub(crate) timeout_seconds: u64,
    /// The question.
    #[schemars(length(min = 1))]
    pub(crate) prompt: String,
    /// The most tokens of the answer.
    #[schemars(range(min = 1))]
    pub(crate) max_tokens: u32,
    /// How long a bad answer counts, in seconds: more than the interval and the timeout together.
    #[schemars(range(min = 1))]
    pub(crate) stale_after_seconds: u64,
    /// Statuses that say nothing of the model, such as 429.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub(crate) ignore_statuses: Vec<u16>,
}

fn is_false(truth: &bool) -> bool {
    !truth
}
