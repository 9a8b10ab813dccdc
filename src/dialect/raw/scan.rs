//! One strict pass over a JSON text: is it an object, where are its members, how much of it is prose?
//!
//! A tree would cost several times the whole request; a reader of raw values needs a second pass for the depth and
//! has no notion of prose. No recursion, so depth costs nothing but a bit. Grammar: RFC 8259.

use std::ops::Range;

use smallvec::SmallVec;

use super::MAX_DEPTH;
use super::plain::plain_end;

/// Text longer than this and without a space near its start is data (base64), not prose.
const OPAQUE_BYTES: usize = 1024;
/// What a piece of opaque data counts towards the prompt, in bytes of text: about what providers bill for a picture.
pub(super) const OPAQUE_COUNTS_AS: u64 = 4096;

/// A top-level member: its name as written, without quotes, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// What a pass found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) members: SmallVec<[Place; 12]>,
    pub(super) text_bytes: u64,
}

/// Why a text is not an object that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScanError {
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Not JSON, or not an object; the place of the first byte that does not fit.
    At(usize),
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    /// One bit per open bracket, 1 for an object; the lowest is the innermost.
    open: u128,
    found: Scan,
}

/// Scans a text that is known to be UTF-8.
pub(super) fn scan(text: &str) -> Result<Scan, ScanError> {
    let mut scanner = Scanner { text: text.as_bytes(), at: 0, depth: 0, open: 0, found: Scan::default() };
    scanner.skip_space();
    if scanner.byte() != Some(b'{') {
        return Err(ScanError::At(scanner.at));
    }
    scanner.object()?;
    scanner.skip_space();
    if scanner.at < text.len() { Err(ScanError::At(scanner.at)) } else { Ok(scanner.found) }
}

impl Scanner<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn fail<T>(&self) -> Result<T, ScanError> {
        Err(ScanError::At(self.at))
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn is_in_object(&self) -> bool {
        self.open & 1 == 1
    }

    /// Walks the outermost object to its end.
    fn object(&mut self) -> Result<(), ScanError> {
        let mut expect = Expect::Value;
        loop {
            self.skip_space();
            let start = self.at;
            let Some(byte) = self.byte() else { return self.fail() };
            expect = self.step(expect, byte)?;
            if self.depth == 0 {
                return Ok(());
            }
            if self.depth == 1 {
                self.note(expect, byte, start);
            }
        }
    }

    /// Remembers the members of the outermost object as they go by.
    fn note(&mut self, expect: Expect, byte: u8, start: usize) {
        match (expect, byte) {
            (Expect::Colon, _) => {
                self.found.members.push(Place { name: start + 1..self.at - 1, value: 0..0 })
            }
            (Expect::CommaOrEnd, _) => {
                let end = self.at;
                if let Some(member) = self.found.members.last_mut() {
                    // A bracket that closes here was opened earlier.
                    let begin = if member.value.start > 0 { member.value.start } else { start };
                    member.value = begin..end;
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, expect: Expect, byte: u8) -> Result<Expect, ScanError> {
        match (expect, byte) {
            (Expect::Value | Expect::ValueOrEnd, b'{') => self.enter(1).map(|()| Expect::NameOrEnd),
            (Expect::Value | Expect::ValueOrEnd, b'[') => self.enter(0).map(|()| Expect::ValueOrEnd),
            (Expect::Value | Expect::ValueOrEnd, _) if byte != b']' => {
                self.scalar(byte).map(|()| Expect::CommaOrEnd)
            }
            (Expect::Name | Expect::NameOrEnd, b'"') => self.string().map(|_| Expect::Colon),
            (Expect::Colon, b':') => {
                self.at += 1;
                Ok(Expect::Value)
            }
            (Expect::CommaOrEnd, b',') => {
                self.at += 1;
                Ok(if self.is_in_object() { Expect::Name } else { Expect::Value })
            }
            (Expect::NameOrEnd | Expect::CommaOrEnd, b'}') if self.is_in_object() => Ok(self.leave()),
            (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') if !self.is_in_object() => Ok(self.leave()),
            _ => self.fail(),
        }
    }

    fn enter(&mut self, kind: u128) -> Result<(), ScanError> {
        if self.depth == MAX_DEPTH {
            return Err(ScanError::TooDeep);
        }
        if self.depth == 1
            && let Some(member) = self.found.members.last_mut()
        {
            member.value.start = self.at;
        }
        self.depth += 1;
        self.open = (self.open << 1) | kind;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) -> Expect {
        self.depth -= 1;
        self.open >>= 1;
        self.at += 1;
        Expect::CommaOrEnd
    }

    fn scalar(&mut self, byte: u8) -> Result<(), ScanError> {
        match byte {
            b'"' => {
                let inside = self.string()?;
                self.found.text_bytes = self.found.text_bytes.saturating_add(weight(&self.text[inside]));
                Ok(())
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), ScanError> {
        if !self.text[self.at..].starts_with(word) {
            return self.fail();
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.fail() } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), ScanError> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Moves behind the string that begins here and gives what stands between its quotes.
    fn string(&mut self) -> Result<Range<usize>, ScanError> {
        let start = self.at + 1;
        self.at = start;
        loop {
            self.at = plain_end(self.text, self.at);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                _ => return self.fail(),
            }
        }
    }

    /// Checks what follows a backslash.
    fn escape(&mut self) -> Result<(), ScanError> {
        let length = match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') => {
                let digits = self.text.get(self.at + 1..self.at + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return self.fail();
                }
                5
            }
            _ => return self.fail(),
        };
        self.at += length;
        Ok(())
    }
}

fn weight(string: &[u8]) -> u64 {
    let is_opaque = string.len() > OPAQUE_BYTES && memchr::memchr(b' ', &string[..OPAQUE_BYTES]).is_none();
    if is_opaque { OPAQUE_COUNTS_AS } else { string.len() as u64 }
}
