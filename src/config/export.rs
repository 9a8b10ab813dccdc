//! Everything in one file: the text of the configuration file with the stored resources behind it.
//!
//! Secrets become references to variables, which are listed at the top. The file's own words, order and comments stay.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::{
    resources::{Kind, Resources},
    secret::KeyHash,
};

/// One stored resource: its kind, and what was stored.
pub(crate) type StoredBody = (Kind, Map<String, Json>);

/// One file of everything.
#[derive(Debug)]
pub struct Export {
    /// The text.
    pub text: String,
    /// The variables that it refers to in place of secrets.
    pub variables: Vec<String>,
}

/// Puts stored resources behind the text of a file. `shows_secrets` leaves secrets as they are.
///
/// # Errors
///
/// The text is no TOML.
pub(crate) fn export(
    text: &str,
    stored: &[StoredBody],
    known: &Resources,
    shows_secrets: bool,
) -> Result<Export, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    for (kind, body) in stored {
        let mut table = Table::new();
        for (name, member) in with_names(*kind, body, known) {
            if let Some(member) = to_toml(&member) {
                table.insert(&name, Item::Value(member));
            }
        }
        let list = document.entry(kind.collection()).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        match list {
            Item::ArrayOfTables(tables) => tables.push(table),
            // `models = [{ … }]` in the file.
            other => {
                if let Some(array) = other.as_array_mut() {
                    array.push(table.into_inline_table());
                }
            }
        }
    }
    let mut hidden = Hidden { variables: Vec::new(), shows_secrets };
    hidden.settings(&mut document);
    for (collection, hide) in [
        ("provider_keys", Hidden::provider_key as fn(&mut Hidden, &mut dyn TableLike)),
        ("api_keys", Hidden::api_key),
        ("guardrails", Hidden::guardrail),
    ] {
        match document.get_mut(collection) {
            Some(Item::ArrayOfTables(tables)) => tables.iter_mut().for_each(|table| hide(&mut hidden, table)),
            Some(Item::Value(Value::Array(entries))) => {
                let tables = entries.iter_mut().filter_map(Value::as_inline_table_mut);
                tables.for_each(|table| hide(&mut hidden, table));
            }
            _ => {}
        }
    }
    let variables = hidden.variables;
    let mut head = String::new();
    if !variables.is_empty() {
        head.push_str("# Secrets are not in this file. Set these variables before it is loaded:\n");
        variables.iter().for_each(|name| head.push_str(&format!("#   {name}\n")));
        head.push('\n');
    }
    Ok(Export { text: head + &document.to_string(), variables })
}

use toml_edit::TableLike;

/// References by id become references by name: in a file, ids follow from names.
fn with_names(kind: Kind, body: &Map<String, Json>, known: &Resources) -> Map<String, Json> {
    let name_of = |kind: Kind, id: &str| known.find(kind, id).and_then(|entry| entry.name().cloned());
    let mut body = body.clone();
    let text =
        |body: &Map<String, Json>, name: &str| body.get(name).and_then(Json::as_str).map(str::to_owned);
    match kind {
        Kind::Models => {
            // Either member takes a name or an id.
            let reference = text(&body, "provider_key_id").or_else(|| text(&body, "provider_key"));
            if let Some(name) = reference.and_then(|id| name_of(Kind::ProviderKeys, &id)) {
                body.remove("provider_key_id");
                body.insert("provider_key".into(), (*name).into());
            }
        }
        Kind::Budgets | Kind::RateLimitPolicies => {
            let of = match text(&body, "scope").as_deref() {
                Some("api_key") => Some(Kind::ApiKeys),
                Some("model") => Some(Kind::Models),
                Some("provider_key") => Some(Kind::ProviderKeys),
                _ => None,
            };
            let reference = of.zip(text(&body, "scope_ref"));
            if let Some(name) = reference.and_then(|(of, id)| name_of(of, &id)) {
                body.insert("scope_ref".into(), (*name).into());
            }
            if let Some(conditions) = body.get_mut("conditions") {
                name_values(conditions, &name_of);
            }
        }
        Kind::CachePolicies => {
            let applies_to = text(&body, "applies_to").unwrap_or_default();
            let key = applies_to.strip_prefix("api_key:");
            if let Some(name) = key.and_then(|id| name_of(Kind::ApiKeys, id)) {
                body.insert("applies_to".into(), format!("api_key:{name}").into());
            }
        }
        Kind::GuardrailAttachments => {
            let of = match text(&body, "scope_type").as_deref() {
                Some("api_key") => Some(Kind::ApiKeys),
                Some("model") => Some(Kind::Models),
                _ => None,
            };
            for (name, id, of) in
                [("guardrail", "guardrail_id", Some(Kind::Guardrails)), ("scope_ref", "scope_id", of)]
            {
                let reference = of.zip(text(&body, id).or_else(|| text(&body, name)));
                if let Some(known) = reference.and_then(|(of, reference)| name_of(of, &reference)) {
                    body.remove(id);
                    body.insert(name.into(), (*known).into());
                }
            }
        }
        Kind::ProviderKeys | Kind::ApiKeys | Kind::Guardrails => {}
    }
    body
}

