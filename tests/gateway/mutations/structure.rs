//! Mutants by structure: good TOML that says something else.

use fastrand::Rng;
use toml::{Table, Value};

use super::SHIPPED;

/// Names that mean something somewhere else.
const NAMES: [&str; 16] = [
    "display_name",
    "enabled",
    "addr",
    "path",
    "routing",
    "rate_limit",
    "api_key",
    "key_hash",
    "timeout",
    "tls",
    "scope",
    "retries",
    "cooldown",
    "request",
    "é",
    "",
];

pub(super) fn mutant(number: u64) -> String {
    let mut random = Rng::with_seed(number);
    let mut root = Value::Table(SHIPPED.parse::<Table>().expect("the shipped file is TOML"));
    let times = if number.is_multiple_of(4) { random.usize(2..4) } else { 1 };
    for _ in 0..times {
        mutate(&mut root, &mut random);
    }
    match root {
        Value::Table(table) => table.to_string(),
        other => format!("x = {other}"),
    }
}

/// Walks to a random value, and changes it or its name.
fn mutate(node: &mut Value, random: &mut Rng) {
    match node {
        Value::Table(members) if !members.is_empty() => {
            let at = random.usize(..members.len());
            let name = members.keys().nth(at).expect("it is there").clone();
            let is_deep = matches!(members[&name], Value::Table(_) | Value::Array(_));
            if is_deep && random.u8(..8) > 0 {
                return mutate(&mut members[&name], random);
            }
            change_member(members, &name, random);
        }
        Value::Array(elements) if !elements.is_empty() => {
            let at = random.usize(..elements.len());
            match random.u8(..8) {
                0 => elements.push(elements[at].clone()),
                1 => drop(elements.remove(at)),
                2 => elements.swap(0, at),
                3 => elements[at] = other(&elements[at], random),
                _ => mutate(&mut elements[at], random),
            }
        }
        other_value => *other_value = other(other_value, random),
    }
}

fn change_member(members: &mut Table, name: &str, random: &mut Rng) {
    match random.u8(..8) {
        0 => drop(members.remove(name)),
        1 => {
            let value = members.remove(name).expect("it is there");
            members.insert(misspelt(name, random), value);
        }
        2 => {
            let value = members.remove(name).expect("it is there");
            members.insert(NAMES[random.usize(..NAMES.len())].to_owned(), value);
        }
        3 => {
            let value = members[name].clone();
            members.insert(misspelt(name, random), value);
        }
        4 => {
            let added = NAMES[random.usize(..NAMES.len())].to_owned();
            let value = other(&members[name], random);
            members.insert(added, value);
        }
        _ => {
            let value = other(&members[name], random);
            members.insert(name.to_owned(), value);
        }
    }
}

fn misspelt(name: &str, random: &mut Rng) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    let at = random.usize(..letters.len().max(1));
    match random.u8(..4) {
        0 => letters.insert(at, 'x'),
        1 if letters.len() > 1 => drop(letters.remove(at)),
        2 if at + 1 < letters.len() => letters.swap(at, at + 1),
        _ => letters.push('s'),
    }
    letters.into_iter().collect()
}

/// Another value, of the same type or of another.
fn other(value: &Value, random: &mut Rng) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match random.u8(..16) {
        0 => Value::String(text),
        1 => Value::String(String::new()),
        2 => Value::String(format!("{text}\u{0}")),
        3 => Value::String(format!("\u{202e}{text}é")),
        4 => Value::String(misspelt(&text, random)),
        5 => Value::String(format!("${{{}}}", text.replace('-', "_"))),
        6 => Value::Integer(i64::MAX),
        7 => Value::Integer(-1),
        8 => Value::Integer(random.i64(0..100_000)),
        9 => Value::Float(1e308),
        10 => Value::Float(if random.bool() { f64::NAN } else { 0.5 }),
        11 => Value::Boolean(random.bool()),
        12 => Value::Array(vec![value.clone()]),
        13 => Value::Array(Vec::new()),
        14 => Value::Table(Table::new()),
        _ => Value::Table(Table::from_iter([("x".to_owned(), value.clone())])),
    }
}
