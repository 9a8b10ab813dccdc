//! How often one address may fail to authenticate.
//!
//! Only failures are counted, and only requests that fail are refused: a valid key is never turned away because of
//! others behind the same address, and a request that succeeds does not come here at all. So a guesser learns nothing
//! faster than the quota allows, and an office behind one address keeps working while one of its machines guesses.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::settings;
use crate::error::AccessError;

/// Addresses that are told apart, some 4 MiB of them. While more of them fail than that, and faster than they are
/// forgotten, all failures share one count: memory stays bounded, and those with a valid key notice nothing.
const MAX_SOURCES: usize = 65_536;
/// Least time between two searches for addresses that can be forgotten; a search takes a millisecond at most.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// See the module. One for callers and one for administrators.
#[derive(Default)]
pub struct AuthThrottle {
    in_force: ArcSwapOption<InForce>,
}

struct InForce {
    settings: settings::AuthThrottle,
    failures: Failures<DefaultClock>,
}

impl AuthThrottle {
    /// A throttle with these settings.
    #[must_use]
    pub fn new(settings: &settings::AuthThrottle) -> Self {
        let throttle = Self::default();
        throttle.configure(settings);
        throttle
    }

    /// Puts settings into force. What was counted stays when they are the same, and is forgotten otherwise.
    pub fn configure(&self, settings: &settings::AuthThrottle) {
        if self.in_force.load().as_ref().is_some_and(|current| current.settings == *settings) {
            return;
        }
        let failures = Failures::new(settings.quota(), MAX_SOURCES, DefaultClock::default());
        self.in_force.store(Some(InForce { settings: settings.clone(), failures }.into()));
    }

    /// Counts a failure, and gives what its caller is told: the failure, or that there have been too many.
    ///
    /// A key that is known and not in force (disabled, expired) is no guess and is not counted.
    #[must_use]
    pub fn count(&self, from: Option<IpAddr>, failure: AccessError) -> AccessError {
        if !matches!(failure, AccessError::MissingKey | AccessError::UnknownKey) {
            return failure;
        }
        let in_force = self.in_force.load();
        let Some(current) = in_force.as_ref().filter(|current| current.settings.enabled) else {
            return failure;
        };
        match current.failures.count(Origin::of(from)) {
            Ok(()) => failure,
            Err(retry_after) => AccessError::Throttled { retry_after },
        }
    }
}

/// What counts as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    V4(Ipv4Addr),
    /// The first half: one customer has at least a /64 to draw from.
    V6(u64),
    /// Whoever is not told apart from others.
    Anyone,
}

impl Origin {
    fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(v4)) => Self::V4(v4),
            // Shifted down, what is left fits.
            Some(IpAddr::V6(v6)) => Self::V6((v6.to_bits() >> 64) as u64),
            None => Self::Anyone,
        }
    }
}

/// The counts, with a clock that tests can turn.
struct Failures<C: Clock> {
    limiter: RateLimiter<Origin, HashMapStateStore<Origin>, C, NoOpMiddleware<C::Instant>>,
    max_origins: usize,
    swept_at: Mutex<C::Instant>,
}

impl<C: Clock> Failures<C> {
    fn new(quota: Quota, max_origins: usize, clock: C) -> Self {
        let swept_at = Mutex::new(clock.now());
        Self { limiter: RateLimiter::hashmap_with_clock(quota, clock), max_origins, swept_at }
    }

    /// Counts a failure; refused with the time to wait when there were too many.
    fn count(&self, origin: Origin) -> Result<(), Duration> {
        if self.limiter.len() >= self.max_origins {
            self.sweep();
        }
        // The count that all share is one of them.
        let is_full = self.limiter.len() >= self.max_origins;
        let origin = if is_full { Origin::Anyone } else { origin };
        self.limiter.check_key(&origin).map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }

    /// Forgets those who have not failed for so long that their quota is whole again.
    fn sweep(&self) {
        let mut swept_at = self.swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.limiter.clock().now();
        if Duration::from(now.duration_since(*swept_at)) >= SWEEP_EVERY {
            *swept_at = now;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn quota(per_minute: u32, burst: u32) -> Quota {
        let positive = |number| NonZeroU32::new(number).expect("positive");
        Quota::per_minute(positive(per_minute)).allow_burst(positive(burst))
    }

    fn origin(text: &str) -> Origin {
        Origin::of(Some(text.parse().expect("an address")))
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_failure_at_a_time() {
        let clock = FakeRelativeClock::default();
        let failures = Failures::new(quota(60, 3), 8, clock.clone());
        let guesser = origin("192.0.2.1");
        for _ in 0..3 {
            assert_eq!(failures.count(guesser), Ok(()));
        }
        assert_eq!(failures.count(guesser), Err(Duration::from_secs(1)));
        assert_eq!(failures.count(origin("192.0.2.2")), Ok(()));
        clock.advance(Duration::from_secs(1));
        assert_eq!(failures.count(guesser), Ok(()));
        assert_eq!(failures.count(guesser), Err(Duration::from_secs(1)));
    }

    #[test]
    fn an_ipv6_customer_is_one_origin() {
        assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff::9"));
        assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
    }

    #[test]
    fn more_addresses_than_can_be_told_apart_share_a_count_until_others_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let failures = Failures::new(quota(60, 1), 4, clock.clone());
        for last in 0..4 {
            assert_eq!(failures.count(Origin::V6(last)), Ok(()));
        }
        assert_eq!(failures.count(Origin::V6(4)), Ok(()), "the first of the shared count");
        for last in 5..100 {
            assert!(failures.count(Origin::V6(last)).is_err());
            assert!(failures.limiter.len() <= 5);
        }
        clock.advance(Duration::from_secs(60));
        assert_eq!(failures.count(Origin::V6(200)), Ok(()));
        assert_eq!(failures.count(Origin::V6(201)), Ok(()));
        assert_eq!(failures.limiter.len(), 2);
    }

    #[test]
    fn only_guesses_are_counted_and_new_settings_begin_anew() {
        let mut settings = settings::AuthThrottle { burst: NonZeroU32::MIN, ..Default::default() };
        let throttle = AuthThrottle::new(&settings);
        let is_throttled = |failure| matches!(throttle.count(None, failure), AccessError::Throttled { .. });
        for _ in 0..3 {
            assert!(!is_throttled(AccessError::DisabledKey) && !is_throttled(AccessError::ExpiredKey));
        }
        assert!(!is_throttled(AccessError::UnknownKey));
        assert!(is_throttled(AccessError::UnknownKey) && is_throttled(AccessError::MissingKey));
        throttle.configure(&settings);
        assert!(is_throttled(AccessError::UnknownKey), "the same settings change nothing");
        settings.enabled = false;
        throttle.configure(&settings);
        assert!(!is_throttled(AccessError::UnknownKey) && !is_throttled(AccessError::UnknownKey));
    }
}
