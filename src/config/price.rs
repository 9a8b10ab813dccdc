//! What requests cost, exactly: decimal text in, integer micro-dollars out, one rounding per request.

use std::fmt;
use std::time::Duration;

use aisix_actors::types::MicroUsd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::dialect::Usage;

/// Tokens, images, characters or hours that a [`Price`] is for.
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

    /// Reads an amount; `None` for what is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        DecimalVisitor::check::<de::value::Error>(text.to_owned()).ok()
    }

    /// Micro-dollars per million, for a price in dollars per thousand; `None` when that is no whole number.
    pub fn per_thousand(&self) -> Option<u64> {
        self.shifted(9)
    }

    /// Micro-dollars per million, for a price in dollars per piece; `None` when that is no whole number.
    pub fn per_piece(&self) -> Option<u64> {
        self.shifted(12)
    }

    /// The amount times a power of ten; `None` when that is no whole number, or too large.
    pub(super) fn shifted(&self, places: usize) -> Option<u64> {
        let (whole, fraction) = self.0.split_once('.').unwrap_or((&self.0, ""));
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > places {
            return None;
        }
        format!("{whole}{fraction:0<places$}").parse().ok()
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

/// What tokens cost, in micro-dollars per million of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Input tokens that are neither read from nor written to the provider's cache.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from the provider's cache.
    pub cached_input: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write: u64,
    /// Input tokens written to the provider's cache to be kept for an hour.
    pub cache_write_hour: u64,
}

impl Rates {
    /// What the tokens cost, in millionths of a micro-dollar.
    fn sum(&self, usage: &Usage) -> u128 {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let fresh = usage.prompt.saturating_sub(usage.cached).saturating_sub(usage.cache_write);
        let hour = usage.cache_write_hour.min(usage.cache_write);
        of(fresh, self.input)
            .saturating_add(of(usage.completion, self.output))
            .saturating_add(of(usage.cached, self.cached_input))
            .saturating_add(of(usage.cache_write.saturating_sub(hour), self.cache_write))
            .saturating_add(of(hour, self.cache_write_hour))
    }

    /// What the dearest kind of input costs.
    fn dearest_input(&self) -> u64 {
        self.input.max(self.cached_input).max(self.cache_write).max(self.cache_write_hour)
    }
}

/// Rates for requests that are long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    /// The number of input tokens above which they hold, for all tokens of the request.
    pub above: u64,
    /// The rates.
    pub rates: Rates,
}

/// What is charged for besides tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// How long a recording is that was sent.
    pub audio: Duration,
    /// How long it can be at the most, where that is not certain.
    pub longest_audio: Duration,
    /// Images that were made.
    pub images: u64,
    /// Images that were sent, as files.
    pub images_sent: u64,
    /// Characters that were spoken.
    pub characters: u64,
}

/// What a model costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Tokens.
    pub rates: Rates,
    /// Tokens of requests that are long; nothing where they cost the same.
    pub long: Option<Long>,
    /// Sound that was sent, in micro-dollars per million hours.
    pub audio_hour: u64,
    /// Images that were made, in micro-dollars per million.
    pub image: u64,
    /// Characters that were spoken, in micro-dollars per million.
    pub character: u64,
}

/// Milliseconds in an hour.
const HOUR: u128 = 3_600_000;

impl Price {
    /// The cost of a request. Rounds half up, once.
    pub fn cost(&self, usage: &Usage, measures: &Measures) -> MicroUsd {
        let tokens = self.rates_for(usage.prompt).sum(usage);
        if *measures == Measures::default() {
            return rounded(tokens, TOKENS);
        }
        let of = |count: u64, price: u64| u128::from(count) * u128::from(price);
        let pieces = of(measures.images, self.image).saturating_add(of(measures.characters, self.character));
        let sound = measures.audio.as_millis().saturating_mul(self.audio_hour.into());
        rounded(tokens.saturating_add(pieces).saturating_mul(HOUR).saturating_add(sound), TOKENS * HOUR)
    }

    /// Whether nothing costs anything.
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }

    /// The most that a request of at most so many tokens can cost, whatever kinds of input they are.
    pub fn most(&self, prompt: u64, completion: u64, measures: &Measures) -> MicroUsd {
        let short = self.dearest(self.rates, prompt, completion, measures);
        let long = self.long.filter(|long| prompt > long.above);
        long.map_or(short, |long| short.max(self.dearest(long.rates, prompt, completion, measures)))
    }

    fn dearest(&self, rates: Rates, prompt: u64, completion: u64, measures: &Measures) -> MicroUsd {
        let rates = Rates { input: rates.dearest_input(), ..rates };
        let usage = Usage { prompt, completion, ..Usage::default() };
        let measures = Measures { audio: measures.audio.max(measures.longest_audio), ..*measures };
        Self { rates, long: None, ..*self }.cost(&usage, &measures)
    }

    fn rates_for(&self, prompt: u64) -> &Rates {
        match &self.long {
            Some(long) if prompt > long.above => &long.rates,
            Some(_) | None => &self.rates,
        }
    }
}

