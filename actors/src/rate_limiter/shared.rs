//! Limits that several gateways count together, in Redis.
//!
//! One script takes from all scopes of a request as one step, with the same checks in the same order as the book of
//! one process. The answer says how the caller's key stands, so that nothing is asked again for its headers. What is
//! given back is sent by a task of the worker that nobody waits for; a permit that Redis does not hold any more is not
//! given back twice.
//!
//! While Redis cannot be asked, the book of this process counts, or everything limited is refused. What was counted
//! here is added to Redis when it answers again, as far as its windows are still current. The book goes on from the
//! counts that Redis told last.

mod lane;
mod scripts;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};

pub(super) use lane::Lane;
use lane::{Entry, Limited};
use scripts::{Keys, MOST_TOKENS, Reply, standings};

use super::book::LimitBook;
use super::counts::{Counts, Drained, Told};
use super::limit::{AcquireRefused, Scope, Use as Used};
use super::permit::{Noted, Permit};
use crate::redis::{Fault, Link, Recovery, Server, Unanswered, Use, Wire};
use crate::register::lock;
use crate::types::Now;

/// Time between two looks at what Redis has not heard of for long.
const BEAT: Duration = Duration::from_secs(1);

/// Permits that are sent at once.
const BATCH: usize = 256;

/// The time in which the last permits of a process must be given back.
const FAREWELL: Duration = Duration::from_secs(2);

/// How limits are shared.
#[derive(Debug)]
pub struct SharedLimits {
    server: Arc<Server>,
    keys: Keys,
    ttl: Duration,
    /// Whether limited requests are refused while Redis cannot be asked.
    denies: bool,
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// Whether the book of this process may have counted something.
    has_counted: AtomicBool,
    /// Unlike that of any other gateway.
    name: String,
    additions: tokio::sync::Mutex<Additions>,
}

/// What this process counted by itself and Redis does not have for certain.
#[derive(Debug, Default)]
struct Additions {
    last: u64,
    waiting: VecDeque<Addition>,
}

/// What was counted in one scope; Redis adds each number once.
#[derive(Debug)]
struct Addition {
    number: u64,
    scope: Arc<str>,
    counts: Drained,
}

impl Additions {
    fn note(&mut self, drained: Vec<(Arc<str>, Drained)>) {
        for (scope, counts) in drained {
            self.last = self.last.saturating_add(1);
            self.waiting.push_back(Addition { number: self.last, scope, counts });
        }
    }
}

impl SharedLimits {
    /// Prepares sharing over a Redis. A permit outlives a gateway that says nothing any more by `ttl`; while Redis
    /// cannot be asked, `denies` refuses what is limited.
    pub fn new(server: Arc<Server>, ttl: Duration, denies: bool) -> Arc<Self> {
        let keys = Keys::new(&server.options.key_prefix, ttl);
        Arc::new(Self {
            server,
            keys,
            ttl,
            denies,
            lanes: Mutex::default(),
            has_counted: AtomicBool::new(false),
            name: format!("{:016x}", fastrand::u64(..)),
            additions: tokio::sync::Mutex::default(),
        })
    }

