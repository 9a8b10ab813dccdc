//! Counts of requests: for tests that ask who was reached, and for faults that come and go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Character, Fault};

/// The most models that are told apart, because names come from callers; requests for others count in the total alone,
/// and meet a fault as if each were the first.
const MAX_MODELS: usize = 4096;
/// The most faults of one model whose requests are counted; beyond it as above.
const MAX_FAULTS: usize = 64;

/// The requests of one server, or of the provider in one process.
#[derive(Debug, Default)]
pub struct Tally {
    total: AtomicU64,
    models: Mutex<BTreeMap<String, Of>>,
}

/// The requests for one model.
#[derive(Debug, Default)]
struct Of {
    total: u64,
    /// Those that asked for a fault that depends on their number.
    asked: Vec<(Fault, u64)>,
}

impl Tally {
    /// How many requests there were, those included that nobody could read.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// How many requests there were for a model.
    pub fn requests(&self, model: &str) -> u64 {
        self.models().get(model).map_or(0, |of| of.total)
    }

    /// The number of the next request, counted from 0.
    pub(crate) fn next_number(&self) -> u64 {
        self.total.fetch_add(1, Ordering::Relaxed)
    }

    /// The total and the counts by model, as JSON.
    pub(super) fn as_json(&self) -> String {
        let models = self.models();
        let models: BTreeMap<&str, u64> = models.iter().map(|(name, of)| (name.as_str(), of.total)).collect();
        serde_json::json!({"total": self.total(), "models": models}).to_string()
    }

    /// Counts a request for a model, and tells what is to go wrong with it: `fault` or, without one, what the model's
    /// name asks for.
    pub(super) fn count(&self, model: &str, fault: Option<Fault>) -> Option<Fault> {
        let mut models = self.models();
        let fault = fault.or_else(|| Character::of(model).fault());
        if !models.contains_key(model) {
            if models.len() >= MAX_MODELS {
                return fault?.at(0);
            }
            models.insert(model.to_owned(), Of::default());
        }
        let of = models.get_mut(model)?;
        of.total += 1;
        let fault = fault?;
        fault.at(if fault.is_counted() { of.next(fault) } else { 0 })
    }

    /// Every count is whole at any time, so one is of use after a panic too.
    fn models(&self) -> MutexGuard<'_, BTreeMap<String, Of>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Of {
    /// The number of the next request that asks for a fault.
    fn next(&mut self, fault: Fault) -> u64 {
        match self.asked.iter_mut().find(|(asked, _)| *asked == fault) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                if self.asked.len() < MAX_FAULTS {
                    self.asked.push((fault, 0));
                }
                0
            }
        }
    }
}
