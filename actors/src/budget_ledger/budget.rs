//! What a budget is, whose it is, when its period turns, and how a refusal reads.

use std::sync::Arc;
use std::time::Duration;

use derive_more::{Display, Error};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

pub use jiff::tz::TimeZone;

use crate::types::MicroUsd;

/// Finds a time zone by its IANA name, such as `Europe/Berlin`.
pub fn timezone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// How long spend adds up before it starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// From local midnight.
    Day,
    /// From local midnight of Monday.
    Week,
    /// From local midnight of the first.
    Month,
    /// For ever.
    Total,
}

impl Period {
    /// Returns the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// Returns the window around a Unix time; `None` when the calendar does not reach that far.
    pub(super) fn window(self, timezone: &TimeZone, unix: Duration) -> Option<Window> {
        let now = Timestamp::from_duration(SignedDuration::try_from(unix).ok()?).ok()?;
        let today = now.to_zoned(timezone.clone()).date();
        let (first, next) = match self {
            Self::Day => (today, today.tomorrow().ok()?),
            Self::Week => {
                let since_monday = i64::from(today.weekday().to_monday_zero_offset());
                let monday = today.checked_sub(since_monday.days()).ok()?;
                (monday, monday.checked_add(7.days()).ok()?)
            }
            Self::Month => (today.first_of_month(), today.last_of_month().tomorrow().ok()?),
            Self::Total => return Some(Window::ENDLESS),
        };
        Some(Window { start: midnight(first, timezone)?, end: Some(midnight(next, timezone)?) })
    }
}

/// One window of a period, in Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// When it began.
    pub start: Duration,
    /// When the next one begins; `None` for never.
    pub end: Option<Duration>,
}

impl Window {
    /// The only one of [`Period::Total`].
    pub const ENDLESS: Self = Self { start: Duration::ZERO, end: None };
}

/// Returns the first instant of a local day: midnight, or later where the clocks skip it.
fn midnight(date: Date, timezone: &TimeZone) -> Option<Duration> {
    let noon: Zoned = date.at(12, 0, 0, 0).to_zoned(timezone.clone()).ok()?;
    let start = noon.start_of_day().ok()?.timestamp();
    start.as_duration().try_into().ok()
}

/// Writes a Unix time as RFC 3339.
pub(super) fn rfc3339(unix: Duration) -> Option<String> {
    let instant = Timestamp::from_duration(SignedDuration::try_from(unix).ok()?).ok()?;
    Some(instant.to_string())
}

/// Whose spend a budget bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetScope {
    /// Everybody's.
    Org,
    /// A team's.
    Team,
    /// A member's, over all of its keys.
    Member,
    /// An API key's.
    ApiKey,
    /// A model's, whoever calls it.
    Model,
    /// A provider key's.
    ProviderKey,
}

impl BudgetScope {
    /// Returns the name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Team => "team",
            Self::Member => "member",
            Self::ApiKey => "api_key",
            Self::Model => "model",
            Self::ProviderKey => "provider_key",
        }
    }
}

/// A bound on spend.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// The account that spend is booked to; changing it starts at nothing.
    pub id: Arc<str>,
    /// The name for people.
    pub name: Arc<str>,
    /// Whose spend it bounds.
    pub scope: BudgetScope,
    /// Which one of that kind; none for the organisation.
    pub scope_ref: Option<Arc<str>>,
    /// The most that may be spent in one period.
    pub limit: MicroUsd,
    /// How long spend adds up.
    pub period: Period,
    /// Where midnight is.
    pub timezone: TimeZone,
    /// Whether to refuse at the limit, or only to warn.
    pub hard_stop: bool,
    /// Fractions of the limit at which to warn, once a period each.
    pub alert_at: Vec<f64>,
    /// Whether to hold the most that a request can cost, instead of what it is likely to: spend then never passes the
    /// limit.
    pub worst_case: bool,
}

/// What a request may cost, before it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// What it is likely to cost.
    pub likely: MicroUsd,
    /// The most that it can cost.
    pub most: MicroUsd,
}

/// The most is what is likely, where nobody asks for more.
impl From<MicroUsd> for Estimate {
    fn from(cost: MicroUsd) -> Self {
        Self { likely: cost, most: cost }
    }
}

impl BudgetExceeded {
    /// Returns what is left for this request by itself, where it does not fit even after all others have ended.
    #[must_use]
    pub fn too_little(&self) -> Option<MicroUsd> {
        let left = self.budget.limit.saturating_sub(self.spent);
        (self.budget.worst_case && !left.is_zero() && self.wanted > left).then_some(left)
    }
}

