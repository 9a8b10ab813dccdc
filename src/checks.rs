//! Background checks (§6.8): models are asked from time to time whether they are well, and the router is told.
//!
//! On a thread of its own with its own clients, so that no request ever waits for a check. Every question is a request
//! that the provider is paid for; it is no exchange, so that no caller's limit, budget, record or metric knows of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix_rt::Arbiter;
use aisix_actors::Now;
use aisix_actors::candidate_router::Check;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use self::question::{Outcome, ask};
use self::schedule::{Due, Schedule};
use crate::config::snapshot::{Dispatch, Model};
use crate::gateway::Gateway;
use crate::upstream::Upstream;

mod question;
mod schedule;

/// Questions at the same time: a gateway with many models must not ask all of them at once.
const MOST_AT_ONCE: usize = 4;

/// The checks of a running gateway.
pub struct Checks(Arbiter);

impl Checks {
    /// Starts to check the models of whatever configuration is in force, until it is told to stop.
    #[must_use]
    pub fn start(gateway: &Arc<Gateway>) -> Self {
        let (arbiter, gateway) = (Arbiter::new(), gateway.clone());
        arbiter.spawn_fn(move || drop(actix_rt::spawn(keep_checking(gateway))));
        Self(arbiter)
    }

    /// Stops at once. Questions under way are dropped, with what they hold.
    pub fn stop(&self) {
        // It may have ended already.
        let _ = self.0.stop();
    }
}

/// A question that was asked, and what came of it.
struct Answered {
    due: Due,
    /// Nothing where the model could not be asked.
    outcome: Option<Outcome>,
}

async fn keep_checking(gateway: Arc<Gateway>) {
    let upstream = Upstream::default();
    let mut schedule = Schedule::default();
    let mut asked = FuturesUnordered::new();
    let mut has_changed = true;
    loop {
        let now = Instant::now();
        if std::mem::take(&mut has_changed) {
            forget_verdicts(&gateway, &schedule.follow(&gateway.snapshot(), now));
        }
        while asked.len() < MOST_AT_ONCE {
            let Some(due) = schedule.take_due(now) else { break };
            asked.push(check(&gateway, &upstream, due));
        }
        let next = schedule.next_due().filter(|_| asked.len() < MOST_AT_ONCE);
        tokio::select! {
            // First, so that no answer counts for a configuration in which nobody asks.
            biased;
            () = gateway.renewed() => has_changed = true,
            Some(answered) = asked.next(), if !asked.is_empty() => conclude(&gateway, &mut schedule, &answered),
            () = until(next) => {}
        }
    }
}

/// Waits until then, or for ever.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Asks one model. A panic is no verdict, and does not end the checks of the others.
async fn check(gateway: &Gateway, upstream: &Upstream, due: Due) -> Answered {
    let Dispatch::Direct(direct) = &due.model.dispatch else { return Answered { due, outcome: None } };
    let asked = AssertUnwindSafe(ask(gateway, upstream, &due.model, direct)).catch_unwind().await;
    let outcome = asked.unwrap_or_else(|_| {
        log::error!("the background check of {} failed by a panic", due.model.name);
        None
    });
    Answered { due, outcome }
}

/// Tells the router, and the log where something changed.
fn conclude(gateway: &Gateway, schedule: &mut Schedule, answered: &Answered) {
    let model = &answered.due.model;
    let Some(outcome) = answered.outcome else {
        schedule.put_back(&answered.due);
        return log::debug!("background check: {} could not be asked", model.name);
    };
    // Nobody asks for it any more where the configuration has changed meanwhile.
    let Some(before) = schedule.conclude(&answered.due, outcome.check) else { return };
    gateway.books.health.record_check(&model.id, outcome.check, Now::read());
    if before != Some(outcome.check) {
        tell(model, outcome, before);
    }
}

/// A model that nobody checks any more is not known to be ill.
fn forget_verdicts(gateway: &Gateway, unchecked: &[Arc<str>]) {
    for id in unchecked {
        gateway.books.health.record_check(id, Check::Passed, Now::read());
    }
}

/// One line of a verdict that is another than before: names and a status, and nothing of a provider's words.
fn tell(model: &Model, outcome: Outcome, before: Option<Check>) {
    let name = &model.name;
    let key = match &model.dispatch {
        Dispatch::Direct(direct) => &*direct.provider_key_name,
        Dispatch::Routing(_) => "",
    };
    match outcome.check {
        Check::Passed if before.is_none() => log::debug!("background check passed: target={name}"),
        Check::Passed => log::info!("background check passed again: target={name} provider_key={key}"),
        Check::Ignored(status) => {
            log::info!("background check ignored: target={name} provider_key={key} status={status}");
        }
        Check::Failed(status) => {
            let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            let kind = outcome.kind;
            log::warn!(
                "background check failed: target={name} provider_key={key} status={status} kind={kind}"
            );
        }
    }
}
