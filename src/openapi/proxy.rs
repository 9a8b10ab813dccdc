//! The document of the proxy: a loop over the table of endpoints.

use bytes::Bytes;
use serde_json::{Value, json};

use super::bodies::{ChatCompletion, ChatRequest, MessagesReply, MessagesRequest, TokenCount};
use super::{
    Access, Described, Document, Schemas, Stage, answer, header, header_if, ok, probe, verbose, with_headers,
};
use crate::endpoints::{Answer, ENDPOINTS, Endpoint};
use crate::envelope::CALL_ID;
use crate::operation::Operation;
use crate::pipeline::headers;
use crate::pipeline::own::ModelList;
use crate::providers;

/// What the document says of itself.
const DESCRIPTION: &str = "One place for every model call. Bodies are those of the providers' own APIs; what the gateway \
    does not know reaches the provider, and the caller, as it is.";

/// The document of the listener for callers, which is reached at `server`.
#[must_use]
pub fn proxy(server: String) -> Bytes {
    let mut document = Document::new("AISIX Proxy API", DESCRIPTION, &[server]).with_request_id();
    for endpoint in &ENDPOINTS {
        describe(&mut document, endpoint, endpoint.path, endpoint.operation.label());
    }
    document.finish()
}

/// Adds one row of the table to a document, under a path and a name.
pub fn describe(document: &mut Document, endpoint: &Endpoint, path: &str, id: &str) {
    let (access, stages): (_, &[Stage]) = match endpoint.answer {
        Answer::Probe => (Access::Public, &[]),
        Answer::Gateway => (Access::Caller, &[]),
        Answer::Provider => (Access::Caller, &[Stage::Body, Stage::Pipeline]),
    };
    let has_call_id = endpoint.operation.has_call_id();
    let mut answers = answers(endpoint.operation, &mut document.schemas);
    if endpoint.answer == Answer::Provider {
        if !is_spoken(endpoint) {
            answers.clear();
        }
        let with_all = |(status, answer)| (status, with_headers(answer, answer_headers(has_call_id)));
        answers = answers.into_iter().map(with_all).collect();
    }
    let described = Described {
        id: id.to_owned(),
        tag: tag(endpoint.answer),
        summary: summary(endpoint.operation).to_owned(),
        access,
        envelope: endpoint.envelope,
        parameters: if endpoint.answer == Answer::Probe { vec![verbose()] } else { Vec::new() },
        body: body(endpoint.operation, &mut document.schemas),
        answers,
        stages,
    };
    document.add(&endpoint.method, path, described);
}

/// Whether any provider answers the endpoint; 501 is all that comes otherwise.
fn is_spoken(endpoint: &Endpoint) -> bool {
    providers::all().any(|provider| providers::is_spoken(provider, endpoint.operation, endpoint.dialect))
}

fn tag(answer: Answer) -> &'static str {
    match answer {
        Answer::Probe => "probes",
        Answer::Gateway | Answer::Provider => "models",
    }
}

fn summary(operation: Operation) -> &'static str {
    match operation {
        Operation::Livez => "Is the process up?",
        Operation::Readyz => "May traffic be sent here?",
        Operation::Models => "The models that the key may call; patterns are not listed.",
        Operation::Chat => "A conversation in OpenAI's dialect, whole or streamed.",
        Operation::Messages => "A conversation in Anthropic's dialect.",
        Operation::CountTokens => "The tokens of a conversation in Anthropic's dialect.",
    }
}

fn body(operation: Operation, schemas: &mut Schemas) -> Option<Value> {
    let schema = match operation {
        Operation::Livez | Operation::Readyz | Operation::Models => return None,
        Operation::Chat => schemas.input::<ChatRequest>(),
        Operation::Messages | Operation::CountTokens => schemas.input::<MessagesRequest>(),
    };
    Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }))
}

fn answers(operation: Operation, schemas: &mut Schemas) -> Vec<(u16, Value)> {
    match operation {
        Operation::Livez => probe("It is up."),
        Operation::Readyz => probe("It may."),
        Operation::Models => vec![ok::<ModelList<'_>>(schemas, "The models.")],
        Operation::Chat => streamed(schemas.output::<ChatCompletion>()),
        Operation::Messages => streamed(schemas.output::<MessagesReply>()),
        Operation::CountTokens => vec![ok::<TokenCount>(schemas, "The tokens.")],
    }
}

/// An answer that is whole or, when the request says so, a stream.
fn streamed(schema: Value) -> Vec<(u16, Value)> {
    let content = json!({
        "application/json": { "schema": schema },
        "text/event-stream": { "schema": { "description": "Events, when `stream` is true." } },
    });
    vec![(200, answer("The answer.", &content))]
}

/// The headers of an answer of a provider (§2).
fn answer_headers(has_call_id: bool) -> Vec<(String, Value)> {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    let described = |about: headers::About| {
        let schema = if about.is_count { &count } else { &text };
        (about.name.to_string(), header_if(about.sentence, schema))
    };
    let call_id =
        has_call_id.then(|| (CALL_ID.to_string(), header("The same as `x-aisix-request-id`.", &text)));
    headers::all().into_iter().map(described).chain(call_id).collect()
}
