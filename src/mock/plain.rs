//! A request that is no conversation, as the mock reads it: its members, whether they came as JSON or as a form.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::draft::{Draft, Events, Written};
use super::endpoints::Ask;
use super::error::{self, Failure};
use super::fault::Asked;
use super::request::{positive, tokens};
use super::{Character, Fault, JSON, MockFrame, MockReply};
use crate::dialect::Dialect;
use crate::dialect::form::Form;

/// The fields of forms that the mock looks at.
const FIELDS: [&str; 7] = ["model", "prompt", "n", "size", "response_format", "language", "stream"];

/// See the module.
pub(super) struct Plain {
    pub(super) members: Map<String, Value>,
    /// What is to go wrong with the answer.
    pub(super) fault: Option<Fault>,
    dialect: Dialect,
    gap: Duration,
}

impl Plain {
    /// Reads a JSON object in which the members `required` must stand.
    pub(super) fn read(ask: &Ask<'_>, required: &[&'static str]) -> Result<Self, Failure> {
        match serde_json::from_slice(ask.request.body) {
            Ok(Value::Object(members)) => Self::of(ask, members, required),
            _ => Err(error::unreadable().into()),
        }
    }

    /// Reads a form: its fields as members that are texts.
    pub(super) fn read_form(ask: &Ask<'_>, required: &[&'static str]) -> Result<(Self, Form), Failure> {
        let body = Bytes::copy_from_slice(ask.request.body);
        let unfitting = |broken: crate::dialect::form::FormError| error::unfitting(broken.to_string());
        let form = Form::parse(body, ask.request.content_type).map_err(unfitting)?;
        let mut members = Map::new();
        for name in FIELDS {
            if let Some(text) = form.text(name).map_err(unfitting)? {
                members.insert(name.to_owned(), text.into());
            }
        }
        Ok((Self::of(ask, members, required)?, form))
    }

    fn of(ask: &Ask<'_>, members: Map<String, Value>, required: &[&'static str]) -> Result<Self, Failure> {
        let model = members.get("model").and_then(Value::as_str).unwrap_or_default();
        let fault = ask.hints.meet(model);
        if let Some(name) = required.iter().find(|name| members.get(**name).is_none_or(Value::is_null)) {
            return Err(error::missing(name).into());
        }
        let prompt_tokens = tokens(ask.request.body.len());
        let asked = Asked { prompt_tokens, has_prefill: false, now: ask.hints.created };
        let failure = fault.and_then(|fault| fault.instead(&asked));
        let gap = Character::of(model).gap(ask.hints.chunk_gap);
        failure.map_or(Ok(Self { members, fault, dialect: ask.dialect, gap }), Err)
    }

    /// A member that is a text; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.members.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A member that is true or, in a form, says so.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.members.get(name).and_then(Value::as_bool).unwrap_or_else(|| self.text(name) == "true")
    }

    /// How many answers are wanted.
    pub(super) fn count(&self) -> Result<usize, Failure> {
        match self.text("n").parse::<usize>() {
            Ok(number @ 1..) => Ok(number),
            _ => Ok(positive(&self.members, "n")?.unwrap_or(1)),
        }
    }

    /// An answer that is JSON.
    pub(super) fn json(self, body: &Value) -> MockReply {
        self.whole(JSON, body.to_string())
    }

    /// An answer of another kind.
    pub(super) fn whole(self, media_type: &'static str, body: impl Into<Bytes>) -> MockReply {
        self.reply(Written::Whole { media_type, body: body.into() })
    }

    /// A stream of which all but the last `closing` events are content. The last says only that it is over.
    pub(super) fn stream(self, frames: Vec<MockFrame>, closing: usize) -> MockReply {
        let tokens = (0..frames.len().saturating_sub(closing)).collect();
        self.reply(Written::Events(Events { frames, tokens, has_last_word: true }))
    }

    fn reply(self, written: Written) -> MockReply {
        Draft { written, fault: self.fault, gap: self.gap }.reply(self.dialect)
    }
}
