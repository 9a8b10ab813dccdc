//! Gemini's dialect: `generateContent` and `streamGenerateContent`, as Google's Gemini API and Vertex AI speak it.
//!
//! The model and the wish for a stream stand in the URL, so neither is read or written here. Google's JSON may be
//! written in camelCase or snake_case and may leave the brackets off a list of one; both are read, camelCase is written.
//! Wire facts: Google's REST reference "Generating content", checked against recorded exchanges.

mod contents;
mod error;
mod family;
mod grounding;
mod media;
mod members;
mod partial;
mod pieces;
mod reply;
mod request;
mod response;
mod schema;
mod settings;
mod signature;
mod stream;
mod stream_writer;
mod turns;
mod usage;
mod write_request;

pub use contents::refuse_orphans;
pub use error::read_error;
pub use reply::read_reply;
pub use request::read_request;
pub use response::write_reply;
pub use stream::StreamReader;
pub use stream_writer::StreamWriter;
pub use usage::read_count;
pub use write_request::write_request;

#[cfg(test)]
mod tests;