/// The most that is held for one request: a thousand million dollars. Whoever asks for more would be refused by any
/// limit, and many such holds must still add up.
const MOST_HELD: MicroUsd = MicroUsd(1_000_000_000_000_000);

impl Estimate {
    /// Returns what a budget holds for it.
    pub fn in_budget(self, budget: &Budget) -> MicroUsd {
        let amount = if budget.worst_case { self.most } else { self.likely };
        amount.min(MOST_HELD)
    }
}

/// Why a request is not held for.
#[derive(Debug, Clone, Display)]
pub enum HoldRefused {
    /// A budget is used up.
    #[display("{_0}")]
    Exceeded(Box<BudgetExceeded>),
    /// Charges cannot be written down, and the configuration would rather refuse than forget them.
    #[display("charges cannot be recorded at the moment")]
    Unkept,
}

/// A request was refused because a budget is used up; nothing is held in any budget.
#[derive(Debug, Clone, Display, Error)]
#[display(
    "budget \"{}\" ({}) exceeded: {spent} of {} USD spent, period {}",
    budget.name, budget.scope.as_str(), budget.limit, budget.period.as_str()
)]
pub struct BudgetExceeded {
    /// The tightest budget of those that refused.
    pub budget: Arc<Budget>,
    /// What is spent in the current period.
    pub spent: MicroUsd,
    /// What is held for requests under way.
    pub held: MicroUsd,
    /// What was to be held for the request: with `worst_case` the most that it can cost.
    pub wanted: MicroUsd,
    /// When the next period begins, in Unix time; `None` for `total`.
    pub resets_at: Option<Duration>,
    /// The same as RFC 3339.
    pub resets_at_rfc3339: Option<String>,
    /// Whole seconds until it can be asked again, at least one; `None` when waiting does not help.
    pub retry_after: Option<Duration>,
}

/// Where a budget stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// What is spent in the current period.
    pub spent: MicroUsd,
    /// What is held for requests under way.
    pub held: MicroUsd,
    /// When the current period began, in Unix time.
    pub period_start: Duration,
    /// When the next period begins, in Unix time; `None` for `total`.
    pub resets_at: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(text: &str) -> Duration {
        let instant: Timestamp = text.parse().unwrap();
        instant.as_duration().try_into().unwrap()
    }

    #[test]
    fn windows_begin_at_local_midnight_monday_and_the_first() {
        let cases = [
            (Period::Day, "UTC", "2026-03-04T12:00:00Z", "2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"),
            (
                Period::Day,
                "Asia/Tokyo",
                "2026-03-04T16:00:00Z",
                "2026-03-04T15:00:00Z",
                "2026-03-05T15:00:00Z",
            ),
            // A day of 23 hours, and one whose midnight does not exist.
            (
                Period::Day,
                "Europe/Berlin",
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            (
                Period::Day,
                "Africa/Cairo",
                "2026-04-24T12:00:00Z",
                "2026-04-23T22:00:00Z",
                "2026-04-24T21:00:00Z",
            ),
            (Period::Week, "UTC", "2026-03-01T23:59:59Z", "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"),
            (Period::Week, "UTC", "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"),
            (Period::Month, "UTC", "2024-02-29T23:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            (
                Period::Month,
                "America/New_York",
                "2026-03-01T04:59:59Z",
                "2026-02-01T05:00:00Z",
                "2026-03-01T05:00:00Z",
            ),
        ];
        for (period, zone, now, start, end) in cases {
            let window = period.window(&timezone(zone).unwrap(), unix(now)).unwrap();
            assert_eq!(
                window,
                Window { start: unix(start), end: Some(unix(end)) },
                "{period:?} {zone} {now}"
            );
        }
        assert_eq!(Period::Total.window(&TimeZone::UTC, unix("2026-03-01T00:00:00Z")), Some(Window::ENDLESS));
    }

    #[test]
    fn unknown_time_zones_are_none() {
        assert!(timezone("Europe/Atlantis").is_none());
        assert!(timezone("Europe/Berlin").is_some());
    }

    #[test]
    fn reset_times_are_written_as_rfc_3339() {
        assert_eq!(rfc3339(unix("2026-03-01T05:00:00Z")).as_deref(), Some("2026-03-01T05:00:00Z"));
    }
}
