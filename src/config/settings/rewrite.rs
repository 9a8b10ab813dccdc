//! `proxy.url_rewrites`: other names for paths (§14.7).
//!
//! A rule that leaves here can be applied without asking again: its expression is compiled, its template names only
//! groups that exist and holds nothing that could end a path.

use std::fmt;

use regex::{Captures, Regex};
use serde::{Deserialize, Deserializer, de::Error};

use crate::config::problem::{Place, Problems};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlRewrite {
    /// What the rule is called, for people.
    #[serde(default)]
    pub name: Option<String>,
    r#match: Pattern,
    rewrite: Template,
}

/// The path that the first matching rule makes of a raw, still percent-encoded path; `None` where no rule matches.
#[must_use]
pub fn rewritten(rules: &[UrlRewrite], path: &str) -> Option<String> {
    rules.iter().find_map(|rule| rule.apply(path))
}

impl UrlRewrite {
    fn apply(&self, path: &str) -> Option<String> {
        let groups = self.r#match.0.captures(path)?;
        let found = groups.get(0)?;
        let mut new = String::with_capacity(path.len() + self.rewrite.text.len());
        new.push_str(&path[..found.start()]);
        self.rewrite.expand(&groups, &mut new);
        new.push_str(&path[found.end()..]);
        if !new.starts_with('/') {
            new.insert(0, '/');
        }
        Some(new)
    }

    /// Reports a template that names a group which its expression does not have.
    pub(super) fn check(&self, path: &str, place: Place<'_>, problems: &mut Problems) {
        let groups = &self.r#match.0;
        for part in &self.rewrite.parts {
            let Part::Group(name) = part else { continue };
            let is_there = match name.parse::<usize>() {
                Ok(number) => number < groups.captures_len(),
                Err(_) => groups.capture_names().flatten().any(|known| known == name),
            };
            if !is_there {
                let message = format!("\"match\" has no group \"{name}\"");
                place.report(&format!("{path}.rewrite"), message, problems);
            }
        }
    }
}

/// A compiled expression that does not match the empty string.
#[derive(Clone)]
struct Pattern(Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        let regex = Regex::new(&text).map_err(|error| D::Error::custom(in_one_line(&error)))?;
        if regex.is_match("") {
            return Err(D::Error::custom("must not match the empty string"));
        }
        Ok(Self(regex))
    }
}

/// The last line of what is wrong with an expression: those before it draw where, over several lines.
fn in_one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("is not a regular expression: {}", last.trim_start_matches("error: "))
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_str().fmt(f)
    }
}

/// What is put in place of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A group by number or name.
    Group(String),
}

impl Template {
    /// Reads `$1`, `$name`, `${name}` and `$$`.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let is_misplaced = |character: char| {
            matches!(character, '?' | '#') || character.is_whitespace() || character.is_control()
        };
        if text.contains(is_misplaced) {
            return Err("must not hold \"?\", \"#\", white space or control characters");
        }
        let is_foreign = |byte: u8| !byte.is_ascii_graphic() || b"\"<>\\^`|".contains(&byte);
        if text.bytes().any(is_foreign) {
            return Err("holds a character that a path cannot hold; percent-encode it");
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(dollar) = rest.find('$') {
            parts.push(Part::Text(rest[..dollar].to_owned()));
            rest = &rest[dollar + 1..];
            let (part, after) = Part::after_dollar(rest)?;
            parts.push(part);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { text: text.to_owned(), parts })
    }

    fn expand(&self, groups: &Captures<'_>, to: &mut String) {
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => text,
                Part::Group(name) => {
                    let found = match name.parse::<usize>() {
                        Ok(number) => groups.get(number),
                        Err(_) => groups.name(name),
                    };
                    // A group that took no part in the match stands for nothing.
                    found.map_or("", |group| group.as_str())
                }
            };
            to.push_str(text);
        }
    }
}

impl Part {
    /// The part that begins with a dollar sign, read from behind it, and what follows.
    fn after_dollar(rest: &str) -> Result<(Self, &str), &'static str> {
        if let Some(after) = rest.strip_prefix('$') {
            return Ok((Self::Text("$".into()), after));
        }
        if let Some(inside) = rest.strip_prefix('{') {
            let (name, after) = inside.split_once('}').ok_or("holds a \"${\" that is not closed by \"}\"")?;
            return Ok((Self::Group(name.to_owned()), after));
        }
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let length = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        if length == 0 {
            return Err("holds a \"$\" without a group; write \"$$$$\" for a plain dollar sign");
        }
        Ok((Self::Group(rest[..length].to_owned()), &rest[length..]))
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(source)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, template: &str) -> UrlRewrite {
        UrlRewrite {
            name: None,
            r#match: Pattern(Regex::new(pattern).unwrap()),
            rewrite: Template::parse(template).unwrap(),
        }
    }

    #[test]
    fn the_matched_part_is_replaced_once_by_the_first_rule_that_matches() {
        for (pattern, template, path, expected) in [
            ("^/openai/", "/", "/openai/v1/models", Some("/v1/models")),
            ("^/openai/(.*)$", "/v1/$1", "/openai/chat/completions", Some("/v1/chat/completions")),
            ("/a", "/b", "/a/a", Some("/b/a")),
            ("^/(?<kind>[a-z]+)/x$", "/v1/${kind}s", "/model/x", Some("/v1/models")),
            ("^/(x)?y", "/${1}z", "/y", Some("/z")),
            ("^/pay", "/$$1", "/pay", Some("/$1")),
            ("%2[Ff]", "/", "/v1%2fmodels", Some("/v1/models")),
            ("^/old/", "", "/old/v1", Some("/v1")),
            ("^/all$", "", "/all", Some("/")),
            ("^/v2", "/v1", "/v1/models", None),
        ] {
            let new = rewritten(&[rule(pattern, template)], path);
            assert_eq!(new.as_deref(), expected, "{pattern} {template} {path}");
        }
        let rules = [rule("^/b", "/c"), rule("^/a", "/b"), rule("^/a", "/d")];
        assert_eq!(rewritten(&rules, "/a").as_deref(), Some("/b"), "the first, and no other after it");
        assert_eq!(rewritten(&[], "/a"), None);
    }
}
