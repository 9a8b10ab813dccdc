//! Whole numbers as JSON has them: it does not tell `1.0` from `1`, and some clients write the one for the other.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Beyond it a float no longer tells one whole number from the next: 2 to the power of 53.
pub const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number from 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whole(pub u64);

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        match number.fract() == 0.0 && (0.0..EXACT).contains(&number) {
            true => Ok(Whole(number as u64)),
            false => Err(E::custom("expected a whole number from 0")),
        }
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(WholeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_however_it_is_written() {
        for (text, number) in [
            ("1", Some(1)),
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("-0.0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("1.5", None),
            ("-1", None),
            ("1e300", None),
            ("\"1\"", None),
            ("null", None),
        ] {
            assert_eq!(serde_json::from_str(text).ok().map(|Whole(number)| number), number, "{text}");
        }
    }
}
