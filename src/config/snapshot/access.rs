//! Who may call, and what may be answered from the cache.

use std::{sync::Arc, time::Duration};

use aisix_actors::{budget_ledger::Budget, rate_limiter::Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{glob::Glob, settings::Backend};

/// What a caller holds.
#[derive(Debug, PartialEq)]
pub struct ApiKey {
    /// The id: UUIDv5 of the name.
    pub id: Arc<str>,
    /// The display name.
    pub name: Arc<str>,
    /// Names, as sent, that the caller may use; empty for none.
    pub allowed_models: Vec<Glob>,
    /// The caller's limits; nothing when there are none.
    pub rate_limit: Option<Arc<Scope>>,
    /// The team that pays.
    pub team_id: Option<Arc<str>>,
    /// The person behind the key.
    pub user_id: Option<Arc<str>>,
    /// What that person is called.
    pub user_name: Option<Arc<str>>,
    /// The last instant at which the key is good, since the Unix epoch.
    pub expires_at: Option<Duration>,
    /// Whether the key is refused in any case.
    pub disabled: bool,
    /// The budgets of the organisation, the team, the member and the key itself.
    pub budgets: Vec<Arc<Budget>>,
}

impl ApiKey {
    /// Whether the caller may use the name it sent.
    pub fn allows(&self, model: &str) -> bool {
        self.allowed_models.iter().any(|glob| glob.is_match(model))
    }

    /// Whether the key is past its last instant. `now` counts since the Unix epoch.
    pub fn is_expired(&self, now: Duration) -> bool {
        self.expires_at.is_some_and(|last| last < now)
    }
}

/// Which answers are kept, and for how long.
#[derive(Clone, Debug)]
pub struct CachePolicy {
    /// The id: UUIDv5 of the name.
    pub id: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// Whether the policy counts.
    pub enabled: bool,
    /// Where entries are kept; nothing to take what `[cache]` says.
    pub backend: Option<Backend>,
    /// Whether streams take part.
    pub streaming: bool,
    /// How long an entry is good.
    pub ttl: Duration,
    /// Which requests it is for.
    pub applies_to: AppliesTo,
    /// Who shares an entry.
    pub scope: CacheScope,
    /// Raised to leave all earlier entries behind.
    pub purge_generation: u32,
}

/// Which requests a cache policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppliesTo {
    /// All of them.
    All,
    /// Those for a model, by the name that callers send.
    Model(Arc<str>),
    /// Those of one API key, by id.
    ApiKey(Arc<str>),
}

impl AppliesTo {
    pub(super) fn is_match(&self, model: &str, api_key: &ApiKey) -> bool {
        match self {
            Self::All => true,
            Self::Model(name) => **name == *model,
            Self::ApiKey(id) => *id == api_key.id,
        }
    }
}

/// Who shares a cache entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheScope {
    /// The callers that hold the same key.
    #[default]
    ApiKey,
    /// All callers.
    Env,
}
