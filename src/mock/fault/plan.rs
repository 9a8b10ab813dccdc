//! Which requests of a server meet a fault, and which one.

use super::Fault;
use crate::mock::fingerprint;

/// Which requests meet a fault, by their number: repeatable for one seed.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// What goes wrong: one of these for each request that fails.
    pub faults: Vec<Fault>,
    /// The share of requests that fail, 0 to 1.
    pub rate: f64,
    /// Chooses which ones, and with which fault.
    pub seed: u64,
    /// Only the first so many requests may fail.
    pub first: Option<u64>,
    /// So many requests may fail, then as many may not, and so on.
    pub flap: Option<u64>,
}

impl FaultPlan {
    /// Every request meets one of these faults.
    pub fn always(faults: &[Fault]) -> Self {
        Self { faults: faults.to_vec(), rate: 1.0, seed: 0, first: None, flap: None }
    }

    /// The fault for the request of this number, counted from 0.
    pub fn at(&self, number: u64) -> Option<Fault> {
        let over = self.first.is_some_and(|first| number >= first);
        let well = self.flap.is_some_and(|flap| (number / flap.max(1)) % 2 == 1);
        let drawn = fingerprint(self.seed, &number.to_le_bytes());
        // The upper 53 bits make a uniform number in 0..1.
        let share = (drawn >> 11) as f64 / (1_u64 << 53) as f64;
        (!over && !well && share < self.rate).then(|| self.choose(number)).flatten()
    }

    /// Drawn apart from whether there is a fault, so that a low rate does not favour some of them.
    fn choose(&self, number: u64) -> Option<Fault> {
        let count = u64::try_from(self.faults.len()).ok().filter(|count| *count > 0)?;
        let drawn = fingerprint(!self.seed, &number.to_le_bytes()) % count;
        self.faults.get(usize::try_from(drawn).ok()?).copied()
    }
}
