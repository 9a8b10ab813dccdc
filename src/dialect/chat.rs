//! The neutral conversation: what every chat dialect can say, between the dialect that is read and the one that is written.
//!
//! `n` dialects need `2n` codecs and not `n²` conversions. Texts are borrowed from the body and copied with their escapes
//! ([`Text`]); JSON that nobody has to understand (schemas, arguments) stays raw. What the other side cannot say is named
//! in [`Dropped`]: nothing vanishes silently.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Usage;
use super::json::Text;

mod dropped;
mod event;
mod thinking;

pub use dropped::Dropped;
pub use event::{Event, Events, StreamFault};
pub use thinking::{Effort, Origin, Signature, Thinking};

/// A request, read from one dialect and to be written in another.
#[derive(Debug, Clone, Default)]
pub struct Conversation<'a> {
    /// Instructions before the first turn: system and developer messages, in their order. Only text, as a rule.
    pub system: Vec<Part<'a>>,
    /// The turns. Neighbours may have the same role; a writer joins them where its dialect needs that.
    pub turns: Vec<Turn<'a>>,
    /// The tools that the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Which of them it must or must not call.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<bool>,
    /// Most tokens of the answer, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// Numbers that steer sampling, as raw JSON numbers.
    pub sampling: Sampling<'a>,
    /// Texts that end the answer.
    pub stop: Vec<Text<'a>>,
    /// The form of the answer.
    pub format: Format<'a>,
    /// How much the model is to think.
    pub thinking: Option<Thinking>,
    /// Whether the thoughts, or a summary of them, are wanted in the answer.
    pub shows_thoughts: Option<bool>,
    /// How many answers are wanted, where not one.
    pub answers: Option<u64>,
    /// Log probabilities: how many alternatives per token (0: only those of the tokens chosen).
    pub logprobs: Option<u64>,
    /// Who the end user is, in the caller's words.
    pub user: Option<Text<'a>>,
    /// Members that OpenAI's two chat dialects share under one name, as (name, raw JSON): `metadata`, `store`,
    /// `service_tier`, `prompt_cache_key`, `prompt_cache_retention`, `safety_identifier`. Other dialects report them.
    pub openai: SmallVec<[(&'static str, &'a str); 2]>,
    /// Whether the answer is to be a stream.
    pub is_stream: bool,
}

/// What one side said.
#[derive(Debug, Clone)]
pub struct Turn<'a> {
    /// Who.
    pub role: Role,
    /// The speaker's name, where several share a role.
    pub name: Option<Text<'a>>,
    /// What.
    pub parts: Vec<Part<'a>>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions in the middle of a conversation. A dialect without them writes a user turn.
    System,
    /// The caller's side. Tool results stand in its turns, as parts.
    User,
    /// The model.
    Assistant,
}

/// A piece of a turn or of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Part<'a> {
    /// Words.
    Text(Words<'a>),
    /// A picture, document, sound or film.
    Media(Box<Media<'a>>),
    /// The model's thoughts. A signature without thoughts belongs to the part that follows it (Gemini).
    Thought(Box<Thought<'a>>),
    /// The model calls a tool.
    ToolCall(Box<ToolCall<'a>>),
    /// What a tool said.
    ToolResult(Box<ToolResult<'a>>),
    /// The model declines, in words of its own.
    Refusal(Text<'a>),
}

/// Words, and what belongs to them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Words<'a> {
    /// The text.
    pub text: Text<'a>,
    /// Where its statements come from.
    pub citations: Vec<Citation<'a>>,
    /// The prompt up to here is to be cached.
    pub cache: Option<CacheFor>,
}

/// How long a provider is to keep a prompt that is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheFor {
    /// The provider's usual time: five minutes.
    Short,
    /// An hour.
    Hour,
}

/// Where a statement comes from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Citation<'a> {
    /// The page.
    pub url: Option<Text<'a>>,
    /// What the source is called.
    pub title: Option<Text<'a>>,
    /// The words of the source.
    pub quote: Option<Text<'a>>,
    /// The statement's place in the text, in characters: from, and up to but without.
    pub place: Option<(u64, u64)>,
}

impl Citation<'_> {
    /// The same source, kept beyond what it was read from.
    #[must_use]
    pub fn into_owned(self) -> Citation<'static> {
        Citation {
            url: self.url.map(Text::into_owned),
            title: self.title.map(Text::into_owned),
            quote: self.quote.map(Text::into_owned),
            place: self.place,
        }
    }
}

