//! The codecs of all dialects behind one set of functions, matched without a wildcard.
//!
//! Same dialect on both sides: the bytes stay, but for the model. Different ones: through the neutral conversation.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::Call;
use super::chat::{Dropped, Event, Events, Part, Stamp, StreamFault};
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

impl Reply {
    /// A body of which nothing is known.
    #[must_use]
    pub fn bare(body: Bytes) -> Self {
        Self { body, usage: None, model: None, finish_reason: None, words: None }
    }

    /// A conversation's answer, with what it says of itself.
    #[must_use]
    pub fn of(reply: &chat::Reply<'_>, body: Bytes) -> Self {
        let is_counted = reply.usage.is_some_and(|usage| usage.prompt > 0 && usage.completion > 0);
        Self {
            body,
            usage: reply.usage,
            model: reply.model.as_ref().map(|model| model.decode().into()),
            finish_reason: reply.answers.first().map(|answer| answer.finish.label()),
            words: (!is_counted).then(|| words_of(reply)),
        }
    }
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
/// The dialect has no conversations, or the provider could only refuse this one.
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
        Dialect::Anthropic => {
            super::anthropic::refuse_silence(conversation)?;
            super::anthropic::write_request(conversation, model, dropped, out);
        }
        Dialect::Gemini => {
            super::gemini::refuse_orphans(conversation)?;
            super::gemini::write_request(conversation, model, dropped, out);
        }
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

/// The dialects in which callers converse.
enum Spoken {
    Chat,
    Responses,
    Anthropic,
    Gemini,
}

impl Spoken {
    fn by(caller: Dialect) -> Self {
        match caller {
            Dialect::OpenAiResponses => Self::Responses,
            Dialect::Anthropic => Self::Anthropic,
            Dialect::Gemini => Self::Gemini,
            // Nobody calls in the others.
            Dialect::OpenAiChat | Dialect::OpenAi | Dialect::Cohere | Dialect::Voyage => Self::Chat,
        }
    }
}

/// Writes a whole answer of a conversation for a caller.
pub fn write_reply(caller: Dialect, reply: &chat::Reply<'_>, stamp: &Stamp, out: &mut BytesMut) {
    match Spoken::by(caller) {
        Spoken::Chat => openai_chat::neutral::write_reply(reply, stamp, out),
        Spoken::Responses => super::openai_responses::write_reply(reply, stamp, out),
        Spoken::Anthropic => super::anthropic::write_reply(reply, stamp, out),
        Spoken::Gemini => super::gemini::write_reply(reply, stamp, out),
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
            let is_promise = || dialect == Dialect::OpenAiResponses && openai_responses::is_promise(text);
            let mut reply = match read_reply(dialect, text) {
                Ok(reply) => Reply::of(&reply, body.clone()),
                Err(_) if is_promise() => Reply { words: Some(String::new()), ..Reply::bare(body.clone()) },
                Err(error) => return Err(error),
            };
            if dialect == Dialect::Anthropic {
                reply.body = renamed(&body, model);
            }
            Ok(reply)
        }
        _ => super::plain::read_reply(body),
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
    let counted = |usage, out: BytesMut| Reply { usage, ..Reply::bare(out.freeze()) };
    match (task, provider) {
        (Task::Embed, Dialect::Cohere) => {
            let usage = super::cohere::embed::read_reply(text, &stamp.model, stamp.wants_base64, &mut out)?;
            Ok(counted(usage, out))
        }
        (Task::Rerank, Dialect::Voyage) => {
            let usage = super::voyage::read_reply(text, &stamp.model, &mut out)?;
            Ok(counted(usage, out))
        }
        _ => {
            let reply = read_reply(provider, text)?;
            write_reply(caller, &reply, stamp, &mut out);
            Ok(Reply::of(&reply, out.freeze()))
        }
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
        _ => UpstreamRefusal::hidden(Some(status)),
    };
    // The header is the provider's word for clients; Gemini says it in the body.
    refusal.retry_after = retry_after.or(refusal.retry_after);
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
            Self::Plain => super::plain::read_event(event, data),
        }
    }
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
    /// The writer for callers of a dialect.
    #[must_use]
    pub fn of(caller: Dialect, stamp: Stamp) -> Self {
        match Spoken::by(caller) {
            Spoken::Chat => Self::Chat(openai_chat::neutral::StreamWriter::new(stamp)),
            Spoken::Responses => Self::Responses(super::openai_responses::StreamWriter::new(stamp)),
            Spoken::Anthropic => Self::Anthropic(super::anthropic::StreamWriter::new(stamp)),
            Spoken::Gemini => Self::Gemini(super::gemini::StreamWriter::new(stamp)),
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

    /// The number of the event that would come next, in dialects that count them.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        match self {
            Self::Responses(writer) => writer.next_sequence(),
            Self::Chat(_) | Self::Anthropic(_) | Self::Gemini(_) => 0,
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
