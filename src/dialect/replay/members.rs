//! JSON as it is written: the members of objects and the items of arrays, raw.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::dialect::canonical;
use crate::dialect::json::{Text, Writer};

/// A name, and raw JSON.
pub(super) type Member<'a> = (Cow<'a, str>, &'a str);

/// The members of an object, in their order.
pub(super) fn members(raw: &str) -> Option<Vec<Member<'_>>> {
    serde_json::from_str::<canonical::Members<'_>>(raw).ok().map(|members| members.0.into_vec())
}

/// The items of an array.
pub(super) fn items(raw: &str) -> Option<Vec<&str>> {
    let items = serde_json::from_str::<Vec<&RawValue>>(raw).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

/// The items of a text that is an array.
pub(super) fn array(text: &[u8]) -> Option<Vec<String>> {
    let items = items(std::str::from_utf8(text).ok()?)?;
    Some(items.into_iter().map(str::to_owned).collect())
}

/// The value of a member; `None` too where it is null.
pub(super) fn get<'a>(members: &[Member<'a>], name: &str) -> Option<&'a str> {
    members.iter().find(|(own, _)| own == name).map(|(_, raw)| *raw).filter(|raw| *raw != "null")
}

/// What stands between the quotes of a string.
pub(super) fn inside(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// A whole number.
pub(super) fn number(raw: &str) -> Option<u64> {
    raw.parse().ok()
}

/// Whether a value says nothing.
pub(super) fn is_nothing(raw: &str) -> bool {
    match raw.as_bytes() {
        b"null" | b"\"\"" => true,
        [b'[', inside @ .., b']'] | [b'{', inside @ .., b'}'] => inside.trim_ascii().is_empty(),
        _ => false,
    }
}

/// Sets a member; what says nothing takes the place of nothing.
pub(super) fn set<'a>(members: &mut Vec<Member<'a>>, name: Cow<'a, str>, raw: &'a str) {
    match members.iter_mut().find(|(own, _)| *own == name) {
        Some((_, own)) if raw != "null" => *own = raw,
        Some(_) => {}
        None => members.push((name, raw)),
    }
}

/// Sets a member that must not say two things; `None` where it would.
pub(super) fn agree<'a>(members: &mut Vec<Member<'a>>, name: Cow<'a, str>, raw: &'a str) -> Option<()> {
    match members.iter_mut().find(|(own, _)| *own == name) {
        Some((_, own)) if is_nothing(own) => *own = raw,
        Some((_, own)) if is_nothing(raw) || *own == raw => {}
        Some(_) => return None,
        None => members.push((name, raw)),
    }
    Some(())
}

/// Writes members as they are.
pub(super) fn copy<'a>(
    writer: &mut Writer<'_>,
    members: impl IntoIterator<Item = &'a Member<'a>>,
    except: &[&str],
) {
    for (name, raw) in members {
        if !except.contains(&&**name) {
            writer.name(name).raw(raw);
        }
    }
}

/// Writes a member that is text.
pub(super) fn say(writer: &mut Writer<'_>, name: &str, escaped: &str) {
    writer.name(name).text(&Text::from_escaped(escaped));
}

/// Writes a member that is a list of raw items.
pub(super) fn list(writer: &mut Writer<'_>, name: &str, items: &[&str]) {
    writer.name(name).array(|w| items.iter().for_each(|item| w.raw(item)));
}
