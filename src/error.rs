//! What can go wrong, as values that say what to do next.
//!
//! `GatewayError` keeps the facts, [`Kind`] the one table from a failure to its status, types and code. Text is for
//! people: `Display` is what a caller may read, so no URL, credential or internal name gets into it.

use std::borrow::Cow;
use std::time::Duration;

use aisix_actors::budget_ledger::{Budget, BudgetExceeded};
use aisix_actors::rate_limiter::{Dimension, Layer, LimitExceeded};
use derive_more::{Display, Error, From};

use crate::guardrails::Blocked;

mod kind;
mod refusal;

pub use kind::Kind;
pub use refusal::{RefusalClass, UpstreamRefusal};

/// Any failure of an exchange.
#[derive(Debug, Display, Error, From)]
pub enum GatewayError {
    /// The caller sent something unusable.
    Request(RequestError),
    /// The caller may not.
    Access(AccessError),
    /// A rate limit refused.
    Limit(#[error(not(source))] LimitRefusal),
    /// Limits cannot be counted, and the configuration refuses what is not.
    #[display("rate limits cannot be counted at the moment; try again")]
    #[from(ignore)]
    Uncounted,
    /// A budget refused.
    Budget(BudgetError),
    /// A guardrail refused.
    Policy(Blocked),
    /// The provider failed, or could not be reached.
    Upstream(UpstreamError),
    /// The gateway itself cannot serve this.
    Fault(Fault),
    /// An administrator's request cannot be done.
    Admin(AdminError),
}

/// A refusal of the Admin API.
#[derive(Debug, Clone, Display, Error)]
pub enum AdminError {
    /// No administrator's key, or an unknown one.
    #[display("missing or malformed admin authorization")]
    Unauthorized,
    /// No such resource.
    #[display("resource not found")]
    NotFound,
    /// Nothing has the name that the payload says.
    #[display("{_0}")]
    NobodyCalled(#[error(not(source))] String),
    /// The payload says what cannot be.
    #[display("{_0}")]
    Invalid(#[error(not(source))] String),
    /// The payload is no JSON.
    #[display("the Content-Type must be application/json")]
    NotJson,
    /// It does not fit what is there.
    #[display("{_0}")]
    Conflict(#[error(not(source))] String),
    /// The store does not take it.
    #[display("store error: {_0}")]
    Store(#[error(not(source))] String),
}

/// An unusable request.
#[derive(Debug, Display, Error)]
pub enum RequestError {
    /// A body or header that cannot be used, and which member is to blame.
    #[display("{message}")]
    Invalid {
        /// What is wrong and what to do.
        message: Cow<'static, str>,
        /// The member at fault.
        param: Option<&'static str>,
    },
    /// A conversation that goes on where a provider is to remember it, and this one does not.
    #[display("this model keeps no threads: send the whole conversation")]
    ThreadUnknown,
    /// The body is larger than `proxy.request_body_limit_bytes`.
    #[display("the request body exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body did not arrive in time.
    #[display("the request body did not arrive: nothing came for {} ms", waited.as_millis())]
    Late {
        /// How long nothing came.
        waited: Duration,
    },
    /// A head that is not HTTP.
    #[display(
        "the request is not valid HTTP: conflicting Content-Length headers, or a malformed request line, header or chunk"
    )]
    Malformed,
    /// A head beyond what the server reads.
    #[display("the request's headers are too large")]
    HeadTooLarge,
    /// A head that did not come in time.
    #[display("the request's headers did not arrive in time")]
    HeadLate,
    /// No endpoint has this path.
    #[display("no such endpoint: {method} {path}")]
    UnknownPath {
        /// The method of the request.
        method: String,
        /// The path of the request, cut to a sane length.
        path: String,
    },
    /// The path exists, the method does not.
    #[display("{method} is not allowed here; use {allowed}")]
    WrongMethod {
        /// The method of the request.
        method: String,
        /// The method that the endpoint answers.
        allowed: String,
    },
}

impl RequestError {
    /// A request whose body or headers cannot be used.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { message: message.into(), param: None }
    }

    /// A request with one member that cannot be used.
    pub fn member(param: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { message: message.into(), param: Some(param) }
    }
}

/// A refusal of the caller.
#[derive(Debug, Display, Error)]
pub enum AccessError {
    /// No usable credential.
    #[display(
        "missing or malformed Authorization header: send \"Authorization: Bearer <key>\" or \"x-api-key: <key>\""
    )]
    MissingKey,
    /// A key that nobody declared.
    #[display("invalid API key")]
    UnknownKey,
    /// A key past its `expires_at`.
    #[display("this API key has expired")]
    ExpiredKey,
    /// A key that an operator switched off.
    #[display("this API key is disabled")]
    DisabledKey,
    /// Too many failures to authenticate from the same address.
    #[display("too many failed authentications from this address: check the API key, and try again later")]
    Throttled {
        /// When the next one is let through.
        retry_after: Duration,
    },
    /// A model that nobody declared.
    #[display("the model \"{_0}\" is not configured on this gateway")]
    UnknownModel(#[error(not(source))] Box<str>),
    /// A provider of which no model is declared.
    #[display("no model of the provider \"{_0}\" is configured on this gateway")]
    UnknownProvider(#[error(not(source))] Box<str>),
    /// A provider with no model within the key's `allowed_models`.
    #[display("this API key may not use any model of the provider \"{_0}\"")]
    ProviderNotAllowed(#[error(not(source))] Box<str>),
    /// A model outside the key's `allowed_models`.
    #[display("this API key may not use the model \"{_0}\"")]
    ModelNotAllowed(#[error(not(source))] Box<str>),
    /// A caller outside the model's `allowed_cidrs`.
    #[display("the model \"{_0}\" may not be called from this address")]
    AddressNotAllowed(#[error(not(source))] Box<str>),
}

/// A rate limit's refusal, in the caller's words.
#[derive(Debug, Display, From)]
#[display("{} (limit {} per {}{})", class(_0.dimension), _0.limit, window(_0.dimension), of_policy(&_0.layer))]
pub struct LimitRefusal(pub LimitExceeded);

fn class(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Rps | Dimension::Rpm | Dimension::Rph | Dimension::Rpd => "request limit exceeded",
        Dimension::Tpm | Dimension::Tpd => "token limit exceeded",
        Dimension::Concurrency => "concurrency limit exceeded",
    }
}

/// The policy that a limit is of, so that who reads the refusal knows whom to ask about which.
fn of_policy(layer: &Layer) -> String {
    match layer {
        Layer::Policy(policy) => format!(", policy \"{}\"", policy.name),
        _ => String::new(),
    }
}

fn window(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Rps => "second",
        Dimension::Rpm | Dimension::Tpm => "minute",
        Dimension::Rph => "hour",
        Dimension::Rpd | Dimension::Tpd => "day",
        Dimension::Concurrency => "moment",
    }
}

/// A budget's refusal.
#[derive(Debug, Display, Error)]
pub enum BudgetError {
    /// The budget is used up, or has too little left.
    #[display("{}", describe(_0))]
    Exceeded(#[error(not(source))] Box<BudgetExceeded>),
    /// A hard budget applies and the model has no price, so its cost cannot be known.
    #[display(
        "the model \"{model}\" has no price, so the budget \"{}\" cannot cover it: set models[].cost, or budget.unpriced = \"allow\"",
        budget.name
    )]
    Unpriced {
        /// The name that the caller sent.
        model: Box<str>,
        /// The budget that needs a price.
        #[error(not(source))]
        budget: std::sync::Arc<Budget>,
    },
    /// Charges cannot be written down, and the configuration would rather refuse than forget them.
    #[display(
        "the gateway cannot record what requests cost at the moment, and a budget needs it to; try again later"
    )]
    Unkept,
}

