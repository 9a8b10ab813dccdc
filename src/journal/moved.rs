//! What becomes of spend when it is to be kept elsewhere from now on, or here again.
//!
//! Both ways are one transaction, so that nothing is counted twice or forgotten whenever the process ends.

use std::sync::Arc;
use std::time::Duration;

use aisix_actors::MicroUsd;
use aisix_actors::budget_ledger::{Batch, ChargeSum};

use super::row::{SPEND_COLUMNS, SumRow};
use super::rows::{Rows, Table, now, write_batch};
use crate::registry::store::StoreError;

/// How much was moved: rows, and the sum.
pub(super) type Moved = (usize, MicroUsd);

impl Rows {
    /// Puts all that is kept here into the outbox, as one batch of a lane of its own; it is not kept here then.
    ///
    /// # Errors
    /// The file cannot be written; nothing is moved then.
    pub fn hand_over(&mut self) -> Result<Moved, StoreError> {
        let text = "SELECT EXISTS (SELECT 1 FROM spend) OR EXISTS (SELECT 1 FROM charges)";
        if !self.connection.query_row(text, [], |row| row.get::<_, bool>(0))? {
            return Ok((0, MicroUsd::ZERO));
        }
        // What is over for longer than that is dropped by it.
        self.fold()?;
        let time = Duration::from_secs(now().unsigned_abs());
        self.transact(|connection| {
            let (mut ids, mut sums) = (Vec::new(), Vec::new());
            let mut statement = connection.prepare(&format!("SELECT {SPEND_COLUMNS} FROM spend"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (id, Some(row)) = SumRow::read(row)? else { continue };
                ids.push(id);
                let (window, cost) = (row.window(), MicroUsd(row.cost.unsigned_abs()));
                if window.end.is_none_or(|end| time < end) && !cost.is_zero() {
                    sums.push(ChargeSum { budget: row.budget.into(), window, cost, charges: 0 });
                }
            }
            for id in ids {
                connection.prepare_cached("DELETE FROM spend WHERE id = ?1")?.execute([id])?;
            }
            let moved = sums.iter().fold(MicroUsd::ZERO, |total, sum| total.saturating_add(sum.cost));
            let lane: Arc<str> = uuid::Uuid::new_v4().to_string().into();
            let batch = Batch { lane, number: 1, sums };
            write_batch(connection, Table::Outbox, &batch)?;
            Ok((batch.sums.len(), moved))
        })
    }

    /// Keeps here what was to be told to others and was not confirmed.
    ///
    /// # Errors
    /// The file cannot be written; nothing is moved then.
    pub fn take_back(&mut self) -> Result<Moved, StoreError> {
        let known =
            self.connection.query_row("SELECT count(*), coalesce(sum(cost), 0) FROM outbox", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })?;
        let moved = (usize::try_from(known.0).unwrap_or_default(), MicroUsd(known.1.unsigned_abs()));
        if moved.0 > 0 {
            self.transact(|connection| {
                // With their checksums: a row that is not as it was written stays so.
                let columns = "lane, number, budget, window_start, window_end, cost, count, checksum";
                let text =
                    format!("INSERT INTO charges ({columns}) SELECT {columns} FROM outbox ORDER BY id");
                connection.execute(&text, [])?;
                connection.execute("DELETE FROM outbox", [])?;
                Ok(())
            })?;
        }
        Ok(moved)
    }
}
