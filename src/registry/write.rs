//! One write of the Admin API, checked and turned into a change of the store.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::config::resources::Resource;
use crate::config::secret::KeyHash;
use crate::config::stored::Row;
use crate::config::{Expiry, Kind, MAX_RETIRING, Problem, Problems};
use crate::error::AdminError;

use super::store::Change;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// A new resource with an id of its own.
    Create(Value),
    /// A resource under a chosen id: new, or replaced whole.
    Put(String, Value),
    /// Members of a resource, by RFC 7396.
    Patch(String, Value),
    /// The resource goes.
    Delete(String),
    /// An API key gets a new secret; the old one is good for so long.
    Rotate(String, Duration),
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The kind of resource.
    pub kind: Kind,
    /// What is to be done.
    pub action: Action,
    /// What must be there.
    pub if_match: Option<Expected>,
}

/// What a write expects to find, as `If-Match` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The resource, whatever it says.
    Any,
    /// The resource as it was written so many times.
    Revision(u64),
    /// Nothing: whoever writes wants to be the first.
    Nothing,
}

/// A write that is done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Written {
    /// The id.
    pub id: String,
    /// What the resource says now, with secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    pub value: Option<Box<serde_json::value::RawValue>>,
    /// How often it was written.
    pub revision: u64,
    /// The new key, which is shown only here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<String>,
    /// Whether there was none before.
    #[serde(skip)]
    pub is_new: bool,
}

/// What is known of a resource before it is written.
#[derive(Clone)]
pub(super) struct Before {
    /// Its revision.
    pub(super) revision: u64,
    /// The JSON object as it lies in the store.
    pub(super) body: String,
}

/// A write that is good in itself; whether it fits the others is still to be seen.
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) id: String,
    /// The resource; nothing when it goes.
    pub(super) resource: Option<Resource>,
    pub(super) change: Change,
    pub(super) written: Written,
}

impl Draft {
    /// What the next write of the same resource finds.
    pub(super) fn after(&self) -> Option<Before> {
        match &self.change {
            Change::Put { revision, body, .. } => Some(Before { revision: *revision, body: body.clone() }),
            Change::Delete { .. } => None,
        }
    }

    /// How the resource is called in reports.
    pub(super) fn address(&self) -> String {
        format!("{}/{}", self.kind.collection(), self.id)
    }

    /// The text at a path of the new body, such as `retiring[0].key_hash`.
    pub(super) fn text_at(&self, path: &str) -> Option<String> {
        let Change::Put { body, .. } = &self.change else { return None };
        let body: Value = serde_json::from_str(body).ok()?;
        let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
        body.pointer(&pointer)?.as_str().map(str::to_owned)
    }
}

/// Longest id that a caller may choose.
const MAX_ID: usize = 128;

/// What stands where an id stands, in the path of a page.
const PAGES: [&str; 1] = ["status"];

/// How many random bytes a new key has; shown as twice as many digits.
const KEY_BYTES: usize = 16;

impl Action {
    /// The id, where the caller says it.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Create(_) => None,
            Self::Put(id, _) | Self::Patch(id, _) | Self::Delete(id) | Self::Rotate(id, _) => Some(id),
        }
    }
}

