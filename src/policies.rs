//! Rate limit policies (§4.6, §8.2): limits that hold for some requests, and the buckets in which they count. Pure.
//!
//! A request is held against them in two phases. What the caller and the model that it names decide counts once, at the
//! gate; what the model that answers decides counts there for a direct model, and for a routing model at each attempt.
//! A policy whose conditions name a caller or a model is looked up by it, so that hundreds of policies cost no more than
//! the few that can hold.

use std::sync::Arc;
use std::time::Duration;

use aisix_actors::rate_limiter::{Layer, PolicyLabel, RateLimit, Scope, Scopes};
use foldhash::HashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

mod bucket;
mod condition;
mod schedule;

pub use bucket::{Dimensions, Grouping, prefix};
pub use condition::{Condition, Test};
pub use schedule::{Days, Schedule};

use crate::config::snapshot::{ApiKey, Dispatch, Model};

/// What policies go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RateLimitDimension")]
pub enum Dimension {
    /// The caller's team, by id.
    Team,
    /// The member behind the caller's key, by id.
    Member,
    /// The caller's key, by id.
    ApiKey,
    /// The model that answers, or the one that the caller named, by id.
    Model,
    /// The same by the name that callers send.
    ModelName,
    /// The provider of the model that answers.
    Provider,
}

impl Whose {
    /// As the configuration spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Model => "model",
            Self::Team => "team",
            Self::Member => "member",
            Self::TeamMember => "team_member",
        }
    }
}

impl Dimension {
    /// Whether it is known only once there is a model to ask.
    #[must_use]
    pub const fn is_of_target(self) -> bool {
        matches!(self, Self::Model | Self::ModelName | Self::Provider)
    }

    /// As the configuration spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Member => "member",
            Self::ApiKey => "api_key",
            Self::Model => "model",
            Self::ModelName => "model_name",
            Self::Provider => "provider",
        }
    }
}

/// What policies see of a request.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Who calls.
    pub caller: &'a ApiKey,
    /// The model that the caller named, and the name that it sent; nothing where it only named a provider.
    pub named: Option<(&'a Model, &'a str)>,
    /// The direct model that answers; nothing as long as a routing model has yet to choose.
    pub target: Option<&'a Model>,
}

impl<'a> Subject<'a> {
    /// A request as it stands at the gate.
    #[must_use]
    pub fn at_gate(caller: &'a ApiKey, model: &'a Model, sent: &'a str, is_named: bool) -> Self {
        let target = matches!(model.dispatch, Dispatch::Direct(_)).then_some(model);
        Self { caller, named: is_named.then_some((model, sent)), target }
    }

    /// A caller, whatever it asks for.
    #[must_use]
    pub fn of_caller(caller: &'a ApiKey) -> Self {
        Self { caller, named: None, target: None }
    }

    /// A request as it is when a routing model has chosen.
    #[must_use]
    pub fn at_target(caller: &'a ApiKey, named: &'a Model, sent: &'a str, target: &'a Model) -> Self {
        Self { caller, named: Some((named, sent)), target: Some(target) }
    }

    /// The models that it is for: the one that answers and the one that was named. A model that only lends its key is
    /// neither.
    fn models(&self) -> impl Iterator<Item = &'a Model> {
        let named = self.named.map(|(model, _)| model);
        let target = self.target.filter(|_| named.is_some());
        target.into_iter().chain(named.filter(|named| target.is_none_or(|target| target.id != named.id)))
    }

    /// The provider that answers.
    fn provider(&self) -> Option<&'a str> {
        match &self.target?.dispatch {
            Dispatch::Direct(direct) => Some(&direct.provider_label),
            Dispatch::Routing(_) => None,
        }
    }

    /// Whether a routing model has yet to choose.
    fn is_undecided(&self) -> bool {
        self.target.is_none()
    }
}

/// Which requests a policy holds for, and which of them share a bucket.
#[derive(Debug)]
pub enum Reach {
    /// Those of one thing, by its id.
    Of(Whose, Arc<str>),
    /// Those that all of the conditions hold for.
    Where(Vec<Condition>),
}

impl Reach {
    /// What it names, and by which dimension.
    #[must_use]
    pub fn names(&self) -> Vec<(Dimension, &str)> {
        match self {
            Self::Of(whose, id) => {
                let dimension = match whose {
                    Whose::ApiKey => Dimension::ApiKey,
                    Whose::Model => Dimension::Model,
                    Whose::Team | Whose::TeamMember => Dimension::Team,
                    Whose::Member => Dimension::Member,
                };
                vec![(dimension, &**id)]
            }
            Self::Where(conditions) => conditions.iter().flat_map(Condition::names).collect(),
        }
    }
}

/// What the classic form is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RateLimitPolicyScope")]
pub enum Whose {
    /// One API key.
    ApiKey,
    /// One model.
    Model,
    /// A team, all of its keys together.
    Team,
    /// A member, all of its keys together.
    Member,
    /// Each member of a team.
    TeamMember,
}

/// One policy.
#[derive(Debug)]
pub struct Policy {
    /// Its id and its name.
    pub label: Arc<PolicyLabel>,
    /// Which requests it holds for.
    pub reach: Reach,
    /// Which of them share a bucket.
    pub grouping: Grouping,
    /// The limits.
    pub limit: RateLimit,
    /// When it is suspended.
    pub schedules: Vec<Schedule>,
    /// Whether it goes by the model that answers.
    pub is_of_target: bool,
}

/// The two moments at which requests are held against policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Once for a request.
    Gate,
    /// At each attempt of a routing model.
    Target,
}

