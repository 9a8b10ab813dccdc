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
}

/// One row of the API.
#[derive(Debug)]
pub struct Endpoint {
    /// The method that it answers.
    pub method: Method,
    /// The path, in actix-web's pattern syntax.
    pub path: &'static str,
    /// What is asked for.
    pub operation: Operation,
    /// Who answers.
    pub answer: Answer,
    /// The wire format of request and response.
    pub dialect: Dialect,
    /// The shape of an error body.
    pub envelope: Envelope,
}

const fn row(
    method: Method,
    path: &'static str,
    operation: Operation,
    answer: Answer,
    dialect: Dialect,
    envelope: Envelope,
) -> Endpoint {
    Endpoint { method, path, operation, answer, dialect, envelope }
}

/// Every endpoint of the proxy listener.
pub static ENDPOINTS: [Endpoint; 6] = {
    use {Answer as A, Dialect as D, Envelope as E, Operation as O};
    [
        row(Method::GET, "/livez", O::Livez, A::Probe, D::OpenAiChat, E::OpenAi),
        row(Method::GET, "/readyz", O::Readyz, A::Probe, D::OpenAiChat, E::OpenAi),
        row(Method::GET, "/v1/models", O::Models, A::Gateway, D::OpenAiChat, E::OpenAi),
        row(Method::POST, "/v1/chat/completions", O::Chat, A::Provider, D::OpenAiChat, E::OpenAi),
        row(Method::POST, "/v1/messages", O::Messages, A::Provider, D::Anthropic, E::Anthropic),
        row(
            Method::POST,
            "/v1/messages/count_tokens",
            O::CountTokens,
            A::Provider,
            D::Anthropic,
            E::Anthropic,
        ),
    ]
};

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
        path.strip_prefix(row.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ENDPOINTS.iter().find(under).map_or(Envelope::OpenAi, |row| row.envelope)
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
            ("/v1/chat/completions/", Envelope::OpenAi),
            ("/", Envelope::OpenAi),
        ] {
            assert_eq!(envelope_of(path), envelope, "{path}");
        }
    }
}
