//! Server-sent events, frame by frame, without losing a byte.
//!
//! A frame is handed on as it came. `push` takes what the network gave, `next_frame` gives frames as soon as their
//! blank line is there; how the bytes were cut does not matter. Format: WHATWG HTML, §9.2.6.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use derive_more::{Display, Error};

/// Largest frame: bigger than any real event (a picture as base64 included), small enough to hold per stream.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// A frame grew beyond [`MAX_FRAME_BYTES`].
#[derive(Debug, Display, Error, PartialEq, Eq)]
#[display("an event of the stream is larger than {MAX_FRAME_BYTES} bytes")]
pub struct TooLarge;

/// One event, or a comment: everything up to and including a blank line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The bytes as they came.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The event's name, where it has one.
    #[must_use]
    pub fn event(&self) -> Option<&'a [u8]> {
        if self.lone_data().is_some() {
            return None;
        }
        self.fields().filter(|(name, _)| *name == b"event").map(|(_, value)| value).last()
    }

    /// The event's data: its one `data` line, or several joined by line feeds. `None` for a comment.
    #[must_use]
    pub fn data(&self) -> Option<Cow<'a, [u8]>> {
        if let Some(data) = self.lone_data() {
            return Some(Cow::Borrowed(data));
        }
        let mut lines = self.fields().filter(|(name, _)| *name == b"data").map(|(_, value)| value);
        let first = lines.next()?;
        let Some(second) = lines.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = first.to_vec();
        for line in std::iter::once(second).chain(lines) {
            joined.push(b'\n');
            joined.extend_from_slice(line);
        }
        Some(Cow::Owned(joined))
    }

    /// Whether the blank line that ends an event is missing: the stream ended before it.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        !["\n\n", "\r\r", "\r\n\r\n", "\n\r\n"].iter().any(|end| self.bytes.ends_with(end.as_bytes()))
    }

    /// The data of a frame that is one `data` line and nothing else, as nearly every frame is.
    fn lone_data(&self) -> Option<&'a [u8]> {
        let rest = self.bytes.strip_prefix(b"data:")?;
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let (line, end) = rest.split_at(memchr::memchr2(b'\n', b'\r', rest)?);
        end.iter().all(|byte| matches!(byte, b'\n' | b'\r')).then_some(line)
    }

    fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let bytes = self.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.bytes);
        bytes.split(|byte| *byte == b'\n' || *byte == b'\r').filter_map(|line| {
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            let value = value.strip_prefix(b":").unwrap_or_default();
            (!name.is_empty()).then(|| (name, value.strip_prefix(b" ").unwrap_or(value)))
        })
    }
}

/// Cuts a byte stream into frames.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Bytes,
    /// Where the frame being read begins; what lies before has been handed out.
    start: usize,
    /// Where the line being read begins.
    line_start: usize,
    scanned: usize,
    /// Where the frame being read ends, once its blank line was seen.
    frame_end: Option<usize>,
}

impl Reader {
    /// Takes what the network gave.
    pub fn push(&mut self, chunk: Bytes) {
        self.buffer.advance(self.start);
        self.line_start -= self.start;
        self.scanned -= self.start;
        self.frame_end = self.frame_end.map(|end| end - self.start);
        self.start = 0;
        if self.buffer.is_empty() {
            self.buffer = chunk;
            return;
        }
        let held = std::mem::take(&mut self.buffer);
        let mut joined = held.try_into_mut().unwrap_or_else(|held| {
            let mut copy = BytesMut::with_capacity((held.len() + chunk.len()).next_power_of_two());
            copy.extend_from_slice(&held);
            copy
        });
        joined.extend_from_slice(&chunk);
        self.buffer = joined.freeze();
    }

