//! A provider's whole answer.

use std::borrow::Cow;

use crate::dialect::chat::{Answer, Arguments, Finish, Part, Reply, ToolCall};
use crate::dialect::json::Text;
use crate::dialect::json::shape::{Json, shape};
use crate::dialect::whole::Whole;
use crate::error::UpstreamError;

use super::grounding::{self, Spoken};
use super::members::{Content, FunctionCall, object};
use super::usage::Counts;
use super::{error, turns, usage};

shape! {
    /// `GenerateContentResponse`: a whole answer, or a piece of a streamed one.
    Response {
        "candidates" => candidates: Vec<Candidate<'a>>,
        "promptFeedback" => feedback: Feedback<'a>,
        "usageMetadata" => counts: Counts,
        "modelVersion" => model: Text<'a>,
        "responseId" => id: Text<'a>,
        "createTime" => created: Text<'a>,
        "error" => error: Json<'a>,
    }
    /// One of the answers.
    Candidate {
        "content" => content: Content<'a>,
        "finishReason" => finish: Text<'a>,
        "index" => index: Whole,
        "groundingMetadata" => grounding: Json<'a>,
        "citationMetadata" => citations: Json<'a>,
    }
    /// What Google says of the prompt.
    Feedback {
        "blockReason" => block_reason: Text<'a>,
    }
}

/// Makes ids for calls that Gemini gives none: from the answer's id, so that they are unique in a conversation.
#[derive(Debug, Default)]
pub(super) struct Ids {
    base: String,
    made: usize,
}

/// Longest part of an answer's id that goes into the id of a call: providers accept 64 bytes at most.
const MAX_BASE: usize = 40;

impl Ids {
    /// Of an answer; by its bytes where it has no id.
    pub(super) fn new(id: Option<&Text<'_>>, body: &str) -> Self {
        let fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let mut base: String =
            id.map(|id| id.escaped().chars().filter(fit).take(MAX_BASE).collect()).unwrap_or_default();
        if base.is_empty() {
            // FNV-1a.
            let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            base = format!("{:016x}", body.bytes().fold(0xcbf2_9ce4_8422_2325, step));
        }
        Self { base, made: 0 }
    }

    /// The id of the next call.
    pub(super) fn of<'a>(&mut self, own: Option<Text<'a>>) -> Text<'a> {
        let made = self.made;
        self.made += 1;
        match own.filter(|own| !own.is_empty()) {
            Some(own) => own,
            None => Text::owned(&format!("call_{}_{made}", self.base)),
        }
    }
}

/// Reads a whole answer.
///
/// # Errors
/// It is no answer, or an error under a status of success.
pub fn read_reply(body: &str) -> Result<Reply<'_>, UpstreamError> {
    let undecodable = |reason| UpstreamError::Undecodable { reason: Cow::Borrowed(reason) };
    let response = serde_json::from_str::<Response<'_>>(body).map_err(|_| {
        error::error_member(body).map_or_else(|| undecodable("it is no answer of Gemini's"), error::in_band)
    })?;
    if let (Some(raw), None) = (response.error, &response.candidates) {
        return Err(error::in_band(raw.0));
    }
    let mut ids = Ids::new(response.id.as_ref(), body);
    let candidates = response.candidates.unwrap_or_default();
    let mut answers: Vec<_> = candidates.into_iter().map(|candidate| answer(candidate, &mut ids)).collect();
    let usage = response.counts.as_ref().and_then(Counts::usage);
    if answers.is_empty() {
        let is_blocked = response.feedback.is_some_and(|feedback| feedback.block_reason.is_some());
        if !is_blocked && usage.is_none() {
            return Err(undecodable("it has no candidates"));
        }
        let finish = if is_blocked { Finish::ContentFilter } else { Finish::Stop };
        answers.push(Answer { finish, ..Answer::default() });
    }
    let created = response.created.and_then(|time| time.decode().parse::<jiff::Timestamp>().ok());
    let created = created.and_then(|time| u64::try_from(time.as_second()).ok());
    Ok(Reply { id: response.id, model: response.model, created, answers, usage })
}

fn answer<'a>(candidate: Candidate<'a>, ids: &mut Ids) -> Answer<'a> {
    let has_citations = candidate.grounding.is_some() || candidate.citations.is_some();
    let mut spoken = Spoken::default();
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut has_calls = false;
    let pieces = candidate.content.and_then(|content| content.parts).map(|parts| parts.0);
    for mut piece in pieces.unwrap_or_default() {
        if has_citations {
            spoken.starts.push(spoken.text.len());
            let own = piece.text.as_ref().filter(|_| piece.thought != Some(true));
            spoken.text.push_str(&own.map(Text::decode).unwrap_or_default());
        }
        match piece.call.take() {
            Some(call) => {
                let signature = piece.signature.take();
                turns::push_signature(signature, &mut parts);
                if let Some(call) = tool_call(call, ids) {
                    has_calls = true;
                    parts.push(Part::ToolCall(Box::new(call)));
                }
            }
            None => {
                let part = turns::plain_part(piece, &mut parts);
                parts.extend(part.filter(|part| !turns::is_empty_text(part)));
            }
        }
    }
    if has_citations {
        grounding::attach(grounding::read(candidate.grounding, candidate.citations, &spoken), &mut parts);
    }
    let word = candidate.finish.unwrap_or_default();
    Answer { parts, finish: usage::finish(word.escaped(), has_calls), logprobs: None }
}

/// A call; `None` where it has no name.
fn tool_call<'a>(call: FunctionCall<'a>, ids: &mut Ids) -> Option<ToolCall<'a>> {
    let name = call.name.filter(|name| !name.is_empty())?;
    let arguments = call.args.and_then(object).unwrap_or("{}");
    let arguments = Arguments::Object(Cow::Borrowed(arguments));
    Some(ToolCall { id: ids.of(call.id), name, arguments, cache: None })
}
