//! The shape of each resource, in the file and in the Admin API: unknown keys are refused, nothing is resolved.
//!
//! The sentences about fields are those of the OpenAPI document; what a field may hold beyond its type is checked in
//! `validate`. Serialised, secrets are masked.

use std::{collections::BTreeMap, path::PathBuf};

use aisix_actors::budget_ledger::{BudgetScope, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod guardrails;
mod models;
mod policies;
mod routing;
mod rules;
mod words;

pub(crate) use self::{
    guardrails::{AttachmentShape, GuardrailKind, GuardrailShape, ScopeType},
    models::{BackgroundCheckShape, CooldownShape, CostShape, ModelShape},
    policies::{
        ConditionShape, GroupByShape, LogicShape, OperatorShape, RateLimitPolicyShape, ScheduleShape,
        ValueShape, WeekdayShape, WindowShape,
    },
    routing::{HashOnShape, HashOnType, MoveOn, RoutingShape},
    rules::policies::{MAX_LEAVES, MAX_LEVELS, MAX_PATTERN, MAX_VALUES},
    words::{StrategyShape, WhenAllUnavailableShape},
};
use self::{
    rules::{HEADER, NAME, adapters, remote},
    words::{BudgetScopeShape, PeriodShape},
};
use crate::config::{
    expiry::Expiry,
    glob::Glob,
    price::Decimal,
    secret::{KeyHash, Plaintext, hashed_key},
    settings::Backend,
    snapshot::CacheScope,
};

/// A credential for a provider, and where the provider is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProviderKey", extend(
    "anyOf" = [
        { "required": ["provider"], "properties": { "provider": { "type": "string" } } },
        { "required": ["adapter"], "properties": { "adapter": { "type": "string" } } },
    ],
    "examples" = [{ "display_name": "example-key", "provider": remote(), "api_key": "sk-your-key-of-the-provider" }],
))]
pub(crate) struct ProviderKeyShape {
    /// The name by which models and budgets refer to it; no two provider keys share one.
    #[schemars(regex(pattern = NAME))]
    pub(crate) display_name: String,
    /// The provider's credential; `secret` is another spelling. Needed unless the provider runs in this process.
    #[serde(alias = "secret", skip_serializing_if = "Option::is_none")]
    pub(crate) api_key: Option<Plaintext>,
    /// The root of the provider's API, such as `https://api.example.com/v1`; absent, the provider's usual one. A pasted
    /// address of an endpoint is cut back to the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\s*https?://[^/:]"))]
    pub(crate) api_base: Option<String>,
    /// The company: one that the gateway knows, or any label beside an `adapter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// The API that a provider speaks which the gateway does not know by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = adapters()))]
    pub(crate) adapter: Option<String>,
    /// Whom to trust; absent, as `[upstream.tls]` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsShape>,
    /// Requests in progress at the same time; absent, no limit. One more is answered 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) max_in_flight: Option<u32>,
    /// What every request to the provider carries.
    #[serde(default, skip_serializing_if = "RequestShape::is_empty")]
    pub(crate) request: RequestShape,
}

/// Trust of a provider key of its own; at most one of `ca_cert` and `ca_file`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ProviderTls", extend("anyOf" = [
    { "properties": { "ca_cert": { "type": "null" } } },
    { "properties": { "ca_file": { "type": "null" } } },
]))]
pub(crate) struct TlsShape {
    /// Further root certificates, as PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_cert: Option<String>,
    /// A file with further root certificates, relative to the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether the provider must show a certificate that is trusted; `false` trusts anybody and is for tests only.
    #[serde(default = "yes")]
    pub(crate) verify: bool,
}

/// What every request to a provider carries.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ProviderRequest")]
pub(crate) struct RequestShape {
    /// Headers by name; those that the gateway sets itself, and those that carry credentials, are refused. Values are
    /// shown masked.
    #[schemars(extend("propertyNames" = { "pattern": HEADER }))]
    pub(crate) default_headers: BTreeMap<String, Plaintext>,
    /// Names of callers' headers that are handed on, such as `anthropic-beta`; one `*` stands for any text. Credentials,
    /// headers of the connection and of the body, and those of the gateway never are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) forward_client_headers: Vec<String>,
}

impl RequestShape {
    fn is_empty(&self) -> bool {
        self.default_headers.is_empty() && self.forward_client_headers.is_empty()
    }
}

/// Limits of a model, an API key or a policy. What is absent is not limited; 0 allows nothing.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RateLimit")]
pub(crate) struct RateLimitShape {
    /// Requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rps: Option<u64>,
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rpm: Option<u64>,
    /// Requests per hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rph: Option<u64>,
    /// Requests per day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rpd: Option<u64>,
    /// Tokens per minute, sent and received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tpm: Option<u64>,
    /// Tokens per day, sent and received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tpd: Option<u64>,
    /// Requests in progress at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency: Option<u32>,
}

