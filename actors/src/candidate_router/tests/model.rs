//! Any sequence of plans, attempts, reports, checks and waits against a naive model of each target.

use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::*;
use crate::candidate_router::Strategy as Order;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const COOLDOWN: Duration = Duration::from_secs(30);
const STALE: Duration = Duration::from_secs(90);
const ORDERS: [Order; 7] = [
    Order::Failover,
    Order::RoundRobin,
    Order::Weighted,
    Order::ConsistentHash,
    Order::LeastCost,
    Order::LeastLatency,
    Order::LeastBusy,
];

#[derive(Debug, Clone)]
enum Step {
    Plan { order: usize, mask: usize, key: u64, max_fallbacks: Option<u32> },
    Begin { which: usize, is_forced: bool },
    Report { which: usize, outcome: AttemptOutcome },
    Drop { which: usize },
    Check { target: usize, check: Check },
    Wait { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = 0..16_usize;
    let outcomes = [
        OK,
        failed(AttemptFailure::Status(500)),
        failed(AttemptFailure::Status(400)),
        failed(AttemptFailure::InBand(None)),
    ];
    let outcome = prop::sample::select(outcomes.to_vec());
    let check = prop::sample::select(vec![Check::Passed, Check::Ignored(429), Check::Failed(Some(500))]);
    let step = prop_oneof![
        4 => (0..ORDERS.len(), 0..32_usize, any::<u64>(), prop::option::of(0..4_u32)).prop_map(
            |(order, mask, key, max_fallbacks)| Step::Plan { order, mask, key, max_fallbacks }
        ),
        4 => (which.clone(), any::<bool>()).prop_map(|(which, is_forced)| Step::Begin { which, is_forced }),
        3 => (which.clone(), outcome).prop_map(|(which, outcome)| Step::Report { which, outcome }),
        2 => which.prop_map(|which| Step::Drop { which }),
        1 => (0..NAMES.len(), check).prop_map(|(target, check)| Step::Check { target, check }),
        2 => prop_oneof![0..2_000_u64, 29_000..31_000_u64, 60_000..100_000_u64]
            .prop_map(|millis| Step::Wait { millis }),
    ];
    prop::collection::vec(step, 1..150)
}

fn group_of(order: Order) -> Group {
    let member = |(number, name): (usize, &&str)| {
        let rule = CooldownRule { default: COOLDOWN, ..CooldownRule::default() };
        let target = Target { id: (*name).into(), cooldown: rule, check_stale_after: Some(STALE) };
        let (weight, cost) = (number as u32, Some(number as u64 * 7 % 3));
        let priority = i32::from(number > 2);
        Member { weight, priority, cost, ..Member::new(Arc::new(target), (*name).into()) }
    };
    Group::new("group".into(), order, NAMES.iter().enumerate().map(member).collect())
}

/// What is known of one target.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The end of the last cooldown that nothing has closed.
    cooled: Option<Duration>,
    /// The number of the attempt that probes.
    probe: Option<usize>,
    failed_check: Option<Duration>,
}

impl Known {
    fn condition(self, now: Duration) -> Condition {
        match self {
            Self { cooled: Some(until), .. } if until > now => Condition::Cooling,
            Self { failed_check: Some(at), .. } if at + STALE > now => Condition::Unhealthy,
            Self { cooled: Some(_), probe: Some(_), .. } => Condition::Cooling,
            _ => Condition::Healthy,
        }
    }

    fn close(&mut self) {
        (self.cooled, self.probe) = (None, None);
    }
}

/// An attempt under way, its number, and the target's place.
type Open = (InFlight, usize, usize);

struct Run {
    health: Health,
    now: Now,
    known: [Known; NAMES.len()],
    candidates: Vec<Candidate>,
    open: Vec<Open>,
    begun: usize,
}

impl Run {
    fn new() -> Self {
        let (known, candidates, open) = (Default::default(), Vec::new(), Vec::new());
        Self { health: Health::with_seed(1), now: START, known, candidates, open, begun: 0 }
    }

