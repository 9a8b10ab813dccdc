//! Rate limit policies: one of two forms, what they are for, and how their buckets are called.

use std::sync::Arc;

use aisix_actors::rate_limiter::{Layer, PolicyLabel, RateLimit, Scope};

use super::{Names, rate_limit};
use crate::config::{
    problem::{Place, Problems},
    resources::{
        Declared, Resources,
        shapes::{GroupByShape, ModelShape, RateLimitPolicyShape, WindowShape},
    },
};
use crate::policies::{Condition, Dimension, Dimensions, Grouping, Policies, Policy, Reach, Whose, prefix};

mod conditions;
mod schedules;

/// Resolves the policies and reports all that is wrong with them.
pub(super) fn resolve(resources: &Resources, names: &Names, problems: &mut Problems) -> Policies {
    let known = Known { names, models: &resources.models };
    let policies = resources.rate_limit_policies.iter().filter_map(|entry| {
        let shape = entry.shape.as_ref()?;
        resolve_one(entry, shape, &known, problems)
    });
    Policies::new(policies.collect())
}

/// What policies may refer to.
struct Known<'a> {
    names: &'a Names,
    models: &'a [Arc<Declared<ModelShape>>],
}

impl Known<'_> {
    /// Whether an id is that of a routing model.
    fn is_routing(&self, id: &str) -> bool {
        let entry = self.models.iter().find(|entry| *entry.id == *id);
        entry.and_then(|entry| entry.shape.as_ref()).is_some_and(|shape| shape.routing.is_some())
    }
}

