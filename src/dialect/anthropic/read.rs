//! A caller's request, read member by member.

use serde::Deserialize;

use super::super::chat::{Conversation, Dropped, Effort, Role, Turn};
use super::super::json::Text;
use super::super::json::shape::{Json, Number, TextOr};
use super::super::raw::RawObject;
use super::super::whole::Whole;
use super::content::{self, Unusable};
use super::settings;
use super::wire::{Block, FormatBlock, Message, Metadata, ThinkingBlock, Thread};
use crate::error::RequestError;

/// Reads a request of a caller who speaks Anthropic's Messages.
///
/// # Errors
/// A member has the wrong type, or lacks what it must have. The error names the member and its place.
pub fn read_request<'a>(
    body: &'a RawObject,
    dropped: &mut Dropped,
) -> Result<Conversation<'a>, RequestError> {
    let mut request =
        Request { conversation: Conversation::default(), thinking: None, effort: None, dropped };
    for (name, raw) in body.members().filter(|(_, raw)| *raw != "null") {
        if !request.read_talk(name, raw)?
            && !request.read_number(name, raw)?
            && !request.read_setting(name, raw)?
        {
            request.dropped.add(name.to_owned());
        }
    }
    if body.member("messages").is_none_or(|raw| raw == "null") {
        return Err(RequestError::member("messages", "the member \"messages\" is missing"));
    }
    request.close()
}

/// A request that is being read.
struct Request<'a, 'd> {
    conversation: Conversation<'a>,
    thinking: Option<ThinkingBlock<'a>>,
    effort: Option<Effort>,
    dropped: &'d mut Dropped,
}

impl<'a> Request<'a, '_> {
    /// What is said. Answers whether the member is one of these.
    fn read_talk(&mut self, name: &str, raw: &'a str) -> Result<bool, RequestError> {
        match name {
            "messages" => self.conversation.turns = read_messages(raw, self.dropped)?,
            "system" => {
                let blocks: TextOr<'_, Block<'_>> =
                    decode("system", raw, "a string or an array of text blocks")?;
                let parts = content::read_content(blocks, self.dropped);
                self.conversation.system = parts.map_err(|reason| RequestError::member("system", reason))?;
            }
            "tools" => {
                let tools = decode("tools", raw, "an array of tools")?;
                let tools = settings::read_tools(tools, self.dropped);
                self.conversation.tools = tools.map_err(|reason| RequestError::member("tools", reason))?;
            }
            // Nobody behind a translation remembers a thread: one that begins is whole, one that goes on is not.
            "thread" => {
                let thread: Thread<'_> = decode("thread", raw, "an object")?;
                if thread.kind.is_none_or(|kind| kind != *"create") {
                    return Err(RequestError::ThreadUnknown);
                }
                self.dropped.mention("thread");
            }
            "stop_sequences" => {
                let stop: Vec<Text<'_>> = decode("stop_sequences", raw, "an array of strings")?;
                self.conversation.stop = stop;
            }
            "metadata" => {
                let metadata: Metadata<'_> = decode("metadata", raw, "an object")?;
                for name in &metadata.unknown {
                    self.dropped.add(format!("metadata.{name}"));
                }
                self.conversation.user = metadata.user;
            }
            // The model is named by the route, and the version belongs to the transport.
            "model" | "anthropic_version" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Figures and truths. Answers whether the member is one of these.
    fn read_number(&mut self, name: &str, raw: &'a str) -> Result<bool, RequestError> {
        let sampling = &mut self.conversation.sampling;
        match name {
            "max_tokens" => {
                let Whole(most) = decode("max_tokens", raw, "a whole number")?;
                self.conversation.max_output_tokens = Some(most);
            }
            "temperature" => sampling.temperature = Some(number("temperature", raw)?),
            "top_p" => sampling.top_p = Some(number("top_p", raw)?),
            "top_k" => sampling.top_k = Some(number("top_k", raw)?),
            "stream" => self.conversation.is_stream = decode("stream", raw, "a boolean")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Objects that steer the answer. Answers whether the member is one of these.
    fn read_setting(&mut self, name: &str, raw: &'a str) -> Result<bool, RequestError> {
        let conversation = &mut self.conversation;
        match name {
            "tool_choice" => {
                let choice = decode("tool_choice", raw, "an object")?;
                settings::read_choice(choice, conversation, self.dropped)
                    .map_err(|reason| RequestError::member("tool_choice", reason))?;
            }
            "thinking" => self.thinking = Some(decode("thinking", raw, "an object")?),
            "output_config" => {
                let config = decode("output_config", raw, "an object")?;
                self.effort = settings::read_output(config, conversation, self.dropped)
                    .map_err(|reason| RequestError::member("output_config", reason))?;
            }
            "output_format" => {
                let format: FormatBlock<'_> = decode("output_format", raw, "an object")?;
                conversation.format = settings::read_format(format)
                    .map_err(|reason| RequestError::member("output_format", reason))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What several members say together.
    fn close(mut self) -> Result<Conversation<'a>, RequestError> {
        settings::read_thinking(self.thinking, self.effort, &mut self.conversation, self.dropped)
            .map_err(|reason| RequestError::member("thinking", reason))?;
        settings::check_choice(&mut self.conversation, self.dropped);
        Ok(self.conversation)
    }
}

fn decode<'a, T: Deserialize<'a>>(
    name: &'static str,
    raw: &'a str,
    wanted: &'static str,
) -> Result<T, RequestError> {
    serde_json::from_str(raw)
        .map_err(|_| RequestError::member(name, format!("the member \"{name}\" must be {wanted}")))
}

fn number<'a>(name: &'static str, raw: &'a str) -> Result<&'a str, RequestError> {
    decode(name, raw, "a number").map(|Number(number)| number)
}

fn read_messages<'a>(raw: &'a str, dropped: &mut Dropped) -> Result<Vec<Turn<'a>>, RequestError> {
    let Ok(messages) = serde_json::from_str::<Vec<Message<'a>>>(raw) else {
        return Err(wrong_message(raw));
    };
    let mut turns = Vec::with_capacity(messages.len());
    for (place, message) in messages.into_iter().enumerate() {
        turns
            .push(read_message(message, dropped).map_err(|reason| {
                RequestError::member("messages", format!("messages[{place}]: {reason}"))
            })?);
    }
    Ok(turns)
}

fn read_message<'a>(message: Message<'a>, dropped: &mut Dropped) -> Result<Turn<'a>, Unusable> {
    for name in &message.unknown {
        dropped.add(format!("messages.{name}"));
    }
    let role = message.role.ok_or("a message needs a \"role\"")?;
    let role = match &*role.decode() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err("the \"role\" of a message must be user, assistant or system"),
    };
    let content = message.content.ok_or("a message needs \"content\"")?;
    Ok(Turn { role, name: None, parts: content::read_content(content, dropped)? })
}

/// Says which message has a member of a type that it cannot have.
fn wrong_message(raw: &str) -> RequestError {
    let messages: Vec<Json<'_>> = serde_json::from_str(raw).unwrap_or_default();
    let is_wrong = |message: &Json<'_>| serde_json::from_str::<Message<'_>>(message.0).is_err();
    let reason = match messages.iter().position(is_wrong) {
        None => "the member \"messages\" must be an array".to_owned(),
        Some(place) => format!(
            "messages[{place}] must be an object with a string as \"role\" and a string or an array of blocks as \
             \"content\", whose members have the types that the block's type asks for"
        ),
    };
    RequestError::member("messages", reason)
}
