//! Attempt: the one retry loop. It asks the failure what to do next and the clock what time is left, never the text.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use aisix_actors::candidate_router::{AttemptFailure, AttemptOutcome, Candidate, Candidates, InFlight};

mod one;

use one::One;

use super::ask::Answer;
use super::clock::Clock;
use super::exchange::Exchange;
use super::reserve;
use super::retry::{Rules, Step};
use crate::config::snapshot::{Dispatch, Model};
use crate::dialect::Call;
use crate::dialect::prefill::Prefill;
use crate::error::{Fault, GatewayError, UpstreamError};
use crate::telemetry::record::{Attempt, AttemptKind};

/// A request's way through its candidates.
pub struct Trial {
    model: Arc<Model>,
    /// Those who have not been asked, in their order.
    waiting: Candidates,
    /// Those of whom another request is finding out whether they are well: asked when nobody else is left.
    probed: Candidates,
    clock: Clock,
    has_begun: bool,
}

/// What the caller sent.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What it wants.
    pub call: &'a Call,
    /// What for.
    pub purpose: Purpose,
}

/// What targets are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// An answer.
    Answer,
    /// An answer that another target may take up, so that it has to be read and written anew.
    Rescuable,
    /// The same, where an earlier one broke off without a word.
    BeginAnew,
    /// The rest of an answer whose beginning stands at the end of the call.
    GoOn,
}

impl Purpose {
    /// Whether the answer has to be read and written anew.
    #[must_use]
    pub fn is_rescuable(self) -> bool {
        self != Self::Answer
    }

    /// Whether the caller has a part of the answer already.
    fn is_rescue(self) -> bool {
        matches!(self, Self::BeginAnew | Self::GoOn)
    }
}

impl Trial {
    /// A request that nobody has been asked for yet.
    #[must_use]
    pub fn new(exchange: &Exchange, model: &Arc<Model>, candidates: Candidates) -> Self {
        Self {
            model: model.clone(),
            waiting: candidates,
            probed: Candidates::new(),
            clock: Clock::of(exchange, model),
            has_begun: false,
        }
    }

    /// Tries the candidates that are left, in order, until one answers.
    ///
    /// # Errors
    /// The first failure that no further try can mend, or the last one when all candidates failed.
    pub async fn answer(
        &mut self,
        exchange: &mut Exchange,
        asked: Asked<'_>,
    ) -> Result<Answer, GatewayError> {
        let mut last =
            GatewayError::from(Fault::AllUnavailable { model: asked.call.model.clone(), retry_after: None });
        if asked.purpose.is_rescue() {
            self.clock = Clock::unlimited();
        }
        if asked.purpose == Purpose::GoOn {
            self.keep(goes_on);
        }
        while let Some((candidate, in_flight)) = self.take() {
            let target = target_of(&self.model, &candidate).clone();
            let mut rules = Rules::of(&exchange.snapshot.settings, &self.model, &target, self.has_more());
            let mut kind = if self.has_begun { AttemptKind::Fallback } else { AttemptKind::Initial };
            let mut in_flight = Some(in_flight);
            loop {
                exchange.attempts.push(Attempt::begin(&target, kind, self.has_begun));
                kind = AttemptKind::Retry;
                let one = One {
                    model: &self.model,
                    target: &target,
                    candidate: &candidate,
                    in_flight: in_flight.take().unwrap_or_else(|| candidate.begin_anyway()),
                    clock: self.clock,
                };
                let error = match one.run(exchange, asked).await {
                    Ok(answer) => {
                        self.has_begun = true;
                        return Ok(answer);
                    }
                    Err(error) => error,
                };
                exchange.last_attempt(|attempt| attempt.fail(&error));
                warn(exchange, &target, &error);
                let step = self.step(asked, &mut rules, &error);
                // What this one was charged must leave room for the next.
                if step != Step::Never && reserve::again(exchange, asked.call).await.is_err() {
                    return Err(error);
                }
                match step {
                    Step::Never => return Err(error),
                    Step::SameTarget(wait) => tokio::time::sleep(wait).await,
                    Step::NextCandidate => {
                        last = error;
                        break;
                    }
                    Step::LargerCandidate => {
                        self.keep_larger_than(&target);
                        last = error;
                        break;
                    }
                }
            }
            self.has_begun = true;
        }
        Err(last)
    }

