//! One row of the journal, and the checksum that tells whether it is as it was written.

use std::time::Duration;

use aisix_actors::budget_ledger::Window;
use rusqlite::Row;
use rusqlite::types::ValueRef;

/// A sum of charges to one budget in one period, as it lies in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SumRow<'a> {
    /// Who wrote it; empty in `spend`, which adds up what all have written.
    pub lane: &'a str,
    /// The number of its batch; 0 in `spend`.
    pub number: i64,
    pub budget: &'a str,
    /// In Unix seconds.
    pub start: i64,
    /// In Unix seconds; 0 for never.
    pub end: i64,
    /// In millionths of a dollar.
    pub cost: i64,
    /// How many charges it is the sum of; 0 in `spend`.
    pub count: i64,
}

/// What is read for a row of the journal, in this order; `spend` has the same with constants.
pub(super) const COLUMNS: &str = "id, checksum, lane, number, budget, window_start, window_end, cost, count";
/// The same for `spend`.
pub(super) const SPEND_COLUMNS: &str =
    "id, checksum, '' AS lane, 0 AS number, budget, window_start, window_end, cost, 0 AS count";

impl<'a> SumRow<'a> {
    /// Reads a row with its id; nothing where it is not as it was written.
    pub fn read(row: &'a Row<'_>) -> rusqlite::Result<(i64, Option<Self>)> {
        let id = row.get_ref(0)?.as_i64().unwrap_or_default();
        let whole = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_i64().ok());
        let text = |column: usize| {
            Ok::<_, rusqlite::Error>(match row.get_ref(column)? {
                ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
                _ => None,
            })
        };
        let (checksum, number, start, end) = (whole(1)?, whole(3)?, whole(5)?, whole(6)?);
        let (cost, count, lane, budget) = (whole(7)?, whole(8)?, text(2)?, text(4)?);
        let read = || {
            let (lane, budget, number) = (lane?, budget?, number?);
            let this = Self { lane, number, budget, start: start?, end: end?, cost: cost?, count: count? };
            (checksum? == this.checksum()).then_some(this)
        };
        Ok((id, read()))
    }

    /// CRC-32 over all members; texts with their lengths, so that nothing can move from one to the next.
    pub fn checksum(&self) -> i64 {
        let mut hasher = crc32fast::Hasher::new();
        for text in [self.lane, self.budget] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let mut numbers = [0; 40];
        let all = [self.number, self.start, self.end, self.cost, self.count];
        for (place, number) in numbers.chunks_exact_mut(8).zip(all) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        hasher.update(&numbers);
        hasher.finalize().into()
    }

    /// The period.
    pub fn window(&self) -> Window {
        let at = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        Window { start: at(self.start), end: (self.end != 0).then(|| at(self.end)) }
    }
}

/// Start and end of a period as they are written.
pub(super) fn bounds(window: &Window) -> (i64, i64) {
    (seconds(window.start), window.end.map_or(0, seconds))
}

/// A Unix time as it is written.
pub(super) fn seconds(unix: Duration) -> i64 {
    whole(unix.as_secs())
}

/// A number as SQLite can keep it: millionths of a dollar reach for nine million millions of them.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