impl Policy {
    /// Whether it is suspended at this Unix time.
    #[must_use]
    pub fn is_suspended(&self, unix: Duration) -> bool {
        self.schedules.iter().any(|schedule| schedule.is_on(unix))
    }

    /// Whether it counts in this phase: what goes by the model that answers waits until there is one.
    fn is_due(&self, phase: Phase, subject: &Subject<'_>) -> bool {
        match phase {
            Phase::Gate => !(self.is_of_target && subject.is_undecided()),
            Phase::Target => self.is_of_target,
        }
    }

    fn holds_for(&self, subject: &Subject<'_>) -> bool {
        let caller = subject.caller;
        match &self.reach {
            Reach::Of(whose, id) => match whose {
                Whose::ApiKey => caller.id == *id,
                Whose::Model => subject.models().any(|model| model.id == *id),
                Whose::Team => caller.team_id.as_ref() == Some(id),
                Whose::Member => caller.user_id.as_ref() == Some(id),
                Whose::TeamMember => caller.team_id.as_ref() == Some(id) && caller.user_id.is_some(),
            },
            Reach::Where(conditions) => conditions.iter().all(|condition| condition.holds_for(subject)),
        }
    }

    /// The bucket of a request; nothing where the request is not subject to the policy.
    fn scope(&self, subject: &Subject<'_>) -> Option<Arc<Scope>> {
        if !self.holds_for(subject) {
            return None;
        }
        match &self.grouping {
            Grouping::Shared(scope) => Some(scope.clone()),
            Grouping::By { prefix, dimensions } => {
                let id = bucket::id(prefix, dimensions, subject)?.into();
                let layer = Layer::Policy(self.label.clone());
                Some(Arc::new(Scope { id, layer, limit: self.limit.clone() }))
            }
        }
    }
}

/// Every policy, in the order in which they are asked: the classic ones first, otherwise as declared.
#[derive(Debug, Default)]
pub struct Policies {
    all: Vec<Policy>,
    /// Those that hold only for one of some teams, members, keys or models, by their ids.
    teams: Places,
    members: Places,
    api_keys: Places,
    models: Places,
    /// The others.
    everywhere: Vec<usize>,
}

/// Places of policies by what they hold for.
type Places = HashMap<Arc<str>, Vec<usize>>;

impl Policies {
    /// Every policy.
    #[must_use]
    pub fn all(&self) -> &[Policy] {
        &self.all
    }

    /// Prepares the look-up.
    #[must_use]
    pub fn new(mut all: Vec<Policy>) -> Self {
        all.sort_by_key(|policy| matches!(policy.reach, Reach::Where(_)));
        let mut policies = Self::default();
        for (place, policy) in all.iter().enumerate() {
            let Some((dimension, ids)) = keys(&policy.reach) else {
                policies.everywhere.push(place);
                continue;
            };
            let index = match dimension {
                By::Team => &mut policies.teams,
                By::Member => &mut policies.members,
                By::ApiKey => &mut policies.api_keys,
                By::Model => &mut policies.models,
            };
            ids.into_iter().for_each(|id| index.entry(id).or_default().push(place));
        }
        Self { all, ..policies }
    }

    /// Every policy.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.all.iter()
    }

    /// Adds the buckets that a request counts in during a phase. `unix` is asked only where a schedule has to know it.
    pub fn add(&self, phase: Phase, subject: &Subject<'_>, unix: impl Fn() -> Duration, scopes: &mut Scopes) {
        for policy in self.candidates(subject).iter().filter_map(|place| self.all.get(*place)) {
            if policy.is_due(phase, subject)
                && let Some(scope) = policy.scope(subject)
                && (policy.schedules.is_empty() || !policy.is_suspended(unix()))
            {
                scopes.push(scope);
            }
        }
    }

    /// The policies that a request falls under in a phase, with their buckets; suspended ones included.
    pub fn under(&self, phase: Phase, subject: &Subject<'_>) -> Vec<(&Policy, Arc<Scope>)> {
        let due = self.all.iter().filter(|policy| policy.is_due(phase, subject));
        due.filter_map(|policy| Some((policy, policy.scope(subject)?))).collect()
    }

    /// Places of the policies that may hold, in their order.
    fn candidates(&self, subject: &Subject<'_>) -> SmallVec<[usize; 16]> {
        let mut places = SmallVec::from_slice(&self.everywhere);
        let mut find = |index: &Places, id: &str| {
            // Most configurations have none: an empty map is asked nothing.
            if let Some(found) = (!index.is_empty()).then(|| index.get(id)).flatten() {
                places.extend_from_slice(found);
            }
        };
        let caller = subject.caller;
        caller.team_id.iter().for_each(|id| find(&self.teams, id));
        caller.user_id.iter().for_each(|id| find(&self.members, id));
        find(&self.api_keys, &caller.id);
        subject.models().for_each(|model| find(&self.models, &model.id));
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// What policies are looked up by.
#[derive(Debug, Clone, Copy)]
enum By {
    Team,
    Member,
    ApiKey,
    Model,
}

/// The ids without one of which a policy cannot hold; nothing where it may hold for anybody.
fn keys(reach: &Reach) -> Option<(By, Vec<Arc<str>>)> {
    match reach {
        Reach::Of(whose, id) => {
            let key = match whose {
                Whose::ApiKey => By::ApiKey,
                Whose::Model => By::Model,
                Whose::Team | Whose::TeamMember => By::Team,
                Whose::Member => By::Member,
            };
            Some((key, vec![id.clone()]))
        }
        Reach::Where(conditions) => conditions.iter().find_map(Condition::keys),
    }
}

#[cfg(test)]
mod tests;