/// Something other than words.
#[derive(Debug, Clone, PartialEq)]
pub struct Media<'a> {
    /// What it is.
    pub kind: MediaKind,
    /// Where it is.
    pub source: Source<'a>,
    /// Its file name or title.
    pub name: Option<Text<'a>>,
    /// How closely to look at a picture: OpenAI's `low`, `high`, `auto`.
    pub detail: Option<Text<'a>>,
    /// The prompt up to here is to be cached.
    pub cache: Option<CacheFor>,
}

/// What a piece of media is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A PDF or another file.
    Document,
    /// Sound.
    Audio,
    /// A film.
    Video,
}

/// Where a piece of media is.
#[derive(Debug, Clone, PartialEq)]
pub enum Source<'a> {
    /// Here, as base64.
    Inline {
        /// Such as `image/png`.
        media_type: Text<'a>,
        /// Base64 of the bytes.
        data: Text<'a>,
    },
    /// A document that is plain text.
    Plain(Text<'a>),
    /// At an address that the provider fetches.
    Url {
        /// The address.
        url: Text<'a>,
        /// Such as `image/png`, where the dialect says it.
        media_type: Option<Text<'a>>,
    },
    /// A file that lies with the provider, by its id.
    File(Text<'a>),
}

/// The model's thoughts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thought<'a> {
    /// The thoughts, or a summary of them; empty where the provider keeps them to itself.
    pub text: Text<'a>,
    /// What makes the provider believe them when they come back.
    pub signature: Option<Signature<'a>>,
    /// Whether the provider hides them in the signature (Anthropic's `redacted_thinking`).
    pub is_redacted: bool,
}

/// The model calls a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall<'a> {
    /// Ties the result to the call.
    pub id: Text<'a>,
    /// The tool.
    pub name: Text<'a>,
    /// What it is called with.
    pub arguments: Arguments<'a>,
    /// The prompt up to here is to be cached.
    pub cache: Option<CacheFor>,
}

/// Arguments of a tool call: JSON, as a string (OpenAI) or as an object (everybody else).
#[derive(Debug, Clone, PartialEq)]
pub enum Arguments<'a> {
    /// JSON within a JSON string, escapes included; may be broken or empty, as models write it.
    Text(Text<'a>),
    /// Raw JSON of an object.
    Object(Cow<'a, str>),
}

impl Arguments<'_> {
    /// As a JSON string holds them.
    #[must_use]
    pub fn as_text(&self) -> Text<'_> {
        match self {
            Self::Text(text) => text.borrow(),
            Self::Object(json) => Text::plain(json),
        }
    }

    /// As a JSON object; `{}` where they are no object.
    #[must_use]
    pub fn as_object(&self) -> Cow<'_, str> {
        match self {
            Self::Object(json) => Cow::Borrowed(json),
            Self::Text(text) => {
                let json = text.decode();
                let is_object = json.trim_start().starts_with('{')
                    && serde_json::from_str::<&serde_json::value::RawValue>(&json).is_ok();
                if is_object { json } else { Cow::Borrowed("{}") }
            }
        }
    }
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult<'a> {
    /// The call that it answers.
    pub id: Text<'a>,
    /// The tool, where the dialect says it. A writer that needs it looks for the call with this id.
    pub name: Option<Text<'a>>,
    /// Words and media.
    pub content: Vec<Part<'a>>,
    /// Whether the tool failed.
    pub is_error: bool,
    /// The prompt up to here is to be cached.
    pub cache: Option<CacheFor>,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// What it is for.
    pub description: Option<Text<'a>>,
    /// JSON schema of its arguments, raw.
    pub parameters: Option<Cow<'a, str>>,
    /// Whether the arguments must fit the schema exactly.
    pub strict: Option<bool>,
    /// The prompt up to here is to be cached.
    pub cache: Option<CacheFor>,
}

