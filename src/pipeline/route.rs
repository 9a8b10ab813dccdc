//! Route: what a request says about the target that it wants, before the router chooses (§6.1, §6.2).
//!
//! Tags, networks and what a provider can do at all follow from the configuration; the router knows how the targets are.

use std::borrow::Cow;

use actix_web::http::header::{COOKIE, HeaderMap};
use aisix_actors::candidate_router::{Eligible, Group, RouteContext, Strategy, hash_key};

use super::count;
use super::exchange::Exchange;
use super::reserve::mute_provider;
use crate::config::snapshot::{ApiKey, Dispatch, HashOn, Model, Routing};
use crate::error::{AccessError, GatewayError, RequestError};

/// The header by which a caller asks for targets with one of its tags.
const TAGS: &str = "x-aisix-routing-tags";
/// The tag of the targets for those who ask for none, or for one that nobody has.
const DEFAULT_TAG: &str = "default";

/// Reads what a request adds to the choice among a model's targets.
///
/// # Errors
/// 400 when no target has the tags, 403 when the caller's address may use none of those that have.
pub fn context(
    exchange: &Exchange,
    headers: &HeaderMap,
    caller: &ApiKey,
    model: &Model,
) -> Result<RouteContext, GatewayError> {
    let Dispatch::Routing(routing) = &model.dispatch else { return Ok(RouteContext::default()) };
    let wanted = headers.get(TAGS).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut eligible = tagged(&model.group, wanted.as_deref())?;
    let members = &routing.members;
    if members.iter().any(|member| !member.allowed_cidrs.is_empty()) {
        eligible = eligible.only(members.len(), |index| members[index].admits(exchange.client.ip));
        if eligible.is_empty() {
            return Err(AccessError::AddressNotAllowed(model.name.as_ref().into()).into());
        }
    }
    let eligible = capable(exchange, routing, eligible);
    let key = match model.group.strategy {
        Strategy::ConsistentHash => hash_key(&key(exchange, headers, caller, &routing.hash_on)),
        _ => 0,
    };
    Ok(RouteContext { eligible, key })
}

/// The targets with one of the tags that are asked for, separated by commas.
fn tagged(group: &Group, wanted: Option<&str>) -> Result<Eligible, RequestError> {
    let members = &group.members;
    if members.iter().all(|member| member.tags.is_empty()) {
        return Ok(Eligible::All);
    }
    let with = |is_wanted: &dyn Fn(&str) -> bool| {
        Eligible::All.only(members.len(), |index| members[index].tags.iter().any(|tag| is_wanted(tag)))
    };
    let wanted: Vec<&str> =
        wanted.unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
    let usual = with(&|tag| tag == DEFAULT_TAG);
    if wanted.is_empty() {
        return Ok(if usual.is_empty() { Eligible::All } else { usual });
    }
    let asked_for = with(&|tag| wanted.contains(&tag));
    match (asked_for.is_empty(), usual.is_empty()) {
        (false, _) => Ok(asked_for),
        (true, false) => Ok(usual),
        (true, true) => {
            Err(RequestError::invalid(format!("no target of the model has a tag of the header {TAGS}")))
        }
    }
}

/// Those whose provider can answer the endpoint; and where some count tokens themselves, only those. All of them where
/// that leaves none: the attempt will say why.
fn capable(exchange: &Exchange, routing: &Routing, eligible: Eligible) -> Eligible {
    let members = &routing.members;
    let is_mute = |member: &Model| mute_provider(exchange.endpoint, member).is_some();
    let counts_itself = |member: &Model| match &member.dispatch {
        Dispatch::Direct(direct) => !count::is_ours(exchange, direct),
        Dispatch::Routing(_) => false,
    };
    let has_both = members.iter().any(|member| counts_itself(member));
    if !members.iter().any(|member| is_mute(member) || (has_both && !counts_itself(member))) {
        return eligible;
    }
    let able = eligible.clone().only(members.len(), |index| {
        !is_mute(&members[index]) && (!has_both || counts_itself(&members[index]))
    });
    if able.is_empty() { eligible } else { able }
}

/// The first property that the request has; nothing at all is a key too.
fn key<'a>(exchange: &Exchange, headers: &'a HeaderMap, caller: &'a ApiKey, on: &[HashOn]) -> Cow<'a, str> {
    let text = |bytes: &'a [u8]| String::from_utf8_lossy(bytes);
    let found = on.iter().find_map(|property| {
        let value = match property {
            HashOn::Header(name) => text(headers.get(name)?.as_bytes()),
            HashOn::Cookie(name) => cookie(headers, name)?,
            HashOn::ApiKey => Cow::Borrowed(&*caller.id),
            HashOn::ClientIp => Cow::Owned(exchange.client.ip?.to_string()),
        };
        (!value.is_empty()).then_some(value)
    });
    found.unwrap_or_default()
}

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let pairs =
        headers.get_all(COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(own, _)| *own == name);
    values.next().map(|(_, value)| Cow::Borrowed(value.trim_matches('"')))
}