fn describe(refusal: &BudgetExceeded) -> String {
    let budget = &refusal.budget;
    let reset =
        refusal.resets_at_rfc3339.as_deref().map_or_else(String::new, |at| format!("; it resets at {at}"));
    let (name, scope, period) = (&budget.name, budget.scope.as_str(), budget.period.as_str());
    let (spent, limit) = (refusal.spent.to_usd_exact(), budget.limit.to_usd_exact());
    if let Some(left) = refusal.too_little() {
        let (wanted, left) = (refusal.wanted.to_usd_exact(), left.to_usd_exact());
        return format!(
            "this request can cost up to ${wanted} and ${left} is left in the budget \"{name}\" ({scope} scope, ${spent} \
             of ${limit} spent, period {period}): set or lower max_tokens, or send less{reset}"
        );
    }
    if refusal.spent < budget.limit {
        let held = refusal.held.to_usd_exact();
        return format!(
            "budget \"{name}\" ({scope} scope) is set aside for requests in progress: ${spent} of ${limit} spent and \
             ${held} held, period {period}; try again when they have ended"
        );
    }
    format!(
        "budget \"{name}\" ({scope} scope) is used up: ${spent} of ${limit} spent, period {period}{reset}"
    )
}

/// A provider's failure.
#[derive(Debug, Clone, Display, Error)]
pub enum UpstreamError {
    /// It answered with an error status, or sent an error where an answer belongs.
    #[display("{_0}")]
    Refused(#[error(not(source))] Box<UpstreamRefusal>),
    /// No connection, or it broke before the response head.
    #[display("the provider could not be reached")]
    Unreachable {
        /// The transport's words, for the log.
        #[error(not(source))]
        cause: String,
    },
    /// It took longer than allowed.
    #[display("upstream request timed out after {}ms", after.as_millis())]
    Late {
        /// The limit that passed.
        after: Duration,
    },
    /// Its answer cannot be read.
    #[display("the provider's answer cannot be read: {reason}")]
    Undecodable {
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// Its stream ended before it was finished.
    #[display("the provider's stream broke off before it was finished")]
    BrokeOff,
}

/// Longest text that is taken over from a provider's error, in bytes (§3.6).
const MAX_PROVIDER_TEXT: usize = 1024;

impl UpstreamError {
    /// Makes the provider's words fit for a caller and for the log: without the credential, which some repeat when
    /// they refuse it, and cut to length. In this order, so that no half of it stays.
    #[must_use]
    pub fn tidied(mut self, credential: Option<&str>) -> Self {
        if let Self::Refused(refusal) = &mut self {
            let members = [&mut refusal.param, &mut refusal.code, &mut refusal.error_code];
            let texts = members.into_iter().flatten().chain([&mut refusal.message]);
            for text in texts {
                if let Some(credential) = credential.filter(|credential| text.contains(credential)) {
                    *text = text.replace(credential, "***");
                }
                if text.len() > MAX_PROVIDER_TEXT {
                    text.truncate(text.floor_char_boundary(MAX_PROVIDER_TEXT));
                    text.push('…');
                }
            }
        }
        self
    }
}

impl GatewayError {
    /// What the log says of it: the transport's own words, but nothing of a provider's, which may repeat a prompt.
    #[must_use]
    pub fn for_log(&self) -> String {
        match self {
            Self::Upstream(UpstreamError::Unreachable { cause }) => cause.clone(),
            Self::Upstream(UpstreamError::Refused(refusal)) => {
                let status =
                    refusal.status.map_or_else(|| "an error".to_owned(), |status| status.to_string());
                let code = refusal.code.as_deref().map_or_else(String::new, |code| format!(", code {code}"));
                format!("upstream returned {status}{code}")
            }
            error => error.to_string(),
        }
    }
}

/// A failure of the gateway, or of what it was told to do.
#[derive(Debug, Display, Error)]
pub enum Fault {
    /// The provider has no such operation, or it is not translated.
    #[display("the provider \"{provider}\" does not support {operation}")]
    NotImplemented {
        /// The provider's name.
        provider: &'static str,
        /// What was asked for.
        operation: crate::operation::Operation,
    },
    /// The provider key is gone.
    #[display("the provider for the model \"{_0}\" is not available")]
    ProviderUnavailable(#[error(not(source))] Box<str>),
    /// The provider key has as many requests in flight as it may.
    #[display(
        "the provider for the model \"{_0}\" is busy: as many requests are in progress as its key allows"
    )]
    ProviderBusy(#[error(not(source))] Box<str>),
    /// Every target of a routing model is out.
    #[display("no target of the model \"{model}\" is available")]
    AllUnavailable {
        /// The name that the caller sent.
        model: Box<str>,
        /// When the first of them may be tried again.
        retry_after: Option<Duration>,
    },
    /// A panic, caught.
    #[display("the gateway failed to serve this request")]
    Panic,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(message: &str) -> String {
        let refusal = UpstreamRefusal { message: message.to_owned(), ..UpstreamRefusal::default() };
        UpstreamError::Refused(Box::new(refusal)).tidied(Some("sk-1")).to_string()
    }

    #[test]
    fn the_log_is_told_status_and_code_and_none_of_the_providers_words() {
        let refusal = UpstreamRefusal {
            status: Some(400),
            message: "your prompt 'secret plan' is too long".to_owned(),
            code: Some("context_length_exceeded".to_owned()),
            ..UpstreamRefusal::default()
        };
        let error = GatewayError::from(UpstreamError::Refused(Box::new(refusal)));
        assert_eq!(error.for_log(), "upstream returned 400, code context_length_exceeded");
    }

    #[test]
    fn a_providers_words_lose_the_credential_and_are_cut_at_a_character() {
        assert_eq!(tidied("bad key sk-1, sk-1!"), "bad key ***, ***!");
        assert_eq!(tidied("fine"), "fine");
        let long = tidied(&"ü".repeat(2000));
        assert!(long.ends_with('…') && long.len() <= MAX_PROVIDER_TEXT + '…'.len_utf8());
        assert!(!tidied(&format!("{}sk-1", "x".repeat(MAX_PROVIDER_TEXT - 2))).contains("sk"));
    }
}