/// What a caller holds, and what it is good for.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApiKey", extend(
    "anyOf" = [{ "properties": { "key": { "type": "null" } } }, { "properties": { "key_hash": { "type": "null" } } }],
    "examples" = [{ "display_name": "example-team", "allowed_models": ["demo*"], "rate_limit": { "rpm": 600 } }],
))]
pub(crate) struct ApiKeyShape {
    /// The name by which budgets and cache policies refer to it; no two API keys share one.
    #[schemars(regex(pattern = NAME))]
    pub(crate) display_name: String,
    /// The key itself; only its hash is kept. In the file exactly one of `key` and `key_hash`; over the Admin API a new
    /// key without either is given one.
    #[serde(
        default,
        deserialize_with = "hashed_key",
        rename(serialize = "key_hash"),
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<Plaintext>")]
    pub(crate) key: Option<KeyHash>,
    /// The SHA-256 of the key, as 64 lower-case hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_hash: Option<KeyHash>,
    /// Earlier keys of the same caller that are still good for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub(crate) retiring: Vec<RetiringShape>,
    /// The models that it may call: names, or patterns with one `*`. An empty list allows none.
    pub(crate) allowed_models: Vec<Glob>,
    /// Limits of this key; absent, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<RateLimitShape>,
    /// The team that its use counts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) team_id: Option<String>,
    /// The member that its use counts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<String>,
    /// The member's name, for records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_name: Option<String>,
    /// When it ceases to be good; absent, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Expiry>,
    /// Whether it is refused for now.
    #[serde(default)]
    pub(crate) disabled: bool,
}

/// An earlier key of a caller.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RetiringKey")]
pub(crate) struct RetiringShape {
    /// The SHA-256 of the key.
    pub(crate) key_hash: KeyHash,
    /// Until when it is good.
    pub(crate) until: Expiry,
}

/// What may be spent on something in a time.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Budget", extend(
    "oneOf" = [
        { "properties": { "scope": { "const": "org" }, "scope_ref": { "type": "null" } } },
        {
            "required": ["scope_ref"],
            "properties": {
                "scope": { "enum": ["team", "member", "api_key", "model", "provider_key"] },
                "scope_ref": { "type": "string" },
            },
        },
    ],
    "examples" = [{
        "name": "example-month", "scope": "team", "scope_ref": "search", "limit_usd": "250.00", "period": "month",
    }],
))]
pub(crate) struct BudgetShape {
    /// Its name; no two budgets share one.
    #[schemars(regex(pattern = NAME))]
    pub(crate) name: String,
    /// Whose spending it limits.
    #[serde(with = "BudgetScopeShape")]
    pub(crate) scope: BudgetScope,
    /// Which one: an API key, model or provider key by name or id, or the id of a team or member. Absent only for the
    /// organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) scope_ref: Option<String>,
    /// The amount.
    pub(crate) limit_usd: Decimal,
    /// The time after which it begins anew.
    #[serde(with = "PeriodShape")]
    pub(crate) period: Period,
    /// Where days begin: a name of the IANA database.
    #[serde(default = "utc")]
    #[schemars(length(min = 1))]
    pub(crate) timezone: String,
    /// Whether requests beyond it are refused; `false` only counts and warns.
    #[serde(default = "yes")]
    pub(crate) hard_stop: bool,
    /// Fractions of the limit at which the log warns.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "number", "exclusiveMinimum": 0, "maximum": 1 }))]
    pub(crate) alert_at: Vec<f64>,
    /// Whether a request holds the most that it can cost until it is answered, instead of what it is likely to: spending
    /// then never passes the limit, and fewer requests fit at the same time.
    #[serde(default)]
    pub(crate) worst_case: bool,
}

/// Which answers are kept, and for how long.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CachePolicy", extend(
    "examples" = [{ "name": "example-answers", "applies_to": "model:demo", "ttl_seconds": 600 }],
))]
pub(crate) struct CachePolicyShape {
    /// Its name; no two cache policies share one.
    #[schemars(regex(pattern = NAME), length(max = 120))]
    pub(crate) name: String,
    /// Whether it is in force.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// Where answers are kept; where `[cache]` says, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<Backend>,
    /// Whether streams are answered from what is kept, and kept.
    #[serde(default = "yes")]
    pub(crate) streaming: bool,
    /// How long, in seconds; at most a week.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1, max = 604_800))]
    pub(crate) ttl_seconds: u64,
    /// Which requests it is for: `all`, `model:<name>` or `api_key:<name>`.
    #[serde(default = "all")]
    #[schemars(regex(pattern = r"^(all$|model:.|api_key:.)"))]
    pub(crate) applies_to: String,
    /// Who shares an answer.
    #[serde(default)]
    pub(crate) scope: CacheScope,
    /// Raised, it makes the gateway forget every answer kept so far.
    #[serde(default)]
    pub(crate) purge_generation: u32,
}

fn yes() -> bool {
    true
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
