//! What the ledger promises: every charge once, every hold given back, no limit passed unseen.

mod model;

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::*;
use crate::worker::run;

/// 2026-03-04T12:00:00Z, a Wednesday.
pub(super) const NOON: Now =
    Now { unix: Duration::from_secs(1_772_625_600), steady: Duration::from_secs(1_000) };

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn later(now: Now, by: Duration) -> Now {
    Now { unix: now.unix + by, steady: now.steady + by }
}

pub(super) fn budget(id: &str, period: Period, limit: u64) -> Budget {
    Budget {
        id: id.into(),
        name: id.to_uppercase().into(),
        scope: BudgetScope::Team,
        scope_ref: Some("team-1".into()),
        limit: MicroUsd(limit),
        period,
        timezone: TimeZone::UTC,
        hard_stop: true,
        alert_at: vec![0.5, 0.9],
        worst_case: false,
    }
}

pub(super) fn ledger() -> Arc<Ledger> {
    Arc::new(Ledger::new(Arc::new(NoJournal)))
}

/// The budget that refused.
fn exceeded(outcome: Result<BudgetHold, HoldRefused>) -> BudgetExceeded {
    match outcome {
        Err(HoldRefused::Exceeded(refusal)) => *refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Mutex<Vec<ChargeEntry>>);

impl Journal for Kept {
    fn record(&self, entries: &[ChargeEntry]) {
        self.0.lock().unwrap().extend_from_slice(entries);
    }

    fn is_refusing(&self) -> bool {
        false
    }
}

#[test]
fn a_budget_refuses_once_spend_and_holds_reach_its_limit() {
    let ledger = ledger();
    let day = [Arc::new(budget("day", Period::Day, 100))];
    let hold = ledger.hold(&day, MicroUsd(100), NOON).unwrap();
    let refused = exceeded(ledger.hold(&day, MicroUsd(1), NOON));
    assert_eq!((refused.spent, refused.held), (MicroUsd(0), MicroUsd(100)));
    ledger.charge(hold, MicroUsd(99), NOON);
    let hold = ledger.hold(&day, MicroUsd(50), NOON).unwrap();
    ledger.charge(hold, MicroUsd(30), NOON);
    let refused = exceeded(ledger.hold(&day, MicroUsd(1), NOON));
    assert_eq!((refused.spent, refused.held), (MicroUsd(129), MicroUsd(0)));
    assert_eq!(refused.resets_at_rfc3339.as_deref(), Some("2026-03-05T00:00:00Z"));
    assert_eq!(refused.resets_at, Some(NOON.unix + DAY / 2));
    assert_eq!(refused.retry_after, Some(DAY / 2));
    assert!(ledger.hold(&day, MicroUsd(1), later(NOON, DAY / 2)).is_ok());
}

#[test]
fn a_limit_of_zero_refuses_everything_and_a_warning_budget_nothing() {
    let ledger = ledger();
    let none = Arc::new(budget("none", Period::Total, 0));
    let refused = exceeded(ledger.hold(&[none], MicroUsd::ZERO, NOON));
    assert_eq!((refused.resets_at, refused.retry_after, refused.resets_at_rfc3339), (None, None, None));
    let soft = Arc::new(Budget { hard_stop: false, ..budget("soft", Period::Day, 0) });
    for _ in 0..3 {
        let hold = ledger.hold(&[Arc::clone(&soft)], MicroUsd(5), NOON).unwrap();
        ledger.charge(hold, MicroUsd(7), NOON);
    }
    assert_eq!(ledger.spend(&soft, NOON).spent, MicroUsd(21));
}

#[test]
fn a_refusal_by_one_budget_holds_nothing_in_the_others() {
    let ledger = ledger();
    let wide = Arc::new(budget("wide", Period::Month, 1_000));
    let none = Arc::new(budget("none", Period::Month, 0));
    assert!(ledger.hold(&[Arc::clone(&wide), none], MicroUsd(10), NOON).is_err());
    assert_eq!(ledger.spend(&wide, NOON).held, MicroUsd::ZERO);
    assert_eq!(ledger.counters().held, MicroUsd::ZERO);
}

#[test]
fn the_tightest_refusal_is_reported() {
    let ledger = ledger();
    let [day, month, total] = [("c", Period::Day), ("b", Period::Month), ("a", Period::Total)]
        .map(|(id, period)| Arc::new(budget(id, period, 10)));
    let spend = |budget: &Arc<Budget>, cost| {
        let hold = ledger.hold(&[Arc::clone(budget)], MicroUsd::ZERO, NOON).unwrap();
        ledger.charge(hold, MicroUsd(cost), NOON);
    };
    spend(&day, 10);
    spend(&month, 10);
    let all = [Arc::clone(&day), Arc::clone(&month), Arc::clone(&total)];
    let refused = exceeded(ledger.hold(&all, MicroUsd(1), NOON));
    assert_eq!(&*refused.budget.id, "b", "as little remains, but it waits longer");
    spend(&total, 25);
    let refused = exceeded(ledger.hold(&all, MicroUsd(1), NOON));
    assert_eq!(&*refused.budget.id, "a", "least remains");
    assert_eq!(refused.to_string(), "budget \"A\" (team) exceeded: 0.00 of 0.00 USD spent, period total");
}

#[test]
fn a_hold_charged_in_the_next_period_counts_there() {
    let ledger = ledger();
    let day = Arc::new(budget("day", Period::Day, 100));
    let hold = ledger.hold(&[Arc::clone(&day)], MicroUsd(40), NOON).unwrap();
    let tomorrow = later(NOON, DAY);
    assert_eq!(ledger.spend(&day, tomorrow).held, MicroUsd(40));
    ledger.charge(hold, MicroUsd(60), tomorrow);
    let spend = ledger.spend(&day, tomorrow);
    assert_eq!((spend.spent, spend.held), (MicroUsd(60), MicroUsd::ZERO));
    assert_eq!(spend.period_start, NOON.unix + DAY / 2);
    let back = ledger.spend(&day, NOON);
    assert_eq!(back.spent, MicroUsd(60), "a clock set back forgets no money");
}

#[test]
fn a_budget_that_is_edited_keeps_its_spend() {
    let ledger = ledger();
    let day = Arc::new(budget("day", Period::Day, 100));
    ledger.charge(ledger.hold(&[Arc::clone(&day)], MicroUsd(1), NOON).unwrap(), MicroUsd(70), NOON);
    let wider = Arc::new(budget("day", Period::Day, 200));
    assert_eq!(ledger.spend(&wider, NOON).spent, MicroUsd(70));
    let tighter = Arc::new(budget("day", Period::Day, 70));
    assert!(ledger.hold(&[tighter], MicroUsd(1), NOON).is_err());
}

#[test]
fn the_journal_brings_a_new_ledger_to_where_the_old_one_was() {
    let journal = Arc::new(Kept::default());
    let old = Arc::new(Ledger::new(Arc::clone(&journal) as Arc<dyn Journal>));
    let budgets =
        [Arc::new(budget("day", Period::Day, 1_000)), Arc::new(budget("all", Period::Total, 1_000))];
    for (now, cost) in [(NOON, 10), (later(NOON, DAY), 20), (later(NOON, DAY), 30)] {
        old.charge(old.hold(&budgets, MicroUsd(5), now).unwrap(), MicroUsd(cost), now);
    }
    let entries = journal.0.lock().unwrap().clone();
    assert_eq!(entries.len(), 6);
    let new = ledger();
    for entry in &entries {
        new.restore(&entry.budget, entry.window, entry.cost);
    }
    let tomorrow = later(NOON, DAY);
    for budget in &budgets {
        assert_eq!(new.spend(budget, tomorrow), old.spend(budget, tomorrow));
    }
}

#[test]
fn what_a_journal_kept_may_come_after_the_first_charges() {
    let ledger = ledger();
    let day = Arc::new(budget("day", Period::Day, 1_000));
    ledger.charge(ledger.hold(&[Arc::clone(&day)], MicroUsd(1), NOON).unwrap(), MicroUsd(5), NOON);
    let window = Period::Day.window(&TimeZone::UTC, NOON.unix).unwrap();
    ledger.restore(&"day".into(), window, MicroUsd(70));
    let month = Period::Month.window(&TimeZone::UTC, NOON.unix).unwrap();
    ledger.restore(&"day".into(), month, MicroUsd(9));
    assert_eq!(ledger.spend(&day, NOON).spent, MicroUsd(75), "another period is another sum");
}

#[test]
fn what_a_journal_kept_for_a_budget_that_is_gone_waits_until_its_period_is_over() {
    let ledger = ledger();
    let day = Arc::new(budget("day", Period::Day, 1_000));
    let window = Period::Day.window(&TimeZone::UTC, NOON.unix).unwrap();
    ledger.restore(&"day".into(), window, MicroUsd(70));
    ledger.retain(|_| false, NOON);
    assert_eq!(ledger.spend(&day, NOON).spent, MicroUsd(70));
    ledger.restore(&"old".into(), window, MicroUsd(70));
    ledger.retain(|_| false, later(NOON, DAY));
    assert_eq!(ledger.counters().budgets, 0);
}

#[test]
fn threads_never_pass_a_limit_unseen() {
    for limit in [1, 10, 1_000] {
        let ledger = ledger();
        let wide = Arc::new(budget("wide", Period::Total, u64::MAX));
        let tight = Arc::new(budget("tight", Period::Total, limit));
        let orders = [[Arc::clone(&wide), Arc::clone(&tight)], [Arc::clone(&tight), wide]];
        let admitted: u64 = thread::scope(|threads| {
            let spender = |number: u64| {
                let (ledger, budgets) = (&ledger, &orders[usize::from(number.is_multiple_of(2))]);
                move || {
                    let holds =
                        (0..limit / 2 + 10).filter_map(|_| ledger.hold(budgets, MicroUsd(1), NOON).ok());
                    holds.map(|hold| ledger.charge(hold, MicroUsd(1), NOON)).count() as u64
                }
            };
            let spenders: Vec<_> = (0..8).map(|number| threads.spawn(spender(number))).collect();
            spenders.into_iter().map(|spender| spender.join().unwrap()).sum()
        });
        assert_eq!(admitted, limit);
        let spend = ledger.spend(&tight, NOON);
        assert_eq!((spend.spent, spend.held), (MicroUsd(limit), MicroUsd::ZERO));
    }
}

#[test]
fn the_handle_holds_charges_and_outlives_its_actor() {
    run(async {
        let journal = Arc::new(Kept::default());
        let ledger = BudgetLedgerHandle::new(Arc::new(Ledger::new(Arc::clone(&journal) as Arc<dyn Journal>)));
        let total = Arc::new(budget("total", Period::Total, 100));
        let budgets: Budgets = [Arc::clone(&total)].into_iter().collect();
        let told = ledger.hold(budgets.clone(), MicroUsd(10)).await.unwrap();
        let asked = ledger.hold(budgets.clone(), MicroUsd(10)).await.unwrap();
        let lost = ledger.hold(budgets.clone(), MicroUsd(10)).await.unwrap();
        let unspent = ledger.hold(budgets.clone(), MicroUsd(10)).await.unwrap();
        ledger.charge(told, MicroUsd(30));
        ledger.crash();
        ledger.charge(lost, MicroUsd(40));
        ledger.charge(asked, MicroUsd(20));
        ledger.release(unspent);
        let spend = ledger.spend(Arc::clone(&total)).await;
        assert_eq!((spend.spent, spend.held), (MicroUsd(90), MicroUsd::ZERO));
        let last = ledger.hold(budgets.clone(), MicroUsd(10)).await.unwrap();
        assert!(ledger.hold(budgets, MicroUsd(10)).await.is_err());
        drop(last);
        assert_eq!(journal.0.lock().unwrap().len(), 3);
        let counters = ledger.inspect().await;
        assert_eq!((counters.holds, counters.admitted, counters.refused), (0, 5, 1));
    });
}

#[test]
fn spend_of_a_budget_that_is_taken_away_is_kept_until_its_period_is_over() {
    let ledger = ledger();
    let [spent, idle] = ["spent", "idle"].map(|id| Arc::new(budget(id, Period::Day, 100)));
    let budgets = Budgets::from_iter([Arc::clone(&spent), Arc::clone(&idle)]);
    let hold = ledger.hold(&budgets, MicroUsd(1), NOON).expect("room");
    ledger.retain(|_| false, NOON);
    assert_eq!(ledger.counters().budgets, 2, "both are held in");
    drop(hold);
    let hold = ledger.hold(&Budgets::from_iter([Arc::clone(&spent)]), MicroUsd(1), NOON).expect("room");
    ledger.charge(hold, MicroUsd(40), NOON);
    ledger.retain(|_| false, NOON);
    assert_eq!(ledger.counters().budgets, 1);
    assert_eq!(ledger.spend(&spent, NOON).spent, MicroUsd(40));
    ledger.retain(|_| false, later(NOON, DAY));
    assert_eq!(ledger.counters().budgets, 0);
}

#[test]
fn a_worst_case_budget_admits_only_what_fits_whatever_it_costs() {
    let ledger = ledger();
    let worst = [Arc::new(Budget { worst_case: true, ..budget("worst", Period::Day, 100) })];
    let estimate = Estimate { likely: MicroUsd(1), most: MicroUsd(60) };
    let hold = ledger.hold(&worst, estimate, NOON).unwrap();
    let refused = exceeded(ledger.hold(&worst, estimate, NOON));
    assert_eq!((refused.held, refused.retry_after), (MicroUsd(60), Some(Duration::from_secs(1))));
    assert_eq!(refused.too_little(), None, "it fits when the other has ended");
    ledger.charge(hold, MicroUsd(50), NOON);
    let refused = exceeded(ledger.hold(&worst, estimate, NOON));
    assert_eq!((refused.spent, refused.retry_after), (MicroUsd(50), Some(DAY / 2)), "it never fits again");
    assert_eq!((refused.wanted, refused.too_little()), (MicroUsd(60), Some(MicroUsd(50))));
    let huge = Estimate { likely: MicroUsd(1), most: MicroUsd(101) };
    assert_eq!(exceeded(ledger.hold(&worst, huge, NOON)).retry_after, None, "no period has room for it");
    let fits = Estimate { likely: MicroUsd(1), most: MicroUsd(50) };
    drop(ledger.hold(&worst, fits, NOON).unwrap());
    let free = exceeded(ledger.hold(
        &[Arc::new(Budget { limit: MicroUsd(50), ..(*worst[0]).clone() })],
        MicroUsd::ZERO,
        NOON,
    ));
    assert_eq!(free.spent, MicroUsd(50), "what costs nothing is refused too once all is spent");
}

#[test]
fn a_journal_that_cannot_keep_charges_refuses_under_hard_budgets_alone() {
    struct Broken;
    impl Journal for Broken {
        fn record(&self, _: &[ChargeEntry]) {}
        fn is_refusing(&self) -> bool {
            true
        }
    }
    let ledger = Arc::new(Ledger::new(Arc::new(Broken)));
    let hard = Arc::new(budget("hard", Period::Day, 100));
    let soft = Arc::new(Budget { hard_stop: false, ..budget("soft", Period::Day, 100) });
    assert!(matches!(ledger.hold(&[hard, Arc::clone(&soft)], MicroUsd(1), NOON), Err(HoldRefused::Unkept)));
    assert!(ledger.hold(&[soft], MicroUsd(1), NOON).is_ok());
}

#[test]
fn a_fraction_of_the_limit_counts_once_a_period_and_not_again_after_a_restart() {
    let journal = Arc::new(Kept::default());
    let old = Arc::new(Ledger::new(Arc::clone(&journal) as Arc<dyn Journal>));
    let day = [Arc::new(budget("day", Period::Day, 100))];
    let charge = |ledger: &Arc<Ledger>, cost, now| {
        let hold = ledger.hold(&day, MicroUsd::ZERO, now).unwrap();
        ledger.charge(hold, MicroUsd(cost), now);
    };
    charge(&old, 40, NOON);
    assert!(old.tally(&day[0]).alerts.is_empty());
    charge(&old, 20, NOON);
    charge(&old, 20, NOON);
    assert_eq!(old.tally(&day[0]).alerts, [(0.5, 1)]);
    let new = ledger();
    for entry in journal.0.lock().unwrap().iter() {
        new.restore(&entry.budget, entry.window, entry.cost);
    }
    charge(&new, 5, NOON);
    assert!(new.tally(&day[0]).alerts.is_empty(), "it was warned of before the restart");
    charge(&new, 15, NOON);
    assert_eq!(new.tally(&day[0]).alerts, [(0.9, 1)]);
    assert!(new.hold(&day, MicroUsd(1), NOON).is_err());
    assert_eq!(new.tally(&day[0]).refused, 1);
    charge(&new, 60, later(NOON, DAY));
    assert_eq!(new.tally(&day[0]).alerts, [(0.9, 1), (0.5, 1)], "another period");
}
