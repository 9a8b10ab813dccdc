//! Settings from environment variables: `AISIX_PROXY__ADDR` is `proxy.addr`, with two underscores between
//! levels.
//!
//! A list of texts is separated by commas; a list of tables is JSON, `[{"match": "^/a", "rewrite": "/b"}]`.
//! Only settings can be overridden, not resources. A variable that looks like an override and means nothing
//! is a problem, because a misspelt one would otherwise be ignored in silence.

use super::{
    problem::{Problems, nearest},
    settings::TABLES,
    tree::{Node, Origin, Value},
};

const PREFIX: &str = "AISIX_";

const BETWEEN_LEVELS: &str = "__";

/// Puts the overrides among `variables` into the tree; other variables are passed over.
pub(super) fn apply(root: &mut Node, variables: &[(String, String)], problems: &mut Problems) {
    for (variable, text) in variables {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        if !name.contains(BETWEEN_LEVELS) {
            continue;
        }
        let name = name.to_ascii_lowercase();
        let levels: Vec<&str> = name.split(BETWEEN_LEVELS).collect();
        let table = levels.first().copied().unwrap_or_default();
        if TABLES.contains(&table) {
            set(root, &levels, variable, text);
        } else {
            let message = format!("no table of settings is called \"{table}\"{}", hint(table, &levels));
            problems.add_variable(variable, message);
        }
    }
}

/// Sets the value at `levels`. Where a level is no table, the reader reports that; the override is left out.
fn set(root: &mut Node, levels: &[&str], variable: &str, text: &str) {
    let origin = Origin::Variable(variable.into());
    let Some((last, tables)) = levels.split_last() else {
        return;
    };
    let mut node = root;
    for table in tables {
        match member(node, table, Node::empty_table(origin.clone())) {
            Some(next) => node = next,
            None => return,
        }
    }
    let value = list_of_tables(text, &origin).unwrap_or_else(|| Value::Loose(text.to_owned()));
    let value = Node { value, origin };
    if let Some(found) = member(node, last, value.clone()) {
        *found = value;
    }
}

/// The list that a text is when it is JSON; what is none, the reader says by the type that is asked for.
fn list_of_tables(text: &str, origin: &Origin) -> Option<Value> {
    let elements: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(text).ok()?;
    let table = |members| Node {
        value: from_json(serde_json::Value::Object(members), origin),
        origin: origin.clone(),
    };
    Some(Value::Array(elements.into_iter().map(table).collect()))
}

/// A value of JSON. Its numbers and truth values are texts here, which take the type that is asked for.
fn from_json(value: serde_json::Value, origin: &Origin) -> Value {
    let node = |value| Node { value: from_json(value, origin), origin: origin.clone() };
    match value {
        serde_json::Value::Object(members) => {
            Value::Table(members.into_iter().map(|(name, value)| (name, node(value))).collect())
        }
        serde_json::Value::Array(elements) => Value::Array(elements.into_iter().map(node).collect()),
        serde_json::Value::String(text) => Value::Str { text, is_quotable: false },
        other => Value::Loose(other.to_string()),
    }
}

/// The member called `name`, added as `absent` when there is none; nothing when `node` is no table.
fn member<'n>(node: &'n mut Node, name: &str, absent: Node) -> Option<&'n mut Node> {
    let Value::Table(members) = &mut node.value else {
        return None;
    };
    let at = members.iter().position(|(key, _)| key == name).unwrap_or_else(|| {
        members.push((name.to_owned(), absent));
        members.len() - 1
    });
    members.get_mut(at).map(|(_, node)| node)
}

fn hint(table: &str, levels: &[&str]) -> String {
    let Some(candidate) = nearest(table, TABLES) else {
        return format!("; known: {}", TABLES.join(", "));
    };
    let rest = levels.iter().skip(1).copied();
    let levels: Vec<&str> = std::iter::once(candidate).chain(rest).collect();
    format!(" (did you mean {PREFIX}{}?)", levels.join(BETWEEN_LEVELS).to_ascii_uppercase())
}
