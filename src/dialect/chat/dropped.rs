//! What a translation could not carry, by the names that the caller knows.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Most names kept: more would not fit a header.
const MAX_NAMES: usize = 32;
/// Longest name kept, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Members of a request that the other dialect cannot say: dotted paths without places, such as `logit_bias` or
/// `messages.content.image_url.detail`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped(SmallVec<[Cow<'static, str>; 2]>);

impl Dropped {
    /// Takes note of a member, once. Names that callers chose are cut and cleaned, so that they fit a header.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>) {
        let mut name = name.into();
        let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        if name.len() > MAX_NAME_BYTES || !name.bytes().all(is_fit) {
            let fit = name.chars().take(MAX_NAME_BYTES);
            name = fit.map(|c| if c.is_ascii() && is_fit(c as u8) { c } else { '_' }).collect();
        }
        if self.0.len() < MAX_NAMES && !name.is_empty() && !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    /// Whether everything was carried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in the order in which they were found.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
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
    }
}
