//! The time and the money that the books reckon in.
//!
//! Books never read a clock: every method that needs the time is given a [`Now`], so that tests
//! need no sleep. Money is an integer of micro-dollars, so that sums are exact.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The instant from which [`Now::steady`] counts.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Micro-dollars in a dollar.
const MICROS: u64 = 1_000_000;

/// Decimal places that a micro-dollar resolves.
const PLACES: usize = 6;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since the Unix epoch; may step when the system's clock is set. Windows and periods use
    /// it.
    pub unix: Duration,
    /// Monotonic time since a process-wide start. Waiting times and cooldowns use it.
    pub steady: Duration,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        let start = *START;
        Self {
            unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            steady: Instant::now().saturating_duration_since(start),
        }
    }

    /// Returns the Unix time of a steady instant, as far as the two clocks agree now.
    pub(crate) fn unix_of(self, steady: Duration) -> Duration {
        match steady.checked_sub(self.steady) {
            Some(ahead) => self.unix.saturating_add(ahead),
            None => self.unix.saturating_sub(self.steady.saturating_sub(steady)),
        }
    }
}

/// Rounds a wait up to whole seconds, at least one, as `Retry-After` is written.
pub(crate) fn whole_seconds(wait: Duration) -> Duration {
    let up = u64::from(wait.subsec_nanos() > 0);
    Duration::from_secs(wait.as_secs().saturating_add(up).max(1))
}

/// An amount of money in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The largest amount that can be expressed.
    pub const MAX: Self = Self(u64::MAX);

    /// Reads a decimal number of dollars such as `12.5`; digits beyond the sixth place round half
    /// up.
    ///
    /// Gives `None` for signs, exponents, missing digits and amounts too large.
    pub fn from_usd_str(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let micros: u64 = format!("{fraction:0<PLACES$}").get(..PLACES)?.parse().ok()?;
        let rounds_up = fraction.as_bytes().get(PLACES).is_some_and(|digit| *digit >= b'5');
        let dollars: u64 = whole.parse().ok()?;
        dollars.checked_mul(MICROS)?.checked_add(micros)?.checked_add(u64::from(rounds_up)).map(Self)
    }

    /// Converts a floating number of dollars, rounding half up; `None` when negative, not finite or
    /// too large.
    pub fn from_usd_f64(usd: f64) -> Option<Self> {
        let micros = (usd * MICROS as f64).round();
        (0.0..u64::MAX as f64).contains(&micros).then_some(Self(micros as u64))
    }

    /// Adds, or gives `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Subtracts, or gives `None` below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Multiplies by a count, or gives `None` on overflow.
    pub fn checked_mul(self, count: u64) -> Option<Self> {
        self.0.checked_mul(count).map(Self)
    }

    /// Adds, stopping at the largest amount.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Subtracts, stopping at zero.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Returns whether there is no money.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Writes the dollars without loss, with at least two decimals: `50.00`, `0.000125`.
    pub fn to_usd_exact(self) -> String {
        let fraction = format!("{:06}", self.0 % MICROS);
        let kept = fraction.trim_end_matches('0').len().max(2);
        format!("{}.{}", self.0 / MICROS, fraction.get(..kept).unwrap_or(&fraction))
    }
}

/// Writes the dollars with two decimals, rounded half up.
impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.saturating_add(5_000) / 10_000;
        write!(f, "{}.{:02}", cents / 100, cents % 100)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_to_the_micro_dollar() {
        let cases = [
            ("0", Some(0)),
            ("12.5", Some(12_500_000)),
            ("0.000001", Some(1)),
            ("0.0000005", Some(1)),
            ("0.00000049", Some(0)),
            ("0.9999999", Some(1_000_000)),
            ("18446744073709.551615", Some(u64::MAX)),
            ("18446744073709.551616", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1.2.3", None),
            ("1,5", None),
            ("٣", None),
        ];
        for (text, micros) in cases {
            assert_eq!(MicroUsd::from_usd_str(text), micros.map(MicroUsd), "{text:?}");
        }
    }

    #[test]
    fn floats_that_are_no_amount_are_refused() {
        assert_eq!(MicroUsd::from_usd_f64(12.5), Some(MicroUsd(12_500_000)));
        assert_eq!(MicroUsd::from_usd_f64(0.1 + 0.2), Some(MicroUsd(300_000)));
        for bad in [-0.01, f64::NAN, f64::INFINITY, 1e30] {
            assert_eq!(MicroUsd::from_usd_f64(bad), None, "{bad}");
        }
    }

    #[test]
    fn dollars_are_shown_in_cents_and_exactly() {
        let cases = [
            (0, "0.00", "0.00"),
            (50_000_000, "50.00", "50.00"),
            (50_423_516, "50.42", "50.423516"),
            (4_999, "0.00", "0.004999"),
            (5_000, "0.01", "0.005"),
            (999_995_000, "1000.00", "999.995"),
            (125, "0.00", "0.000125"),
            (1_100_000, "1.10", "1.10"),
        ];
        for (micros, cents, exact) in cases {
            assert_eq!(MicroUsd(micros).to_string(), cents);
            assert_eq!(MicroUsd(micros).to_usd_exact(), exact);
        }
        assert_eq!(MicroUsd::MAX.to_usd_exact(), "18446744073709.551615");
    }

    #[test]
    fn the_steady_clock_never_goes_back() {
        let earlier = Now::read();
        let later = Now::read();
        assert!(later.steady >= earlier.steady);
        let now = Now { unix: Duration::from_secs(100), steady: Duration::from_secs(10) };
        assert_eq!(now.unix_of(Duration::from_secs(13)), Duration::from_secs(103));
        assert_eq!(now.unix_of(Duration::from_secs(8)), Duration::from_secs(98));
    }
}