/// What conditions of rate limit policies are compared with becomes names, at any depth.
fn name_values(condition: &mut Json, name_of: &impl Fn(Kind, &str) -> Option<Arc<str>>) {
    let of = match condition.get("dimension").and_then(Json::as_str) {
        Some("api_key") => Some(Kind::ApiKeys),
        Some("model") => Some(Kind::Models),
        _ => None,
    };
    let rename = |value: &mut Json| {
        let name = of.zip(value.as_str()).and_then(|(of, id)| name_of(of, id));
        if let Some(name) = name {
            *value = (*name).into();
        }
    };
    match condition {
        Json::Array(conditions) => conditions.iter_mut().for_each(|inner| name_values(inner, name_of)),
        Json::Object(members) => {
            match members.get_mut("value") {
                Some(Json::Array(values)) => values.iter_mut().for_each(rename),
                Some(value) => rename(value),
                None => {}
            }
            if let Some(children) = members.get_mut("children") {
                name_values(children, name_of);
            }
        }
        _ => {}
    }
}

/// A JSON value as TOML. Dollar signs are doubled, because a single one may begin a reference in a file.
fn to_toml(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.replace('$', "$$").into(),
        Json::Array(items) => Value::Array(items.iter().filter_map(to_toml).collect::<Array>()),
        Json::Object(members) => {
            let members = members.iter().filter_map(|(name, member)| Some((name.clone(), to_toml(member)?)));
            Value::InlineTable(members.collect::<InlineTable>())
        }
    })
}

/// Takes secrets out of a document.
struct Hidden {
    variables: Vec<String>,
    shows_secrets: bool,
}

impl Hidden {
    fn settings(&mut self, document: &mut DocumentMut) {
        let keys = document.get_mut("admin").and_then(|admin| admin.get_mut("admin_keys"));
        let Some(keys) = keys.and_then(Item::as_array_mut) else { return };
        for (index, key) in keys.iter_mut().enumerate() {
            self.hide(key, &format!("ADMIN_KEY_{}", index + 1));
        }
    }

    fn provider_key(&mut self, table: &mut dyn TableLike) {
        let name = table.get("display_name").and_then(Item::as_str).unwrap_or("unnamed").to_owned();
        for member in ["api_key", "secret"] {
            if let Some(secret) = table.get_mut(member).and_then(Item::as_value_mut) {
                self.hide(secret, &format!("{name}_API_KEY"));
            }
        }
        let request = table.get_mut("request").and_then(Item::as_table_like_mut);
        self.headers(&name, request.and_then(|request| request.get_mut("default_headers")));
    }

    fn guardrail(&mut self, table: &mut dyn TableLike) {
        let name = table.get("name").and_then(Item::as_str).unwrap_or("unnamed").to_owned();
        self.headers(&name, table.get_mut("headers"));
    }

    fn headers(&mut self, name: &str, headers: Option<&mut Item>) {
        let Some(headers) = headers.and_then(Item::as_table_like_mut) else { return };
        for (header, item) in headers.iter_mut() {
            let variable = format!("{name}_{}", header.get());
            if let Some(secret) = item.as_value_mut() {
                self.hide(secret, &variable);
            }
        }
    }

    /// A caller's key is never needed again: its hash says all.
    fn api_key(&mut self, table: &mut dyn TableLike) {
        let Some(key) = table.get("key").and_then(Item::as_str) else { return };
        if !is_reference(key) && !self.shows_secrets {
            let hash = KeyHash::of(&key.replace("$$", "$")).to_hex();
            table.remove("key");
            table.insert("key_hash", value(hash));
        }
    }

