//! One gateway in front of one provider that plays recordings, and what can be seen on both sides of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aisix_actors::types::Now;
use sha2::{Digest, Sha256};

use super::exchange::{Exchange, model_of, with_model};
use super::expected::Counted;
use crate::harness::{
    Answer, Gateway, Received, Response, Upstream, api_key, away_from_the_turn_of_the_minute, request_text,
};

/// What the output tokens of a request cost, in input tokens: more than any recording has, so that both can be read
/// from one sum of money.
const OUTPUT_WEIGHT: u64 = 1_000_000;
/// The gateway's name for a model, where it is not the provider's.
const OWN_NAME: &str = "the-gateways-name";
/// The provider's name for it.
const THEIR_NAME: &str = "the providers \"name\"";

/// How a provider sends a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// All at once.
    Whole,
    /// A byte at a time.
    ByteByByte,
    /// Without the `[DONE]` at its end.
    WithoutDone,
}

/// See the module.
pub struct Stage {
    gateway: Gateway,
    upstream: Upstream,
    answer: Arc<Mutex<Answer>>,
}

/// One exchange to be replayed under one name.
pub struct Case<'a> {
    /// What was recorded.
    pub exchange: &'a Exchange,
    /// The name that the caller sends.
    pub model: String,
    /// The name that the provider must get.
    pub upstream_model: String,
    /// The caller's key, which nobody else uses.
    pub key: String,
}

impl Case<'_> {
    /// What the caller sends.
    pub fn request(&self) -> String {
        with_model(&self.exchange.request, &self.model)
    }
}

/// Both sides of a replayed exchange.
pub struct Seen {
    /// What the provider got.
    pub received: Received,
    /// What the caller got.
    pub response: Response,
    /// What the gateway counted.
    pub counted: Counted,
}

/// Each exchange twice: under a name of the gateway's own, and under the recorded one.
pub fn cases(exchanges: &[Exchange]) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    for exchange in exchanges {
        let recorded = model_of(&exchange.request).expect("every request names a model");
        for (model, upstream_model) in [(OWN_NAME, THEIR_NAME), (&recorded, &recorded)] {
            let key = format!("sk-caller-{}", cases.len());
            let (model, upstream_model) = (model.to_owned(), upstream_model.to_owned());
            cases.push(Case { exchange, model, upstream_model, key });
        }
    }
    cases
}

impl Stage {
    /// A gateway that knows the models and keys of these cases.
    pub fn set(cases: &[Case<'_>]) -> Self {
        let answer = Arc::new(Mutex::new(Answer::silence()));
        let playing = answer.clone();
        let upstream = Upstream::start(move |_, _| playing.lock().expect("no panic").clone());
        Self { gateway: Gateway::start(&config(cases, &upstream.url())), upstream, answer }
    }

    /// Replays one exchange.
    pub fn play(&self, case: &Case<'_>, sending: Sending) -> Seen {
        *self.answer.lock().expect("no panic") = recorded_answer(case.exchange, sending);
        let (count, spent) = (self.upstream.count(), self.spent(case));
        away_from_the_turn_of_the_minute();
        let mut connection = self.gateway.connect();
        let request = case.request();
        connection.send(&request_text("POST", "/v1/chat/completions", &case.key, &[], request.as_bytes()));
        let response = connection.response();
        self.gateway.settled();
        let mut received = self.upstream.received();
        assert_eq!(received.len(), count + 1, "{}: the provider is asked once", case.exchange.id);
        let spent = self.spent(case) - spent;
        let (prompt, completion) = (spent % OUTPUT_WEIGHT, spent / OUTPUT_WEIGHT);
        let counted = Counted { prompt, completion, total: self.tokens(case) };
        Seen { received: received.pop().expect("one came"), response, counted }
    }

    /// What all callers together have spent, in millionths of a dollar.
    fn spent(&self, case: &Case<'_>) -> u64 {
        let key = self.key(case);
        self.gateway.gateway.books.ledger.spend(&key.budgets[0], Now::read()).spent.0
    }

    /// The tokens that count against the caller's limit.
    fn tokens(&self, case: &Case<'_>) -> u64 {
        let scope = self.key(case).rate_limit.clone().expect("every key has a limit");
        self.gateway.gateway.books.limits.peek(&scope, Now::read()).used_tokens_minute
    }

    fn key(&self, case: &Case<'_>) -> Arc<aisix::config::snapshot::ApiKey> {
        let hash = Sha256::digest(&case.key).into();
        self.gateway.gateway.snapshot().api_key(&hash, Duration::ZERO).expect("a declared key").clone()
    }
}

fn config(cases: &[Case<'_>], url: &str) -> String {
    let mut text = format!(
        "[upstream]\nretries = 0\n\n\
         [[provider_keys]]\ndisplay_name = \"up\"\nprovider = \"openai\"\napi_key = \"sk-provider\"\napi_base = \"{url}\"\n\n\
         [[budgets]]\nname = \"all\"\nscope = \"org\"\nlimit_usd = \"9000000000\"\nperiod = \"total\"\n\n"
    );
    let mut models: Vec<(&str, &str)> =
        cases.iter().map(|case| (case.model.as_str(), case.upstream_model.as_str())).collect();
    models.sort_unstable();
    models.dedup();
    for (name, upstream_name) in models {
        // One millionth of a dollar for a token of input, a dollar for one of output.
        text.push_str(&format!(
            "[[models]]\ndisplay_name = {name:?}\nprovider_key = \"up\"\nmodel_name = {upstream_name:?}\n\
             cost = {{ input_per_1k = \"0.001\", cached_input_per_1k = \"0.001\", cache_write_per_1k = \"0.001\", output_per_1k = \"1000\" }}\n\n"
        ));
    }
    for case in cases {
        text.push_str(&api_key(&case.key, "\"*\"", "rate_limit = { tpm = 1000000000 }"));
    }
    text
}

fn recorded_answer(exchange: &Exchange, sending: Sending) -> Answer {
    let mut head = format!("HTTP/1.1 {} Recorded\r\ntransfer-encoding: chunked\r\n", exchange.status);
    for (name, value) in &exchange.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !exchange.headers.iter().any(|(name, _)| name == "content-type") {
        let usual = if exchange.is_stream { "text/event-stream" } else { "application/json" };
        head.push_str(&format!("content-type: {usual}\r\n"));
    }
    head.push_str("\r\n");
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let answer = Answer::default().raw(head.into_bytes());
    let body = exchange.body.as_str();
    let answer = match sending {
        Sending::Whole => answer.raw(chunk(body.as_bytes())),
        Sending::ByteByByte => body.bytes().fold(answer, |answer, byte| answer.raw(chunk(&[byte]))),
        Sending::WithoutDone => {
            let done = body.rfind("data: [DONE]").unwrap_or(body.len());
            answer.raw(chunk(&body.as_bytes()[..done]))
        }
    };
    answer.end()
}
