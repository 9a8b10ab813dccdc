//! What the journal promises: every charge once, whatever happens between two commits.

mod measures;
mod outbox;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc;

use aisix_actors::budget_ledger::{Budget, BudgetScope, ChargeSum, Period, TimeZone, Window};
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

/// A charge to one budget.
fn batch(number: u64, cost: u64) -> Batch {
    let sum = ChargeSum { budget: "all".into(), window: Window::ENDLESS, cost: MicroUsd(cost), charges: 1 };
    Batch { lane: "lane".into(), number, sums: vec![sum] }
}

fn write(rows: &mut rows::Rows, lane: &str, batches: &[Batch]) -> usize {
    let batches = batches.iter().cloned().collect();
    rows.write(rows::Table::Charges, lane, &batches, &BTreeMap::new()).expect("written")
}

/// What a process that starts finds to be spent, and how many rows it leaves out.
fn replayed(path: &std::path::Path) -> (u64, usize) {
    let mut rows = rows::Rows::open(path, None).expect("opened");
    let mut spent = 0;
    rows.replay(|_, _, cost| spent += cost).expect("read");
    (spent, rows.corrupt.len())
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

#[test]
fn a_row_that_is_not_as_it_was_written_does_not_count_and_is_told_of() {
    let path = scratch("corrupt");
    let mut rows = rows::Rows::open(&path, None).expect("made");
    write(&mut rows, "lane", &[batch(1, 10), batch(2, 5)]);
    let editor = Connection::open(&path).expect("opened");
    for change in [
        "cost = 1",
        "cost = 'ten'",
        "count = 77",
        "window_start = 3600",
        "window_end = 1",
        "budget = 'al'",
        "lane = 'lan'",
        "number = 2",
        "checksum = checksum + 1",
        "lane = '', budget = 'laneall'",
    ] {
        editor.execute_batch(&format!("UPDATE charges SET {change} WHERE id = 1")).expect("changed");
        assert_eq!(replayed(&path), (5, 1), "{change}");
        editor.execute_batch("DELETE FROM charges; DELETE FROM lanes").expect("cleared");
        write(&mut rows, "lane", &[batch(1, 10), batch(2, 5)]);
    }
    editor.execute_batch("UPDATE charges SET cost = 99 WHERE id = 1").expect("changed");
    rows.fold().expect("folded");
    assert_eq!((count(&path, "charges"), count(&path, "spend")), (1, 1), "it stays for somebody to look at");
    assert_eq!((replayed(&path), rows.corrupt.len()), ((5, 1), 1));
    editor.execute_batch("UPDATE spend SET cost = 0").expect("changed");
    assert_eq!(replayed(&path), (0, 2));
    write(&mut rows, "lane", &[batch(3, 7)]);
    rows.fold().expect("folded");
    assert_eq!(replayed(&path), (7, 2), "nothing is added to a sum that is not known");
}

#[test]
fn a_store_of_the_first_layout_is_taken_over_with_what_is_in_it() {
    let path = scratch("first");
    let old = Connection::open(&path).expect("made");
    old.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA user_version = 1;
         CREATE TABLE resources (kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL,
                                 body TEXT NOT NULL, PRIMARY KEY (kind, id));
         INSERT INTO resources VALUES ('models', 'a', 3, '{}');",
    )
    .expect("written");
    drop(old);
    let store = crate::registry::store::Store::open(&path).expect("opened").expect("there");
    assert!(!store.is_untouched());
    assert_eq!(store.rows().expect("read").len(), 1);
    let all = [budget("all", Period::Total)];
    let this = Life::begin(&path);
    this.charge(&all, 10);
    this.journal.stop();
    let next = Life::begin(&path);
    assert_eq!((next.spent(&all[0]), store.rows().expect("read").len()), (10, 1));
    next.journal.stop();
}

#[test]
fn a_batch_that_is_written_again_counts_once() {
    let path = scratch("again-batch");
    let mut rows = rows::Rows::open(&path, None).expect("made");
    assert_eq!(write(&mut rows, "lane", &[batch(1, 10)]), 1);
    assert_eq!(write(&mut rows, "lane", &[batch(1, 10)]), 0, "the first word was not heard, but it was said");
    assert_eq!(write(&mut rows, "lane", &[batch(1, 10), batch(2, 5)]), 1);
    assert_eq!(write(&mut rows, "another", &[batch(1, 1)]), 1);
    rows.fold().expect("folded");
    assert_eq!(replayed(&path), (16, 0));
}

#[test]
fn spend_of_long_ago_is_dropped_and_that_of_now_is_kept() {
    let path = scratch("old");
    let mut rows = rows::Rows::open(&path, None).expect("made");
    let day = Duration::from_secs(86_400);
    let now = Now::read().unix;
    let windows = [
        Window::ENDLESS,
        Window { start: now - day * 40, end: Some(now - day * 36) },
        Window { start: now - day * 40, end: Some(now - day * 34) },
    ];
    let sum = |window| ChargeSum { budget: "b".into(), window, cost: MicroUsd(1), charges: 1 };
    let batch = Batch { lane: "lane".into(), number: 1, sums: windows.map(sum).into() };
    rows.write(rows::Table::Charges, "lane", &[batch].into(), &BTreeMap::new()).expect("written");
    rows.fold().expect("folded");
    assert_eq!((count(&path, "charges"), count(&path, "spend")), (0, 2));
}

#[test]
fn what_cannot_be_written_adds_up_and_is_written_once_that_is_over() {
    let path = scratch("stalled").join("nowhere").join("store.db");
    let budgets = [budget("all", Period::Total), budget("day", Period::Day)];
    let this = Life::begin(&path);
    let soft = budgets.clone().map(|budget| Arc::new(Budget { hard_stop: false, ..(*budget).clone() }));
    this.charge(&soft, 1);
    let deadline = Instant::now() + PATIENCE;
    while !this.journal.is_refusing() {
        assert!(Instant::now() < deadline, "it is noticed");
        std::thread::yield_now();
    }
    assert!(!this.journal.wait(this.journal.position(), PATIENCE), "nobody waits for what fails");
    for _ in 0..10_000 {
        this.charge(&soft, 1);
    }
    assert_eq!((this.journal.health(), this.journal.counters().pending), (Health::Refusing, 20_002));
    assert!(this.ledger.hold(&budgets, MicroUsd(1), Now::read()).is_err());
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    this.journal.stop();
    assert_eq!((this.journal.health(), this.journal.counters().pending), (Health::Well, 0));
    assert_eq!(this.journal.counters().commits, 2, "the batch that failed, and the sum of all others");
    let next = Life::begin(&path);
    assert_eq!(budgets.each_ref().map(|budget| next.spent(budget)), [10_001; 2]);
    next.journal.stop();
}
