//! JSON that is handed on rather than understood: strings with their escapes, and a writer that copies them.
//!
//! A conversation is mostly text that nobody here reads. It is kept as it stands between its quotes and written out
//! again without being unescaped, which costs a copy instead of two passes.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;

pub mod shape;
mod writer;

pub use writer::Writer;

/// A JSON string as it stands between its quotes, escapes included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// From the raw JSON of a string, quotes included; `None` for every other value. The JSON must be well-formed.
    #[must_use]
    pub fn from_json(raw: &'a str) -> Option<Self> {
        raw.strip_prefix('"')?.strip_suffix('"').map(|inside| Self(Cow::Borrowed(inside)))
    }

    /// Plain text, escaped where it must be.
    #[must_use]
    pub fn plain(text: &'a str) -> Self {
        match text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            true => Self(Cow::Borrowed(text)),
            false => Self(Cow::Owned(escape(text))),
        }
    }

    /// Plain text that is owned.
    #[must_use]
    pub fn owned(text: &str) -> Text<'static> {
        Text(Cow::Owned(escape(text)))
    }

    /// Text that is escaped already.
    #[must_use]
    pub fn owned_escaped(escaped: &str) -> Text<'static> {
        Text(Cow::Owned(escaped.to_owned()))
    }

    /// Text that is escaped already.
    #[must_use]
    pub const fn from_escaped(escaped: &'a str) -> Self {
        Self(Cow::Borrowed(escaped))
    }

    /// As it stands between quotes.
    #[must_use]
    pub fn escaped(&self) -> &str {
        &self.0
    }

    /// What it says. Half of a surrogate pair becomes the replacement character.
    #[must_use]
    pub fn decode(&self) -> Cow<'_, str> {
        match memchr::memchr(b'\\', self.0.as_bytes()) {
            None => Cow::Borrowed(&self.0),
            Some(_) => Cow::Owned(unescape(&self.0)),
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is nothing in it but white space.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.decode().trim().is_empty()
    }

    /// Several texts as one, with plain text between them.
    #[must_use]
    pub fn join<'t>(texts: impl IntoIterator<Item = &'t Text<'t>>, separator: &str) -> Text<'static> {
        let mut joined = String::new();
        for (place, text) in texts.into_iter().enumerate() {
            if place > 0 {
                joined.push_str(Text::plain(separator).escaped());
            }
            joined.push_str(text.escaped());
        }
        Text(Cow::Owned(joined))
    }

    /// The same text, kept beyond what it was read from.
    #[must_use]
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }

    /// The same text, borrowed.
    #[must_use]
    pub fn borrow(&self) -> Text<'_> {
        Text(Cow::Borrowed(&self.0))
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, plain: &str) -> bool {
        *self.decode() == *plain
    }
}

/// Only from a borrowed text: `serde_json::from_str`, without `flatten`, `untagged` and tagged enums on the way.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(source)?;
        Self::from_json(raw.get()).ok_or_else(|| D::Error::custom("expected a string"))
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out
}

/// Undoes the escapes of a JSON string; what is no escape stays as it is.
fn unescape(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (character, length) = one_escape(&rest[at..]);
        out.push(character);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

/// The character that an escape stands for, and how many bytes it takes.
fn one_escape(escape: &str) -> (char, usize) {
    let plain = match escape.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        Some(b'u') => return unicode_escape(escape),
        _ => return ('\\', 1),
    };
    (plain, 2)
}

fn unicode_escape(escape: &str) -> (char, usize) {
    let unit = |at: usize| u32::from_str_radix(escape.get(at..at + 4)?, 16).ok();
    let Some(first) = unit(2) else { return ('\\', 1) };
    if let Some(character) = char::from_u32(first) {
        return (character, 6);
    }
    let second = (escape.get(6..8) == Some("\\u")).then(|| unit(8)).flatten();
    match second.filter(|low| (0xdc00..0xe000).contains(low) && first < 0xdc00) {
        Some(low) => {
            let joined = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        None => (char::REPLACEMENT_CHARACTER, 6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_json_escapes_is_undone() {
        for (escaped, plain) in [
            (r#"a\"b\\c\/d\n\t\r\b\f"#, "a\"b\\c/d\n\t\r\u{8}\u{c}"),
            (r"\u00e9\ud83d\ude00!", "é😀!"),
            (r"\ud83d!\ude00", "\u{fffd}!\u{fffd}"),
            ("plain", "plain"),
        ] {
            let raw = format!("\"{escaped}\"");
            assert_eq!(Text::from_json(&raw).expect("a string").decode(), plain);
        }
        assert_eq!(Text::from_json("1"), None);
        assert_eq!(Text::from_json("\""), None);
    }

    proptest! {
        #[test]
        fn text_survives_its_escapes(text in "\\PC*|[\u{0}-\u{1f}\"\\\\a]{0,20}") {
            let raw = format!("\"{}\"", Text::plain(&text).escaped());
            prop_assert_eq!(serde_json::from_str::<String>(&raw).expect("valid"), text.clone());
            prop_assert_eq!(Text::from_json(&raw).expect("a string").decode().into_owned(), text);
        }

        #[test]
        fn any_escapes_are_read_without_a_panic(text in "[\\\\u0-9a-fdnr\"/é]{0,30}") {
            let _ = unescape(&text);
        }
    }
}
