//! The shape of each resource in the file: unknown keys are refused, nothing is resolved.
//!
//! What a field means is said where its resolved form is declared, in `snapshot`; what it may hold, in
//! `validate`.

use std::{collections::BTreeMap, path::PathBuf};

use aisix_actors::{
    budget_ledger::{BudgetScope, Period},
    candidate_router::{Strategy, WhenAllUnavailable},
};
use serde::Deserialize;

use crate::config::{
    expiry::Expiry, glob::Glob, price::Decimal, secret::Plaintext, settings::Backend, snapshot::CacheScope,
};

/// One of `[[provider_keys]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderKeyShape {
    pub(crate) display_name: String,
    #[serde(alias = "secret")]
    pub(crate) api_key: Option<Plaintext>,
    pub(crate) api_base: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) adapter: Option<String>,
    pub(crate) tls: Option<TlsShape>,
    pub(crate) max_in_flight: Option<u32>,
    #[serde(default)]
    pub(crate) request: RequestShape,
}

/// `provider_keys[].tls`: trust of its own; at most one of the two certificates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsShape {
    pub(crate) ca_cert: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default = "yes")]
    pub(crate) verify: bool,
}

/// `provider_keys[].request`: what every request to the provider carries.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequestShape {
    pub(crate) default_headers: BTreeMap<String, Plaintext>,
}

/// One of `[[models]]`: direct (`provider_key` and `model_name`) or `routing`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelShape {
    pub(crate) display_name: String,
    pub(crate) provider: Option<String>,
    pub(crate) model_name: Option<String>,
    pub(crate) provider_key: Option<String>,
    pub(crate) provider_key_id: Option<String>,
    pub(crate) timeout: Option<u64>,
    pub(crate) stream_timeout: Option<u64>,
    pub(crate) retries: Option<u32>,
    pub(crate) rate_limit: Option<RateLimitShape>,
    pub(crate) cost: Option<CostShape>,
    pub(crate) cooldown: Option<CooldownShape>,
    pub(crate) routing: Option<RoutingShape>,
}

/// `rate_limit`, on models and API keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimitShape {
    pub(crate) rps: Option<u64>,
    pub(crate) rpm: Option<u64>,
    pub(crate) rph: Option<u64>,
    pub(crate) rpd: Option<u64>,
    pub(crate) tpm: Option<u64>,
    pub(crate) tpd: Option<u64>,
    pub(crate) concurrency: Option<u32>,
}

/// `models[].cost`: US dollars per thousand tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CostShape {
    pub(crate) input_per_1k: Decimal,
    pub(crate) output_per_1k: Decimal,
    pub(crate) cached_input_per_1k: Option<Decimal>,
    pub(crate) cache_write_per_1k: Option<Decimal>,
}

/// `models[].cooldown`; what is absent is as the router has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CooldownShape {
    pub(crate) enabled: Option<bool>,
    pub(crate) default_seconds: Option<u64>,
    pub(crate) max_seconds: Option<u64>,
    pub(crate) honor_retry_after: Option<bool>,
    pub(crate) trigger_statuses: Option<Vec<u16>>,
    pub(crate) trigger_on_timeout: Option<bool>,
    pub(crate) trigger_on_transport: Option<bool>,
}

/// `models[].routing`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoutingShape {
    #[serde(with = "StrategyShape", default = "failover")]
    pub(crate) strategy: Strategy,
    pub(crate) targets: Vec<TargetShape>,
    pub(crate) retries: Option<u32>,
    pub(crate) max_fallbacks: Option<u32>,
    #[serde(default)]
    pub(crate) retry_on_429: bool,
    #[serde(default)]
    pub(crate) fallback_on_statuses: Vec<u16>,
    #[serde(with = "WhenAllUnavailableShape", default = "fail")]
    pub(crate) when_all_unavailable: WhenAllUnavailable,
}

/// `models[].routing.targets[]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetShape {
    pub(crate) model: String,
}

/// One of `[[api_keys]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyShape {
    pub(crate) display_name: String,
    pub(crate) key: Option<Plaintext>,
    pub(crate) key_hash: Option<Plaintext>,
    pub(crate) allowed_models: Vec<Glob>,
    pub(crate) rate_limit: Option<RateLimitShape>,
    pub(crate) team_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) user_name: Option<String>,
    pub(crate) expires_at: Option<Expiry>,
    #[serde(default)]
    pub(crate) disabled: bool,
}

/// One of `[[budgets]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetShape {
    pub(crate) name: String,
    #[serde(with = "BudgetScopeShape")]
    pub(crate) scope: BudgetScope,
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
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CachePolicyShape {
    pub(crate) name: String,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    #[serde(default)]
    #[expect(dead_code, reason = "read to refuse any other backend; there is one")]
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
#[derive(Deserialize)]
#[serde(remote = "Strategy", rename_all = "snake_case")]
enum StrategyShape {
    Failover,
}

/// How the file spells a [`WhenAllUnavailable`].
#[derive(Deserialize)]
#[serde(remote = "WhenAllUnavailable", rename_all = "snake_case")]
enum WhenAllUnavailableShape {
    Fail,
    TryAnyway,
}

/// How the file spells a [`BudgetScope`].
#[derive(Deserialize)]
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
#[derive(Deserialize)]
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
