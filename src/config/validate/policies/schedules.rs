//! Schedules of rate limit policies: days and hours of a place.

use aisix_actors::budget_ledger::timezone;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use crate::config::{
    problem::{Place, Problems, did_you_mean},
    resources::shapes::{ScheduleShape, WeekdayShape},
    validate::budgets::WELL_KNOWN_ZONES,
};
use crate::policies::{Days, Schedule};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Resolves the schedules of one policy and reports all that is wrong with them.
pub(super) fn resolve(place: Place<'_>, shapes: &[ScheduleShape], problems: &mut Problems) -> Vec<Schedule> {
    let shapes = shapes.iter().enumerate();
    shapes.filter_map(|(index, shape)| one(place, &format!("schedules[{index}]"), shape, problems)).collect()
}

fn one(place: Place<'_>, field: &str, shape: &ScheduleShape, problems: &mut Problems) -> Option<Schedule> {
    let timezone = zone(place, &format!("{field}.timezone"), &shape.timezone, problems);
    let days = days(place, field, shape, problems);
    let mut time = |name: &str, text: &str, last: u16, expected: &str| {
        let minutes = minutes(text).filter(|minutes| *minutes <= last);
        if minutes.is_none() {
            place.report(&format!("{field}.{name}"), expected, problems);
        }
        minutes
    };
    let start = time("start_time", &shape.start_time, DAY - 1, "expected a time such as 09:30");
    let end = time("end_time", &shape.end_time, DAY, "expected a time such as 17:30, up to 24:00");
    Some(Schedule { timezone: timezone?, days: days?, start: start?, end: end? })
}

fn zone(place: Place<'_>, field: &str, name: &str, problems: &mut Problems) -> Option<TimeZone> {
    let zone = timezone(name);
    if zone.is_none() {
        let hint = did_you_mean(name, WELL_KNOWN_ZONES);
        place.report(field, format!("no time zone of the IANA database has this name{hint}"), problems);
    }
    zone
}

fn days(place: Place<'_>, field: &str, shape: &ScheduleShape, problems: &mut Problems) -> Option<Days> {
    let is_empty = "expected at least one day";
    match (&shape.days_of_week, &shape.dates) {
        (Some(_), Some(_)) => {
            let message = "says a second time on which days; keep one of the two";
            place.report(&format!("{field}.dates"), message, problems);
            None
        }
        (None, None) => {
            place.report(field, "\"days_of_week\" or \"dates\" is required", problems);
            None
        }
        (Some(days), None) => {
            if days.is_empty() {
                place.report(&format!("{field}.days_of_week"), is_empty, problems);
            }
            Some(Days::Of(days.iter().copied().map(weekday).collect()))
        }
        (None, Some(dates)) => {
            if dates.is_empty() {
                place.report(&format!("{field}.dates"), is_empty, problems);
            }
            let dates = dates.iter().enumerate();
            let dates = dates
                .filter_map(|(index, text)| date(place, &format!("{field}.dates[{index}]"), text, problems));
            Some(Days::On(dates.collect()))
        }
    }
}

fn date(place: Place<'_>, field: &str, text: &str, problems: &mut Problems) -> Option<Date> {
    // Only this spelling, of those that ISO 8601 has.
    let is_plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date = text.parse().ok().filter(|_| is_plain);
    if date.is_none() {
        place.report(field, "expected a date such as 2026-12-24", problems);
    }
    date
}

fn weekday(shape: WeekdayShape) -> Weekday {
    match shape {
        WeekdayShape::Mon => Weekday::Monday,
        WeekdayShape::Tue => Weekday::Tuesday,
        WeekdayShape::Wed => Weekday::Wednesday,
        WeekdayShape::Thu => Weekday::Thursday,
        WeekdayShape::Fri => Weekday::Friday,
        WeekdayShape::Sat => Weekday::Saturday,
        WeekdayShape::Sun => Weekday::Sunday,
    }
}

/// Minutes since midnight, from `HH:MM`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, last: u16| {
        let is_plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|number| is_plain && *number <= last)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 59)?)
}
