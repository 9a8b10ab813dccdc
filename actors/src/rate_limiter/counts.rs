//! The counts of one scope: check first, then take, then give back.
//!
//! `check` changes nothing but windows that are over, so several scopes can be checked before one
//! is taken from. Only limited dimensions are counted: a scope without a day limit is idle a minute
//! after its last request.

use std::time::Duration;

use super::limit::{Dimension, RateLimit, Use};
use super::pace::{self, Arrival};
use crate::types::{Now, whole_seconds};

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// What one scope has used, holds and has in flight.
#[derive(Debug, Default)]
pub(super) struct Counts {
    minute: Window<MINUTE>,
    hour: Window<HOUR>,
    day: Window<DAY>,
    token_minute: Window<MINUTE>,
    token_day: Window<DAY>,
    arrival: Arrival,
    held_tokens: u64,
    concurrent: u32,
}

/// What a scope counted in its windows: the index of each and its count.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Drained {
    pub(super) minute: (u64, u64),
    pub(super) minute_tokens: (u64, u64),
    pub(super) hour: (u64, u64),
    pub(super) day: (u64, u64),
    pub(super) day_tokens: (u64, u64),
}

/// What all gateways together have counted in a scope, by the clock of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) unix: Duration,
    pub(super) minute: u64,
    pub(super) minute_tokens: u64,
    pub(super) hour: u64,
    pub(super) day: u64,
    pub(super) day_tokens: u64,
}

/// Why a scope refuses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) dimension: Dimension,
    pub(super) limit: u64,
    pub(super) used: u64,
    pub(super) retry_after: Option<Duration>,
}

/// That a scope admits, and what its steady rate becomes when it is taken from.
#[derive(Debug)]
pub(super) struct Admission {
    arrival: Arrival,
}

/// What one admission took, so that it can be given back.
#[derive(Debug)]
pub(super) struct Taken {
    tokens: u64,
    minute: Option<u64>,
    hour: Option<u64>,
    day: Option<u64>,
    arrival_before: Arrival,
    arrival: Arrival,
}

impl Counts {
    /// Says whether one more request is admitted, taking nothing.
    pub(super) fn check(&mut self, limit: &RateLimit, now: Now) -> Result<Admission, Refusal> {
        self.roll(now);
        self.check_concurrency(limit)?;
        let held = self.held_tokens;
        at_most(Dimension::Tpm, limit.tpm, self.token_minute.all(), held, Window::<MINUTE>::rest(now))?;
        at_most(Dimension::Tpd, limit.tpd, self.token_day.all(), held, Window::<DAY>::rest(now))?;
        let arrival = self.check_pace(limit, now)?;
        below(Dimension::Rpm, limit.rpm, self.minute.all(), Window::<MINUTE>::rest(now))?;
        below(Dimension::Rph, limit.rph, self.hour.all(), Window::<HOUR>::rest(now))?;
        below(Dimension::Rpd, limit.rpd, self.day.all(), Window::<DAY>::rest(now))?;
        Ok(Admission { arrival })
    }

    /// Takes what [`Counts::check`] admitted under the same lock.
    pub(super) fn take(&mut self, limit: &RateLimit, tokens: u64, admission: Admission) -> Taken {
        self.held_tokens = self.held_tokens.saturating_add(tokens);
        self.concurrent = self.concurrent.saturating_add(1);
        let arrival_before = std::mem::replace(&mut self.arrival, admission.arrival);
        Taken {
            tokens,
            minute: limit.rpm.map(|_| self.minute.add(1)),
            hour: limit.rph.map(|_| self.hour.add(1)),
            day: limit.rpd.map(|_| self.day.add(1)),
            arrival_before,
            arrival: admission.arrival,
        }
    }

    /// Gives back the hold and the slot; requests stay counted.
    pub(super) fn release(&mut self, taken: &Taken) {
        self.held_tokens = self.held_tokens.saturating_sub(taken.tokens);
        self.concurrent = self.concurrent.saturating_sub(1);
    }

    /// Gives back the hold and the slot, and adds the tokens used to the windows current now.
    pub(super) fn settle(&mut self, limit: &RateLimit, taken: &Taken, used: u64, now: Now) {
        self.release(taken);
        self.roll(now);
        if limit.tpm.is_some() {
            self.token_minute.add(used);
        }
        if limit.tpd.is_some() {
            self.token_day.add(used);
        }
    }

