//! Server-sent events, frame by frame, without losing a byte.
//!
//! A frame is handed on as it came. `push` takes what the network gave, `next` gives frames as soon as their blank
//! line is there; how the bytes were cut does not matter. Format: WHATWG HTML, §9.2.6.

use bytes::{Bytes, BytesMut};
use derive_more::{Display, Error};

/// Largest frame: bigger than any real event (a picture as base64 included), small enough to hold per stream.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// A frame grew beyond [`MAX_FRAME_BYTES`].
#[derive(Debug, Display, Error, PartialEq, Eq)]
#[display("an event of the stream is larger than {MAX_FRAME_BYTES} bytes")]
pub struct TooLarge;

/// One event, or a comment: everything up to and including a blank line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The bytes as they came.
    pub bytes: Bytes,
}

impl Frame {
    /// The event's name, where it has one.
    #[must_use]
    pub fn event(&self) -> Option<&[u8]> {
        if self.lone_data().is_some() {
            return None;
        }
        self.fields().filter(|(name, _)| *name == b"event").map(|(_, value)| value).last()
    }

    /// The event's data: its one `data` line, or several joined by line feeds. `None` for a comment.
    #[must_use]
    pub fn data(&self) -> Option<Bytes> {
        if let Some(data) = self.lone_data() {
            return Some(self.bytes.slice_ref(data));
        }
        let mut lines = self.fields().filter(|(name, _)| *name == b"data").map(|(_, value)| value);
        let first = lines.next()?;
        let Some(second) = lines.next() else { return Some(self.bytes.slice_ref(first)) };
        let mut joined = BytesMut::from(first);
        for line in std::iter::once(second).chain(lines) {
            joined.extend_from_slice(b"\n");
            joined.extend_from_slice(line);
        }
        Some(joined.freeze())
    }

    /// The data of a frame that is one `data` line and nothing else, as nearly every frame is.
    fn lone_data(&self) -> Option<&[u8]> {
        let rest = self.bytes.strip_prefix(b"data:")?;
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let (line, end) = rest.split_at(memchr::memchr2(b'\n', b'\r', rest)?);
        end.iter().all(|byte| matches!(byte, b'\n' | b'\r')).then_some(line)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let start = if self.bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        self.bytes[start..].split(|byte| *byte == b'\n' || *byte == b'\r').filter_map(|line| {
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
    /// Up to here, only whole non-blank lines and the start of one line have been seen.
    line_start: usize,
    scanned: usize,
}

impl Reader {
    /// Takes what the network gave.
    pub fn push(&mut self, chunk: Bytes) {
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

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// The frame is larger than [`MAX_FRAME_BYTES`]: the stream cannot be read further.
    pub fn next(&mut self) -> Result<Option<Frame>, TooLarge> {
        while let Some(found) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.scanned..]) {
            let end = self.scanned + found;
            let after = match (self.buffer[end], self.buffer.get(end + 1)) {
                (b'\r', Some(b'\n')) => end + 2,
                // The line feed of a cut CRLF may still come; it belongs to this line.
                (b'\r', None) => break,
                _ => end + 1,
            };
            let is_blank = end == self.line_start;
            self.scanned = after;
            self.line_start = after;
            if is_blank {
                return Ok(Some(self.take(after)));
            }
        }
        if self.buffer.len() > MAX_FRAME_BYTES { Err(TooLarge) } else { Ok(None) }
    }

    /// What is left when the stream has ended: some providers send no blank line after their last event.
    pub fn finish(&mut self) -> Option<Frame> {
        match self.next() {
            Ok(Some(frame)) => Some(frame),
            Ok(None) if !self.buffer.is_empty() => Some(self.take(self.buffer.len())),
            _ => None,
        }
    }

    fn take(&mut self, end: usize) -> Frame {
        self.line_start = 0;
        self.scanned = 0;
        Frame { bytes: self.buffer.split_to(end) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(text: &[u8], cut: usize) -> Vec<Bytes> {
        let mut reader = Reader::default();
        let mut out = Vec::new();
        for part in [&text[..cut], &text[cut..]] {
            reader.push(Bytes::copy_from_slice(part));
            while let Some(frame) = reader.next().expect("fits") {
                out.push(frame.bytes);
            }
        }
        out.extend(std::iter::from_fn(|| reader.finish()).map(|frame| frame.bytes));
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
        for (text, event, data) in [
            (&b"data: {\"a\":1}\n\n"[..], None, Some(&b"{\"a\":1}"[..])),
            (b"event: error\ndata:x\n\n", Some(&b"error"[..]), Some(b"x")),
            (b"data: 1\r\ndata: 2\r\n\r\n", None, Some(b"1\n2")),
            (b": ping\n\n", None, None),
            (b"\xef\xbb\xbfdata: 1\n\n", None, Some(b"1")),
            (b"data\n\n", None, Some(b"")),
        ] {
            let frame = Frame { bytes: Bytes::from_static(text) };
            assert_eq!(frame.event(), event);
            assert_eq!(frame.data().as_deref(), data, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn an_endless_frame_is_refused() {
        let mut reader = Reader::default();
        reader.push(Bytes::from(vec![b'x'; MAX_FRAME_BYTES + 1]));
        assert_eq!(reader.next(), Err(TooLarge));
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
