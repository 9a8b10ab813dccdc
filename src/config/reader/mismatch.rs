//! Why a value does not fit, kept apart by kind so that a message can be made from it and nothing has to be
//! parsed.
//!
//! No kind carries a value, because any value may be a secret. The one exception, the name of an unknown
//! variant, is shown only where the tree says that it may be quoted.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// One step into a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// The member of a table.
    Key(String),
    /// The element of a list.
    Index(usize),
}

/// What does not fit.
#[derive(Debug)]
pub(super) enum Kind {
    /// The member has no meaning here.
    UnknownField { name: String, expected: &'static [&'static str] },
    /// A required member is absent.
    MissingField(&'static str),
    /// Two spellings of one member are present.
    RepeatedField(&'static str),
    /// The text is none of the words that have a meaning here.
    UnknownVariant { name: String, expected: &'static [&'static str] },
    /// The value is of another type or out of range.
    Invalid { expected: String, found: &'static str },
    /// What the type says about it.
    Custom(String),
}

/// A mismatch and the way to it.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) kind: Kind,
    /// Innermost step first, because the steps are added on the way out.
    reversed: Vec<Segment>,
}

impl Mismatch {
    fn new(kind: Kind) -> Self {
        Self { kind, reversed: Vec::new() }
    }

    /// The same mismatch, seen from one level further out.
    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.reversed.push(segment);
        self
    }

    /// The steps from the root.
    pub(super) fn segments(&self) -> Vec<Segment> {
        self.reversed.iter().rev().cloned().collect()
    }

    /// The steps as `targets[1].model`.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.reversed.iter().rev() {
            match segment {
                Segment::Key(name) if path.is_empty() => path.push_str(name),
                Segment::Key(name) => path.extend([".", name]),
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path(), self.kind)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Kind::Custom(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Invalid { expected: in_words(&expected.to_string()), found: kind_of(found) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Signed(_) | Unexpected::Unsigned(_) | Unexpected::Float(_) => "a number out of range",
            other => kind_of(other),
        };
        Self::new(Kind::Invalid { expected: in_words(&expected.to_string()), found })
    }

    fn unknown_variant(name: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownVariant { name: name.to_owned(), expected })
    }

    fn unknown_field(name: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownField { name: name.to_owned(), expected })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(Kind::MissingField(name))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new(Kind::RepeatedField(name))
    }
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Signed(_) | Unexpected::Unsigned(_) => "a whole number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Str(_) | Unexpected::Char(_) => "a string",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a table",
        Unexpected::Unit => "nothing",
        _ => "something else",
    }
}

/// What serde's types say that they expect, in an operator's words.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "u64" | "usize" => "a whole number from 0",
        "u32" => "a whole number from 0 to 4294967295",
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "a nonzero usize" | "a nonzero u32" | "a nonzero u64" => "a whole number from 1",
        "i64" | "i32" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        structure if structure.starts_with("struct ") => "a table",
        choice if choice.starts_with("enum ") => "a string",
        other => other,
    };
    words.to_owned()
}