    /// Gives back everything that is still in the window that it was taken from.
    ///
    /// The steady rate is restored only when nobody came since: how much a request in the middle
    /// delayed the later ones is no longer known, and giving back too much would admit too many.
    pub(super) fn cancel(&mut self, taken: &Taken) {
        self.release(taken);
        self.minute.give_back(taken.minute);
        self.hour.give_back(taken.hour);
        self.day.give_back(taken.day);
        if self.arrival == taken.arrival {
            self.arrival = taken.arrival_before;
        }
    }

    /// Returns requests and tokens used in the current minute, and permits held.
    pub(super) fn standing(&mut self, now: Now) -> (u64, u64, u32) {
        self.roll(now);
        (self.minute.all(), self.token_minute.all(), self.concurrent)
    }

    /// Notes what all gateways have counted, so that this one goes on from there when it is alone.
    pub(super) fn learn(&mut self, told: &Told) {
        let Told { unix, minute, minute_tokens, hour, day, day_tokens } = *told;
        self.minute.learn(unix, minute);
        self.token_minute.learn(unix, minute_tokens);
        self.hour.learn(unix, hour);
        self.day.learn(unix, day);
        self.token_day.learn(unix, day_tokens);
    }

    /// What is used of a limit where all gateways together have counted so much.
    pub(super) fn uses_of_all(
        limit: &RateLimit,
        told: &Told,
        (held_tokens, concurrent): (u64, u32),
        now: Now,
    ) -> Vec<Use> {
        let mut counts = Self { held_tokens, concurrent, ..Self::default() };
        counts.learn(told);
        counts.uses(limit, now)
    }

    /// Takes out what is counted here in the windows current now; nothing where nothing is. From then on others count
    /// it too.
    pub(super) fn drain(&mut self, now: Now) -> Option<Drained> {
        self.roll(now);
        let drained = Drained {
            minute: self.minute.drain(),
            minute_tokens: self.token_minute.drain(),
            hour: self.hour.drain(),
            day: self.day.drain(),
            day_tokens: self.token_day.drain(),
        };
        let counts = [drained.minute, drained.minute_tokens, drained.hour, drained.day, drained.day_tokens];
        counts.iter().any(|(_, count)| *count > 0).then_some(drained)
    }

    /// Returns whether permits are open.
    pub(super) fn is_held(&self) -> bool {
        self.concurrent > 0
    }

