//! What the journal promises: every charge once, whatever happens between two commits.

use std::path::PathBuf;
use std::sync::mpsc;

use aisix_actors::budget_ledger::{Budget, BudgetScope, Period, TimeZone};
use aisix_actors::{MicroUsd, Now};
use rusqlite::Connection;

use super::*;
use crate::config::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(20);

/// A path in a folder of its own, which nothing lies in.
fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("aisix-journal-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join("store.db")
}

fn budget(id: &str, period: Period) -> Arc<Budget> {
    Arc::new(Budget {
        id: id.into(),
        name: id.into(),
        scope: BudgetScope::Org,
        scope_ref: None,
        limit: MicroUsd(1_000_000_000),
        period,
        timezone: TimeZone::UTC,
        hard_stop: true,
        alert_at: Vec::new(),
        worst_case: false,
    })
}

/// A ledger over a journal that runs.
struct Life {
    journal: JournalHandle,
    ledger: Arc<Ledger>,
}

impl Life {
    fn begin(path: &std::path::Path) -> Self {
        Self::begin_with(path, None)
    }

    fn begin_with(path: &std::path::Path, forward: Option<Box<dyn Forward>>) -> Self {
        let mut settings = Settings::default();
        settings.store.path = path.to_owned();
        let journal = JournalHandle::new(&settings, forward.is_some());
        let ledger = Arc::new(Ledger::new(Arc::new(journal.clone())));
        journal.start(&ledger, forward).expect("a thread");
        Self { journal, ledger }
    }

    fn charge(&self, budgets: &[Arc<Budget>], cost: u64) {
        let hold = self.ledger.hold(budgets, MicroUsd(1), Now::read()).expect("room");
        self.ledger.charge(hold, MicroUsd(cost), Now::read());
    }

    fn spent(&self, budget: &Arc<Budget>) -> u64 {
        self.ledger.spend(budget, Now::read()).spent.0
    }

    /// Waits until everything that was charged is on the disk.
    fn kept(&self) {
        assert!(self.journal.wait(self.journal.position(), PATIENCE), "{:?}", self.journal.counters());
    }
}

fn count(path: &std::path::Path, table: &str) -> i64 {
    let connection = Connection::open(path).expect("opened");
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("read")
}

struct Told(mpsc::Sender<Batch>);

impl Forward for Told {
    fn forward(&mut self, batch: Batch) {
        self.0.send(batch).expect("the test listens");
    }
}

#[test]
fn what_was_charged_is_there_for_the_next_process_and_folded_by_a_clean_stop() {
    let path = scratch("again");
    let budgets = [budget("day", Period::Day), budget("all", Period::Total)];
    for life in 1..=3 {
        let this = Life::begin(&path);
        assert_eq!(budgets.each_ref().map(|budget| this.spent(budget)), [(life - 1) * 30; 2]);
        this.charge(&budgets, 10);
        this.kept();
        this.charge(&budgets, 20);
        this.journal.stop();
        assert_eq!((count(&path, "charges"), count(&path, "spend"), count(&path, "lanes")), (0, 2, 0));
    }
}

#[test]
fn a_process_that_is_killed_leaves_what_was_committed() {
    let path = scratch("killed");
    let all = [budget("all", Period::Total)];
    let first = Life::begin(&path);
    first.charge(&all, 10);
    first.kept();
    // As after a kill: the first one never ends.
    let second = Life::begin(&path);
    assert_eq!(second.spent(&all[0]), 10);
    second.charge(&all, 5);
    second.kept();
    first.charge(&all, 7);
    first.kept();
    second.journal.stop();
    first.journal.stop();
    let third = Life::begin(&path);
    assert_eq!(third.spent(&all[0]), 22, "both add up");
    third.journal.stop();
}

#[test]
fn an_outbox_keeps_batches_until_they_are_confirmed() {
    let path = scratch("outbox");
    let all = [budget("all", Period::Total)];
    let (sender, told) = mpsc::channel();
    let first = Life::begin_with(&path, Some(Box::new(Told(sender))));
    first.charge(&all, 10);
    let batch = told.recv_timeout(PATIENCE).expect("forwarded");
    assert_eq!((batch.number, batch.sums[0].cost, batch.sums[0].charges), (1, MicroUsd(10), 1));
    assert_eq!(count(&path, "outbox"), 1, "forwarded once it is kept");
    first.charge(&all, 20);
    let second = told.recv_timeout(PATIENCE).expect("forwarded");
    first.journal.acknowledge(&batch.lane, 1);
    first.journal.stop();
    let (sender, told) = mpsc::channel();
    let next = Life::begin_with(&path, Some(Box::new(Told(sender))));
    assert_eq!(told.recv_timeout(PATIENCE).expect("forwarded again"), second);
    assert_eq!(next.spent(&all[0]), 0, "spend is kept elsewhere");
    next.journal.acknowledge(&second.lane, second.number);
    next.journal.stop();
    assert_eq!((count(&path, "outbox"), told.try_recv().is_err()), (0, true));
}
