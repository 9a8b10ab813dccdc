//! Cohere's v2 dialects, as a provider speaks them: chat, and embeddings for callers who speak OpenAI's.
//!
//! Its messages are OpenAI's but for what it does not take. Wire facts: Cohere API v2 reference, "Chat", "Chat with
//! Streaming" and "Embed", checked against recorded answers.

pub mod embed;
mod reply;
mod request;
mod stream;

pub use super::openai_chat::refusal as read_error;
pub use reply::read_reply;
pub use request::write_request;
pub use stream::StreamReader;

#[cfg(test)]
mod tests;
