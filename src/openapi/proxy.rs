//! The document of the proxy: a loop over the table of endpoints.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::bodies::{ChatCompletion, ChatRequest, MessagesReply, MessagesRequest};
use super::{
    Access, Described, Document, Schemas, Stage, answer, header, header_if, ok, probe, verbose, with_headers,
};
use crate::dialect::{Dialect, call};
use crate::endpoints::{Answer, ENDPOINTS, Endpoint, Intake};
use crate::envelope::CALL_ID;
use crate::operation::Operation;
use crate::pipeline::headers;
use crate::pipeline::own::ModelList;
use crate::pipeline::usage::Usage;

/// What the document says of itself.
const DESCRIPTION: &str = "One place for every model call. Bodies are those of the providers' own APIs; what the gateway \
    does not know reaches the provider, and the caller, as it is.";

/// The document of the listener for callers, which is reached at `server`.
#[must_use]
pub fn proxy(server: String) -> Bytes {
    let mut document = Document::new("AISIX Proxy API", DESCRIPTION, &[server]).with_request_id();
    for endpoint in &ENDPOINTS {
        let label = endpoint.operation.label();
        let is_before = |row: &&Endpoint| !std::ptr::eq(*row, endpoint);
        let earlier =
            ENDPOINTS.iter().take_while(is_before).filter(|row| row.operation == endpoint.operation);
        // An operation of several dialects has a row in each, and a dialect of two versions a row for both.
        let protocols: Vec<_> = earlier.map(Endpoint::protocol).collect();
        let protocol = endpoint.protocol();
        let id = match protocols.contains(&protocol) {
            _ if protocols.is_empty() => label.to_owned(),
            true => format!("{label}_{protocol}_{}", endpoint.version()),
            false => format!("{label}_{protocol}"),
        };
        describe(&mut document, endpoint, endpoint.path, &id);
    }
    document.finish()
}

/// Adds one row of the table to a document, under a path and a name.
pub fn describe(document: &mut Document, endpoint: &Endpoint, path: &str, id: &str) {
    let (access, stages): (_, &[Stage]) = match endpoint.answer {
        Answer::Probe => (Access::Public, &[]),
        Answer::Gateway => (Access::Caller, &[]),
        Answer::Provider | Answer::Tunnel => (Access::Caller, &[Stage::Body, Stage::Pipeline]),
    };
    let has_call_id = endpoint.operation.has_call_id();
    let mut answers = answers(endpoint.operation, &mut document.schemas);
    if matches!(endpoint.answer, Answer::Provider | Answer::Tunnel) {
        let with_all = |(status, answer)| (status, with_headers(answer, answer_headers(has_call_id)));
        answers = answers.into_iter().map(with_all).collect();
    }
    let described = Described {
        id: id.to_owned(),
        tag: tag(endpoint.answer),
        summary: endpoint.operation.sentence().to_owned(),
        access,
        envelope: endpoint.envelope,
        parameters: parameters(endpoint),
        body: body(endpoint, &mut document.schemas),
        answers,
        stages,
    };
    for method in endpoint.methods() {
        let id = match &endpoint.method {
            Some(_) => described.id.clone(),
            None => format!("{}_{}", described.id, method.as_str().to_ascii_lowercase()),
        };
        document.add(method, path, Described { id, ..described.clone() });
    }
}

fn tag(answer: Answer) -> &'static str {
    match answer {
        Answer::Probe => "probes",
        Answer::Gateway | Answer::Provider | Answer::Tunnel => "models",
    }
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    if endpoint.answer == Answer::Probe {
        return vec![verbose()];
    }
    let names = endpoint.path.split('{').skip(1).filter_map(|part| part.split('}').next());
    let parameter = |name| {
        let schema = json!({ "type": "string", "minLength": 1 });
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    };
    names.map(parameter).collect()
}

fn body(endpoint: &Endpoint, schemas: &mut Schemas) -> Option<Value> {
    let schema = match (endpoint.intake, endpoint.operation) {
        (Intake::Nothing, _) => return None,
        (Intake::Anything, _) => return Some(json!({ "content": { "*/*": {} } })),
        (Intake::Form, operation) => {
            let file = if operation == Operation::EditImage { "image" } else { "file" };
            let properties =
                json!({ "model": { "type": "string" }, file: { "type": "string", "format": "binary" } });
            let schema = json!({ "type": "object", "required": ["model", file], "properties": properties });
            return Some(
                json!({ "required": true, "content": { "multipart/form-data": { "schema": schema } } }),
            );
        }
        (Intake::Json, Operation::Chat) => schemas.input::<ChatRequest>(),
        (Intake::Json, Operation::Messages) => schemas.input::<MessagesRequest>(),
        (Intake::Json, operation) => named_members(operation, endpoint.dialect),
    };
    Some(json!({ "required": true, "content": { "application/json": { "schema": schema } } }))
}

/// The members that the gateway asks for; the rest is the provider's to check.
fn named_members(operation: Operation, dialect: Dialect) -> Value {
    let mut names = call::required(operation, dialect).to_vec();
    let properties: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    let mut properties = properties;
    if dialect != Dialect::Gemini {
        properties.insert("model".to_owned(), json!({ "type": "string" }));
        if operation != Operation::Moderate {
            names.insert(0, "model");
        }
    }
    json!({ "type": "object", "required": names, "properties": properties })
}

fn answers(operation: Operation, schemas: &mut Schemas) -> Vec<(u16, Value)> {
    match operation {
        Operation::Livez => probe("It is up."),
        Operation::Readyz => probe("It may."),
        Operation::Models => vec![ok::<ModelList<'_>>(schemas, "The models.")],
        Operation::Usage => vec![ok::<Usage<'_>>(schemas, "What it has used.")],
        Operation::Chat => streamed(schemas.output::<ChatCompletion>()),
        Operation::Messages => streamed(schemas.output::<MessagesReply>()),
        Operation::Speak | Operation::Transcribe | Operation::Translate | Operation::Passthrough => {
            vec![(200, answer("What the provider answers.", &json!({ "*/*": {} })))]
        }
        Operation::StreamGenerate => {
            let events =
                json!({ "schema": { "description": "Events, with `alt=sse`; an array otherwise." } });
            let content = json!({ "text/event-stream": events, "application/json": { "schema": {} } });
            vec![(200, answer("The answer, in parts.", &content))]
        }
        Operation::Responses | Operation::Complete | Operation::Image | Operation::EditImage => {
            streamed(json!({ "type": "object" }))
        }
        Operation::Generate
        | Operation::CountTokens
        | Operation::Embed
        | Operation::Rerank
        | Operation::Moderate => {
            let content = json!({ "application/json": { "schema": { "type": "object" } } });
            vec![(200, answer("The answer.", &content))]
        }
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
