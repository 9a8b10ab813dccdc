//! The journal's connection to the store: batches go in as transactions.
//!
//! A transaction of which nobody knows whether it came about is made again, and must not count twice: `lanes` says up to
//! which number the file has the batches of a lane.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aisix_actors::MicroUsd;
use aisix_actors::budget_ledger::{Batch, ChargeSum};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{COLUMNS, SumRow, bounds, seconds, whole};
use crate::registry::store::{self, StoreError};

/// Batches that are read at once.
const PIECE: i64 = 512;
/// Longest list of broken rows in the log.
const MAX_LISTED: usize = 10;

/// A table of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// What is not folded yet.
    Charges,
    /// What others have to be told.
    Outbox,
    /// What is folded, a row for each budget and period.
    Spend,
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Self::Charges => "charges",
            Self::Outbox => "outbox",
            Self::Spend => "spend",
        }
    }
}

/// An open file with rows of the journal.
pub(super) struct Rows {
    pub(super) connection: Connection,
    path: PathBuf,
    place: Place,
    /// Rows that are not as they were written, as far as they were met.
    pub(super) corrupt: BTreeSet<(Table, i64)>,
}

/// A lane, and a number in it.
pub(super) type Spot = (Arc<str>, u64);

/// Where a file lies on its disk.
pub(super) type Place = Option<(u64, u64)>;

