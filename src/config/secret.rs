//! Secrets between the file and the program: plain text that cannot be printed, and the hash of a key.
//!
//! Keys that callers and administrators present are hashed as they are read; their plain text is nowhere
//! afterwards.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error};
use sha2::{Digest, Sha256};

/// A secret as written. It can be printed and compared by nobody, only handed on.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Plaintext(String);

impl Plaintext {
    /// A secret from its text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The SHA-256 of the text.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of a key's plain text.
    pub fn of(plaintext: &str) -> Self {
        Self(Sha256::digest(plaintext.as_bytes()).into())
    }

    /// Reads 64 lowercase hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Reads a list of plain-text keys and keeps their hashes.
pub(super) fn hashed_keys<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<KeyHash>, D::Error> {
    let keys = Vec::<Plaintext>::deserialize(source)?;
    if keys.iter().any(|key| key.expose().is_empty()) {
        return Err(D::Error::custom("a key must not be empty"));
    }
    Ok(keys.iter().map(Plaintext::hash).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_from_lowercase_hexadecimal_only() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::from_hex(hex), Some(KeyHash::of("abc")));
        assert_eq!(KeyHash::from_hex(&hex.to_uppercase()), None);
        assert_eq!(KeyHash::from_hex(&hex[1..]), None);
        assert_eq!(KeyHash::from_hex(&format!("é{}", &hex[2..])), None);
    }

    #[test]
    fn secrets_are_never_printed() {
        let secret = Plaintext::new("sk-very-secret".into());
        assert_eq!(format!("{secret:?}"), "Plaintext(…)");
    }
}
