//! Route: what a request says about the target that it wants, before the router chooses (§6.1, §6.2).
//!
//! Tags, networks and what a provider can do at all follow from the configuration; the router knows how the targets are.

use std::borrow::Cow;
use std::net::IpAddr;

use actix_web::http::header::{COOKIE, HeaderMap};
use aisix_actors::candidate_router::{Eligible, Group, RouteContext, Strategy, hash_key};

use super::count;
use super::reserve::mute_provider;
use crate::config::snapshot::{ApiKey, Dispatch, HashOn, Model, Routing};
use crate::endpoints::Endpoint;
use crate::error::{AccessError, GatewayError, RequestError};

/// The header by which a caller asks for targets with one of its tags.
const TAGS: &str = "x-aisix-routing-tags";
/// The tag of the targets for those who ask for none, or for one that nobody has.
const DEFAULT_TAG: &str = "default";

/// What of a request says where it may go.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The endpoint that it came to.
    pub endpoint: &'a Endpoint,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its key.
    pub caller: &'a ApiKey,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

/// The targets that are left, step by step.
pub struct Narrowed {
    /// Those with a tag that is asked for.
    pub tagged: Eligible,
    /// Of these, those that admit the caller's address.
    pub admitting: Eligible,
    /// Of these, those whose provider can answer: among them the router chooses.
    pub capable: Eligible,
}

impl Wish<'_> {
    /// Reads what the request adds to the choice among a model's targets.
    ///
    /// # Errors
    /// As [`Self::narrow`].
    pub fn context(&self, model: &Model) -> Result<RouteContext, GatewayError> {
        let Dispatch::Routing(routing) = &model.dispatch else { return Ok(RouteContext::default()) };
        let eligible = self.narrow(model, routing)?.capable;
        let key = match model.group.strategy {
            Strategy::ConsistentHash => {
                hash_key(&self.key(&routing.hash_on).map_or(Cow::Borrowed(""), |(_, key)| key))
            }
            _ => 0,
        };
        Ok(RouteContext { eligible, key })
    }

    /// Leaves out the targets that the request cannot go to.
    ///
    /// # Errors
    /// 400 when no target has the tags, 403 when the caller's address may use none of those that have.
    pub fn narrow(&self, model: &Model, routing: &Routing) -> Result<Narrowed, GatewayError> {
        // A list may be spread over several headers of the name (RFC 9110, §5.3).
        let wanted = self.headers.get_all(TAGS).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let tagged = tagged(&model.group, &wanted.collect::<Vec<_>>())?;
        let members = &routing.members;
        let mut admitting = tagged.clone();
        if members.iter().any(|member| !member.allowed_cidrs.is_empty()) {
            admitting = admitting.only(members.len(), |index| members[index].admits(self.address));
            if admitting.is_empty() {
                return Err(AccessError::AddressNotAllowed(model.name.as_ref().into()).into());
            }
        }
        let capable = capable(self.endpoint, routing, admitting.clone());
        Ok(Narrowed { tagged, admitting, capable })
    }

    /// The first property that the request has, and what it is; nothing at all is a key too.
    pub fn key<'a>(&'a self, on: &'a [HashOn]) -> Option<(&'a HashOn, Cow<'a, str>)> {
        let text = |bytes: &'a [u8]| String::from_utf8_lossy(bytes);
        on.iter().find_map(|property| {
            let value = match property {
                HashOn::Header(name) => text(self.headers.get(name)?.as_bytes()),
                HashOn::Cookie(name) => cookie(self.headers, name)?,
                HashOn::ApiKey => Cow::Borrowed(&*self.caller.id),
                HashOn::ClientIp => Cow::Owned(self.address?.to_string()),
            };
            (!value.is_empty()).then_some((property, value))
        })
    }
}

/// The targets with one of the tags that are asked for, separated by commas.
fn tagged(group: &Group, lists: &[Cow<'_, str>]) -> Result<Eligible, RequestError> {
    let members = &group.members;
    if members.iter().all(|member| member.tags.is_empty()) {
        return Ok(Eligible::All);
    }
    let with = |is_wanted: &dyn Fn(&str) -> bool| {
        Eligible::All.only(members.len(), |index| members[index].tags.iter().any(|tag| is_wanted(tag)))
    };
    let wanted: Vec<&str> =
        lists.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|tag| !tag.is_empty()).collect();
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
fn capable(endpoint: &Endpoint, routing: &Routing, eligible: Eligible) -> Eligible {
    let members = &routing.members;
    let is_mute = |member: &Model| mute_provider(endpoint, member).is_some();
    let counts_itself = |member: &Model| match &member.dispatch {
        Dispatch::Direct(direct) => !count::is_ours(endpoint, direct),
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

/// The value of a cookie.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    let pairs =
        headers.get_all(COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(own, _)| *own == name);
    values.next().map(|(_, value)| Cow::Borrowed(value.trim_matches('"')))
}