/// Which tools the model must call.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice<'a> {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(Text<'a>),
}

/// The form of the answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Format<'a> {
    /// Text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON after a schema.
    JsonSchema {
        /// What the schema is called.
        name: Option<Text<'a>>,
        /// What it is for.
        description: Option<Text<'a>>,
        /// The schema, raw.
        schema: Cow<'a, str>,
        /// Whether the answer must fit exactly.
        strict: Option<bool>,
    },
}

/// Numbers that steer sampling, as raw JSON numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sampling<'a> {
    /// 0 to 2; Anthropic: 0 to 1.
    pub temperature: Option<&'a str>,
    /// Nucleus sampling.
    pub top_p: Option<&'a str>,
    /// Only the most likely tokens.
    pub top_k: Option<&'a str>,
    /// For answers that repeat.
    pub seed: Option<&'a str>,
    /// −2 to 2.
    pub presence_penalty: Option<&'a str>,
    /// −2 to 2.
    pub frequency_penalty: Option<&'a str>,
}

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub struct Reply<'a> {
    /// The provider's id of the answer.
    pub id: Option<Text<'a>>,
    /// What the provider calls the model.
    pub model: Option<Text<'a>>,
    /// When it was made, in seconds since 1970.
    pub created: Option<u64>,
    /// The answers: one, or as many as were asked for.
    pub answers: Vec<Answer<'a>>,
    /// What the provider counted.
    pub usage: Option<Usage>,
}

/// One answer.
#[derive(Debug, Clone, Default)]
pub struct Answer<'a> {
    /// What the model said, in its order.
    pub parts: Vec<Part<'a>>,
    /// Why it stopped.
    pub finish: Finish<'a>,
    /// Log probabilities in OpenAI's chat form, raw.
    pub logprobs: Option<Cow<'a, str>>,
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Finish<'a> {
    /// It had said all.
    #[default]
    Stop,
    /// It met a text that ends the answer; which, where the dialect says it.
    StopSequence(Option<Text<'a>>),
    /// It may not say more.
    Length,
    /// It waits for tools.
    ToolCalls,
    /// A filter of the provider.
    ContentFilter,
    /// It declined.
    Refusal,
}

impl Finish<'_> {
    /// The word for metrics and records.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Stop | Self::StopSequence(_) => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter | Self::Refusal => "content_filter",
        }
    }

    /// The same reason, kept beyond what it was read from.
    #[must_use]
    pub fn into_owned(self) -> Finish<'static> {
        match self {
            Self::Stop => Finish::Stop,
            Self::StopSequence(text) => Finish::StopSequence(text.map(Text::into_owned)),
            Self::Length => Finish::Length,
            Self::ToolCalls => Finish::ToolCalls,
            Self::ContentFilter => Finish::ContentFilter,
            Self::Refusal => Finish::Refusal,
        }
    }
}

/// What the gateway says in an answer that it writes itself.
#[derive(Debug, Clone, Default)]
pub struct Stamp {
    /// The model that the caller named, as raw JSON.
    pub model: std::sync::Arc<str>,
    /// For ids of answers where the provider gives none: visible ASCII, unique, without a prefix such as `msg_`.
    pub id: Box<str>,
    /// Seconds since 1970.
    pub created: u64,
    /// Whether the caller wants usage in a stream, in dialects that ask (OpenAI chat).
    pub wants_usage: bool,
    /// Whether the caller wants vectors in base64.
    pub wants_base64: bool,
    /// Members of the request that the answer repeats, as (name, raw JSON in one line), in the dialect that does so
    /// (OpenAI Responses).
    pub echo: Option<std::sync::Arc<[Echo]>>,
}

/// A member of a request that its answer repeats: its name and raw JSON in one line.
pub type Echo = (&'static str, Box<str>);
