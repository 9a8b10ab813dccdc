//! A quick look at one chunk of a stream: enough to hand it on without decoding it.
//!
//! One pass over the bytes that follows strings and brackets and no further grammar. It tells where the model stands
//! and whether there is anything to decode; whatever it is unsure of is left to the decoder.

use std::ops::Range;

/// Deepest nesting followed; deeper chunks are decoded.
const MAX_DEPTH: u32 = 60;

/// A chunk with choices, without usage, error or finish reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sketch {
    /// Where the raw value of the top-level `model` lies.
    pub(super) model: Option<Range<usize>>,
    /// Bytes of the deltas.
    pub(super) delta_bytes: u64,
}

/// Looks at a chunk; `None` when it must be decoded.
pub(super) fn sketch(text: &[u8]) -> Option<Sketch> {
    Walk { text, at: 0, found: Sketch::default(), has_choices: false }.run()
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    found: Sketch,
    has_choices: bool,
}

impl Walk<'_> {
    fn run(mut self) -> Option<Sketch> {
        // One bit per open bracket, 1 for an object; `depth` of them are in use.
        let (mut open, mut depth) = (0u64, 0u32);
        let mut delta: Option<(u32, usize)> = None;
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'{' | b'[' => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return None;
                    }
                    open = (open << 1) | u64::from(*byte == b'{');
                }
                b'}' | b']' => {
                    if depth == 0 || (open & 1) != u64::from(*byte == b'}') {
                        return None;
                    }
                    if let Some((_, start)) = delta.take_if(|(at_depth, _)| *at_depth == depth) {
                        self.found.delta_bytes += (self.at + 1 - start) as u64;
                    }
                    open >>= 1;
                    depth -= 1;
                    if depth == 0 {
                        let rest = self.text.get(self.at + 1..)?;
                        return (self.has_choices && rest.trim_ascii().is_empty()).then_some(self.found);
                    }
                }
                b'"' => {
                    let name = self.string()?;
                    if depth <= 3 && (open & 1) == 1 {
                        match self.text.get(self.at)? {
                            b':' => {
                                self.at += 1;
                                if self.member(depth, name)? {
                                    delta = Some((depth + 1, self.at));
                                }
                            }
                            // Perhaps a member spelled with a space before its colon.
                            byte if byte.is_ascii_whitespace() => return None,
                            _ => {}
                        }
                    }
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        None
    }

    /// Moves behind the string that begins here and gives what stands between its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            let found = at + memchr::memchr2(b'"', b'\\', self.text.get(at..)?)?;
            if self.text.get(found) == Some(&b'"') {
                self.at = found + 1;
                return Some(start..found);
            }
            at = found + 2;
        }
    }

    /// Takes note of a member whose value begins here; `None` when it asks for decoding. True for a delta.
    fn member(&mut self, depth: u32, name: Range<usize>) -> Option<bool> {
        match (depth, self.text.get(name)?) {
            (_, name) if name.contains(&b'\\') => return None,
            (1, b"model") => {
                let start = self.skip_space();
                if self.text.get(start) == Some(&b'"') {
                    self.string()?;
                    if self.found.model.replace(start..self.at).is_some() {
                        return None;
                    }
                }
            }
            (1, b"choices") => self.has_choices = !self.text.get(self.skip_space()..)?.starts_with(b"[]"),
            (1, b"usage" | b"error") | (3, b"finish_reason") => {
                let start = self.skip_space();
                return self.text.get(start..)?.starts_with(b"null").then_some(false);
            }
            (3, b"delta") => return Some(self.text.get(self.skip_space()) == Some(&b'{')),
            _ => {}
        }
        Some(false)
    }

    fn skip_space(&mut self) -> usize {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_chunk_is_seen_through() {
        let text = br#"{"id":"1","model" : "x","usage":null}"#;
        assert_eq!(sketch(text), None, "a space before a colon is left to the decoder");
        let text = br#"{"id":"1","model": "a\"b","choices":[{"delta":{"content":"]}\"{"},"finish_reason": null}],"usage":null} "#;
        let found = sketch(text).expect("seen through");
        assert_eq!(&text[found.model.expect("a model")], br#""a\"b""#);
        assert_eq!(found.delta_bytes, br#"{"content":"]}\"{"}"#.len() as u64);
    }

    #[test]
    fn whatever_matters_is_left_to_the_decoder() {
        for text in [
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"delta":{}}],"usage":{"total_tokens":1}}"#,
            r#"{"choices":[{}],"error":{"message":"x"}}"#,
            r#"{"choices":[]}"#,
            r#"{"choices":[{}],"model":"a","model":"b"}"#,
            r#"{"object":"x"}"#,
            r#"{"choices":[{}],"usage" : {"total_tokens":1}}"#,
            r#"{"choices":[{}],"us\u0061ge":{"total_tokens":1}}"#,
            r#"{"choices":[{}}"#,
            r#"{"choices":[{"delta":{"content":"x}]}"#,
            r#"{"choices":[{}]}{"#,
            r#"{not json}"#,
            "",
        ] {
            assert_eq!(sketch(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn members_of_one_name_deeper_down_are_not_mistaken() {
        let text = br#"{"choices":[{"delta":{"usage":{"a":1},"model":"x","error":"e","finish_reason":"f"}}]}"#;
        assert_eq!(sketch(text).map(|found| found.model), Some(None));
    }
}
