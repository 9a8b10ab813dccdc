//! Where a JSON string stops being plain text.

/// Up to here a loop over bytes is faster than setting up a vector search.
const SHORT: usize = 24;

/// Bytes that may stand in a string as they are: all but quote, backslash and control characters.
const IS_PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

/// The place of the next quote, backslash or control character, or the end of the text.
pub(crate) fn plain_end(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let near = rest.get(..SHORT).unwrap_or(rest);
    if let Some(length) = near.iter().position(|byte| !IS_PLAIN[usize::from(*byte)]) {
        return from + length;
    }
    let far = &rest[near.len()..];
    let length = memchr::memchr2(b'"', b'\\', far).unwrap_or(far.len());
    let control = far[..length].iter().position(|byte| *byte < 0x20);
    from + near.len() + control.unwrap_or(length)
}

/// The place of the quote that ends the string whose first byte is at `from`; `None` where it does not end well.
pub(crate) fn closing_quote(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at = plain_end(text, at);
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_strings_end_at_the_same_kind_of_byte() {
        for length in [0, 1, 23, 24, 25, 100] {
            for end in ["\"", "\\n", "\t", ""] {
                let text = format!("{}{end}\"", "x".repeat(length));
                assert_eq!(plain_end(text.as_bytes(), 0), length, "{text}");
            }
        }
        assert_eq!(closing_quote(b"a\\\"b\" \"", 0), Some(4));
        assert_eq!(closing_quote(b"a\\", 0), None);
    }
}
