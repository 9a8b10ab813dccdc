//! One document while it is put together, and its bytes when it is done.

use std::collections::BTreeMap;

use actix_web::http::Method;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Access, Described, Schemas, Stage, VERSION, kinds_in, refusals, with_headers};
use crate::envelope::Envelope;
use crate::error::Kind;

/// A document in the making.
pub struct Document {
    /// The schemas that it refers to.
    pub schemas: Schemas,
    about: Value,
    servers: Value,
    /// Headers that every answer has.
    headers: Vec<(String, Value)>,
    paths: BTreeMap<String, Map<String, Value>>,
    /// The failures of each status and envelope, by the name of the answer that they share.
    refusals: BTreeMap<String, (Envelope, Vec<Kind>)>,
}

impl Document {
    /// Begins a document. `servers` are addresses, absolute or relative to where the document is served.
    #[must_use]
    pub fn new(title: &str, description: &str, servers: &[String]) -> Self {
        let servers: Vec<Value> = servers.iter().map(|url| json!({ "url": url })).collect();
        Self {
            schemas: Schemas::default(),
            about: json!({
                "title": title,
                "description": description,
                "version": env!("CARGO_PKG_VERSION"),
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            }),
            servers: servers.into(),
            headers: Vec::new(),
            paths: BTreeMap::new(),
            refusals: BTreeMap::new(),
        }
    }

    /// The same for a listener that names every request.
    #[must_use]
    pub fn with_request_id(mut self) -> Self {
        self.headers.push(refusals::request_id());
        self
    }

    /// Adds what a path answers to a method.
    pub fn add(&mut self, method: &Method, path: &str, described: Described) {
        let mut answers = Map::new();
        let stages: Vec<Stage> =
            Stage::of(described.access).iter().chain(described.stages).copied().collect();
        for kind in kinds_in(&stages) {
            let status = kind.row().0.to_string();
            let answer = self.refuse(described.envelope, &status, kind);
            answers.insert(status, answer);
        }
        if stages.contains(&Stage::Pipeline) {
            // A provider's own refusals, whichever they are.
            answers.insert("4XX".into(), self.refuse(described.envelope, "4XX", Kind::UpstreamError));
        }
        for (status, answer) in described.answers {
            let answer = with_headers(answer, self.headers.clone());
            // A status that is both an answer and a failure is described by the answer.
            answers.insert(status.to_string(), answer);
        }
        let mut operation = json!({
            "operationId": described.id,
            "tags": [described.tag],
            "summary": described.summary,
            "security": security(described.access),
            "responses": answers,
        });
        if !described.parameters.is_empty() {
            operation["parameters"] = described.parameters.into();
        }
        if let Some(body) = described.body {
            operation["requestBody"] = body;
        }
        let path = self.paths.entry(path.to_owned()).or_default();
        path.insert(method.as_str().to_ascii_lowercase(), operation);
    }

    /// Notes a failure, and refers to the answer that it shares with others of its status.
    fn refuse(&mut self, envelope: Envelope, status: &str, kind: Kind) -> Value {
        let name = format!("{envelope:?}{status}");
        let (_, kinds) = self.refusals.entry(name.clone()).or_insert_with(|| (envelope, Vec::new()));
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        json!({ "$ref": format!("#/components/responses/{name}") })
    }

    /// The document as it is served.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        let mut answers = Map::new();
        for (name, (envelope, kinds)) in std::mem::take(&mut self.refusals) {
            let schema = self.schemas.output_by(|generator| envelope.schema(generator));
            let answer = refusals::answer(envelope, &kinds, &schema);
            answers.insert(name, with_headers(answer, self.headers.clone()));
        }
        let mut document = json!({
            "openapi": VERSION,
            "info": self.about,
            "servers": self.servers,
            "paths": self.paths,
            "components": { "responses": answers, "securitySchemes": security_schemes() },
        });
        let schemas = self.schemas.finish(&mut document);
        document["components"]["schemas"] = schemas.into();
        // What `json!` makes always serialises.
        serde_json::to_vec(&document).unwrap_or_default().into()
    }
}

fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::Caller => json!([{ "callerBearer": [] }, { "callerKey": [] }]),
        Access::Administrator => json!([{ "adminBearer": [] }, { "adminKey": [] }]),
    }
}

fn security_schemes() -> Value {
    let bearer = |whose: &str| json!({ "type": "http", "scheme": "bearer", "description": whose });
    let key = |whose: &str| {
        let description = format!("{whose} Read where there is no `Authorization`.");
        json!({ "type": "apiKey", "in": "header", "name": "x-api-key", "description": description })
    };
    let caller = "A key of `[[api_keys]]`.";
    let admin =
        "A key of `admin.admin_keys`. Without any configured, the listener is on loopback and asks for none.";
    json!({
        "callerBearer": bearer(caller),
        "callerKey": key(caller),
        "adminBearer": bearer(admin),
        "adminKey": key(admin),
    })
}