    /// Gives back what ended workers could not, before the process ends.
    pub async fn finish(&self) {
        let lanes = lock(&self.lanes).clone();
        if lanes.iter().all(|lane| lane.open() == 0) {
            return;
        }
        let give_back = async {
            let Ok(wire) = self.server.options.connect().await else { return };
            for lane in lanes {
                lane.list_again();
                let _ = self.give_back(&lane, &wire).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, give_back).await;
    }

    /// Gives back over a connection, which nobody else need use.
    async fn give_back(&self, lane: &Lane, wire: &Wire) -> Result<(), String> {
        loop {
            let due = lane.due();
            if due.is_empty() {
                return Ok(());
            }
            for chunk in due.chunks(BATCH) {
                let sent = chunk.iter().map(|(id, entry)| {
                    let mut wire = wire.clone();
                    async move {
                        let within = self.server.options.timeout;
                        let fill = |command: &mut _| self.keys.close(command, lane, *id, entry);
                        match wire.send_script(&self.keys.close_script, fill, within).await {
                            // What Redis refuses to take back it would refuse again; it goes when its time is over.
                            Ok(_) | Err(Fault::Refused(_)) => {
                                lane.forget(*id);
                                Ok(())
                            }
                            Err(fault) => Err(fault.to_string()),
                        }
                    }
                });
                if let Some(Err(why)) = join_all(sent).await.into_iter().find(Result::is_err) {
                    lane.put_back(due.iter().map(|(id, _)| *id));
                    return Err(why);
                }
            }
        }
    }
}

/// One worker's access to shared limits.
pub(super) struct Desk {
    shared: Arc<SharedLimits>,
    link: Link,
    lane: Arc<Lane>,
    book: Arc<LimitBook>,
}

impl Desk {
    pub(super) fn new(shared: Arc<SharedLimits>, link: Link, book: Arc<LimitBook>) -> Rc<Self> {
        let lane = Lane::new();
        lock(&shared.lanes).push(Arc::clone(&lane));
        let desk = Rc::new(Self { shared, link, lane, book });
        desk.link.on_recovery(Rc::clone(&desk) as Rc<dyn Recovery>);
        desk
    }

    /// Takes one request and a hold of `tokens` from all scopes, or nothing from any.
    pub(super) async fn acquire(
        &self,
        scopes: &[Arc<Scope>],
        tokens: u64,
        hold: Option<(String, String)>,
    ) -> Result<Permit, AcquireRefused> {
        let limited = limited(scopes);
        if limited.is_empty() {
            return Ok(self.book.acquire(scopes, tokens, Now::read())?);
        }
        if !self.link.is_up() {
            return self.fall_back(scopes, tokens);
        }
        let kept = tokens.min(MOST_TOKENS);
        let asked = self.lane.ask(&limited, kept, Now::read());
        let fill = |command: &mut _| {
            self.shared.keys.acquire(command, &asked, &limited, kept, hold.as_ref());
        };
        let Ok(answer) = self.link.run(Use::Limits, &self.shared.keys.acquire_script, fill).await else {
            return self.fall_back(scopes, tokens);
        };
        match Reply::read(&answer, &limited) {
            Reply::Admitted { unix, requests, tokens: used, concurrent, told } => {
                self.learn(&limited, &told);
                let (lane, id) = asked.admitted();
                let noted = Noted { lane, id, unix, requests, tokens: used, concurrent, scopes: limited };
                self.book.note(true);
                Ok(Permit::shared(noted, Arc::clone(&self.book)))
            }
            Reply::Refused(exceeded, told) => {
                self.learn(&limited, &told);
                asked.refused();
                self.book.note(false);
                Err(exceeded.into())
            }
            Reply::NoHold => {
                asked.refused();
                Err(AcquireRefused::NoHold)
            }
            Reply::Lost => self.fall_back(scopes, tokens),
        }
    }

    /// Asks what is used of every limit of the scopes, taking nothing; nothing where Redis does not say.
    pub(super) async fn look(&self, scopes: &[Arc<Scope>]) -> Option<Vec<Vec<Used>>> {
        let limited = limited(scopes);
        let fill = |command: &mut _| self.shared.keys.look(command, &limited);
        let answer = self.link.run(Use::Limits, &self.shared.keys.look_script, fill).await.ok()?;
        let standings = standings(&answer, limited.len())?;
        let now = Now::read();
        let uses = scopes.iter().map(|scope| {
            let place = limited.iter().position(|known| known.id == scope.id);
            let Some((told, held, concurrent)) = place.and_then(|place| standings.get(place)) else {
                return Vec::new();
            };
            self.book.learn(scope, told, now);
            Counts::uses_of_all(&scope.limit, told, (*held, *concurrent), now)
        });
        Some(uses.collect())
    }

    /// Notes how the scopes stand, so that the book goes on from there.
    fn learn(&self, scopes: &Limited, told: &[Told]) {
        let now = Now::read();
        scopes.iter().zip(told).for_each(|(scope, told)| self.book.learn(scope, told, now));
    }

