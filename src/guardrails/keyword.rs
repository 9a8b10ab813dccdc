//! Words and patterns that are not to occur. Compiled once per configuration; a text is searched once per kind.

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use super::passage::Passage;

/// Most memory of all words of a guardrail, compiled, in bytes: they are one pattern.
const WORDS_BYTES: usize = 32 << 20;

/// How a pattern is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatternKind {
    /// As a part of the text, in letters of either case.
    Literal,
    /// As a regular expression, as written.
    Regex,
}

/// See the module.
#[derive(Debug)]
pub struct Keywords {
    literals: Option<Regex>,
    patterns: Vec<Regex>,
}

impl Keywords {
    /// Compiles patterns.
    ///
    /// # Errors
    /// The literals together are too many.
    pub fn new(literals: &[&str], patterns: Vec<Regex>) -> Result<Self, String> {
        if literals.is_empty() {
            return Ok(Self { literals: None, patterns });
        }
        let both = |literal: &&str| [regex::escape(literal), regex::escape(&folded(literal))];
        let any = literals.iter().flat_map(both).collect::<Vec<_>>().join("|");
        let literals = RegexBuilder::new(&any).case_insensitive(true).size_limit(WORDS_BYTES).build();
        match literals {
            Ok(literals) => Ok(Self { literals: Some(literals), patterns }),
            Err(_) => Err("these are too many literals for one guardrail".to_owned()),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Regex> {
        self.literals.iter().chain(&self.patterns)
    }

    /// Whether a text has any of them.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        let is_folded = |literals: &Regex| !text.is_ascii() && literals.is_match(&folded(text));
        self.all().any(|pattern| pattern.is_match(text)) || self.literals.as_ref().is_some_and(is_folded)
    }

    /// Whether a passage has any of them that was not judged before.
    #[must_use]
    pub fn is_new_in(&self, passage: &Passage) -> bool {
        let is_new = |pattern: &Regex| {
            pattern.find_iter(passage.original()).any(|found| found.end() > passage.seen || passage.seen == 0)
        };
        self.all().any(is_new) || self.is_new_folded(passage)
    }

    /// The same for literals in letters that only look different.
    fn is_new_folded(&self, passage: &Passage) -> bool {
        let Some(literals) = self.literals.as_ref().filter(|_| !passage.original().is_ascii()) else {
            return false;
        };
        let seen = passage.original().get(..passage.seen).map_or(0, |seen| folded(seen).len());
        let text = folded(passage.original());
        literals.find_iter(&text).any(|found| found.end() > seen || passage.seen == 0)
    }
}

/// A text in plain letters: wide ones and ligatures as the usual ones (NFKC), and nothing that has no width.
fn folded(text: &str) -> String {
    let is_seen =
        |letter: &char| !matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    text.chars().filter(is_seen).nfkc().collect()
}

/// Compiles a pattern of an operator.
///
/// # Errors
/// In words, what is wrong with it.
pub fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        error => {
            let words = error.to_string();
            let last =
                words.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            format!("not a regular expression: {last}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_in_either_case_and_patterns_as_written() {
        let keywords =
            Keywords::new(&["Größe", "a.b"], vec![pattern("Secret[0-9]").expect("good")]).expect("good");
        for (text, is_in) in [
            ("die GRÖSSE", false),
            ("die GRÖßE zählt", true),
            ("xA.Bx", true),
            ("aXb", false),
            ("Secret7", true),
            ("secret7", false),
            ("", false),
            ("\u{ff41}.\u{200b}B", true),
            ("Gr\u{f6}\u{ad}ße", true),
            ("a\u{feff}.\u{2060}b", true),
        ] {
            assert_eq!(keywords.is_in(text), is_in, "{text}");
        }
        assert!(!Keywords::new(&[], Vec::new()).expect("good").is_in("anything"));
    }

    #[test]
    fn a_bad_pattern_is_explained() {
        assert_eq!(pattern("(").expect_err("bad"), "not a regular expression: unclosed group");
    }
}
