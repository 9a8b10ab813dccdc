//! A form (`multipart/form-data`) kept as it came: the bytes, and where each part lies.
//!
//! Files are never copied: a changed form is the same bytes with one part's value in between. Format: RFC 7578.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use derive_more::{Display, Error};
use memchr::memmem;
use smallvec::SmallVec;

/// Most parts of a form: more than any endpoint has names for.
const MAX_PARTS: usize = 64;

/// Why a body is not usable as a form.
#[derive(Debug, Display, Error, PartialEq, Eq)]
pub enum FormError {
    /// The `Content-Type` names no boundary.
    #[display("the Content-Type must be multipart/form-data with a boundary")]
    NoBoundary,
    /// The parts do not begin and end as they should.
    #[display("the form is not complete: a boundary, or the blank line after a part's headers, is missing")]
    Broken,
    /// More than any endpoint has names for.
    #[display("the form has more than {MAX_PARTS} parts")]
    TooMany,
    /// A field that may stand once stands twice.
    #[display("the field \"{_0}\" stands more than once in the form")]
    Repeated(#[error(not(source))] &'static str),
    /// A field that must be text is not.
    #[display("the field \"{_0}\" is not valid UTF-8")]
    NotText(#[error(not(source))] &'static str),
}

#[derive(Debug, Clone)]
struct Part {
    name: Box<str>,
    is_file: bool,
    value: Range<usize>,
}

/// A form as it came, with its parts found.
#[derive(Debug, Clone)]
pub struct Form {
    bytes: Bytes,
    content_type: Box<str>,
    parts: SmallVec<[Part; 8]>,
}

impl Form {
    /// Finds the parts of a form.
    ///
    /// # Errors
    /// See [`FormError`].
    pub fn parse(bytes: Bytes, content_type: &str) -> Result<Self, FormError> {
        let boundary = boundary(content_type).ok_or(FormError::NoBoundary)?;
        let delimiter = format!("\r\n--{boundary}");
        // The first one has no line before it.
        let mut at = match bytes.strip_prefix(&delimiter.as_bytes()[2..]) {
            Some(_) => delimiter.len() - 2,
            None => memmem::find(&bytes, delimiter.as_bytes()).ok_or(FormError::Broken)? + delimiter.len(),
        };
        let finder = memmem::Finder::new(&delimiter);
        let mut parts = SmallVec::new();
        loop {
            let rest = bytes.get(at..).ok_or(FormError::Broken)?;
            if rest.starts_with(b"--") {
                return Ok(Self { bytes, content_type: content_type.into(), parts });
            }
            let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let start = at + space + 2;
            if bytes.get(start - 2..start) != Some(b"\r\n") {
                return Err(FormError::Broken);
            }
            let end = start.saturating_sub(2)
                + finder.find(bytes.get(start - 2..).unwrap_or_default()).ok_or(FormError::Broken)?;
            if parts.len() == MAX_PARTS {
                return Err(FormError::TooMany);
            }
            parts.push(part(&bytes, start..end.max(start)).ok_or(FormError::Broken)?);
            at = end + delimiter.len();
        }
    }

    /// The text of a field that may stand once.
    ///
    /// # Errors
    /// It stands twice, or is not text.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, FormError> {
        let mut found = self.parts.iter().filter(|part| *part.name == *name);
        let Some(part) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(FormError::Repeated(name));
        }
        let value = self.bytes.get(part.value.clone()).unwrap_or_default();
        std::str::from_utf8(value).map(Some).map_err(|_| FormError::NotText(name))
    }

    /// The fields that are no files, with their names.
    pub fn texts(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let value = |part: &'_ Part| self.bytes.get(part.value.clone()).unwrap_or_default();
        let fields = self.parts.iter().filter(|part| !part.is_file);
        fields.map(move |part| (&*part.name, String::from_utf8_lossy(value(part))))
    }

    /// Whether a file stands under this name, or this name with `[]` behind it.
    #[must_use]
    pub fn has_file(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.is_file && part.name.trim_end_matches("[]") == name)
    }

    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.parts.iter().filter(|part| part.is_file).count() as u64
    }

    /// The first file under this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<Bytes> {
        let part = self.parts.iter().find(|part| part.is_file && *part.name == *name)?;
        self.bytes.get(part.value.clone()).map(|value| self.bytes.slice_ref(value))
    }

    /// The bytes as they came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The `Content-Type` that goes with the bytes.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The form with another value of a field: pieces that make up the new body. Without the field, the form as it is.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> SmallVec<[Bytes; 3]> {
        match self.parts.iter().find(|part| *part.name == *name) {
            None => SmallVec::from_iter([self.bytes.clone()]),
            Some(part) => SmallVec::from_iter([
                self.bytes.slice(..part.value.start),
                Bytes::copy_from_slice(value.as_bytes()),
                self.bytes.slice(part.value.end..),
            ]),
        }
    }
}

