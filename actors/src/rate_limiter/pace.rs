//! The steady rate behind `rps`: GCRA by the `governor` crate, as a pure function.
//!
//! A limiter of `governor` owns its clock and its state and takes a cell as it checks. Here several
//! scopes must agree before any is taken from, so the state is handed in and the next one handed
//! out; storing it is taking.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

/// When the next request would arrive at an exactly even rate; `None` before the first one.
pub(super) type Arrival = Option<Nanos>;

/// Returns the arrival after one more request now.
///
/// # Errors
/// The time to wait when the rate is used up.
pub(super) fn next_arrival(arrival: Arrival, per_second: u64, now: Duration) -> Result<Arrival, Duration> {
    let burst = u32::try_from(per_second).unwrap_or(u32::MAX);
    let Some(burst) = NonZeroU32::new(burst) else {
        return Err(Duration::from_secs(1));
    };
    let clock = Given(Cell::new(Nanos::new(0)));
    let limiter: RateLimiter<_, _, _, NoOpMiddleware<Nanos>> =
        RateLimiter::new(Quota::per_second(burst), Held(Cell::new(arrival)), clock);
    let now = nanos(now);
    limiter.clock().0.set(now);
    limiter.check().map_err(|refusal| refusal.wait_time_from(now))?;
    Ok(limiter.into_state_store().0.get())
}

/// Returns whether a rate has recovered fully, so that its state need not be kept.
pub(super) fn is_rested(arrival: Arrival, now: Duration) -> bool {
    arrival.is_none_or(|arrival| arrival <= nanos(now))
}

fn nanos(time: Duration) -> Nanos {
    // A steady clock stays below 584 years; the bound keeps governor's additions far from overflow.
    Nanos::new(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4))
}

/// A clock that shows the time that it was given.
struct Given(Cell<Nanos>);

impl Clock for Given {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.get()
    }
}

/// A state that is read back after the check.
struct Held(Cell<Arrival>);

impl StateStore for Held {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (decision, next) = decide(self.0.get())?;
        self.0.set(Some(next));
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(per_second: u64, times: impl IntoIterator<Item = u64>) -> usize {
        let mut arrival = None;
        let take = |millis| match next_arrival(arrival, per_second, Duration::from_millis(millis)) {
            Ok(next) => {
                arrival = next;
                true
            }
            Err(_) => false,
        };
        times.into_iter().map(take).filter(|taken| *taken).count()
    }

    #[test]
    fn a_burst_of_one_second_passes_and_no_more() {
        assert_eq!(admitted(10, [5_000; 50]), 10);
    }

    #[test]
    fn the_rate_does_not_double_at_the_turn_of_a_second() {
        let around_the_turn = std::iter::repeat_n(999, 20).chain(std::iter::repeat_n(1_001, 20));
        assert_eq!(admitted(10, around_the_turn), 10);
    }

    #[test]
    fn nothing_passes_at_a_rate_of_zero() {
        assert_eq!(next_arrival(None, 0, Duration::ZERO), Err(Duration::from_secs(1)));
    }

    #[test]
    fn a_refusal_says_how_long_to_wait() {
        let now = Duration::from_secs(7);
        let first = next_arrival(None, 2, now).unwrap();
        let second = next_arrival(first, 2, now).unwrap();
        assert_eq!(next_arrival(second, 2, now), Err(Duration::from_millis(500)));
        assert!(!is_rested(second, now));
        assert!(is_rested(second, now + Duration::from_secs(1)));
    }
}