/// Checks a write against the resource that it is about.
///
/// # Errors
/// 400 for a body that cannot be, 404 where there must be a resource and is none, 409 for a stale revision.
pub(super) fn draft(write: Write, before: Option<&Before>, now: Duration) -> Result<Draft, AdminError> {
    let Write { kind, action, if_match } = write;
    check_expected(if_match, before)?;
    let revision = before.map_or(0, |before| before.revision).saturating_add(1);
    let mut plaintext = None;
    let is_patch = matches!(action, Action::Patch(..));
    let (id, mut body) = match action {
        Action::Create(body) => (Uuid::new_v4().to_string(), object(kind, body)?),
        Action::Put(id, body) => (checked_id(id)?, object(kind, body)?),
        Action::Patch(id, patch) => {
            let mut body = Value::Object(object_of(before.ok_or(AdminError::NotFound)?)?);
            merge(&mut body, patch);
            (id, object(kind, body)?)
        }
        Action::Delete(id) => {
            before.ok_or(AdminError::NotFound)?;
            let written = Written { id: id.clone(), value: None, revision, plaintext, is_new: false };
            let change = Change::Delete { kind, id: id.clone() };
            return Ok(Draft { kind, id, resource: None, change, written });
        }
        Action::Rotate(id, grace) => {
            let mut body = object_of(before.ok_or(AdminError::NotFound)?)?;
            plaintext = Some(rotate(&mut body, grace, now)?);
            (id, body)
        }
    };
    if kind == Kind::ApiKeys {
        let given = if is_patch { Given::OverTheOld } else { Given::Alone };
        plaintext = plaintext.or(settle_key(&mut body, given, before.is_none())?);
    }
    let body = serde_json::to_string(&body).map_err(|error| AdminError::Store(error.to_string()))?;
    let mut problems = Problems::new("");
    let resource = Resource::read(kind, &Row { id: &id, revision, body: &body }, &mut problems);
    if !problems.is_empty() {
        return Err(invalid(kind, problems.iter()));
    }
    let written = Written {
        id: id.clone(),
        value: resource.entry().to_json().ok(),
        revision,
        plaintext,
        is_new: before.is_none(),
    };
    let change = Change::Put { kind, id: id.clone(), revision, body };
    Ok(Draft { kind, id, resource: Some(resource), change, written })
}

/// Checks what is there against what the writer expects.
fn check_expected(expected: Option<Expected>, before: Option<&Before>) -> Result<(), AdminError> {
    let found = before.map(|before| before.revision);
    match (expected, found) {
        (None, _) | (Some(Expected::Nothing), None) | (Some(Expected::Any), Some(_)) => Ok(()),
        (Some(Expected::Revision(expected)), Some(found)) if expected == found => Ok(()),
        (Some(_), None) => Err(AdminError::NotFound),
        (Some(Expected::Revision(expected)), Some(found)) => {
            Err(AdminError::Conflict(format!("the resource has revision {found}, not {expected}")))
        }
        (Some(Expected::Nothing), Some(found)) => {
            Err(AdminError::Conflict(format!("the resource is there already, with revision {found}")))
        }
    }
}

/// What is wrong with a body, in the words of the Admin API.
pub(super) fn invalid<'p>(kind: Kind, problems: impl Iterator<Item = &'p Problem>) -> AdminError {
    let texts = problems.map(|problem| match problem.path.as_str() {
        "" => format!("malformed {} payload: {}", kind.noun(), problem.message),
        path => format!("schema validation failed at {path}: {}", problem.message),
    });
    AdminError::Invalid(texts.collect::<Vec<_>>().join("; "))
}

fn checked_id(id: String) -> Result<String, AdminError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if PAGES.contains(&id.as_str()) {
        return Err(AdminError::Invalid(format!("\"{id}\" is the name of a page; choose another id")));
    }
    if (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_plain) {
        return Ok(id);
    }
    let message = "the id must be 1 to 128 letters, digits, \".\", \"_\", \":\" or \"-\"";
    Err(AdminError::Invalid(message.into()))
}

fn object(kind: Kind, body: Value) -> Result<Map<String, Value>, AdminError> {
    match body {
        Value::Object(object) => Ok(object),
        _ => {
            let message = format!("malformed {} payload: expected a JSON object", kind.noun());
            Err(AdminError::Invalid(message))
        }
    }
}

fn object_of(before: &Before) -> Result<Map<String, Value>, AdminError> {
    serde_json::from_str(&before.body).map_err(|_| {
        AdminError::Conflict("the stored resource is no JSON object; replace it by a PUT".into())
    })
}

/// RFC 7396: members of objects are merged, `null` takes away, everything else replaces.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// How a key stands in a body.
#[derive(PartialEq)]
enum Given {
    /// Beside no other.
    Alone,
    /// Merged over the hash of the one before.
    OverTheOld,
}

