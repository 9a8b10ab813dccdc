//! Secrets between the file and the program: plain text that cannot be printed, and the hash of a key.
//!
//! Keys that callers and administrators present are hashed as they are read; their plain text is nowhere
//! afterwards.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sha2::{Digest, Sha256};

/// What stands for the part of a secret that is not shown.
const MASK: char = '…';

/// Shortest secret of which the end is shown.
const SHOWN_FROM: usize = 16;

/// How much of the end is shown.
const SHOWN_END: usize = 4;

/// A secret as written. It can be printed and compared by nobody, only handed on; serialised it is masked.
#[derive(Clone, PartialEq, Eq)]
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

impl<'de> Deserialize<'de> for Plaintext {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        if text.contains(MASK) {
            let message =
                "is a masked secret, as it is shown; give the secret itself, or leave it out of a PATCH";
            return Err(D::Error::custom(message));
        }
        Ok(Self(text))
    }
}

impl Serialize for Plaintext {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.serialize_str(&masked(&self.0))
    }
}

impl JsonSchema for Plaintext {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        if generator.contract().is_serialize() {
            return json_schema!({
                "type": "string",
                "description": "A secret, masked: `…` stands for what is not shown.",
                "pattern": MASK.to_string(),
                "examples": ["sk-…9f3c"],
            });
        }
        json_schema!({
            "type": "string",
            "description": "A secret. It is shown masked; a masked one is refused.",
            "minLength": 1,
            "pattern": format!("^[^{MASK}]+$"),
            "writeOnly": true,
        })
    }
}

/// `sk-…9f3c`: enough to tell one secret from another, and nothing of short ones.
fn masked(secret: &str) -> String {
    let prefix = if secret.starts_with("sk-") { "sk-" } else { "" };
    let end = secret.len().saturating_sub(SHOWN_END);
    let is_long = secret.len() >= SHOWN_FROM && secret.is_char_boundary(end);
    format!("{prefix}{MASK}{}", if is_long { &secret[end..] } else { "" })
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

    /// 64 lowercase hexadecimal digits.
    pub fn to_hex(self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl JsonSchema for KeyHash {
    fn schema_name() -> Cow<'static, str> {
        "KeyHash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The SHA-256 of a key, as lower-case hexadecimal digits.",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("expected 64 lower-case hexadecimal digits"))
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

/// Reads a plain-text key, where there is one, and keeps its hash.
pub(super) fn hashed_key<'de, D: Deserializer<'de>>(source: D) -> Result<Option<KeyHash>, D::Error> {
    let key = Option::<Plaintext>::deserialize(source)?;
    if key.as_ref().is_some_and(|key| key.expose().is_empty()) {
        return Err(D::Error::custom("must not be empty"));
    }
    Ok(key.as_ref().map(Plaintext::hash))
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
    fn a_mask_tells_secrets_apart_and_is_never_taken_for_one() {
        for (secret, shown) in [
            ("sk-0123456789ab9f3c", "sk-…9f3c"),
            ("0123456789abcdef", "…cdef"),
            ("sk-short", "sk-…"),
            ("short", "…"),
            ("0123456789012345é", "…45é"),
        ] {
            assert_eq!(masked(secret), shown);
            let text = serde_json::to_string(&Plaintext::new(secret.into())).unwrap();
            let refusal = serde_json::from_str::<Plaintext>(&text).unwrap_err();
            assert!(refusal.to_string().starts_with("is a masked secret"), "{refusal}");
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        let secret = Plaintext::new("sk-very-secret".into());
        assert_eq!(format!("{secret:?}"), "Plaintext(…)");
    }
}
