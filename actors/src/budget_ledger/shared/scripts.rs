//! What is sent to Redis about budgets, and how its answers read.
//!
//! All keys carry one hash tag, so that they lie on one node of a cluster, together with those of limits: all budgets
//! of a request are held in as one step.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use smallvec::SmallVec;

use super::super::budget::{Budget, Window};
use super::super::journal::Batch;
use super::Note;
use crate::redis::Script;
use crate::types::MicroUsd;

/// How long a fence stands: far longer than what was sent before it can be on its way.
const FENCE_SECS: u64 = 86_400;

/// How long a lane is remembered that adds nothing any more: longer than anybody keeps a store without starting.
const LANE_SECS: u64 = 90 * 86_400;

/// How long spend is kept after its period.
const KEPT_SECS: u64 = 7 * 86_400;

/// How keys and arguments are written.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
    ttl: u64,
    pub(super) hold_script: Script,
    pub(super) apply_script: Script,
    pub(super) keep_script: Script,
}

/// One budget of a hold that is asked for.
pub(in crate::budget_ledger) struct Wanted<'a> {
    pub(in crate::budget_ledger) budget: &'a Arc<Budget>,
    pub(in crate::budget_ledger) window: Window,
    pub(in crate::budget_ledger) amount: MicroUsd,
}

/// What is spent and held, by budget, before a hold.
pub(super) type Figures = SmallVec<[(MicroUsd, MicroUsd); 4]>;

/// What Redis said to a hold.
#[derive(Debug)]
pub(super) enum Reply {
    Held(Figures),
    Refused(Figures),
    /// It was too late, or it cannot be read.
    Lost,
}

impl Keys {
    pub(super) fn new(prefix: &str, ttl: Duration) -> Self {
        Self {
            prefix: format!("{{{prefix}}}:bl:"),
            ttl: ttl.as_secs().max(1),
            hold_script: Script::new(include_str!("hold.lua")),
            apply_script: Script::new(include_str!("apply.lua")),
            keep_script: Script::new(include_str!("keep.lua")),
        }
    }

    fn spent(&self, budget: &str, window: Window) -> String {
        format!("{}s:{budget}:{}", self.prefix, window.start.as_secs())
    }

    pub(super) fn open(&self, budget: &str) -> String {
        format!("{}h:{budget}", self.prefix)
    }

    fn sum(&self, budget: &str) -> String {
        format!("{}c:{budget}", self.prefix)
    }

    fn fence(&self, lane: &str) -> String {
        format!("{}lane:{lane}", self.prefix)
    }

    /// Writes a request for a hold.
    pub(super) fn hold(&self, command: &mut Cmd, fence: (&str, u64), hold: &str, wanted: &[Wanted<'_>]) {
        command.arg(wanted.len().saturating_mul(3).saturating_add(1)).arg(self.fence(fence.0));
        for Wanted { budget, window, .. } in wanted {
            command.arg(self.spent(&budget.id, *window)).arg(self.open(&budget.id)).arg(self.sum(&budget.id));
        }
        command.arg(fence.1).arg(hold).arg(self.ttl);
        for Wanted { budget, amount, .. } in wanted {
            command.arg(budget.limit.0).arg(amount.0);
            command.arg(u8::from(budget.hard_stop)).arg(u8::from(budget.worst_case));
        }
    }

    /// Writes a batch of charges, if there is one, and the holds that are given back.
    pub(super) fn apply(&self, command: &mut Cmd, batch: Option<&Batch>, notes: &[Note]) {
        let sums = batch.map_or(&[][..], |batch| &batch.sums);
        let holds = || notes.iter().flat_map(|note| note.shares.iter().map(move |share| (note, share)));
        let keys = holds().count().saturating_mul(2).saturating_add(sums.len()).saturating_add(1);
        let lane = batch.map_or("", |batch| &*batch.lane);
        command.arg(keys).arg(format!("{}b:{lane}", self.prefix));
        for sum in sums {
            command.arg(self.spent(&sum.budget, sum.window));
        }
        for (_, (budget, _)) in holds() {
            command.arg(self.open(budget)).arg(self.sum(budget));
        }
        command.arg(batch.map_or(0, |batch| batch.number)).arg(LANE_SECS).arg(sums.len());
        for sum in sums {
            let end = sum.window.end.map_or(0, |end| end.as_secs().saturating_add(KEPT_SECS));
            command.arg(sum.cost.0).arg(end);
        }
        for (note, (_, amount)) in holds() {
            command.arg(note.member(*amount)).arg(amount.0);
        }
    }

    /// Writes that holds are still open.
    pub(super) fn keep(&self, command: &mut Cmd, notes: &[Note]) {
        let holds = || notes.iter().flat_map(|note| note.shares.iter().map(move |share| (note, share)));
        command.arg(holds().count().saturating_mul(2));
        for (_, (budget, _)) in holds() {
            command.arg(self.open(budget)).arg(self.sum(budget));
        }
        command.arg(self.ttl);
        for (note, (_, amount)) in holds() {
            command.arg(note.member(*amount));
        }
    }

    /// Asks what is spent and held of budgets.
    pub(super) fn look(&self, wanted: &[Wanted<'_>]) -> Cmd {
        let mut command = cmd("MGET");
        for Wanted { budget, window, .. } in wanted {
            command.arg(self.spent(&budget.id, *window)).arg(self.sum(&budget.id));
        }
        command
    }

    /// Writes the fence of a lane: what was sent in earlier epochs does nothing from now on.
    pub(super) fn raise(&self, lane: &str, epoch: u64) -> Cmd {
        let mut command = cmd("SET");
        command.arg(self.fence(lane)).arg(epoch).arg("EX").arg(FENCE_SECS);
        command
    }
}

/// Reads what is spent and held of so many budgets.
pub(super) fn figures(value: &Value, budgets: usize) -> Option<Figures> {
    let Value::Array(items) = value else { return None };
    let amount = |item: &Value| match item {
        Value::Nil => Some(MicroUsd::ZERO),
        Value::BulkString(text) => {
            let number = std::str::from_utf8(text).ok()?.parse::<i64>().ok()?;
            Some(MicroUsd(u64::try_from(number).unwrap_or_default()))
        }
        _ => None,
    };
    let amounts = items.iter().map(amount).collect::<Option<Vec<MicroUsd>>>()?;
    let figures: Figures = amounts.as_chunks().0.iter().map(|[spent, held]| (*spent, *held)).collect();
    (figures.len() == budgets).then_some(figures)
}

impl Reply {
    /// Reads an answer to a hold over so many budgets.
    pub(super) fn read(value: &Value, budgets: usize) -> Self {
        let Value::Array(items) = value else { return Self::Lost };
        let mut numbers = items.iter().map(|item| match item {
            Value::Int(number) => u64::try_from(*number).unwrap_or_default(),
            _ => 0,
        });
        let outcome = numbers.next();
        let mut figures = Figures::new();
        while let (Some(spent), Some(held)) = (numbers.next(), numbers.next()) {
            figures.push((MicroUsd(spent), MicroUsd(held)));
        }
        match outcome {
            Some(1) if figures.len() == budgets => Self::Held(figures),
            Some(0) if figures.len() == budgets => Self::Refused(figures),
            _ => Self::Lost,
        }
    }
}
