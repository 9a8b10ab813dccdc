//! The wall clock of one worker: read a few times a second, and reckoned from the steady clock in between.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SECS_PER_DAY: u64 = 86_400;

/// See the module.
pub struct Clock {
    anchor: Instant,
    unix: Duration,
    now: Duration,
    /// The second that `text` shows.
    shown: u64,
    text: [u8; 19],
}

impl Clock {
    /// A clock that is right now.
    #[must_use]
    pub fn start() -> Self {
        let mut clock = Self {
            anchor: Instant::now(),
            unix: Duration::ZERO,
            now: Duration::ZERO,
            shown: u64::MAX,
            text: [b'0'; 19],
        };
        clock.set();
        clock
    }

    /// Reads the wall clock.
    pub fn set(&mut self) {
        self.anchor = Instant::now();
        self.unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    }

    /// Time since the Unix epoch at an instant.
    #[must_use]
    pub fn unix(&self, at: Instant) -> Duration {
        match at.checked_duration_since(self.anchor) {
            Some(since) => self.unix + since,
            None => self.unix.saturating_sub(self.anchor - at),
        }
    }

    /// Moves to an instant, and gives the time since the Unix epoch.
    pub fn move_to(&mut self, at: Instant) -> Duration {
        self.now = self.unix(at);
        if self.now.as_secs() != self.shown {
            self.shown = self.now.as_secs();
            self.text = utc(self.shown);
        }
        self.now
    }

    /// The instant that it was moved to as UTC, `2026-01-31T12:00:00` without its zone, and its milliseconds.
    #[must_use]
    pub fn utc(&self) -> (&[u8; 19], u32) {
        (&self.text, self.now.subsec_millis())
    }
}

/// Seconds since the Unix epoch as RFC 3339 without the zone.
#[must_use]
pub fn utc(unix: u64) -> [u8; 19] {
    let (mut day, second) = (unix / SECS_PER_DAY, unix % SECS_PER_DAY);
    let mut year = 1970;
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    let mut text = *b"0000-00-00T00:00:00";
    let parts = [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day + 1),
        (11, second / 3600),
        (14, second / 60 % 60),
        (17, second % 60),
    ];
    for (place, value) in parts {
        text[place] = b'0' + (value / 10 % 10) as u8;
        text[place + 1] = b'0' + (value % 10) as u8;
    }
    text
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        // `date -u -d @N`.
        for (unix, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_735_689_600, "2025-01-01T00:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(String::from_utf8_lossy(&utc(unix)), text);
        }
    }

    #[test]
    fn an_instant_before_the_last_reading_is_earlier() {
        let clock = Clock::start();
        let earlier = clock.anchor - Duration::from_secs(2);
        assert_eq!(clock.unix - clock.unix(earlier), Duration::from_secs(2));
    }
}
