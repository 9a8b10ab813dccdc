//! The forms that are known here, each with what has to stand around it.

use std::ops::Range;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checksum::{is_china_id, is_luhn};

/// What can be found by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetectorKind {
    /// An address for e-mail.
    Email,
    /// A number of a Chinese mobile telephone.
    ChinaMobile,
    /// A Chinese identity number, with its check character.
    ChinaIdCard,
    /// A number of a bank card: 13 to 19 digits, with their check digit.
    BankCard,
    /// A US social security number, with its hyphens or spaces.
    UsSsn,
    /// An IPv4 address.
    IpAddress,
    /// A credential of a well-known service.
    ApiKey,
    /// A JSON Web Token.
    Jwt,
    /// A private key as PEM.
    PrivateKey,
}

impl DetectorKind {
    /// The name in the configuration, in records and in masks.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::ChinaMobile => "china_mobile",
            Self::ChinaIdCard => "china_id_card",
            Self::BankCard => "bank_card",
            Self::UsSsn => "us_ssn",
            Self::IpAddress => "ip_address",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
        }
    }

    const fn pattern(self) -> &'static str {
        match self {
            Self::Email => r"[A-Za-z0-9._%+\-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}",
            Self::ChinaMobile => r"(?:\+?86[ \-]?)?1[3-9][0-9](?:[0-9]{8}|[ \-][0-9]{4}[ \-][0-9]{4})",
            Self::ChinaIdCard => r"[1-9][0-9]{16}[0-9Xx]",
            Self::BankCard => r"[0-9](?:[ \-]?[0-9]){12,}",
            Self::UsSsn => r"[0-9]{3}[\- ][0-9]{2}[\- ][0-9]{4}",
            Self::IpAddress => r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}",
            Self::ApiKey => {
                r"(?-u:\b)(?:sk-[A-Za-z0-9_\-]{20,}|AKIA[0-9A-Z]{16}|gh[a-z]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|xox[a-z]-[A-Za-z0-9\-]{10,}|AIza[0-9A-Za-z_\-]{35})"
            }
            Self::Jwt => r"(?-u:\b)eyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]*",
            Self::PrivateKey => {
                r"(?s)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)"
            }
        }
    }

    /// Whether what stands around and in a find of the pattern makes it one.
    fn is_real(self, text: &str, range: &Range<usize>) -> bool {
        let bytes = text.as_bytes();
        let found = &bytes[range.clone()];
        let before = range.start.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(range.end).copied();
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        let is_word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let stands_alone = !is_digit(before) && !is_digit(after);
        match self {
            // Their patterns say it all.
            Self::Email | Self::PrivateKey | Self::BankCard | Self::ApiKey | Self::Jwt => true,
            Self::ChinaMobile => stands_alone,
            Self::ChinaIdCard => stands_alone && !is_word(after) && is_china_id(found),
            Self::UsSsn => {
                let (area, group, serial) = (&found[..3], &found[4..6], &found[7..]);
                let is_assigned = area != b"000" && area != b"666" && area[0] != b'9';
                let is_even = found[3] == found[6];
                stands_alone && is_assigned && is_even && group != b"00" && serial != b"0000"
            }
            Self::IpAddress => {
                let next = bytes.get(range.end + 1).copied();
                let goes_on = before == Some(b'.') || (after == Some(b'.') && is_digit(next));
                let octets = found.split(|byte| *byte == b'.');
                let is_octet =
                    |octet: &[u8]| std::str::from_utf8(octet).is_ok_and(|octet| octet.parse::<u8>().is_ok());
                stands_alone && !goes_on && octets.into_iter().all(is_octet)
            }
        }
    }
}

/// A form, compiled.
#[derive(Debug)]
pub struct Detector {
    kind: DetectorKind,
    pattern: Regex,
}

impl Detector {
    /// Compiles a form.
    ///
    /// # Errors
    /// Never, as a test makes sure.
    pub fn new(kind: DetectorKind) -> Result<Self, String> {
        let pattern = Regex::new(kind.pattern()).map_err(|error| error.to_string())?;
        Ok(Self { kind, pattern })
    }

    /// Where it is in a text, in order.
    pub(super) fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        let mut at = 0;
        while let Some(next) = self.pattern.find_at(text, at) {
            let range = next.range();
            if self.kind == DetectorKind::BankCard {
                find_cards(text, &range, found);
                at = range.end;
            } else if self.kind.is_real(text, &range) {
                at = range.end;
                found.push(range);
            } else {
                // All patterns begin with a byte of ASCII.
                at = range.start + 1;
            }
        }
    }
}

/// Digits of one card.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Digits of a group that another one may follow.
const SHORTEST_GROUP: usize = 4;

/// Finds cards in a run of digits: a card is made of whole groups, between which stand spaces or hyphens.
fn find_cards(text: &str, run: &Range<usize>, found: &mut Vec<Range<usize>>) {
    let bytes = &text.as_bytes()[run.clone()];
    let groups: Vec<Range<usize>> = bytes
        .split(|byte| !byte.is_ascii_digit())
        .map(|group| {
            let start = group.as_ptr() as usize - bytes.as_ptr() as usize;
            start..start + group.len()
        })
        .collect();
    let mut first = 0;
    while first < groups.len() {
        match card_from(bytes, &groups[first..]) {
            Some(count) => {
                found.push(run.start + groups[first].start..run.start + groups[first + count - 1].end);
                first += count;
            }
            None => first += 1,
        }
    }
}

/// How many of the groups, from the first on, are a card: as many as can be.
fn card_from(bytes: &[u8], groups: &[Range<usize>]) -> Option<usize> {
    let mut digits = Vec::with_capacity(*CARD_DIGITS.end());
    let mut best = None;
    for (place, group) in groups.iter().enumerate() {
        if digits.len() + group.len() > *CARD_DIGITS.end() {
            break;
        }
        digits.extend(bytes[group.clone()].iter().map(|byte| byte - b'0'));
        if CARD_DIGITS.contains(&digits.len()) && is_luhn(&digits) {
            best = Some(place + 1);
        }
        // Only the last group of a card is short; shorter ones are of other numbers.
        if group.len() < SHORTEST_GROUP {
            break;
        }
    }
    best
}
