//! OpenAI's chat dialect and the neutral conversation: read from callers, written for providers, and the way back.
//!
//! Only for exchanges whose two sides speak different dialects: where both speak this one, bytes are patched instead.
//! Besides OpenAI's own members it knows what vendors have added and clients rely on: `reasoning_content`,
//! `reasoning_details` (OpenRouter), `cache_control`, content as a list of thoughts and texts (Mistral).

mod details;
mod message;
mod part;
mod reading;
mod reply;
mod request;
mod shapes;
mod stream_reader;
mod stream_writer;
pub(in crate::dialect) mod turns;
mod written_reply;
mod written_request;

pub use super::failure::refusal as read_error;
pub use reply::read_reply;
pub use request::read_request;
pub use stream_reader::StreamReader;
pub use stream_writer::StreamWriter;
pub use written_reply::write_reply;
pub use written_request::write_request;

/// What a provider of this dialect understands of it.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// Its member for the most tokens of an answer: `max_tokens` or `max_completion_tokens`.
    pub max_tokens: &'static str,
    /// Whether it understands `reasoning_effort`.
    pub takes_effort: bool,
    /// Whether it understands a `response_format` with a schema.
    pub takes_schema: bool,
    /// Whether instructions are a `developer` message rather than a `system` message.
    pub takes_developer: bool,
    /// Whether it understands `file` parts.
    pub takes_files: bool,
    /// Whether it wants the thoughts of earlier turns as `reasoning_content`: most refuse or ignore them.
    pub replays_reasoning: bool,
    /// Whether it understands who the end user is.
    pub takes_user: bool,
    /// Whether it understands a speaker's name in a message.
    pub takes_names: bool,
    /// Whether it understands a wish for log probabilities.
    pub takes_logprobs: bool,
    /// Those that it understands of the members that OpenAI's own dialects share; `None`: all.
    pub shared: Option<&'static [&'static str]>,
    /// Members that it has under another name only, as (OpenAI's, its own). They are renamed for callers of this dialect,
    /// too, whose requests are otherwise left as they are.
    pub renames: &'static [(&'static str, &'static str)],
}

impl Manners {
    /// The most widely understood ones.
    pub const USUAL: Self = Self {
        max_tokens: "max_tokens",
        takes_effort: true,
        takes_schema: true,
        takes_developer: false,
        takes_files: true,
        replays_reasoning: false,
        takes_user: true,
        takes_names: true,
        takes_logprobs: true,
        shared: None,
        renames: &[],
    };

    /// Its name for a member.
    pub(super) fn own_name(&self, name: &'static str) -> &'static str {
        self.renames.iter().find(|(openai, _)| *openai == name).map_or(name, |(_, own)| own)
    }
}

/// What is understood most widely.
impl Default for Manners {
    fn default() -> Self {
        Self::USUAL
    }
}

#[cfg(test)]
pub(in crate::dialect) mod tests;
