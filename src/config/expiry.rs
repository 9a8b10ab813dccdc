//! Instants in RFC 3339, the only place where configuration speaks of a date.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// An instant after 1970, as time since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry(pub Duration);

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX);
        Timestamp::new(seconds, 0).unwrap_or(Timestamp::MAX).fmt(f)
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        let message = "expected a date with a time zone, such as 2027-01-31T12:00:00Z";
        parse(&text).map(Self).ok_or_else(|| D::Error::custom(message))
    }
}

impl JsonSchema for Expiry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An instant from 1970 on, with its offset from UTC.",
            "format": "date-time",
            "examples": ["2030-01-31T12:00:00Z"],
        })
    }
}

/// Reads RFC 3339; `None` for anything else, a date without an offset, and years before 1970.
fn parse(text: &str) -> Option<Duration> {
    let instant: Timestamp = text.parse().ok()?;
    instant.as_duration().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_with_their_offset() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some((0, 0))),
            ("2000-02-29T12:00:00Z", Some((951_825_600, 0))),
            ("2026-08-22T14:30:00+02:00", Some((1_787_401_800, 0))),
            ("2026-12-31T23:59:59.25-00:30", Some((1_798_763_399, 250_000_000))),
            ("2026-12-31 23:59:59Z", Some((1_798_761_599, 0))),
            ("1969-12-31T23:59:59Z", None),
            ("2026-08-22T14:30:00", None),
            ("2026-08-22", None),
            ("2026-02-30T00:00:00Z", None),
            ("tomorrow", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(seconds, nanos)| Duration::new(seconds, nanos));
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(Expiry(Duration::new(951_825_600, 5)).to_string(), "2000-02-29T12:00:00Z");
    }
}
