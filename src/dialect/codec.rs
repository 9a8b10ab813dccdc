//! The codecs of all dialects behind one set of functions, matched without a wildcard.
//!
//! Same dialect on both sides: the bytes stay, but for the model. Different ones: through the neutral conversation.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use super::call::Call;
use super::chat::{Dropped, Event, Events, Finish, Part, Stamp, StreamFault};
use super::raw::RawObject;
use super::{Dialect, Usage, chat, openai_chat, openai_responses};
use crate::error::{RequestError, UpstreamError, UpstreamRefusal};
use crate::operation::Task;

/// A whole answer, ready for the caller.
#[derive(Debug)]
pub struct Reply {
    /// The body.
    pub body: Bytes,
    /// What the provider counted.
    pub usage: Option<Usage>,
    /// What the provider calls the model.
    pub model: Option<Box<str>>,
    /// Why the provider stopped.
    pub finish_reason: Option<&'static str>,
    /// What the model said, where the provider did not count it.
    pub words: Option<String>,
}

/// Who is written to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The provider's name for the model.
    pub model: &'a str,
    /// What it understands of OpenAI's chat dialect.
    pub manners: openai_chat::neutral::Manners,
}

/// Writes a caller's JSON request in another dialect.
///
/// # Errors
/// The request says what the caller's dialect does not have.
pub fn request(
    task: Task,
    caller: Dialect,
    provider: Dialect,
    call: &Call,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> Result<Bytes, RequestError> {
    let model = target.model;
    let Some(body) = call.json() else {
        return Err(RequestError::invalid("this provider needs a JSON body"));
    };
    let mut out = BytesMut::with_capacity(body.bytes().len() + body.bytes().len() / 8 + 256);
    match (task, provider) {
        (Task::Embed, Dialect::Cohere) => {
            super::cohere::embed::write_request(body, model, dropped, &mut out)?
        }
        (Task::Rerank, Dialect::Voyage) => super::voyage::write_request(body, model, dropped, &mut out)?,
        _ => {
            let mut conversation = read_request(caller, body, dropped)?;
            conversation.is_stream = call.is_stream;
            write_request(provider, &conversation, target, dropped, &mut out)?;
        }
    }
    Ok(out.freeze())
}

/// Reads a conversation.
///
/// # Errors
/// It says what its dialect does not have.
pub fn read_request<'a>(
    dialect: Dialect,
    body: &'a RawObject,
    dropped: &mut Dropped,
) -> Result<chat::Conversation<'a>, RequestError> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::neutral::read_request(body, dropped),
        Dialect::OpenAiResponses => super::openai_responses::read_request(body, dropped),
        Dialect::Anthropic => super::anthropic::read_request(body, dropped),
        Dialect::Gemini => super::gemini::read_request(body, dropped),
        Dialect::Cohere | Dialect::OpenAi | Dialect::Voyage => Err(no_conversation()),
    }
}

/// Writes a conversation for a provider.
///
/// # Errors
/// The dialect has no conversations.
pub fn write_request(
    dialect: Dialect,
    conversation: &chat::Conversation<'_>,
    target: &Target<'_>,
    dropped: &mut Dropped,
    out: &mut BytesMut,
) -> Result<(), RequestError> {
    let model = target.model;
    match dialect {
        Dialect::OpenAiChat => {
            openai_chat::neutral::write_request(conversation, model, &target.manners, dropped, out);
        }
        Dialect::OpenAiResponses => super::openai_responses::write_request(conversation, model, dropped, out),
        Dialect::Anthropic => super::anthropic::write_request(conversation, model, dropped, out),
        Dialect::Gemini => super::gemini::write_request(conversation, model, dropped, out),
        Dialect::Cohere => super::cohere::write_request(conversation, model, dropped, out),
        Dialect::OpenAi | Dialect::Voyage => return Err(no_conversation()),
    }
    Ok(())
}

fn no_conversation() -> RequestError {
    RequestError::invalid("a conversation cannot be put into this form")
}

/// Reads a whole answer of a conversation.
///
/// # Errors
/// It cannot be read, or is a failure.
pub fn read_reply(dialect: Dialect, body: &str) -> Result<chat::Reply<'_>, UpstreamError> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::neutral::read_reply(body),
        Dialect::OpenAiResponses => super::openai_responses::read_reply(body),
        Dialect::Anthropic => super::anthropic::read_reply(body),
        Dialect::Gemini => super::gemini::read_reply(body),
        Dialect::Cohere => super::cohere::read_reply(body),
        Dialect::OpenAi | Dialect::Voyage => Err(undecodable("it is no conversation")),
    }
}

