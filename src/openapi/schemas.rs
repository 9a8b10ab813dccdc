//! The schemas of a document: one generator for what is read, one for what is written.
//!
//! A type has two schemas where it says different things each way, as secrets do. What is the same both ways is kept
//! once; what differs carries [`SHOWN`] behind its name where it is written.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Where schemas stand in a document.
const PLACE: &str = "/components/schemas";
/// Where those of what is written seem to stand until the document is finished.
const WRITTEN: &str = "/components/written";
/// What the name of a schema ends in that describes what is written only.
const SHOWN: &str = "Shown";

/// See the module.
pub struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
    more: Map<String, Value>,
}

impl Default for Schemas {
    fn default() -> Self {
        let at = |place: &'static str| {
            let settings = SchemaSettings::draft2020_12().with_transform(Bounds);
            settings.with(|settings| {
                settings.definitions_path = place.into();
                settings.meta_schema = None;
            })
        };
        Self {
            read: at(PLACE).for_deserialize().into_generator(),
            written: at(WRITTEN).for_serialize().into_generator(),
            more: Map::new(),
        }
    }
}

impl Schemas {
    /// The schema of a type that is read.
    pub fn input<T: JsonSchema>(&mut self) -> Value {
        self.read.subschema_for::<T>().to_value()
    }

    /// The schema of a type that is written.
    pub fn output<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// The schema of something that is read, by the generator.
    pub fn input_by(&mut self, of: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Value {
        of(&mut self.read).to_value()
    }

    /// The schema of something that is written, by the generator.
    pub fn output_by(&mut self, of: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Value {
        of(&mut self.written).to_value()
    }

    /// The schema of a merge patch (RFC 7396) of something that is read: whatever is left out stays, and `null` takes
    /// away what need not be there.
    pub fn patch(&mut self, of: impl FnOnce(&mut SchemaGenerator) -> Schema) -> Value {
        let reference = self.input_by(of);
        let definitions = self.read.definitions();
        let whole = named(&reference).and_then(|name| Some((name, definitions.get(name)?)));
        let Some((name, whole)) = whole else { return json!({ "type": "object" }) };
        let mut patch = patch_of(whole, definitions);
        let sentence = "A merge patch: what is left out stays, `null` takes away.";
        patch.insert("description".into(), sentence.into());
        patch.insert("examples".into(), json!([{}]));
        Bounds.transform(&mut patch);
        let name = format!("{name}Patch");
        self.more.insert(name.clone(), patch.to_value());
        json!({ "$ref": format!("#{PLACE}/{name}") })
    }

    /// All schemas by name, and the document with the names that they ended up with.
    pub(super) fn finish(mut self, document: &mut Value) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.more);
        let written = self.written.take_definitions(true);
        let own = differing(&all, &written);
        let rename = |value: &mut Value| rename(value, &own);
        rename(document);
        for (name, mut schema) in written {
            rename(&mut schema);
            all.entry(name_of(&name, &own)).or_insert(schema);
        }
        all
    }
}

/// The name in a reference.
fn named(reference: &Value) -> Option<&str> {
    reference["$ref"].as_str()?.rsplit('/').next()
}

/// The schema of a patch of an object.
fn patch_of(whole: &Value, definitions: &Map<String, Value>) -> Schema {
    let is_needed =
        |member: &str| whole["required"].as_array().is_some_and(|all| all.iter().any(|name| name == member));
    let member = |(name, schema): (&String, &Value)| {
        let alternatives = schema["anyOf"].as_array().into_iter().flatten().chain([schema]);
        let object = alternatives
            .filter_map(|schema| definitions.get(named(schema)?))
            .find(|definition| definition["type"] == "object");
        let schema = match object {
            Some(object) => patch_of(object, definitions).to_value(),
            None => schema.clone(),
        };
        let schema = if is_needed(name) { schema } else { json!({ "anyOf": [schema, { "type": "null" }] }) };
        (name.clone(), schema)
    };
    let members: Map<String, Value> =
        whole["properties"].as_object().into_iter().flatten().map(member).collect();
    let others = whole.get("additionalProperties").cloned().unwrap_or(true.into());
    schemars::json_schema!({ "type": "object", "properties": members, "additionalProperties": others })
}

/// The names that stand for something else where it is written, or for something that holds such a name.
fn differing(read: &Map<String, Value>, written: &Map<String, Value>) -> Vec<String> {
    let mut own: Vec<String> = Vec::new();
    loop {
        let differs = |(name, schema): &(&String, &Value)| {
            let mut schema = (*schema).clone();
            rename(&mut schema, &own);
            !own.contains(name) && read.get(*name).is_some_and(|other| *other != schema)
        };
        let more: Vec<String> = written.iter().filter(differs).map(|(name, _)| name.clone()).collect();
        if more.is_empty() {
            return own;
        }
        own.extend(more);
    }
}

fn name_of(name: &str, own: &[String]) -> String {
    if own.iter().any(|other| other == name) { format!("{name}{SHOWN}") } else { name.to_owned() }
}

/// Lets references to what is written point to where it will stand.
fn rename(value: &mut Value, own: &[String]) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                match value {
                    Value::String(text) if member == "$ref" => {
                        if let Some(name) = text.strip_prefix(&format!("#{WRITTEN}/")) {
                            *text = format!("#{PLACE}/{}", name_of(name, own));
                        }
                    }
                    value => rename(value, own),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, own)),
        _ => {}
    }
}

/// Says how large an integer may be, which the formats of integers say to nobody who does not know them. Larger ones
/// than 64 bits with a sign are refused when JSON is read.
#[derive(Clone, Copy)]
struct Bounds;

impl Transform for Bounds {
    fn transform(&mut self, schema: &mut Schema) {
        let largest = match schema.get("format").and_then(Value::as_str) {
            Some("uint64" | "uint") => Some(json!(i64::MAX)),
            Some("uint32") => Some(json!(u32::MAX)),
            _ => None,
        };
        if let Some(largest) = largest
            && schema.get("maximum").is_none()
        {
            schema.insert("maximum".into(), largest);
        }
        transform_subschemas(self, schema);
    }
}