fn resolve_one(
    entry: &Declared<RateLimitPolicyShape>,
    shape: &RateLimitPolicyShape,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Policy> {
    let place = entry.place();
    let before = problems.len();
    let schedules = schedules::resolve(place, &shape.schedules, problems);
    let is_classic = is_classic(place, shape, problems)?;
    refuse_foreign(place, shape, is_classic, problems);
    let label = Arc::new(PolicyLabel { id: entry.id.clone(), name: shape.name.as_str().into() });
    let form = if is_classic {
        classic(place, shape, known, problems)
    } else {
        conditional(place, shape, known, problems)
    };
    let Form { reach, limit, dimensions, is_of_target } = form.filter(|_| problems.len() == before)?;
    let prefix = match &reach {
        Reach::Of(whose, id) => prefix(&label.id, Some((*whose, id))),
        Reach::Where(_) => prefix(&label.id, None),
    };
    let layer = Layer::Policy(label.clone());
    let grouping = match dimensions {
        None => Grouping::Shared(Arc::new(Scope { id: prefix.into(), layer, limit: limit.clone() })),
        Some(dimensions) => Grouping::By { prefix: prefix.into(), dimensions },
    };
    Some(Policy { label, reach, grouping, limit, schedules, is_of_target })
}

/// What a form comes to.
struct Form {
    reach: Reach,
    limit: RateLimit,
    /// What requests are counted apart by; nothing where all share one count.
    dimensions: Option<Dimensions>,
    is_of_target: bool,
}

/// Which of the two forms it is; nothing where it is none, or not known.
fn is_classic(place: Place<'_>, shape: &RateLimitPolicyShape, problems: &mut Problems) -> Option<bool> {
    let is_known = place.is_known("scope") && place.is_known("limits");
    match (&shape.scope, &shape.limits) {
        (Some(_), None) if is_known => Some(true),
        (None, Some(_)) if is_known => Some(false),
        (Some(_), Some(_)) => {
            let message =
                "a policy has either \"scope\" and \"window\", or \"limits\"; keep one of the two forms";
            place.report("limits", message, problems);
            None
        }
        (None, None) if is_known => {
            let message = "either \"scope\", \"scope_ref\" and \"window\", or \"limits\" is required";
            place.report("", message, problems);
            None
        }
        _ => None,
    }
}

/// Refuses what only the other form has, which would be ignored.
fn refuse_foreign(place: Place<'_>, shape: &RateLimitPolicyShape, is_classic: bool, problems: &mut Problems) {
    let has = [
        ("scope_ref", shape.scope_ref.is_some(), true),
        ("window", shape.window.is_some(), true),
        ("max_requests", shape.max_requests.is_some(), true),
        ("max_tokens", shape.max_tokens.is_some(), true),
        ("conditions", !shape.conditions.is_empty(), false),
        ("group_by", !shape.group_by.is_empty(), false),
        ("action", shape.action.is_some(), false),
    ];
    for (field, is_there, of_classic) in has {
        if is_there && of_classic != is_classic {
            let form = if of_classic { "scope" } else { "limits" };
            place.report(field, format!("only a policy with \"{form}\" has this"), problems);
        }
    }
}

fn classic(
    place: Place<'_>,
    shape: &RateLimitPolicyShape,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Form> {
    let whose = shape.scope?;
    let limit = window_limit(place, shape, problems);
    let id = scope_ref(place, whose, shape, known, problems)?;
    let is_of_target = whose == Whose::Model && !known.is_routing(&id);
    let dimensions = (whose == Whose::TeamMember).then_some(Dimensions::Member);
    Some(Form { reach: Reach::Of(whose, id), limit: limit?, dimensions, is_of_target })
}

fn scope_ref(
    place: Place<'_>,
    whose: Whose,
    shape: &RateLimitPolicyShape,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Arc<str>> {
    let directory = match whose {
        Whose::ApiKey => Some(&known.names.api_keys),
        Whose::Model => Some(&known.names.models),
        Whose::Team | Whose::Member | Whose::TeamMember => None,
    };
    match (shape.scope_ref.as_deref(), directory) {
        (None | Some(""), _) => {
            place.report("scope_ref", "is required beside \"scope\"", problems);
            None
        }
        (Some(reference), None) => Some(reference.into()),
        (Some(reference), Some(directory)) => directory.look_up(place, "scope_ref", reference, problems),
    }
}

/// The limit of the classic form: a window is one dimension of requests, and of tokens where tokens have such a window.
fn window_limit(
    place: Place<'_>,
    shape: &RateLimitPolicyShape,
    problems: &mut Problems,
) -> Option<RateLimit> {
    for (field, amount) in [("max_requests", shape.max_requests), ("max_tokens", shape.max_tokens)] {
        if amount == Some(0) {
            place.report(field, "expected 1 or more", problems);
        }
    }
    let (requests, tokens) = (shape.max_requests, shape.max_tokens);
    if requests.is_none()
        && tokens.is_none()
        && place.is_known("max_requests")
        && place.is_known("max_tokens")
    {
        place.report("", "\"max_requests\" or \"max_tokens\" is required beside \"scope\"", problems);
    }
    let Some(window) = shape.window else {
        place.report("window", "is required beside \"scope\"", problems);
        return None;
    };
    if tokens.is_some() && matches!(window, WindowShape::Second | WindowShape::Hour) {
        let message =
            "tokens are counted by the minute and by the day only: let window be \"minute\" or \"day\"";
        place.report("max_tokens", message, problems);
    }
    let none = RateLimit::default();
    Some(match window {
        WindowShape::Second => RateLimit { rps: requests, ..none },
        WindowShape::Minute => RateLimit { rpm: requests, tpm: tokens, ..none },
        WindowShape::Hour => RateLimit { rph: requests, ..none },
        WindowShape::Day => RateLimit { rpd: requests, tpd: tokens, ..none },
    })
}

fn conditional(
    place: Place<'_>,
    shape: &RateLimitPolicyShape,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Form> {
    let limit = rate_limit::limit(shape.limits.as_ref()?);
    if limit.is_unlimited() {
        place.report("limits", "expected at least one limit", problems);
    }
    let conditions = conditions::resolve(place, &shape.conditions, known, problems);
    let dimensions = group_by(place, &shape.group_by, problems);
    let is_of_target = dimensions.iter().any(|dimension| dimension.is_of_target())
        || conditions.iter().any(Condition::is_of_target);
    let dimensions = (!dimensions.is_empty()).then_some(Dimensions::Named(dimensions));
    Some(Form { reach: Reach::Where(conditions), limit, dimensions, is_of_target })
}

/// The dimensions that requests are counted apart by, in the order of a bucket's name.
fn group_by(place: Place<'_>, shapes: &[GroupByShape], problems: &mut Problems) -> Vec<Dimension> {
    let mut dimensions = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let dimension = match shape {
            GroupByShape::Team => Dimension::Team,
            GroupByShape::Member => Dimension::Member,
            GroupByShape::ApiKey => Dimension::ApiKey,
            GroupByShape::Model => Dimension::Model,
            GroupByShape::Provider => Dimension::Provider,
        };
        if dimensions.contains(&dimension) {
            place.report(&format!("group_by[{index}]"), "stands here a second time", problems);
        }
        dimensions.push(dimension);
    }
    dimensions.sort_unstable();
    dimensions
}
