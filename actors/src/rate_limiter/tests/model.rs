//! Any interleaving of the book's calls against a naive model that recounts its whole history for
//! every question.

use proptest::prelude::*;

use super::*;

const SCOPES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Acquire { mask: usize, tokens: u64 },
    Settle { which: usize, tokens: u64 },
    Drop { which: usize },
    Cancel { which: usize },
    Wait { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = 0..8_usize;
    let millis = prop_oneof![0..400_u64, 900..1_100_u64, 20_000..70_000_u64, 3_000_000..90_000_000_u64];
    let step = prop_oneof![
        6 => (1..1_usize << SCOPES, 0..60_u64).prop_map(|(mask, tokens)| Step::Acquire { mask, tokens }),
        2 => (which.clone(), 0..80_u64).prop_map(|(which, tokens)| Step::Settle { which, tokens }),
        1 => which.clone().prop_map(|which| Step::Drop { which }),
        1 => which.prop_map(|which| Step::Cancel { which }),
        2 => millis.prop_map(|millis| Step::Wait { millis }),
    ];
    prop::collection::vec(step, 1..120)
}

fn limits() -> impl Strategy<Value = RateLimit> {
    let some = |most: u64| prop::option::of(0..most);
    (some(5), some(6), some(9), some(20), some(100), some(300), prop::option::of(0..5_u32)).prop_map(
        |(rps, rpm, rph, rpd, tpm, tpd, concurrency)| RateLimit { rps, rpm, rph, rpd, tpm, tpd, concurrency },
    )
}

/// One admitted request as the model remembers it.
struct Admitted {
    at: Now,
    scopes: Vec<usize>,
    held: u64,
    settled: Option<(Now, u64)>,
    is_open: bool,
    is_cancelled: bool,
}

/// Everything that ever happened, and the even-rate arrivals in nanoseconds.
#[derive(Default)]
struct Model {
    history: Vec<Admitted>,
    arrivals: [Option<u64>; SCOPES],
    /// By request: the arrivals before and after it.
    taken: Vec<[(Option<u64>, Option<u64>); SCOPES]>,
}

impl Model {
    fn of(&self, scope: usize) -> impl Iterator<Item = &Admitted> {
        self.history.iter().filter(move |admitted| admitted.scopes.contains(&scope))
    }

    fn refuses(&self, scope: usize, limit: &RateLimit, now: Now) -> Option<Dimension> {
        let open = self.of(scope).filter(|admitted| admitted.is_open);
        let (count, held) =
            open.fold((0_u32, 0), |(count, held), admitted| (count + 1, held + admitted.held));
        let same = |at: Now, seconds| at.unix.as_secs() / seconds == now.unix.as_secs() / seconds;
        let tokens = |seconds| -> u64 {
            let settled = self.of(scope).filter_map(|admitted| admitted.settled);
            settled.filter(|(at, _)| same(*at, seconds)).map(|(_, tokens)| tokens).sum::<u64>() + held
        };
        let requests = |seconds| {
            let counted =
                self.of(scope).filter(|admitted| !admitted.is_cancelled && same(admitted.at, seconds));
            counted.count() as u64
        };
        let checks = [
            (Dimension::Concurrency, limit.concurrency.is_some_and(|most| count >= most)),
            (Dimension::Tpm, limit.tpm.is_some_and(|most| tokens(60) > most)),
            (Dimension::Tpd, limit.tpd.is_some_and(|most| tokens(86_400) > most)),
            (Dimension::Rps, limit.rps.is_some_and(|rps| self.arrive(scope, rps, now).is_none())),
            (Dimension::Rpm, limit.rpm.is_some_and(|most| requests(60) >= most)),
            (Dimension::Rph, limit.rph.is_some_and(|most| requests(3_600) >= most)),
            (Dimension::Rpd, limit.rpd.is_some_and(|most| requests(86_400) >= most)),
        ];
        checks.into_iter().find(|(_, refuses)| *refuses).map(|(dimension, _)| dimension)
    }