impl Rows {
    /// Opens the file, or makes it; but not anew where there was one before, at another place of the disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: &Path, before: Place) -> Result<Self, StoreError> {
        if before.is_some() && store::place_of(path) != before {
            return Err(StoreError::Moved);
        }
        let connection = if path.exists() { store::connect(path) } else { store::make(path) }?;
        let (path, place) = (path.to_owned(), store::place_of(path));
        Ok(Self { connection, path, place, corrupt: BTreeSet::new() })
    }

    /// Opens a file that nobody can write to.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let connection = store::connect_to_read(path)?;
        Ok(Self { connection, path: path.to_owned(), place: store::place_of(path), corrupt: BTreeSet::new() })
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// Writes batches of one lane, and forgets what others have: all of it or nothing. Gives the number of rows.
    ///
    /// # Errors
    /// The file cannot be written, or nobody knows whether it is.
    pub fn write(
        &mut self,
        table: Table,
        lane: &str,
        batches: &VecDeque<Batch>,
        acknowledged: &BTreeMap<Arc<str>, u64>,
    ) -> Result<usize, StoreError> {
        if store::place_of(&self.path) != self.place {
            return Err(StoreError::Moved);
        }
        self.transact(|connection| {
            let known = "SELECT number FROM lanes WHERE lane = ?1";
            let known = connection.prepare_cached(known)?.query_row([lane], |row| row.get(0)).optional()?;
            let known: i64 = known.unwrap_or(0);
            let mut count = 0;
            for batch in batches.iter().filter(|batch| whole(batch.number) > known) {
                write_batch(connection, table, batch)?;
                count += batch.sums.len();
            }
            let last = batches.back().map_or(0, |batch| whole(batch.number)).max(known);
            let text = "INSERT INTO lanes (lane, number, at) VALUES (?1, ?2, ?3) \
                        ON CONFLICT (lane) DO UPDATE SET number = ?2, at = ?3";
            connection.prepare_cached(text)?.execute(params![lane, last, now()])?;
            for (lane, number) in acknowledged {
                let text = "DELETE FROM outbox WHERE lane = ?1 AND number <= ?2";
                connection.prepare_cached(text)?.execute(params![&**lane, whole(*number)])?;
            }
            Ok(count)
        })
    }

    /// Forgets the lane of a process that writes nothing any more.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn end_lane(&mut self, lane: &str) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM lanes WHERE lane = ?1", [lane])?;
        Ok(())
    }

    /// What other lanes have left in the outbox behind a place, lane by lane in the order of their numbers: some batches,
    /// and the place of the last. Nothing where there are no more.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn outbox(&mut self, after: &Spot, but: &str) -> Result<Option<(Vec<Batch>, Spot)>, StoreError> {
        let text = "SELECT lane, number FROM (SELECT DISTINCT lane, number FROM outbox \
                    WHERE (lane, number) > (?1, ?2) AND lane <> ?3 AND typeof(lane) = 'text' \
                    AND typeof(number) = 'integer' ORDER BY lane, number LIMIT ?4) ORDER BY lane DESC, number DESC LIMIT 1";
        let wanted = params![&*after.0, whole(after.1), but, PIECE];
        let spot = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
        let last = self.connection.prepare_cached(text)?.query_row(wanted, spot).optional()?;
        let Some((lane, number)) = last else { return Ok(None) };
        let (mut batches, mut corrupt): (Vec<Batch>, _) = (Vec::new(), Vec::new());
        let text = format!(
            "SELECT {COLUMNS} FROM outbox WHERE (lane, number) > (?1, ?2) AND (lane, number) <= (?3, ?4) \
             AND lane <> ?5 ORDER BY lane, number, id"
        );
        let mut statement = self.connection.prepare_cached(&text)?;
        let mut rows = statement.query(params![&*after.0, whole(after.1), lane, number, but])?;
        while let Some(row) = rows.next()? {
            let (id, Some(row)) = SumRow::read(row)? else {
                corrupt.push(row.get(0)?);
                continue;
            };
            let _ = id;
            let sum = ChargeSum {
                budget: row.budget.into(),
                window: row.window(),
                cost: MicroUsd(row.cost.unsigned_abs()),
                charges: row.count.unsigned_abs(),
            };
            let number = row.number.unsigned_abs();
            match batches.last_mut() {
                Some(last) if *last.lane == *row.lane && last.number == number => last.sums.push(sum),
                _ => batches.push(Batch { lane: row.lane.into(), number, sums: vec![sum] }),
            }
        }
        drop(rows);
        drop(statement);
        self.report(Table::Outbox, corrupt);
        Ok(Some((batches, (lane.into(), number.unsigned_abs()))))
    }

    /// Does something as one transaction.
    pub(super) fn transact<T>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let changed = change(&self.connection).and_then(|changed| {
            self.connection.execute_batch("COMMIT")?;
            Ok(changed)
        });
        if changed.is_err() && !self.connection.is_autocommit() {
            // What cannot be undone is undone by whoever opens the file next.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        changed
    }

    /// Notes rows that are not as they were written, and says so once of each.
    pub(super) fn report(&mut self, table: Table, ids: Vec<i64>) {
        let fresh: Vec<i64> = ids.into_iter().filter(|id| self.corrupt.insert((table, *id))).collect();
        if fresh.is_empty() {
            return;
        }
        let (count, name) = (fresh.len(), table.name());
        let listed: Vec<String> = fresh.iter().take(MAX_LISTED).map(i64::to_string).collect();
        log::error!(
            "{count} rows of the table {name} in {} are not as they were written, and are left out of what is spent: \
             id {}{}",
            self.path.display(),
            listed.join(", "),
            if count > MAX_LISTED { ", …" } else { "" }
        );
    }
}

pub(super) fn write_batch(connection: &Connection, table: Table, batch: &Batch) -> Result<(), StoreError> {
    let text = match table {
        Table::Outbox => {
            "INSERT INTO outbox (lane, number, budget, window_start, window_end, cost, count, checksum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        }
        Table::Charges | Table::Spend => {
            "INSERT INTO charges (lane, number, budget, window_start, window_end, cost, count, checksum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        }
    };
    let mut insert = connection.prepare_cached(text)?;
    for ChargeSum { budget, window, cost, charges } in &batch.sums {
        let (start, end) = bounds(window);
        let (number, cost, count) = (whole(batch.number), whole(cost.0), whole(*charges));
        let row = SumRow { lane: &batch.lane, number, budget, start, end, cost, count };
        insert.execute(params![row.lane, number, row.budget, start, end, cost, count, row.checksum()])?;
    }
    Ok(())
}

/// The time, in Unix seconds.
pub(super) fn now() -> i64 {
    seconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
