//! A JSON object kept as written: the bytes, and where each top-level member lies.
//!
//! Members that the gateway does not know survive byte for byte, with their order and number spelling. A repeated
//! member is refused (a caller must not be authorised for one model and served another), and so is deep nesting.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use derive_more::{Display, Error};
use smallvec::SmallVec;

pub(crate) mod plain;
mod scan;

use scan::{Place, ScanError};

/// Deepest nesting accepted: more than any real request has, less than any reader's stack.
pub const MAX_DEPTH: usize = 128;

/// Why a body is not usable as a JSON object.
#[derive(Debug, Display, Error, PartialEq, Eq)]
pub enum RawError {
    /// No bytes.
    #[display("the request body is empty; a JSON object is expected")]
    Empty,
    /// Not UTF-8.
    #[display("the request body is not valid UTF-8")]
    NotUtf8,
    /// Not JSON, or not an object.
    #[display("the request body is not a valid JSON object (line {line}, column {column})")]
    NotAnObject {
        /// 1-based line of the error.
        line: usize,
        /// 1-based column of the error, in bytes.
        column: usize,
    },
    /// The same member twice.
    #[display("the member \"{_0}\" stands more than once in the request body")]
    Repeated(#[error(not(source))] String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[display("the request body is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl RawError {
    fn of(text: &str, error: &ScanError) -> Self {
        match error {
            ScanError::TooDeep => Self::TooDeep,
            ScanError::At(at) => {
                let before = text.as_bytes().get(..*at).unwrap_or_default();
                let line_start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
                let line = memchr::memchr_iter(b'\n', before).count() + 1;
                Self::NotAnObject { line, column: at - line_start + 1 }
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Member {
    /// The name, where it had to be unescaped.
    unescaped: Option<Box<str>>,
    name: Range<usize>,
    value: Range<usize>,
}

impl Member {
    /// `None` for a name whose escapes mean nothing (half of a surrogate pair).
    fn new(text: &str, place: Place) -> Option<Self> {
        let mut unescaped = None;
        if text.get(place.name.clone())?.contains('\\') {
            let quoted = text.get(place.name.start - 1..place.name.end + 1)?;
            unescaped = Some(serde_json::from_str(quoted).ok()?);
        }
        Some(Self { unescaped, name: place.name, value: place.value })
    }

    fn name<'a>(&'a self, text: &'a str) -> &'a str {
        self.unescaped.as_deref().unwrap_or_else(|| text.get(self.name.clone()).unwrap_or_default())
    }
}

/// A JSON object as written, with its top-level members found.
#[derive(Debug, Clone)]
pub struct RawObject {
    bytes: Bytes,
    members: SmallVec<[Member; 12]>,
    text_bytes: u64,
}

impl RawObject {
    /// Finds the members of a JSON object.
    ///
    /// # Errors
    /// See [`RawError`]. The whole text is checked, nested values included.
    pub fn parse(bytes: Bytes) -> Result<Self, RawError> {
        if bytes.is_empty() {
            return Err(RawError::Empty);
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| RawError::NotUtf8)?;
        let found = scan::scan(text).map_err(|error| RawError::of(text, &error))?;
        let mut members: SmallVec<[Member; 12]> = SmallVec::new();
        for place in found.members {
            let at = place.name.start;
            let member = Member::new(text, place).ok_or_else(|| RawError::of(text, &ScanError::At(at)))?;
            members.push(member);
        }
        if let Some(name) = repeated(&members, text) {
            return Err(RawError::Repeated(name.chars().take(64).collect()));
        }
        Ok(Self { bytes, members, text_bytes: found.text_bytes })
    }

    fn text(&self) -> &str {
        // Checked once in `parse`.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The raw JSON of a member.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&str> {
        let range = self.range(name)?;
        std::str::from_utf8(self.bytes.get(range)?).ok()
    }

    fn range(&self, name: &str) -> Option<Range<usize>> {
        let is_it = |member: &&Member| match &member.unescaped {
            Some(own) => **own == *name,
            None => self.bytes.get(member.name.clone()) == Some(name.as_bytes()),
        };
        self.members.iter().find(is_it).map(|member| member.value.clone())
    }

    /// Names and raw JSON of all members, in their order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.text();
        self.members
            .iter()
            .map(move |member| (member.name(text), text.get(member.value.clone()).unwrap_or_default()))
    }

    /// The bytes as they came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of prose in the whole text: what a guess of the prompt's tokens is made of.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// The object with these members set, as `(name, raw JSON)`: replaced where they stand, else added at the end.
    ///
    /// Everything else is copied as it stands.
    #[must_use]
    pub fn with(&self, changes: &[(&str, &str)]) -> Bytes {
        let grown: usize = changes.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut out = BytesMut::with_capacity(self.bytes.len() + grown);
        let close = memchr::memrchr(b'}', &self.bytes).unwrap_or(self.bytes.len());
        let mut places: SmallVec<[(Range<usize>, &str); 4]> =
            changes.iter().filter_map(|(name, value)| Some((self.range(name)?, *value))).collect();
        places.sort_by_key(|(range, _)| range.start);
        let mut copied = 0;
        for (range, value) in places {
            out.extend_from_slice(&self.bytes[copied..range.start]);
            out.extend_from_slice(value.as_bytes());
            copied = range.end;
        }
        out.extend_from_slice(&self.bytes[copied..close]);
        let mut is_empty = self.members.is_empty();
        for (name, value) in changes.iter().filter(|(name, _)| self.range(name).is_none()) {
            for part in [if is_empty { "\"" } else { ",\"" }, name, "\":", value] {
                out.extend_from_slice(part.as_bytes());
            }
            is_empty = false;
        }
        out.extend_from_slice(&self.bytes[close..]);
        out.freeze()
    }

    /// The object with other names for members, as `(name, new name)`: where the one is there and the other is not.
    ///
    /// New names must need no escaping.
    #[must_use]
    pub fn renamed(&self, names: &[(&str, &str)]) -> Cow<'_, Self> {
        let mut object = Cow::Borrowed(self);
        for (name, new) in names {
            let is_it = |member: &Member| member.name(object.text()) == *name;
            let found = object.members.iter().position(is_it);
            if let Some(at) = found.filter(|_| object.range(new).is_none()) {
                object.to_mut().rename(at, new);
            }
        }
        object
    }

    fn rename(&mut self, at: usize, new: &str) {
        let Some(old) = self.members.get(at).map(|member| member.name.clone()) else { return };
        let mut bytes = BytesMut::with_capacity(self.bytes.len() + new.len());
        for piece in [&self.bytes[..old.start], new.as_bytes(), &self.bytes[old.end..]] {
            bytes.extend_from_slice(piece);
        }
        let moved = |place: usize| if place >= old.end { place - old.len() + new.len() } else { place };
        for member in &mut self.members {
            member.name = moved(member.name.start)..moved(member.name.end);
            member.value = moved(member.value.start)..moved(member.value.end);
        }
        self.members[at].unescaped = None;
        self.bytes = bytes.freeze();
    }
}

/// A name that stands twice. Few names are compared with each other; very many are sorted first, or a body of nothing but
/// names would keep a thread busy for minutes.
fn repeated<'a>(members: &'a [Member], text: &'a str) -> Option<&'a str> {
    const FEW: usize = 24;
    let mut names: SmallVec<[&str; FEW]> = members.iter().map(|member| member.name(text)).collect();
    if names.len() <= FEW {
        let places = 1..names.len();
        return places.into_iter().find(|at| names[..*at].contains(&names[*at])).map(|at| names[at]);
    }
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Where a piece that was borrowed from `text` lies in it.
pub(crate) fn range_in(text: &str, piece: &str) -> Range<usize> {
    let start = (piece.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    start..start.wrapping_add(piece.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of JSON, right and wrong, from which a random text is put together.
    const PARTS: &[&str] = &[
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        " ",
        "\n",
        "\"a\":",
        "\"b\\u00e9\"",
        "\"c\"",
        "\"\\x\"",
        "\"\\u12\"",
        "1",
        "-0",
        "01",
        "0.5e+3",
        "1.",
        "-",
        "true",
        "nul",
        "null",
        "\"\t\"",
        "\"d\":[1,{\"e\":2}]",
        ",\"f\":{}",
        "\"g\":\"\"",
    ];

    fn object(text: &str) -> Result<RawObject, RawError> {
        RawObject::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn members_are_found_as_they_are_written() {
        let raw = object("{ \"a\" : 1.50 ,\"mo\\u0064el\":\"x\",\"\":[ 1 , 2 ],\"n\":null}").expect("parses");
        let members: Vec<_> = raw.members().collect();
        assert_eq!(members, [("a", "1.50"), ("model", "\"x\""), ("", "[ 1 , 2 ]"), ("n", "null")]);
        assert_eq!(raw.member("model"), Some("\"x\""));
    }

    #[test]
    fn only_the_patched_member_changes() {
        for (text, patched) in [
            (
                r#"{"a":1.0,"model":"x","b":{"model":"x"}}"#,
                r#"{"a":1.0,"model":"new","b":{"model":"x"},"s":{}}"#,
            ),
            (r#"{"model":"x"}"#, r#"{"model":"new","s":{}}"#),
            (" {\"model\" : \"x\" } \n", " {\"model\" : \"new\" ,\"s\":{}} \n"),
            ("{}", r#"{"s":{},"model":"new"}"#),
            (r#"{"s":null,"model":"x","a":1}"#, r#"{"s":{},"model":"new","a":1}"#),
        ] {
            let raw = object(text).expect(text);
            assert_eq!(raw.with(&[("s", "{}"), ("model", "\"new\"")]), patched.as_bytes(), "{text}");
        }
    }

    #[test]
    fn only_the_name_of_a_renamed_member_changes() {
        for (text, renamed) in [
            (r#"{"a": 1.0,"old":[1, 2],"b":"x"}"#, r#"{"a": 1.0,"newer":[1, 2],"b":"x"}"#),
            (r#"{"\u006fld":1,"b":2,"c":{"old":3}}"#, r#"{"newer":1,"b":2,"c":{"old":3}}"#),
            (r#"{"old":1,"newer":2}"#, r#"{"old":1,"newer":2}"#),
            ("{}", "{}"),
        ] {
            let raw = object(text).expect(text);
            let found = raw.renamed(&[("old", "newer"), ("absent", "b")]);
            assert_eq!(found.bytes(), renamed.as_bytes());
            let again = object(renamed).expect("an object");
            assert!(found.members().eq(again.members()), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused_with_its_reason() {
        assert_eq!(object("").expect_err("empty"), RawError::Empty);
        assert_eq!(object("{\"a\":1,\"\\u0061\":2}").expect_err("twice"), RawError::Repeated("a".into()));
        assert_eq!(
            object(&format!("{{\"a\":{}}}", "[".repeat(100_000))).expect_err("deep"),
            RawError::TooDeep
        );
        for text in ["[]", "1", "{", "{\"a\":}", "{\"a\":1}x", "{\"a\":1,}", "nul"] {
            assert!(matches!(object(text), Err(RawError::NotAnObject { .. })), "{text}");
        }
        let many: Vec<String> = (0..100).map(|name| format!("\"m{}\":1", name % 99)).collect();
        let many = format!("{{{}}}", many.join(","));
        assert_eq!(object(&many).expect_err("twice"), RawError::Repeated("m0".into()));
        let broken = RawObject::parse(Bytes::from_static(b"{\"a\":\"\xff\"}"));
        assert_eq!(broken.expect_err("not utf-8"), RawError::NotUtf8);
    }

    #[test]
    fn data_counts_as_a_picture_and_prose_as_prose() {
        let data = format!("{{\"a\":\"{}\"}}", "A".repeat(1 << 20));
        assert_eq!(object(&data).expect("parses").text_bytes(), scan::OPAQUE_COUNTS_AS);
        let prose = format!("{{\"a\":\"{}\"}}", "word ".repeat(1000));
        assert_eq!(object(&prose).expect("parses").text_bytes(), 5000);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RawObject::parse(Bytes::from(bytes));
        }

        #[test]
        fn exactly_what_is_an_object_is_accepted(parts in prop::collection::vec(prop::sample::select(PARTS), 0..14)) {
            let text = format!("{{{}}}", parts.concat());
            let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
            match object(&text) {
                Ok(_) | Err(RawError::Repeated(_)) => prop_assert!(is_object, "accepted: {text}"),
                Err(error) => prop_assert!(!is_object, "refused: {text}: {error}"),
            }
        }

        #[test]
        fn a_patch_changes_one_member_only(
            before in prop::collection::btree_map("[a-l]{1,6}", any::<i64>(), 0..6),
            model in "\\PC*",
        ) {
            let mut value = serde_json::to_value(&before).expect("serialises");
            value["model"] = model.clone().into();
            let raw = object(&value.to_string()).expect("parses");
            let patched = raw.with(&[("model", "\"new\"")]);
            value["model"] = "new".into();
            let back: serde_json::Value = serde_json::from_slice(&patched).expect("stays valid");
            prop_assert_eq!(back, value);
        }
    }
}
