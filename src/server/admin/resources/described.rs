//! The collections in the document: the same loop over the kinds that serves them.

use actix_web::http::Method;
use serde_json::{Value, json};

use super::{DeletedBody, EntryBody, RotatedBody, Rotation, StoredBody, paths_of};
use crate::config::Kind;
use crate::envelope::Envelope;
use crate::openapi::{Access, Described, Document, Schemas, Stage, answer, header, with_headers};

/// Adds the routes of every kind, under each of its spellings.
pub(in crate::server::admin) fn describe(document: &mut Document) {
    for kind in Kind::ALL.iter().copied() {
        for path in paths_of(kind) {
            let collection =
                Collection { kind, name: path.rsplit('/').next().unwrap_or_default(), path: &path };
            collection.describe(document);
        }
    }
}

/// One spelling of a collection.
struct Collection<'a> {
    kind: Kind,
    name: &'a str,
    path: &'a str,
}

impl Collection<'_> {
    fn describe(&self, document: &mut Document) {
        let (kind, noun) = (self.kind, self.kind.noun());
        let item = format!("{}/{{id}}", self.path);
        let entry = self.entry(&mut document.schemas);
        let stored = self.stored(&mut document.schemas);
        let resource = json_body(document.schemas.input_by(|generator| kind.schema(generator)), true);
        let patch = document.schemas.patch(|generator| kind.schema(generator));

        let mut list = self.operation("list", format!("Every {noun}."), &[]);
        let schema = json!({ "type": "array", "items": entry });
        list.answers =
            vec![(200, answer("All of them.", &json!({ "application/json": { "schema": schema } })))];
        document.add(&Method::GET, self.path, list);

        let mut create = self.operation("create", format!("A new {noun}, with an id of its own."), WRITE);
        create.body = Some(resource.clone());
        create.parameters = Vec::new();
        create.answers = vec![(201, created(&stored))];
        document.add(&Method::POST, self.path, create);

        let mut read = self.operation("read", format!("One {noun}."), &[Stage::Resource]);
        read.parameters = vec![id()];
        read.answers = vec![(200, with_revision(one("The resource.", &entry)))];
        document.add(&Method::GET, &item, read);

        let mut replace = self.operation("replace", format!("One {noun}, new or replaced whole."), WRITE_ONE);
        replace.body = Some(resource);
        replace.parameters = vec![id(), if_match(), if_none_match()];
        replace.answers =
            vec![(200, with_revision(one("It was replaced.", &stored))), (201, created(&stored))];
        document.add(&Method::PUT, &item, replace);

        let mut change = self.operation("change", format!("Members of one {noun}, by RFC 7396."), WRITE_ONE);
        change.body = Some(patch_body(&patch));
        change.parameters = vec![id(), if_match()];
        change.answers = vec![(200, with_revision(one("It was changed.", &stored)))];
        document.add(&Method::PATCH, &item, change);

        let mut delete = self.operation("delete", format!("Away with one {noun}."), WRITE_ONE);
        delete.parameters = vec![id(), if_match()];
        let deleted = document.schemas.output::<DeletedBody<'_>>();
        delete.answers = vec![(200, one("It is gone.", &deleted))];
        document.add(&Method::DELETE, &item, delete);

        if kind == Kind::ApiKeys {
            self.rotate(document, &format!("{item}/rotate"), &stored);
        }
    }

    fn rotate(&self, document: &mut Document, path: &str, stored: &Value) {
        let summary = "A new secret for an API key; the old one stays good for a while, or not at all.";
        let mut rotate = self.operation("rotate", summary.to_owned(), WRITE_ONE);
        rotate.body = Some(json_body(document.schemas.input::<Rotation>(), false));
        rotate.parameters = vec![id(), if_match()];
        let rotated = document.schemas.output::<RotatedBody<'_>>();
        let schema = json!({ "allOf": [rotated, { "properties": { "entry": stored } }] });
        rotate.answers = vec![(200, with_revision(one("The new key, which is shown only here.", &schema)))];
        document.add(&Method::POST, path, rotate);
    }

    fn operation(&self, verb: &str, summary: String, stages: &'static [Stage]) -> Described {
        Described {
            id: format!("{verb}_{}", self.name),
            tag: self.kind.collection(),
            summary,
            access: Access::Administrator,
            envelope: Envelope::Admin,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            stages,
        }
    }

    /// What is read of one.
    fn entry(&self, schemas: &mut Schemas) -> Value {
        let entry = schemas.output::<EntryBody<'_>>();
        self.of_this_kind(entry, schemas)
    }

    /// What a write answers.
    fn stored(&self, schemas: &mut Schemas) -> Value {
        let stored = schemas.output::<StoredBody<'_>>();
        self.of_this_kind(stored, schemas)
    }

    fn of_this_kind(&self, body: Value, schemas: &mut Schemas) -> Value {
        let value = schemas.output_by(|generator| self.kind.schema(generator));
        json!({ "allOf": [body, { "properties": { "value": value } }] })
    }
}

/// What a write of a new resource goes through.
const WRITE: &[Stage] = &[Stage::Body, Stage::Write];
/// What a write of one that may be there goes through.
const WRITE_ONE: &[Stage] = &[Stage::Body, Stage::Resource, Stage::Write];

fn json_body(schema: Value, is_required: bool) -> Value {
    json!({ "required": is_required, "content": { "application/json": { "schema": schema } } })
}

fn patch_body(schema: &Value) -> Value {
    let content = json!({ "schema": schema });
    json!({
        "required": true,
        "content": { "application/merge-patch+json": content, "application/json": content },
    })
}

fn one(sentence: &str, schema: &Value) -> Value {
    answer(sentence, &json!({ "application/json": { "schema": schema } }))
}

fn with_revision(answer: Value) -> Value {
    let schema = json!({ "type": "string", "pattern": "^\"[0-9]+\"$" });
    with_headers(answer, [("ETag", header("The revision, in quotes: what to send in `If-Match`.", &schema))])
}

fn created(stored: &Value) -> Value {
    let place = header("Where it is.", &json!({ "type": "string", "pattern": "^/admin/v1/" }));
    with_headers(with_revision(one("It is there.", stored)), [("Location", place)])
}

fn id() -> Value {
    json!({
        "name": "id",
        "in": "path",
        "required": true,
        "description": "The id: chosen by who put the resource there, or made by the gateway.",
        "schema": { "type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$" },
    })
}

fn if_none_match() -> Value {
    json!({
        "name": "If-None-Match",
        "in": "header",
        "description": "`*`: only if there is none yet; 409 otherwise.",
        "schema": { "const": "*" },
    })
}

fn if_match() -> Value {
    json!({
        "name": "If-Match",
        "in": "header",
        "description": "The revision that the resource must have, with or without quotes, or `*`; 409 when it has another, 404 when there is none.",
        "schema": { "type": "string", "pattern": "^(\\*|(W/)?\"?[0-9]{1,18}\"?)$" },
    })
}
