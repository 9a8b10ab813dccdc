//! Reading the journal again, and folding it: rows of batches become one row for each budget and period.
//!
//! A row is folded and deleted in one transaction, so it counts exactly once whenever the process ends, and however many
//! gateways share the file.

use std::sync::Arc;

use aisix_actors::budget_ledger::Window;
use hashbrown::HashMap;
use rusqlite::{Connection, params};

use super::row::{COLUMNS, SPEND_COLUMNS, SumRow, bounds};
use super::rows::{Rows, Table, now};
use crate::registry::store::StoreError;

/// How long spend of periods that are over is kept, in seconds: a month, and some days to look at it.
const KEPT_FOR: i64 = 35 * 86_400;

/// Spend by budget and period.
type Spent = HashMap<Arc<str>, Vec<(Window, i64)>, foldhash::fast::RandomState>;

impl Rows {
    /// Tells all that was ever spent, by budget and period.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn replay(&mut self, mut tell: impl FnMut(&Arc<str>, Window, u64)) -> Result<(), StoreError> {
        if !self.has_tables()? {
            return Ok(());
        }
        let mut spent = Spent::default();
        let reads = [(Table::Spend, SPEND_COLUMNS), (Table::Charges, COLUMNS)];
        // As one picture: another gateway may fold meanwhile.
        self.connection.execute_batch("BEGIN")?;
        let corrupt = reads.map(|(table, columns)| {
            let text = format!("SELECT {columns} FROM {}", table.name());
            Ok::<_, StoreError>((table, add_up(&self.connection, &text, &mut spent)?.corrupt))
        });
        self.connection.execute_batch("COMMIT")?;
        for read in corrupt {
            let (table, corrupt) = read?;
            self.report(table, corrupt);
        }
        for (budget, windows) in &spent {
            windows.iter().for_each(|(window, cost)| tell(budget, *window, cost.unsigned_abs()));
        }
        Ok(())
    }

    /// Folds everything that can be, and drops what is long over.
    ///
    /// # Errors
    /// The file cannot be written; nothing is changed then.
    pub fn fold(&mut self) -> Result<(), StoreError> {
        let (of_charges, of_spend) = self.transact(|connection| {
            let mut spent = Spent::default();
            let text = format!("SELECT {COLUMNS} FROM charges ORDER BY id");
            let charges = add_up(connection, &text, &mut spent)?;
            let mut corrupt = Vec::new();
            for (budget, windows) in &spent {
                for (window, cost) in windows {
                    corrupt.extend(fold_one(connection, budget, window, *cost)?);
                }
            }
            delete_but(connection, charges.last, &charges.corrupt)?;
            let over = now().saturating_sub(KEPT_FOR);
            connection.execute("DELETE FROM spend WHERE window_end > 0 AND window_end < ?1", [over])?;
            connection.execute("DELETE FROM lanes WHERE at < ?1", [over])?;
            Ok((charges.corrupt, corrupt))
        })?;
        self.report(Table::Charges, of_charges);
        self.report(Table::Spend, of_spend);
        Ok(())
    }

    /// A file of an earlier layout that nobody can write to has no journal.
    fn has_tables(&self) -> Result<bool, StoreError> {
        let text = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('spend', 'charges')";
        Ok(self.connection.query_row(text, [], |row| row.get::<_, i64>(0))? == 2)
    }
}

/// What was read.
struct Read {
    /// The highest id.
    last: i64,
    /// Ids of the rows that are left out.
    corrupt: Vec<i64>,
}

fn add_up(connection: &Connection, text: &str, spent: &mut Spent) -> Result<Read, StoreError> {
    let mut read = Read { last: 0, corrupt: Vec::new() };
    let mut statement = connection.prepare(text)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, row) = SumRow::read(row)?;
        read.last = read.last.max(id);
        let Some(row) = row else {
            read.corrupt.push(id);
            continue;
        };
        let windows = match spent.get_mut(row.budget) {
            Some(windows) => windows,
            None => spent.entry(row.budget.into()).or_default(),
        };
        let window = row.window();
        match windows.iter_mut().rev().find(|(known, _)| *known == window) {
            Some((_, cost)) => *cost = cost.saturating_add(row.cost),
            None => windows.push((window, row.cost)),
        }
    }
    Ok(read)
}

/// Adds to the row of a budget and period, and gives the ids of rows that are not as they were written.
fn fold_one(
    connection: &Connection,
    budget: &str,
    window: &Window,
    cost: i64,
) -> Result<Vec<i64>, StoreError> {
    let ((start, end), mut cost) = (bounds(window), cost);
    let (mut folded, mut corrupt) = (Vec::new(), Vec::new());
    let text = format!(
        "SELECT {SPEND_COLUMNS} FROM spend WHERE budget = ?1 AND window_start = ?2 AND window_end = ?3"
    );
    let mut statement = connection.prepare_cached(&text)?;
    let mut rows = statement.query(params![budget, start, end])?;
    while let Some(row) = rows.next()? {
        match SumRow::read(row)? {
            (id, Some(row)) => {
                cost = cost.saturating_add(row.cost);
                folded.push(id);
            }
            (id, None) => corrupt.push(id),
        }
    }
    for id in folded {
        connection.prepare_cached("DELETE FROM spend WHERE id = ?1")?.execute([id])?;
    }
    let row = SumRow { lane: "", number: 0, budget, start, end, cost, count: 0 };
    let text =
        "INSERT INTO spend (budget, window_start, window_end, cost, checksum) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(text)?.execute(params![budget, start, end, cost, row.checksum()])?;
    Ok(corrupt)
}

/// Deletes charges up to an id, but for some.
fn delete_but(connection: &Connection, last: i64, kept: &[i64]) -> Result<(), StoreError> {
    let text = "DELETE FROM charges WHERE id > ?1 AND id < ?2";
    let mut delete = connection.prepare_cached(text)?;
    let mut from = i64::MIN;
    for id in kept.iter().copied().chain([last.saturating_add(1)]) {
        delete.execute([from, id])?;
        from = id;
    }
    Ok(())
}