/// The part whose headers and value lie in `range`.
fn part(bytes: &Bytes, range: Range<usize>) -> Option<Part> {
    let whole = bytes.get(range.clone())?;
    let (head_length, gap) = match whole.strip_prefix(b"\r\n") {
        Some(_) => (0, 2),
        None => (memmem::find(whole, b"\r\n\r\n")?, 4),
    };
    let head = String::from_utf8_lossy(&whole[..head_length]);
    let disposition = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?
        .1;
    Some(Part {
        name: parameter(disposition, "name")?.into(),
        is_file: parameter(disposition, "filename").is_some(),
        value: range.start + head_length + gap..range.end,
    })
}

fn boundary(content_type: &str) -> Option<&str> {
    let (kind, rest) = content_type.split_once(';')?;
    kind.trim().eq_ignore_ascii_case("multipart/form-data").then_some(())?;
    let found = rest.split(';').filter_map(|part| part.trim().split_once('='));
    let value = found.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?.1.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (1..=70).contains(&value.len()).then_some(value)
}

/// A parameter of a `Content-Disposition`, quoted or not.
fn parameter<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = line;
    loop {
        let (_, after) = rest.split_once(';')?;
        let (found, value) = after.split_once('=')?;
        let value = value.trim_start();
        let (value, next) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        if found.trim().eq_ignore_ascii_case(name) {
            return Some(value.trim());
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"xYz\"";
    const BODY: &str = "--xYz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--xYz\r\n\
        content-disposition: form-data; filename=\"a;b.wav\"; name=file\r\nContent-Type: audio/wav\r\n\r\n\
        \r\n--xY\r\n\r\n--xYz\r\nContent-Disposition: form-data; name=\"image[]\"; filename=\"\"\r\n\r\n\r\n--xYz--\r\n";

    fn form(body: &str) -> Result<Form, FormError> {
        Form::parse(Bytes::copy_from_slice(body.as_bytes()), TYPE)
    }

    #[test]
    fn parts_are_found_and_one_is_replaced() {
        let form = form(BODY).expect("parses");
        assert_eq!(form.text("model"), Ok(Some("whisper")));
        assert_eq!(form.text("file"), Ok(Some("\r\n--xY\r\n")));
        assert_eq!(form.text("image[]"), Ok(Some("")));
        assert_eq!((form.file("file").as_deref(), form.file("model")), (Some(&b"\r\n--xY\r\n"[..]), None));
        assert_eq!(form.text("prompt"), Ok(None));
        assert!(form.has_file("file") && form.has_file("image") && !form.has_file("model"));
        assert_eq!(form.with("model", "new").concat(), BODY.replace("whisper", "new").as_bytes());
        assert_eq!(form.with("prompt", "new").concat(), BODY.as_bytes());
    }

    #[test]
    fn what_is_no_form_is_refused_with_its_reason() {
        for (body, error) in [
            ("", FormError::Broken),
            ("--xYz", FormError::Broken),
            ("--xYz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb", FormError::Broken),
            ("--xYz\r\nX: y\r\n\r\nb\r\n--xYz--", FormError::Broken),
            ("--xYz\r\n\r\n--xYz--", FormError::Broken),
        ] {
            assert_eq!(form(body).expect_err(body), error, "{body}");
        }
        let twice = BODY.replace("image[]", "model");
        assert_eq!(form(&twice).expect("parses").text("model"), Err(FormError::Repeated("model")));
        let many = "--xYz\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n".repeat(MAX_PARTS + 1);
        assert_eq!(form(&format!("{many}--xYz--")).expect_err("many"), FormError::TooMany);
        for kind in ["multipart/form-data", "application/json; boundary=x", "multipart/form-data; boundary="]
        {
            let refused = Form::parse(Bytes::from_static(b"--x--"), kind).expect_err(kind);
            assert_eq!(refused, FormError::NoBoundary);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            parts in prop::collection::vec(
                prop::sample::select(&["--xYz", "\r\n", "--", "Content-Disposition:", " form-data;", " name=\"a\"", "\"", "=", ";", "x"][..]),
                0..20,
            ),
        ) {
            let text = parts.concat();
            if let Ok(form) = form(&text) {
                let _ = form.text("a");
                prop_assert_eq!(form.with("b", "c").concat(), text.as_bytes());
            }
        }
    }
}