    /// Whether a whole frame is there.
    ///
    /// # Errors
    /// The frame is larger than [`MAX_FRAME_BYTES`]: the stream cannot be read further.
    pub fn has_frame(&mut self) -> Result<bool, TooLarge> {
        if self.frame_end.is_some() {
            return Ok(true);
        }
        // What was looked at is not looked at again: a long line may come in very many pieces.
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.scanned..]) {
            let end = self.scanned + found;
            let after = match (self.buffer[end], self.buffer.get(end + 1)) {
                (b'\r', Some(b'\n')) => end + 2,
                // The line feed of a cut CRLF may still come; it belongs to this line.
                (b'\r', None) => {
                    self.scanned = end;
                    return self.is_waiting();
                }
                _ => end + 1,
            };
            let is_blank = end == self.line_start;
            self.scanned = after;
            self.line_start = after;
            if is_blank {
                self.frame_end = Some(after);
                return Ok(true);
            }
        }
        self.scanned = self.buffer.len();
        self.is_waiting()
    }

    fn is_waiting(&self) -> Result<bool, TooLarge> {
        if self.buffer.len() - self.start > MAX_FRAME_BYTES { Err(TooLarge) } else { Ok(false) }
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// The frame is larger than [`MAX_FRAME_BYTES`]: the stream cannot be read further.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, TooLarge> {
        self.has_frame()?;
        let end = self.frame_end.take();
        Ok(end.map(|end| self.take(end)))
    }

    /// What is left when the stream has ended: some providers send no blank line after their last event.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        let end = match self.has_frame() {
            Ok(true) => self.frame_end.take()?,
            _ => self.buffer.len(),
        };
        self.line_start = end;
        self.scanned = end;
        (end > self.start).then(|| self.take(end))
    }

    fn take(&mut self, end: usize) -> Frame<'_> {
        let start = std::mem::replace(&mut self.start, end);
        Frame { bytes: &self.buffer[start..end] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(text: &[u8], cut: usize) -> Vec<Vec<u8>> {
        let mut reader = Reader::default();
        let mut out = Vec::new();
        for part in [&text[..cut], &text[cut..]] {
            reader.push(Bytes::copy_from_slice(part));
            while let Some(frame) = reader.next_frame().expect("fits") {
                out.push(frame.bytes.to_vec());
            }
        }
        while let Some(frame) = reader.finish() {
            out.push(frame.bytes.to_vec());
        }
        out
    }

    #[test]
    fn frames_end_at_blank_lines_of_any_kind() {
        for (text, count) in [
            (&b"data: 1\n\ndata: 2\n\n"[..], 2),
            (b"data: 1\r\n\r\ndata: 2\r\n\r\n", 2),
            (b"data: 1\r\rdata: 2\r\r", 2),
            (b": comment\n\nevent: x\ndata: 1\n\n", 2),
            (b"data: 1\n\ndata: [DONE]", 2),
            (b"", 0),
        ] {
            for cut in 0..=text.len() {
                let frames = frames(text, cut);
                assert_eq!(frames.len(), count, "{:?} cut at {cut}", String::from_utf8_lossy(text));
                assert_eq!(frames.concat(), text);
            }
        }
    }

    #[test]
    fn data_and_event_are_read() {
        for (text, event, data, is_cut) in [
            (&b"data: {\"a\":1}\n\n"[..], None, Some(&b"{\"a\":1}"[..]), false),
            (b"event: error\ndata:x\n\n", Some(&b"error"[..]), Some(b"x"), false),
            (b"data: 1\r\ndata: 2\r\n\r\n", None, Some(b"1\n2"), false),
            (b": ping\n\n", None, None, false),
            (b"\xef\xbb\xbfdata: 1\n\n", None, Some(b"1"), false),
            (b"data\n\n", None, Some(b""), false),
            (b"data: [DONE]", None, Some(b"[DONE]"), true),
            (b"data: [DONE]\n", None, Some(b"[DONE]"), true),
        ] {
            let frame = Frame { bytes: text };
            assert_eq!(frame.event(), event);
            assert_eq!(frame.data().as_deref(), data, "{:?}", String::from_utf8_lossy(text));
            assert_eq!(frame.is_cut(), is_cut, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn an_endless_frame_is_refused() {
        let mut reader = Reader::default();
        reader.push(Bytes::from(vec![b'x'; MAX_FRAME_BYTES + 1]));
        assert_eq!(reader.next_frame(), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_wherever_the_cut_is(text in "[ab:\r\n ]{0,60}", at in any::<prop::sample::Index>()) {
            let text = text.as_bytes();
            let whole = frames(text, 0);
            let cut = frames(text, at.index(text.len() + 1));
            prop_assert_eq!(whole.concat(), text);
            prop_assert_eq!(whole, cut);
        }
    }
}