/// Keeps the hash of a key instead of the key; gives a new key where there is none and `may_generate`.
fn settle_key(
    body: &mut Map<String, Value>,
    given: Given,
    may_generate: bool,
) -> Result<Option<String>, AdminError> {
    let is_given = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
    let refuse =
        |message: &str| Err(AdminError::Invalid(format!("schema validation failed at key: {message}")));
    match (is_given("key"), is_given("key_hash")) {
        (true, true) if given == Given::Alone => return refuse("give \"key\" or \"key_hash\", not both"),
        (true, _) => {}
        (false, true) => return Ok(None),
        (false, false) if !may_generate && given == Given::Alone => {
            return refuse(
                "is required, or \"key_hash\": a PUT replaces the whole resource; a PATCH keeps the key",
            );
        }
        (false, false) if !may_generate => return Ok(None),
        (false, false) => {
            let key = fresh_key()?;
            body.insert("key_hash".into(), KeyHash::of(&key).to_hex().into());
            return Ok(Some(key));
        }
    }
    match body.remove("key") {
        Some(Value::String(key)) if key.is_empty() => refuse("must not be empty"),
        Some(Value::String(key)) if key.contains('…') => refuse("is a masked secret; give the key itself"),
        Some(Value::String(key)) => {
            body.insert("key_hash".into(), KeyHash::of(&key).to_hex().into());
            Ok(None)
        }
        _ => refuse("expected a string"),
    }
}

/// A key that nobody has: `sk-` and 32 hexadecimal digits.
fn fresh_key() -> Result<String, AdminError> {
    let mut bytes = [0; KEY_BYTES];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| AdminError::Store("the system has no random numbers".into()))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sk-{digits}"))
}

#[derive(Serialize, Deserialize)]
struct Retiring {
    key_hash: KeyHash,
    until: Expiry,
}

/// Replaces the key by a new one, which is returned. The old one stays good for the grace.
fn rotate(body: &mut Map<String, Value>, grace: Duration, now: Duration) -> Result<String, AdminError> {
    let key = fresh_key()?;
    let old = body.insert("key_hash".into(), KeyHash::of(&key).to_hex().into());
    let retiring = body.remove("retiring").and_then(|list| serde_json::from_value(list).ok());
    let mut retiring: Vec<Retiring> = retiring.unwrap_or_default();
    retiring.retain(|earlier| earlier.until.0 > now);
    let old: Option<KeyHash> = old.and_then(|hash| serde_json::from_value(hash).ok());
    if let Some(key_hash) = old.filter(|_| !grace.is_zero()) {
        // Whole seconds are stored: a grace is rather longer than it was promised.
        let until = now.saturating_add(grace).saturating_add(Duration::from_nanos(999_999_999));
        retiring.push(Retiring { key_hash, until: Expiry(Duration::from_secs(until.as_secs())) });
    }
    retiring.drain(..retiring.len().saturating_sub(MAX_RETIRING));
    if !retiring.is_empty() {
        let list = serde_json::to_value(&retiring).map_err(|error| AdminError::Store(error.to_string()))?;
        body.insert("retiring".into(), list);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_merges_as_rfc_7396_says() {
        // The examples of its appendix A.
        for (target, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut result = target.clone();
            merge(&mut result, patch.clone());
            assert_eq!(result, merged, "{target} with {patch}");
        }
    }

    #[test]
    fn earlier_keys_stay_for_their_grace_and_no_longer() {
        let mut body = Map::from_iter([("key_hash".into(), KeyHash::of("first").to_hex().into())]);
        let at = Duration::from_secs;
        rotate(&mut body, at(60), at(999) + Duration::from_millis(1)).unwrap();
        let second = rotate(&mut body, at(0), at(1030)).unwrap();
        assert_eq!(body["key_hash"], KeyHash::of(&second).to_hex());
        assert_eq!(body["retiring"][0]["key_hash"], KeyHash::of("first").to_hex());
        assert_eq!(body["retiring"][0]["until"], "1970-01-01T00:17:40Z");
        rotate(&mut body, at(0), at(1061)).unwrap();
        assert!(!body.contains_key("retiring"), "{body:?}");
    }

    #[test]
    fn ids_are_short_and_plain() {
        for (id, is_good) in [
            ("a.b_C:9-", true),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
            ("", false),
            ("status", false),
            ("a/b", false),
            ("é", false),
        ] {
            assert_eq!(checked_id(id.into()).is_ok(), is_good, "{id}");
        }
    }
}