/// Writes a whole answer of a conversation for a caller.
pub fn write_reply(dialect: Dialect, reply: &chat::Reply<'_>, stamp: &Stamp, out: &mut BytesMut) {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAi => openai_chat::neutral::write_reply(reply, stamp, out),
        Dialect::OpenAiResponses => super::openai_responses::write_reply(reply, stamp, out),
        // Nobody calls in the last two.
        Dialect::Anthropic | Dialect::Cohere | Dialect::Voyage => {
            super::anthropic::write_reply(reply, stamp, out);
        }
        Dialect::Gemini => super::gemini::write_reply(reply, stamp, out),
    }
}

/// An answer in the caller's own dialect: the provider's bytes, with the model that the caller named where the dialect
/// is one in which callers look at it.
///
/// # Errors
/// It cannot be read, or is a failure under a status of success.
pub fn own_reply(task: Task, dialect: Dialect, body: Bytes, model: &str) -> Result<Reply, UpstreamError> {
    match (task, dialect) {
        (Task::Converse, Dialect::OpenAiChat) => openai_chat::read_reply(body, model),
        (Task::Converse, Dialect::OpenAiResponses | Dialect::Anthropic | Dialect::Gemini) => {
            let text = text_of(&body)?;
            let known = match read_reply(dialect, text) {
                Ok(reply) => About::of(&reply),
                Err(_) if dialect == Dialect::OpenAiResponses && openai_responses::is_promise(text) => {
                    About { words: Some(String::new()), ..About::default() }
                }
                Err(error) => return Err(error),
            };
            let body = match dialect {
                Dialect::Anthropic => renamed(&body, model),
                _ => body,
            };
            Ok(known.with(body))
        }
        _ => plain_reply(body),
    }
}

/// An answer in another dialect than the caller's.
///
/// # Errors
/// It cannot be read, or is a failure under a status of success.
pub fn translated_reply(
    task: Task,
    provider: Dialect,
    caller: Dialect,
    body: &Bytes,
    stamp: &Stamp,
) -> Result<Reply, UpstreamError> {
    let text = text_of(body)?;
    let mut out = BytesMut::with_capacity(body.len() + body.len() / 4 + 512);
    let plain = |usage, out: BytesMut| Reply {
        body: out.freeze(),
        usage,
        model: None,
        finish_reason: None,
        words: None,
    };
    match (task, provider) {
        (Task::Embed, Dialect::Cohere) => {
            let usage = super::cohere::embed::read_reply(text, &stamp.model, &mut out)?;
            Ok(plain(usage, out))
        }
        (Task::Rerank, Dialect::Voyage) => {
            let usage = super::voyage::read_reply(text, &stamp.model, &mut out)?;
            Ok(plain(usage, out))
        }
        _ => {
            let reply = read_reply(provider, text)?;
            write_reply(caller, &reply, stamp, &mut out);
            Ok(About::of(&reply).with(out.freeze()))
        }
    }
}

/// What the exchange wants to know of a reply.
#[derive(Default)]
struct About {
    usage: Option<Usage>,
    model: Option<Box<str>>,
    finish_reason: Option<&'static str>,
    words: Option<String>,
}

impl About {
    fn of(reply: &chat::Reply<'_>) -> Self {
        let is_counted = reply.usage.is_some_and(|usage| usage.prompt > 0 && usage.completion > 0);
        Self {
            usage: reply.usage,
            model: reply.model.as_ref().map(|model| model.decode().into()),
            finish_reason: reply.answers.first().map(|answer| answer.finish.label()),
            words: (!is_counted).then(|| words_of(reply)),
        }
    }

    fn with(self, body: Bytes) -> Reply {
        let Self { usage, model, finish_reason, words } = self;
        Reply { body, usage, model, finish_reason, words }
    }
}

/// What the model said in OpenAI's chat dialect, for a count where the provider left it out.
pub(super) fn words(body: &[u8]) -> String {
    let reply = std::str::from_utf8(body).ok().and_then(|text| openai_chat::neutral::read_reply(text).ok());
    reply.as_ref().map(words_of).unwrap_or_default()
}

fn words_of(reply: &chat::Reply<'_>) -> String {
    let mut words = String::new();
    for part in reply.answers.iter().flat_map(|answer| &answer.parts) {
        match part {
            Part::Text(text) => words.push_str(&text.text.decode()),
            Part::Thought(thought) => words.push_str(&thought.text.decode()),
            Part::ToolCall(call) => {
                words.push_str(&call.name.decode());
                words.push_str(&call.arguments.as_text().decode());
            }
            Part::Refusal(text) => words.push_str(&text.decode()),
            Part::Media(_) | Part::ToolResult(_) => {}
        }
    }
    words
}

/// The body with another value of its top-level `model`, where it has one.
fn renamed(body: &Bytes, model: &str) -> Bytes {
    match RawObject::parse(body.clone()) {
        Ok(object) if object.member("model").is_some_and(|own| own != model) => {
            object.with(&[("model", model)])
        }
        _ => body.clone(),
    }
}

