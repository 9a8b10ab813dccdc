//! Models that choose among direct models.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use aisix_actors::candidate_router::{Group, Member};

use super::{Known, assemble, check_statuses, is_routing, is_wildcard};
use crate::config::{
    problem::{Place, Problems},
    resources::{
        Declared,
        shapes::{ModelShape, RoutingShape},
    },
    snapshot::{Dispatch, FallbackOn, MidStream, Model, Routing},
};

/// The models that may be targets.
pub(super) struct Members<'a> {
    /// Every declared model by name, those with problems included.
    pub(super) declared: &'a HashMap<&'a str, &'a Declared<ModelShape>>,
    /// The direct models that are fit for use.
    pub(super) resolved: &'a HashMap<&'a str, Arc<Model>>,
}

/// Resolves one routing model; `None` when a problem with it, or with a target, is reported.
pub(super) fn resolve(
    entry: &Declared<ModelShape>,
    shape: &ModelShape,
    members: &Members<'_>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Model> {
    let routing = shape.routing.as_ref()?;
    let place = entry.place();
    refuse_direct_fields(place, shape, problems);
    if is_wildcard(place, shape, problems) {
        place.report("display_name", "only a direct model may hold a \"*\" in its name", problems);
    }
    let statuses = &routing.fallback_on_statuses;
    check_statuses(place, "routing.fallback_on_statuses", statuses, 400..=599, problems);
    let targets = targets(place, routing, members, known, problems)?;
    let members = targets.iter().filter_map(|model| {
        let target = model.group.members.first()?.target.clone();
        Some(Member::new(target, model.name.clone()))
    });
    let group = Group {
        max_fallbacks: routing.max_fallbacks,
        when_all_unavailable: routing.when_all_unavailable,
        ..Group::new(entry.id.clone(), routing.strategy, members.collect())
    };
    let routing = Routing {
        members: targets,
        retries: routing.retries,
        retry_on_429: routing.retry_on_429,
        fallback_on_statuses: statuses.clone(),
        fallback_on: FallbackOn::default(),
        mid_stream: MidStream::Error,
        hash_on: Vec::new(),
    };
    Some(assemble(shape, group, Dispatch::Routing(routing), known))
}

fn refuse_direct_fields(place: Place<'_>, shape: &ModelShape, problems: &mut Problems) {
    let fields = [
        ("provider", shape.provider.is_some()),
        ("model_name", shape.model_name.is_some()),
        ("provider_key", shape.provider_key.is_some()),
        ("provider_key_id", shape.provider_key_id.is_some()),
        ("retries", shape.retries.is_some()),
        ("cost", shape.cost.is_some()),
        ("cooldown", shape.cooldown.is_some()),
    ];
    for (field, _) in fields.into_iter().filter(|(_, is_given)| *is_given) {
        let message = match field {
            "retries" => "has no meaning beside \"routing\"; write routing.retries",
            _ => "has no meaning beside \"routing\"; it belongs to the targets",
        };
        place.report(field, message, problems);
    }
}

/// The targets in order; `None` when one of them is unfit, for whatever reason.
fn targets(
    place: Place<'_>,
    routing: &RoutingShape,
    members: &Members<'_>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Option<Vec<Arc<Model>>> {
    if routing.targets.is_empty() {
        place.report("routing.targets", "expected at least one target", problems);
        return None;
    }
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for (index, target) in routing.targets.iter().enumerate() {
        let field = format!("routing.targets[{index}].model");
        let name = target.model.as_str();
        if !seen.insert(name) {
            place.report(&field, "this model is a target already", problems);
        }
        match members.declared.get(name) {
            None => place.report(&field, known.names.models.unknown(place, &field, name), problems),
            Some(entry) if is_routing(entry) => {
                let message = "is a routing model itself; a target must be a direct model";
                place.report(&field, message, problems);
            }
            Some(_) if name.contains('*') => {
                let message =
                    "stands for many models; a target must be one of them, declared by its own name";
                place.report(&field, message, problems);
            }
            Some(_) => found.extend(members.resolved.get(name).cloned()),
        }
    }
    (found.len() == routing.targets.len()).then_some(found)
}
