//! The top-level members of a whole reply, found without reading what is inside them.
//!
//! Follows strings and brackets and no further grammar, like [`super::sketch`]: enough to see that a reply is all
//! there and to name its model anew. Whoever is not sure gets `None` and reads it properly.

use std::ops::Range;

use crate::dialect::raw::MAX_DEPTH;
use crate::dialect::raw::plain::closing_quote;

/// Where the members that the gateway reads lie, as raw values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Skim {
    pub(super) model: Option<Range<usize>>,
    pub(super) usage: Option<Range<usize>>,
}

/// Skims a reply that holds `choices` and no `error`; `None` for every other text.
pub(super) fn skim(text: &[u8]) -> Option<Skim> {
    let mut found = Skim::default();
    let (mut has_choices, mut at) = (false, skip_space(text, 0));
    if text.get(at) != Some(&b'{') {
        return None;
    }
    loop {
        at = skip_space(text, at + 1);
        let name = at + 1..end_of_string(text, at)?;
        at = skip_space(text, name.end + 1);
        if text.get(at) != Some(&b':') {
            return None;
        }
        let start = skip_space(text, at + 1);
        let end = end_of_value(text, start)?;
        let value = text.get(start..end)?;
        match text.get(name)? {
            b"model" => set(&mut found.model, start..end)?,
            b"usage" => set(&mut found.usage, start..end)?,
            b"choices" => has_choices = value.starts_with(b"["),
            b"error" if value != b"null" => return None,
            name if name.contains(&b'\\') => return None,
            _ => {}
        }
        at = skip_space(text, end);
        match text.get(at)? {
            b',' => {}
            b'}' if skip_space(text, at + 1) == text.len() => return has_choices.then_some(found),
            _ => return None,
        }
    }
}

/// A member may stand only once.
fn set(slot: &mut Option<Range<usize>>, range: Range<usize>) -> Option<()> {
    slot.replace(range).is_none().then_some(())
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The place of the quote that ends the string beginning at `at`.
fn end_of_string(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'"') { closing_quote(text, at + 1) } else { None }
}

/// The place behind the value beginning at `at`.
fn end_of_value(text: &[u8], mut at: usize) -> Option<usize> {
    // One bit per open bracket, 1 for an object.
    let (mut open, mut depth) = (0u128, 0u32);
    loop {
        match text.get(at)? {
            b'"' => at = end_of_string(text, at)?,
            byte @ (b'{' | b'[') => {
                depth += 1;
                open = (open << 1) | u128::from(*byte == b'{');
                if depth > MAX_DEPTH as u32 {
                    return None;
                }
            }
            byte @ (b'}' | b']') if depth > 0 => {
                if (open & 1) != u128::from(*byte == b'}') {
                    return None;
                }
                open >>= 1;
                depth -= 1;
            }
            b',' | b'}' | b']' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(text.get(at - 1), Some(b'"' | b'}' | b']')) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_and_usage_of_a_reply_are_found() {
        let text =
            br#" {"id":"a\"}", "model" : "x","choices":[{"a":"]"}],"n":-1.5,"usage":{"b":[]} , "z":null} "#;
        let found = skim(text).expect("a reply");
        assert_eq!(&text[found.model.expect("a model")], b"\"x\"");
        assert_eq!(&text[found.usage.expect("usage")], b"{\"b\":[]}");
    }

    #[test]
    fn what_is_no_plain_reply_is_left_to_the_reader() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "{not json}",
            r#"{"choices":[]"#,
            r#"{"choices":[}"#,
            r#"{"choices":[{]}}"#,
            r#"{"choices":[]}x"#,
            r#"{"choices":[],"error":{"message":"x"}}"#,
            r#"{"choices":[],"model":"a","model":"b"}"#,
            r#"{"choices":[],"mod\u0065l":"b"}"#,
            r#"{"choices":[] "model":"b"}"#,
            r#"{"model":"b"}"#,
            r#"{"choices":["}"#,
        ] {
            assert_eq!(skim(text.as_bytes()), None, "{text}");
        }
        assert!(skim(br#"{"choices":[],"error":null}"#).is_some());
    }
}
