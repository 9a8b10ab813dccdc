//! Conversations in the other dialects: read into OpenAI's, answered there, and put back into their own.
//!
//! The gateway's codecs do the translating, in the direction that the gateway itself does not need them in: as the
//! provider's side.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::draft::{Draft, Events, Written};
use super::endpoints::Ask;
use super::error::{self, Failure};
use super::request::Request;
use super::{JSON, MockFrame, MockReply, chat, cohere, fingerprint};
use crate::dialect::chat::{Dropped, Event, Stamp};
use crate::dialect::raw::RawObject;
use crate::dialect::{Dialect, Usage, codec};

/// Answers a conversation in the dialect of the request.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    respond(ask, &read(ask, Bytes::copy_from_slice(ask.request.body))?)
}

/// Answers a conversation that has been read.
pub(super) fn respond(ask: &Ask<'_>, request: &Request) -> Result<MockReply, Failure> {
    let draft = chat::draft(request, ask.request.body, ask.hints)?;
    let stamp = Stamp {
        model: Value::from(&*request.model).to_string().into(),
        id: format!("mock{:016x}", fingerprint(ask.hints.seed, ask.request.body)).into(),
        created: ask.hints.created,
        wants_usage: true,
        ..Stamp::default()
    };
    let written = match draft.written {
        Written::Whole { body, .. } => {
            Written::Whole { media_type: JSON, body: whole(ask.dialect, &body, &stamp) }
        }
        Written::Events(events) => {
            Written::Events(translated(ask.dialect, &events, stamp, request.prompt_tokens))
        }
    };
    Ok(Draft { written, ..draft }.reply(ask.dialect))
}

/// Counts the tokens of a conversation.
pub(super) fn count(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let whole = Bytes::copy_from_slice(ask.request.body);
    // Gemini API reference, `models.countTokens`: the contents alone, or a whole request.
    let inner = RawObject::parse(whole.clone()).ok().and_then(|object| {
        object.member("generateContentRequest").map(|inner| Bytes::copy_from_slice(inner.as_bytes()))
    });
    let request = read(ask, inner.unwrap_or(whole))?;
    let tokens = request.prompt_tokens;
    let fault = ask.hints.meet(&request.model);
    if let Some(failure) = fault.and_then(|fault| fault.instead(&request.asked(ask.hints.created))) {
        return Err(failure);
    }
    let body = match ask.dialect {
        Dialect::Gemini => {
            let details = json!([{"modality": "TEXT", "tokenCount": tokens}]);
            json!({"totalTokens": tokens, "promptTokensDetails": details})
        }
        _ => json!({"input_tokens": tokens}),
    };
    let written = Written::Whole { media_type: JSON, body: body.to_string().into() };
    Ok(Draft { written, fault, gap: ask.hints.chunk_gap }.reply(ask.dialect))
}

fn read(ask: &Ask<'_>, body: Bytes) -> Result<Request, Failure> {
    let object = RawObject::parse(body).map_err(|broken| error::unfitting(broken.to_string()))?;
    let path = ask.request.path();
    let named = object.member("model").and_then(|raw| serde_json::from_str::<String>(raw).ok());
    let model = path_model(path).or(named).ok_or_else(|| error::missing("model"))?;
    if path.ends_with("/messages") && object.member("max_tokens").is_none() {
        return Err(error::invalid("max_tokens", "missing", "max_tokens: Field required").into());
    }
    // The mock forgets all threads, and answers what it is told all the same.
    let object = match object.member("thread") {
        Some(_) => RawObject::parse(object.with(&[("thread", "null")])).unwrap_or(object),
        None => object,
    };
    let mut dropped = Dropped::default();
    let refused = |refused: crate::error::RequestError| error::unfitting(refused.to_string());
    let mut conversation = codec::read_request(ask.dialect, &object, &mut dropped).map_err(refused)?;
    conversation.is_stream =
        path.ends_with(":streamGenerateContent") || object.member("stream") == Some("true");
    let target = codec::Target { model: &model, manners: Default::default() };
    let mut chat = BytesMut::new();
    codec::write_request(Dialect::OpenAiChat, &conversation, &target, &mut dropped, &mut chat)
        .map_err(refused)?;
    let request = Request::read(&chat)?;
    Ok(match ask.dialect {
        // Anthropic, "Prefill Claude's response"; Gemini goes on where the last content is the model's.
        Dialect::Anthropic | Dialect::Gemini => request.begun_by_its_end(),
        _ => request,
    })
}