    fn arrive(&self, scope: usize, rps: u64, now: Now) -> Option<u64> {
        let spacing = 1_000_000_000_u64.checked_div(rps)?;
        let now = now.steady.as_nanos() as u64;
        let due = self.arrivals[scope].unwrap_or(now).max(now);
        (due - now <= spacing * (rps - 1)).then_some(due + spacing)
    }

    fn admit(&mut self, scopes: Vec<usize>, limits: &[RateLimit], held: u64, now: Now) {
        let mut taken = [(None, None); SCOPES];
        for scope in &scopes {
            let before = self.arrivals[*scope];
            let after = limits[*scope].rps.map_or(before, |rps| self.arrive(*scope, rps, now));
            self.arrivals[*scope] = after;
            taken[*scope] = (before, after);
        }
        self.taken.push(taken);
        let (settled, is_open, is_cancelled) = (None, true, false);
        self.history.push(Admitted { at: now, scopes, held, settled, is_open, is_cancelled });
    }

    fn cancel(&mut self, request: usize) {
        let admitted = &mut self.history[request];
        (admitted.is_open, admitted.is_cancelled) = (false, true);
        for scope in &admitted.scopes {
            let (before, after) = self.taken[request][*scope];
            if self.arrivals[*scope] == after {
                self.arrivals[*scope] = before;
            }
        }
    }
}

/// Removes one of the open permits.
fn pick(open: &mut Vec<(usize, Permit)>, which: usize) -> Option<(usize, Permit)> {
    let place = which.checked_rem(open.len())?;
    Some(open.remove(place))
}

fn check(limits: Vec<RateLimit>, steps: Vec<Step>) {
    let book = Arc::new(LimitBook::new());
    let scopes: Vec<Arc<Scope>> = limits
        .iter()
        .enumerate()
        .map(|(n, limit)| scope(&n.to_string(), Layer::ApiKey, limit.clone()))
        .collect();
    let (mut model, mut open, mut now) = (Model::default(), Vec::new(), START);
    for step in steps {
        match step {
            Step::Wait { millis } => now = later(now, Duration::from_millis(millis)),
            Step::Acquire { mask, tokens } => {
                let wanted: Vec<usize> = (0..SCOPES).filter(|n| mask >> n & 1 == 1).collect();
                let refuses = |n: &usize| Some((*n, model.refuses(*n, &limits[*n], now)?));
                let expected = wanted.iter().find_map(refuses);
                let asked: Vec<_> = wanted.iter().map(|n| Arc::clone(&scopes[*n])).collect();
                match (book.acquire(&asked, tokens, now), expected) {
                    (Ok(permit), None) => {
                        open.push((model.history.len(), permit));
                        model.admit(wanted, &limits, tokens, now);
                    }
                    (Err(refused), Some((n, dimension))) => {
                        assert_eq!((&*refused.scope, refused.dimension), (&*n.to_string(), dimension));
                    }
                    (got, expected) => panic!("expected {expected:?}, got {got:?}"),
                }
            }
            Step::Settle { which, tokens } => {
                if let Some((request, permit)) = pick(&mut open, which) {
                    book.settle(permit, tokens, now);
                    model.history[request].is_open = false;
                    model.history[request].settled = Some((now, tokens));
                }
            }
            Step::Drop { which } => {
                if let Some((request, permit)) = pick(&mut open, which) {
                    drop(permit);
                    model.history[request].is_open = false;
                }
            }
            Step::Cancel { which } => {
                if let Some((request, permit)) = pick(&mut open, which) {
                    permit.cancel();
                    model.cancel(request);
                }
            }
        }
        assert_eq!(book.counters().held, open.len() as u64);
    }
    drop(open);
    for scope in &scopes {
        assert_eq!(book.peek(scope, now).concurrent, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_book_agrees_with_the_model_in_any_interleaving(
        limits in prop::collection::vec(limits(), SCOPES),
        steps in steps(),
    ) {
        check(limits, steps);
    }
}
