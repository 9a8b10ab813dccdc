//! What an outbox does with much that waits, and with what arrives before it is written.

use std::collections::VecDeque;

use super::*;

fn batch(lane: &str, number: u64) -> Batch {
    let sum = ChargeSum { budget: "all".into(), window: Window::ENDLESS, cost: MicroUsd(1), charges: 1 };
    Batch { lane: lane.into(), number, sums: vec![sum] }
}

#[test]
fn what_earlier_lives_have_left_is_forwarded_piece_by_piece_and_once() {
    let path = scratch("pieces");
    let mut rows = rows::Rows::open(&path, None).expect("made");
    for (lane, count) in [("a", 700), ("b", 3), ("c", 900)] {
        let batches: VecDeque<Batch> = (1..=count).map(|number| batch(lane, number)).collect();
        rows.write(rows::Table::Outbox, lane, &batches, &BTreeMap::new()).expect("written");
    }
    let (sender, told) = mpsc::channel();
    let life = Life::begin_with(&path, Some(Box::new(Told(sender))));
    let mut seen = Vec::new();
    while seen.len() < 1_603 {
        let batch = told.recv_timeout(PATIENCE).expect("there is more");
        seen.push((batch.lane.to_string(), batch.number));
        let waiting: Vec<Batch> = told.try_iter().collect();
        assert!(waiting.len() < 512, "{}", waiting.len());
        seen.extend(waiting.iter().map(|batch| (batch.lane.to_string(), batch.number)));
        let (lane, number) = seen.last().expect("there is one");
        life.journal.acknowledge(lane, *number);
    }
    let of = |lane: &'static str, count| (1..=count).map(move |number| (lane.to_owned(), number));
    assert_eq!(seen, of("a", 700).chain(of("b", 3)).chain(of("c", 900)).collect::<Vec<_>>());
    life.journal.stop();
    assert!(told.try_recv().is_err(), "nothing comes twice");
}

#[test]
fn nobody_waits_for_the_disk_with_what_has_arrived_without_it() {
    let path = scratch("arrived");
    let folder = path.parent().expect("there is one").to_owned();
    std::fs::remove_dir_all(&folder).expect("removed");
    std::fs::write(&folder, "no folder").expect("written");
    let all = [budget("all", Period::Total)];
    let (sender, told) = mpsc::channel();
    let life = Life::begin_with(&path, Some(Box::new(Told(sender))));
    life.charge(&all, 10);
    let batch = told.recv_timeout(PATIENCE).expect("forwarded all the same");
    life.journal.acknowledge(&batch.lane, batch.number);
    let end = Instant::now() + PATIENCE;
    while life.journal.counters().pending > 0 {
        assert!(Instant::now() < end, "{:?}", life.journal.counters());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(life.journal.committed(), batch.number);
    std::fs::remove_file(&folder).expect("removed");
    std::fs::create_dir_all(&folder).expect("made");
    while life.journal.health() != Health::Well {
        assert!(Instant::now() < end, "{:?}", life.journal.health());
        std::thread::sleep(Duration::from_millis(5));
    }
    life.kept();
    life.journal.stop();
}

#[test]
fn spend_follows_where_it_is_kept_and_counts_once() {
    let path = scratch("moved");
    let budgets = [budget("day", Period::Day), budget("all", Period::Total)];
    let here = Life::begin(&path);
    here.charge(&budgets, 10);
    here.kept();
    // As after a kill: what it charged is not folded.
    let (sender, told) = mpsc::channel();
    let elsewhere = Life::begin_with(&path, Some(Box::new(Told(sender))));
    let batch = told.recv_timeout(PATIENCE).expect("handed over");
    let mut sums: Vec<_> = batch.sums.iter().map(|sum| (&*sum.budget, sum.cost)).collect();
    sums.sort();
    assert_eq!(sums, [("all", MicroUsd(10)), ("day", MicroUsd(10))]);
    assert_eq!(["spend", "charges", "outbox"].map(|table| count(&path, table)), [0, 0, 2]);
    elsewhere.journal.acknowledge(&batch.lane, batch.number);
    elsewhere.charge(&budgets, 7);
    told.recv_timeout(PATIENCE).expect("forwarded, and never confirmed");
    elsewhere.kept();
    elsewhere.journal.stop();
    let again = Life::begin(&path);
    assert_eq!(budgets.each_ref().map(|budget| again.spent(budget)), [7; 2], "what nobody has confirmed");
    again.journal.stop();
    assert_eq!(["charges", "outbox"].map(|table| count(&path, table)), [0, 0]);
}