/// The model that a path names, as Gemini's do.
fn path_model(path: &str) -> Option<String> {
    let (before, operation) = path.rsplit_once(':')?;
    let is_operation = operation.ends_with("enerateContent") || operation == "countTokens";
    let (_, model) = before.split_once("/models/").filter(|_| is_operation)?;
    Some(model.to_owned())
}

/// A whole answer of the chat dialect in another.
fn whole(dialect: Dialect, body: &Bytes, stamp: &Stamp) -> Bytes {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let reply = codec::read_reply(Dialect::OpenAiChat, text).unwrap_or_default();
    if dialect == Dialect::Cohere {
        return cohere::write_reply(&reply, stamp).to_string().into();
    }
    let mut out = BytesMut::new();
    codec::write_reply(dialect, &reply, stamp, &mut out);
    out.freeze()
}

/// Writes a stream in a dialect.
enum Writer {
    Codec(Box<codec::Writer>),
    Cohere(cohere::Writer),
}

impl Writer {
    fn write(&mut self, event: &Event<'_>, out: &mut BytesMut) {
        match self {
            Self::Codec(writer) => writer.write(event, out),
            Self::Cohere(writer) => writer.write(event, out),
        }
    }

    fn close(&mut self, out: &mut BytesMut) {
        match self {
            Self::Codec(writer) => writer.close(out),
            Self::Cohere(writer) => writer.close(out),
        }
    }
}

/// The events of the chat dialect in another.
fn translated(dialect: Dialect, chat: &Events, stamp: Stamp, prompt_tokens: u64) -> Events {
    let mut writer = match dialect {
        Dialect::Cohere => Writer::Cohere(cohere::Writer::default()),
        _ => Writer::Codec(Box::new(codec::Writer::of(dialect, stamp))),
    };
    // Anthropic counts the prompt in its first event, and the answer in its last but one.
    let so_far = Usage { prompt: prompt_tokens, completion: 1, total: prompt_tokens + 1, ..Usage::default() };
    writer.write(&Event::Usage(so_far), &mut BytesMut::new());
    let mut reader = codec::Reader::of(Dialect::OpenAiChat);
    let (mut frames, mut tokens) = (Vec::new(), Vec::new());
    for (place, frame) in chat.frames.iter().enumerate() {
        let text = std::str::from_utf8(&frame.bytes).unwrap_or_default();
        let mut out = BytesMut::new();
        match text.trim_start_matches("data: ").trim_end() {
            "[DONE]" => writer.close(&mut out),
            data => {
                for event in reader.read(None, data).unwrap_or_default() {
                    writer.write(&event, &mut out);
                }
            }
        }
        let begin = frames.len();
        frames.extend(events(&out.freeze()));
        // What opens a content comes with its first token, and the token is behind it.
        if frames.len() > begin && chat.tokens.binary_search(&place).is_ok() {
            tokens.push(frames.len() - 1);
        }
    }
    let has_last_word = matches!(dialect, Dialect::Anthropic | Dialect::Cohere);
    Events { frames, tokens, has_last_word }
}

/// Cuts bytes into single events.
fn events(bytes: &Bytes) -> Vec<MockFrame> {
    let mut start = 0;
    let ends = memchr::memmem::find_iter(bytes, b"\n\n").map(|at| at + 2);
    let cut = |end| MockFrame::new(bytes.slice(std::mem::replace(&mut start, end)..end));
    ends.map(cut).collect()
}
