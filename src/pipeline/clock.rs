//! Clock: how much time a request has left, over all its attempts, until its answer begins (§6.6).

use std::time::{Duration, Instant};

use super::exchange::Exchange;
use crate::config::settings::Settings;
use crate::config::snapshot::{Model, TimeoutRule};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Option<(Instant, Duration)>);

impl Clock {
    /// The clock of a request to the model that its caller named.
    #[must_use]
    pub fn of(exchange: &Exchange, model: &Model) -> Self {
        Self(limit(&exchange.snapshot.settings, model).map(|limit| (exchange.opened + limit, limit)))
    }

    /// A clock for what has begun already.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// What is left; nothing where there is no limit.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.0.map(|(end, _)| end.saturating_duration_since(Instant::now()))
    }

    /// The limit, where it has passed.
    #[must_use]
    pub fn overrun(self) -> Option<Duration> {
        self.0.filter(|(end, _)| *end <= Instant::now()).map(|(_, limit)| limit)
    }
}

/// How much time a request to a model has.
#[must_use]
pub fn limit(settings: &Settings, model: &Model) -> Option<Duration> {
    match model.total_timeout {
        TimeoutRule::After(limit) => Some(limit),
        TimeoutRule::None => None,
        TimeoutRule::Inherit => settings.upstream.total_timeout(),
    }
}
