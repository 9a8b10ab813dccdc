//! What a file says, without the differences that make none: defaults that are written out, spellings of one number,
//! letters of header names, two dollars for one.

use std::net::SocketAddr;

use toml::{Table, Value};

/// Members whose value is an amount: a text or a number.
const AMOUNTS: [&str; 5] =
    ["input_per_1k", "output_per_1k", "cached_input_per_1k", "cache_write_per_1k", "limit_usd"];

/// Defaults of resources, by list and path; those of settings are what the shipped file shows.
const DEFAULTS: [(&str, &str, &str); 27] = [
    ("provider_keys", "request", "{}"),
    ("provider_keys", "tls", "{ verify = true }"),
    ("provider_keys", "tls", "{}"),
    ("models", "rate_limit", "{}"),
    ("models", "cooldown", "{}"),
    ("models", "allowed_cidrs", "[]"),
    ("models", "background_model_check.ignore_statuses", "[]"),
    ("models", "routing.fallback_on", "[]"),
    ("models", "routing.strategy", "\"failover\""),
    ("models", "routing.retry_on_429", "false"),
    ("models", "routing.fallback_on_statuses", "[]"),
    ("models", "routing.when_all_unavailable", "\"fail\""),
    ("api_keys", "disabled", "false"),
    ("api_keys", "retiring", "[]"),
    ("budgets", "timezone", "\"UTC\""),
    ("budgets", "hard_stop", "true"),
    ("budgets", "alert_at", "[]"),
    ("budgets", "worst_case", "false"),
    ("rate_limit_policies", "conditions", "[]"),
    ("rate_limit_policies", "group_by", "[]"),
    ("rate_limit_policies", "schedules", "[]"),
    ("cache_policies", "enabled", "true"),
    ("cache_policies", "backend", "\"memory\""),
    ("cache_policies", "ttl_seconds", "3600"),
    ("cache_policies", "applies_to", "\"all\""),
    ("cache_policies", "scope", "\"api_key\""),
    ("cache_policies", "purge_generation", "0"),
];

/// See the module; `shipped` shows the default of every setting.
pub(super) fn meaning(table: &Table, shipped: &Table) -> Table {
    let mut result = Table::new();
    for (name, value) in table {
        let value = match (value, shipped.get(name)) {
            (Value::Array(entries), Some(Value::Array(_))) => {
                let entries: Vec<Value> = entries.iter().map(|entry| entry_of(name, entry)).collect();
                if entries.is_empty() {
                    continue;
                }
                Value::Array(entries)
            }
            (value, default) => {
                match without_defaults(plain("", value), default.map(|value| plain("", value)).as_ref()) {
                    Some(value) => value,
                    None => continue,
                }
            }
        };
        result.insert(name.clone(), value);
    }
    result
}

fn entry_of(list: &str, entry: &Value) -> Value {
    let mut entry = plain("", entry);
    for (_, path, default) in DEFAULTS.iter().filter(|(known, _, _)| *known == list) {
        let default = format!("x = {default}").parse::<Table>().expect("TOML")["x"].clone();
        let (around, member) = path.rsplit_once('.').unwrap_or(("", path));
        let table = if around.is_empty() { Some(&mut entry) } else { entry.get_mut(around) };
        if let Some(table) = table.and_then(Value::as_table_mut)
            && table.get(member) == Some(&default)
        {
            table.remove(member);
        }
    }
    entry
}

/// A setting without what is there by default; nothing when nothing is left.
fn without_defaults(value: Value, default: Option<&Value>) -> Option<Value> {
    if Some(&value) == default {
        return None;
    }
    match value {
        Value::Table(members) => {
            let of = |name: &str| default.and_then(|default| default.get(name));
            let kept: Table = members
                .into_iter()
                .filter_map(|(name, value)| without_defaults(value, of(&name)).map(|value| (name, value)))
                .collect();
            (!kept.is_empty()).then_some(Value::Table(kept))
        }
        other => Some(other),
    }
}

/// One spelling for all that means the same.
fn plain(name: &str, value: &Value) -> Value {
    match value {
        Value::Table(members) => {
            Value::Table(members.iter().map(|(name, value)| (name.clone(), plain(name, value))).collect())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(|value| plain(name, value)).collect()),
        Value::String(text) => Value::String(plain_text(name, &text.replace("$$", "$"))),
        Value::Integer(number) if AMOUNTS.contains(&name) => Value::String(amount(*number as f64)),
        Value::Float(number) if AMOUNTS.contains(&name) => Value::String(amount(*number)),
        other => other.clone(),
    }
}

fn plain_text(name: &str, text: &str) -> String {
    match name {
        "accept_headers" | "header" => text.to_ascii_lowercase(),
        "addr" => text.parse().map_or_else(|_| text.to_owned(), |addr: SocketAddr| addr.to_string()),
        _ if AMOUNTS.contains(&name) => text.parse().map_or_else(|_| text.to_owned(), amount),
        _ => text.to_owned(),
    }
}

fn amount(number: f64) -> String {
    format!("{number:?}")
}
