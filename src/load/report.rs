//! The result of a load test, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::meter::{Meter, Times};
use super::pace::Pace;

/// The result of a load test.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The measured time in seconds, the warm-up not counted.
    pub seconds: f64,
    /// Measured requests that ended.
    pub requests: u64,
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that did not.
    pub failed: u64,
    /// Successes per second.
    pub rps: f64,
    /// Requests of an open loop that found no free connection before the end.
    pub missed: u64,
    /// Bytes of the answers' bodies.
    pub bytes: u64,
    /// From the moment at which the request was due to the end of the answer; successes only.
    pub latency_ms: Percentiles,
    /// From the moment at which the request was due to the first event of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_event_ms: Option<Percentiles>,
    /// Between the events of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_ms: Option<Percentiles>,
    /// Messages to actors that were answered, per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks_per_second: Option<f64>,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
}

/// A distribution of times in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// The arithmetic mean.
    pub mean: f64,
    /// Half are not above this.
    pub p50: f64,
    /// Nine in ten are not above this.
    pub p90: f64,
    /// 99 in 100 are not above this.
    pub p99: f64,
    /// 999 in 1,000 are not above this.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Report {
    pub(super) fn new(meter: &Meter, pace: &Pace) -> Self {
        let measured = |end: std::time::Instant| end.saturating_duration_since(pace.measured_from());
        // A test that was stopped early ends with its last request.
        let end = match (pace.end(), meter.last) {
            (Some(end), Some(last)) => Some(end.min(last)),
            (end, last) => last.or(end),
        };
        Self::of(meter, end.map(measured).unwrap_or_default(), pace.missed())
    }

    fn of(meter: &Meter, elapsed: Duration, missed: u64) -> Self {
        let succeeded = meter.latency.count();
        let failed = meter.failures.values().sum();
        let seconds = elapsed.as_secs_f64();
        let streamed = |times: &Times| (times.count() > 0).then(|| Percentiles::of(times));
        Self {
            seconds,
            requests: succeeded + failed,
            succeeded,
            failed,
            rps: if seconds > 0.0 { meter.in_time as f64 / seconds } else { 0.0 },
            missed,
            bytes: meter.bytes,
            latency_ms: Percentiles::of(&meter.latency),
            first_event_ms: streamed(&meter.first_event),
            gap_ms: streamed(&meter.gap),
            asks_per_second: None,
            errors: meter.failures.clone(),
        }
    }
}

