//! What tokens cost, exactly: decimal text in, integer micro-dollars out, one rounding per request.

use std::fmt;

use aisix_actors::types::MicroUsd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Micro-dollars per million tokens in one US dollar per thousand tokens, as a power of ten.
const PRICE_PLACES: usize = 9;

/// Tokens that a [`Price`] is for.
const TOKENS: u128 = 1_000_000;

/// A decimal number of US dollars as written, such as `0.0025`, from a string or a number.
///
/// A TOML or JSON number passes through `f64`; its shortest spelling is the number as written, up to 15
/// digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decimal(String);

impl Decimal {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Micro-dollars per million tokens, for a price in dollars per thousand; `None` when that is no whole
    /// number.
    pub fn per_million(&self) -> Option<u64> {
        let (whole, fraction) = self.0.split_once('.').unwrap_or((&self.0, ""));
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > PRICE_PLACES {
            return None;
        }
        format!("{whole}{fraction:0<PRICE_PLACES$}").parse().ok()
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount of US dollars from 0; exact when written as a string.",
            "anyOf": [
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$" },
                { "type": "number", "minimum": 0 },
            ],
            "examples": ["0.0025"],
        })
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(DecimalVisitor)
    }
}

struct DecimalVisitor;

impl DecimalVisitor {
    fn check<E: de::Error>(text: String) -> Result<Decimal, E> {
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_digits(whole) && is_digits(fraction) {
            Ok(Decimal(text))
        } else {
            Err(E::custom("expected an amount of US dollars from 0, such as 0.0025 or \"0.0025\""))
        }
    }
}

impl de::Visitor<'_> for DecimalVisitor {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount of US dollars, such as 0.0025 or \"0.0025\"")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
        Self::check(value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
        Self::check(value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Decimal, E> {
        Self::check(value.to_string())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Decimal, E> {
        Self::check(value.to_owned())
    }
}

/// What a model's tokens cost, in micro-dollars per million tokens of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Input tokens that are neither read from nor written to the provider's cache.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from the provider's cache.
    pub cached_input: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write: u64,
}

impl Price {
    /// The cost of a request. `input` excludes `cached_input` and `cache_write`. Rounds half up, once.
    pub fn cost(&self, input: u64, output: u64, cached_input: u64, cache_write: u64) -> MicroUsd {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = of(input, self.input)
            .saturating_add(of(output, self.output))
            .saturating_add(of(cached_input, self.cached_input))
            .saturating_add(of(cache_write, self.cache_write));
        let rounded = sum.saturating_add(TOKENS / 2) / TOKENS;
        MicroUsd(u64::try_from(rounded).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(json: &str) -> Result<Decimal, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_price_is_exact_whether_written_as_a_string_or_a_number() {
        let cases = [
            ("0.0025", 2_500_000),
            ("\"0.0025\"", 2_500_000),
            ("0.000000075", 75),
            ("0", 0),
            ("3", 3_000_000_000),
            ("\"0.1000000000000\"", 100_000_000),
            ("0.3", 300_000_000),
        ];
        for (json, expected) in cases {
            assert_eq!(decimal(json).unwrap().per_million(), Some(expected), "{json}");
        }
        assert_eq!(decimal("\"0.0000000001\"").unwrap().per_million(), None);
        assert_eq!(decimal("\"99999999999999\"").unwrap().per_million(), None);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for json in ["-1", "-0.5", "\"1e3\"", "\"\"", "\".5\"", "\"5.\"", "\"1,5\"", "true", "[]"] {
            assert!(decimal(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_cost_rounds_half_up_once() {
        let price = Price { input: 500_000, output: 1_000_000, cached_input: 250_000, cache_write: 0 };
        let cases = [
            ((0, 0, 0, 0), 0),
            ((1, 0, 0, 0), 1),
            ((0, 0, 1, 0), 0),
            ((0, 0, 2, 0), 1),
            ((1, 0, 2, 0), 1),
            ((2, 3, 4, 1_000), 5),
            ((1_000_000, 1_000_000, 0, 0), 1_500_000),
        ];
        for ((input, output, cached, written), expected) in cases {
            assert_eq!(price.cost(input, output, cached, written), MicroUsd(expected));
        }
        assert_eq!(
            Price { input: u64::MAX, ..price }.cost(u64::MAX, u64::MAX, u64::MAX, 0),
            MicroUsd(u64::MAX)
        );
    }
}
