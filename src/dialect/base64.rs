//! Base64 as Google's JSON has it: both alphabets on the way in, the usual one on the way out.
//!
//! Google's own libraries send bytes in the URL-safe alphabet; other providers read only the usual one.

use crate::dialect::json::Text;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 in the usual alphabet, padded.
pub(super) fn usual(data: Text<'_>) -> Text<'_> {
    let is_usual = |byte: u8| !matches!(byte, b'-' | b'_' | b'\\');
    if data.escaped().bytes().all(is_usual) && data.escaped().len().is_multiple_of(4) {
        return data;
    }
    let plain = data.decode();
    let mut text: String = plain
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    Text::owned(&text)
}

/// Bytes as base64.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            match place <= chunk.len() {
                true => out.push(char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize])),
                false => out.push('='),
            }
        }
    }
    out
}

/// The bytes of base64 in either alphabet; `None` where it is something else.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.chunks(4) {
        let mut bits = 0;
        for byte in chunk {
            bits = bits << 6 | u32::from(sextet(*byte)?);
        }
        match chunk.len() {
            4 => out.extend_from_slice(&bits.to_be_bytes()[1..]),
            3 => out.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
            2 => out.extend_from_slice(&(bits >> 4).to_be_bytes()[3..]),
            _ => return None,
        }
    }
    Some(out)
}

fn sextet(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_base64_as_everybody_writes_it() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(decode("+/-_"), Some(vec![0xfb, 0xff, 0xbf]).map(|_| vec![0xfb, 0xff, 0xbf]));
        assert_eq!(decode("Z"), None);
        assert_eq!(decode("Zm9.v"), None);
    }

    #[test]
    fn the_alphabet_of_urls_becomes_the_usual_one() {
        for (given, usual_one) in
            [("D_-uo", "D/+uo==="), (r"a\/b+", "a/b+"), ("Zm9v", "Zm9v"), ("Zg", "Zg==")]
        {
            assert_eq!(usual(Text::from_escaped(given)).escaped(), usual_one);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..50), text in "\\PC{0,30}") {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
            let _ = decode(&text);
            let _ = usual(Text::plain(&text));
        }
    }
}
