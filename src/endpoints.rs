//! THE table: every endpoint of the proxy as a row of method, path, operation, dialect and envelope.
//!
//! Adding an endpoint is adding a row; routing, authentication, limits, records and the matrix test follow from it.
//! Nothing outside this file compares a path.

use actix_web::http::Method;

use crate::dialect::Dialect;
use crate::envelope::Envelope;
pub use crate::operation::Operation;

/// Who answers an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The gateway itself, without a key: a probe.
    Probe,
    /// The gateway itself, for a caller with a key.
    Gateway,
    /// A provider: the whole pipeline.
    Provider,
    /// A provider, with whatever its own API has.
    Tunnel,
}

/// What an endpoint of any method answers. Not `TRACE`, whose answer repeats the request with its credential, and not
/// `CONNECT`, which is no request for a resource.
pub static METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// What a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// There is none.
    Nothing,
    /// A JSON object.
    Json,
    /// A form, `multipart/form-data`.
    Form,
    /// Anything: it is handed on as it is.
    Anything,
}

/// One row of the API.
#[derive(Debug)]
pub struct Endpoint {
    /// The method that it answers; `None` is every one of [`METHODS`].
    pub method: Option<Method>,
    /// The path; what stands in braces is the caller's.
    pub path: &'static str,
    /// What is asked for.
    pub operation: Operation,
    /// Who answers.
    pub answer: Answer,
    /// What the body is.
    pub intake: Intake,
    /// The wire format of request and response.
    pub dialect: Dialect,
    /// The shape of an error body.
    pub envelope: Envelope,
}

const fn get(path: &'static str, operation: Operation, answer: Answer) -> Endpoint {
    Endpoint {
        method: Some(Method::GET),
        path,
        operation,
        answer,
        intake: Intake::Nothing,
        dialect: Dialect::OpenAi,
        envelope: Envelope::OpenAi,
    }
}

const fn post(path: &'static str, operation: Operation, dialect: Dialect, envelope: Envelope) -> Endpoint {
    Endpoint {
        method: Some(Method::POST),
        path,
        operation,
        answer: Answer::Provider,
        intake: Intake::Json,
        dialect,
        envelope,
    }
}

const fn form(path: &'static str, operation: Operation) -> Endpoint {
    Endpoint {
        method: Some(Method::POST),
        path,
        operation,
        answer: Answer::Provider,
        intake: Intake::Form,
        dialect: Dialect::OpenAi,
        envelope: Envelope::OpenAi,
    }
}

const fn any(path: &'static str, operation: Operation) -> Endpoint {
    Endpoint {
        method: None,
        path,
        operation,
        answer: Answer::Tunnel,
        intake: Intake::Anything,
        dialect: Dialect::OpenAi,
        envelope: Envelope::OpenAi,
    }
}

/// Every endpoint of the proxy listener.
pub static ENDPOINTS: [Endpoint; 24] = {
    use {Answer as A, Dialect as D, Envelope as E, Operation as O};
    [
        get("/livez", O::Livez, A::Probe),
        get("/readyz", O::Readyz, A::Probe),
        get("/v1/models", O::Models, A::Gateway),
        get("/v1/usage", O::Usage, A::Gateway),
        post("/v1/chat/completions", O::Chat, D::OpenAiChat, E::OpenAi),
        post("/v1/responses", O::Responses, D::OpenAiResponses, E::Responses),
        post("/v1/messages", O::Messages, D::Anthropic, E::Anthropic),
        post("/v1/messages/count_tokens", O::CountTokens, D::Anthropic, E::Anthropic),
        post("/v1beta/models/{model}:generateContent", O::Generate, D::Gemini, E::Google),
        post("/v1beta/models/{model}:streamGenerateContent", O::StreamGenerate, D::Gemini, E::Google),
        post("/v1beta/models/{model}:countTokens", O::CountTokens, D::Gemini, E::Google),
        // Where Google's clients ask since their third version.
        post("/v1/models/{model}:generateContent", O::Generate, D::Gemini, E::Google),
        post("/v1/models/{model}:streamGenerateContent", O::StreamGenerate, D::Gemini, E::Google),
        post("/v1/models/{model}:countTokens", O::CountTokens, D::Gemini, E::Google),
        post("/v1/completions", O::Complete, D::OpenAi, E::OpenAi),
        post("/v1/embeddings", O::Embed, D::OpenAi, E::OpenAi),
        post("/v1/rerank", O::Rerank, D::Cohere, E::OpenAi),
        post("/v1/images/generations", O::Image, D::OpenAi, E::OpenAi),
        form("/v1/images/edits", O::EditImage),
        form("/v1/audio/transcriptions", O::Transcribe),
        form("/v1/audio/translations", O::Translate),
        post("/v1/audio/speech", O::Speak, D::OpenAi, E::OpenAi),
        post("/v1/moderations", O::Moderate, D::OpenAi, E::OpenAi),
        any("/passthrough/{provider}/{rest}", O::Passthrough),
    ]
};

