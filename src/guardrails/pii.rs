//! Personal data and credentials in texts: found by form, and by checksum where there is one (§10.7).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::passage::Passage;

mod checksum;
mod detect;

pub use detect::{Detector, DetectorKind};

/// What is done about a find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Something else stands for it.
    #[default]
    Mask,
    /// The whole is refused.
    Block,
}

/// How something is found.
#[derive(Debug)]
pub enum Finder {
    /// A form that is known here.
    Known(Detector),
    /// A pattern of the operator; its first group, where it has one, is what is found.
    Custom(Regex),
}

/// Something to be found.
#[derive(Debug)]
pub struct Rule {
    /// The name in records.
    pub name: Arc<str>,
    /// How it is found.
    pub finder: Finder,
    /// What is done about it.
    pub action: Action,
    /// What stands for it.
    pub replacement: Box<str>,
}

impl Rule {
    /// A rule with the usual replacement, `[NAME_REDACTED]`.
    #[must_use]
    pub fn new(name: &str, finder: Finder, action: Action) -> Self {
        let upper = |letter: char| match letter.to_ascii_uppercase() {
            upper if upper.is_ascii_alphanumeric() => upper,
            _ => '_',
        };
        let upper: String = name.chars().map(upper).collect();
        Self { name: name.into(), finder, action, replacement: format!("[{upper}_REDACTED]").into() }
    }

    /// Where it is in a text, in order.
    fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        match &self.finder {
            Finder::Known(detector) => detector.find(text, found),
            Finder::Custom(pattern) if pattern.captures_len() > 1 => {
                let all = pattern.captures_iter(text).filter_map(|groups| groups.get(1));
                found.extend(all.map(|group| group.range()).filter(|range| !range.is_empty()));
            }
            Finder::Custom(pattern) => {
                found
                    .extend(pattern.find_iter(text).map(|all| all.range()).filter(|range| !range.is_empty()));
            }
        }
    }
}

/// How often what was found.
pub type Counts = BTreeMap<Arc<str>, u64>;

/// See the module.
#[derive(Debug)]
pub struct Pii {
    rules: Vec<Rule>,
}

impl Pii {
    /// Something that finds by these rules.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Whether a text has something that is refused; what was `seen` before is context only.
    #[must_use]
    pub fn refuses(&self, text: &str, seen: usize) -> bool {
        let mut found = Vec::new();
        self.rules.iter().filter(|rule| rule.action == Action::Block).any(|rule| {
            found.clear();
            rule.find(text, &mut found);
            found.iter().any(|range| range.end > seen)
        })
    }

    /// Masks a passage, and counts what there was; without `applies` it only counts.
    pub fn mask(&self, passage: &mut Passage, counts: &mut Counts, applies: bool) {
        let mut found: Vec<(Range<usize>, &Rule)> = Vec::new();
        let mut ranges = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.action == Action::Mask) {
            ranges.clear();
            rule.find(passage.current(), &mut ranges);
            found.extend(ranges.drain(..).map(|range| (range, rule)));
        }
        if found.is_empty() {
            return;
        }
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let known = passage.seen.max(passage.counted);
        for (_, rule) in found.iter().filter(|(range, _)| range.end > known) {
            *counts.entry(rule.name.clone()).or_default() += 1;
        }
        if applies {
            let merged = merged(found);
            let parts: Vec<_> =
                merged.iter().map(|(range, rule)| (range.clone(), &*rule.replacement)).collect();
            passage.replace(&parts);
        }
    }
}

/// Finds that touch become one, under the name of the first.
fn merged(found: Vec<(Range<usize>, &Rule)>) -> Vec<(Range<usize>, &Rule)> {
    let mut merged: Vec<(Range<usize>, &Rule)> = Vec::with_capacity(found.len());
    for (range, rule) in found {
        match merged.last_mut() {
            Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push((range, rule)),
        }
    }
    merged
}

/// Counts by name, several as one.
pub fn add(all: &mut Counts, more: &Counts) {
    for (name, count) in more {
        *all.entry(name.clone()).or_default() += count;
    }
}

/// A text with everything masked, for tests and examples.
#[must_use]
pub fn masked<'a>(pii: &Pii, text: &'a str) -> Cow<'a, str> {
    let mut passage = Passage::new(text.to_owned());
    pii.mask(&mut passage, &mut Counts::new(), true);
    if passage.is_changed() { Cow::Owned(passage.current().to_owned()) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests;
