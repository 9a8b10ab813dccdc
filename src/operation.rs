//! What can be asked for: the columns of the table of endpoints and of what providers offer.

use derive_more::Display;

macro_rules! operations {
    ($($(#[doc = $doc:literal])+ $name:ident: $label:literal, $words:literal, $task:expr;)*) => {
        /// What a caller asks for, whatever the dialect it asks in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display)]
        pub enum Operation {
            $($(#[doc = $doc])+ #[display($words)] $name,)*
        }

        impl Operation {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in metrics and log lines.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// What a provider has to do for it; nothing where none is asked.
            #[must_use]
            pub const fn task(self) -> Option<Task> {
                use Task as T;
                match self { $(Self::$name => $task,)* }
            }

            /// What it is, in one sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

operations! {
    /// Is the process up? Needs no key.
    Livez: "livez", "livez", None;
    /// May traffic be sent here? Needs no key.
    Readyz: "readyz", "readyz", None;
    /// The models that the key may call; patterns are not listed.
    Models: "models", "models", None;
    /// What the key has used of its limits and of the budgets that it pays into.
    Usage: "usage", "usage", None;
    /// A conversation in OpenAI's chat dialect, whole or streamed.
    Chat: "chat_completions", "chat completions", Some(T::Converse);
    /// A conversation in OpenAI's Responses dialect, whole or streamed.
    Responses: "responses", "responses", Some(T::Converse);
    /// A conversation in Anthropic's dialect, whole or streamed.
    Messages: "messages", "messages", Some(T::Converse);
    /// A conversation in Gemini's dialect.
    Generate: "generate_content", "generateContent", Some(T::Converse);
    /// A conversation in Gemini's dialect, streamed.
    StreamGenerate: "stream_generate_content", "streamGenerateContent", Some(T::Converse);
    /// The tokens of a conversation; a guess of the gateway where the provider does not count.
    CountTokens: "count_tokens", "token counting", Some(T::CountTokens);
    /// A text continued, whole or streamed.
    Complete: "completions", "completions", Some(T::Complete);
    /// Texts as vectors.
    Embed: "embeddings", "embeddings", Some(T::Embed);
    /// Documents by how well they answer a query.
    Rerank: "rerank", "rerank", Some(T::Rerank);
    /// A picture after a description.
    Image: "images_generations", "image generation", Some(T::Image);
    /// A picture changed after a description.
    EditImage: "images_edits", "image editing", Some(T::EditImage);
    /// Speech as text.
    Transcribe: "audio_transcriptions", "audio transcription", Some(T::Transcribe);
    /// Speech as text in English.
    Translate: "audio_translations", "audio translation", Some(T::Translate);
    /// Text as speech.
    Speak: "audio_speech", "speech", Some(T::Speak);
    /// What is wrong with a text or a picture.
    Moderate: "moderations", "moderations", Some(T::Moderate);
    /// Anything that a provider's own API has, with the gateway's credential.
    Passthrough: "passthrough", "passthrough", None;
}

/// What a provider is asked to do. Conversations are one task, whatever the dialect of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Answer a conversation.
    Converse,
    /// Count its tokens.
    CountTokens,
    /// Continue a text.
    Complete,
    /// Make vectors of texts.
    Embed,
    /// Sort documents by a query.
    Rerank,
    /// Make a picture.
    Image,
    /// Change a picture.
    EditImage,
    /// Write down speech.
    Transcribe,
    /// Write down speech in English.
    Translate,
    /// Speak a text.
    Speak,
    /// Judge a text.
    Moderate,
}

impl Task {
    /// Whether its answer is words of a model, which are paid for by the token.
    #[must_use]
    pub const fn writes_text(self) -> bool {
        matches!(self, Self::Converse | Self::Complete)
    }
}

impl Operation {
    /// Whether guardrails judge what is asked and answered. Counting, judging and listing say nothing (§10.4).
    #[must_use]
    pub const fn is_screened(self) -> bool {
        !matches!(
            self,
            Self::Livez | Self::Readyz | Self::Models | Self::Usage | Self::CountTokens | Self::Moderate
        )
    }

    /// Whether what is answered can be read, and so be judged: sound cannot.
    #[must_use]
    pub const fn answers_words(self) -> bool {
        !matches!(self, Self::Speak)
    }

    /// Whether every answer carries `x-aisix-call-id`.
    #[must_use]
    pub const fn has_call_id(self) -> bool {
        matches!(self, Self::Chat)
    }

    /// Whether an answer may be remembered: the same words get the same answer.
    #[must_use]
    pub const fn is_cacheable(self) -> bool {
        matches!(
            self,
            Self::Chat
                | Self::Responses
                | Self::Messages
                | Self::Generate
                | Self::StreamGenerate
                | Self::Complete
                | Self::Embed
        )
    }

    /// The name under which answers are remembered: whether it is streamed makes no difference to what is said.
    #[must_use]
    pub const fn kept_as(self) -> &'static str {
        match self {
            Self::StreamGenerate => Self::Generate.label(),
            _ => self.label(),
        }
    }
}
