//! Members of a request, read one by one: each says what it wants and where it fails.

use serde::Deserialize;

use super::shapes::Message;
use crate::dialect::json::Text;
use crate::dialect::json::shape::{Json, Number};
use crate::dialect::whole::Whole;
use crate::error::RequestError;

/// Reads a member.
///
/// # Errors
/// Names the member and what it must be; never what it is.
pub(super) fn member<'a, T: Deserialize<'a>>(
    raw: &'a str,
    name: &'static str,
    wanted: &str,
) -> Result<T, RequestError> {
    serde_json::from_str(raw)
        .map_err(|_| RequestError::member(name, format!("the member \"{name}\" must be {wanted}")))
}

pub(super) fn whole(raw: &str, name: &'static str) -> Result<Option<u64>, RequestError> {
    member(raw, name, "a whole number").map(|Whole(number)| Some(number))
}

pub(super) fn number<'a>(raw: &'a str, name: &'static str) -> Result<Option<&'a str>, RequestError> {
    member(raw, name, "a number").map(|Number(number)| Some(number))
}

pub(super) fn truth(raw: &str, name: &'static str) -> Result<bool, RequestError> {
    member(raw, name, "a boolean")
}

pub(super) fn text<'a>(raw: &'a str, name: &'static str) -> Result<Text<'a>, RequestError> {
    member(raw, name, "a string")
}

/// The messages.
///
/// # Errors
/// Names the first one that cannot be read, and its member.
pub(super) fn messages(raw: &str) -> Result<Vec<Message<'_>>, RequestError> {
    serde_json::from_str(raw).map_err(|_| RequestError::member("messages", wrong_message(raw)))
}

/// Which message is none, and which of its members is to blame.
fn wrong_message(raw: &str) -> String {
    let Ok(items) = serde_json::from_str::<Vec<Json<'_>>>(raw) else {
        return "the member \"messages\" must be an array".to_owned();
    };
    for (place, item) in items.iter().enumerate() {
        if serde_json::from_str::<Message<'_>>(item.0).is_ok() {
            continue;
        }
        return match wrong_member(item.0) {
            Some(name) => format!("messages[{place}].{name} has a value of the wrong type"),
            None => format!("messages[{place}] must be an object"),
        };
    }
    "the member \"messages\" cannot be read".to_owned()
}

/// The first member with which a message cannot be read. Only names known here, so that nothing of the caller's is shown.
fn wrong_member(raw: &str) -> Option<&'static str> {
    const NAMES: [&str; 11] = [
        "role",
        "content",
        "name",
        "tool_call_id",
        "tool_calls",
        "function_call",
        "refusal",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "cache_control",
    ];
    let members: std::collections::HashMap<String, &serde_json::value::RawValue> =
        serde_json::from_str(raw).ok()?;
    NAMES.into_iter().find(|name| {
        members.get(*name).is_some_and(|value| {
            let alone = format!("{{\"{name}\":{value}}}");
            serde_json::from_str::<Message<'_>>(&alone).is_err()
        })
    })
}
