//! What a translation could not carry, by the names that the caller knows.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Thought;

/// Most names kept: more would not fit a header.
const MAX_NAMES: usize = 32;
/// Longest name kept, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Members of a request that the other dialect cannot say: dotted paths without places, such as `logit_bias` or
/// `messages.content.image_url.detail`.
///
/// Some are only mentioned: nobody can say them to this provider, and the answer does not depend on them, so that they
/// are no reason to refuse a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    lost: Names,
    mentioned: Names,
}

type Names = SmallVec<[Cow<'static, str>; 2]>;

/// Thoughts of earlier turns that the provider would not believe.
const THOUGHTS: &str = "messages.thinking";

impl Dropped {
    /// Takes note of a member, once. Names that callers chose are cut and cleaned, so that they fit a header.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>) {
        let name = Self::fit(name.into());
        if self.has_room() && !name.is_empty() && !self.lost.contains(&name) {
            self.mentioned.retain(|known| *known != name);
            self.lost.push(name);
        }
    }

    /// Takes note of a member whose loss is to be told, but is no reason to refuse the request.
    pub fn mention(&mut self, name: &'static str) {
        if self.has_room() && !self.names().any(|known| known == name) {
            self.mentioned.push(Cow::Borrowed(name));
        }
    }

    /// Mentions a thought of an earlier turn that is not written, unless nothing is in it.
    pub fn mention_thought(&mut self, thought: &Thought<'_>) {
        if !thought.text.is_empty() || thought.signature.is_some() {
            self.mention(THOUGHTS);
        }
    }

    fn has_room(&self) -> bool {
        self.lost.len() + self.mentioned.len() < MAX_NAMES
    }

    fn fit(mut name: Cow<'static, str>) -> Cow<'static, str> {
        let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        if name.len() > MAX_NAME_BYTES || !name.bytes().all(is_fit) {
            let fit = name.chars().take(MAX_NAME_BYTES);
            name = fit.map(|c| if c.is_ascii() && is_fit(c as u8) { c } else { '_' }).collect();
        }
        name
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// What was lost and not only mentioned, with commas between the names; `None` where nothing was.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        (!self.lost.is_empty()).then(|| self.lost.join(", "))
    }

    /// The names in the order in which they were found, those that are only mentioned behind the others.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lost.iter().chain(&self.mentioned).map(|name| &**name)
    }

    /// The names of a line that [`Self::to_line`] wrote; which of them were only mentioned it does not say.
    #[must_use]
    pub fn of_line(line: &str) -> Self {
        let mut dropped = Self::default();
        line.split(", ").for_each(|name| dropped.add(name.to_owned()));
        dropped
    }

    /// The names with commas between them, as the header has them.
    #[must_use]
    pub fn to_line(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::json::Text;

    #[test]
    fn names_are_kept_once_and_fit_a_header() {
        let mut dropped = Dropped::default();
        for name in ["seed", "seed", "", "a,b\n", "é"] {
            dropped.add(name);
        }
        dropped.add("x".repeat(100));
        assert_eq!(dropped.to_line(), format!("seed, a_b_, _, {}", "x".repeat(64)));
        for number in 0..100 {
            dropped.add(number.to_string());
        }
        assert_eq!(dropped.names().count(), MAX_NAMES);
        assert_eq!(Dropped::of_line(&dropped.to_line()), dropped);
        assert!(Dropped::of_line("").is_empty());
    }

    #[test]
    fn what_is_only_mentioned_is_told_and_is_no_loss() {
        let mut dropped = Dropped::default();
        dropped.mention_thought(&Thought::default());
        assert!(dropped.is_empty());
        let thought = Thought { text: Text::plain("hm"), ..Thought::default() };
        dropped.mention_thought(&thought);
        dropped.mention_thought(&thought);
        assert_eq!((&*dropped.to_line(), dropped.lost()), ("messages.thinking", None));
        dropped.add("seed");
        assert_eq!(dropped.to_line(), "seed, messages.thinking");
        assert_eq!(dropped.lost().as_deref(), Some("seed"));
    }
}