fn rounded(sum: u128, unit: u128) -> MicroUsd {
    let rounded = sum.saturating_add(unit / 2) / unit;
    MicroUsd(u64::try_from(rounded).unwrap_or(u64::MAX))
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
            assert_eq!(decimal(json).unwrap().per_thousand(), Some(expected), "{json}");
        }
        assert_eq!(decimal("\"0.0000000001\"").unwrap().per_thousand(), None);
        assert_eq!(decimal("\"99999999999999\"").unwrap().per_thousand(), None);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for json in ["-1", "-0.5", "\"1e3\"", "\"\"", "\".5\"", "\"5.\"", "\"1,5\"", "true", "[]"] {
            assert!(decimal(json).is_err(), "{json}");
        }
    }

    fn usage(input: u64, completion: u64, cached: u64, cache_write: u64) -> Usage {
        Usage { prompt: input + cached + cache_write, completion, cached, cache_write, ..Usage::default() }
    }

    fn tokens(input: u64, output: u64, cached_input: u64, cache_write: u64) -> Rates {
        Rates { input, output, cached_input, cache_write, cache_write_hour: cache_write }
    }

    #[test]
    fn a_cost_rounds_half_up_once() {
        let price = Price { rates: tokens(500_000, 1_000_000, 250_000, 0), ..Price::default() };
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
            let cost = price.cost(&usage(input, output, cached, written), &Measures::default());
            assert_eq!(cost, MicroUsd(expected));
        }
        let dear = Price { rates: tokens(u64::MAX, u64::MAX, 0, 0), image: 1, ..price };
        let measures = Measures { images: 1, ..Measures::default() };
        assert_eq!(dear.cost(&usage(u64::MAX, u64::MAX, 0, 0), &measures), MicroUsd(u64::MAX));
    }

    #[test]
    fn sound_images_and_characters_are_rounded_together_with_tokens() {
        // 0.006 USD a minute, 0.04 an image, 15 a million characters.
        let price = Price {
            rates: tokens(500_000, 0, 0, 0),
            audio_hour: 360_000_000_000,
            image: 40_000_000_000,
            character: 15_000_000,
            ..Price::default()
        };
        let cost = |usage: Usage, measures: Measures| price.cost(&usage, &measures).0;
        let none = Usage::default();
        let audio = |millis| Measures { audio: Duration::from_millis(millis), ..Measures::default() };
        assert_eq!(cost(none, audio(60_000)), 6_000);
        assert_eq!(cost(none, audio(1_234)), 123, "123.4");
        assert_eq!(cost(usage(1, 0, 0, 0), audio(4)), 1, "0.5 + 0.4");
        assert_eq!(cost(none, Measures { images: 3, ..Measures::default() }), 120_000);
        assert_eq!(cost(none, Measures { characters: 5, ..Measures::default() }), 75);
    }

    #[test]
    fn long_requests_have_rates_of_their_own_for_all_their_tokens() {
        let long = Long { above: 100, rates: tokens(2_000_000, 4_000_000, 0, 0) };
        let price = Price { rates: tokens(1_000_000, 2_000_000, 0, 0), long: Some(long), ..Price::default() };
        let none = Measures::default();
        assert_eq!(price.cost(&usage(100, 10, 0, 0), &none), MicroUsd(120));
        assert_eq!(price.cost(&usage(101, 10, 0, 0), &none), MicroUsd(242));
        assert_eq!(price.cost(&usage(61, 10, 40, 0), &none), MicroUsd(162), "what was cached counts too");
    }

    #[test]
    fn the_most_is_reckoned_with_the_dearest_kind_of_input() {
        let rates = Rates { cache_write_hour: 4_000_000, ..tokens(1_000_000, 2_000_000, 100_000, 1_250_000) };
        let price = Price { rates, ..Price::default() };
        let none = Measures::default();
        assert_eq!(price.most(10, 10, &none), MicroUsd(60));
        let long = Long { above: 9, rates: tokens(8_000_000, 0, 0, 0) };
        assert_eq!(Price { long: Some(long), ..price }.most(10, 10, &none), MicroUsd(80));
        assert_eq!(Price { long: Some(long), ..price }.most(9, 10, &none), MicroUsd(56));
    }

    #[test]
    fn what_is_kept_for_an_hour_has_a_price_of_its_own() {
        let rates = Rates { cache_write_hour: 2_000_000, ..tokens(0, 0, 0, 1_000_000) };
        let usage = Usage { cache_write_hour: 30, ..usage(0, 0, 0, 100) };
        let price = Price { rates, ..Price::default() };
        assert_eq!(price.cost(&usage, &Measures::default()), MicroUsd(130));
    }
}