    /// Puts a reference in place of a secret that stands in the text.
    fn hide(&mut self, secret: &mut Value, name: &str) {
        if self.shows_secrets || secret.as_str().is_none_or(|text| text.is_empty() || is_reference(text)) {
            return;
        }
        let plain =
            |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
        let base: String = std::iter::once('_').chain(name.chars()).map(plain).collect();
        let mut variable = format!("AISIX_SECRET{base}");
        let mut number = 1;
        while self.variables.contains(&variable) {
            number += 1;
            variable = format!("AISIX_SECRET{base}_{number}");
        }
        let decor = secret.decor().clone();
        *secret = format!("${{{variable}}}").into();
        *secret.decor_mut() = decor;
        self.variables.push(variable);
    }
}

/// Whether a text of the file takes a part of it from the environment.
fn is_reference(text: &str) -> bool {
    text.replace("$$", "").contains("${")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(kind: Kind, json: Json) -> StoredBody {
        let Json::Object(members) = json else { panic!("an object") };
        (kind, members)
    }

    #[test]
    fn conditions_name_what_they_had_by_id() {
        let mut conditions = json!([
            {"dimension": "model", "operator": "in", "value": ["m-1", "other"]},
            {"logic": "or", "children": [
                {"dimension": "api_key", "operator": "==", "value": "k-1"},
                {"dimension": "team", "operator": "==", "value": "k-1"},
            ]},
        ]);
        let name_of = |kind: Kind, id: &str| match (kind, id) {
            (Kind::Models, "m-1") => Some("gpt".into()),
            (Kind::ApiKeys, "k-1") => Some("ada".into()),
            _ => None,
        };
        name_values(&mut conditions, &name_of);
        let named = json!([
            {"dimension": "model", "operator": "in", "value": ["gpt", "other"]},
            {"logic": "or", "children": [
                {"dimension": "api_key", "operator": "==", "value": "ada"},
                {"dimension": "team", "operator": "==", "value": "k-1"},
            ]},
        ]);
        assert_eq!(conditions, named);
    }

    #[test]
    fn the_file_keeps_its_words_and_secrets_become_references() {
        let text = "# mine\n[admin]\nadmin_keys = [\"top\", \"${ADMIN}\"]\n\n[[provider_keys]] # first\n\
                    display_name = \"my key\"\napi_key = \"sk-1\" # not shown\n\
                    request = { default_headers = { x-a = \"h\" } }\n\n\
                    [[api_keys]]\ndisplay_name = \"k\"\nkey = \"abc\"\nallowed_models = []\n";
        let stored = [
            body(Kind::ProviderKeys, json!({"display_name": "my-key", "api_key": "sk-2", "api_base": null})),
            body(
                Kind::Models,
                json!({"display_name": "m", "cost": {"input_per_1k": 0.5}, "model_name": "a$b"}),
            ),
            body(Kind::Guardrails, json!({"name": "judge", "headers": {"authorization": "Bearer sk-3"}})),
        ];
        let export = export(text, &stored, &Resources::default(), false).unwrap();
        for part in [
            "# mine",
            "admin_keys = [\"${AISIX_SECRET_ADMIN_KEY_1}\", \"${ADMIN}\"]",
            "[[provider_keys]] # first",
            "api_key = \"${AISIX_SECRET_MY_KEY_API_KEY}\" # not shown",
            "x-a = \"${AISIX_SECRET_MY_KEY_X_A}\"",
            "key_hash = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
            "api_key = \"${AISIX_SECRET_MY_KEY_API_KEY_2}\"",
            "cost = { input_per_1k = 0.5 }",
            "model_name = \"a$$b\"",
            "headers = { authorization = \"${AISIX_SECRET_JUDGE_AUTHORIZATION}\" }",
            "#   AISIX_SECRET_MY_KEY_API_KEY_2\n",
        ] {
            assert!(export.text.contains(part), "{part} is not in\n{}", export.text);
        }
        for secret in ["sk-1", "sk-2", "sk-3", "\"abc\"", "\"top\"", "\"h\"", "api_base"] {
            assert!(!export.text.contains(secret), "{secret} is in\n{}", export.text);
        }
    }

    #[test]
    fn whoever_asks_for_secrets_gets_them() {
        let text = "[[provider_keys]]\ndisplay_name = \"p\"\napi_key = \"sk-1\"\n";
        let export = export(text, &[], &Resources::default(), true).unwrap();
        assert_eq!((export.text.as_str(), export.variables.len()), (text, 0));
    }
}
