//! Reads as much of an event stream as a load test needs: how many events there are, and how the stream ends.

/// The bytes of a line that are looked at.
const PREFIX: usize = 24;

/// A reader that is fed with whatever pieces arrive.
#[derive(Default)]
pub(super) struct EventReader {
    /// The first bytes of the current line, without its end.
    line: [u8; PREFIX],
    line_length: usize,
    has_data: bool,
    is_whole: bool,
    is_error: bool,
}

impl EventReader {
    /// Takes a piece and returns the number of events that it completes; comments are not events.
    pub(super) fn push(&mut self, bytes: &[u8]) -> u64 {
        let mut events = 0;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            self.extend_line(&bytes[start..end]);
            events += u64::from(self.end_line());
            start = end + 1;
        }
        self.extend_line(&bytes[start..]);
        events
    }

    /// Whether the stream has said that it is complete.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether the stream has carried an error.
    pub(super) fn is_error(&self) -> bool {
        self.is_error
    }

    fn extend_line(&mut self, bytes: &[u8]) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let room = &mut self.line[self.line_length..];
        let taken = bytes.len().min(room.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.line_length += taken;
    }

    /// Judges the line; true when it ends an event.
    fn end_line(&mut self) -> bool {
        let line = &self.line[..self.line_length];
        self.line_length = 0;
        if line.is_empty() {
            return std::mem::take(&mut self.has_data);
        }
        let value_of = |name: &[u8]| line.strip_prefix(name).map(<[u8]>::trim_ascii_start);
        if let Some(data) = value_of(b"data:") {
            self.has_data = true;
            self.is_whole |= data.starts_with(b"[DONE]");
            self.is_error |= data.starts_with(b"{\"error\"");
        } else if let Some(name) = value_of(b"event:") {
            // Anthropic's and the Responses API's ends.
            self.is_whole |= name == b"message_stop" || name.starts_with(b"response.complet");
            self.is_error |= name == b"error";
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stream: &str, events: u64, is_whole: bool, is_error: bool) {
        for cut in 0..=stream.len() {
            let (first, second) = stream.as_bytes().split_at(cut);
            let mut reader = EventReader::default();
            let counted = reader.push(first) + reader.push(second);
            assert_eq!(
                (counted, reader.is_whole(), reader.is_error()),
                (events, is_whole, is_error),
                "{cut}"
            );
        }
    }

    #[test]
    fn events_are_counted_wherever_the_pieces_are_cut() {
        check("data: {\"id\":1}\n\ndata: {}\n\ndata: [DONE]\n\n", 3, true, false);
        check("data: {}\r\n\r\n: comment\r\n\r\ndata:[DONE]\r\n\r\n", 2, true, false);
    }

    #[test]
    fn a_stream_without_an_end_is_not_whole() {
        check("data: {}\n\ndata: {\"id\"", 1, false, false);
        check("", 0, false, false);
    }

    #[test]
    fn an_error_in_a_stream_is_seen() {
        check("data: {\"error\":{\"type\":\"x\"}}\n\n", 1, false, true);
        check("event: error\ndata: {}\n\n", 1, false, true);
    }

    #[test]
    fn other_dialects_end_in_their_own_way() {
        check("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", 1, true, false);
        check("event: response.completed\ndata: {}\n\n", 1, true, false);
    }
}
