//! Names and values of one line, written straight into a buffer: as JSON members, or as ` name=value`.
//!
//! Lines are written on every request, so nothing here allocates.

use std::time::Duration;

/// Longest tag that is taken over from a caller or a provider, in bytes.
pub const MAX_TAG_BYTES: usize = 256;

/// A name in both spellings, with the punctuation around it.
#[derive(Clone, Copy)]
pub struct Name {
    /// ` name=`
    pub text: &'static str,
    /// `,"name":`
    pub json: &'static str,
}

/// A [`Name`] from a literal.
macro_rules! name {
    ($name:literal) => {
        $crate::telemetry::fields::Name { text: concat!(" ", $name, "="), json: concat!(",\"", $name, "\":") }
    };
}
pub(super) use name;

/// Writes fields to the end of a buffer; which way is known to the compiler, so that names are copied as constants.
pub struct Fields<'a, const JSON: bool> {
    /// Where they go.
    pub out: &'a mut Vec<u8>,
}

impl<const JSON: bool> Fields<'_, JSON> {
    #[inline(always)]
    fn name(&mut self, name: Name) {
        let text = if JSON { name.json } else { name.text };
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes a text.
    #[inline]
    pub fn text(&mut self, name: Name, value: &str) {
        self.name(name);
        if !JSON && is_bare(value.as_bytes()) {
            self.out.extend_from_slice(value.as_bytes());
        } else {
            quoted(self.out, value);
        }
    }

    /// Writes a text unless it is empty.
    #[inline]
    pub fn some_text(&mut self, name: Name, value: &str) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    /// Writes a whole number.
    #[inline]
    pub fn number(&mut self, name: Name, value: u64) {
        self.name(name);
        push_number(self.out, value);
    }

    /// Writes a whole number unless it is zero.
    #[inline]
    pub fn some_number(&mut self, name: Name, value: u64) {
        if value > 0 {
            self.number(name, value);
        }
    }

    /// Writes yes or no.
    #[inline]
    pub fn flag(&mut self, name: Name, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Writes a time as a decimal number of seconds.
    pub fn seconds(&mut self, name: Name, time: Duration) {
        // Microseconds are to seconds what micro-dollars are to dollars.
        self.usd(name, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Writes micro-dollars as a decimal number of dollars.
    #[inline]
    pub fn usd(&mut self, name: Name, micros: u64) {
        self.name(name);
        push_usd(self.out, micros);
    }
}

// Not inlined: a request has a thousand other things to do, so what counts is how much code a line touches.

/// Writes a whole number.
#[inline(never)]
pub fn push_number(out: &mut Vec<u8>, value: u64) {
    match u8::try_from(value) {
        Ok(digit @ 0..=9) => out.push(b'0' + digit),
        _ => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

#[inline(never)]
fn push_usd(out: &mut Vec<u8>, micros: u64) {
    push_number(out, micros / 1_000_000);
    let mut rest = micros % 1_000_000;
    if rest > 0 {
        out.push(b'.');
        let mut place = 100_000;
        while rest > 0 {
            out.push(b'0' + (rest / place % 10) as u8);
            rest %= place;
            place /= 10;
        }
    }
}

/// Whether a text can stand in a line without quotes.
#[inline(never)]
fn is_bare(bytes: &[u8]) -> bool {
    let needs = |byte: u8| byte <= b' ' || byte == b'"' || byte == b'\\' || byte == b'=' || byte == 0x7f;
    !bytes.is_empty() && !bytes.iter().fold(false, |found, byte| found | needs(*byte))
}

/// Writes a text as a JSON string.
#[inline(never)]
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let needs = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\' || byte == 0x7f;
    if text.bytes().fold(false, |found, byte| found | needs(byte)) {
        text.bytes().for_each(|byte| escaped(out, byte));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        0..b' ' | 0x7f => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        byte => out.push(byte),
    }
}

/// What a header says, without control characters and cut to length; nothing where it is not text.
pub fn tag(bytes: &[u8], limit: usize) -> std::borrow::Cow<'_, str> {
    let Ok(text) = std::str::from_utf8(bytes) else { return "".into() };
    if text.len() <= limit && !text.chars().any(char::is_control) {
        return text.into();
    }
    let mut tag: String = text.chars().filter(|c| !c.is_control()).collect();
    tag.truncate(tag.floor_char_boundary(limit));
    tag.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<const JSON: bool>(write: impl FnOnce(&mut Fields<'_, JSON>)) -> String {
        let mut out = Vec::new();
        write(&mut Fields { out: &mut out });
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn any_text_is_a_json_string() {
        let every = (0..=127u8).map(char::from).collect::<String>() + "üß漢";
        let json = written::<true>(|fields| fields.text(name!("a"), &every));
        let read: String = serde_json::from_str(json.strip_prefix(",\"a\":").expect("a name")).expect("JSON");
        assert_eq!(read, every);
    }

    #[test]
    fn a_text_stands_bare_where_nobody_can_mistake_it() {
        for (value, line) in [
            ("a-b/c", " a=a-b/c"),
            ("a b", " a=\"a b\""),
            ("a=b", " a=\"a=b\""),
            ("", " a=\"\""),
            ("a\nb", " a=\"a\\nb\""),
        ] {
            assert_eq!(written::<false>(|fields| fields.text(name!("a"), value)), line);
        }
    }

    #[test]
    fn money_is_written_without_loss() {
        for (micros, text) in
            [(0, "0"), (1, "0.000001"), (125, "0.000125"), (1_100_000, "1.1"), (50_000_000, "50")]
        {
            assert_eq!(written::<false>(|fields| fields.usd(name!("usd"), micros)), format!(" usd={text}"));
        }
    }

    #[test]
    fn tags_lose_control_characters_and_are_cut_at_a_character() {
        assert_eq!(tag(b"curl/8.0", 256), "curl/8.0");
        assert_eq!(tag(b"a\tb\x7fc", 256), "abc");
        assert_eq!(tag("üü".as_bytes(), 3), "ü");
        assert_eq!(tag(b"\xff", 3), "");
    }
}
