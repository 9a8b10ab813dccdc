//! The key of an answer: SHA-256 over everything that can change it, and over whose answer it is.
//!
//! Numbers stay as written: a temperature that differs by a thousandth is another request, and `1` and `1.0` cost a miss,
//! never a wrong answer.

use actix_web::http::header::HeaderMap;
use aisix_actors::cache::Key;
use sha2::{Digest, Sha256};

use crate::config::headers::is_forwardable;
use crate::config::snapshot::{ApiKey, CachePolicy, CacheScope, Direct, Dispatch, Model};
use crate::dialect::canonical;
use crate::dialect::raw::RawObject;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::route::{Narrowed, Wish};

/// Members that change how an answer travels, not what it says.
const NOT_IN_KEY: [&str; 2] = ["stream", "stream_options"];

/// What the key is made of; a new number leaves all answers of earlier makings behind.
const MAKING: &str = "aisix answer 3";

/// The key of the answer to a request.
pub(super) fn of(
    exchange: &Exchange,
    policy: &CachePolicy,
    caller: &ApiKey,
    headers: &HeaderMap,
    body: &RawObject,
) -> Key {
    let mut text = Vec::with_capacity(body.bytes().len() + 512);
    let owner = match policy.scope {
        CacheScope::ApiKey => &*caller.id,
        CacheScope::Env => "",
    };
    for part in [MAKING, exchange.endpoint.operation.kept_as(), &policy.id, owner] {
        write(part.as_bytes(), &mut text);
    }
    text.extend_from_slice(&policy.purge_generation.to_le_bytes());
    if let Some(guard) = &exchange.guard {
        text.extend_from_slice(&guard.chain.members().count().to_le_bytes());
        for member in guard.chain.members() {
            write(member.id.as_bytes(), &mut text);
            text.extend_from_slice(&member.digest);
        }
    }
    if let Some(named) = &exchange.model {
        // Not every dialect names the model in the body.
        write(named.model.id.as_bytes(), &mut text);
        write(named.capture.as_deref().unwrap_or_default().as_bytes(), &mut text);
        write_targets(&named.model, headers, &mut text);
        let address = exchange.client.ip;
        let wish = Wish { endpoint: exchange.endpoint, headers, caller, address };
        write_eligible(&wish, &named.model, &mut text);
    }
    canonical::write_object(body, &NOT_IN_KEY, &mut text);
    Sha256::digest(&text).into()
}

/// The length first: no two lists of parts are one text.
fn write(part: &[u8], text: &mut Vec<u8>) {
    text.extend_from_slice(&(part.len() as u64).to_le_bytes());
    text.extend_from_slice(part);
}

/// What stands behind a model: a change of it leaves the earlier answers behind.
fn write_targets(model: &Model, headers: &HeaderMap, text: &mut Vec<u8>) {
    text.push(u8::from(model.is_strict));
    match &model.dispatch {
        Dispatch::Direct(direct) => write_target(direct, headers, text),
        Dispatch::Routing(routing) => {
            routing.members.iter().for_each(|member| write_targets(member, headers, text));
        }
    }
}

/// Which targets the request may go to, by its tags and its address: who may not ask a target is not given its answers.
/// Which of them the router would choose is no part of the key.
fn write_eligible(wish: &Wish<'_>, model: &Model, text: &mut Vec<u8>) {
    let Dispatch::Routing(routing) = &model.dispatch else { return };
    // The route was planned already: a request that may go nowhere does not come here.
    let Ok(Narrowed { capable, .. }) = wish.narrow(model, routing) else { return };
    text.extend((0..routing.members.len()).map(|place| u8::from(capable.has(place))));
}

fn write_target(direct: &Direct, headers: &HeaderMap, text: &mut Vec<u8>) {
    for part in [&*direct.provider_label, &direct.upstream_model, &direct.key.id, &direct.key.base_url] {
        write(part.as_bytes(), text);
    }
    text.extend_from_slice(&direct.default_headers.0.len().to_le_bytes());
    for (name, value) in &direct.default_headers.0 {
        write(name.as_bytes(), text);
        write(value.as_bytes(), text);
    }
    if direct.forwarded_headers.is_empty() {
        return;
    }
    // What the provider is told of the caller's request beside its body.
    let is_wanted =
        |name: &str| is_forwardable(name) && direct.forwarded_headers.iter().any(|glob| glob.is_match(name));
    let mut names: Vec<_> = headers.keys().filter(|name| is_wanted(name.as_str())).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    names.dedup();
    text.extend_from_slice(&names.len().to_le_bytes());
    for name in names {
        write(name.as_str().as_bytes(), text);
        write(headers.get(name).map_or(b"", |value| value.as_bytes()), text);
    }
}
