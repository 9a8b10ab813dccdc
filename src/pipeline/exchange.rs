//! One request and everything owed to it: opened first, closed last, exactly once.
//!
//! An exchange is moved into the response body, so it outlives the handler while a stream runs. Its `Drop` settles
//! what is held and writes the one record. The outcome starts as *abandoned*: a caller that leaves, a panic and a
//! forgotten branch are all recorded as what they are.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix_web::http::header::HeaderValue;
use aisix_actors::budget_ledger::BudgetHold;
use aisix_actors::candidate_router::{Candidate, InFlight};
use aisix_actors::provider_pool::{Lease, ProviderKey, Secret};
use aisix_actors::rate_limiter::{Permit, Standing};
use smallvec::SmallVec;

mod settle;

pub use settle::Spent;

use super::attempt::failed;
use super::screen::Guard;
use crate::config::price::{Measures, Price};
use crate::config::snapshot::{ApiKey, Model, Resolved, Snapshot};
use crate::dialect::chat::{Dropped, Stamp};
use crate::dialect::{Call, Dialect, StreamOptions, Usage, openai_responses};
use crate::endpoints::Endpoint;
use crate::error::{Fault, GatewayError, Kind, UpstreamError};
use crate::gateway::Worker;
use crate::operation::Operation;
use crate::telemetry::board::Opened;
use crate::telemetry::record::{
    Admission, Attempt, CacheUse, Client, Drained, Failure, LEFT, Record, Remaining, Times,
};

/// How an exchange ended.
#[derive(Debug, Clone, Default)]
pub enum Outcome {
    /// Nobody said how: the caller left, or the code panicked.
    #[default]
    Abandoned,
    /// Answered with this status.
    Answered(u16),
    /// Refused, or failed in the middle of a stream.
    Failed(Failure),
}

/// What the target in use holds: given back when the attempt fails, kept until the answer is complete otherwise.
pub struct Engaged {
    /// The target's own limits, for targets of a routing model.
    pub limits: Option<Permit>,
    /// Budgets on the provider key or the target.
    pub budgets: Option<BudgetHold>,
    /// The credential and connection slot.
    pub lease: Lease,
    /// The provider key as the request's configuration has it; that of the lease may be a later one.
    pub key: Arc<ProviderKey>,
    /// The count of requests in flight at the target; a report of its failure takes it along.
    pub in_flight: Option<InFlight>,
    /// The target, for a report on how its stream ended.
    pub candidate: Candidate,
}

impl Engaged {
    /// What the provider's words must not repeat.
    #[must_use]
    pub fn credential(&self) -> Option<&str> {
        self.key.credential.as_ref().map(Secret::expose)
    }
}

/// See the module.
pub struct Exchange {
    /// This thread's actors and clients.
    pub worker: Rc<Worker>,
    /// The configuration that the exchange started with.
    pub snapshot: Arc<Snapshot>,
    /// The row of the table.
    pub endpoint: &'static Endpoint,
    /// The id that every record and header of this exchange carries.
    pub request_id: HeaderValue,
    /// Who calls.
    pub caller: Option<Arc<ApiKey>>,
    /// The model that the caller named.
    pub model: Option<Resolved>,
    /// The name of the target that answers.
    pub served_by: Option<Arc<str>>,
    /// Whether the caller asked for a stream.
    pub is_stream: bool,
    /// Who the caller says that it is.
    pub client: Client,
    /// What admission decided.
    pub admission: Option<Admission>,
    /// What became of a body that was refused for its size.
    pub drained: Option<Drained>,
    /// Every try at a provider, in order.
    pub attempts: SmallVec<[Attempt; 1]>,
    /// The guardrails that govern it; nothing where there are none.
    pub guard: Option<Box<Guard>>,
    /// How the cache took part.
    pub cache: Option<CacheUse>,
    /// Whether the caller named the model, and not only its provider.
    pub is_model_named: bool,
    /// Whether the gateway counted tokens in a provider's place.
    pub is_counted_here: bool,
    /// What of the request the target could not be told.
    pub dropped: Dropped,
    /// What the answer cost in tokens, as far as known.
    pub usage: Option<Usage>,
    /// What it costs at the target.
    pub price: Option<Price>,
    /// What is charged for besides tokens.
    pub measures: Measures,
    /// What earlier targets delivered of the answer, and what that cost.
    pub earlier: Spent,
    /// How long providers were waited for, until the last answer's head or body.
    pub upstream_time: Duration,
    /// Events of the provider's stream that could not be read and were left out.
    pub malformed_events: u32,
    /// When it was opened.
    pub opened: Instant,
    /// How long it took until the head of a stream was handed over.
    pub responded: Option<Duration>,
    /// Limits of the key and the model.
    pub limits: Option<Permit>,
    /// Budgets of the caller and the model.
    pub budgets: Option<BudgetHold>,
    /// What the target in use holds.
    pub engaged: Option<Engaged>,
    remaining: Remaining,
    outcome: Outcome,
    _open: Opened,
}

