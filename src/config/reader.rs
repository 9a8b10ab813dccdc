//! From a tree of values to a typed shape, with every mismatch of a section and not only the first.
//!
//! serde stops at the first mismatch. So the offending value is reported, taken out of a copy of the tree,
//! and the rest is read again, until nothing is found. A value that is already reported elsewhere (an unset
//! variable) stays silent.

mod mismatch;
mod source;

use std::cell::Cell;

use serde::de::DeserializeOwned;

use self::{
    mismatch::{Kind, Mismatch, Segment},
    source::Source,
};
use super::{
    problem::{Place, Problems, did_you_mean, nearest},
    tree::{Node, Origin, Value},
};

/// More mismatches than this in one section are not worth listing; the bound ends the reading in any case.
const MAX_FINDINGS: usize = 64;

/// Reads the thing at `place` as a `T`; `None` when anything about it is or has been reported.
pub fn read<T: DeserializeOwned>(place: Place<'_>, problems: &mut Problems) -> Option<T> {
    let (value, without) = read_what_fits(place, problems);
    value.filter(|_| without.is_none())
}

/// Reads the thing at `place` as a `T` with all that fits, so that the rest can be checked in the same round. Where
/// something does not fit, there is also a copy of the thing in which that could not be had.
pub(super) fn read_what_fits<T: DeserializeOwned>(
    place: Place<'_>,
    problems: &mut Problems,
) -> (Option<T>, Option<Node>) {
    if let Ok(Some(value)) = read_once(place.node) {
        return (Some(value), None);
    }
    let mut repair = Repair { node: place.node.clone(), without: place.node.clone(), reported: Vec::new() };
    for _ in 0..MAX_FINDINGS {
        let met_unavailable = Cell::new(false);
        let mismatch = match T::deserialize(Source::new(&repair.node, &met_unavailable)) {
            Ok(value) => {
                // Elements that are left out would give those behind them other numbers.
                let is_countable = !repair.without.lacks_elements();
                return (is_countable.then_some(value), Some(repair.without));
            }
            Err(mismatch) => mismatch,
        };
        let path = mismatch.path();
        if repair.is_news(&mismatch, &path) {
            report(place, &mismatch, &path, problems);
        }
        if !repair.take_out(&mismatch, path) {
            break;
        }
    }
    (None, Some(repair.without))
}

/// Reads without a copy, which is all that a good thing needs; `None` when a part of it could not be had.
fn read_once<T: DeserializeOwned>(node: &Node) -> Result<Option<T>, Mismatch> {
    let met_unavailable = Cell::new(false);
    let value = T::deserialize(Source::new(node, &met_unavailable))?;
    Ok((!met_unavailable.get()).then_some(value))
}

/// A copy of what is read, from which the values that do not fit are taken out.
struct Repair {
    node: Node,
    /// Another copy, in which they stand as what could not be had.
    without: Node,
    /// Paths of what is taken out.
    reported: Vec<String>,
}

impl Repair {
    /// Whether the mismatch concerns something that no report mentions yet.
    fn is_news(&self, mismatch: &Mismatch, path: &str) -> bool {
        let is_unavailable =
            at(&self.node, &mismatch.segments()).is_some_and(|node| matches!(node.value, Value::Unavailable));
        let is_about_name = matches!(mismatch.kind, Kind::UnknownField { .. });
        let is_reported = self.reported.contains(&missing_path(mismatch, path));
        !is_reported && (is_about_name || !is_unavailable)
    }

    /// Changes the copy so that the mismatch does not come up again; `false` when that cannot be done.
    fn take_out(&mut self, mismatch: &Mismatch, path: String) -> bool {
        let segments = mismatch.segments();
        if let Kind::MissingField(name) = mismatch.kind {
            insert_unavailable(&mut self.without, &segments, name);
            self.reported.push(missing_path(mismatch, &path));
            return insert_unavailable(&mut self.node, &segments, name);
        }
        if let Some(node) = at_mut(&mut self.without, &segments) {
            node.value = Value::Unavailable;
        }
        let is_second_time = self.reported.contains(&path);
        self.reported.push(path);
        let Some((last, parents)) = segments.split_last() else {
            return false;
        };
        let Some(parent) = at_mut(&mut self.node, parents) else {
            return false;
        };
        match (&mut parent.value, last) {
            (Value::Table(members), Segment::Key(name)) if !is_second_time => {
                members.retain(|(key, _)| key != name);
                true
            }
            (Value::Array(elements), Segment::Index(index)) if !is_second_time => {
                // Elements stay in place, so that the numbers of those behind them stay right.
                let element = elements.get_mut(*index);
                element.map(|element| element.value = Value::Unavailable).is_some()
            }
            _ => false,
        }
    }
}

