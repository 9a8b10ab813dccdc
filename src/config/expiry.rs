//! Instants in RFC 3339, the only place where configuration speaks of a date.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};
use toml::value::{Datetime, Offset};

/// Days from the civil year 0 (1 March) to the Unix epoch.
const DAYS_TO_EPOCH: i64 = 719_468;

/// An instant after 1970, as time since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry(pub(crate) Duration);

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        let message = "expected a date with a time zone, such as 2027-01-31T12:00:00Z";
        parse(&text).map(Self).ok_or_else(|| D::Error::custom(message))
    }
}

/// Reads RFC 3339; `None` for anything else, a date without an offset, and years before 1970.
fn parse(text: &str) -> Option<Duration> {
    let Datetime { date: Some(date), time: Some(time), offset: Some(offset) } = text.parse().ok()? else {
        return None;
    };
    let ahead_minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days_from_epoch(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let minutes = (days * 24 + i64::from(time.hour)) * 60 + i64::from(time.minute) - ahead_minutes;
    let seconds = minutes * 60 + i64::from(time.second.unwrap_or(0));
    let seconds = u64::try_from(seconds).ok()?;
    Some(Duration::new(seconds, time.nanosecond.unwrap_or(0)))
}

/// Days between 1970-01-01 and a date of the Gregorian calendar, counted in years that begin in March.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + day_of_year - DAYS_TO_EPOCH
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
    }
}
