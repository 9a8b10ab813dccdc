//! Counters of one worker that are few and known beforehand, and what it has under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aisix_actors::rate_limiter::{Dimension, Layer};

use super::record::{Admission, Drained, Record};
use super::spread::Cell;
use crate::endpoints::{ENDPOINTS, Endpoint};

/// Endpoints that the board tells apart.
const PLACES: usize = ENDPOINTS.len();

/// The place of an endpoint in the table.
#[must_use]
pub fn place_of(endpoint: &'static Endpoint) -> usize {
    ENDPOINTS.iter().position(|row| std::ptr::eq(row, endpoint)).unwrap_or_default()
}

/// What admission may decide, with its labels `method`, `result` and `reason`.
pub const ADMISSIONS: [(Admission, [&str; 3]); 5] = [
    (Admission::Allowed, ["api_key", "allowed", "valid_key"]),
    (Admission::Missing, ["none", "denied", "missing_credential"]),
    (Admission::Unknown, ["api_key", "denied", "unknown_key"]),
    (Admission::Disabled, ["api_key", "denied", "disabled_key"]),
    (Admission::Expired, ["api_key", "denied", "expired_key"]),
];

/// What may become of a refused body, with its label `outcome`.
pub const DRAINS: [(Drained, &str); 4] = [
    (Drained::Completed, "completed"),
    (Drained::CapReached, "cap_reached"),
    (Drained::Timeout, "timeout"),
    (Drained::ClientReadError, "client_read_error"),
];

/// The label `scope` of a refusal by a limit.
pub const SCOPES: [&str; 3] = ["requests", "tokens", "concurrency"];
/// The layers of limits that are few; policies are counted by their ids, as tallies.
pub const LAYERS: [Layer; 2] = [Layer::ApiKey, Layer::Model];

/// See the module.
#[derive(Debug, Default)]
pub struct Board {
    open: [AtomicUsize; PLACES],
    /// Bytes of lines that wait to be handed to their writers.
    pub buffered: Cell,
    /// By [`ADMISSIONS`].
    pub admissions: [Cell; ADMISSIONS.len()],
    /// By endpoint and [`DRAINS`].
    pub drains: [[Cell; DRAINS.len()]; PLACES],
    /// By [`SCOPES`] and [`LAYERS`].
    pub refusals: [[Cell; LAYERS.len()]; SCOPES.len()],
}

impl Board {
    /// Counts an exchange as open until the guard is dropped.
    #[must_use]
    pub fn open(self: &Arc<Self>, endpoint: &'static Endpoint) -> Opened {
        let place = place_of(endpoint);
        self.open[place].fetch_add(1, Ordering::AcqRel);
        Opened { board: Arc::clone(self), place }
    }

    /// Exchanges that are open at an endpoint.
    #[must_use]
    pub fn open_at(&self, place: usize) -> usize {
        self.open.get(place).map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Exchanges that are open.
    #[must_use]
    pub fn open_exchanges(&self) -> usize {
        self.open.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// Counts what an exchange met.
    pub fn count(&self, place: usize, record: &Record<'_>) {
        if let Some(admission) = record.admission {
            self.admissions[admission as usize].add(1);
        }
        if let Some(drained) = record.drained {
            self.drains[place][drained as usize].add(1);
        }
        for (layer, dimension) in refusing(record) {
            if let Some(layer) = LAYERS.iter().position(|known| known == layer) {
                self.refusals[scope_of(*dimension)][layer].add(1);
            }
        }
    }
}

/// The limits that refused an exchange or an attempt of it.
pub fn refusing<'r>(record: &Record<'r>) -> impl Iterator<Item = &'r (Layer, Dimension)> {
    // What refused the last attempt is also what refused the exchange.
    let last = record.failure.filter(|_| record.attempts.is_empty());
    let failed = record.attempts.iter().filter_map(|attempt| attempt.failure.as_ref());
    failed.chain(last).filter_map(|failure| failure.limit.as_ref())
}

/// The place of a dimension among [`SCOPES`].
#[must_use]
pub const fn scope_of(dimension: Dimension) -> usize {
    match dimension {
        Dimension::Rps | Dimension::Rpm | Dimension::Rph | Dimension::Rpd => 0,
        Dimension::Tpm | Dimension::Tpd => 1,
        Dimension::Concurrency => 2,
    }
}

/// One exchange in progress; a drain waits for it.
pub struct Opened {
    board: Arc<Board>,
    place: usize,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.board.open[self.place].fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_where_their_counters_are() {
        for (place, (admission, _)) in ADMISSIONS.iter().enumerate() {
            assert_eq!(*admission as usize, place);
        }
        for (place, (drained, _)) in DRAINS.iter().enumerate() {
            assert_eq!(*drained as usize, place);
        }
    }
}
