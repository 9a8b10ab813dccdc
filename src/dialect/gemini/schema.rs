//! Google's form of a schema, after OpenAPI 3.0, as JSON schema: types in lower case, `nullable` as a type, counts as
//! numbers. A schema that is JSON schema already stays as it is.

use std::borrow::Cow;

use bytes::BytesMut;
use memchr::memmem;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::dialect::json::shape::{Json, Name};
use crate::dialect::json::{Text, Writer};

/// What only Google's form has. A schema with none of it is handed on as it is.
const MARKS: &[&str] = &[
    "\"STRING\"",
    "\"NUMBER\"",
    "\"INTEGER\"",
    "\"BOOLEAN\"",
    "\"ARRAY\"",
    "\"OBJECT\"",
    "\"NULL\"",
    "\"TYPE_UNSPECIFIED\"",
    "\"nullable\"",
    "\"any_of\"",
    "\"min_",
    "\"max_",
    "Items\"",
    "Length\"",
    "Properties\"",
];

/// The members of an object in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), Json(value))) = map.next_entry::<Name<'de>, Json<'de>>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        source.deserialize_map(Visit)
    }
}

/// A schema of Google's as JSON schema.
pub(super) fn to_json_schema(raw: &str) -> Cow<'_, str> {
    if !MARKS.iter().any(|mark| memmem::find(raw.as_bytes(), mark.as_bytes()).is_some()) {
        return Cow::Borrowed(raw);
    }
    let mut out = BytesMut::with_capacity(raw.len());
    write_schema(raw, &mut Writer::new(&mut out));
    match std::str::from_utf8(&out) {
        Ok(text) => Cow::Owned(text.to_owned()),
        Err(_) => Cow::Borrowed(raw),
    }
}

fn members(raw: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    raw.starts_with('{').then(|| serde_json::from_str::<Members<'_>>(raw).ok())?.map(|members| members.0)
}

fn write_schema(raw: &str, w: &mut Writer<'_>) {
    let Some(members) = members(raw) else { return w.raw(raw) };
    let is_nullable = members.iter().any(|(name, value)| name == "nullable" && *value == "true");
    w.object(|w| {
        for (name, value) in &members {
            write_member(name, value, is_nullable, w);
        }
    });
}

fn write_member(name: &str, value: &str, is_nullable: bool, w: &mut Writer<'_>) {
    match camel(name) {
        "nullable" => {}
        "type" => write_type(value, is_nullable, w),
        name @ ("items" | "additionalProperties" | "not") => write_schema(value, w.name(name)),
        name @ ("properties" | "$defs" | "defs" | "definitions") => match members(value) {
            Some(schemas) => w.name(name).object(|w| {
                for (name, schema) in &schemas {
                    write_schema(schema, w.name(name));
                }
            }),
            None => w.name(name).raw(value),
        },
        name @ ("anyOf" | "oneOf" | "allOf" | "prefixItems") => {
            match serde_json::from_str::<Vec<Json<'_>>>(value) {
                Ok(schemas) => w.name(name).array(|w| {
                    for schema in &schemas {
                        write_schema(schema.0, w);
                    }
                    if is_nullable && name != "prefixItems" {
                        w.raw(r#"{"type":"null"}"#);
                    }
                }),
                Err(_) => w.name(name).raw(value),
            }
        }
        // Counts are 64-bit in Google's form, which its JSON writes as strings.
        name @ ("minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties") => {
            let bare = value.trim_matches('"');
            let is_count = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
            w.name(name).raw(if is_count { bare } else { value });
        }
        name => w.name(name).raw(value),
    }
}

fn write_type(value: &str, is_nullable: bool, w: &mut Writer<'_>) {
    let Some(word) = Text::from_json(value) else { return w.name("type").raw(value) };
    let word = word.decode().to_ascii_lowercase();
    match &*word {
        "type_unspecified" => {}
        word if is_nullable && word != "null" => w.name("type").array(|w| {
            w.string(word);
            w.string("null");
        }),
        word => w.name("type").string(word),
    }
}

/// The camelCase name of a member of Google's form.
fn camel(name: &str) -> &str {
    match name {
        "any_of" => "anyOf",
        "one_of" => "oneOf",
        "min_items" => "minItems",
        "max_items" => "maxItems",
        "min_length" => "minLength",
        "max_length" => "maxLength",
        "min_properties" => "minProperties",
        "max_properties" => "maxProperties",
        "prefix_items" => "prefixItems",
        "property_ordering" => "propertyOrdering",
        "additional_properties" => "additionalProperties",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_form_becomes_json_schema() {
        for (google, json) in [
            (r#"{"type":"STRING","enum":["STRING"]}"#, r#"{"type":"string","enum":["STRING"]}"#),
            (r#"{"type":"OBJECT","nullable":true}"#, r#"{"type":["object","null"]}"#),
            (
                r#"{"type":"OBJECT","properties":{"type":{"type":"ARRAY","items":{"type":"INTEGER"},"minItems":"2"}}}"#,
                r#"{"type":"object","properties":{"type":{"type":"array","items":{"type":"integer"},"minItems":2}}}"#,
            ),
            (
                r#"{"any_of":[{"type":"NUMBER"},{"type":"BOOLEAN"}],"nullable":true}"#,
                r#"{"anyOf":[{"type":"number"},{"type":"boolean"},{"type":"null"}]}"#,
            ),
            (r#"{"type":"TYPE_UNSPECIFIED","description":"d\n"}"#, r#"{"description":"d\n"}"#),
            (r#"{"type":["string","null"],"maxLength":3}"#, r#"{"type":["string","null"],"maxLength":3}"#),
        ] {
            assert_eq!(to_json_schema(google), json);
        }
    }

    #[test]
    fn json_schema_stays_as_it_is() {
        for raw in [r#"{ "type":"object", "$ref":"x" }"#, "true", r#"{"type":"string","format":"NULL"}"#] {
            assert_eq!(to_json_schema(raw), raw);
        }
        assert_eq!(to_json_schema("[\"STRING\"]"), "[\"STRING\"]");
    }
}
