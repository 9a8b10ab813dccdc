//! The route of a request: in which order its targets are asked, and why some are not.
//!
//! The router's own book plans it, with every target well: how they are, only a running gateway knows.

use std::cmp::Reverse;

use aisix_actors::candidate_router::{Health, Strategy, WhenAllUnavailable};
use aisix_actors::types::Now;
use serde::Serialize;

use super::target::Place;
use crate::config::resources::shapes::{StrategyShape, WhenAllUnavailableShape};
use crate::config::snapshot::{HashOn, MidStream, Model, Routing};
use crate::dialect::Call;
use crate::error::GatewayError;
use crate::pipeline::relay::may_be_rescued;
use crate::pipeline::reserve::mute_provider;
use crate::pipeline::route::{Narrowed, Wish};

/// How targets are chosen, and what happens when one fails.
#[derive(Serialize)]
pub(super) struct Route {
    /// The strategy.
    #[serde(with = "StrategyShape")]
    pub(super) strategy: Strategy,
    /// What the targets of one priority are ordered by.
    pub(super) ordered_by: String,
    /// How many targets after the first may be asked; all of them when absent.
    pub(super) max_fallbacks: Option<u32>,
    /// What happens when every target is unhealthy.
    #[serde(with = "WhenAllUnavailableShape")]
    pub(super) when_all_unavailable: WhenAllUnavailable,
    /// Whether a target that answers 429 is asked again.
    pub(super) retry_on_429: bool,
    /// Further statuses after which the next one is asked.
    pub(super) fallback_on_statuses: Vec<u16>,
    /// Refusals after which the next one is asked.
    pub(super) fallback_on: Vec<&'static str>,
    /// What becomes of a stream that breaks off.
    pub(super) mid_stream: MidStream,
    /// Whether this request's answer would be taken up by another target.
    pub(super) is_rescued: bool,
}

impl Route {
    /// How a routing model chooses for a request.
    pub(super) fn of(wish: &Wish<'_>, call: &Call, model: &Model, routing: &Routing) -> Self {
        let group = &model.group;
        let moves = routing.fallback_on;
        let moves = [("context_length", moves.context_length), ("content_policy", moves.content_policy)];
        Self {
            strategy: group.strategy,
            ordered_by: ordered_by(group.strategy, wish, routing),
            max_fallbacks: group.max_fallbacks,
            when_all_unavailable: group.when_all_unavailable,
            retry_on_429: routing.retry_on_429,
            fallback_on_statuses: routing.fallback_on_statuses.clone(),
            fallback_on: moves.into_iter().filter_map(|(name, is_on)| is_on.then_some(name)).collect(),
            mid_stream: routing.mid_stream,
            is_rescued: may_be_rescued(wish.endpoint, model, call),
        }
    }
}

/// What the targets of one priority are ordered by.
fn ordered_by(strategy: Strategy, wish: &Wish<'_>, routing: &Routing) -> String {
    let words = match strategy {
        Strategy::Failover => "as listed",
        Strategy::RoundRobin => "in turn by weight, then on from there as listed",
        Strategy::Weighted => "the first by chance, by weight, then on from there as listed",
        Strategy::LeastCost => "by price, the cheapest first",
        Strategy::LeastLatency => "by latency, the fastest and those that nobody knows first",
        Strategy::LeastBusy => "by requests in progress and weight, the fewest first",
        Strategy::ConsistentHash => {
            return match wish.key(&routing.hash_on) {
                Some((property, _)) => format!("by hash of {}", named(property)),
                None => "by hash of nothing: the request has no property of hash_on".to_owned(),
            };
        }
    };
    words.to_owned()
}

fn named(property: &HashOn) -> String {
    match property {
        HashOn::Header(name) => format!("the header {name}"),
        HashOn::Cookie(name) => format!("the cookie {name}"),
        HashOn::ApiKey => "the API key".to_owned(),
        HashOn::ClientIp => "the caller's address".to_owned(),
    }
}

/// Whether the order of a tier follows from the configuration and the request alone.
fn is_settled(strategy: Strategy) -> bool {
    match strategy {
        Strategy::Failover | Strategy::ConsistentHash | Strategy::LeastCost => true,
        Strategy::RoundRobin | Strategy::Weighted | Strategy::LeastLatency | Strategy::LeastBusy => false,
    }
}

/// The members of a group by their indices, in the order in which they are asked; then those that are left out.
///
/// # Errors
/// No target is left, for the reason that the caller would be told.
pub(super) fn seats(
    wish: &Wish<'_>,
    model: &Model,
    routing: &Routing,
) -> Result<Vec<(usize, Place)>, GatewayError> {
    let (group, context) = (&*model.group, wish.context(model)?);
    let narrowed = wish.narrow(model, routing)?;
    // A fresh book refuses nothing but an empty group.
    let plan = Health::new().plan(group, &context, Now::read()).unwrap_or_default();
    let priority = |index: usize| group.members.get(index).map_or(0, |member| member.priority);
    let mut seats: Vec<(usize, Place)> = if is_settled(group.strategy) {
        plan.iter().enumerate().map(|(place, one)| (one.index, Place::At(place + 1))).collect()
    } else {
        // Which of a tier is asked is not known, but how far down the tiers it goes.
        let last = plan.iter().map(|one| priority(one.index)).min();
        let may_be_asked = |index: &usize| context.eligible.has(*index) && Some(priority(*index)) >= last;
        let mut indices: Vec<_> = (0..group.members.len()).filter(may_be_asked).collect();
        indices.sort_by_key(|index| Reverse(priority(*index)));
        indices.into_iter().map(|index| (index, Place::Among)).collect()
    };
    for index in 0..group.members.len() {
        if !seats.iter().any(|(seated, _)| *seated == index) {
            seats.push((index, Place::LeftOut(reason(wish, model, routing, &narrowed, index))));
        }
    }
    Ok(seats)
}

/// Why a member is left out.
fn reason(wish: &Wish<'_>, model: &Model, routing: &Routing, narrowed: &Narrowed, index: usize) -> String {
    if !narrowed.tagged.has(index) {
        return "its tags are not those of the request".to_owned();
    }
    if !narrowed.admitting.has(index) {
        let address = wish.address.map_or_else(|| "nobody's address".to_owned(), |ip| ip.to_string());
        return format!("{address} lies in none of its allowed_cidrs");
    }
    if !narrowed.capable.has(index) {
        let mute = routing.members.get(index).and_then(|member| mute_provider(wish.endpoint, member));
        return match mute {
            Some(provider) => format!("{provider} cannot answer {}", wish.endpoint.path),
            None => "its provider cannot count, and another's can".to_owned(),
        };
    }
    let most = model.group.max_fallbacks.unwrap_or(u32::MAX);
    format!("max_fallbacks is {most}")
}
