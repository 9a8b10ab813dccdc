//! Resources that came through the Admin API: JSON instead of TOML, with an id and a revision, and without a line.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

use super::{
    problem::Problems,
    tree::{MAX_DEPTH, Node, Origin, Value},
};
use crate::dialect::whole::EXACT;

/// One stored resource.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The id.
    pub id: &'a str,
    /// How often it was written.
    pub revision: u64,
    /// What was written: a JSON object.
    pub body: &'a str,
}

impl Row<'_> {
    /// The body as a tree; a body that is no JSON is reported and gives an empty one.
    pub(super) fn node(&self, origin: &Origin, problems: &mut Problems) -> Node {
        from_json(self.body.as_bytes(), origin).unwrap_or_else(|message| {
            problems.add_from(origin, "", message);
            Node { value: Value::Unavailable, origin: origin.clone() }
        })
    }
}

/// Reads a JSON value into a tree. Repeated members are refused, as in TOML.
///
/// # Errors
/// What is wrong with the text, without quoting any of it.
pub(super) fn from_json(text: &[u8], origin: &Origin) -> Result<Node, String> {
    let mut source = serde_json::Deserializer::from_slice(text);
    let read = Seed { origin, depth: 0 }.deserialize(&mut source);
    let node = read.and_then(|node| source.end().map(|()| node));
    node.map_err(|error| match error.classify() {
        // The parser's own words may quote the text; the tree's do not.
        serde_json::error::Category::Data => in_words(&error),
        _ => format!("is not valid JSON (line {}, column {})", error.line(), error.column()),
    })
}

fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[derive(Clone, Copy)]
struct Seed<'o> {
    origin: &'o Origin,
    depth: usize,
}

impl Seed<'_> {
    fn node<E>(self, value: Value) -> Result<Node, E> {
        Ok(Node { value, origin: self.origin.clone() })
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("is nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Node, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        self.node(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        self.node(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        let number = i64::try_from(value).map_err(|_| E::custom("holds a number that is out of range"))?;
        self.node(Value::Int(number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        // JSON does not tell 1.0 from 1.
        if value.fract() == 0.0 && value.abs() < EXACT {
            return self.node(Value::Int(value as i64));
        }
        self.node(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        self.node(Value::Str { text: value.to_owned(), is_quotable: true })
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let inside = self.deeper()?;
        let mut elements = Vec::new();
        while let Some(element) = items.next_element_seed(inside)? {
            elements.push(element);
        }
        self.node(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let inside = self.deeper()?;
        let mut members: Vec<(String, Node)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("holds a member twice"));
            }
            let value = map.next_value_seed(inside)?;
            members.push((name, value));
        }
        self.node(Value::Table(members))
    }
}

/// The value of a JSON text whose members are unique and not too deep.
///
/// # Errors
/// What is wrong with the text, without quoting any of it.
pub fn check_json(text: &[u8]) -> Result<serde_json::Value, String> {
    from_json(text, &Origin::Unknown)?;
    serde_json::Value::deserialize(&mut serde_json::Deserializer::from_slice(text))
        .map_err(|_| "is not valid JSON".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_a_tree_and_what_is_no_json_says_where() {
        let node = from_json(br#"{"a": [1.0, 2.5, null, true], "b": {"c": "x"}}"#, &Origin::Unknown).unwrap();
        assert!(matches!(node.get("a").unwrap().elements()[0].value, Value::Int(1)));
        assert_eq!(node.at("b").and_then(|b| b.text("c")), Some("x"));
        assert_eq!(node.get("a").map(|a| a.elements().len()), Some(4));
        let deep = [b"[".repeat(40), b"]".repeat(40)].concat();
        for (text, message) in [
            (&b"{"[..], "is not valid JSON (line 1, column 1)"),
            (b"{} x", "is not valid JSON (line 1, column 4)"),
            (b"\xff", "is not valid JSON (line 1, column 1)"),
            (br#"{"a": 1, "a": 2}"#, "holds a member twice"),
            (br#"{"a": 18446744073709551615}"#, "holds a number that is out of range"),
            (&deep, "is nested too deeply"),
        ] {
            assert_eq!(from_json(text, &Origin::Unknown).map(drop).unwrap_err(), message);
        }
    }
}