impl Percentiles {
    pub(super) fn of(times: &Times) -> Self {
        let ms = |time: Duration| time.as_nanos() as f64 / 1e6;
        Self {
            mean: ms(times.mean()),
            p50: ms(times.at(0.5)),
            p90: ms(times.at(0.9)),
            p99: ms(times.at(0.99)),
            p999: ms(times.at(0.999)),
            max: ms(times.max()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rps = grouped(self.rps.round() as u64);
        writeln!(f, "requests     {} in {:.1} s, {rps} a second", grouped(self.requests), self.seconds)?;
        if self.succeeded > 0 {
            writeln!(f, "latency      {}", self.latency_ms)?;
        }
        if let Some(first_event) = &self.first_event_ms {
            writeln!(f, "first event  {first_event}")?;
        }
        if let Some(gap) = &self.gap_ms {
            writeln!(f, "gap          {gap}")?;
        }
        match self.asks_per_second {
            Some(asks) => writeln!(f, "asks         {} a second", grouped(asks.round() as u64))?,
            None => writeln!(f, "received     {}", bytes(self.bytes))?,
        }
        if self.missed > 0 {
            writeln!(f, "missed       {}: no connection was free", grouped(self.missed))?;
        }
        let share = 100.0 * self.failed as f64 / self.requests.max(1) as f64;
        writeln!(f, "failed       {} ({share:.2} %)", grouped(self.failed))?;
        let width = self.errors.keys().map(String::len).max().unwrap_or_default();
        self.errors.iter().try_for_each(|(kind, count)| writeln!(f, "  {kind:<width$}  {}", grouped(*count)))
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [("p50", self.p50), ("p90", self.p90), ("p99", self.p99), ("p99.9", self.p999)];
        named.iter().try_for_each(|(name, value)| write!(f, "{name} {:<11}", millis(*value)))?;
        write!(f, "max {}", millis(self.max))
    }
}

/// Three significant digits with the unit that suits them.
fn millis(ms: f64) -> String {
    let (value, unit) = match ms {
        ms if ms >= 1000.0 => (ms / 1000.0, "s"),
        ms if ms >= 1.0 => (ms, "ms"),
        ms if ms >= 0.001 || ms == 0.0 => (ms * 1000.0, "µs"),
        ms => (ms * 1e6, "ns"),
    };
    let digits = if value >= 100.0 { 0 } else { 1 + usize::from(value < 10.0) };
    format!("{value:.digits$} {unit}")
}

fn bytes(count: u64) -> String {
    match count as f64 {
        count if count >= 1e9 => format!("{:.2} GB", count / 1e9),
        count if count >= 1e6 => format!("{:.1} MB", count / 1e6),
        count => format!("{:.1} kB", count / 1e3),
    }
}

/// A number with a comma between its groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::exchange::Failure;

    fn meter() -> Meter {
        let mut meter = Meter::new();
        for ms in 1..=1000 {
            meter.finish(Duration::from_millis(ms), Ok(()), ms <= 900);
        }
        meter.finish(Duration::ZERO, Err(Failure::Http(429, "requests".into())), true);
        meter
    }

    #[test]
    fn percentiles_are_those_of_the_successes() {
        let report = Report::of(&meter(), Duration::from_secs(2), 0);
        let near =
            |value: f64, wanted: f64| assert!((value / wanted - 1.0).abs() < 0.002, "{value} {wanted}");
        near(report.latency_ms.p50, 500.0);
        near(report.latency_ms.p90, 900.0);
        near(report.latency_ms.p99, 990.0);
        near(report.latency_ms.p999, 999.0);
        near(report.latency_ms.max, 1000.0);
        near(report.latency_ms.mean, 500.5);
    }

    #[test]
    fn the_rate_counts_successes_in_time() {
        let report = Report::of(&meter(), Duration::from_secs(2), 3);
        assert_eq!((report.requests, report.succeeded, report.failed), (1001, 1000, 1));
        assert!((report.rps - 450.0).abs() < f64::EPSILON);
        assert_eq!(report.errors, BTreeMap::from([("http 429 requests".to_owned(), 1)]));
    }

    #[test]
    fn meters_of_threads_add_up() {
        let mut total = meter();
        total.add(&meter());
        let report = Report::of(&total, Duration::from_secs(1), 0);
        assert_eq!((report.succeeded, report.failed, total.in_time), (2000, 2, 1800));
    }

    #[test]
    fn nothing_measured_is_zero_and_not_infinite() {
        let report = Report::of(&Meter::new(), Duration::ZERO, 0);
        assert!(report.rps == 0.0 && report.latency_ms.p99 == 0.0 && report.gap_ms.is_none());
        assert!(!report.to_string().contains("latency"));
        assert!(serde_json::to_string(&report).is_ok_and(|json| !json.contains("null")));
    }

    #[test]
    fn kinds_of_failures_are_bounded() {
        let mut meter = Meter::new();
        for status in 0..1000 {
            meter.finish(Duration::ZERO, Err(Failure::Http(status, String::new())), true);
        }
        assert_eq!((meter.failures.len(), meter.failures["other"]), (65, 936));
    }

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.25, 1.5, 12.34, 250.0, 2500.0].map(millis),
            ["250 µs", "1.50 ms", "12.3 ms", "250 ms", "2.50 s"]
        );
    }
}