impl Endpoint {
    /// The path in actix-web's pattern syntax: names of models may hold slashes.
    #[must_use]
    pub fn pattern(&self) -> String {
        self.path.replace("{model}", "{model:.+}").replace("{rest}", "{rest:.*}")
    }

    /// The method as logs have it.
    #[must_use]
    pub fn method_name(&self) -> &str {
        self.method.as_ref().map_or("ANY", Method::as_str)
    }

    /// The methods that it answers.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        let any: &[Method] = if self.method.is_none() { &METHODS } else { &[] };
        self.method.iter().chain(any)
    }

    /// The name of the protocol in metrics and records (§13.1).
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        match (self.answer, self.dialect) {
            (Answer::Tunnel, _) => "passthrough",
            // Reranking is counted with OpenAI's endpoints, whoever defined it.
            (_, Dialect::Cohere) => Dialect::OpenAi.protocol(),
            (_, dialect) => dialect.protocol(),
        }
    }

    /// The version of the API, as the path begins.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    /// The part of the path behind the model, by which rows are told apart that have their models in one place.
    fn behind_model(&self) -> Option<&'static str> {
        self.path.split_once("{model}").map(|(_, behind)| behind)
    }

    /// The part of the path before what the caller chooses.
    #[must_use]
    pub fn fixed_path(&self) -> &'static str {
        self.path.split('{').next().unwrap_or_default().trim_end_matches('/')
    }
}

/// Where the listener for administrators serves chat completions to callers, with a caller's key (§1.3): the row of the
/// proxy under another path.
pub const PLAYGROUND: &str = "/playground/chat/completions";

/// The row behind [`PLAYGROUND`].
#[must_use]
pub fn playground() -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|row| row.operation == Operation::Chat)
}

/// The envelope for a path of the listener for administrators.
#[must_use]
pub fn admin_envelope_of(path: &str) -> Envelope {
    playground().filter(|_| path == PLAYGROUND).map_or(Envelope::Admin, |row| row.envelope)
}

/// The envelope for a path that no endpoint claims: that of the row it would be under.
#[must_use]
pub fn envelope_of(path: &str) -> Envelope {
    let under = |row: &&Endpoint| {
        path.strip_prefix(row.fixed_path()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_named = |row: &&Endpoint| row.behind_model().is_some_and(|behind| path.contains(behind));
    let named = ENDPOINTS.iter().filter(under).find(is_named);
    named.or_else(|| ENDPOINTS.iter().find(under)).map_or(Envelope::OpenAi, |row| row.envelope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_answer_the_same_request() {
        for (index, row) in ENDPOINTS.iter().enumerate() {
            let twin = ENDPOINTS.iter().skip(index + 1).find(|other| other.path == row.path);
            assert!(twin.is_none_or(|twin| twin.method != row.method), "{} twice", row.path);
        }
    }

    #[test]
    fn an_unknown_path_gets_the_envelope_of_the_row_above_it() {
        for (path, envelope) in [
            ("/v1/messages/", Envelope::Anthropic),
            ("/v1/messages/batches", Envelope::Anthropic),
            ("/v1/messagesx", Envelope::OpenAi),
            ("/v1beta/models/m:embedContent", Envelope::Google),
            ("/v1/models/m:countTokens/", Envelope::Google),
            ("/v1/models/m", Envelope::OpenAi),
            ("/v1/chat/completions/", Envelope::OpenAi),
            ("/", Envelope::OpenAi),
        ] {
            assert_eq!(envelope_of(path), envelope, "{path}");
        }
    }
}
