//! Budgets that several gateways spend from together, in Redis.
//!
//! One script holds in all budgets of a request as one step. Charges do not go there by themselves: the journal hands
//! them over in batches, each of which is added once, whatever becomes of the connection or the process, and gives back
//! the holds that it was charged under in the same step. Until then a hold counts: rather too much than too little.
//!
//! While Redis cannot be asked, the last known figures decide, with what is held and charged here since; once they are
//! too old, hard budgets refuse or admit as configured.

mod desk;
mod durability;
mod scripts;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use foldhash::HashMap;
use smallvec::SmallVec;
use tokio::sync::Notify;

pub(super) use desk::{Desk, Ticket};
use scripts::Keys;
pub(super) use scripts::Wanted;

use super::journal::Run;
use super::mirror::Loss;
use crate::redis::{Server, Wire};
use crate::register::lock;
use crate::types::{MicroUsd, Now};

/// Holds that are given back, or kept open, in one step.
const BATCH: usize = 512;

/// Longest time between two looks at holds that last.
const LONGEST_BEAT: Duration = Duration::from_secs(1);

/// What became of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// All of them are part of what is spent.
    All,
    /// Those up to this number were before, and nothing was done with the others.
    UpTo(u64),
}

/// How budgets are shared.
#[derive(Debug)]
pub struct SharedBudgets {
    /// The Redis.
    pub server: Arc<Server>,
    /// Charges that Redis does not have yet.
    pub backlog: Backlog,
    keys: Keys,
    ttl: Duration,
    stale: Duration,
    /// Whether hard budgets refuse once the last known figures are too old.
    denies: AtomicBool,
    /// When Redis last answered, in milliseconds of the steady clock; 0 where too little is known to decide by.
    answered: AtomicU64,
    /// Unlike that of any other gateway.
    name: String,
    next: AtomicU64,
    /// Holds that Redis has, or may have.
    notes: Mutex<HashMap<u64, Note>>,
    /// Holds to give back, each once the batch of this number is added.
    due: Mutex<Vec<(u64, u64)>>,
    /// Rings when holds can be given back without a batch.
    bell: Notify,
    /// Spend that is lost in Redis and to be put back.
    losses: Mutex<Vec<Loss>>,
    /// Millionths of a dollar that were lost so far.
    lost: AtomicU64,
    /// Of this process's batches.
    lane: OnceLock<Arc<str>>,
}

/// Charges on their way to Redis.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Batches that wait.
    pub batches: AtomicU64,
    /// Millionths of a dollar in them.
    pub micro_usd: AtomicU64,
    /// The age of the oldest, in seconds.
    pub age_secs: AtomicU64,
}

/// A hold as this process knows it.
#[derive(Debug, Clone)]
pub(super) struct Note {
    name: String,
    pub(super) shares: SmallVec<[(Arc<str>, MicroUsd); 4]>,
    seen: Duration,
}

impl SharedBudgets {
    /// Prepares sharing over a Redis. A hold outlives a gateway that says nothing any more by `ttl`; figures are good
    /// for `stale` while Redis cannot be asked.
    pub fn new(server: Arc<Server>, ttl: Duration, stale: Duration, denies: bool) -> Arc<Self> {
        Arc::new(Self {
            keys: Keys::new(&server.options.key_prefix, ttl),
            server,
            backlog: Backlog::default(),
            ttl,
            stale,
            denies: AtomicBool::new(denies),
            answered: AtomicU64::new(0),
            name: format!("{:016x}", fastrand::u64(..)),
            next: AtomicU64::new(1),
            notes: Mutex::default(),
            due: Mutex::default(),
            bell: Notify::new(),
            losses: Mutex::default(),
            lost: AtomicU64::new(0),
            lane: OnceLock::new(),
        })
    }

    /// Says anew whether hard budgets refuse once the last known figures are too old.
    pub fn configure(&self, denies: bool) {
        self.denies.store(denies, Relaxed);
    }

    /// Waits until holds can be given back that no batch is awaited for.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Adds batches of charges and gives back the holds made under them; without batches, those that need none.
    ///
    /// # Errors
    /// What Redis says. Whether they were added is unknown then; doing it again adds them once.
    pub async fn apply(&self, wire: &mut Wire, run: Option<&Run>, is_own: bool) -> Result<Applied, String> {
        let applied = run.filter(|_| is_own).map_or(0, |run| run.batch.number);
        let mut run = run;
        loop {
            let due = self.due_up_to(applied);
            let notes = self.notes_of(&due);
            if run.is_none() && due.is_empty() {
                return Ok(Applied::All);
            }
            let fill = |command: &mut redis::Cmd| self.keys.apply(command, run, &notes);
            let sent = wire.run(&self.keys.apply_script, fill, self.server.options.timeout).await;
            let known = match sent {
                Ok(answer) => report(&answer, run),
                Err(why) => {
                    lock(&self.due).extend(due);
                    return Err(why);
                }
            };
            if let Some(known) = known {
                lock(&self.due).extend(due);
                return Ok(Applied::UpTo(known));
            }
            let mut known = lock(&self.notes);
            due.iter().for_each(|(_, id)| drop(known.remove(id)));
            run = None;
        }
    }

    /// How often holds are to be kept open.
    pub fn beat(&self) -> Duration {
        self.ttl.checked_div(4).unwrap_or_default().min(LONGEST_BEAT)
    }

