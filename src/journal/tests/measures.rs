//! What the journal costs, for `cargo test --release --lib journal -- --ignored --nocapture`.

use super::*;

/// Not in every run: a million rows take a while to write in a debug build.
#[test]
#[ignore = "a measurement; run with --release"]
fn a_million_rows_are_replayed_within_a_second() {
    let path = scratch("million");
    let mut rows = rows::Rows::open(&path, None).expect("made");
    for number in 1..=1_000 {
        let sums = (0..1_000).map(|budget| ChargeSum {
            budget: format!("budget-{budget:04}-of-a-team").into(),
            window: Window::ENDLESS,
            cost: MicroUsd(7),
            charges: 3,
        });
        let batch =
            Batch { lane: "6b1f1c2e-0000-4000-8000-000000000000".into(), number, sums: sums.collect() };
        rows.write(rows::Table::Charges, "lane", &[batch].into(), &BTreeMap::new()).expect("written");
    }
    let begun = Instant::now();
    let this = Life::begin(&path);
    let replayed = begun.elapsed();
    assert_eq!(this.spent(&budget("budget-0999-of-a-team", Period::Total)), 7_000);
    let begun = Instant::now();
    this.journal.stop();
    println!("replayed in {replayed:?}, folded in {:?}", begun.elapsed());
    assert!(replayed < Duration::from_secs(1), "{replayed:?}");
}

#[test]
#[ignore = "a measurement; run with --release"]
fn taking_note_of_a_charge_costs_well_under_200_ns() {
    let mut pending = pending::Pending::default();
    let entries: Vec<_> = ["organisation", "team-of-search", "key-of-somebody", "model"]
        .map(|budget| ChargeEntry { budget: budget.into(), window: Window::ENDLESS, cost: MicroUsd(5) })
        .into();
    let begun = Instant::now();
    for _ in 0..1_000_000 {
        std::hint::black_box(pending.add(std::hint::black_box(&entries)));
    }
    println!("{:?} for four budgets", begun.elapsed() / 1_000_000);
}