impl Exchange {
    /// Opens an exchange.
    #[must_use]
    pub fn open(
        worker: &Rc<Worker>,
        endpoint: &'static Endpoint,
        request_id: HeaderValue,
        client: Client,
    ) -> Self {
        Self {
            worker: worker.clone(),
            snapshot: worker.gateway.snapshot(),
            endpoint,
            request_id,
            caller: None,
            model: None,
            served_by: None,
            is_stream: false,
            client,
            admission: None,
            drained: None,
            attempts: SmallVec::new(),
            guard: None,
            cache: None,
            is_model_named: true,
            is_counted_here: false,
            dropped: Dropped::default(),
            usage: None,
            price: None,
            measures: Measures::default(),
            earlier: Spent::default(),
            upstream_time: Duration::ZERO,
            malformed_events: 0,
            opened: Instant::now(),
            responded: None,
            limits: None,
            budgets: None,
            engaged: None,
            remaining: Remaining::default(),
            outcome: Outcome::Abandoned,
            _open: worker.open_exchange(endpoint),
        }
    }

    /// Says how it ended; the first word counts.
    pub fn conclude(&mut self, outcome: Outcome) {
        if matches!(self.outcome, Outcome::Abandoned) {
            self.outcome = outcome;
        }
    }

    /// Says that it failed.
    pub fn fail(&mut self, error: &GatewayError) {
        self.conclude(Outcome::Failed(Failure::of(error)));
    }

    /// Tells the router that the answer of the target in use broke off; gives the error as a caller may read it.
    #[must_use]
    pub fn broke_off(&self, error: UpstreamError) -> UpstreamError {
        let Some(engaged) = &self.engaged else { return error };
        let error = error.tidied(engaged.credential());
        self.worker.actors.router.report(&engaged.candidate, failed(&error), None);
        error
    }

    /// Changes what is known of the attempt under way.
    pub fn last_attempt(&mut self, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.attempts.last_mut() {
            change(attempt);
        }
    }

    /// Takes note of how the caller's limits stand.
    pub fn note_standing(&mut self, standing: Option<&Standing>) {
        let Some(Standing { limit, used_requests_minute, used_tokens_minute, .. }) = standing else { return };
        self.remaining = Remaining {
            requests: limit.rpm.map(|limit| limit.saturating_sub(*used_requests_minute)),
            tokens: limit.tpm.map(|limit| limit.saturating_sub(*used_tokens_minute)),
        };
    }

    /// What the gateway says in an answer that it writes itself, for a provider who answers in this dialect.
    #[must_use]
    pub fn stamp(&self, call: &Call, provider: Dialect) -> Stamp {
        let caller = self.endpoint.dialect;
        let echo = match (caller, call.json()) {
            (Dialect::OpenAiResponses, Some(body)) if provider != caller => {
                Some(openai_responses::echo(body))
            }
            _ => None,
        };
        let encoding = || call.json().and_then(|body| body.member("encoding_format"));
        let wants_base64 = self.endpoint.operation == Operation::Embed && encoding() == Some("\"base64\"");
        let id = self.request_id.to_str().unwrap_or_default();
        Stamp {
            model: call.model_json.clone(),
            id: id.chars().filter(char::is_ascii_alphanumeric).collect(),
            created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            wants_usage: call.stream_options == StreamOptions::WithUsage,
            wants_base64,
            echo,
        }
    }

    /// The model that the caller named.
    ///
    /// # Errors
    /// A stage forgot to resolve it.
    pub fn named_model(&self) -> Result<Arc<Model>, GatewayError> {
        let model = self.model.as_ref().map(|resolved| resolved.model.clone());
        model.ok_or_else(|| Fault::Panic.into())
    }

    /// How the key's limits stand now.
    pub async fn peek(&self) -> Option<Standing> {
        let scope = self.caller.as_ref()?.rate_limit.clone()?;
        if let Some(standing) = self.limits.as_ref().and_then(Permit::standing) {
            return Some(standing);
        }
        Some(self.worker.actors.limiter.peek(scope).await)
    }

    /// Tells everybody who wants to hear of it.
    fn tell(&self) {
        let (status, failure) = match &self.outcome {
            Outcome::Abandoned => (LEFT, None),
            Outcome::Answered(status) => (*status, None),
            Outcome::Failed(failure) => (failure.status, Some(failure)),
        };
        self.worker.telemetry.close(&Record {
            endpoint: self.endpoint,
            request_id: self.request_id.to_str().unwrap_or_default(),
            caller: self.caller.as_deref(),
            model: self.model.as_ref(),
            is_stream: self.is_stream,
            status,
            failure,
            attempts: &self.attempts,
            usage: self.usage.as_ref(),
            cost: self.own_cost(),
            audio: self.measures.audio,
            malformed_events: self.malformed_events,
            cache: self.cache.as_ref(),
            guard: self.guard.as_ref().map(|guard| &guard.audit),
            admission: self.admission,
            drained: self.drained,
            remaining: self.remaining,
            client: &self.client,
            times: Times { opened: self.opened, responded: self.responded, took: self.opened.elapsed() },
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let words = "panic".to_owned();
            self.conclude(Outcome::Failed(Failure { status: 500, kind: Kind::Internal, words, limit: None }));
        }
        let tokens = self.tokens();
        self.settle_money_and_target();
        if let Some(permit) = self.limits.take() {
            self.worker.actors.limiter.settle(permit, tokens);
        }
        self.tell();
    }
}