/// An answer that is no conversation: handed on as it is, read for what was counted.
fn plain_reply(body: Bytes) -> Result<Reply, UpstreamError> {
    let object = RawObject::parse(body).map_err(|_| undecodable("it is not a JSON object"))?;
    if let Some(raw) = object.member("error").filter(|raw| *raw != "null")
        && object.members().count() == 1
    {
        return Err(openai_chat::in_band(raw));
    }
    let usage = object.member("usage").or_else(|| object.member("meta")).and_then(plain_usage);
    let is_counted = usage.is_some_and(|usage| usage.completion > 0) || object.member("choices").is_none();
    let words = match is_counted {
        true => None,
        false => std::str::from_utf8(object.bytes()).ok().and_then(super::completions::words),
    };
    let model = object.member("model").map(|raw| raw.trim_matches('"').into());
    Ok(Reply { body: object.bytes().clone(), usage, model, finish_reason: None, words })
}

/// Usage as the endpoints count it that are no conversations: OpenAI's two spellings, Jina's and Cohere's.
pub(super) fn plain_usage(raw: &str) -> Option<Usage> {
    #[derive(Deserialize, Default)]
    struct Billed {
        input_tokens: Option<f64>,
        output_tokens: Option<f64>,
    }
    #[derive(Deserialize, Default)]
    struct Members {
        prompt_tokens: Option<u64>,
        completion_tokens: Option<u64>,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        total_tokens: Option<u64>,
        billed_units: Option<Billed>,
    }
    let members: Members = serde_json::from_str(raw).ok()?;
    let billed = members.billed_units.unwrap_or_default();
    let whole = |number: Option<f64>| number.map(|number| number.max(0.0) as u64);
    let completion = members.completion_tokens.or(members.output_tokens).or(whole(billed.output_tokens));
    let completion = completion.unwrap_or(0);
    let prompt = members.prompt_tokens.or(members.input_tokens).or(whole(billed.input_tokens));
    let prompt = prompt.or(members.total_tokens.map(|total| total.saturating_sub(completion))).unwrap_or(0);
    let total = members.total_tokens.unwrap_or(0).max(prompt.saturating_add(completion));
    (total > 0).then_some(Usage { prompt, completion, total, ..Usage::default() })
}

fn text_of(body: &Bytes) -> Result<&str, UpstreamError> {
    std::str::from_utf8(body).map_err(|_| undecodable("it is not valid UTF-8"))
}

fn undecodable(reason: &'static str) -> UpstreamError {
    UpstreamError::Undecodable { reason: Cow::Borrowed(reason) }
}

/// An error answer in our terms (§3.6): the provider's words for 4xx, nothing of them otherwise.
#[must_use]
pub fn refusal(dialect: Dialect, status: u16, retry_after: Option<Duration>, body: &[u8]) -> UpstreamError {
    let read: fn(u16, &[u8]) -> UpstreamRefusal = match dialect {
        Dialect::OpenAiChat | Dialect::OpenAi | Dialect::Voyage => {
            return openai_chat::read_error(status, retry_after, body);
        }
        // Those whose reranking is like Cohere's have errors like OpenAI's.
        Dialect::Cohere if has_error_object(body) => {
            return openai_chat::read_error(status, retry_after, body);
        }
        Dialect::OpenAiResponses => super::openai_responses::read_error,
        Dialect::Anthropic => super::anthropic::read_error,
        Dialect::Gemini => super::gemini::read_error,
        Dialect::Cohere => super::cohere::read_error,
    };
    let mut refusal = match status {
        400..=499 => read(status, body),
        _ => UpstreamRefusal { message: format!("upstream returned {status}"), ..UpstreamRefusal::default() },
    };
    refusal.status = Some(status);
    refusal.retry_after = retry_after;
    UpstreamError::Refused(Box::new(refusal))
}

fn has_error_object(body: &[u8]) -> bool {
    let object = RawObject::parse(Bytes::copy_from_slice(body));
    object.is_ok_and(|object| object.member("error").is_some_and(|error| error.starts_with('{')))
}

/// Reads the events of a provider's stream.
#[derive(Debug)]
pub enum Reader {
    /// OpenAI chat.
    Chat(openai_chat::neutral::StreamReader),
    /// OpenAI Responses.
    Responses(super::openai_responses::StreamReader),
    /// Anthropic.
    Anthropic(super::anthropic::StreamReader),
    /// Gemini.
    Gemini(super::gemini::StreamReader),
    /// Cohere.
    Cohere(super::cohere::StreamReader),
    /// OpenAI's text completions.
    Completions,
    /// OpenAI's streams that are no conversations: pictures and transcripts.
    Plain,
}