    /// Tells Redis of the holds of which it has not heard for long: also of those whose charge it does not have yet.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn keep(&self, wire: &mut Wire) -> Result<(), String> {
        let now = Now::read();
        let (ids, notes): (Vec<_>, Vec<_>) = self.stale_notes(now).into_iter().unzip();
        for (ids, notes) in ids.chunks(BATCH).zip(notes.chunks(BATCH)) {
            let fill = |command: &mut redis::Cmd| self.keys.keep(command, notes);
            wire.run(&self.keys.keep_script, fill, self.server.options.timeout).await?;
            let mut known = lock(&self.notes);
            for id in ids {
                if let Some(note) = known.get_mut(id) {
                    note.seen = now.steady;
                }
            }
        }
        Ok(())
    }

    /// Gives a hold back, once the batch of this number is added; 0 for at once.
    pub(super) fn release(&self, id: u64, after: u64) {
        lock(&self.due).push((after, id));
        if after == 0 {
            self.bell.notify_one();
        }
    }

    fn due_up_to(&self, number: u64) -> Vec<(u64, u64)> {
        let mut due = lock(&self.due);
        let mut taken = Vec::new();
        due.retain(|(after, id)| {
            let is_taken = *after <= number && taken.len() < BATCH;
            if is_taken {
                taken.push((*after, *id));
            }
            !is_taken
        });
        taken
    }

    fn notes_of(&self, due: &[(u64, u64)]) -> Vec<Note> {
        let notes = lock(&self.notes);
        due.iter().filter_map(|(_, id)| notes.get(id).cloned()).collect()
    }

    fn stale_notes(&self, now: Now) -> Vec<(u64, Note)> {
        let age = self.ttl.checked_div(3).unwrap_or_default();
        let notes = lock(&self.notes);
        let stale = notes.iter().filter(|(_, note)| now.steady.saturating_sub(note.seen) >= age);
        stale.map(|(id, note)| (*id, note.clone())).collect()
    }

    /// Says which lane the batches of this process are in.
    pub fn own(&self, lane: Arc<str>) {
        let _ = self.lane.set(lane);
    }

    /// Takes note of an answer of Redis.
    fn note_answer(&self, now: Now) {
        let millis = u64::try_from(now.steady.as_millis()).unwrap_or(u64::MAX);
        self.answered.store(millis.max(1), Relaxed);
    }

    /// Takes note that too little was known to admit a request.
    fn note_ignorance(&self) {
        self.answered.store(0, Relaxed);
    }

    /// Whether hard budgets refuse because Redis cannot be asked, and too little is known of it.
    pub fn is_refusing(&self, now: Now) -> bool {
        let is_recent = match self.answered.load(Relaxed) {
            0 => false,
            millis => now.steady.saturating_sub(Duration::from_millis(millis)) <= self.stale,
        };
        !self.server.is_up() && self.denies.load(Relaxed) && !is_recent
    }

    /// Millionths of a dollar of spend that Redis was found to have lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Says what is lost, once of each, and has it put back.
    fn note_losses(&self, losses: SmallVec<[Loss; 1]>) {
        for loss in losses {
            let Loss { budget, known, found, .. } = &loss;
            let (name, period) = (&budget.name, budget.period.as_str());
            self.lost.fetch_add(known.saturating_sub(*found).0, Relaxed);
            log::error!(
                "redis has lost spend: budget {name:?} had {known} USD spent this {period}, and now has {found}; it is put back"
            );
            lock(&self.losses).push(loss);
            self.bell.notify_one();
        }
    }

    /// Puts lost spend back.
    ///
    /// # Errors
    /// What Redis says; it is done again then.
    pub async fn put_back(&self, wire: &mut Wire) -> Result<(), String> {
        let losses = std::mem::take(&mut *lock(&self.losses));
        if losses.is_empty() {
            return Ok(());
        }
        let fill = |command: &mut redis::Cmd| self.keys.restore(command, &losses);
        let sent = wire.run(&self.keys.raise_script, fill, self.server.options.timeout).await;
        if sent.is_err() {
            lock(&self.losses).extend(losses);
        }
        sent.map(drop)
    }
}

impl Note {
    /// What Redis calls it in a budget in which so much is set aside.
    pub(super) fn member(&self, amount: MicroUsd) -> String {
        format!("{}:{}", self.name, amount.0)
    }
}

/// Reads the answer to batches: up to where they had been added, where that is neither all nor nothing. Says in the log
/// what could not be added.
fn report(answer: &redis::Value, run: Option<&Run>) -> Option<u64> {
    let (Some(run), redis::Value::Array(items)) = (run, answer) else { return None };
    let mut numbers = items.iter().map(|item| match item {
        redis::Value::Int(number) => *number,
        _ => 0,
    });
    if let Some(known) = numbers.next().and_then(|known| u64::try_from(known).ok()) {
        return Some(known);
    }
    while let (Some(at), Some(is_added)) = (numbers.next(), numbers.next()) {
        let at = usize::try_from(at).ok().and_then(|at| at.checked_sub(1));
        let Some(sum) = at.and_then(|at| run.batch.sums.get(at)) else { continue };
        let (budget, cost) = (&sum.budget, sum.cost);
        match is_added {
            1 => log::error!(
                "redis holds something else than a whole number as what budget {budget} has spent: it is moved aside \
                 to a key that ends in :aside, and spend goes on from it rounded up, with {cost} USD more"
            ),
            _ => log::error!(
                "redis cannot add {cost} USD to what budget {budget} has spent: they are left out, and logged here only"
            ),
        }
    }
    None
}
