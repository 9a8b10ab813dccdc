//! The one pattern of the product: text with at most one `*`, which stands for any text, the empty one
//! included.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// A checked pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Glob {
    /// No `*`: the text itself.
    Exact(Box<str>),
    /// One `*` between a beginning and an end.
    Around {
        /// What comes before the `*`.
        prefix: Box<str>,
        /// What comes after the `*`.
        suffix: Box<str>,
    },
}

impl Glob {
    /// Reads a pattern; `None` when it holds two or more `*`, which never match anything.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('*') {
            None => Some(Self::Exact(text.into())),
            Some((_, suffix)) if suffix.contains('*') => None,
            Some((prefix, suffix)) => Some(Self::Around { prefix: prefix.into(), suffix: suffix.into() }),
        }
    }

    /// Whether the pattern fits `text`.
    pub fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Around { .. } => self.capture(text).is_some(),
        }
    }

    /// What the `*` stands for in `text`; `None` when the pattern does not fit or has no `*`.
    pub fn capture<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Exact(_) => None,
            Self::Around { prefix, suffix } => text.strip_prefix(&**prefix)?.strip_suffix(&**suffix),
        }
    }

    /// The number of bytes that are not `*`; the pattern with more of them is the more particular one.
    pub fn literal_len(&self) -> usize {
        match self {
            Self::Exact(exact) => exact.len(),
            Self::Around { prefix, suffix } => prefix.len() + suffix.len(),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Around { prefix, suffix } => write!(f, "{prefix}*{suffix}"),
        }
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.collect_str(self)
    }
}

impl JsonSchema for Glob {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A name, or a pattern with one `*` that stands for any text.",
            "pattern": r"^[^*]+$|^[^*]*\*[^*]*$",
            "examples": ["openai/*"],
        })
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::parse(&text)
            .filter(|_| !text.is_empty())
            .ok_or_else(|| serde::de::Error::custom("expected a name or a pattern with one \"*\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_star_stands_for_any_text() {
        let cases = [
            ("*", "anything", true),
            ("*", "", true),
            ("openai/*", "openai/gpt", true),
            ("openai/*", "openai/", true),
            ("openai/*", "openai", false),
            ("*-mini", "gpt-mini", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("exact", "exact", true),
            ("exact", "Exact", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Glob::parse(pattern).unwrap().is_match(text), expected, "{pattern} {text}");
        }
        assert_eq!(Glob::parse("a*b*c"), None);
        assert_eq!(Glob::parse("a*c").unwrap().capture("abc"), Some("b"));
    }
}
