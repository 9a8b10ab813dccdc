//! Prepare: what one target is sent. Pure, so that it can be shown without being sent.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::config::snapshot::Direct;
use crate::dialect::chat::Dropped;
use crate::dialect::codec::{self, Target};
use crate::dialect::{Body, Call, Dialect, StreamOptions, openai_chat, prefill};
use crate::error::{Fault, GatewayError, RequestError};
use crate::operation::{Operation, Task};
use crate::providers::{self, Way};

/// A body in pieces, so that a file in it is not copied.
pub type Pieces = SmallVec<[Bytes; 3]>;

/// What a target is sent.
#[derive(Debug)]
pub struct Prepared {
    /// The way in which the provider answers.
    pub way: &'static Way,
    /// The path below the API's root.
    pub path: Cow<'static, str>,
    /// The body.
    pub body: Pieces,
    /// What the body is.
    pub content_type: Cow<'static, str>,
    /// What could not be said in the provider's dialect.
    pub dropped: Dropped,
}

impl Prepared {
    /// Says that the last turn is the beginning of the answer, where that has to be said.
    pub fn mark_prefill(&mut self) {
        if self.way.dialect == Dialect::OpenAiChat {
            self.body.iter_mut().for_each(|piece| *piece = prefill::marked(std::mem::take(piece)));
        }
    }

    /// Refuses a request that lost something. What is only mentioned does not count: thoughts of another provider's
    /// model stand in most conversations that change models.
    ///
    /// # Errors
    /// 400 naming what was lost.
    pub fn refuse_loss(&self) -> Result<(), RequestError> {
        match self.dropped.lost() {
            None => Ok(()),
            Some(names) => Err(RequestError::invalid(format!(
                "the model cannot be asked without losing {names} (its strict_translation is on)"
            ))),
        }
    }
}

/// Makes the request for a target, in the caller's dialect where the provider speaks it and translated otherwise.
///
/// # Errors
/// 501 where the provider has no such operation; 400 where the request cannot be translated.
pub fn prepare(
    operation: Operation,
    caller: Dialect,
    call: &Call,
    direct: &Direct,
    capture: Option<&str>,
) -> Result<Prepared, GatewayError> {
    let way = providers::way(direct.provider, operation, caller)
        .ok_or(Fault::NotImplemented { provider: direct.provider.name(), operation })?;
    let model = direct.upstream_model_for(capture);
    let mut dropped = Dropped::default();
    let (body, content_type) = match &call.body {
        _ if way.dialect != caller => {
            let target = Target { model: &model, manners: direct.provider.manners() };
            let body = codec::request(way.task, caller, way.dialect, call, &target, &mut dropped)?;
            (Pieces::from_iter([body]), Cow::Borrowed(JSON))
        }
        Body::Json(object) => {
            let name = serde_json::Value::from(&*model).to_string();
            let changes = [("model", &*name), openai_chat::INCLUDE_USAGE];
            let changes = match (caller, wants_usage(way, call)) {
                (Dialect::Gemini, _) => &changes[..0],
                (_, false) => &changes[..1],
                (_, true) => &changes[..],
            };
            let renames = match way.dialect {
                Dialect::OpenAiChat => direct.provider.manners().renames,
                _ => &[],
            };
            (Pieces::from_iter([object.renamed(renames).with(changes)]), Cow::Borrowed(JSON))
        }
        Body::Form(form) => (form.with("model", &model), Cow::Owned(form.content_type().to_owned())),
        Body::Opaque(bytes) => {
            (Pieces::from_iter([bytes.clone()]), Cow::Borrowed("application/octet-stream"))
        }
    };
    Ok(Prepared { way, path: way.path(&model, call.is_stream), body, content_type, dropped })
}

const JSON: &str = "application/json";

/// Whether usage has to be asked for: OpenAI's streams have none otherwise.
fn wants_usage(way: &Way, call: &Call) -> bool {
    let is_asked = call.is_stream && call.stream_options == StreamOptions::Unset;
    is_asked && (way.dialect == Dialect::OpenAiChat || way.task == Task::Complete)
}
