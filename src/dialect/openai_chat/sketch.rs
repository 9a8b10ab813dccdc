//! A quick look at one chunk of a stream: enough to hand it on without decoding it.
//!
//! One pass over the bytes that follows strings and brackets and no further grammar. It tells where the model stands
//! and whether there is anything to decode; whatever it is unsure of is left to the decoder.

use std::ops::Range;

use crate::dialect::raw::plain::closing_quote;

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

/// Looks at the chunks of one stream. They mostly begin with the same bytes, which need not be walked again.
#[derive(Debug, Default)]
pub(super) struct Sketcher {
    /// What the last chunk that was walked from its start said up to and including the bracket of its choices.
    head: Vec<u8>,
    model: Option<Range<usize>>,
}

impl Sketcher {
    /// Looks at a chunk; `None` when it must be decoded.
    pub(super) fn look(&mut self, text: &[u8]) -> Option<Sketch> {
        let found = Sketch { model: self.model.clone(), delta_bytes: 0 };
        if !self.head.is_empty() && text.starts_with(&self.head) {
            // Inside the array of choices, inside the outermost object.
            let walk = Walk { text, at: self.head.len(), found, head_end: Some(self.head.len()) };
            return walk.run(0b10, 2).map(|(found, _)| found);
        }
        let walk = Walk { text, at: 0, found: Sketch::default(), head_end: None };
        let (found, head_end) = walk.run(0, 0)?;
        // A model behind the choices is not part of the head.
        if found.model.as_ref().is_some_and(|model| model.end < head_end) {
            self.head.clear();
            self.head.extend_from_slice(text.get(..head_end).unwrap_or_default());
            self.model.clone_from(&found.model);
        }
        Some(found)
    }
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    found: Sketch,
    /// The place behind the bracket of the choices.
    head_end: Option<usize>,
}

impl Walk<'_> {
    /// Walks on from a place where `depth` brackets are open: one bit each, 1 for an object, the innermost lowest.
    fn run(mut self, mut open: u64, mut depth: u32) -> Option<(Sketch, usize)> {
        let mut delta: Option<(u32, usize)> = None;
        loop {
            match self.text.get(self.at)? {
                byte @ (b'{' | b'[') => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return None;
                    }
                    open = (open << 1) | u64::from(*byte == b'{');
                }
                byte @ (b'}' | b']') => {
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
                        return rest.trim_ascii().is_empty().then_some((self.found, self.head_end?));
                    }
                }
                b'"' => {
                    let name = self.string()?;
                    if depth <= 3 && (open & 1) == 1 && self.is_name()? && self.member(depth, name)? {
                        delta = Some((depth + 1, self.at));
                    }
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Whether the string just passed names a member; `None` where a space leaves it open.
    fn is_name(&mut self) -> Option<bool> {
        let next = self.text.get(self.at)?;
        if next.is_ascii_whitespace() {
            return None;
        }
        self.at += usize::from(*next == b':');
        Some(*next == b':')
    }

    /// Moves behind the string that begins here and gives what stands between its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at + 1;
        let end = closing_quote(self.text, start)?;
        self.at = end + 1;
        Some(start..end)
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
            (1, b"choices") => {
                let start = self.skip_space();
                let is_filled =
                    self.text.get(start) == Some(&b'[') && self.text.get(start + 1) != Some(&b']');
                if !is_filled || self.head_end.replace(start + 1).is_some() {
                    return None;
                }
            }
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

    fn sketch(text: &[u8]) -> Option<Sketch> {
        Sketcher::default().look(text)
    }

    #[test]
    fn chunks_that_begin_alike_are_seen_through_alike() {
        let mut sketcher = Sketcher::default();
        let chunk = |model: &str, rest: &str| format!(r#"{{"id":"1","model":"{model}","choices":[{rest}"#);
        for (model, rest) in [
            ("a", r#"{"delta":{"content":"x"}}]}"#),
            ("a", r#"{"delta":{"content":"yz"},"finish_reason":null}],"usage":null}"#),
            ("b", r#"{"delta":{}}]}"#),
            ("b", r#"{"delta":{}}]"#),
            ("b", r#"{"delta":{}}}"#),
            ("b", r#"],"usage":{"total_tokens":1}}"#),
            ("b", r#"{"delta":{"content":"x"}}],"error":{}}"#),
            ("b", r#"{"delta":{},"finish_reason":"stop"}]}"#),
            ("b", r#"{"delta":{}}],"model":"c"}"#),
            ("b", r#"{"delta":{}}],"choices":[{}]}"#),
        ] {
            let text = chunk(model, rest);
            assert_eq!(sketcher.look(text.as_bytes()), sketch(text.as_bytes()), "{text}");
        }
    }

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
        let text =
            br#"{"choices":[{"delta":{"usage":{"a":1},"model":"x","error":"e","finish_reason":"f"}}]}"#;
        assert_eq!(sketch(text).map(|found| found.model), Some(None));
    }
}