    /// What to do after a failure.
    fn step(&self, asked: Asked<'_>, rules: &mut Rules<'_>, error: &GatewayError) -> Step {
        match asked.purpose.is_rescue() {
            // The caller waits in the middle of a sentence, and nobody but the next may do better.
            true => Step::NextCandidate,
            false => rules.next(error, self.clock.left()),
        }
    }

    /// Whether there is another target to turn to.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.waiting.is_empty() || !self.probed.is_empty()
    }

    /// The next candidate, counted as asked.
    fn take(&mut self) -> Option<(Candidate, InFlight)> {
        while !self.waiting.is_empty() {
            let candidate = self.waiting.remove(0);
            match candidate.begin() {
                Ok(in_flight) => return Some((candidate, in_flight)),
                Err(_) => self.probed.push(candidate),
            }
        }
        if self.probed.is_empty() {
            return None;
        }
        let candidate = self.probed.remove(0);
        let in_flight = candidate.begin_anyway();
        Some((candidate, in_flight))
    }

    /// Drops the candidates that are known to take no longer conversations than this one.
    fn keep_larger_than(&mut self, target: &Model) {
        let window = |model: &Model| match &model.dispatch {
            Dispatch::Direct(direct) => direct.context_window,
            Dispatch::Routing(_) => None,
        };
        let Some(limit) = window(target) else { return };
        self.keep(|model| window(model).is_none_or(|own| own > limit));
    }

    fn keep(&mut self, is_fit: impl Fn(&Model) -> bool) {
        let model = &self.model;
        for left in [&mut self.waiting, &mut self.probed] {
            left.retain(|candidate| is_fit(target_of(model, candidate)));
        }
    }
}

/// One line per failed attempt: which target, over which key, and why.
fn warn(exchange: &Exchange, target: &Model, error: &GatewayError) {
    let (id, attempt) = (exchange.request_id.to_str().unwrap_or_default(), exchange.attempts.len());
    let key = match &target.dispatch {
        Dispatch::Direct(direct) => &*direct.provider_key_name,
        Dispatch::Routing(_) => "",
    };
    let cause = error.for_log();
    let kind = error.kind().openai_type();
    log::warn!(
        "attempt failed: request_id={id} attempt={attempt} target={} provider_key={key} kind={kind}: {cause:?}",
        target.name
    );
    // The provider's words may repeat a prompt: only for those who ask for them.
    log::debug!("attempt failed: request_id={id} attempt={attempt} words={:?}", error.to_string());
}

/// Whether a target goes on with an answer that is begun for it.
fn goes_on(target: &Model) -> bool {
    matches!(&target.dispatch, Dispatch::Direct(direct) if direct.prefill() != Prefill::Never)
}

fn target_of<'a>(model: &'a Arc<Model>, candidate: &Candidate) -> &'a Arc<Model> {
    match &model.dispatch {
        Dispatch::Direct(_) => model,
        Dispatch::Routing(routing) => routing.members.get(candidate.index).unwrap_or(model),
    }
}

/// What the router is told of a failure.
#[must_use]
pub fn failed(error: &UpstreamError) -> AttemptOutcome {
    let (failure, retry_after) = match error {
        UpstreamError::Refused(refusal) => {
            let failure = match (refusal.in_band, refusal.status) {
                (false, Some(status)) => AttemptFailure::Status(status),
                (_, status) => AttemptFailure::InBand(status),
            };
            (failure, refusal.retry_after)
        }
        UpstreamError::Late { .. } => (AttemptFailure::Timeout, None),
        UpstreamError::Unreachable { .. } | UpstreamError::BrokeOff => (AttemptFailure::Transport, None),
        UpstreamError::Undecodable { .. } => (AttemptFailure::Decode, None),
    };
    AttemptOutcome::Failed { failure, retry_after }
}
