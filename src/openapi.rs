//! The OpenAPI documents: what the listeners answer, in words for machines.
//!
//! Nothing is listed a second time here. Paths come from the tables that serve them, schemas from the types that read
//! and write, failures from the one table of `error`; so a document cannot fall behind the code.

use actix_web::http::Method;
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::envelope::Envelope;
use crate::error::Kind;

mod bodies;
mod document;
mod proxy;
mod refusals;
mod schemas;

pub use document::Document;
pub use proxy::{describe, proxy};
pub use refusals::Stage;
pub use schemas::Schemas;

/// The version of the format.
pub const VERSION: &str = "3.1.0";

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Who has a key of `[[api_keys]]`.
    Caller,
    /// Who has a key of `admin.admin_keys`.
    Administrator,
}

/// What one path answers to one method.
#[derive(Clone)]
pub struct Described {
    /// Its name in generated clients.
    pub id: String,
    /// The group that a viewer shows it in.
    pub tag: &'static str,
    /// One sentence.
    pub summary: String,
    /// Who may ask.
    pub access: Access,
    /// The shape of its errors.
    pub envelope: Envelope,
    /// Parameters of path, query and headers.
    pub parameters: Vec<Value>,
    /// The body that it reads.
    pub body: Option<Value>,
    /// What it answers when nothing goes wrong.
    pub answers: Vec<(u16, Value)>,
    /// What else can come: failures in these stages.
    pub stages: &'static [Stage],
}

/// A page: a path that answers `GET` by itself. One row of a listener's table is enough to serve and describe it.
pub struct Page {
    /// The path.
    pub path: &'static str,
    /// Its name in generated clients.
    pub id: &'static str,
    /// The group that a viewer shows it in.
    pub tag: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Who may ask.
    pub access: Access,
    /// What it reads beside its path.
    pub parameters: fn() -> Vec<Value>,
    /// What it answers.
    pub answers: fn(&mut Schemas) -> Vec<(u16, Value)>,
}

impl Page {
    /// Adds the page to the document of its listener.
    pub fn describe(&self, document: &mut Document, envelope: Envelope) {
        let described = Described {
            id: self.id.to_owned(),
            tag: self.tag,
            summary: self.summary.to_owned(),
            access: self.access,
            envelope,
            parameters: (self.parameters)(),
            body: None,
            answers: (self.answers)(&mut document.schemas),
            stages: &[],
        };
        document.add(&Method::GET, self.path, described);
    }
}

/// A good answer of one type, as JSON.
pub fn ok<T: JsonSchema>(schemas: &mut Schemas, sentence: &str) -> (u16, Value) {
    (200, answer(sentence, &json!({ "application/json": { "schema": schemas.output::<T>() } })))
}

/// A good answer that is text of some kind.
#[must_use]
pub fn text(sentence: &str, media_type: &str) -> (u16, Value) {
    (200, answer(sentence, &json!({ media_type: { "schema": { "type": "string" } } })))
}

/// An answer with content.
#[must_use]
pub fn answer(sentence: &str, content: &Value) -> Value {
    json!({ "description": sentence, "content": content })
}

/// An answer with headers beside what it has.
#[must_use]
pub fn with_headers<N: Into<String>>(
    mut answer: Value,
    headers: impl IntoIterator<Item = (N, Value)>,
) -> Value {
    if let Some(answer) = answer.as_object_mut() {
        let known = answer.entry("headers").or_insert_with(|| json!({}));
        if let Some(known) = known.as_object_mut() {
            known.extend(headers.into_iter().map(|(name, header)| (name.into(), header)));
        }
    }
    answer
}

/// A header that every such answer has.
#[must_use]
pub fn header(sentence: &str, schema: &Value) -> Value {
    json!({ "description": sentence, "required": true, "schema": schema })
}

/// A header that some of such answers have.
#[must_use]
pub fn header_if(sentence: &str, schema: &Value) -> Value {
    json!({ "description": sentence, "schema": schema })
}

/// The two kinds of probes.
pub fn probe(sentence: &str) -> Vec<(u16, Value)> {
    let media_type = "text/plain; charset=utf-8";
    let no_sniff =
        || [("x-content-type-options", header("Always `nosniff`.", &json!({ "const": "nosniff" })))];
    let (status, well) = text(sentence, media_type);
    let (_, draining) =
        text("It is on its way out, or not ready: charges cannot be recorded, for one.", media_type);
    vec![(status, with_headers(well, no_sniff())), (503, with_headers(draining, no_sniff()))]
}

/// What `?verbose` does, on probes.
#[must_use]
pub fn verbose() -> Value {
    json!({
        "name": "verbose",
        "in": "query",
        "description": "Name every check, whatever the value.",
        "allowEmptyValue": true,
        "schema": { "type": "string" },
    })
}

/// Every failure that a stage can end in.
fn kinds_in(stages: &[Stage]) -> impl Iterator<Item = Kind> {
    Kind::ALL
        .iter()
        .copied()
        .filter(|kind| refusals::stages_of(*kind).iter().any(|stage| stages.contains(stage)))
}