    fn step(&mut self, step: Step) {
        let now = self.now.steady;
        match step {
            Step::Plan { order, mask, key, max_fallbacks } => {
                let group = Group { max_fallbacks, ..group_of(ORDERS[order]) };
                self.plan(&group, mask, key);
            }
            Step::Begin { which, is_forced } => self.begin(which, is_forced),
            Step::Report { which, outcome } => {
                let Some(candidate) = pick(&self.candidates, which) else { return };
                self.health.record(candidate, outcome, self.now);
                let known = &mut self.known[candidate.index];
                match outcome {
                    AttemptOutcome::Succeeded { .. } => known.close(),
                    AttemptOutcome::Failed { failure: AttemptFailure::Status(400), .. } => {}
                    AttemptOutcome::Failed { .. } => known.cooled = known.cooled.max(Some(now + COOLDOWN)),
                }
            }
            Step::Drop { which } if !self.open.is_empty() => {
                let (attempt, number, target) = self.open.remove(which % self.open.len());
                drop(attempt);
                self.known[target].probe.take_if(|probe| *probe == number);
            }
            Step::Drop { .. } => {}
            Step::Check { target, check } => {
                self.health.record_check(&NAMES[target].into(), check, self.now);
                let known = &mut self.known[target];
                match check {
                    Check::Passed => {
                        known.failed_check = None;
                        if known.cooled.is_some_and(|until| until <= now) {
                            known.close();
                        }
                    }
                    Check::Ignored(_) => {}
                    Check::Failed(_) => known.failed_check = Some(now),
                }
            }
            Step::Wait { millis } => {
                let by = Duration::from_millis(millis);
                self.now = Now { unix: self.now.unix + by, steady: now + by };
            }
        }
    }

    fn plan(&mut self, group: &Group, mask: usize, key: u64) {
        let eligible = Eligible::All.only(NAMES.len(), |place| mask >> place & 1 == 1);
        let Ok(plan) = self.health.plan(group, &RouteContext { eligible, key }, self.now) else { return };
        let mut seen = 0;
        for candidate in &plan {
            let bit = 1 << candidate.index;
            assert!(mask & bit != 0, "not eligible: {candidate:?}");
            assert!(seen & bit == 0, "twice: {candidate:?}");
            seen |= bit;
            let known = self.known[candidate.index];
            assert_eq!(candidate.condition, known.condition(self.now.steady), "{known:?}");
            assert_eq!(candidate.condition, plan[0].condition);
            assert_eq!(&*candidate.target.id, NAMES[candidate.index]);
        }
        assert!(!plan.is_empty() && plan.len() <= group.reach());
        let is_lower = |candidate: &Candidate| candidate.index <= 2;
        assert!(plan.is_sorted_by_key(is_lower), "a lower tier before a higher one");
        self.candidates.extend(plan);
    }

    fn begin(&mut self, which: usize, is_forced: bool) {
        let Some(candidate) = pick(&self.candidates, which) else { return };
        let begun = if is_forced { Ok(candidate.begin_anyway()) } else { candidate.begin_at(self.now) };
        let known = &mut self.known[candidate.index];
        let is_half_open = known.cooled.is_some_and(|until| until <= self.now.steady);
        let is_refused = is_half_open && known.probe.is_some() && !is_forced;
        assert_eq!(begun.is_err(), is_refused, "{known:?}");
        let Ok(attempt) = begun else { return };
        self.begun += 1;
        if known.cooled.is_some() {
            known.probe.get_or_insert(self.begun);
        }
        self.open.push((attempt, self.begun, candidate.index));
    }

    /// Lets all attempts end, and finds nothing left of them.
    fn end(mut self) {
        self.open.clear();
        assert_eq!(self.health.counters().in_flight, 0);
        self.step(Step::Wait { millis: 1_000_000 });
        for place in 0..NAMES.len() {
            let context = only(NAMES.len(), &[place]);
            let plan = self.health.plan(&group_of(Order::Failover), &context, self.now).unwrap();
            assert_eq!(plan[0].condition, Condition::Healthy);
            assert!(plan[0].begin_at(self.now).is_ok(), "a probe was left behind");
        }
    }
}

fn pick(candidates: &[Candidate], which: usize) -> Option<&Candidate> {
    candidates.iter().rev().nth(which.checked_rem(candidates.len())?)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_sequence_of_calls_agrees_with_the_model(steps in steps()) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
            prop_assert_eq!(run.health.counters().in_flight, run.open.len() as u64);
        }
        run.end();
    }
}
