//! When a policy is suspended: hours of some days, by the clock of a place.
//!
//! Only what the clock on the wall shows counts: an hour that it skips suspends nothing, one that it shows twice does so
//! twice.

use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Hours of some days.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Whose clock counts.
    pub timezone: TimeZone,
    /// The days on which it begins.
    pub days: Days,
    /// The first minute of the day.
    pub start: u16,
    /// The minute after the last; before `start` it is the next day's. Where both are the same, there is no time between.
    pub end: u16,
}

/// The days on which a schedule begins.
#[derive(Debug, Clone)]
pub enum Days {
    /// Every week.
    Of(Vec<Weekday>),
    /// Once.
    On(Vec<Date>),
}

impl Days {
    fn has(&self, date: Date) -> bool {
        match self {
            Self::Of(weekdays) => weekdays.contains(&date.weekday()),
            Self::On(dates) => dates.contains(&date),
        }
    }
}

impl Schedule {
    /// Whether this Unix time lies in it.
    pub(super) fn is_on(&self, unix: Duration) -> bool {
        let instant =
            SignedDuration::try_from(unix).ok().and_then(|unix| Timestamp::from_duration(unix).ok());
        let Some(instant) = instant else { return false };
        let local = self.timezone.to_datetime(instant);
        let minute = local.hour().unsigned_abs() as u16 * 60 + local.minute().unsigned_abs() as u16;
        let today = local.date();
        if self.start <= self.end {
            return (self.start..self.end).contains(&minute) && self.days.has(today);
        }
        let is_evening = minute >= self.start && self.days.has(today);
        let is_morning = minute < self.end && today.yesterday().is_ok_and(|date| self.days.has(date));
        is_evening || is_morning
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(timezone: &str, days: Days, start: u16, end: u16) -> Schedule {
        Schedule { timezone: TimeZone::get(timezone).expect("a zone"), days, start, end }
    }

    fn unix(instant: &str) -> Duration {
        let instant: Timestamp = instant.parse().expect("an instant");
        instant.as_duration().try_into().expect("after 1970")
    }

    #[track_caller]
    fn check(schedule: &Schedule, cases: &[(&str, bool)]) {
        for (instant, is_on) in cases {
            assert_eq!(schedule.is_on(unix(instant)), *is_on, "{instant} in {schedule:?}");
        }
    }

    #[test]
    fn the_first_minute_is_in_it_and_the_last_is_not() {
        let nine_to_five = schedule("UTC", Days::Of(vec![Weekday::Monday]), 9 * 60, 17 * 60 + 30);
        check(
            &nine_to_five,
            &[
                ("2026-11-23T08:59:59Z", false),
                ("2026-11-23T09:00:00Z", true),
                ("2026-11-23T17:29:59.999Z", true),
                ("2026-11-23T17:30:00Z", false),
                ("2026-11-24T12:00:00Z", false),
            ],
        );
    }

    #[test]
    fn a_whole_day_ends_at_midnight_and_an_empty_time_never_comes() {
        let day = Days::On(vec![jiff::civil::date(2026, 12, 24)]);
        let whole = schedule("Europe/Berlin", day.clone(), 0, 24 * 60);
        check(
            &whole,
            &[
                ("2026-12-23T22:59:59Z", false),
                ("2026-12-23T23:00:00Z", true),
                ("2026-12-24T22:59:59Z", true),
                ("2026-12-24T23:00:00Z", false),
            ],
        );
        let never = schedule("Europe/Berlin", day, 600, 600);
        check(&never, &[("2026-12-24T09:00:00Z", false), ("2026-12-24T12:00:00Z", false)]);
    }

    #[test]
    fn what_crosses_midnight_belongs_to_the_day_on_which_it_begins() {
        let night = schedule("America/New_York", Days::Of(vec![Weekday::Friday]), 22 * 60, 6 * 60);
        check(
            &night,
            &[
                // Thursday night, though it is Friday morning.
                ("2026-11-20T09:00:00Z", false),
                ("2026-11-21T02:59:59Z", false),
                ("2026-11-21T03:00:00Z", true),
                ("2026-11-21T10:59:59Z", true),
                ("2026-11-21T11:00:00Z", false),
                ("2026-11-22T03:30:00Z", false),
            ],
        );
    }

    #[test]
    fn the_clock_on_the_wall_counts_when_it_is_changed() {
        let sunday = || Days::Of(vec![Weekday::Sunday]);
        // On 2026-03-29 the clocks of Berlin skip 02:00 to 03:00, on 2026-10-25 they show it twice.
        let skipped = schedule("Europe/Berlin", sunday(), 2 * 60, 3 * 60);
        check(
            &skipped,
            &[
                ("2026-03-29T00:59:59Z", false),
                ("2026-03-29T01:00:00Z", false),
                ("2026-10-24T23:59:59Z", false),
                ("2026-10-25T00:00:00Z", true),
                ("2026-10-25T01:30:00Z", true),
                ("2026-10-25T02:00:00Z", false),
            ],
        );
        let around = schedule("Europe/Berlin", sunday(), 60, 4 * 60);
        check(
            &around,
            &[
                ("2026-03-29T00:00:00Z", true),
                ("2026-03-29T01:59:59Z", true),
                ("2026-03-29T02:00:00Z", false),
                ("2026-10-24T23:00:00Z", true),
                ("2026-10-25T02:59:59Z", true),
                ("2026-10-25T03:00:00Z", false),
            ],
        );
    }

    #[test]
    fn days_are_those_of_the_place() {
        let monday = schedule("Pacific/Auckland", Days::Of(vec![Weekday::Monday]), 0, 24 * 60);
        check(
            &monday,
            &[
                ("2026-11-22T10:59:59Z", false),
                ("2026-11-22T11:00:00Z", true),
                ("2026-11-23T11:00:00Z", false),
            ],
        );
    }
}