    fn fall_back(&self, scopes: &[Arc<Scope>], tokens: u64) -> Result<Permit, AcquireRefused> {
        self.shared.server.tally(Use::Limits).fall_back();
        if self.shared.denies {
            return Err(AcquireRefused::Uncounted);
        }
        let permit = self.book.acquire(scopes, tokens, Now::read());
        self.shared.has_counted.store(true, Relaxed);
        Ok(permit?)
    }

    /// Gives back what is dropped, and keeps open what lasts, for as long as the actor lives.
    pub(super) async fn attend(self: Rc<Self>) {
        self.lane.list_again();
        loop {
            let _ = tokio::time::timeout(BEAT, self.lane.bell.notified()).await;
            if !self.link.is_up() {
                continue;
            }
            // A permit whose call was late may be given later: what the link puts right gives it back.
            if self.link.is_settled() {
                self.close_due().await;
            }
            self.keep_open().await;
            self.add_local().await;
        }
    }

    async fn close_due(&self) {
        let due = self.lane.due();
        for chunk in due.chunks(BATCH) {
            let sent = chunk.iter().map(|(id, entry)| async move {
                let fill = |command: &mut _| self.shared.keys.close(command, &self.lane, *id, entry);
                match self.link.run(Use::Limits, &self.shared.keys.close_script, fill).await {
                    Ok(_) | Err(Unanswered::Refused) => self.lane.forget(*id),
                    Err(Unanswered::Down) => self.lane.put_back([*id]),
                }
            });
            join_all(sent).await;
        }
    }

    async fn keep_open(&self) {
        let age = self.shared.ttl.checked_div(3).unwrap_or(BEAT);
        let stale: Vec<(u64, Entry)> = self.lane.stale(age, Now::read());
        for chunk in stale.chunks(BATCH) {
            let sent = chunk.iter().map(|(id, entry)| {
                let fill = move |command: &mut _| self.shared.keys.keep(command, &self.lane, *id, entry);
                self.link.run(Use::Limits, &self.shared.keys.keep_script, fill)
            });
            join_all(sent).await;
        }
    }

    /// Adds what the book of this process counted: everything once and in order, whichever worker sends it.
    async fn add_local(&self) {
        let Ok(mut additions) = self.shared.additions.try_lock() else { return };
        if self.shared.has_counted.swap(false, Relaxed) {
            // Permits that are open now have tokens to come.
            let is_held = self.book.is_held();
            additions.note(self.book.drain(Now::read()));
            if is_held {
                self.shared.has_counted.store(true, Relaxed);
            }
        }
        while let Some(addition) = additions.waiting.front() {
            let fill = |command: &mut _| self.shared.keys.add(command, &self.shared.name, addition);
            // What Redis refuses to add it would refuse again, and the next ones wait.
            match self.link.run(Use::Limits, &self.shared.keys.add_script, fill).await {
                Ok(_) | Err(Unanswered::Refused) => {}
                Err(Unanswered::Down) => return,
            }
            additions.waiting.pop_front();
        }
    }
}

impl Recovery for Desk {
    fn recover(&self, mut wire: Wire) -> LocalBoxFuture<'_, Result<(), String>> {
        async move {
            let within = self.shared.server.options.timeout;
            wire.call(&self.shared.keys.raise(&self.lane), within).await?;
            wire.load(&self.shared.keys.acquire_script, within).await?;
            self.lane.list_again();
            self.shared.give_back(&self.lane, &wire).await
        }
        .boxed_local()
    }
}

/// The scopes that limit anything, each once, in the order given.
fn limited(scopes: &[Arc<Scope>]) -> Limited {
    let mut limited = Limited::new();
    for scope in scopes.iter().filter(|scope| !scope.limit.is_unlimited()) {
        if !limited.iter().any(|known| known.id == scope.id) {
            limited.push(Arc::clone(scope));
        }
    }
    limited
}

#[cfg(test)]
mod tests;