/// The path that a mismatch is remembered by: that of the absent member for a missing field.
fn missing_path(mismatch: &Mismatch, path: &str) -> String {
    match mismatch.kind {
        Kind::MissingField(name) if path.is_empty() => name.to_owned(),
        Kind::MissingField(name) => format!("{path}.{name}"),
        _ => path.to_owned(),
    }
}

fn insert_unavailable(root: &mut Node, segments: &[Segment], name: &str) -> bool {
    let Some(node) = at_mut(root, segments) else {
        return false;
    };
    let origin = node.origin.clone();
    let Value::Table(members) = &mut node.value else {
        return false;
    };
    if members.iter().any(|(key, _)| key == name) {
        return false;
    }
    let absent = Node { value: Value::Unavailable, origin };
    members.push((name.to_owned(), absent));
    true
}

fn at<'n>(root: &'n Node, segments: &[Segment]) -> Option<&'n Node> {
    segments.iter().try_fold(root, |node, segment| match segment {
        Segment::Key(name) => node.get(name),
        Segment::Index(index) => node.elements().get(*index),
    })
}

fn at_mut<'n>(root: &'n mut Node, segments: &[Segment]) -> Option<&'n mut Node> {
    segments.iter().try_fold(root, |node, segment| match (&mut node.value, segment) {
        (Value::Table(members), Segment::Key(name)) => {
            members.iter_mut().find(|(key, _)| key == name).map(|(_, node)| node)
        }
        (Value::Array(elements), Segment::Index(index)) => elements.get_mut(*index),
        _ => None,
    })
}

fn report(place: Place<'_>, mismatch: &Mismatch, path: &str, problems: &mut Problems) {
    let found = at(place.node, &mismatch.segments());
    let message = match &mismatch.kind {
        Kind::UnknownField { name, expected } => unknown_field(name, expected, place.node.origin_of(path)),
        Kind::MissingField(name) => format!("\"{name}\" is required"),
        Kind::RepeatedField(name) => format!("\"{name}\" is given twice, in two spellings"),
        Kind::UnknownVariant { name, expected } => {
            let is_quotable =
                matches!(found.map(|node| &node.value), Some(Value::Str { is_quotable: true, .. }));
            unknown_variant(is_quotable.then_some(name.as_str()), expected)
        }
        Kind::Invalid { expected, found } => format!("expected {expected}, found {found}"),
        Kind::Custom(message) => message.clone(),
    };
    place.add(path, message, problems);
}

fn unknown_field(name: &str, expected: &[&str], origin: &Origin) -> String {
    if name == "semantic" && expected.contains(&"purge_generation") {
        return "answers to requests that only mean the same are not supported: the cache has no semantic layer".into();
    }
    let known = expected.iter().copied();
    let hint = match (nearest(name, known.clone()), origin) {
        (Some(candidate), Origin::Variable(variable)) => {
            format!(" (did you mean {}?)", renamed_variable(variable, name, candidate))
        }
        (Some(candidate), _) => format!(" (did you mean \"{candidate}\"?)"),
        (None, _) => format!("; known here: {}", known.collect::<Vec<_>>().join(", ")),
    };
    format!("no setting is called \"{name}\"{hint}")
}

/// The environment variable with the level `name` replaced by `candidate`.
fn renamed_variable(variable: &str, name: &str, candidate: &str) -> String {
    let levels = variable.split("__").map(|level| {
        let is_wrong = level.eq_ignore_ascii_case(name);
        if is_wrong { candidate.to_ascii_uppercase() } else { level.to_owned() }
    });
    levels.collect::<Vec<_>>().join("__")
}

/// Signs of other languages, and ours for the same: the nearest by its letters would mean something else.
const ELSEWHERE: [(&str, &str); 5] = [("=~", "~~"), ("~", "~~"), ("!=", "~="), ("<>", "~="), ("=", "==")];

fn unknown_variant(found: Option<&str>, expected: &[&str]) -> String {
    let list: Vec<String> = expected.iter().map(|name| format!("\"{name}\"")).collect();
    let wanted = match list.as_slice() {
        [only] => format!("expected {only}"),
        several => format!("expected one of {}", several.join(", ")),
    };
    match found {
        Some(found) => {
            let meant = ELSEWHERE.iter().find(|(other, ours)| *other == found && expected.contains(ours));
            let hint = match meant {
                Some((_, ours)) => format!(" (did you mean \"{ours}\"?)"),
                None => did_you_mean(found, expected.iter().copied()),
            };
            format!("{wanted}, found \"{found}\"{hint}")
        }
        None => wanted,
    }
}

#[cfg(test)]
mod tests;
