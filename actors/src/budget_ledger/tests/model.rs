//! Any interleaving of the ledger's calls: spend is the sum of the charges, and holds return to
//! zero.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Hold { mask: usize, estimate: u64 },
    Charge { which: usize, cost: u64 },
    Release { which: usize },
    Wait { hours: u64 },
}

const PERIODS: [Period; 4] = [Period::Day, Period::Week, Period::Month, Period::Total];

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    let which = 0..8_usize;
    let step = prop_oneof![
        4 => (1..16_usize, 0..200_u64).prop_map(|(mask, estimate)| Step::Hold { mask, estimate }),
        3 => (which.clone(), 0..300_u64).prop_map(|(which, cost)| Step::Charge { which, cost }),
        1 => which.prop_map(|which| Step::Release { which }),
        1 => (0..400_u64).prop_map(|hours| Step::Wait { hours }),
    ];
    prop::collection::vec(step, 1..100)
}

/// An open hold and the budgets that it is in.
struct Open {
    hold: BudgetHold,
    wanted: Vec<usize>,
    estimate: u64,
}

fn pick(open: &mut Vec<Open>, which: usize) -> Option<Open> {
    let place = which.checked_rem(open.len())?;
    Some(open.remove(place))
}

fn check(limits: &[u64], steps: Vec<Step>) {
    let ledger = ledger();
    let budgets: Vec<Arc<Budget>> = (PERIODS.iter().zip(limits))
        .map(|(period, limit)| Arc::new(budget(period.as_str(), *period, *limit)))
        .collect();
    let (mut open, mut charges, mut now) = (Vec::<Open>::new(), Vec::<(usize, Duration, u64)>::new(), NOON);
    for step in steps {
        let held = |open: &[Open], n| {
            let in_budget = open.iter().filter(|open| open.wanted.contains(&n));
            in_budget.map(|open| open.estimate).sum::<u64>()
        };
        let spent = |charges: &[(usize, Duration, u64)], n: usize| {
            let start = PERIODS[n].window(&TimeZone::UTC, now.unix).unwrap().start;
            let current = charges.iter().filter(|(budget, at, _)| *budget == n && *at >= start);
            current.map(|(_, _, cost)| *cost).sum::<u64>()
        };
        match step {
            Step::Wait { hours } => now = later(now, Duration::from_secs(hours * 3_600)),
            Step::Hold { mask, estimate } => {
                let wanted: Vec<usize> = (0..PERIODS.len()).filter(|n| mask >> n & 1 == 1).collect();
                let refuses = wanted.iter().any(|n| spent(&charges, *n) + held(&open, *n) >= limits[*n]);
                let asked: Vec<_> = wanted.iter().map(|n| Arc::clone(&budgets[*n])).collect();
                let outcome = ledger.hold(&asked, MicroUsd(estimate), now);
                assert_eq!(outcome.is_err(), refuses);
                open.extend(outcome.ok().map(|hold| Open { hold, wanted, estimate }));
            }
            Step::Charge { which, cost } => {
                if let Some(Open { hold, wanted, .. }) = pick(&mut open, which) {
                    ledger.charge(hold, MicroUsd(cost), now);
                    charges.extend(wanted.into_iter().map(|n| (n, now.unix, cost)));
                }
            }
            Step::Release { which } => drop(pick(&mut open, which)),
        }
        for (n, budget) in budgets.iter().enumerate() {
            let spend = ledger.spend(budget, now);
            let start = PERIODS[n].window(&TimeZone::UTC, now.unix).unwrap().start;
            let current = charges.iter().filter(|(budget, at, _)| *budget == n && *at >= start);
            assert_eq!(spend.spent.0, current.map(|(_, _, cost)| *cost).sum::<u64>());
            assert_eq!(spend.held.0, held(&open, n));
        }
    }
    drop(open);
    assert_eq!((ledger.counters().held, ledger.counters().holds), (MicroUsd::ZERO, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn spend_is_the_sum_of_charges_and_holds_return_to_zero(
        limits in prop::collection::vec(0..2_000_u64, PERIODS.len()),
        steps in steps(),
    ) {
        check(&limits, steps);
    }
}
