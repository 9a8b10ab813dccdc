//! What the journal costs. Bounds are for a slow machine and a debug build; the figures are for the record, with
//! `AISIX_TEST_JOURNAL_ROWS=1000000 cargo test --release --lib journal -- --nocapture`.

#![expect(clippy::print_stdout, reason = "the figures are for the record")]

use super::*;

/// Set to another number of rows.
const ROWS: &str = "AISIX_TEST_JOURNAL_ROWS";
const BUDGETS: u64 = 1_000;

#[test]
fn many_rows_are_replayed_in_no_time() {
    let wanted: u64 = std::env::var(ROWS).ok().and_then(|text| text.parse().ok()).unwrap_or(50_000);
    let path = scratch("many");
    let mut rows = rows::Rows::open(&path, None).expect("made");
    let batches = wanted / BUDGETS;
    for number in 1..=batches {
        let sums = (0..BUDGETS).map(|budget| ChargeSum {
            budget: format!("budget-{budget:04}-of-a-team").into(),
            window: Window::ENDLESS,
            cost: MicroUsd(7),
            charges: 3,
        });
        let lane = "6b1f1c2e-0000-4000-8000-000000000000";
        write(&mut rows, lane, &[Batch { lane: lane.into(), number, sums: sums.collect() }]);
    }
    let begun = Instant::now();
    let this = Life::begin(&path);
    let replayed = begun.elapsed();
    assert_eq!(this.spent(&budget("budget-0999-of-a-team", Period::Total)), 7 * batches);
    let begun = Instant::now();
    this.journal.stop();
    println!("{} rows: replayed in {replayed:?}, folded in {:?}", batches * BUDGETS, begun.elapsed());
    assert!(replayed < Duration::from_secs(10), "{replayed:?}");
}

#[test]
fn taking_note_of_a_charge_costs_next_to_nothing() {
    let entries: Vec<_> = ["organisation", "team-of-search", "key-of-somebody", "model"]
        .map(|budget| ChargeEntry { budget: budget.into(), window: Window::ENDLESS, cost: MicroUsd(5) })
        .into();
    let mut settings = Settings::default();
    settings.store.path = scratch("note");
    // It is not started: nobody takes anything away.
    let journal = JournalHandle::new(&settings, false);
    let begun = Instant::now();
    for _ in 0..100_000 {
        journal.record(std::hint::black_box(&entries));
    }
    let each = begun.elapsed() / 100_000;
    println!("{each:?} for a request under four budgets");
    assert!(each < Duration::from_micros(50), "{each:?}");
}