impl Reader {
    /// The reader of a dialect.
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAiChat => Self::Chat(Default::default()),
            Dialect::OpenAiResponses => Self::Responses(Default::default()),
            Dialect::Anthropic => Self::Anthropic(Default::default()),
            Dialect::Gemini => Self::Gemini(Default::default()),
            Dialect::Cohere => Self::Cohere(Default::default()),
            Dialect::OpenAi | Dialect::Voyage => Self::Plain,
        }
    }

    /// Reads one event.
    ///
    /// # Errors
    /// It is no piece of an answer.
    pub fn read<'d>(&mut self, event: Option<&[u8]>, data: &'d str) -> Result<Events<'d>, StreamFault> {
        match self {
            Self::Chat(reader) => reader.read(event, data),
            Self::Responses(reader) => reader.read(event, data),
            Self::Anthropic(reader) => reader.read(event, data),
            Self::Gemini(reader) => reader.read(event, data),
            Self::Cohere(reader) => reader.read(event, data),
            Self::Completions => super::completions::read_event(data),
            Self::Plain => plain_event(event, data),
        }
    }
}

/// OpenAI API reference: `image_generation.completed`, `transcript.text.done`, each with usage.
fn plain_event<'d>(event: Option<&[u8]>, data: &'d str) -> Result<Events<'d>, StreamFault> {
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow, default)]
        r#type: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        text: Option<super::json::shape::Json<'a>>,
        #[serde(borrow, default)]
        usage: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        error: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        delta: Option<super::json::shape::Json<'a>>,
    }
    let members: Members<'d> = serde_json::from_str(data).map_err(|_| StreamFault::Malformed)?;
    if let Some(error) = members.error {
        return Err(StreamFault::Failed(openai_chat::in_band(error.get())));
    }
    if event == Some(b"error") || members.r#type.as_deref() == Some("error") {
        return Err(StreamFault::Failed(openai_chat::in_band(data)));
    }
    let mut events = Events::new();
    if let Some(text) = members.delta.and_then(|delta| super::json::Text::from_json(delta.0)) {
        events.push(Event::Text { answer: 0, text });
    }
    // All of a transcript again, where it is complete: other words than those before, to whoever judges.
    if let Some(text) = members.text.and_then(|text| super::json::Text::from_json(text.0)) {
        events.push(Event::Refusal { answer: 0, text });
    }
    if let Some(usage) = members.usage.and_then(|raw| plain_usage(raw.get())) {
        events.push(Event::Usage(usage));
    }
    if members.r#type.is_some_and(|kind| kind.ends_with(".done") || kind.ends_with(".completed")) {
        events.push(Event::Finish { answer: 0, reason: Finish::Stop });
    }
    if events.is_empty() {
        // Part of an answer all the same: a picture that is not finished.
        events.push(Event::Start { id: None, model: None });
    }
    Ok(events)
}

/// Writes a stream for a caller.
#[derive(Debug)]
pub enum Writer {
    /// OpenAI chat.
    Chat(openai_chat::neutral::StreamWriter),
    /// OpenAI Responses.
    Responses(super::openai_responses::StreamWriter),
    /// Anthropic.
    Anthropic(super::anthropic::StreamWriter),
    /// Gemini.
    Gemini(super::gemini::StreamWriter),
}

impl Writer {
    /// The writer of a dialect in which callers converse.
    #[must_use]
    pub fn of(dialect: Dialect, stamp: Stamp) -> Self {
        match dialect {
            Dialect::OpenAiResponses => Self::Responses(super::openai_responses::StreamWriter::new(stamp)),
            Dialect::Anthropic => Self::Anthropic(super::anthropic::StreamWriter::new(stamp)),
            Dialect::Gemini => Self::Gemini(super::gemini::StreamWriter::new(stamp)),
            // Nobody calls in the others.
            Dialect::OpenAiChat | Dialect::Cohere | Dialect::OpenAi | Dialect::Voyage => {
                Self::Chat(openai_chat::neutral::StreamWriter::new(stamp))
            }
        }
    }

    /// The writer of Gemini's streams that are a JSON array.
    #[must_use]
    pub fn array(stamp: Stamp) -> Self {
        Self::Gemini(super::gemini::StreamWriter::new(stamp).as_array())
    }

    /// Appends the frames of one event.
    pub fn write(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match self {
            Self::Chat(writer) => writer.write(event, out),
            Self::Responses(writer) => writer.write(event, out),
            Self::Anthropic(writer) => writer.write(event, out),
            Self::Gemini(writer) => writer.write(event, out),
        }
    }

    /// Appends what closes the stream.
    pub fn close(&mut self, out: &mut BytesMut) {
        match self {
            Self::Chat(writer) => writer.close(out),
            Self::Responses(writer) => writer.close(out),
            Self::Anthropic(writer) => writer.close(out),
            Self::Gemini(writer) => writer.close(out),
        }
    }
}
