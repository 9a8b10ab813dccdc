//! The shape of each resource, in the file and in the Admin API: unknown keys are refused, nothing is resolved.
//!
//! The sentences about fields are those of the OpenAPI document; what a field may hold beyond its type is checked in
//! `validate`. Serialised, secrets are masked.

use std::{collections::BTreeMap, path::PathBuf};

use aisix_actors::{
    budget_ledger::{BudgetScope, Period},
    candidate_router::{Strategy, WhenAllUnavailable},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{
    expiry::Expiry,
    glob::Glob,
    price::Decimal,
    secret::{KeyHash, Plaintext, hashed_key},
    settings::Backend,
    snapshot::CacheScope,
};

/// One of `[[provider_keys]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderKeyShape {
    pub(crate) display_name: String,
    #[serde(alias = "secret", skip_serializing_if = "Option::is_none")]
    pub(crate) api_key: Option<Plaintext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) adapter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_in_flight: Option<u32>,
    #[serde(default, skip_serializing_if = "RequestShape::is_empty")]
    pub(crate) request: RequestShape,
}

/// `provider_keys[].tls`: trust of its own; at most one of the two certificates.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_cert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default = "yes")]
    pub(crate) verify: bool,
}

/// `provider_keys[].request`: what every request to the provider carries.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequestShape {
    pub(crate) default_headers: BTreeMap<String, Plaintext>,
}

impl RequestShape {
    fn is_empty(&self) -> bool {
        self.default_headers.is_empty()
    }
}

/// One of `[[models]]`: direct (`provider_key` and `model_name`) or `routing`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelShape {
    pub(crate) display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream_timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<RateLimitShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<CostShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cooldown: Option<CooldownShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routing: Option<RoutingShape>,
}

/// `rate_limit`, on models and API keys.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimitShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rph: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rpd: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tpd: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency: Option<u32>,
}

/// `models[].cost`: US dollars per thousand tokens.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CostShape {
    pub(crate) input_per_1k: Decimal,
    pub(crate) output_per_1k: Decimal,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached_input_per_1k: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_write_per_1k: Option<Decimal>,
}

/// `models[].cooldown`; what is absent is as the router has it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CooldownShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) honor_retry_after: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_statuses: Option<Vec<u16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_on_timeout: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_on_transport: Option<bool>,
}

/// `models[].routing`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoutingShape {
    #[serde(with = "StrategyShape", default = "failover")]
    pub(crate) strategy: Strategy,
    pub(crate) targets: Vec<TargetShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_fallbacks: Option<u32>,
    #[serde(default)]
    pub(crate) retry_on_429: bool,
    #[serde(default)]
    pub(crate) fallback_on_statuses: Vec<u16>,
    #[serde(with = "WhenAllUnavailableShape", default = "fail")]
    pub(crate) when_all_unavailable: WhenAllUnavailable,
}

/// `models[].routing.targets[]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetShape {
    pub(crate) model: String,
}

/// One of `[[api_keys]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyShape {
    pub(crate) display_name: String,
    /// The key itself; only its hash is kept. In the file exactly one of `key` and `key_hash`; over the Admin API a new
    /// key without either is given one.
    #[serde(
        default,
        deserialize_with = "hashed_key",
        rename(serialize = "key_hash"),
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>")]
    pub(crate) key: Option<KeyHash>,
    /// The SHA-256 of the key, as 64 lower-case hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_hash: Option<KeyHash>,
    /// Earlier keys of the same caller that are still good for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retiring: Vec<RetiringShape>,
    pub(crate) allowed_models: Vec<Glob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<RateLimitShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) team_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Expiry>,
    #[serde(default)]
    pub(crate) disabled: bool,
}

/// `api_keys[].retiring[]`: an earlier key, until when it is good.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetiringShape {
    pub(crate) key_hash: KeyHash,
    pub(crate) until: Expiry,
}

/// One of `[[budgets]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetShape {
    pub(crate) name: String,
    #[serde(with = "BudgetScopeShape")]
    pub(crate) scope: BudgetScope,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope_ref: Option<String>,
    pub(crate) limit_usd: Decimal,
    #[serde(with = "PeriodShape")]
    pub(crate) period: Period,
    #[serde(default = "utc")]
    pub(crate) timezone: String,
    #[serde(default = "yes")]
    pub(crate) hard_stop: bool,
    #[serde(default)]
    pub(crate) alert_at: Vec<f64>,
}

/// One of `[[cache_policies]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CachePolicyShape {
    pub(crate) name: String,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) backend: Backend,
    #[serde(default = "an_hour")]
    pub(crate) ttl_seconds: u64,
    #[serde(default = "all")]
    pub(crate) applies_to: String,
    #[serde(default)]
    pub(crate) scope: CacheScope,
    #[serde(default)]
    pub(crate) purge_generation: u32,
}

/// How the file spells a [`Strategy`].
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "Strategy", rename_all = "snake_case")]
enum StrategyShape {
    Failover,
}

/// How the file spells a [`WhenAllUnavailable`].
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "WhenAllUnavailable", rename_all = "snake_case")]
enum WhenAllUnavailableShape {
    Fail,
    TryAnyway,
}

/// How the file spells a [`BudgetScope`].
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "BudgetScope", rename_all = "snake_case")]
enum BudgetScopeShape {
    Org,
    Team,
    Member,
    ApiKey,
    Model,
    ProviderKey,
}

/// How the file spells a [`Period`].
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(remote = "Period", rename_all = "snake_case")]
enum PeriodShape {
    Day,
    Week,
    Month,
    Total,
}

fn yes() -> bool {
    true
}

fn failover() -> Strategy {
    Strategy::Failover
}

fn fail() -> WhenAllUnavailable {
    WhenAllUnavailable::Fail
}

fn utc() -> String {
    "UTC".into()
}

fn an_hour() -> u64 {
    3600
}

fn all() -> String {
    "all".into()
}
