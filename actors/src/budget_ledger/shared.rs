//! Budgets that several gateways spend from together, in Redis.
//!
//! One script holds in all budgets of a request as one step. Charges do not go there by themselves: the journal hands
//! them over in batches, each of which is added once, whatever becomes of the connection or the process, and gives back
//! the holds that it was charged under in the same step. Until then a hold counts: rather too much than too little.
//!
//! While Redis cannot be asked, the last known figures decide, with what is held and charged here since; once they are
//! too old, hard budgets refuse or admit as configured.

mod desk;
mod scripts;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foldhash::HashMap;
use smallvec::SmallVec;
use tokio::sync::Notify;

pub(super) use desk::{Desk, Ticket};
use scripts::Keys;
pub(super) use scripts::Wanted;

use super::journal::Batch;
use crate::redis::{Server, Wire};
use crate::register::lock;
use crate::types::{MicroUsd, Now};

/// Holds that are given back, or kept open, in one step.
const BATCH: usize = 256;

/// How budgets are shared.
#[derive(Debug)]
pub struct SharedBudgets {
    /// The Redis.
    pub server: Arc<Server>,
    keys: Keys,
    ttl: Duration,
    stale: Duration,
    /// Whether hard budgets refuse once the last known figures are too old.
    denies: AtomicBool,
    /// Unlike that of any other gateway.
    name: String,
    next: AtomicU64,
    /// Holds that Redis has, or may have.
    notes: Mutex<HashMap<u64, Note>>,
    /// Holds to give back, each once the batch of this number is added.
    due: Mutex<Vec<(u64, u64)>>,
    /// Rings when holds can be given back without a batch.
    bell: Notify,
    /// When Redis last answered, in milliseconds of the steady clock; 0 for never.
    answered: AtomicU64,
}

/// A hold as this process knows it.
#[derive(Debug, Clone)]
pub(super) struct Note {
    name: String,
    pub(super) shares: SmallVec<[(Arc<str>, MicroUsd); 4]>,
    seen: Duration,
    is_over: bool,
}

impl SharedBudgets {
    /// Prepares sharing over a Redis. A hold outlives a gateway that says nothing any more by `ttl`; figures are good
    /// for `stale` while Redis cannot be asked.
    pub fn new(server: Arc<Server>, ttl: Duration, stale: Duration, denies: bool) -> Arc<Self> {
        Arc::new(Self {
            keys: Keys::new(&server.options.key_prefix, ttl),
            server,
            ttl,
            stale,
            denies: AtomicBool::new(denies),
            name: format!("{:016x}", fastrand::u64(..)),
            next: AtomicU64::new(1),
            notes: Mutex::default(),
            due: Mutex::default(),
            bell: Notify::new(),
            answered: AtomicU64::new(0),
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

    /// Adds a batch of charges and gives back the holds made under them; without a batch, those that need none.
    ///
    /// # Errors
    /// What Redis says. Whether it was added is unknown then; doing it again adds it once.
    pub async fn apply(&self, wire: &mut Wire, batch: Option<&Batch>, is_own: bool) -> Result<(), String> {
        let applied = batch.filter(|_| is_own).map_or(0, |batch| batch.number);
        let mut batch = batch;
        loop {
            let ids = self.due_up_to(applied);
            let notes = self.notes_of(&ids);
            if batch.is_none() && notes.is_empty() {
                return Ok(());
            }
            let fill = |command: &mut redis::Cmd| self.keys.apply(command, batch, &notes);
            let sent = wire.run(&self.keys.apply_script, fill, self.server.options.timeout).await;
            if let Err(why) = sent {
                lock(&self.due).extend(ids.into_iter().map(|id| (0, id)));
                return Err(why);
            }
            let mut known = lock(&self.notes);
            ids.iter().for_each(|id| drop(known.remove(id)));
            batch = None;
        }
    }

    /// Tells Redis of the holds of which it has not heard for long.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn keep(&self, wire: &mut Wire) -> Result<(), String> {
        let stale = self.stale_notes(Now::read());
        for notes in stale.chunks(BATCH) {
            let fill = |command: &mut redis::Cmd| self.keys.keep(command, notes);
            wire.run(&self.keys.keep_script, fill, self.server.options.timeout).await?;
        }
        Ok(())
    }

    /// Gives a hold back, once the batch of this number is added; 0 for at once.
    pub(super) fn release(&self, id: u64, after: u64) {
        if let Some(note) = lock(&self.notes).get_mut(&id) {
            note.is_over = true;
        }
        lock(&self.due).push((after, id));
        if after == 0 {
            self.bell.notify_one();
        }
    }

    fn due_up_to(&self, number: u64) -> Vec<u64> {
        let mut due = lock(&self.due);
        let mut taken = Vec::new();
        due.retain(|(after, id)| {
            let is_taken = *after <= number && taken.len() < BATCH;
            if is_taken {
                taken.push(*id);
            }
            !is_taken
        });
        taken
    }

    fn notes_of(&self, ids: &[u64]) -> Vec<Note> {
        let notes = lock(&self.notes);
        ids.iter().filter_map(|id| notes.get(id).cloned()).collect()
    }

    fn stale_notes(&self, now: Now) -> Vec<Note> {
        let age = self.ttl.checked_div(3).unwrap_or_default();
        let mut notes = lock(&self.notes);
        let stale = notes.values_mut().filter(|note| now.steady.saturating_sub(note.seen) >= age);
        stale
            .filter(|note| !note.is_over)
            .map(|note| {
                note.seen = now.steady;
                note.clone()
            })
            .collect()
    }

    fn note_answer(&self, now: Now) {
        let millis = u64::try_from(now.steady.as_millis()).unwrap_or(u64::MAX);
        self.answered.store(millis.max(1), Relaxed);
    }

    /// Whether the last known figures are too old to decide by.
    /// Whether hard budgets refuse because Redis cannot be asked, and what is known of it is too old.
    pub fn is_refusing(&self, now: Now) -> bool {
        !self.server.is_up() && self.denies.load(Relaxed) && self.is_stale(now)
    }

    fn is_stale(&self, now: Now) -> bool {
        match self.answered.load(Relaxed) {
            0 => true,
            millis => now.steady.saturating_sub(Duration::from_millis(millis)) > self.stale,
        }
    }
}

impl Note {
    /// What Redis calls it in a budget in which so much is set aside.
    pub(super) fn member(&self, amount: MicroUsd) -> String {
        format!("{}:{}", self.name, amount.0)
    }
}