    /// Returns what is used of every limited dimension.
    pub(super) fn uses(&mut self, limit: &RateLimit, now: Now) -> Vec<Use> {
        self.roll(now);
        let counted = |dimension, limit: Option<u64>, used, held, rest| {
            limit.map(|limit| Use { dimension, limit, used: Some(used), held, resets_in: Some(rest) })
        };
        let (minute, hour, day) =
            (Window::<MINUTE>::rest(now), Window::<HOUR>::rest(now), Window::<DAY>::rest(now));
        let held = self.held_tokens;
        let uncounted = |dimension, limit: Option<u64>, used| {
            limit.map(|limit| Use { dimension, limit, used, held: 0, resets_in: None })
        };
        [
            uncounted(Dimension::Rps, limit.rps, None),
            counted(Dimension::Rpm, limit.rpm, self.minute.all(), 0, minute),
            counted(Dimension::Rph, limit.rph, self.hour.all(), 0, hour),
            counted(Dimension::Rpd, limit.rpd, self.day.all(), 0, day),
            counted(Dimension::Tpm, limit.tpm, self.token_minute.all(), held, minute),
            counted(Dimension::Tpd, limit.tpd, self.token_day.all(), held, day),
            uncounted(Dimension::Concurrency, limit.concurrency.map(u64::from), Some(self.concurrent.into())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Returns whether forgetting these counts changes no later answer.
    pub(super) fn is_idle(&mut self, now: Now) -> bool {
        self.roll(now);
        let used = [
            self.minute.all(),
            self.hour.all(),
            self.day.all(),
            self.token_minute.all(),
            self.token_day.all(),
        ];
        self.concurrent == 0
            && self.held_tokens == 0
            && used.iter().all(|used| *used == 0)
            && pace::is_rested(self.arrival, now.steady)
    }

    fn roll(&mut self, now: Now) {
        self.minute.roll(now);
        self.hour.roll(now);
        self.day.roll(now);
        self.token_minute.roll(now);
        self.token_day.roll(now);
    }

    fn check_concurrency(&self, limit: &RateLimit) -> Result<(), Refusal> {
        match limit.concurrency {
            Some(most) if self.concurrent >= most => Err(Refusal {
                dimension: Dimension::Concurrency,
                limit: most.into(),
                used: self.concurrent.into(),
                retry_after: None,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn check_pace(&self, limit: &RateLimit, now: Now) -> Result<Arrival, Refusal> {
        let Some(rps) = limit.rps else {
            return Ok(self.arrival);
        };
        pace::next_arrival(self.arrival, rps, now.steady).map_err(|wait| Refusal {
            dimension: Dimension::Rps,
            limit: rps,
            used: rps,
            retry_after: Some(whole_seconds(wait)),
        })
    }
}

/// A fixed window of `SECONDS` aligned to the Unix epoch.
#[derive(Debug, Default)]
struct Window<const SECONDS: u64> {
    index: u64,
    /// What is counted here, and others do not know.
    used: u64,
    /// What was counted elsewhere, or here and told, as far as this process knows.
    told: u64,
}

impl<const SECONDS: u64> Window<SECONDS> {
    /// Begins the window of now if the kept one is over.
    ///
    /// A worker that read the clock just before the turn and came second finds the window after its
    /// own: it counts in that one. A clock set back further than that begins afresh.
    fn roll(&mut self, now: Now) {
        let index = now.unix.as_secs().checked_div(SECONDS).unwrap_or_default();
        if index > self.index || index.saturating_add(1) < self.index {
            *self = Self { index, used: 0, told: 0 };
        }
    }

    /// Counts, and returns the window's index.
    fn add(&mut self, count: u64) -> u64 {
        self.used = self.used.saturating_add(count);
        self.index
    }

    /// Everything counted, wherever.
    fn all(&self) -> u64 {
        self.used.saturating_add(self.told)
    }

    /// Notes a count of all gateways. Of several of the same window the highest holds: answers overtake each other, and
    /// what was counted here may be on its way.
    fn learn(&mut self, unix: Duration, count: u64) {
        let index = unix.as_secs().checked_div(SECONDS).unwrap_or_default();
        if index > self.index {
            *self = Self { index, used: 0, told: 0 };
        }
        if index == self.index {
            self.told = self.told.max(count);
        }
    }

    fn drain(&mut self) -> (u64, u64) {
        let used = std::mem::take(&mut self.used);
        self.told = self.told.saturating_add(used);
        (self.index, used)
    }

    fn give_back(&mut self, index: Option<u64>) {
        if index == Some(self.index) {
            self.used = self.used.saturating_sub(1);
        }
    }

    /// Returns the whole seconds to the end of the window of now, at least one.
    fn rest(now: Now) -> Duration {
        let into = now.unix.as_secs().checked_rem(SECONDS).unwrap_or_default();
        Duration::from_secs(SECONDS.saturating_sub(into))
    }
}

/// Returns which minute of the clock it is.
pub(super) fn minute_of(unix: Duration) -> u64 {
    unix.as_secs().checked_div(MINUTE).unwrap_or_default()
}

/// Returns the whole seconds to the next minute of the clock, from 1 to 60.
pub(super) fn rest_of_minute(now: Now) -> Duration {
    Window::<MINUTE>::rest(now)
}

/// Refuses when more than the limit is used.
///
/// Where only holds stand in the way, the wait is short: they are given back any moment.
fn at_most(
    dimension: Dimension,
    limit: Option<u64>,
    used: u64,
    held: u64,
    rest: Duration,
) -> Result<(), Refusal> {
    let taken = used.saturating_add(held);
    match limit {
        Some(limit) if taken > limit => {
            let wait = if used > limit { rest } else { whole_seconds(Duration::ZERO) };
            Err(Refusal { dimension, limit, used: taken, retry_after: Some(wait) })
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses when one more would exceed the limit.
fn below(dimension: Dimension, limit: Option<u64>, used: u64, rest: Duration) -> Result<(), Refusal> {
    match limit {
        Some(limit) if used >= limit => Err(Refusal { dimension, limit, used, retry_after: Some(rest) }),
        Some(_) | None => Ok(()),
    }
}
