//! Models that choose among direct models.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use actix_web::http::header::HeaderName;
use aisix_actors::candidate_router::{Group, Member, Strategy};

use super::{Known, assemble, check_networks, check_statuses, is_routing, is_wildcard};
use crate::config::{
    headers,
    problem::{Place, Problems},
    resources::{
        Declared,
        shapes::{HashOnShape, HashOnType, ModelShape, MoveOn, RoutingShape},
    },
    snapshot::{Dispatch, FallbackOn, HashOn, Model, Routing},
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
    check_networks(place, shape, problems);
    let statuses = &routing.fallback_on_statuses;
    check_statuses(place, "routing.fallback_on_statuses", statuses, 400..=599, problems);
    let hash_on = hash_on(place, routing, problems);
    check_tags(place, routing, problems);
    let targets = targets(place, routing, members, known, problems)?;
    let members = targets.iter().zip(&routing.targets);
    let members = members.filter_map(|(model, target)| {
        let own = model.group.members.first()?;
        Some(Member {
            weight: target.weight.unwrap_or(1).max(1),
            priority: target.priority.unwrap_or(0),
            tags: target.tags.iter().map(|tag| tag.trim().into()).collect(),
            ..own.clone()
        })
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
        fallback_on: FallbackOn {
            context_length: routing.fallback_on.contains(&MoveOn::ContextLength),
            content_policy: routing.fallback_on.contains(&MoveOn::ContentPolicy),
        },
        mid_stream: routing.mid_stream.unwrap_or_default(),
        hash_on,
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
        ("context_window", shape.context_window.is_some()),
        ("prefill", shape.prefill.is_some()),
        ("background_model_check", shape.background_model_check.is_some()),
    ];
    for (field, _) in fields.into_iter().filter(|(_, is_given)| *is_given) {
        let message = match field {
            "retries" => "has no meaning beside \"routing\"; write routing.retries",
            _ => "has no meaning beside \"routing\"; it belongs to the targets",
        };
        place.report(field, message, problems);
    }
}

/// The header that consistent hashing goes by where nothing else is said.
const ROUTING_KEY: HeaderName = HeaderName::from_static("x-aisix-routing-key");

/// What consistent hashing goes by; nothing for other strategies.
fn hash_on(place: Place<'_>, routing: &RoutingShape, problems: &mut Problems) -> Vec<HashOn> {
    let is_hashed = routing.strategy == Strategy::ConsistentHash;
    match &routing.hash_on {
        None if is_hashed => vec![HashOn::Header(ROUTING_KEY), HashOn::ApiKey],
        None => Vec::new(),
        Some(_) if !is_hashed && place.is_known("routing.strategy") => {
            let message = "has a meaning only with strategy = \"consistent_hash\"";
            place.report("routing.hash_on", message, problems);
            Vec::new()
        }
        Some(properties) => {
            if properties.is_empty() {
                place.report("routing.hash_on", "expected at least one property of a request", problems);
            }
            let properties = properties.iter().enumerate();
            properties.filter_map(|(index, shape)| property(place, index, shape, problems)).collect()
        }
    }
}

fn property(place: Place<'_>, index: usize, shape: &HashOnShape, problems: &mut Problems) -> Option<HashOn> {
    let entry = format!("routing.hash_on[{index}]");
    let field = format!("{entry}.name");
    let noun = match shape.r#type {
        HashOnType::Header => "header",
        HashOnType::Cookie => "cookie",
        HashOnType::ApiKey | HashOnType::ClientIp => {
            if shape.name.is_some() {
                place.report(&field, "has a meaning only for a header or a cookie", problems);
            }
            let is_key = shape.r#type == HashOnType::ApiKey;
            return Some(if is_key { HashOn::ApiKey } else { HashOn::ClientIp });
        }
    };
    let Some(name) = &shape.name else {
        place.report(&entry, format!("\"name\" is required for a {noun}"), problems);
        return None;
    };
    if !headers::is_name(name) {
        place.report(&field, format!("expected the name of a {noun}"), problems);
        return None;
    }
    if shape.r#type == HashOnType::Cookie {
        return Some(HashOn::Cookie(name.as_str().into()));
    }
    if headers::is_reserved(&name.to_ascii_lowercase()) {
        place.report(&field, "this header is reserved", problems);
        return None;
    }
    HeaderName::try_from(name.as_str()).ok().map(HashOn::Header)
}

/// Reports tags that no request can ask for.
fn check_tags(place: Place<'_>, routing: &RoutingShape, problems: &mut Problems) {
    for (index, target) in routing.targets.iter().enumerate() {
        for (number, tag) in target.tags.iter().enumerate() {
            if tag.trim().is_empty() || tag.contains(',') {
                let field = format!("routing.targets[{index}].tags[{number}]");
                place.report(&field, "must not be empty or hold a comma", problems);
            }
        }
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
