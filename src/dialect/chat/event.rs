//! A streamed answer, piece by piece.

use smallvec::SmallVec;

use super::{Citation, Finish, Signature, Text, Usage};
use crate::error::UpstreamError;

/// What one event of a provider's stream means: mostly one piece.
pub type Events<'a> = SmallVec<[Event<'a>; 4]>;

/// A piece of a streamed answer.
///
/// `answer` counts the answers from 0 where several were asked for. Pieces of one answer come in the order in which they
/// are to be shown; a writer opens and closes its blocks where the kind of piece changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The answer begins. Comes first, once, where the dialect has it.
    Start {
        /// The provider's id.
        id: Option<Text<'a>>,
        /// What the provider calls the model.
        model: Option<Text<'a>>,
    },
    /// Words.
    Text {
        /// Which answer.
        answer: u32,
        /// The words.
        text: Text<'a>,
    },
    /// Where the words before come from.
    Citation {
        /// Which answer.
        answer: u32,
        /// The source.
        citation: Box<Citation<'a>>,
    },
    /// Thoughts.
    Thought {
        /// Which answer.
        answer: u32,
        /// The thoughts.
        text: Text<'a>,
    },
    /// The signature of the thoughts before, or alone: of the piece that follows (see [`super::Part::Thought`]).
    Signature {
        /// Which answer.
        answer: u32,
        /// The signature.
        signature: Signature<'a>,
        /// Whether the thoughts are hidden in it.
        is_redacted: bool,
    },
    /// A tool call begins.
    ToolCall {
        /// Which answer.
        answer: u32,
        /// Which call of the answer, from 0 and without gaps.
        call: u32,
        /// Ties the result to the call; never empty.
        id: Text<'a>,
        /// The tool.
        name: Text<'a>,
    },
    /// More of a call's arguments.
    Arguments {
        /// Which answer.
        answer: u32,
        /// Which call of the answer.
        call: u32,
        /// A piece of the arguments' JSON, as a JSON string holds it.
        fragment: Text<'a>,
    },
    /// Words with which the model declines.
    Refusal {
        /// Which answer.
        answer: u32,
        /// The words.
        text: Text<'a>,
    },
    /// Log probabilities in OpenAI's chat form, raw.
    Logprobs {
        /// Which answer.
        answer: u32,
        /// The value of `logprobs`.
        json: std::borrow::Cow<'a, str>,
    },
    /// An answer is complete.
    Finish {
        /// Which answer.
        answer: u32,
        /// Why.
        reason: Finish<'a>,
    },
    /// What the provider counted so far; a later one replaces an earlier one.
    Usage(Usage),
    /// The provider's last word. Some never say it.
    End,
}

/// Why an event of a stream is no piece of an answer.
#[derive(Debug)]
pub enum StreamFault {
    /// Not readable: to be skipped and counted.
    Malformed,
    /// The provider gave up.
    Failed(UpstreamError),
}

impl Event<'_> {
    /// The words in it, where it has some.
    #[must_use]
    pub fn words(&self) -> Option<&Text<'_>> {
        match self {
            Event::Text { text, .. }
            | Event::Thought { text, .. }
            | Event::Refusal { text, .. }
            | Event::Arguments { fragment: text, .. } => Some(text),
            _ => None,
        }
    }

    /// The same piece, kept beyond what it was read from.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Start { id, model } => {
                Event::Start { id: id.map(Text::into_owned), model: model.map(Text::into_owned) }
            }
            Event::Text { answer, text } => Event::Text { answer, text: text.into_owned() },
            Event::Citation { answer, citation } => {
                Event::Citation { answer, citation: Box::new(citation.into_owned()) }
            }
            Event::Thought { answer, text } => Event::Thought { answer, text: text.into_owned() },
            Event::Signature { answer, signature, is_redacted } => {
                Event::Signature { answer, signature: signature.into_owned(), is_redacted }
            }
            Event::ToolCall { answer, call, id, name } => {
                Event::ToolCall { answer, call, id: id.into_owned(), name: name.into_owned() }
            }
            Event::Arguments { answer, call, fragment } => {
                Event::Arguments { answer, call, fragment: fragment.into_owned() }
            }
            Event::Refusal { answer, text } => Event::Refusal { answer, text: text.into_owned() },
            Event::Logprobs { answer, json } => Event::Logprobs { answer, json: json.into_owned().into() },
            Event::Finish { answer, reason } => Event::Finish { answer, reason: reason.into_owned() },
            Event::Usage(usage) => Event::Usage(usage),
            Event::End => Event::End,
        }
    }
}
