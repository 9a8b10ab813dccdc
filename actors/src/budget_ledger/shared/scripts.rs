//! What is sent to Redis about budgets, and how its answers read.
//!
//! All keys carry one hash tag, so that they lie on one node of a cluster, together with those of limits: all budgets
//! of a request are held in as one step.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use smallvec::SmallVec;

use super::super::budget::{Budget, Window};
use super::super::journal::Run;
use super::super::mirror::Loss;
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
    pub(super) raise_script: Script,
}

/// One budget of a hold that is asked for.
pub(in crate::budget_ledger) struct Wanted<'a> {
    pub(in crate::budget_ledger) budget: &'a Arc<Budget>,
    pub(in crate::budget_ledger) window: Window,
    pub(in crate::budget_ledger) amount: MicroUsd,
}

/// What is known before a hold.
#[derive(Debug)]
pub(super) struct Figures {
    /// The last batch of one's own that is part of it.
    pub(super) applied: u64,
    /// What is spent and held, by budget.
    pub(super) budgets: SmallVec<[(MicroUsd, MicroUsd); 4]>,
}

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
            raise_script: Script::new(include_str!("raise.lua")),
        }
    }

    fn spent(&self, budget: &str, window: Window) -> String {
        let end = window.end.map_or(0, |end| end.as_secs());
        // With the end: a week and a month that begin at once are two periods.
        format!("{}s:{budget}:{}-{end}", self.prefix, window.start.as_secs())
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

    /// The last number of a lane of batches.
    fn batches(&self, lane: &str) -> String {
        format!("{}b:{lane}", self.prefix)
    }

    /// Writes a request for a hold, over one's lane of holds with its epoch, and one's lane of batches.
    pub(super) fn hold(
        &self,
        command: &mut Cmd,
        lanes: (&str, u64, &str),
        hold: &str,
        wanted: &[Wanted<'_>],
    ) {
        let (lane, epoch, batches) = lanes;
        command.arg(wanted.len().saturating_mul(3).saturating_add(2));
        command.arg(self.fence(lane)).arg(self.batches(batches));
        for Wanted { budget, window, .. } in wanted {
            command.arg(self.spent(&budget.id, *window)).arg(self.open(&budget.id)).arg(self.sum(&budget.id));
        }
        command.arg(epoch).arg(hold).arg(self.ttl);
        for Wanted { budget, amount, .. } in wanted {
            command.arg(budget.limit.0).arg(amount.0);
            command.arg(u8::from(budget.hard_stop)).arg(u8::from(budget.worst_case));
        }
    }

    /// Writes batches of charges, if there are any, and the holds that are given back.
    pub(super) fn apply(&self, command: &mut Cmd, run: Option<&Run>, notes: &[Note]) {
        let batch = run.map(|run| &run.batch);
        let sums = batch.map_or(&[][..], |batch| &batch.sums);
        let holds = || notes.iter().flat_map(|note| note.shares.iter().map(move |share| (note, share)));
        let keys = holds().count().saturating_mul(2).saturating_add(sums.len()).saturating_add(1);
        let lane = batch.map_or("", |batch| &*batch.lane);
        command.arg(keys).arg(self.batches(lane));
        for sum in sums {
            command.arg(self.spent(&sum.budget, sum.window));
        }
        for (_, (budget, _)) in holds() {
            command.arg(self.open(budget)).arg(self.sum(budget));
        }
        command.arg(run.map_or(0, |run| run.first)).arg(batch.map_or(0, |batch| batch.number));
        command.arg(LANE_SECS).arg(sums.len());
        for sum in sums {
            command.arg(sum.cost.0).arg(forgotten(sum.window));
        }
        for (note, (_, amount)) in holds() {
            command.arg(note.member(*amount)).arg(amount.0);
        }
    }

    /// Writes what is spent at least.
    pub(super) fn restore(&self, command: &mut Cmd, losses: &[Loss]) {
        command.arg(losses.len());
        for Loss { budget, window, .. } in losses {
            command.arg(self.spent(&budget.id, *window));
        }
        for Loss { window, known, .. } in losses {
            command.arg(known.0).arg(forgotten(*window));
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

    /// Asks what is spent and held of budgets, and for the last number of one's lane of batches.
    pub(super) fn look(&self, batches: &str, wanted: &[Wanted<'_>]) -> Cmd {
        let mut command = cmd("MGET");
        command.arg(self.batches(batches));
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

/// When spend may be forgotten, in Unix time; 0 for never.
fn forgotten(window: Window) -> u64 {
    window.end.map_or(0, |end| end.as_secs().saturating_add(KEPT_SECS))
}

/// Reads what is spent and held of so many budgets; what is no number counts as nothing.
pub(super) fn figures(value: &Value, budgets: usize) -> Option<Figures> {
    let Value::Array(items) = value else { return None };
    let mut numbers = items.iter().map(|item| match item {
        Value::BulkString(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok()),
        _ => None,
    });
    let applied = numbers.next()?.unwrap_or_default();
    let amounts: SmallVec<[MicroUsd; 8]> =
        numbers.map(|number| MicroUsd(number.unwrap_or_default())).collect();
    let budgets_seen = amounts.as_chunks().0.iter().map(|[spent, held]| (*spent, *held));
    let figures = Figures { applied, budgets: budgets_seen.collect() };
    (figures.budgets.len() == budgets).then_some(figures)
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
        let mut figures = Figures { applied: numbers.next().unwrap_or_default(), budgets: SmallVec::new() };
        while let (Some(spent), Some(held)) = (numbers.next(), numbers.next()) {
            figures.budgets.push((MicroUsd(spent), MicroUsd(held)));
        }
        let is_whole = figures.budgets.len() == budgets;
        match outcome {
            Some(1) if is_whole => Self::Held(figures),
            Some(0) if is_whole => Self::Refused(figures),
            _ => Self::Lost,
        }
    }
}
